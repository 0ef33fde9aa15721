"""Holds whose time has come."""

from collections.abc import Iterable

from processor.book.state import State
from processor.values.commands import ExpireHolds
from processor.values.effects import Effect, Ending, HoldReleased, TransactionEnded
from processor.values.outcome import Outcome, Reply
from processor.values.reasons import Reason


def release(state: State, transactions: Iterable[int], ending: Ending) -> list[Effect]:
    """Release what is left of each hold and end its transaction."""
    effects: list[Effect] = []
    for number in transactions:
        hold = state.holds[number]
        effects.append(HoldReleased(number, hold.account, hold.amount, ending))
        effects.append(TransactionEnded(number, ending))
    return effects


def decide(state: State, command: ExpireHolds, sequence: int, now_ms: int) -> Outcome:
    """Release the holds that are due, earliest first, at most the command's limit."""
    effects = release(state, state.due_holds(now_ms, command.limit), Ending.EXPIRED)
    return Outcome(sequence, Reply(Reason.ACCEPTED), tuple(effects))
