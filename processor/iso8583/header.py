"""The header between frame prefix and MTI.

A network's header is an object with the methods of ``HeaderRule``, so that links and codec do not know which
one they use: ``BASE1`` is the 22-byte BASE I header, ``TPDU`` the five bytes terminal concentrators route by,
``ISO_LITERAL`` the twelve characters BASE24 hosts begin with, ``NO_HEADER`` a network without.

A network that rejects below the level of messages returns our own frame behind a header with a code.

BASE I header, offsets in bytes (public material: jPOS, moov, iso8583.info):

    H01  0  1  header length, 22 (26 or more: a reject header, H13 and H14 follow)
    H02  1  1  flag and format
    H03  2  1  text format, 2
    H04  3  2  total length, header and message, big-endian
    H05  5  3  destination station, 6 digits BCD
    H06  8  3  source station, 6 digits BCD
    H07 11  1  round-trip control, echoed       H10 17  1  batch number
    H08 12  2  BASE I flags                     H11 18  3  reserved
    H09 14  3  message status flags             H12 21  1  user information
    H13 22  2  (reject) bitmap, bit 1 set       H14 24  2  (reject) reject code, 4 digits BCD
"""

from typing import Protocol

import msgspec

from processor.values.errors import FrameError

_BASE1_BYTES = 22
_REJECT_BYTES = 26
_TEXT_FORMAT = 2


class Rejection(msgspec.Struct, frozen=True):
    """A frame of ours that came back: the reject code, and the frame as we had sent it."""

    code: str
    frame: bytes

    def __repr__(self) -> str:
        return f"Rejection({self.code}, {len(self.frame)} bytes)"

    __str__ = __repr__


def is_reject_code(code: str) -> bool:
    """Whether it is four digits."""
    return len(code) == 4 and code.isascii() and code.isdigit()


class HeaderRule(Protocol):
    """What links and codec need of a network's header."""

    @property
    def length_bytes(self) -> int:
        """How many bytes of the frame are header."""

    @property
    def rejects(self) -> bool:
        """Whether the network has header-level rejects."""

    def check(self, frame: bytes) -> None:
        """Raise FrameError when the header says that nothing after it can be trusted."""

    def reply(self, header: bytes, body_length: int = 0) -> bytes:
        """The header of the answer; ``body_length`` is the message without header, in bytes."""

    def sized(self, header: bytes, body_length: int) -> bytes:
        """The header with its length field, if it has one, set for that message."""

    def rejection(self, frame: bytes) -> Rejection | None:
        """What the frame rejects, if it is a header-level reject; ``check`` has passed it."""

    def reject(self, frame: bytes, code: str) -> bytes | None:
        """The frame that rejects ``frame``, or None where it cannot be rejected."""


class Base1Header(msgspec.Struct, frozen=True):
    """A BASE I header, parsed: station ids as six digits, ``reject_code`` four digits or empty.

    A reject returns our own message behind its header; it is counted and logged, never decoded as a request.
    """

    destination: str
    source: str
    round_trip: int
    flags: bytes = bytes(2)
    status: bytes = bytes(3)
    batch: int = 0
    reserved: bytes = bytes(3)
    user: int = 0
    reject_code: str = ""

    def pack(self, body_length: int = 0) -> bytes:
        """The 22 bytes on the wire, or 26 of a reject, for ``body_length`` bytes behind them."""
        rejects = bytes.fromhex("8000" + self.reject_code) if self.reject_code else b""
        length_bytes = _BASE1_BYTES + len(rejects)
        return (
            bytes((length_bytes, 1, _TEXT_FORMAT))
            + (length_bytes + body_length).to_bytes(2, "big")
            + bytes.fromhex(self.destination + self.source)
            + bytes((self.round_trip,))
            + self.flags
            + self.status
            + bytes((self.batch,))
            + self.reserved
            + bytes((self.user,))
            + rejects
        )


