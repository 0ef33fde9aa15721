"""LMKs from a file or a descriptor: what is taken, what is refused, and that no problem quotes a key."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hsm_emulator.key_block_lmk import TEST_AES, TEST_TDES, KeyBlockLmk
from hsm_emulator.lmk import TEST_PAIRS, VariantLmk
from hsm_emulator.lmk_file import LmkKind, load_lmks, new_lmk, read_lmks, write_private
from processor.hsm.framing import frame_message
from processor.values.errors import ConfigError

ROOT = Path(__file__).parent.parent
KINDS: list[LmkKind] = ["variant", "tdes-block", "aes-block"]


def stored(path: Path, kind: LmkKind = "aes-block") -> Path:
    write_private(path, {"00": new_lmk(kind, os.urandom)})
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_gives_the_lmk_that_was_stored(kind: LmkKind, tmp_path: Path) -> None:
    made = new_lmk(kind, os.urandom)
    write_private(tmp_path / "lmk", {"00": made})

    loaded = load_lmks(tmp_path / "lmk")

    assert list(loaded) == ["00"]
    assert loaded["00"].check_value == made.check_value
    assert isinstance(loaded["00"], VariantLmk if kind == "variant" else KeyBlockLmk)


def test_two_lmks_are_never_alike() -> None:
    made = [msgspec.json.encode(new_lmk(kind, os.urandom)) for kind in KINDS for _ in range(2)]
    assert len(set(made)) == len(made)


def test_several_lmks_have_their_identifiers(tmp_path: Path) -> None:
    write_private(
        tmp_path / "lmk", {"00": new_lmk("variant", os.urandom), "07": new_lmk("aes-block", os.urandom)}
    )
    assert list(load_lmks(tmp_path / "lmk")) == ["00", "07"]


def test_a_file_is_never_written_over(tmp_path: Path) -> None:
    path = stored(tmp_path / "lmk")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="File exists"):
        stored(path)
    assert path.read_bytes() == before


def _readable_by_others(path: Path) -> None:
    path.chmod(0o640)


def _a_link_to_one_that_others_read(path: Path) -> None:
    path.rename(path.with_suffix(".real")).chmod(0o604)
    path.symlink_to(path.with_suffix(".real"))


def _a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        pytest.param(_readable_by_others, "others may read it", id="mode 0640"),
        pytest.param(_a_link_to_one_that_others_read, "others may read it", id="a link to one of mode 0604"),
        pytest.param(_a_pipe, "not a file", id="a pipe, without waiting for a writer"),
        pytest.param(Path.unlink, "No such file", id="no file"),
    ],
)
def test_a_file_that_is_not_ours_alone_is_refused(
    spoil: Callable[[Path], None], expected: str, tmp_path: Path
) -> None:
    spoil(stored(tmp_path / "lmk"))
    with pytest.raises(ConfigError, match=expected):
        load_lmks(tmp_path / "lmk")


def _changed(kind: LmkKind, change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    content: dict[str, Any] = {"00": msgspec.to_builtins(new_lmk(kind, os.urandom))}
    change(content)
    return content


def _digit(lmk: dict[str, Any]) -> None:
    """One digit is another, with the same parity."""
    key = lmk["00"]["key"]
    lmk["00"]["key"] = f"{int(key[0], 16) ^ 3:X}{key[1:]}"


def _with_pair(code: str, pair: str) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["00"]["pairs"].__setitem__(code, pair)


WRONG = [
    pytest.param(_changed("aes-block", _digit), "do not have this check value", id="a changed digit"),
    pytest.param(_changed("tdes-block", _digit), "do not have this check value", id="a changed digit of TDES"),
    pytest.param(_changed("variant", _with_pair("03", "0" * 32)), "pair 03: a TDES key must", id="a pair of zeros"),
    pytest.param(_changed("variant", _with_pair("03", "AB")), "pair 03: must be 32 hex", id="a short pair"),
    pytest.param(_changed("variant", _with_pair("0F", "AB" * 16)), "pairs must be 00 01", id="an unknown pair"),
    pytest.param(_changed("variant", lambda c: c["00"]["pairs"].pop("0E")), "pairs must be", id="a missing pair"),
    pytest.param(
        _changed("variant", _with_pair("03", TEST_PAIRS["03"])), "published test LMKs", id="a published pair"
    ),
    pytest.param(
        {"00": {"check_value": "9D04A00000000000", "key": TEST_AES.hex()}}, "published", id="the AES test LMK"
    ),
    pytest.param({"00": {"check_value": "8E0EC0", "key": TEST_TDES.hex()}}, "published", id="the TDES test LMK"),
    pytest.param(_changed("aes-block", lambda c: c["00"].pop("key")), "pairs or key", id="neither pairs nor key"),
    pytest.param(_changed("aes-block", lambda c: c["00"].update(pairs={})), "pairs or key", id="both"),
    pytest.param(_changed("aes-block", lambda c: c["00"].update(key="zz")), "key: must be 48 or 64", id="no hex"),
    pytest.param(_changed("aes-block", lambda c: c.update({"01": c.pop("00")})), "no LMK 00", id="no default LMK"),
    pytest.param(_changed("aes-block", lambda c: c.update(one=c["00"])), "two digits", id="a wrong identifier"),
    pytest.param(_changed("aes-block", lambda c: c["00"].update(more=1)), "not an LMK file", id="an unknown member"),
    pytest.param([], "not an LMK file", id="no object"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), WRONG)
def test_what_is_wrong_is_said_without_a_key(content: Any, expected: str, tmp_path: Path) -> None:
    write_private(tmp_path / "lmk", content)
    with pytest.raises(ConfigError, match=expected) as caught:
        load_lmks(tmp_path / "lmk")

    said = str(caught.value.problems)
    values = (
        [v for lmk in content.values() for v in (lmk.get("pairs") or {"": lmk.get("key", "")}).values()]
        if content
        else []
    )
    assert not [value for value in values if len(value) > 2 and value in said]


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff", b"x" * 100_000], ids=["nothing", "half", "no text", "too much"]
)
def test_a_descriptor_of_anything_else_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(data)
    with pytest.raises(ConfigError, match="not an LMK file"):
        read_lmks(os.open(tmp_path / "data", os.O_RDONLY))


def test_a_closed_descriptor_is_said() -> None:
    with pytest.raises(ConfigError, match="Bad file descriptor"):
        read_lmks(987)


@contextmanager
def emulator(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "hsm_emulator", "--port", "0", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, **options
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ask(process: subprocess.Popen[str], message: bytes) -> bytes:
    assert process.stdout is not None
    port = int(process.stdout.readline().rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        link.sendall(frame_message(b"0001", message))
        return link.recv(4096)[6:]


@pytest.mark.slow
def test_the_emulator_serves_the_lmk_of_a_file_without_the_authorised_state(tmp_path: Path) -> None:
    path = stored(tmp_path / "lmk", "variant")
    check_value = json.loads(path.read_text())["00"]["check_value"]
    with emulator("--lmk", str(path)) as process:
        assert ask(process, b"NC").startswith(b"ND00" + check_value.encode())
    with emulator("--lmk", str(path)) as process:
        assert ask(process, b"BA1234F550000025321") == b"BB17"
    with emulator("--lmk", str(path), "--authorised") as process:
        assert ask(process, b"BA1234F550000025321") == b"BB0001234"


@pytest.mark.slow
def test_the_emulator_takes_an_lmk_from_an_inherited_descriptor(tmp_path: Path) -> None:
    path = stored(tmp_path / "lmk")
    check_value = json.loads(path.read_text())["00"]["check_value"]
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with emulator("--lmk-fd", str(descriptor), pass_fds=[descriptor]) as process:
            assert ask(process, b"NC").startswith(b"ND00" + check_value.encode())
    finally:
        os.close(descriptor)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["--test-lmk"], "give one of", id="two LMKs"),
        pytest.param(
            ["--authorised", "--host", "0.0.0.0"], "only on loopback", id="authorised for everybody"
        ),
    ],
)
def test_the_emulator_refuses_to_start(arguments: list[str], expected: str, tmp_path: Path) -> None:
    with emulator("--lmk", str(stored(tmp_path / "lmk")), *arguments) as process:
        output, errors = process.communicate(timeout=10)
    assert (process.returncode, output) == (2, "")
    assert expected in errors
    assert "Traceback" not in errors
