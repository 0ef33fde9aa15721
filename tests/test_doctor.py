"""What the doctor finds, each ailment by itself: of a sound configuration and state folder with one thing wrong."""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from processor.app import keyring
from processor.cli import asking, examination, hsm_check
from processor.cli.doctor import _examine
from processor.hsm.framing import HsmFramer, frame_message
from processor.journal.file_journal import FileJournal
from processor.journal.holder import holder
from processor.secrets import load_secrets
from processor.services.door import close_door, find_door, load_token, open_door
from processor.services.findings import Finding, worst
from processor.values.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]
KEYS = json.loads((ROOT / "examples" / "keys.test.json").read_text("utf-8"))


class FakeUnit:
    """Answers NC and BU from a table; it stands for HSMs that are not as ours."""

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self._answers = answers
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        try:
            link = self._server.accept()[0]
        except OSError:
            return
        framer = HsmFramer()
        with link:
            while data := link.recv(4096):
                framer.receive(data)
                for frame in framer.frames():
                    key = (
                        next(n for n in KEYS if n != "note" and KEYS[n]["under_lmk"].encode() in frame)
                        if (frame[4:6] == b"BU")
                        else ""
                    )
                    check = KEYS[key]["check_value"].encode() if key else b""
                    link.sendall(
                        frame_message(frame[:4], self._answers[frame[4:6]].replace(b"KCV", check[:6]))
                    )


SOUND = {b"NC": b"ND00" + b"0" * 16 + b"1500-0023", b"BU": b"BV00KCV"}


@pytest.fixture
def unit() -> Iterator[Callable[..., FakeUnit]]:
    """Makes HSMs."""
    made: list[FakeUnit] = []

    def make(**answers: bytes) -> FakeUnit:
        made.append(FakeUnit(SOUND | {name.encode(): answer for name, answer in answers.items()}))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def house(tmp_path: Path, unit: Callable[..., FakeUnit]) -> Callable[..., Path]:
    """Writes a configuration whose HSM and ports are there; ``changes`` are replaced in it."""

    def write(hsm: str = "", **changes: str) -> Path:
        settings = {"card": "127.0.0.1:0", "http": "127.0.0.1:0", "hsm": hsm or unit().address, **changes}
        path = tmp_path / "standin.toml"
        path.write_text(
            f'state = "{tmp_path / "state"}"\n'
            f'policy = "{ROOT / "examples" / "stand-in.toml"}"\n'
            f'[[listen]]\nnetwork = "visa-like"\naddress = "{settings["card"]}"\n'
            f'[http]\naddress = "{settings["http"]}"\n'
            f'[hsm]\naddress = "{settings["hsm"]}"\nkeys = "{ROOT / "examples" / "keys.test.json"}"\n'
            f"[journal]\nsegment_mib = {settings.get('segment_mib', '1')}\n"
            f"[limits]\nconnections_max = {settings.get('connections_max', '16')}\n"
        )
        return path

    return write


def ailments(path: Path) -> list[Finding]:
    """What is not well, core dumps of this machine aside."""
    return [f for f in _examine(path, None) if f.level != "ok" and f.about != "core dumps"]


def begun(folder: Path) -> FileJournal:
    """A state folder in which a processor has been."""
    folder.mkdir(mode=0o700)
    journal = FileJournal(
        folder / "journal", keyring(load_secrets(folder, create=True)), segment_bytes=1 << 20
    )
    load_token(folder, create=True)
    lease = journal.acquire(0, f"pid {os.getpid()}")
    journal.release(lease)
    return journal


def test_a_healthy_house_has_no_ailment_before_and_after_the_first_start(
    house: Callable[..., Path], tmp_path: Path, unit: Callable[..., FakeUnit]
) -> None:
    assert ailments(house()) == []
    begun(tmp_path / "state")
    assert ailments(house(hsm=unit().address)) == []
    about = [finding.about for finding in _examine(house(hsm=unit().address), None)]
    assert {
        "import names",
        "configuration",
        "port of visa-like",
        "port of http",
        "state folder",
        "space",
    } <= set(about)
    assert {"journal", "hsm", "hsm key zpk", "core dumps", "open files", "clock"} <= set(about)


