"""Taking in what the network decided or posted in our place. It is never declined."""

from processor.book.state import SUSPENSE, State
from processor.core.holds import Draft, account_for, bears, open_if_new, opened
from processor.values.clock import DAY_MS
from processor.values.commands import Advise
from processor.values.effects import Answered, Cause, Effect, TransactionNamed
from processor.values.outcome import Outcome, Reply, Verdict
from processor.values.reasons import Reason
from processor.values.requests import Advice, Direction


def decide(state: State, command: Advise, sequence: int, now_ms: int) -> Outcome:
    """Apply a stand-in decision to the network's part, or post what was completed or forced.

    It joins the transaction it names, whichever message came first. What no account of ours can bear, and
    what is of a type that nobody here knows, goes to suspense with an alert.
    """
    request = command.request
    effects: list[Effect] = []
    number = state.find(request.match_keys)
    if number is not None and request.known_type and bears(state, number, request):
        draft = Draft(number, state)
        account = state.transactions[number].account
        if new := tuple([key for key in request.known_by if key not in state.by_key]):
            effects.append(TransactionNamed(number, new))
        story = Verdict("original", None, (number,))
    else:
        account, effects = _account(state, request)
        names = _names(state, number, request)
        first = opened(request, sequence, account, now_ms, names, auth_code=request.auth_code)
        effects.append(first)
        draft = Draft(sequence, state, first)
        if number is not None:  # a reversal that spoke of another currency voids it all the same
            draft.issuer_void = state.transactions[number].issuer_void
            draft.network_void = state.transactions[number].network_void
        story = Verdict("original", None, ("not seen",))
    if request.direction is not Direction.NONE:
        effects += (
            _posted(draft, request, sequence) if request.financial else _stood_in(draft, request, now_ms)
        )
    reply = Reply(Reason.ACCEPTED)
    effects.append(Answered(request.key, request.content, reply))
    alerts = ("suspense",) if account.startswith(SUSPENSE) else ()
    decided = Verdict("network_decision", None, (int(request.approved), request.reason))
    return Outcome(sequence, reply, tuple(effects), (story, decided), alerts, draft.number)


def _names(state: State, number: int | None, request: Advice) -> tuple[str, ...]:
    """Its own names, and those it gives its original where that has not been seen or came to nothing."""
    if number is not None:
        transaction = state.transactions[number]
        if transaction.authorized_minor or transaction.postings:
            return request.known_by
    return tuple(dict.fromkeys(request.match_keys + request.known_by))


def _account(state: State, request: Advice) -> tuple[str, list[Effect]]:
    if request.known_type:
        return account_for(state, request)
    suspense = SUSPENSE + request.amount.currency
    return suspense, open_if_new(state, suspense, request.amount.currency)


def _posted(draft: Draft, request: Advice, sequence: int) -> list[Effect]:
    """Post the amount, even below zero, and let go of what the hold still held.

    Where a reversal of this posting came first, nothing is posted; of a single message, neither more than a
    partial reversal has left.
    """
    minor = request.amount.minor
    if draft.single_message and draft.cap_minor is not None:
        minor = min(minor, draft.cap_minor)
    draft.take_posting(sequence, request.known_by, 0 if draft.posting_void else minor)
    draft.posting_void = draft.posting_void and draft.single_message
    draft.closed = True
    return draft.effects(Cause.CLEARED)


def _stood_in(draft: Draft, request: Advice, now_ms: int) -> list[Effect]:
    """The network's decision is what counts from now on: its amount, or nothing if it declined.

    A hold that only expired is held again; one that was posted stays closed.
    """
    draft.network_minor = request.amount.minor if request.approved else 0
    draft.closed = draft.closed and draft.network_posted
    draft.expires_ms = now_ms + request.hold_days * DAY_MS
    draft.hold_class = request.hold_class
    return draft.effects(Cause.STAND_IN)
