"""What keeps a processor from starting: wrong configuration, another owner, a journal that is not whole."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from processor.app import SHARD, keyring
from processor.journal.contract import Batch
from processor.journal.file_journal import FileJournal
from processor.secrets import load_secrets

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
POLICY = 'pin_tries = 3\nrules = [{rule = "card_known"}, {rule = "funds"}]\n'
CONFIG = """
policy = "policy.toml"
[[listen]]
network = "visa-like"
address = "127.0.0.1:0"
[hsm]
address = "127.0.0.1:1"
keys = "keys.json"
[journal]
segment_mib = 1
"""
CARD = {
    "pan": "4000001234567899",
    "expiry": "4012",
    "service_code": "201",
    "currency": "840",
    "balance_minor": 1,
    "pvv": "1234",
    "pvki": "1",
    "psn": "001",
}
KEYS = json.loads((ROOT / "examples" / "keys.test.json").read_text("utf-8"))


def _card(**changed: object) -> str:
    return json.dumps({**CARD, **changed}) + "\n"


def _key(name: str, **changed: object) -> str:
    return json.dumps({**KEYS, name: {**KEYS[name], **changed}})


@pytest.fixture(scope="module")
def run_command(launch_for_module: Any) -> Callable[..., tuple[int, list[str], list[str]]]:
    """Runs a command in a fork of a process that has imported it: exit code, output, log."""
    forker = launch_for_module.child(str(ROOT / "tests" / "system" / "forked_commands.py"))

    def run(
        arguments: list[str], environment: dict[str, str], folder: Path
    ) -> tuple[int, list[str], list[str]]:
        out, err = folder / "out", folder / "err"
        job = {"arguments": arguments, "environment": environment, "out": str(out), "err": str(err)}
        code = forker.reply_to(json.dumps(job))
        return int(code), out.read_text().splitlines(), err.read_text().splitlines()

    return run


@pytest.fixture
def refused(
    run_command: Callable[..., tuple[int, list[str], list[str]]], tmp_path: Path
) -> Callable[..., list[str]]:
    """Starts a processor in a folder of sound files with some replaced; what it says as it exits with 2."""

    def start(files: dict[str, str | bytes | None], *more: str, **environment: str) -> list[str]:
        sound = {"standin.toml": CONFIG, "policy.toml": POLICY, "keys.json": json.dumps(KEYS)}
        for name, content in {**sound, "deck.jsonl": _card(), **files}.items():
            if content is not None:
                (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        arguments = ["serve", "--config", str(tmp_path / "standin.toml"), "--state", str(tmp_path / "state")]
        arguments += ["--deck", str(tmp_path / "deck.jsonl"), *more]
        code, out, said = run_command(arguments, environment, tmp_path)
        assert code == 2, said
        assert out == []
        assert "Traceback" not in "\n".join(said)
        assert str(CARD["pan"]) not in "\n".join(said)
        return said

    return start


BROKEN: list[Any] = [
    pytest.param({"standin.toml": "state = "}, ["standin.toml: "], id="a configuration that is not TOML"),
    pytest.param({"standin.toml": b"\xff\xfe"}, ["standin.toml: "], id="a configuration that is not text"),
    pytest.param({"standin.toml": None}, ["standin.toml: does not exist"], id="no configuration"),
    pytest.param(
        {"standin.toml": CONFIG + "colour = 1\n[hsn]\n"},
        ["journal.colour: ", "hsn: "],
        id="unknown keys",
    ),
    pytest.param(
        {
            "standin.toml": CONFIG.replace("visa-like", "nobody-like")
            .replace('"127.0.0.1:0"', '"nowhere"')
            .replace("[hsm]", "[hsm]\ntimeout_ms = 0\nin_flight_max = 'many'")
            .replace("segment_mib = 1", "segment_mib = 0")
        },
        [
            "listen[0].network: ",
            "listen[0].address: ",
            "hsm.timeout_ms: ",
            "hsm.in_flight_max: ",
            "journal.segment_mib: ",
        ],
        id="wrong values in every table",
    ),
    pytest.param(
        {"standin.toml": CONFIG.replace("keys.json", "gone.json").replace("policy.toml", "gone.toml")},
        ["policy: ", "gone.toml", "hsm.keys: ", "gone.json"],
        id="files that do not exist",
    ),
    pytest.param(
        {"standin.toml": CONFIG.replace("segment_mib = 1", "segment_mib = 0").replace("keys.json", "gone")},
        ["journal.segment_mib: ", "hsm.keys: "],
        id="a wrong value and a file that does not exist",
    ),
    pytest.param(
        {"policy.toml": "pin_tries = 3\nrules = []\n"},
        ["card_known", "funds"],
        id="a policy without the rules that every policy needs",
    ),
    pytest.param(
        {"policy.toml": POLICY.replace("3", "0").replace('{rule = "funds"}', '{rule = "fun"}')},
        ["pin_tries", "rules[1]"],
        id="a policy with a wrong number and an unknown rule",
    ),
    pytest.param({"policy.toml": b"\xff\xfe"}, ["policy.toml: "], id="a policy that is not text"),
    pytest.param(
        {
            "deck.jsonl": _card()
            + _card(expiry="4013")
            + "no card\n"
            + _card(pan="12")
            + _card(balance_minor=-1)
        },
        ["deck.jsonl:2: expiry", "deck.jsonl:3: ", "deck.jsonl:4: pan", "deck.jsonl:5: balance_minor"],
        id="a deck with bad lines",
    ),
    pytest.param({"deck.jsonl": _card(pvv=1234)}, ["deck.jsonl:1: ", "pvv"], id="a deck with a wrong type"),
    pytest.param(
        {"deck.jsonl": _card(pan="400000123456789\uff19")}, ["deck.jsonl:1: pan"], id="a PAN in odd digits"
    ),
    pytest.param({"deck.jsonl": b"\xff\xfe\n"}, ["deck.jsonl:1: "], id="a deck that is not text"),
    pytest.param({"keys.json": "[]"}, ["keys.json: "], id="keys that are no object"),
    pytest.param({"keys.json": b"\xff\xfe"}, ["keys.json: "], id="keys that are not text"),
    pytest.param(
        {"keys.json": _key("zpk", under_lmk="U12", check_value="zz")},
        ["zpk.under_lmk: ", "zpk.check_value: "],
        id="a key that is none",
    ),
    pytest.param({"keys.json": json.dumps({"zpk": KEYS["zpk"]})}, ["pvk: ", "cvk: "], id="missing keys"),
    pytest.param(
        {"policy.toml": "pin_tries = 0\n", "keys.json": "[]", "deck.jsonl": "no card\n"},
        ["policy.toml: ", "keys.json: ", "deck.jsonl:1: "],
        id="problems in several files",
    ),
]


@pytest.mark.parametrize(("files", "expected"), BROKEN)
def test_wrong_input_is_told_at_once_by_its_place(
    refused: Callable[..., list[str]], files: dict[str, Any], expected: list[str]
) -> None:
    said = "\n".join(refused(files))

    assert [place for place in expected if place not in said] == [], said


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        pytest.param(["visa-like"], ["visa-like"], id="no address"),
        pytest.param(["visa-like=127.0.0.1"], ["listen[0].address"], id="no port"),
        pytest.param(["visa-like=127.0.0.1:65536"], ["listen[0].address"], id="a port that cannot be"),
        pytest.param(["visa-like=127.0.0.1:x"], ["listen[0].address"], id="a port that is no number"),
        pytest.param(
            ["nobody-like=127.0.0.1:0", "visa-like=:0"],
            ["listen[0].network", "listen[1].address"],
            id="an unknown network, and no host",
        ),
    ],
)
def test_a_wrong_listen_form_is_refused(
    refused: Callable[..., list[str]], listen: list[str], expected: list[str]
) -> None:
    said = "\n".join(refused({}, *(part for form in listen for part in ("--listen", form))))

    assert [place for place in expected if place not in said] == [], said


def test_a_wrong_hsm_address_is_refused_by_its_key(refused: Callable[..., list[str]]) -> None:
    assert "hsm.address: " in "\n".join(refused({}, "--hsm", "nowhere"))


def test_wrong_values_of_the_environment_are_told_by_their_key(refused: Callable[..., list[str]]) -> None:
    said = "\n".join(refused({}, STANDIN_HSM__TIMEOUT_MS="soon", STANDIN_LIMITS__IDLE_S="-1"))

    assert "hsm.timeout_ms: " in said
    assert "limits.idle_s: " in said


@pytest.fixture
def start(run_command: Any, hsm: Any, tmp_path: Path) -> Callable[..., tuple[int, list[str], str]]:
    """Starts the example processor on a state folder; exit code, output, and the log in one piece."""

    def run(state: Path, listen: str = "127.0.0.1:0") -> tuple[int, list[str], str]:
        arguments = ["serve", "--config", str(ROOT / "examples" / "standin.toml"), "--state", str(state)]
        arguments += ["--listen", f"visa-like={listen}", "--hsm", "{}:{}".format(*hsm.address)]
        code, out, said = run_command(arguments, {"STANDIN_JOURNAL__SEGMENT_MIB": "1"}, tmp_path)
        assert "Traceback" not in "\n".join(said)
        return code, out, "\n".join(said)

    return run


def test_a_port_in_use_is_told_by_its_address(start: Any, hsm: Any, tmp_path: Path) -> None:
    taken = "{}:{}".format(*hsm.address)
    code, out, said = start(tmp_path / "state", taken)

    assert (code, out) == (1, [])
    assert taken in said


def test_a_second_processor_on_the_same_state_is_refused_and_the_first_goes_on(
    launch: Any, start: Any, hsm: Any, issuer: Any, till: Any, connect: Any, tmp_path: Path
) -> None:
    card, state = issuer.card(), tmp_path / "state"
    first = launch.serving(state, hsm, issuer.deck(tmp_path))
    code, out, said = start(state)

    assert (code, out) == (1, [])
    assert str(state / "journal") in said
    assert f"pid {first.process.pid}" in said
    assert connect(first).ask(till.purchase(card)).elements[39] == "00"


class Journal:
    """A state folder that a stopped processor left: more than one segment of records."""

    def __init__(self, state: Path) -> None:
        self.state = state

    def batches(self) -> list[Batch]:
        """Every batch of records, with its place."""
        keys = keyring(load_secrets(self.state, create=False))
        return list(FileJournal(self.state / "journal", keys).read(SHARD))

    def path(self, batch: Batch) -> Path:
        """The segment in which a batch lies."""
        return self.state / "journal" / f"{batch.segment:08}.seg"

    def change(self, path: Path, offset: int, data: bytes) -> None:
        """Overwrite some bytes."""
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(data)


@pytest.fixture(scope="module")
def written(launch_for_module: Any, hsm: Any, new_issuer: Any, tmp_path_factory: Any) -> Path:
    """The folder of a processor that issued cards for more than a segment, killed at the end."""
    folder = tmp_path_factory.mktemp("written")
    issuer = new_issuer()
    for _ in range(4_000):
        issuer.card()
    launch_for_module.serving(folder / "state", hsm, issuer.deck(folder)).kill()
    return Path(folder / "state")


@pytest.fixture
def journal(written: Path, tmp_path: Path) -> Journal:
    """A copy of it to be damaged."""
    shutil.copytree(written, tmp_path / "state")
    found = Journal(tmp_path / "state")
    assert {batch.segment for batch in found.batches()} >= {1, 2}
    return found


@pytest.mark.parametrize(
    ("segment", "which"),
    [
        pytest.param(1, 0, id="the first batch of a sealed segment"),
        pytest.param(1, -1, id="the last batch of a sealed segment"),
        pytest.param(2, 0, id="a batch in the last segment"),
    ],
)
def test_a_flipped_byte_in_the_journal_is_refused_with_its_file_and_offset(
    start: Any, run_command: Any, journal: Journal, tmp_path: Path, segment: int, which: int
) -> None:
    batch = [b for b in journal.batches() if b.segment == segment][which]
    path, at = journal.path(batch), batch.offset + batch.size // 2
    journal.change(path, at, bytes([path.read_bytes()[at] ^ 1]))
    before = path.read_bytes()
    code, out, said = start(journal.state)
    check = run_command(["book", "check", "--state", str(journal.state)], {}, tmp_path)

    assert (code, out, check[0]) == (1, [], 1)
    for words in (said, "\n".join(check[2])):
        assert f"{path} at byte {batch.offset}" in words
    assert path.read_bytes() == before, "the damage is left for someone to look at"


def test_a_torn_tail_is_cut_and_told_and_nothing_else_is_lost(
    launch: Any, hsm: Any, journal: Journal
) -> None:
    before = launch.book_check(journal.state)
    last = journal.batches()[-1]
    path = journal.path(last)
    raw = path.read_bytes()
    end = len(raw.rstrip(b"\0"))
    torn = raw[last.offset : last.offset + last.size // 2]
    journal.change(path, end + 64, torn)
    child = launch.serving(journal.state, hsm)
    line = child.log.wait_for("torn_tail_cut")

    assert path.name in line
    assert str(len(torn.strip(b"\0"))) in line
    child.stop()
    after = launch.book_check(journal.state)
    assert after["balanced"]
    assert (after["sequence"], after["cards"]) == (before["sequence"], before["cards"])


def test_a_missing_secrets_file_is_refused_rather_than_made_anew(start: Any, journal: Journal) -> None:
    (journal.state / "secrets.json").unlink()
    code, _, said = start(journal.state)

    assert code == 2
    assert "secrets.json" in said
    assert not (journal.state / "secrets.json").exists()


def test_secrets_that_others_may_read_are_refused(start: Any, journal: Journal) -> None:
    (journal.state / "secrets.json").chmod(0o644)
    code, _, said = start(journal.state)

    assert code == 2
    assert "chmod 600" in said