def test_a_configuration_that_cannot_be_read_is_all_there_is_to_say(house: Callable[..., Path]) -> None:
    found = _examine(house(card="nowhere"), None)

    assert [(f.about, f.level) for f in found] == [("configuration", "bad")]
    assert "listen[0].address" in found[0].said


def test_a_port_that_is_taken_is_bad_unless_it_is_ours(house: Callable[..., Path], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        found = ailments(house(card=address))
        assert [(f.about, f.level) for f in found] == [("port of visa-like", "bad")]
        journal = begun(tmp_path / "state")
        lease = journal.acquire(0, f"pid {os.getpid()}")
        assert ailments(house(card=address)) == []
        journal.release(lease)


AILMENTS: list[Any] = [
    pytest.param({"card": "192.0.2.1:8583"}, lambda _: None, "port of visa-like", "bad", id="an address elsewhere"),
    pytest.param({"segment_mib": "4096"}, lambda _: None, "space", "bad", id="no space for segments"),
    pytest.param({"connections_max": "10000"}, lambda _: None, "open files", "bad", id="too few descriptors"),
    pytest.param({}, lambda state: state.chmod(0o755), "state folder", "warn", id="a folder others look into"),
    pytest.param(
        {}, lambda state: (state / "secrets.json").chmod(0o644), "state folder", "bad", id="secrets others may read"
    ),
    pytest.param(
        {}, lambda state: (state / "admin.token").chmod(0o644), "state folder", "bad", id="a token others may read"
    ),
    pytest.param({}, lambda state: (state / "admin.token").unlink(), "state folder", "warn", id="no token yet"),
    pytest.param(
        {}, lambda state: (state / "journal" / "00000001.seg").write_bytes(b"x"), "journal", "bad", id="no journal"
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "harm", "about", "level"), AILMENTS)
def test_each_ailment_is_found_with_what_to_do(
    house: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str],
    harm: Callable[[Path], object],
    about: str,
    level: str,
) -> None:
    monkeypatch.setattr(examination.shutil, "disk_usage", lambda _: _Usage())
    monkeypatch.setattr(examination.resource, "getrlimit", lambda _: (1024, 1024))
    begun(tmp_path / "state")
    harm(tmp_path / "state")
    found = ailments(house(**changes))

    assert (about, level) in [(f.about, f.level) for f in found]
    assert all(f.todo for f in found)


class _Usage:
    free = 1 << 30


@pytest.mark.parametrize(
    ("answers", "about", "level"),
    [
        pytest.param({"BU": b"BV10"}, "hsm key zpk", "bad", id="a key of another LMK"),
        pytest.param({"BU": b"BV00FFFFFF"}, "hsm key zpk", "bad", id="a key with another check value"),
        pytest.param({"NC": b"ND68"}, "hsm", "warn", id="an HSM that will not be asked"),
    ],
)
def test_what_the_hsm_says_of_itself_and_the_keys(
    house: Callable[..., Path],
    unit: Callable[..., FakeUnit],
    answers: dict[str, bytes],
    about: str,
    level: str,
) -> None:
    found = ailments(house(hsm=unit(**answers).address))

    assert (about, level) in [(f.about, f.level) for f in found]


