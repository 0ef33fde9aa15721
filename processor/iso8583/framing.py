"""Cut a byte stream into frames.

Bytes go in by ``receive``, all complete frames come out by ``frames``; no socket, clock or log.
How a network writes its length prefix is a row of data (``FrameRule``), not code.
"""

import msgspec

from processor.values.errors import FrameError


class FrameRule(msgspec.Struct, frozen=True):
    """A length prefix: ``length_bytes`` big-endian bytes counting what follows the prefix, then ``reserved``.

    ``shortest_bytes`` is the least a frame can hold (header, MTI, one bitmap); zero length is always allowed,
    because it is the keep-alive poll.

    >>> VISA_FRAME.frame(b"ABC").hex()
    '00030000414243'
    """

    name: str
    length_bytes: int
    reserved: bytes
    shortest_bytes: int

    @property
    def prefix_bytes(self) -> int:
        """How many bytes stand before the payload."""
        return self.length_bytes + len(self.reserved)

    def frame(self, payload: bytes) -> bytes:
        """The payload with its prefix; an empty payload is a keep-alive poll.

        Raises:
            ValueError: the prefix cannot count that many bytes.
        """
        if len(payload) >= 1 << (8 * self.length_bytes):
            raise ValueError(f"{len(payload)} bytes do not fit a {self.name} frame")
        return len(payload).to_bytes(self.length_bytes, "big") + self.reserved + payload


VISA_FRAME = FrameRule("visa-4", 2, b"\0\0", shortest_bytes=22 + 2 + 8)
TWO_BYTE_FRAME = FrameRule("two-byte", 2, b"", shortest_bytes=2 + 8)


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
        """Whether the beginning of a frame is waiting for its rest, after ``frames`` has returned."""
        return bool(self._buffer)

    def receive(self, data: bytes) -> None:
        """Take what the socket gave; nothing is kept once the stream is lost."""
        if self._fault is None:
            self._buffer += data

    def frames(self) -> list[bytes]:
        """Every complete frame so far, without its prefix; ``b""`` is a keep-alive poll.

        A fault behind complete frames is raised by the next call, so a link calls until nothing comes.

        Raises:
            FrameError: the prefix cannot be right; reasons ``frame_too_long``, ``frame_too_short``,
                ``reserved_bytes``.
        """
        found: list[bytes] = []
        buffer, prefix_bytes = self._buffer, self._prefix_bytes
        start, arrived = 0, len(buffer)
        while arrived - start >= prefix_bytes:
            length = int.from_bytes(buffer[start : start + self._rule.length_bytes], "big")
            fault = self._fault_of(length, buffer[start + self._rule.length_bytes : start + prefix_bytes])
            if fault is not None:
                self._fault = fault
                start = arrived
                break
            end = start + prefix_bytes + length
            if end > arrived:
                break
            found.append(bytes(buffer[start + prefix_bytes : end]))
            start = end
        if start:
            del buffer[:start]
        if self._fault is not None and not found:
            raise self._fault
        return found

    def _fault_of(self, length: int, reserved: bytearray) -> FrameError | None:
        """What is wrong with a prefix, before a byte of what it announces is kept."""
        if length > self._limit_bytes:
            return FrameError("frame_too_long", f"{length} bytes announced, {self._limit_bytes} allowed")
        if reserved != self._rule.reserved:
            return FrameError("reserved_bytes", "the reserved bytes of the prefix are not zero")
        if 0 < length < self._rule.shortest_bytes:
            shortest = self._rule.shortest_bytes
            return FrameError("frame_too_short", f"{length} bytes announced, {shortest} is the least")
        return None
