"""The way of one transaction through the processor, in order of reading.

    admit ─▶ _begin ─▶ ask the HSM ··(1)··▶ _execute ─▶ journal ··(2)··▶ _answer

Only (1) and (2) wait, and waiting means: the next step is called when the HSM's verdicts are in, or when
the record is on disk. Between them nothing can be suspended, so nothing needs a lock. Per card, messages
execute in the order in which they were received; different cards never wait for each other.
"""

import functools
from collections import deque
from collections.abc import Callable
from typing import Protocol, assert_never

import msgspec

from processor.core.authorize import questions
from processor.core.executor import Core
from processor.values.cards import Card
from processor.values.clock import Clock
from processor.values.commands import Advise, Authorize, Command, Lapse, Reverse
from processor.values.facts import NOTHING_ASKED, Facts
from processor.values.outcome import Outcome, Reply
from processor.values.reasons import Reason
from processor.values.requests import Advice, Authorization, Reversal
from processor.values.sensitive import Evidence

_NEVER = float("inf")

Question = Authorization | Advice | Reversal


class Asker(Protocol):
    """Whoever sent a message and waits for its answer."""

    def answer(self, outcome: Outcome, flight: "Flight | None") -> None:
        """Send the answer. ``flight`` is None for an answer that was not worked out now."""
        ...


class Verifier(Protocol):
    """The HSM as the desk sees it."""

    def verify(
        self, evidence: Evidence, card: Card, *, cvv: bool, pin: bool, done: Callable[[Facts], None]
    ) -> Facts | None:
        """Ask; ``done`` is called with the verdicts. Facts are returned at once when nothing can be asked."""
        ...


class Durability(Protocol):
    """The journal as the desk sees it."""

    @property
    def low_space(self) -> bool:
        """Whether only what cannot be refused should still be written."""
        ...

    def when_durable(self, sequence: int, done: Callable[[], None]) -> None:
        """Call ``done`` once the record is on disk."""
        ...

    def flush(self) -> None:
        """Start writing what was appended since the last call: one batch for all of it."""
        ...


class DeskWitness(Protocol):
    """Whoever records what the desk is told from outside."""

    def admitted(self, flight: "Flight") -> None:
        """A question of the frame at hand will be worked out; the witness may set the flight's ``number``."""
        ...

    def unasked(self, flight: "Flight") -> None:
        """The HSM could not even be asked."""
        ...

    def verified(self, flight: "Flight", facts: Facts) -> None:
        """The HSM's verdicts are in, and about to be used."""
        ...

    def lapsed(self, flight: "Flight") -> None:
        """The deadline has passed; nothing has been done about it yet."""
        ...


class Limits(msgspec.Struct, frozen=True):
    """When to shed: questions in flight, and transactions kept in memory."""

    in_flight_max: int
    transactions_max: int


class Flight:
    """One question from admission to answer; ``askers`` are all who asked it meanwhile.

    The ``*_s`` marks are monotonic seconds at which a step began or ended, for the stage figures; ``told`` is
    for those who count: whether it has been counted and logged already, for another of its askers.
    """

    __slots__ = (
        "askers",
        "began_s",
        "deadline_s",
        "durable_s",
        "evidence",
        "executed_s",
        "lapsed",
        "number",
        "outcome",
        "received_ms",
        "received_s",
        "request",
        "told",
        "verified_s",
    )

    def __init__(
        self,
        request: Question,
        evidence: Evidence | None,
        asker: Asker,
        received_ms: int,
        received_s: float,
        deadline_s: float,
    ) -> None:
        self.request = request
        self.evidence = evidence  # dropped as soon as the HSM has been asked
        self.askers = [asker]
        self.received_ms = received_ms
        self.received_s = received_s
        self.deadline_s = deadline_s
        self.began_s = self.verified_s = self.executed_s = self.durable_s = received_s
        self.outcome: Outcome | None = None
        self.lapsed = False
        self.number = 0  # of the frame that asked first, in a trace
        self.told = False


