"""``standin hsm`` as a process: when it refuses, what it prints, how it ends."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hsm_emulator.cli import is_loopback
from hsm_emulator.lmk import VariantLmk
from processor.hsm.framing import frame_message

ZPK_CLEAR = bytes.fromhex("C7152C20BC2C830EA7EC9E8334ABE3FE")
ZPK = b"U1EF828AA8F6B80EB83E19FBC373F3A85"
TPK_70D = str(VariantLmk().encrypt_key("70D", ZPK_CLEAR, "U")).encode()
EQUAL = str(VariantLmk().encrypt_key("001", ZPK_CLEAR[:8] * 2, "U")).encode()
ROOT = Path(__file__).parent.parent


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "hsm_emulator", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def ask(port: int, message: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        link.sendall(frame_message(b"0001", message))
        return link.recv(4096)[6:]


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_serves_and_ends_cleanly(ending: signal.Signals) -> None:
    with start("--port", "0", "--test-lmk") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        authorised = ask(int(line.rpartition(":")[2]), b"BA1234F550000025321")
        process.send_signal(ending)
        output, errors = process.communicate(timeout=10)

    assert line.startswith("listening hsm 127.0.0.1:")
    assert authorised == b"BB0001234"
    assert (process.returncode, output) == (0, "")
    assert "PUBLIC TEST LMK" in errors
    assert "Traceback" not in errors


@pytest.mark.slow
def test_the_second_switch_opens_the_test_lmk_to_others_without_the_authorised_state() -> None:
    with start("--port", "0", "--test-lmk", "--allow-remote-test-lmk", "--host", "0.0.0.0") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        refused = ask(int(line.rpartition(":")[2]), b"BA1234F550000025321")
        process.terminate()
        process.communicate(timeout=10)

    assert refused == b"BB17"
    assert process.returncode == 0


WEAKER = b"CC" + ZPK + ZPK + b"1291DDDA0A7C12CFAA0103550000025321"
TERMINAL = b"JC" + TPK_70D + b"91DDDA0A7C12CFAA01550000025321"
EQUAL_HALVES = b"BUFF1" + EQUAL + b";001;001"
KEY_BLOCK_LMK = b"NC%02"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        pytest.param([], [b"69", b"10", b"00"], id="none"),
        pytest.param(["--allow-weaker-pin-blocks"], [b"00", b"10", b"00"], id="weaker PIN blocks"),
        pytest.param(["--pci-key-types"], [b"69", b"00", b"00"], id="PCI key types"),
        pytest.param(["--strict-keys"], [b"69", b"10", b"75"], id="strict keys"),
    ],
)
def test_each_switch_allows_or_refuses_its_own(switches: list[str], expected: list[bytes]) -> None:
    with start("--port", "0", "--test-lmk", *switches) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2])
        answers = [ask(port, message) for message in (WEAKER, TERMINAL, EQUAL_HALVES, KEY_BLOCK_LMK)]
        process.terminate()
        process.communicate(timeout=10)

    assert [answer[2:4] for answer in answers[:3]] == expected
    assert answers[3].startswith(b"ND009D04A0")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param([], "no LMK", id="without an LMK"),
        pytest.param(["--allow-remote-test-lmk"], "no LMK", id="with the second switch alone"),
        pytest.param(["--test-lmk", "--host", "0.0.0.0"], "only loopback", id="the test LMK for everybody"),
        pytest.param(
            ["--test-lmk", "--host", "example.test"], "only loopback", id="a name that may be anywhere"
        ),
    ],
)
def test_it_refuses_to_start(arguments: list[str], expected: str) -> None:
    with start(*arguments) as process:
        output, errors = process.communicate(timeout=10)

    assert (process.returncode, output) == (2, "")
    assert expected in errors


@pytest.mark.slow
def test_a_port_in_use_is_said_plainly() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start("--test-lmk", "--port", str(taken.getsockname()[1]))
        _, errors = process.communicate(timeout=10)

    assert process.returncode == 1
    assert "cannot listen on" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("10.0.0.1", False),
        ("localhost.example.test", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
