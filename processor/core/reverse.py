"""Deciding a reversal: the question is what it undoes."""

from processor.book.state import State, Transaction
from processor.core.holds import Hold, account_for, unpost
from processor.values.clock import DAY_MS
from processor.values.commands import Reverse
from processor.values.effects import Answered, Cause, Effect, TransactionOpened
from processor.values.outcome import Outcome, Reply, Verdict
from processor.values.reasons import Reason
from processor.values.requests import Reversal


def decide(state: State, command: Reverse, sequence: int, now_ms: int) -> Outcome:
    """Void the parts it speaks of; or remember to, when the original has not been seen.

    A reversal of our late answer voids our part only: the network may have decided in our place, and says so
    in an advice that may come before or after. Nothing is undone twice.
    """
    request = command.request
    reason = Reason.ACCEPTED
    number = state.find(request.match_keys)
    if number is None:
        effects = _park(state, request, sequence, now_ms)
        story: tuple[str | int, ...] = ("not seen, parked",)
    else:
        transaction = state.transactions[number]
        if request.total is not None and not _fits(request, transaction):
            effects, reason = [], Reason.INVALID_AMOUNT
        elif request.total is not None:
            effects = _reduce(number, transaction, request.total.minor)
        else:
            effects = _void(number, transaction, request)
        story = (number, transaction.authorized_minor, transaction.cleared_minor)
    reply = Reply(reason)
    effects.append(Answered(request.key, request.content, reply))
    verdict = Verdict("original", None if reason is Reason.ACCEPTED else reason, story)
    return Outcome(sequence, reply, tuple(effects), (verdict,))


def _park(state: State, request: Reversal, sequence: int, now_ms: int) -> list[Effect]:
    """Open the transaction with its parts void, so that its original takes no hold when it comes."""
    account, effects = account_for(state, request)
    hold = Hold(None)
    hold.issuer_void, hold.network_void = True, not request.of_late_answer
    opened = TransactionOpened(
        transaction=sequence,
        network=request.network,
        card=request.card,
        account=account,
        amount=request.amount,
        auth_code="",
        rrn=request.rrn,
        keys=request.match_keys,
        asked=False,
        single_message=False,
        day=now_ms // DAY_MS,
    )
    return [*effects, opened, hold.effect(sequence, Cause.REVERSED)]


def _fits(request: Reversal, transaction: Transaction) -> bool:
    """Whether the new total is one of the same currency and not above what was authorized."""
    total = request.total
    assert total is not None, "a partial reversal has a total"
    limit = max(transaction.authorized_minor, abs(transaction.posted_minor))
    return total.currency == transaction.amount.currency and total.minor <= limit


def _reduce(number: int, transaction: Transaction, total_minor: int) -> list[Effect]:
    """The authorization is for this total now, not for less by this much."""
    hold = Hold(transaction)
    if hold.network_minor is not None:
        hold.network_minor = total_minor
    else:
        hold.issuer_minor = total_minor
    effects: list[Effect] = []
    if transaction.single_message:
        effects += unpost(number, transaction, keep_minor=total_minor)
        hold.cleared_minor = min(hold.cleared_minor, total_minor)
    return [*effects, hold.effect(number, Cause.PARTLY_REVERSED)]


def _void(number: int, transaction: Transaction, request: Reversal) -> list[Effect]:
    """Void our part, and the network's unless the reversal speaks of our answer only.

    What was posted is given back when it was posted as it was authorized, or when the reversal names the
    posting itself; a posting that followed an authorization is otherwise undone by clearing.
    """
    hold = Hold(transaction)
    hold.issuer_void = True
    hold.network_void = hold.network_void or not request.of_late_answer
    effects: list[Effect] = []
    ours_alone = transaction.network_minor is None
    posting_goes = transaction.single_message or request.of_posting
    if posting_goes and (not request.of_late_answer or ours_alone):
        effects += unpost(number, transaction)
        hold.cleared_minor = 0 if transaction.single_message else hold.cleared_minor
    if (hold.issuer_void, hold.network_void) != (transaction.issuer_void, transaction.network_void):
        effects.append(hold.effect(number, Cause.VOIDED if request.of_late_answer else Cause.REVERSED))
    return effects
