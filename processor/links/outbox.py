"""Bytes on their way out of one socket: pushed without waiting, sent in as few writes as possible."""

import math

import trio


class Outbox:
    """Collects bytes and sends what has gathered in one write.

    ``push`` never waits, so a whole batch of replies is in before the sending task gets its turn. A peer that
    does not read is noticed twice: the buffer is bounded, and a write has a deadline.
    """

    def __init__(self, limit_bytes: int, send_s: float = math.inf) -> None:
        self._buffer = bytearray()
        self._limit_bytes = limit_bytes
        self._send_s = send_s
        self._pushed = trio.Event()
        self._closing = False

    def push(self, data: bytes) -> bool:
        """Queue bytes; False when the peer has left too many unread, and the link must be closed."""
        if len(self._buffer) + len(data) > self._limit_bytes:
            return False
        self._buffer += data
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
                with trio.fail_after(self._send_s):
                    await stream.send_all(data)
            elif self._closing:
                return
            if not self._buffer and not self._closing:
                self._pushed = trio.Event()
