"""Taking in what the network decided or posted in our place. It is never declined."""

from processor.book.state import SUSPENSE, State
from processor.core.holds import Hold, account_for, post, unpost
from processor.values.clock import DAY_MS
from processor.values.commands import Advise
from processor.values.effects import Answered, Cause, Effect, TransactionOpened
from processor.values.outcome import Outcome, Reply, Verdict
from processor.values.reasons import Reason
from processor.values.requests import Advice, Direction


def decide(state: State, command: Advise, sequence: int, now_ms: int) -> Outcome:
    """Apply a stand-in decision to the hold's network part, or post what was completed or forced.

    It joins the transaction it names, whichever message came first. What no account of ours can bear goes to
    suspense with an alert.
    """
    request = command.request
    effects: list[Effect] = []
    number = state.find(request.match_keys)
    if number is not None and _bears(state, number, request):
        account = state.transactions[number].account
        hold = Hold(state.transactions[number])
        story = Verdict("original", None, (number,))
    else:
        account, effects = account_for(state, request)
        number, hold = sequence, Hold(None)
        effects.append(_opened(request, sequence, account, now_ms))
        story = Verdict("original", None, ("not seen",))
    if request.financial:
        effects += _posted(state, number, account, request, hold)
    elif request.direction is Direction.DEBIT:
        effects.append(_stood_in(number, request, hold, now_ms))
    reply = Reply(Reason.ACCEPTED)
    effects.append(Answered(request.key, request.content, reply))
    alerts = ("suspense",) if account.startswith(SUSPENSE) else ()
    decided = Verdict("network_decision", None, (int(request.approved), request.reason))
    return Outcome(sequence, reply, tuple(effects), (story, decided), alerts)


def _bears(state: State, number: int, request: Advice) -> bool:
    """Whether the transaction's account is in the advice's currency."""
    account = state.accounts.get(state.transactions[number].account)
    return account is not None and account.currency == request.amount.currency


def _opened(request: Advice, sequence: int, account: str, now_ms: int) -> TransactionOpened:
    return TransactionOpened(
        transaction=sequence,
        network=request.network,
        card=request.card,
        account=account,
        amount=request.amount,
        auth_code=request.auth_code,
        rrn=request.rrn,
        keys=request.known_by,
        asked=False,
        single_message=request.financial,
        day=now_ms // DAY_MS,
    )


def _posted(state: State, number: int, account: str, request: Advice, hold: Hold) -> list[Effect]:
    """Post the amount, even below zero, and let go of what the hold still held.

    Where we were asked to post this very transaction (0200), the network has done so in our place: what it
    posted replaces what we did.
    """
    effects: list[Effect] = []
    debit_minor = request.amount.minor if request.direction is Direction.DEBIT else 0
    transaction = state.transactions.get(number)
    if transaction and transaction.single_message and transaction.asked and hold.network_minor is None:
        effects += unpost(number, transaction)
        hold.network_minor, hold.cleared_minor = debit_minor, 0
    effects += post(state, number, account, request.amount, request.direction)
    hold.cleared_minor += debit_minor
    hold.closed = True
    return [*effects, hold.effect(number, Cause.CLEARED)]


def _stood_in(number: int, request: Advice, hold: Hold, now_ms: int) -> Effect:
    """The network's decision is what counts from now on: its amount, or nothing if it declined.

    A hold that only expired is held again; one that was cleared stays closed.
    """
    hold.network_minor = request.amount.minor if request.approved else 0
    hold.closed = hold.closed and hold.cleared_minor > 0
    hold.expires_ms = now_ms + request.hold_days * DAY_MS
    hold.hold_class = request.hold_class
    return hold.effect(number, Cause.STAND_IN)