class Base1Rule:
    """The 22-byte BASE I header."""

    length_bytes = _BASE1_BYTES
    rejects = True

    def check(self, frame: bytes) -> None:
        """Check H01, H03 and H04 against the frame.

        Raises:
            FrameError: ``header_length``, ``header_text_format`` or ``header_total_length``.
        """
        if len(frame) < _BASE1_BYTES or not (
            frame[0] == _BASE1_BYTES or _REJECT_BYTES <= frame[0] <= len(frame)
        ):
            raise FrameError("header_length", "H01 is neither 22 nor a reject header's")
        if frame[2] != _TEXT_FORMAT:
            raise FrameError("header_text_format", f"H03 is {frame[2]}, not 2")
        if int.from_bytes(frame[3:5], "big") != len(frame):
            raise FrameError("header_total_length", "H04 disagrees with the length of the frame")

    def parse(self, frame: bytes) -> Base1Header:
        """The header as a value, checked.

        Raises:
            FrameError: as ``check``; also ``header_stations`` when a station id is not six digits.
        """
        self.check(frame)
        stations = frame[5:11].hex()
        if not stations.isdigit():
            raise FrameError("header_stations", "H05 or H06 is not six digits")
        return Base1Header(
            destination=stations[:6],
            source=stations[6:],
            round_trip=frame[11],
            flags=bytes(frame[12:14]),
            status=bytes(frame[14:17]),
            batch=frame[17],
            reserved=bytes(frame[18:21]),
            user=frame[21],
            reject_code=frame[24:26].hex() if frame[0] >= _REJECT_BYTES else "",
        )

    def reply(self, header: bytes, body_length: int = 0) -> bytes:
        """Source and destination swapped, H04 set, everything else echoed."""
        return self.sized(header[:5] + header[8:11] + header[5:8] + header[11:], body_length)

    def sized(self, header: bytes, body_length: int) -> bytes:
        """The header with H04 for a message of ``body_length`` bytes."""
        if len(header) != _BASE1_BYTES:
            raise ValueError("a BASE I header is 22 bytes")
        return header[:3] + (_BASE1_BYTES + body_length).to_bytes(2, "big") + header[5:]

    def rejection(self, frame: bytes) -> Rejection | None:
        """The reject code and our frame behind it.

        Raises:
            FrameError: ``reject_header``: H13 does not say that it rejects, or H14 is not four digits.
        """
        if frame[0] == _BASE1_BYTES:
            return None
        code = frame[_BASE1_BYTES + 2 : _REJECT_BYTES].hex()
        if not frame[_BASE1_BYTES] & 0x80 or not code.isdigit():
            raise FrameError("reject_header", "H13 announces no reject, or H14 is not four digits")
        return Rejection(code, frame[frame[0] :])

    def reject(self, frame: bytes, code: str) -> bytes | None:
        """A reject header, addressed to the sender, and the frame as it came.

        H03 and H04 may be what is wrong with it. None for what has no plain header, so that no reject is ever
        rejected, and for a frame that leaves no room in H04.

        Raises:
            ValueError: the code is not four digits.
        """
        if not is_reject_code(code):
            raise ValueError("a reject code is four digits")
        total = _REJECT_BYTES + len(frame)
        if len(frame) < _BASE1_BYTES or frame[0] != _BASE1_BYTES or total > 0xFFFF:
            return None
        head = bytes((_REJECT_BYTES, frame[1], _TEXT_FORMAT)) + total.to_bytes(2, "big")
        back = frame[8:11] + frame[5:8] + frame[11:_BASE1_BYTES]
        return head + back + bytes.fromhex("8000" + code) + frame


class OpaqueRule:
    """A header of fixed length without a meaning to us, echoed as it came; length 0 is no header at all.

    ``literal`` is what it must begin with.
    """

    rejects = False

    def __init__(self, length_bytes: int, literal: bytes = b"") -> None:
        self.length_bytes = length_bytes
        self._literal = literal

    def check(self, frame: bytes) -> None:
        """Check that the header is there.

        Raises:
            FrameError: ``header_length`` or ``header_literal``.
        """
        if len(frame) < self.length_bytes:
            raise FrameError("header_length", "the frame ends inside its header")
        if not frame.startswith(self._literal):
            raise FrameError("header_literal", f"the header does not begin with {self._literal!r}")

    def reply(self, header: bytes, body_length: int = 0) -> bytes:
        """The same header."""
        return self.sized(header, body_length)

    def sized(self, header: bytes, body_length: int) -> bytes:  # noqa: ARG002 - no length field to set
        """The same header, if it has the right length."""
        if len(header) != self.length_bytes:
            raise ValueError(f"the header is {self.length_bytes} bytes")
        return header

    def rejection(self, frame: bytes) -> Rejection | None:  # noqa: ARG002 - there is no such thing
        """None: nothing is known to reject."""
        return None

    def reject(self, frame: bytes, code: str) -> bytes | None:  # noqa: ARG002
        """None: there is no form for it."""
        return None


class TpduRule(OpaqueRule):
    """An identifier byte (0x60 as a rule), then destination and source, two bytes each."""

    def __init__(self) -> None:
        super().__init__(5)

    def reply(self, header: bytes, body_length: int = 0) -> bytes:
        """Destination and source swapped."""
        return self.sized(header[:1] + header[3:5] + header[1:3], body_length)


BASE1 = Base1Rule()
TPDU = TpduRule()
ISO_LITERAL = OpaqueRule(12, b"ISO")
NO_HEADER = OpaqueRule(0)

HEADERS: dict[str, HeaderRule] = {"none": NO_HEADER, "base1": BASE1, "tpdu": TPDU, "iso": ISO_LITERAL}
