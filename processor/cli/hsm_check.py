"""Asking an HSM whether it is there and whether our keys are under its LMK, in plain blocking calls."""

import socket
from collections.abc import Iterator, Mapping

from processor.config import parse_address
from processor.hsm.framing import HsmFramer, frame_message
from processor.hsm.keys import KeyUnderLmk
from processor.services.findings import Finding
from processor.values.clock import Clock
from processor.values.errors import FrameError

ANSWER_S = 3.0
ALL_S = 10.0  # for one HSM with all its keys

_LENGTH_FLAGS = {16: b"0", 32: b"1", 33: b"1", 49: b"2"}  # by the characters of a key under the LMK


def check_hsm(
    address: str, keys: Mapping[str, KeyUnderLmk], clock: Clock, header_bytes: int = 4, lmk: str = ""
) -> Iterator[Finding]:
    """Whether it answers NC, and whether it makes of each key the check value we have (BU)."""
    due_s = clock.monotonic_s() + ALL_S
    try:
        with socket.create_connection(parse_address(address), ANSWER_S) as line:
            hsm = _Line(line, header_bytes, f"%{lmk}".encode("ascii") if lmk else b"", clock, due_s)
            yield _diagnosed(address, hsm.ask(b"NC"))
            for name, key in keys.items():
                yield _key(name, key, hsm)
    except (OSError, EOFError, FrameError) as error:
        said = f"{address} does not answer ({type(error).__name__})"
        yield Finding(
            "hsm", "bad", said, "start the HSM, or see hsm.address; its rules may let this machine out"
        )


class _Line:
    """One question at a time, each answered in time, and all of them by ``due_s``."""

    def __init__(
        self, line: socket.socket, header_bytes: int, lmk: bytes, clock: Clock, due_s: float
    ) -> None:
        self._line = line
        self._clock = clock
        self._due_s = due_s
        self._framer = HsmFramer(header_bytes=header_bytes)
        self._header = b"0" * header_bytes
        self._lmk = lmk

    def ask(self, message: bytes) -> bytes:
        """The reply, without its header. Errors: OSError, EOFError, FrameError."""
        due_s = min(self._due_s, self._clock.monotonic_s() + ANSWER_S)
        self._line.sendall(frame_message(self._header, message + self._lmk))
        while not (frames := self._framer.frames()):
            left_s = due_s - self._clock.monotonic_s()
            if left_s <= 0:
                raise TimeoutError
            self._line.settimeout(left_s)
            data = self._line.recv(65_536)
            if not data:
                raise EOFError
            self._framer.receive(data)
        return frames[0][len(self._header) :]


def _diagnosed(address: str, reply: bytes) -> Finding:
    if reply.startswith(b"ND00"):
        firmware = _text(reply[20:]).strip()
        return Finding("hsm", "ok", f"{address} answers, firmware {firmware or 'not told'}")
    code = _text(reply[2:4])
    return Finding("hsm", "warn", f"{address} answers NC with {code}", "see its manual for this error code")


def _key(name: str, key: KeyUnderLmk, hsm: _Line) -> Finding:
    about = f"hsm key {name}"
    flag = _LENGTH_FLAGS.get(len(key.value))
    if flag is None:
        return Finding(about, "warn", "not checked: this kind of key is not known here", "check it by hand")
    reply = hsm.ask(b"BUFF" + flag + key.value.encode() + b";" + key.type.encode() + b";001")
    if not reply.startswith(b"BV00"):
        code = _text(reply[2:4])
        todo = "the key file belongs to another LMK, or the key has another type: make the keys again"
        return Finding(about, "bad", f"the HSM cannot use it (error {code})", todo)
    if _text(reply[4:10]) != key.check_value[:6]:
        return Finding(
            about,
            "bad",
            f"its check value is not {key.check_value[:6]}",
            "correct the key or its check value",
        )
    return Finding(about, "ok", f"check value {key.check_value[:6]}")


def _text(raw: bytes) -> str:
    """What an HSM says, which may be anything."""
    return "".join(c if c.isprintable() else "?" for c in raw.decode("ascii", "replace"))
