"""``standin hsm console``: ask an HSM by hand."""

import readline  # noqa: F401 - input() edits lines then; what was typed is kept nowhere
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec

from hsm_emulator.console import Typed, exchange, help_on, lines, parse_line
from processor.hsm.framing import HEADER_BYTES, HsmFramer, frame_message
from processor.hsm.keys import KeyUnderLmk, load_keys
from processor.values.errors import ConfigError, FrameError

ANSWER_S = 10.0
INTERRUPTED = 130  # what a shell says of a command that Ctrl-C ended
PROMPT = "hsm> "
UNSAFE_NOTE = "standin hsm console: --unsafe shows everything in clear; do not paste this anywhere"

_HEADER_LENGTHS = range(1, 256)
_NO_KEYS: dict[str, KeyUnderLmk] = {}


def console(
    *,
    hsm: str = "127.0.0.1:1500",
    command: Annotated[tuple[str, ...], cyclopts.Parameter(negative="")] = (),
    keys: Path | None = None,
    lmk: str = "",
    header_bytes: int = HEADER_BYTES,
    unsafe: Annotated[bool, cyclopts.Parameter(negative="")] = False,
    json: bool = False,
) -> None:
    """Ask an HSM by hand: commands by their fields or as they are, answers with fields and error meanings.

    Reads commands from ``--command``, or line by line from stdin, where ``help`` tells more. Values are
    masked. Exit code 0 when each command was done, 1 when one was not or the HSM does not answer, 2 when one
    cannot be sent.

    Example: standin hsm console --hsm 127.0.0.1:1500 --command NC

    Args:
        hsm: HOST:PORT of the HSM.
        command: A command, in place of stdin; may be repeated. Other users see it in the list of processes.
        keys: Key file whose keys commands may name, as in ``cvk=@cvk``.
        lmk: Identifier of the LMK, two digits, where it is not the default one.
        header_bytes: Length of the message header, as the unit is set.
        unsafe: Show values in clear.
        json: Print one JSON object a command.
    """
    host, port = _address(hsm)
    if header_bytes not in _HEADER_LENGTHS:
        raise ConfigError(["--header-bytes: must be 1 to 255"])
    if lmk and not (len(lmk) == 2 and lmk.isascii() and lmk.isdecimal()):
        raise ConfigError(["--lmk: must be two digits"])
    known = load_keys(keys) if keys is not None else _NO_KEYS
    if unsafe:
        print(UNSAFE_NOTE, file=sys.stderr)
    try:
        with closing(_Line(socket.create_connection((host, port), ANSWER_S), header_bytes)) as line:
            worst = 0
            for text in command or _typed_lines():
                worst = max(worst, _one(text, line, known, lmk, unsafe=unsafe, json=json))
    except (OSError, EOFError, FrameError) as error:
        said = str(error) or "it closed the link"
        print(f"standin hsm console: {hsm} does not answer: {said}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    raise SystemExit(worst)


class _Line:
    """One question at a time."""

    def __init__(self, line: socket.socket, header_bytes: int) -> None:
        self._line = line
        self._framer = HsmFramer(header_bytes=header_bytes)
        self._header_bytes = header_bytes
        self._asked = 0

    def close(self) -> None:
        self._line.close()

    def ask(self, message: bytes) -> bytes:
        """The reply, without its header. Errors: OSError, EOFError, FrameError."""
        self._asked += 1
        header = str(self._asked).rjust(self._header_bytes, "0")[-self._header_bytes :].encode("ascii")
        self._line.sendall(frame_message(header, message))
        while not (frames := self._framer.frames()):
            data = self._line.recv(65_536)
            if not data:
                raise EOFError
            self._framer.receive(data)
        if frames[0][: self._header_bytes] != header or len(frames) > 1:
            raise FrameError("unmatched_reply", "a reply with another header than the question's")
        return frames[0][self._header_bytes :]


def _one(text: str, line: _Line, keys: dict[str, KeyUnderLmk], lmk: str, *, unsafe: bool, json: bool) -> int:
    """Do what one line says; the exit code that it is worth."""
    word, _, topic = text.strip().partition(" ")
    if not word:
        return 0
    if word in {"help", "?"}:
        print(help_on(topic.strip()))
        return 0
    try:
        typed = parse_line(text, keys, lmk)
    except ConfigError as error:
        print(*(f"standin hsm console: {problem}" for problem in error.problems), sep="\n", file=sys.stderr)
        return 2
    return _asked(typed, line, unsafe=unsafe, json=json)


def _asked(typed: Typed, line: _Line, *, unsafe: bool, json: bool) -> int:
    told = exchange(typed, line.ask(typed.message), unsafe=unsafe)
    print(msgspec.json.encode(told).decode() if json else "\n".join(lines(told)), flush=True)
    return 0 if told.done else 1


def _typed_lines() -> Iterator[str]:
    """What stdin says, until it ends or says so."""
    while True:
        try:
            text = input(PROMPT) if sys.stdin.isatty() else input()
        except EOFError:
            return
        if text.strip() in {"quit", "exit"}:
            return
        yield text


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or not 1 <= int(port) < 65_536:
        raise ConfigError(["--hsm: must be HOST:PORT"])
    return host.removeprefix("[").removesuffix("]"), int(port)