def test_an_hsm_that_is_not_there_is_bad(house: Callable[..., Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"

    assert [(f.about, f.level) for f in ailments(house(hsm=address))] == [("hsm", "bad")]


def test_where_no_rule_needs_an_hsm_its_absence_is_no_ailment(house: Callable[..., Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    path = house(hsm=address)
    path.write_text(path.read_text().replace("stand-in.toml", "lab-policy.toml"))

    assert ailments(path) == []
    (hsm,) = [f for f in _examine(path) if f.about == "hsm"]
    assert "no rule of the policy needs it" in hsm.said


def test_an_hsm_s_odd_bytes_are_not_repeated(
    house: Callable[..., Path], unit: Callable[..., FakeUnit]
) -> None:
    address = unit(NC=b"ND00" + b"0" * 16 + b"\0\x1b[31m", BU=b"BV\0\x07").address
    said = [f.said for f in _examine(house(hsm=address)) if f.about.startswith("hsm")]

    assert len(said) > 1
    assert all(text.isprintable() for text in said)


def test_an_hsm_that_answers_byte_by_byte_and_never_ends_is_given_up(
    house: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hsm_check, "ANSWER_S", 0.2)
    stop = threading.Event()

    def drip(server: socket.socket) -> None:
        link = server.accept()[0]
        with link, suppress(OSError):
            link.sendall(b"\x08\x00")
            while not stop.wait(0.01):
                link.sendall(b"\0")

    with socket.create_server(("127.0.0.1", 0)) as server:
        dripping = threading.Thread(target=drip, args=(server,))
        dripping.start()
        found = ailments(house(hsm=f"127.0.0.1:{server.getsockname()[1]}"))
        given_up = dripping.is_alive()
        stop.set()
        dripping.join()

    assert given_up, "though it went on"
    assert [(f.about, f.level) for f in found] == [("hsm", "bad")]
    assert "TimeoutError" in found[0].said


PLACES: list[Any] = [
    pytest.param("standin.toml", "bad", "not a folder", id="a file"),
    pytest.param("standin.toml/state", "bad", "not a folder", id="in a file"),
    pytest.param("no/such/state", "warn", "neither it nor", id="two levels that are not there"),
    pytest.param("state2", "ok", "made at the first start", id="a folder that is not there yet"),
]


@pytest.mark.parametrize(("place", "level", "said"), PLACES)
def test_a_state_folder_that_is_not_there_is_looked_at_all_the_same(
    house: Callable[..., Path], tmp_path: Path, place: str, level: str, said: str
) -> None:
    found = {f.about: f for f in _examine(house(), tmp_path / place)}

    assert found["state folder"].level == level
    assert said in found["state folder"].said
    assert "MiB free" in found["space"].said, "of the nearest folder that is there"


def test_ports_and_hsm_can_be_given_as_to_serve(
    house: Callable[..., Path], unit: Callable[..., FakeUnit]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        path = house(card="192.0.2.1:1", hsm="127.0.0.1:1")
        found = _examine(path, None, ("mc-like=127.0.0.1:0", f"visa-like={address}"), (unit().address,))

    levels = {f.about: f.level for f in found}
    assert (levels["port of mc-like"], levels["port of visa-like"], levels["hsm"]) == ("ok", "bad", "ok")


def test_a_processor_that_does_not_answer_is_said_to_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As one that was stopped: the kernel takes the connection, and nobody is there."""
    monkeypatch.setattr(asking, "ALIVE_S", 0.05)
    journal, state = begun(tmp_path / "state"), tmp_path / "state"
    lease = journal.acquire(0, "pid")
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        open_door(state, f"127.0.0.1:{nobody.getsockname()[1]}")
        assert asking.ask_running(state, "why", "1", dict) is None
        with nobody.accept()[0] as connection:
            assert connection.recv(100).startswith(b"GET /livez "), "before anything that may take long"
    journal.release(lease)

    assert "does not answer (ReadTimeout); reading its folder instead" in capsys.readouterr().err


def test_dumps_into_a_pipe_are_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = tmp_path / "core_pattern"
    monkeypatch.setattr(examination, "_CORE_PATTERN", pattern)
    for text, level in (("|/usr/bin/collector %p", "warn"), ("core", "ok")):
        pattern.write_text(text)
        assert worst(examination.core_dumps()) == level


def test_the_holder_of_a_journal_is_seen_without_touching_its_lock(tmp_path: Path) -> None:
    journal = begun(tmp_path / "state")
    assert holder(tmp_path / "state" / "journal") == 0
    lease = journal.acquire(0, "pid")
    assert holder(tmp_path / "state" / "journal") == os.getpid()
    journal.release(lease)
    assert holder(tmp_path / "state" / "journal") == 0
    assert holder(tmp_path / "nowhere") == 0


def test_a_door_counts_only_while_its_process_holds_the_journal(tmp_path: Path) -> None:
    journal, state = begun(tmp_path / "state"), tmp_path / "state"
    open_door(state, "127.0.0.1:1")
    assert find_door(state) is None, "left behind by a process that is dead"
    lease = journal.acquire(0, "pid")
    door = find_door(state)
    assert door is not None
    assert door.address == "127.0.0.1:1"
    close_door(state)
    assert find_door(state) is None
    journal.release(lease)


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 64, b"a b" * 30])
def test_a_token_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "admin.token"
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(ConfigError, match="not a token"):
        load_token(tmp_path, create=True)
