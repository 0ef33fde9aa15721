"""A visa-like switch on one link: signs on, asks, matches replies by key, signs off.

Two kinds of load. Open: every message has a moment at which it is due, and its latency counts from there, so
that a stall of the processor shows. Closed: so many are in flight, and a new one leaves when a reply comes.
"""

from typing import NamedTuple

import trio

from processor.iso8583.codec import PyisoCodec
from processor.iso8583.framing import VISA_FRAME, Framer
from processor.iso8583.header import BASE1
from processor.iso8583.message import Message
from processor.iso8583.tables.visa_like import VISA_LIKE
from processor.values.errors import PeerError, WorldError
from simulators.expectations import Judge, form_faults
from simulators.question import Answer, Key, Question, Transmission, key_of
from simulators.report import Report
from simulators.traffic import SIGN_OFF, SIGN_ON, Traffic

DEADLINE_S = 10.0
"""How long a reply may take: the network's own timer."""

_FRAME_BYTES_MAX = 4096
_READ_BYTES = 65536
_BURST_MAX = 256  # messages made in one go; between bursts replies are read


class Load(NamedTuple):
    """How much: messages a second (open loop) or messages in flight (closed loop); the other is 0."""

    rate: float
    in_flight: int
    seconds: float

    @property
    def name(self) -> str:
        """Which kind of loop it is."""
        return f"open loop at {self.rate:g}/s" if self.rate else f"closed loop, {self.in_flight} in flight"


