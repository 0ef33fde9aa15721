"""One of the switch's connections: frames out, frames in, and what is still unanswered on it."""

from collections import deque

import trio

from processor.iso8583.codec import Codec
from processor.iso8583.compiled import CompiledCodec
from processor.iso8583.framing import Framer
from processor.iso8583.message import Message
from processor.networks.nearest import differing, in_words
from processor.values.errors import PeerError
from simulators.networks.network import Network
from simulators.question import KEY_PARTS, Key, Question, Transmission, key_of

_FRAME_BYTES_MAX = 4096
_ECHOED = (7, 11, 33, 63, 70)  # of what the issuer asks
_READ_BYTES = 65536


class LinkLost(Exception):  # noqa: N818 - what became of it
    """The link is gone: nothing more can be sent or answered on it."""


class Waiting:
    """A question with copies unanswered on one link: when the schedule wanted each of them sent."""

    __slots__ = ("intended_s", "question")

    def __init__(self, question: Question) -> None:
        self.question = question
        self.intended_s: deque[float] = deque()


class Link:
    """One stream. A reply is matched by its key among what was asked here: never on another link."""

    def __init__(self, network: Network, stream: trio.abc.Stream) -> None:
        self.waiting: dict[Key, Waiting] = {}
        self._network = network
        self._stream = stream
        self._codec: Codec = CompiledCodec(network.dialect)
        self._framer = Framer(network.frame, _FRAME_BYTES_MAX)
        self._writing = trio.Lock()  # the traffic, and answers to what the issuer asks

    async def send(self, transmissions: list[tuple[Transmission, float]], deadline_s: float) -> None:
        """Send messages in one write, each with the moment at which it is due. Errors: LinkLost."""
        frames = bytearray()
        for (question, mti), intended_s in transmissions:
            frames += self._frame(question.message, mti)
            waiting = self.waiting.get(question.key)
            if waiting is None:
                waiting = self.waiting[question.key] = Waiting(question)
            waiting.intended_s.append(intended_s)
        await self._write(frames, deadline_s)

    async def accept(self, asked: Message, deadline_s: float) -> None:
        """Say yes to something that the issuer asks of its own accord. Errors: LinkLost."""
        elements = {number: asked.elements[number] for number in _ECHOED if number in asked.elements}
        header = self._network.dialect.header.reply(asked.header)
        reply = Message(header, asked.mti[:2] + "10", elements | {39: "00"})
        await self._write(self._frame(reply, reply.mti), deadline_s)

    async def _write(self, frames: bytes | bytearray, deadline_s: float) -> None:
        try:
            with trio.fail_after(deadline_s):
                async with self._writing:
                    await self._stream.send_all(frames)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise LinkLost("broken while sending") from None
        except trio.TooSlowError:
            raise LinkLost("the issuer does not read") from None

    async def receive(self) -> list[bytes]:
        """The frames that have come, without keep-alive polls. Errors: LinkLost."""
        try:
            while not (frames := self._framer.frames()):
                data = await self._stream.receive_some(_READ_BYTES)
                if not data:
                    raise LinkLost("closed by the issuer")
                self._framer.receive(bytes(data))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise LinkLost("broken while reading") from None
        except PeerError as error:
            raise LinkLost(str(error)) from None
        return [frame for frame in frames if frame]

    def decode(self, frame: bytes) -> Message:
        """The reply in a frame. Errors: PeerError for one that cannot be read."""
        self._network.dialect.header.check(frame)
        return self._codec.decode(frame)

    def matched(self, reply: Message) -> tuple[Question, float] | None:
        """The question that it answers, and when that was due; None if nothing was asked that it answers."""
        waiting = self.waiting.get(key_of(reply))
        if waiting is None:
            return None
        intended_s = waiting.intended_s.popleft()
        if not waiting.intended_s:
            del self.waiting[waiting.question.key]
        return waiting.question, intended_s

    def unlike(self, reply: Message) -> str:
        """In which parts of its key a reply differs from what it may have been meant for, in words."""
        return in_words(differing(key_of(reply), self.waiting, KEY_PARTS))

    def overdue(self, oldest_s: float) -> list[Waiting]:
        """Take out what should have been answered if it was due before ``oldest_s``."""
        late = [waiting for waiting in self.waiting.values() if waiting.intended_s[0] < oldest_s]
        for waiting in late:
            del self.waiting[waiting.question.key]
        return late

    def _frame(self, message: Message, mti: str) -> bytes:
        if mti != message.mti:
            message = Message(message.header, mti, message.elements)
        return self._network.frame.frame(self._codec.encode(message))
