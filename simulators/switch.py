"""A network's switch on one or several links: signs on, asks, matches replies by key, signs off.

Two kinds of load. Open: every message has a moment at which it is due, and its latency counts from there, so
that a stall of the processor shows. Closed: so many are in flight, and a new one leaves when a reply comes.

Links are used in turn, but messages of one card stay on one link while any of them is unanswered: the order
in which a card's messages arrive is then the order in which they left.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import trio

from processor.iso8583.message import Message
from processor.values.errors import PeerError, WorldError
from simulators.form import form_faults
from simulators.judge import Judge
from simulators.links import Link, LinkLost, Waiting
from simulators.question import Answer, Transmission
from simulators.report import Report
from simulators.traffic import Traffic

DEADLINE_S = 10.0
"""How long a reply may take: the network's own timer."""

_BURST_MAX = 256  # messages made in one go; between bursts replies are read

Due = tuple[Transmission, float]


class Load(NamedTuple):
    """How much: messages a second (open loop) or messages in flight (closed loop); the other is 0."""

    rate: float
    in_flight: int
    seconds: float

    @property
    def name(self) -> str:
        """Which kind of loop it is."""
        return f"open loop at {self.rate:g}/s" if self.rate else f"closed loop, {self.in_flight} in flight"


class _Route:
    """The link that a card's messages take now, and how many of them are unanswered."""

    __slots__ = ("link", "unanswered")

    def __init__(self, link: Link) -> None:
        self.link = link
        self.unanswered = 0


class Switch:
    """Drives its streams. ``stop`` ends the traffic early: it waits for the replies and signs off.

    ``signs`` False: the issuer signs on and off itself; its sign-off ends the traffic.
    """

    def __init__(
        self,
        streams: Sequence[trio.abc.Stream],
        traffic: Traffic,
        judge: Judge,
        load: Load,
        *,
        deadline_s: float = DEADLINE_S,
        signs: bool = True,
    ) -> None:
        links = f", {len(streams)} links" if len(streams) > 1 else ""
        self.report = Report(load.name + links, trio.current_time())
        self._network = traffic.network
        self._links = [Link(traffic.network, stream) for stream in streams]
        self._turn = itertools.cycle(self._links)
        self._routes: dict[str, _Route] = {}
        self._traffic = traffic
        self._judge = judge
        self._load = load
        self._deadline_s = deadline_s
        self._signs = signs
        self._issuer_is_on = trio.Event()
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
                for link in self._links:
                    nursery.start_soon(self._receive, link)
                nursery.start_soon(self._give_up_late)
                refused = not await self._begun()
                if not refused:
                    await (self._send_open() if self._load.rate else self._send_closed())
                    await self._drain()
                    self.report.ended_s = trio.current_time()
                    if self._signs:
                        await self._signed(self._network.sign_off)
            nursery.cancel_scope.cancel()
        self._abandon([waiting for link in self._links for waiting in link.overdue(float("inf"))])
        if refused and not self.report.link:
            raise WorldError(
                "the issuer did not answer our sign-on with 00"
                if self._signs
                else "the issuer did not sign on"
            )

    def stop(self) -> None:
        """End the traffic now. A write that has begun is finished: half a frame would lose the link."""
        self._stopped.set()
        self._notify()

    async def _begun(self) -> bool:
        """Whether the issuer is signed on: by us, or by itself in time."""
        if self._signs:
            return await self._signed(self._network.sign_on)
        with trio.move_on_after(self._deadline_s):
            await self._issuer_is_on.wait()
        return self._issuer_is_on.is_set()

    async def _signed(self, code: str) -> bool:
        sign = self._traffic.signal(code)
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
                await self._changed.wait()

    async def _send(self, dues: list[Due]) -> None:
        """Send each message on the link of its turn, in one write for each link."""
        writes: dict[Link, list[Due]] = {}
        for due in dues:
            question, mti = due[0]
            if mti == question.message.mti:
                self._judge.sent(question)
            writes.setdefault(self._link_for(question.pan), []).append(due)
        self._in_flight += len(dues)
        try:
            for link, written in writes.items():
                await link.send(written, self._deadline_s)
        except LinkLost as lost:
            self._lose(lost)
        now_s = trio.current_time()
        for (_, mti), intended_s in dues:
            self.report.note_sent(mti, now_s - intended_s)

    def _link_for(self, pan: str) -> Link:
        """The next link, unless one has unanswered messages of this card."""
        if not pan:
            return next(self._turn)
        route = self._routes.get(pan)
        if route is None:
            route = self._routes[pan] = _Route(next(self._turn))
        route.unanswered += 1
        return route.link

    def _settled(self, pan: str, copies: int) -> None:
        """So many messages of a card are unanswered no more."""
        self._in_flight -= copies
        if not pan:
            return
        route = self._routes[pan]
        route.unanswered -= copies
        if not route.unanswered:
            del self._routes[pan]

    async def _receive(self, link: Link) -> None:
        try:
            while True:
                for frame in await link.receive():
                    asked = self._take(link, frame)
                    if asked is not None:
                        await link.accept(asked, self._deadline_s)
                        self._heed(asked)
                self._notify()
        except LinkLost as lost:
            self._lose(lost)

    def _heed(self, asked: Message) -> None:
        """What the issuer asks of its own accord: echoes, sign-on, sign-off, stored advices."""
        code = asked.elements.get(70, "")
        if code == self._network.sign_on:
            self._issuer_is_on.set()
        elif code == self._network.sign_off:
            self.stop()

    def _take(self, link: Link, frame: bytes) -> Message | None:
        """Match one reply by its key, and judge it; what is no reply is given back, to be answered."""
        now_s = trio.current_time()
        try:
            reply = link.decode(frame)
        except PeerError as error:
            self.report.note_mismatch("undecodable", str(error))
            return None
        if reply.mti == "0800":
            return reply
        match = link.matched(reply)
        if match is None:
            self.report.note_mismatch("unmatched", _unmatched(link, reply))
            return None
        question, intended_s = match
        self._settled(question.pan, 1)
        answer = Answer(reply.elements.get(39, ""), reply.elements.get(38, ""))
        self.report.note_answer(question.message.mti, answer.code, now_s - intended_s)
        known = self._judge.knows(question.pan)
        for fault in form_faults(self._network, question, reply, known=known):
            self.report.note_mismatch(fault, str(question))
        for mismatch in self._judge.answered(question, answer):
            self.report.note_mismatch(*mismatch)
        return None

    async def _give_up_late(self) -> None:
        """Stop waiting for replies that are overdue."""
        while True:
            await trio.sleep(self._deadline_s / 20)
            oldest_s = trio.current_time() - self._deadline_s
            self._abandon([waiting for link in self._links for waiting in link.overdue(oldest_s)])
            self._notify()

    def _abandon(self, late: list[Waiting]) -> None:
        for question, copies in ((waiting.question, len(waiting.intended_s)) for waiting in late):
            self._settled(question.pan, copies)
            self.report.unanswered += copies
            for mismatch in self._judge.given_up(question):
                self.report.note_mismatch(*mismatch)

    async def _drain(self) -> None:
        """Wait until everything is answered or given up."""
        while self._in_flight:
            await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _lose(self, lost: LinkLost) -> None:
        """Without one of its links the switch cannot tell what would have been answered there: it ends."""
        if not self._work.cancel_called:
            self.report.link = str(lost)
            self.report.ended_s = trio.current_time()
            self._work.cancel()


def _unmatched(link: Link, reply: Message) -> str:
    return f"{reply.mti} DE11={reply.elements.get(11, 'absent')}: {link.unlike(reply)}"
