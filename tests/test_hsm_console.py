"""``standin hsm console``: what may be typed, what is shown, and what never is."""

import io
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from hsm_emulator.cli.console import console
from hsm_emulator.console import MESSAGE_BYTES_MAX, help_on, masked, parse_line
from hsm_emulator.emulator import Emulator
from hsm_emulator.key_block_lmk import published_key_block_lmks
from hsm_emulator.lmk import VariantLmk
from processor.hsm.errors import ErrorCode
from processor.hsm.fields import KEY_KINDS, Kind
from processor.hsm.framing import HsmFramer, frame_message
from processor.hsm.keys import load_keys
from processor.hsm.table import COMMANDS
from processor.values.errors import ConfigError

KEYS = Path(__file__).parent.parent / "examples" / "keys.test.json"
CVK, PAN = "U9B4934384B19946B040CD702B4D58145", "4123456789012345"
CY = f"CY cvk=@cvk cvv=561 pan={PAN} expiry=8701 service_code=101"
CY_WRONG = CY.replace("561", "562")
CY_RAW = f"CY{CVK}561{PAN};8701101"
KQ = (
    "KQ mode=1 scheme=0 mk_ac={mk} pan_psn=3456789012345600 atc=001C unpredictable_number=52BF4585 data={data} "
    "cryptogram={cryptogram} response_code=3030"
).format(
    mk=VariantLmk().encrypt_key("109", bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"), "U"),
    data="0000000040000000000000000124800004800001241911050152BF45851800001C03A06010" + "00" * 3,
    cryptogram="{}",
)
SECRETS = (CVK, CVK[1:], PAN, PAN[6:12], "561")

Answer = Callable[[bytes], bytes]
Run = Callable[..., tuple[int, str, str]]


class Server:
    """An HSM on a socket that answers each frame by a function; empty is silence and the end."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:{1}".format(*self._socket.getsockname())
        self.frames: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            link, _ = self._socket.accept()
            with closing(link):
                framer = HsmFramer()
                while data := link.recv(65_536):
                    framer.receive(data)
                    for frame in framer.frames():
                        self.frames.append(frame)
                        reply = self._answer(frame)
                        if not reply:
                            return
                        link.sendall(reply)

    def close(self) -> None:
        self._socket.close()
        self._thread.join(10)


@pytest.fixture
def start() -> Iterator[Callable[[Answer], Server]]:
    servers: list[Server] = []

    def start(answer: Answer) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def hsm(start: Callable[[Answer], Server]) -> Server:
    emulator = Emulator(VariantLmk(), authorised=True, others=published_key_block_lmks())
    return start(lambda frame: emulator.reply(frame) or b"")


@pytest.fixture
def run(capsys: Any, monkeypatch: Any) -> Run:
    """Run the console; its exit code, stdout and stderr."""

    def run(hsm: str, *commands: str, typed: str = "", **options: Any) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        with pytest.raises(SystemExit) as ended:
            console(hsm=hsm, command=commands, **{"keys": KEYS, **options})
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return run


def test_a_command_by_its_fields_is_the_command_as_it_goes_over_the_wire() -> None:
    keys = load_keys(KEYS)
    assert parse_line(CY, keys).message == CY_RAW.encode() == parse_line(CY_RAW, {}).message
    assert parse_line(f"CY {CY_RAW[2:]}", {}).message == CY_RAW.encode()
    assert parse_line(CY_RAW, {}).fields == parse_line(CY, keys).fields


def test_bytes_and_blanks_can_be_typed() -> None:
    assert parse_line(r"B2 0003\x00\x7fA", {}).message == b"B20003\x00\x7fA"
    assert parse_line("B2 data=41420A", {}).message == b"B20003AB\n"
    assert parse_line('B2 data="4142"', {}).message == b"B20002AB"


@pytest.mark.parametrize(
    ("typed", "expected"),
    [("NC", b"NC%01"), (CY_RAW, CY_RAW.encode() + b"%01"), (f"CY cvk={CVK} cvv=561 pan={PAN} expiry=8701 service_code=101", CY_RAW.encode() + b"%01")],
    ids=["no fields", "as it is", "by its fields"],
)  # fmt: skip
def test_the_lmk_identifier_goes_behind(typed: str, expected: bytes) -> None:
    assert parse_line(typed, {}, "01").message == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param("cy", "two capital letters", id="small letters"),
        pytest.param("C", "two capital letters", id="half a code"),
        pytest.param(CY.replace(" cvv=561", ""), "cvv", id="a missing field"),
        pytest.param(CY + " more=1", "more", id="an unknown field"),
        pytest.param(CY.replace("8701", "87O1"), "expiry", id="a field of another shape"),
        pytest.param(CY + " cvv=561", "named twice", id="a field twice"),
        pytest.param(CY.replace("@cvk", "@other"), "no such key", id="an unknown key"),
        pytest.param(CY + " word", "every word", id="a word that is no field"),
        pytest.param(CY + ' "', "quotation", id="an open quotation"),
        pytest.param("B2 \u20ac", "no byte", id="a character that is no byte"),
        pytest.param("B2" + "0" * MESSAGE_BYTES_MAX, "longer than", id="longer than a frame"),
    ],
)
def test_what_cannot_be_sent_is_said_without_a_value(line: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as caught:
        parse_line(line, load_keys(KEYS))
    assert not [secret for secret in SECRETS if secret in str(caught.value.problems)]


def test_an_exchange_is_shown_masked_with_the_meaning_of_the_answer(hsm: Server, run: Run) -> None:
    code, out, _ = run(hsm.address, CY_WRONG)
    assert code == 1
    assert "CZ  01: verification failure" in out
    assert "412345******2345" in out
    assert "U… (33 characters)" in out
    assert not [secret for secret in (*SECRETS, "562") if secret in out]


@pytest.mark.parametrize("command", [CY, CY_RAW], ids=["by its fields", "as it is"])
def test_unsafe_shows_everything_and_warns(command: str, hsm: Server, run: Run) -> None:
    code, out, err = run(hsm.address, command, unsafe=True)
    assert code == 0
    assert "do not paste" in err
    assert all(secret in out for secret in (CVK, PAN, "561"))


def test_answers_have_their_fields(hsm: Server, run: Run) -> None:
    code, out, _ = run(hsm.address, "NC", "B2 data=4142", "ZZ")
    assert code == 1
    assert "lmk_check_value  124AAB0000000000" in out
    assert "0000-TEST" in out
    assert "68: command is disabled or unknown" in out


def test_a_diagnosis_is_hidden_like_any_secret(hsm: Server, run: Run) -> None:
    code, out, _ = run(hsm.address, KQ.format("0" * 16))
    assert code == 1
    assert "KR  01" in out
    assert "29CCA15AE665FA2E" not in out
    assert "cryptogram  (16 characters)" in out.partition("KR")[2]


def test_json_is_one_object_a_command(hsm: Server, run: Run) -> None:
    code, out, _ = run(hsm.address, "NC", CY_WRONG, json=True)
    first, second = map(json.loads, out.splitlines())
    assert code == 1
    assert (first["done"], first["fields"]["firmware"]) == (True, "0000-TEST")
    assert (second["done"], second["error"], second["sent"]["pan"]) == (False, "01", "412345******2345")


def test_lines_of_stdin_are_commands_until_quit(hsm: Server, run: Run) -> None:
    code, out, err = run(hsm.address, typed=f"NC\n\nhelp 15\nnonsense\n{CY}\nquit\nB2 data=41\n")
    assert code == 2
    assert [line for line in out.splitlines() if line.startswith(("ND", "CZ", "error", "B3"))] == [
        "ND  00: no error",
        "error 15: invalid input data",
        "CZ  00: no error",
    ]
    assert "two capital letters" in err
    assert [frame[4:6] for frame in hsm.frames] == [b"NC", b"CY"]


def test_every_question_has_a_header_of_its_own(hsm: Server, run: Run) -> None:
    run(hsm.address, "NC", "NC", "NC")
    assert [frame[:4] for frame in hsm.frames] == [b"0001", b"0002", b"0003"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(lambda _: b"", "closed the link", id="the link is closed"),
        pytest.param(lambda f: frame_message(b"9999", b"ND00"), "another header", id="another's reply"),
        pytest.param(lambda f: frame_message(f[:4], b"ND00") * 2, "another header", id="two replies"),
        pytest.param(lambda _: b"\x00\x01x", "frame_too_short", id="no frame"),
    ],
)
def test_an_hsm_that_cannot_be_understood_is_said(
    answer: Answer, expected: str, start: Callable[[Answer], Server], run: Run
) -> None:
    code, _, err = run(start(answer).address, "NC")
    assert code == 1
    assert expected in err


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        pytest.param(b"ND00X", "cannot be read", id="fields that are none"),
        pytest.param(b"\x1b[00", "unexpected response", id="a terminal's control characters"),
        pytest.param(b"ND\x1b]", "unexpected response", id="control characters as error"),
        pytest.param(b"ND", "unexpected response", id="no error code"),
    ],
)
def test_a_reply_that_cannot_be_read_is_shown_harmlessly(
    reply: bytes, expected: str, start: Callable[[Answer], Server], run: Run
) -> None:
    code, out, _ = run(start(lambda f: frame_message(f[:4], reply)).address, "NC", unsafe=True)
    assert code == 1
    assert expected in out
    assert all(character.isprintable() or character == "\n" for character in out)


@pytest.mark.slow
def test_ctrl_c_at_the_prompt_ends_it_without_a_traceback(hsm: Server) -> None:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "hsm_emulator", "console", "--hsm", hsm.address]
    with subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=subprocess.PIPE, cwd=KEYS.parents[1]
    ) as process:
        os.close(slave)
        seen = b""
        while b"hsm> " not in seen:
            seen += os.read(master, 1024)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    os.close(master)
    assert (process.returncode, err) == (130, b"")


def test_nobody_there_is_said(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    code, _, err = run(f"127.0.0.1:{port}", "NC")
    assert code == 1
    assert "refused" in err


@pytest.mark.parametrize(
    "options",
    [{"hsm": "127.0.0.1"}, {"hsm": "127.0.0.1:0"}, {"lmk": "1"}, {"header_bytes": 0}, {"header_bytes": 256}],
    ids=str,
)
def test_wrong_options_are_wrong_input(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        console(**{"hsm": "127.0.0.1:1", "command": ("NC",), **options})


def test_every_command_and_error_has_help() -> None:
    for code, command in COMMANDS.items():
        assert help_on(code).startswith(f"{code} → {command.response_code}: {command.meaning}")
        assert f"  {code}  {command.meaning}" in help_on("")
    for error in ErrorCode:
        assert error.meaning in help_on(error.value)


# What of a card, a PIN or a key stands in a field, by the names that the rows use.
SENSITIVE = {
    "pan", "account", "verification_account", "pan_psn", "track", "cvv", "dcvv", "pin", "pin_block",
    "new_pin_block", "pin_under_lmk", "pvv", "offset", "data", "cryptogram", "arpc", "random", "mac", "iv",
    "decimalisation_table", "validation_data", "unpredictable_number",
}  # fmt: skip


def test_no_field_of_a_secret_is_shown_whole() -> None:
    for command in COMMANDS.values():
        for layout in (command.request, command.response, command.diagnosis):
            for field in layout.fields:
                value = ("U" + "7" * 32) if field.kind in KEY_KINDS else "7" * 16
                shown = masked(field.name, value, field.kind)
                if field.name in SENSITIVE or field.kind in KEY_KINDS:
                    assert value not in shown, f"{command.code} {field.name}"
                    assert shown.count("7") <= 10


def test_a_field_nobody_knows_is_masked() -> None:
    assert masked("new_thing", "12345678", None) == "(8 characters)"
    assert masked("account", "550000025321", Kind.DIGITS) == "********5321"
