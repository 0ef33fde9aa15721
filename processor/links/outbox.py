"""Bytes on their way out of one socket: pushed without waiting, sent in as few writes as possible."""

import math
from collections.abc import Callable

import trio

from processor.services.tallies import Histogram

Mark = tuple[Histogram, float]  # where a latency is counted, and the moment from which it counts


class Outbox:
    """Collects bytes and sends what has gathered in one write.

    ``push`` never waits, so a whole batch of replies is in before the sending task gets its turn. A peer that
    does not read is noticed twice: the buffer is bounded, and a write has a deadline. ``written`` is given
    the marks of what one write has taken to the socket.
    """

    def __init__(
        self,
        limit_bytes: int,
        send_s: float = math.inf,
        written: Callable[[list[Mark]], None] | None = None,
    ) -> None:
        self._buffer = bytearray()
        self._marks: list[Mark] = []
        self._written = written
        self._limit_bytes = limit_bytes
        self._send_s = send_s
        self._pushed = trio.Event()
        self._closing = False

    @property
    def unsent_bytes(self) -> int:
        """What waits for the next write."""
        return len(self._buffer)

    def push(self, data: bytes, mark: Mark | None = None) -> bool:
        """Queue bytes; False when the peer has left too many unread, and the link must be closed."""
        if len(self._buffer) + len(data) > self._limit_bytes:
            return False
        self._buffer += data
        if mark is not None:
            self._marks.append(mark)
        self._pushed.set()
        return True

    def close_when_empty(self) -> None:
        """Let ``run`` return once everything is sent."""
        self._closing = True
        self._pushed.set()

    async def run(self, stream: trio.abc.SendStream) -> None:
        """Send until cancelled, or until closed and empty.

        Raises:
            trio.TooSlowError: the peer did not take a write in time.
            trio.BrokenResourceError: the connection is gone.
        """
        while True:
            await self._pushed.wait()
            data, self._buffer = self._buffer, bytearray()
            if data:
                marks, self._marks = self._marks, []
                with trio.fail_after(self._send_s):
                    await stream.send_all(data)
                if self._written is not None:
                    self._written(marks)
            elif self._closing:
                return
            if not self._buffer and not self._closing:
                self._pushed = trio.Event()
