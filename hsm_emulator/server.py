"""The emulator on TCP: one read, all its frames, one write; replies leave in the order of the requests."""

import math
from collections import Counter

import trio

from hsm_emulator.emulator import Emulator
from processor.hsm.framing import FRAME_BYTES_MAX, HEADER_BYTES, HsmFramer
from processor.values.errors import FrameError

READ_BYTES = 16 * 1024
"""A read is answered in one breath, so this bounds how long one link keeps the others waiting (2 ms)."""

CONNECTIONS_MAX = 64
STALL_S = 10.0
"""How long the rest of a begun frame, or a peer that does not read its replies, is waited for."""


class HsmServer:
    """Serves one emulator to many links. A link that fails takes down nothing but itself.

    ``ended`` counts how links ended: ``closed`` by the peer, ``broken``, ``stalled``, ``refused`` (too many
    connections), or the reason of a framing error.
    """

    def __init__(
        self, emulator: Emulator, *, connections_max: int = CONNECTIONS_MAX, stall_s: float = STALL_S
    ) -> None:
        self.ended: Counter[str] = Counter()
        self._emulator = emulator
        self._connections = trio.CapacityLimiter(connections_max)
        self._stall_s = stall_s

    async def serve(self, listeners: list[trio.SocketListener]) -> None:
        """Accept links on the listeners until cancelled."""
        await trio.serve_listeners(self.converse, listeners)

    async def converse(self, stream: trio.abc.Stream) -> None:
        """Answer one link until it ends; never raises."""
        async with stream:
            try:
                self._connections.acquire_on_behalf_of_nowait(stream)
            except trio.WouldBlock:
                self.ended["refused"] += 1
                return
            try:
                self.ended[await self._answer_all(stream)] += 1
            finally:
                self._connections.release_on_behalf_of(stream)

    async def _answer_all(self, stream: trio.abc.Stream) -> str:
        """Answer until the link ends; says how it ended."""
        framer = HsmFramer(FRAME_BYTES_MAX, HEADER_BYTES)
        try:
            while data := await self._read(stream, begun=framer.partial):
                framer.receive(data)
                while frames := framer.frames():
                    replies, lost = self._emulator.reply_all(frames)
                    with trio.fail_after(self._stall_s):
                        await stream.send_all(replies)
                    if lost is not None:
                        return lost
        except FrameError as error:
            return error.reason
        except trio.TooSlowError:
            return "stalled"
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return "broken"
        return "closed"

    async def _read(self, stream: trio.abc.Stream, *, begun: bool) -> bytes:
        """What the next read gives; a link may idle for as long as it likes, but not inside a frame."""
        with trio.fail_after(self._stall_s if begun else math.inf):
            return bytes(await stream.receive_some(READ_BYTES))