class Switch:
    """Drives one stream. ``stop`` ends the traffic early; replies are still waited for, then it signs off."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        traffic: Traffic,
        judge: Judge,
        load: Load,
        *,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self.report = Report(load.name, trio.current_time())
        self._stream = stream
        self._traffic = traffic
        self._judge = judge
        self._load = load
        self._deadline_s = deadline_s
        self._codec = PyisoCodec(VISA_LIKE)
        self._pending: dict[Key, Question] = {}
        self._in_flight = 0
        self._changed = trio.Event()  # something was answered or given up
        self._work = trio.CancelScope()
        self._stopped = trio.Event()

    async def run(self) -> None:
        """Sign on, send the traffic, wait for what is missing, sign off. The report says how it went.

        Errors: WorldError when the issuer does not sign us on.
        """
        refused = False
        async with trio.open_nursery() as nursery:
            with self._work:
                nursery.start_soon(self._receive)
                nursery.start_soon(self._give_up_late)
                refused = not await self._signed(SIGN_ON)
                if not refused:
                    await (self._send_open() if self._load.rate else self._send_closed())
                    await self._drain()
                    self.report.ended_s = trio.current_time()
                    await self._signed(SIGN_OFF)
            nursery.cancel_scope.cancel()
        self._abandon(list(self._pending.values()))
        if refused and not self.report.link:
            raise WorldError("the issuer did not answer our sign-on with 00")

    def stop(self) -> None:
        """End the traffic now. A write that has begun is finished: half a frame would lose the link."""
        self._stopped.set()
        self._notify()

    async def _signed(self, code: str) -> bool:
        sign = self._traffic.network_management(code)
        await self._send([(sign, trio.current_time())])
        await self._drain()
        return sign.question.answer is not None and sign.question.answer.code == "00"

    async def _send_open(self) -> None:
        """Message n is due at start + n / rate, whatever became of the others."""
        rate, start_s = self._load.rate, trio.current_time()
        self.report.started_s = start_s
        total, sent = int(rate * self._load.seconds), 0
        while sent < total and not self._stopped.is_set():
            with trio.move_on_at(start_s + sent / rate):
                await self._stopped.wait()
            due = min(total, int((trio.current_time() - start_s) * rate) + 1, sent + _BURST_MAX)
            await self._send([(self._traffic.next(), start_s + n / rate) for n in range(sent, due)])
            sent = due

    async def _send_closed(self) -> None:
        """Keep so many in flight."""
        start_s = self.report.started_s = trio.current_time()
        while trio.current_time() - start_s < self._load.seconds and not self._stopped.is_set():
            room = min(self._load.in_flight - self._in_flight, _BURST_MAX)
            if room > 0:
                now_s = trio.current_time()
                await self._send([(self._traffic.next(), now_s) for _ in range(room)])
                continue
            with trio.move_on_at(start_s + self._load.seconds):
                await self._next_change()

    async def _send(self, transmissions: list[tuple[Transmission, float]]) -> None:
        """Send messages in one write, each with the moment at which it is due."""
        frames = bytearray()
        for (question, mti), intended_s in transmissions:
            frames += self._frame(question, mti)
            if mti == question.message.mti:
                self._judge.sent(question)
            self._pending[question.key] = question
            question.intended_s.append(intended_s)
            self._in_flight += 1
        try:
            with trio.fail_after(self._deadline_s):
                await self._stream.send_all(frames)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._lose("broken while sending")
        except trio.TooSlowError:
            self._lose("the issuer does not read")
        now_s = trio.current_time()
        for (_, mti), intended_s in transmissions:
            self.report.note_sent(mti, now_s - intended_s)

    def _frame(self, question: Question, mti: str) -> bytes:
        message = question.message
        if mti != message.mti:
            message = Message(message.header, mti, message.elements)
        return VISA_FRAME.frame(self._codec.encode(message))

    async def _receive(self) -> None:
        framer = Framer(VISA_FRAME, _FRAME_BYTES_MAX)
        try:
            while data := await self._stream.receive_some(_READ_BYTES):
                framer.receive(bytes(data))
                while frames := framer.frames():
                    for frame in frames:
                        if frame:  # an empty one is a keep-alive poll, which is not answered
                            self._take(frame)
                self._notify()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._lose("broken while reading")
        except PeerError as error:
            self._lose(str(error))
        else:
            self._lose("closed by the issuer")

    def _take(self, frame: bytes) -> None:
        """Match one reply by its key, and judge it."""
        now_s = trio.current_time()
        try:
            BASE1.check(frame)
            reply = self._codec.decode(frame)
        except PeerError as error:
            self.report.note_mismatch("undecodable", str(error))
            return
        question = self._pending.get(key_of(reply))
        if question is None:
            self.report.note_mismatch("unmatched", f"{reply.mti} DE11={reply.elements.get(11, 'absent')}")
            return
        mti = question.message.mti
        latency_s = now_s - question.intended_s.popleft()
        self._in_flight -= 1
        if not question.intended_s:
            del self._pending[question.key]
        answer = Answer(reply.elements.get(39, ""), reply.elements.get(38, ""))
        self.report.note_answer(mti, answer.code, latency_s)
        for fault in form_faults(question.message, mti, reply):
            self.report.note_mismatch(fault, str(question))
        for mismatch in self._judge.answered(question, answer):
            self.report.note_mismatch(*mismatch)

    async def _give_up_late(self) -> None:
        """Stop waiting for replies that are overdue."""
        while True:
            await trio.sleep(self._deadline_s / 20)
            oldest_s = trio.current_time() - self._deadline_s
            self._abandon([q for q in self._pending.values() if q.intended_s[0] < oldest_s])
            self._notify()

    def _abandon(self, questions: list[Question]) -> None:
        for question in questions:
            del self._pending[question.key]
            self._in_flight -= len(question.intended_s)
            self.report.unanswered += len(question.intended_s)
            question.intended_s.clear()
            for mismatch in self._judge.given_up(question):
                self.report.note_mismatch(*mismatch)

    async def _drain(self) -> None:
        """Wait until everything is answered or given up."""
        while self._pending:
            await self._next_change()

    async def _next_change(self) -> None:
        await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _lose(self, how: str) -> None:
        """The link is gone: nothing more can be sent or answered."""
        if not self._work.cancel_called:
            self.report.link = how
            self.report.ended_s = trio.current_time()
            self._work.cancel()
