"""Holds whose time has come."""

from processor.book.state import State
from processor.core.holds import expired
from processor.values.commands import ExpireHolds
from processor.values.outcome import Outcome, Reply
from processor.values.reasons import Reason


def decide(state: State, command: ExpireHolds, sequence: int, now_ms: int) -> Outcome:
    """Release the holds that are due, earliest first, at most the command's limit."""
    effects = tuple([expired(state, number) for number in state.due_holds(now_ms, command.limit)])
    return Outcome(sequence, Reply(Reason.ACCEPTED), effects)
