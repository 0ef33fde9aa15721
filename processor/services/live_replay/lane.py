"""One connection in the place of one recorded link: frames out in their order, replies in and matched."""

import math
from collections import OrderedDict, deque
from typing import Protocol

import trio

from processor.iso8583.framing import Framer
from processor.iso8583.message import Message
from processor.networks.respond import wants_answer
from processor.replay.tally import Kind
from processor.services.live_replay.causality import Asked
from processor.services.live_replay.peer import MatchKey, Peer
from processor.values.errors import FrameError, PeerError, WorldError

_FRAME_BYTES_MAX = 65_535
_READ_BYTES = 65_536
_ANSWERED_MAX = 1024  # questions that are remembered to tell a second reply from a reply to nothing


class TargetError(WorldError):
    """The host cannot be reached, has closed, or does not answer: the replay ends."""


class Clerk(Protocol):
    """Who hears what becomes of the questions."""

    def sending(self, asked: Asked) -> bytes:
        """It is about to leave: the frame as it is to be sent now."""
        ...

    def replied(self, asked: Asked, got: Message) -> None:
        """Its reply has come."""
        ...

    def stray(self, kind: Kind, lane: "Lane", asked: Asked | None, got: Message | None, note: str) -> None:
        """Something has come that answers nothing that is open here."""
        ...


class Lane:
    """A connection to ``address``, opened for its first frame and closed once its last is settled.

    A host may close it while nothing is owed; then the next frame opens another.
    """

    def __init__(self, peer: Peer, address: tuple[str, int], clerk: Clerk, timeout_s: float) -> None:
        self.peer = peer
        self.last_number = 0  # the latest frame that was sent
        self._address = address
        self._clerk = clerk
        self._timeout_s = timeout_s
        self._queue, self._turns = trio.open_memory_channel[Asked](math.inf)  # bounded by who fills it
        self._waiting: dict[MatchKey, deque[Asked]] = {}
        self._answered: OrderedDict[MatchKey, Asked] = OrderedDict()
        self._stream: trio.SocketStream | None = None
        self._writing = trio.Lock()

    @property
    def where(self) -> str:
        """The host's address."""
        return f"{self._address[0]}:{self._address[1]}"

    def queue(self, asked: Asked) -> None:
        """Send it in its turn."""
        self._queue.send_nowait(asked)

    def finish(self) -> None:
        """Nothing more will be queued."""
        self._queue.close()

    async def run(self) -> None:
        """Send what is queued, each when all that it waits for is settled, and wait for the replies.

        Raises:
            TargetError: the host refuses, closes while it owes replies, does not read, or is not framed.
        """
        async with trio.open_nursery() as nursery:
            async for asked in self._turns:
                for earlier in asked.after:
                    await earlier.settled.wait()
                await self._send(asked, nursery)
            for asked in self._unsettled():
                await asked.settled.wait()
            nursery.cancel_scope.cancel()

    def forget(self, asked: Asked) -> None:
        """Match it no more: it is long overdue."""
        key = self.peer.match_key(asked.message, asked=True)
        waiting = self._waiting[key]
        waiting.remove(asked)
        if not waiting:
            del self._waiting[key]

    async def _send(self, asked: Asked, nursery: trio.Nursery) -> None:
        stream = self._stream or await self._connect(nursery)
        frame = self._clerk.sending(asked)
        self.last_number = asked.cue.number
        key = self.peer.match_key(asked.message, asked=True)
        self._waiting.setdefault(key, deque()).append(asked)
        await self._write(stream, frame)

    async def _connect(self, nursery: trio.Nursery) -> trio.SocketStream:
        try:
            with trio.fail_after(self._timeout_s):
                stream = await trio.open_tcp_stream(*self._address)
        except (OSError, trio.TooSlowError) as error:
            raise TargetError(f"{self.where}: cannot connect: {_words(error)}") from None
        self._stream = stream
        nursery.start_soon(self._read, stream)
        return stream

    async def _write(self, stream: trio.SocketStream, frame: bytes) -> None:
        try:
            with trio.fail_after(self._timeout_s):
                async with self._writing:
                    await stream.send_all(self.peer.frame_rule.frame(frame))
        except trio.TooSlowError:
            raise TargetError(f"{self.where}: does not read what is sent to it") from None
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._lost(stream)

    async def _read(self, stream: trio.SocketStream) -> None:
        framer = Framer(self.peer.frame_rule, _FRAME_BYTES_MAX)
        try:
            async with stream:
                while data := await stream.receive_some(_READ_BYTES):
                    framer.receive(bytes(data))
                    while frames := framer.frames():
                        for frame in filter(None, frames):
                            await self._take(frame, stream)
        except FrameError as error:
            raise TargetError(f"{self.where}: its frames are not {self.peer.name}'s: {error}") from None
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        self._lost(stream)

    def _lost(self, stream: trio.SocketStream) -> None:
        """The connection is gone: that is an error only while replies are owed."""
        if self._stream is not stream:
            return
        self._stream = None
        owed = [asked for asked in self._unsettled() if asked.owed]
        if owed:
            first = min(asked.cue.number for asked in owed)
            count = (
                f"{len(owed)} unanswered, the first is frame {first}"
                if len(owed) > 1
                else f"frame {first} unanswered"
            )
            raise TargetError(f"{self.where}: closed the connection with {count}")

    async def _take(self, frame: bytes, stream: trio.SocketStream) -> None:
        """One frame of the host's: a reply, or a question of its own about the link."""
        try:
            got = self.peer.reply(frame)
        except PeerError as error:
            self._clerk.stray(Kind.UNREADABLE, self, None, None, str(error))
            return
        if wants_answer(got.mti) and got.mti[1] == "8":
            await self._write(stream, self.peer.accepted(got))
            return
        key = self.peer.match_key(got, asked=False)
        waiting = self._waiting.get(key)
        if waiting is None:
            earlier = self._answered.get(key)
            kind = Kind.UNMATCHED if earlier is None else Kind.DUPLICATE
            self._clerk.stray(kind, self, earlier, got, "")
            return
        asked = next((asked for asked in waiting if self.peer.echoes(asked.message, got)), waiting[0])
        waiting.remove(asked)
        if not waiting:
            del self._waiting[key]
        self._answered[key] = asked
        if len(self._answered) > _ANSWERED_MAX:
            self._answered.popitem(last=False)
        self._clerk.replied(asked, got)

    def _unsettled(self) -> list[Asked]:
        return [a for waiting in self._waiting.values() for a in waiting if not a.settled.is_set()]


def _words(error: BaseException) -> str:
    """What the system says; of several attempts the first."""
    while isinstance(error.__cause__, BaseExceptionGroup):
        error = error.__cause__.exceptions[0]
    return str(error) or "no connection in time"
