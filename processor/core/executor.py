"""The sequenced core: every change of state passes through ``execute``, one at a time, in one breath."""

from collections.abc import Callable
from typing import Protocol, assert_never

from processor.book.state import Answer, State
from processor.core import administer, advise, authorize, expire, reverse
from processor.core.terms import Terms
from processor.values.commands import (
    Advise,
    Authorize,
    Command,
    ExpireHolds,
    IssueCard,
    Lapse,
    Record,
    Reverse,
    Sign,
)
from processor.values.outcome import Outcome, Reply
from processor.values.reasons import Reason
from processor.values.requests import Request

LOGIC = 1  # grows when equal commands on equal states may get other answers


class CoreWitness(Protocol):
    """Whoever records what the core reads and decides."""

    def decided(self, command: Command, outcome: Outcome, sequenced_ms: int) -> None:
        """A command was decided; its effects are not applied yet."""
        ...

    def answered_before(self, key: str, answer: Answer) -> None:
        """A stored answer was looked at."""
        ...


class Core:
    """Decides, applies, records. ``append`` receives each record in sequence order and must not fail."""

    def __init__(self, state: State, terms: Terms, append: Callable[[Record], None]) -> None:
        self.state = state
        self.witness: CoreWitness | None = None
        self._terms = terms
        self._append = append

    def signed_on(self, network: str) -> bool:
        """Whether a network is signed on, or is served without."""
        return self.state.signed_on.get(network, network in self._terms.before_sign_on)

    def stored_answer(self, request: Request) -> Outcome | None:
        """The answer to a question that was answered before, or None.

        The same key with other content is a duplicate: it gets no stored answer and moves no money.
        """
        answer = self.state.answers.get(request.key)
        if answer is None:
            return None
        if self.witness is not None:
            self.witness.answered_before(request.key, answer)
        if answer.content != request.content:
            return Outcome(0, Reply(Reason.DUPLICATE))
        return Outcome(0, answer.reply)

    def execute(self, command: Command, now_ms: int) -> Outcome:
        """Decide the command, apply its effects and append its record; nothing in here can be suspended.

        ``now_ms`` is wall time; the record's ``sequenced_ms`` never runs backwards.
        """
        state = self.state
        sequence, sequenced_ms = state.sequence + 1, max(state.sequenced_ms, now_ms)
        outcome = decide(state, self._terms, command, sequence, sequenced_ms)
        if self.witness is not None:
            self.witness.decided(command, outcome, sequenced_ms)
        # After this point the command must succeed: it is applied and recorded as one.
        record = Record(sequence, sequenced_ms, LOGIC, command, outcome.effects, outcome.verdicts)
        redo(state, record)
        self._append(record)
        return outcome


def redo(state: State, record: Record) -> None:
    """Apply a record's effects: the one way in which state moves on, live and in recovery."""
    assert record.sequence == state.sequence + 1, "records are applied in sequence, without a gap"
    for effect in record.effects:
        state.apply(effect)
    state.sequence, state.sequenced_ms = record.sequence, record.sequenced_ms


def decide(  # noqa: PLR0911 - one for each command
    state: State, terms: Terms, command: Command, sequence: int, now_ms: int
) -> Outcome:
    """The outcome of a command; reads the state and nothing else."""
    match command:
        case Authorize():
            return authorize.decide(state, terms, command, sequence, now_ms)
        case Reverse():
            return reverse.decide(state, command, sequence, now_ms)
        case Advise():
            return advise.decide(state, command, sequence, now_ms)
        case Lapse():
            return administer.lapse(state, command, sequence)
        case ExpireHolds():
            return expire.decide(state, command, sequence, now_ms)
        case Sign():
            return administer.sign(command, sequence)
        case IssueCard():
            return administer.issue_card(state, command, sequence)
        case _:
            assert_never(command)
