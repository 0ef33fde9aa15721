"""Framing of the HSM host protocol: two length bytes, big-endian, then header, command code and body.

The length excludes itself. The header (four characters unless configured otherwise) is echoed byte for byte
and is what a client matches replies by. The same framing serves requests and replies.
"""

from processor.values.errors import FrameError

HEADER_BYTES = 4
"""Length of the message header that units are delivered with."""

FRAME_BYTES_MAX = 32 * 1024
"""Longest frame without its length bytes: the largest input buffer that a status reply can announce."""

_LENGTH_BYTES = 2
_CODE_BYTES = 2


def frame_message(header: bytes, message: bytes) -> bytes:
    r"""Put the length and the header in front of a command or response.

    >>> frame_message(b"0001", b"NC")
    b'\x00\x060001NC'
    """
    return (len(header) + len(message)).to_bytes(_LENGTH_BYTES, "big") + header + message


class HsmFramer:
    """Cut a byte stream into frames (header, code and body; the length bytes are dropped).

    ``frames`` returns everything complete at once. A length that cannot be right (too short for header and
    code, or over the limit) is refused on sight: the sound frames before it are returned first, the next call
    raises FrameError, and nothing more is buffered. So at most one partial frame and one read are held.
    """

    __slots__ = ("_buffer", "_least", "_lost", "_most")

    def __init__(self, limit_bytes: int = FRAME_BYTES_MAX, header_bytes: int = HEADER_BYTES) -> None:
        self._least = header_bytes + _CODE_BYTES
        self._most = limit_bytes
        self._buffer = bytearray()
        self._lost: FrameError | None = None

    @property
    def partial(self) -> bool:
        """True while bytes are held: after ``frames`` has returned, the beginning of a frame."""
        return bool(self._buffer)

    def receive(self, data: bytes | bytearray) -> None:
        """Take what a read gave; ignored after the framing was lost."""
        if self._lost is None:
            self._buffer += data

    def frames(self) -> list[bytes]:
        """Every frame that is complete by now, in order; empty when more bytes are needed.

        Errors: FrameError when the next length cannot be right; the link is to be closed.
        """
        if self._lost is not None:
            raise self._lost
        buffer = self._buffer
        if len(buffer) < _LENGTH_BYTES or self._is_waiting(buffer[0] << 8 | buffer[1]):
            return []  # before the copy, or a long frame that trickles in would be copied once per read
        data = bytes(buffer)
        found: list[bytes] = []
        size, at = len(data), 0
        while size - at >= _LENGTH_BYTES:
            length = data[at] << 8 | data[at + 1]
            if not self._least <= length <= self._most:
                self._lose(length)
                break
            end = at + _LENGTH_BYTES + length
            if end > size:
                break
            found.append(data[at + _LENGTH_BYTES : end])
            at = end
        if self._lost is not None and not found:
            raise self._lost
        del buffer[:at]
        return found

    def _is_waiting(self, length: int) -> bool:
        """Whether the first frame has a length that can be right and is not complete."""
        return self._least <= length <= self._most and len(self._buffer) < _LENGTH_BYTES + length

    def _lose(self, length: int) -> None:
        self._buffer.clear()
        reason = "frame_too_short" if length < self._least else "frame_too_long"
        self._lost = FrameError(reason, f"{length} bytes announced, {self._least} to {self._most} allowed")
