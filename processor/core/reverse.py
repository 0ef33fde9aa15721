"""Deciding a reversal: it is always accepted; the question is what it undoes."""

from processor.book.state import State
from processor.core.expire import release
from processor.values.commands import Reverse
from processor.values.effects import Answered, Effect, Ending, ReversalParked, TransactionEnded
from processor.values.outcome import Outcome, Reply, Verdict
from processor.values.reasons import Reason


def decide(state: State, command: Reverse, sequence: int) -> Outcome:
    """Release the original's hold, or park the reversal until the original comes.

    An original that was declined, expired or reversed before has nothing left to undo.
    """
    request = command.request
    effects: list[Effect] = []
    number = next((state.by_key[key] for key in request.match_keys if key in state.by_key), None)
    if number is None:
        story = Verdict("original", None, ("not seen, parked",))
        effects.append(ReversalParked(request.match_keys, sequence))
    elif (ending := state.transactions[number].ending) is not None:
        story = Verdict("original", None, (number, ending.value))
    elif number in state.holds:
        story = Verdict("original", None, (number, "hold released"))
        effects += release(state, (number,), Ending.REVERSED)
    else:  # nothing was held: an approval of amount zero
        story = Verdict("original", None, (number, "nothing held"))
        effects.append(TransactionEnded(number, Ending.REVERSED))
    reply = Reply(Reason.ACCEPTED)
    effects.append(Answered(request.key, request.content, reply))
    return Outcome(sequence, reply, tuple(effects), (story,))