class Desk:
    """Admits questions, sees each through, and answers it."""

    def __init__(
        self, core: Core, verifier: Verifier, journal: Durability, clock: Clock, limits: Limits
    ) -> None:
        self._core = core
        self._verifier = verifier
        self._journal = journal
        self._clock = clock
        self._limits = limits
        self.witness: DeskWitness | None = None
        self._in_flight: dict[str, Flight] = {}
        self._turns: dict[str, deque[Flight]] = {}  # a card with a message in work -> those that wait for it
        self._ready: deque[Flight] = deque()

    @property
    def in_flight(self) -> int:
        """Questions admitted and not yet answered."""
        return len(self._in_flight)

    def admit(
        self,
        request: Question,
        evidence: Evidence | None,
        asker: Asker,
        received_ms: int,
        budget_s: float | None,
    ) -> None:
        """Take a question in: it is answered from store, joins its repeat in flight, or waits for its turn.

        ``budget_s`` is how long the answer may take; None means that it can never be too late (an advice).
        """
        if (flight := self._in_flight.get(request.key)) is not None:
            if flight.request.content == request.content:
                flight.askers.append(asker)
            else:
                asker.answer(Outcome(0, Reply(Reason.DUPLICATE)), None)
            return
        # Only now: what is in flight may be decided, but its answer is not durable yet.
        if (stored := self._core.stored_answer(request)) is not None:
            asker.answer(stored, None)
            return
        if budget_s is not None and self._overloaded():
            asker.answer(Outcome(0, Reply(Reason.OVERLOADED)), None)
            return
        now_s = self._clock.monotonic_s()
        deadline_s = _NEVER if budget_s is None else now_s + budget_s
        flight = Flight(request, evidence, asker, received_ms, now_s, deadline_s)
        if self.witness is not None:
            self.witness.admitted(flight)
        self._in_flight[request.key] = flight
        if (waiting := self._turns.get(request.card)) is not None:
            waiting.append(flight)
            return
        self._turns[request.card] = deque()
        self._ready.append(flight)
        self._work()

    def settle(self) -> None:
        """End a batch: whatever it appended to the journal is written together."""
        self._journal.flush()

    def sweep(self) -> None:
        """Lapse every flight whose deadline has passed."""
        now_s = self._clock.monotonic_s()
        for key in [f.request.key for f in self._in_flight.values() if f.deadline_s <= now_s]:
            self.lapse(key)
        self.settle()

    def lapse(self, key: str) -> None:
        """The deadline of the question ``key`` has passed, if it is still in flight and this is news."""
        flight = self._in_flight.get(key)
        if flight is not None and not flight.lapsed:
            self._lapse(flight)
            self._work()  # at once: a turn that is passed on must be taken before the next one lapses

    def _overloaded(self) -> bool:
        return (
            self._journal.low_space
            or len(self._in_flight) >= self._limits.in_flight_max
            or len(self._core.state.transactions) >= self._limits.transactions_max
        )

    def _work(self) -> None:
        while self._ready:
            self._begin(self._ready.popleft())

    def _begin(self, flight: Flight) -> None:
        """The card's turn has come: find out what must be asked of the HSM."""
        flight.began_s = self._clock.monotonic_s()
        request, evidence, flight.evidence = flight.request, flight.evidence, None
        facts: Facts | None = NOTHING_ASKED
        if isinstance(request, Authorization) and evidence is not None:
            cvv, pin = questions(self._core.state, request, evidence)
            if card := self._core.state.cards.get(request.card):
                facts = Facts(card_version=card.version)
                if cvv or pin:
                    done = functools.partial(self._verified, flight)
                    facts = self._verifier.verify(evidence, card, cvv=cvv, pin=pin, done=done)
                    if facts is not None and self.witness is not None:
                        self.witness.unasked(flight)
        if facts is not None:
            self._execute(flight, facts)

    def _verified(self, flight: Flight, facts: Facts) -> None:  # (1)
        """The HSM has spoken, or its time is up; a flight that lapsed meanwhile has no use for it."""
        if not flight.lapsed:
            if self.witness is not None:
                self.witness.verified(flight, facts)
            self._execute(flight, facts)
            self._work()

    def _execute(self, flight: Flight, facts: Facts) -> None:
        """Decide, apply and append in one breath; then the card's next message may begin."""
        flight.verified_s = self._clock.monotonic_s()
        command = _command(flight.request, facts, flight.received_ms)
        flight.outcome = self._core.execute(command, self._clock.wall_ms())
        flight.executed_s = self._clock.monotonic_s()
        self._end_turn(flight)
        self._journal.when_durable(flight.outcome.sequence, functools.partial(self._answer, flight))

    def _answer(self, flight: Flight) -> None:  # (2)
        """The record is on disk. Nothing is answered late: a passed deadline takes the decision back."""
        if flight.lapsed:
            return
        flight.durable_s = self._clock.monotonic_s()
        if flight.durable_s >= flight.deadline_s:
            self._lapse(flight)
            self.settle()
            return
        self._finish(flight)

    def _lapse(self, flight: Flight) -> None:
        """The deadline has passed: take back what was decided, and answer that once it is on disk."""
        assert isinstance(flight.request, Authorization), "only requests have deadlines"
        if self.witness is not None:
            self.witness.lapsed(flight)
        flight.lapsed = True
        flight.evidence = None
        decided = flight.outcome.transaction if flight.outcome is not None else 0
        if flight.outcome is None:
            self._end_turn(flight)
        now_ms = self._clock.wall_ms()
        flight.outcome = self._core.execute(Lapse(flight.request, decided, now_ms), now_ms)
        self._journal.when_durable(flight.outcome.sequence, functools.partial(self._finish, flight))

    def _end_turn(self, flight: Flight) -> None:
        """Give the card to its next message; a flight that lapsed while it waited just leaves the queue."""
        card = flight.request.card
        waiting = self._turns[card]
        if flight.lapsed and flight in waiting:
            waiting.remove(flight)
        elif waiting:
            self._ready.append(waiting.popleft())
        else:
            del self._turns[card]

    def _finish(self, flight: Flight) -> None:
        del self._in_flight[flight.request.key]
        assert flight.outcome is not None, "an answer needs a decision"
        for asker in flight.askers:
            asker.answer(flight.outcome, flight)


def _command(request: Question, facts: Facts, received_ms: int) -> Command:
    match request:
        case Authorization():
            return Authorize(request, facts, received_ms)
        case Advice():
            return Advise(request, received_ms)
        case Reversal():
            return Reverse(request, received_ms)
        case _:
            assert_never(request)
