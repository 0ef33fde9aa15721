"""Cut a byte stream into frames.

Bytes go in by ``receive``, all complete frames come out by ``frames``; no socket, clock or log.
How a network writes its length prefix is a row of data (``FrameRule``), not code; ``CATALOGUE`` has the rows
that are known from public projects (jPOS's channels, moov's networks, the hosts people connect).

Not among them: frames without a length (XML, log lines), which are no ISO 8583 on a wire; a TPDU behind the
length, which is a header (``processor.iso8583.header``); and session-control frames of the visa row, whose
reserved bytes are not zero: they are refused.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from processor.values.errors import FrameError

LengthEncoding = Literal["big", "little", "bcd", "ascii", "hex"]

_HEXADECIMAL = frozenset(b"0123456789ABCDEFabcdef")


def _read_bcd(field: bytes) -> int:
    digits = field.hex()
    return int(digits) if digits.isdigit() else -1


def _read_ascii(field: bytes) -> int:
    return int(field) if field.isdigit() else -1  # int alone takes signs, blanks and underscores


def _read_hex(field: bytes) -> int:
    return int(field, 16) if _HEXADECIMAL.issuperset(field) else -1


class _Length(msgspec.Struct, frozen=True):
    """One way to write a length: values of a byte, field to number (-1: it is none), number to field."""

    base: int
    read: Callable[[bytes], int]
    write: Callable[[int, int], bytes]


_LENGTHS: dict[LengthEncoding, _Length] = {
    "big": _Length(256, lambda field: int.from_bytes(field, "big"), lambda n, size: n.to_bytes(size, "big")),
    "little": _Length(
        256, lambda field: int.from_bytes(field, "little"), lambda n, size: n.to_bytes(size, "little")
    ),
    "bcd": _Length(100, _read_bcd, lambda n, size: bytes.fromhex(f"{n:0{2 * size}}")),
    "ascii": _Length(10, _read_ascii, lambda n, size: f"{n:0{size}}".encode("ascii")),
    "hex": _Length(16, _read_hex, lambda n, size: f"{n:0{size}X}".encode("ascii")),
}


class FrameRule(msgspec.Struct, frozen=True):
    """A length of ``length_bytes`` in ``encoding``, ``reserved`` bytes behind it, then the payload.

    The length counts the payload and the ``trailer`` that follows it; ``counts_itself``: and its own bytes.
    ``reserved_first`` puts the reserved bytes before the length.
    ``shortest_bytes`` is the least a frame can hold (header, MTI, one bitmap); zero length, which has no
    trailer, is always allowed, because it is the keep-alive poll.

    >>> VISA_FRAME.frame(b"ABC").hex()
    '00030000414243'
    >>> CATALOGUE["ascii-4"].frame(b"ABC"), CATALOGUE["base24"].frame(b"ABC").hex()
    (b'0003ABC', '000441424303')
    """

    name: str
    length_bytes: int
    reserved: bytes
    shortest_bytes: int
    encoding: LengthEncoding = "big"
    counts_itself: bool = False
    reserved_first: bool = False
    trailer: bytes = b""

    @property
    def prefix_bytes(self) -> int:
        """How many bytes stand before the payload."""
        return self.length_bytes + len(self.reserved)

    @property
    def longest_bytes(self) -> int:
        """The longest payload that the length can count."""
        most: int = _LENGTHS[self.encoding].base ** self.length_bytes - 1
        return most - len(self.trailer) - self._own_bytes

    @property
    def _own_bytes(self) -> int:
        return self.length_bytes if self.counts_itself else 0

    def frame(self, payload: bytes) -> bytes:
        """The payload with its prefix; an empty payload is a keep-alive poll.

        Raises:
            ValueError: the prefix cannot count that many bytes.
        """
        if len(payload) > self.longest_bytes:
            raise ValueError(f"{len(payload)} bytes do not fit a {self.name} frame")
        trailer = self.trailer if payload else b""
        counted = len(payload) + len(trailer) + self._own_bytes
        length = _LENGTHS[self.encoding].write(counted, self.length_bytes)
        prefix = self.reserved + length if self.reserved_first else length + self.reserved
        return prefix + payload + trailer

    def payload_bytes(self, prefix: bytes, limit_bytes: int) -> int:
        """How many bytes of payload a prefix announces; 0 is a poll.

        Raises:
            FrameError: see ``Framer.frames``.
        """
        at = len(self.reserved) if self.reserved_first else 0
        number = _LENGTHS[self.encoding].read(prefix[at : at + self.length_bytes])
        if number < 0:
            raise FrameError("length_digits", "the length is not written in digits")
        announced = number - self._own_bytes
        if announced > limit_bytes + len(self.trailer):
            raise FrameError("frame_too_long", f"{number} bytes announced, {limit_bytes} allowed")
        if prefix[:at] + prefix[at + self.length_bytes :] != self.reserved:
            raise FrameError("reserved_bytes", "the reserved bytes of the prefix are not zero")
        if announced == 0:
            return 0
        if announced - len(self.trailer) < self.shortest_bytes:
            least = self.shortest_bytes
            raise FrameError("frame_too_short", f"{number} bytes announced, {least} is the least")
        return announced - len(self.trailer)


_SHORTEST_BYTES = 2 + 8  # an MTI in BCD and one bitmap

# That one call gives out: no read of 64 KiB has more messages, but one may have 32,768 keep-alive polls.
FRAMES_MAX = 1024

VISA_FRAME = FrameRule("visa", 2, b"\0\0", shortest_bytes=22 + _SHORTEST_BYTES)
TWO_BYTE_FRAME = FrameRule("two-byte", 2, b"", shortest_bytes=_SHORTEST_BYTES)

CATALOGUE: dict[str, FrameRule] = {
    rule.name: rule
    for rule in (
        VISA_FRAME,
        TWO_BYTE_FRAME,
        FrameRule("two-byte-inclusive", 2, b"", _SHORTEST_BYTES, counts_itself=True),
        FrameRule("two-byte-little", 2, b"", _SHORTEST_BYTES, "little"),
        FrameRule("two-byte-bcd", 2, b"", _SHORTEST_BYTES, "bcd"),
        FrameRule("three-byte", 3, b"", _SHORTEST_BYTES),
        FrameRule("four-byte", 4, b"", _SHORTEST_BYTES),
        FrameRule("four-byte-inclusive", 4, b"", _SHORTEST_BYTES, counts_itself=True),
        FrameRule("four-byte-little", 4, b"", _SHORTEST_BYTES, "little"),
        FrameRule("ascii-4", 4, b"", _SHORTEST_BYTES, "ascii"),
        FrameRule("ascii-4-inclusive", 4, b"", _SHORTEST_BYTES, "ascii", counts_itself=True),
        FrameRule("ascii-6", 6, b"", _SHORTEST_BYTES, "ascii"),
        FrameRule("hex-4", 4, b"", _SHORTEST_BYTES, "hex"),
        FrameRule("base24", 2, b"", _SHORTEST_BYTES, trailer=b"\x03"),
        FrameRule("gicc", 2, b"\0\0", _SHORTEST_BYTES, reserved_first=True),
    )
}


class Framer:
    """One connection's stream, cut by ``rule``; at most ``limit_bytes`` of payload in a frame.

    The first fault ends the stream: frames before it are still given out, then every call of ``frames``
    raises it, and what arrives later is dropped.
    """

    __slots__ = ("_buffer", "_fault", "_limit_bytes", "_prefix_bytes", "_rule")

    def __init__(self, rule: FrameRule, limit_bytes: int) -> None:
        assert limit_bytes >= rule.shortest_bytes, "the limit would refuse every frame"
        self._rule = rule
        self._prefix_bytes = rule.prefix_bytes
        self._limit_bytes = limit_bytes
        self._buffer = bytearray()
        self._fault: FrameError | None = None

    @property
    def partial(self) -> bool:
        """Whether the beginning of a frame is waiting for its rest, once ``frames`` has given out all."""
        return bool(self._buffer)

    def receive(self, data: bytes) -> None:
        """Take what the socket gave; nothing is kept once the stream is lost."""
        if self._fault is None:
            self._buffer += data

    def frames(self) -> list[bytes]:
        """The complete frames so far, ``FRAMES_MAX`` at most, without prefix; ``b""`` is a keep-alive poll.

        More of them, and a fault behind them, come by the next call, so a link calls until nothing comes.

        Raises:
            FrameError: the prefix cannot be right, and is refused before a byte of what it announces is kept;
                reasons ``length_digits``, ``frame_too_long``, ``frame_too_short``, ``reserved_bytes``. Or
                ``trailer``: the frame does not end as it must.
        """
        found: list[bytes] = []
        buffer, prefix_bytes = self._buffer, self._prefix_bytes
        start, arrived = 0, len(buffer)
        try:
            while arrived - start >= prefix_bytes and len(found) < FRAMES_MAX:
                begin = start + prefix_bytes
                length = self._rule.payload_bytes(bytes(buffer[start:begin]), self._limit_bytes)
                end = after = begin + length
                if length and self._rule.trailer:
                    after = self._behind_trailer(end)
                if after > arrived:
                    break
                found.append(bytes(buffer[begin:end]))
                start = after
        except FrameError as fault:
            self._fault = fault
            start = arrived
        if start:
            del buffer[:start]
        if self._fault is not None and not found:
            raise self._fault
        return found

    def _behind_trailer(self, end: int) -> int:
        """Where the next frame begins, if the payload ends at ``end``."""
        trailer = self._rule.trailer
        arrived = bytes(self._buffer[end : end + len(trailer)])
        if len(arrived) == len(trailer) and arrived != trailer:
            raise FrameError("trailer", f"the frame does not end with {trailer.hex()}")
        return end + len(trailer)
