"""Asking an HSM whether it is there and whether our keys are under its LMK, in plain blocking calls."""

import socket
from collections.abc import Iterator, Mapping

from processor.config import parse_address
from processor.hsm.framing import HsmFramer, frame_message
from processor.hsm.keys import KeyUnderLmk
from processor.services.findings import Finding
from processor.values.errors import FrameError

ANSWER_S = 3.0

_LENGTH_FLAGS = {16: b"0", 32: b"1", 33: b"1", 49: b"2"}  # by the characters of a key under the LMK


def check_hsm(
    address: str, keys: Mapping[str, KeyUnderLmk], header_bytes: int = 4, lmk: str = ""
) -> Iterator[Finding]:
    """Whether it answers NC, and whether it makes of each key the check value we have (BU)."""
    try:
        with socket.create_connection(parse_address(address), ANSWER_S) as line:
            hsm = _Line(line, header_bytes, f"%{lmk}".encode("ascii") if lmk else b"")
            yield _diagnosed(address, hsm.ask(b"NC"))
            for name, key in keys.items():
                yield _key(name, key, hsm)
    except (OSError, EOFError, FrameError) as error:
        said = f"{address} does not answer ({type(error).__name__})"
        yield Finding(
            "hsm", "bad", said, "start the HSM, or see hsm.address; its rules may let this machine out"
        )


class _Line:
    """One question at a time."""

    def __init__(self, line: socket.socket, header_bytes: int, lmk: bytes) -> None:
        self._line = line
        self._framer = HsmFramer(header_bytes=header_bytes)
        self._header = b"0" * header_bytes
        self._lmk = lmk

    def ask(self, message: bytes) -> bytes:
        """The reply, without its header. Errors: OSError, EOFError, FrameError."""
        self._line.sendall(frame_message(self._header, message + self._lmk))
        while not (frames := self._framer.frames()):
            data = self._line.recv(65_536)
            if not data:
                raise EOFError
            self._framer.receive(data)
        return frames[0][len(self._header) :]


def _diagnosed(address: str, reply: bytes) -> Finding:
    if reply.startswith(b"ND00"):
        firmware = reply[20:].decode("ascii", "replace").strip()
        return Finding("hsm", "ok", f"{address} answers, firmware {firmware or 'not told'}")
    code = reply[2:4].decode("ascii", "replace")
    return Finding("hsm", "warn", f"{address} answers NC with {code}", "see its manual for this error code")


def _key(name: str, key: KeyUnderLmk, hsm: _Line) -> Finding:
    about = f"hsm key {name}"
    flag = _LENGTH_FLAGS.get(len(key.value))
    if flag is None:
        return Finding(about, "warn", "not checked: this kind of key is not known here", "check it by hand")
    reply = hsm.ask(b"BUFF" + flag + key.value.encode() + b";" + key.type.encode() + b";001")
    if not reply.startswith(b"BV00"):
        code = reply[2:4].decode("ascii", "replace")
        todo = "the key file belongs to another LMK, or the key has another type: make the keys again"
        return Finding(about, "bad", f"the HSM cannot use it (error {code})", todo)
    if reply[4:10].decode("ascii", "replace") != key.check_value[:6]:
        return Finding(
            about,
            "bad",
            f"its check value is not {key.check_value[:6]}",
            "correct the key or its check value",
        )
    return Finding(about, "ok", f"check value {key.check_value[:6]}")
