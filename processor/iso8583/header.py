"""The header between frame prefix and MTI.

A network's header is an object with the methods of ``HeaderRule``, so that links and codec do not know which
one they use: ``BASE1`` is the 22-byte BASE I header, ``NO_HEADER`` a network without one.

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


class HeaderRule(Protocol):
    """What links and codec need of a network's header."""

    @property
    def length_bytes(self) -> int:
        """How many bytes of the frame are header."""

    def check(self, frame: bytes) -> None:
        """Raise FrameError when the header says that nothing after it can be trusted."""

    def reply(self, header: bytes, body_length: int = 0) -> bytes:
        """The header of the answer; ``body_length`` is the message without header, in bytes."""

    def sized(self, header: bytes, body_length: int) -> bytes:
        """The header with its length field, if it has one, set for that message."""


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
        """The 22 bytes on the wire, for a message of ``body_length`` bytes."""
        assert not self.reject_code, "reject headers are read, not written"
        return (
            bytes((_BASE1_BYTES, 1, _TEXT_FORMAT))
            + (_BASE1_BYTES + body_length).to_bytes(2, "big")
            + bytes.fromhex(self.destination + self.source)
            + bytes((self.round_trip,))
            + self.flags
            + self.status
            + bytes((self.batch,))
            + self.reserved
            + bytes((self.user,))
        )


class Base1Rule:
    """The 22-byte BASE I header."""

    length_bytes = _BASE1_BYTES

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


class OpaqueRule:
    """A header of fixed length without a meaning to us, echoed as it came; length 0 is no header at all."""

    def __init__(self, length_bytes: int) -> None:
        self.length_bytes = length_bytes

    def check(self, frame: bytes) -> None:
        """Check that the header is there.

        Raises:
            FrameError: ``header_length``.
        """
        if len(frame) < self.length_bytes:
            raise FrameError("header_length", "the frame ends inside its header")

    def reply(self, header: bytes, body_length: int = 0) -> bytes:
        """The same header."""
        return self.sized(header, body_length)

    def sized(self, header: bytes, body_length: int) -> bytes:  # noqa: ARG002 - no length field to set
        """The same header, if it has the right length."""
        if len(header) != self.length_bytes:
            raise ValueError(f"the header is {self.length_bytes} bytes")
        return header


BASE1 = Base1Rule()
NO_HEADER = OpaqueRule(0)
