"""Deciding a reversal: the question is what it undoes."""

from processor.book.state import State
from processor.core.holds import Draft, account_for, opened
from processor.values.commands import Reverse
from processor.values.effects import Answered, Cause, Effect
from processor.values.money import Money
from processor.values.outcome import Outcome, Reply, Verdict
from processor.values.reasons import Reason
from processor.values.requests import Original, Reversal


def decide(state: State, command: Reverse, sequence: int, now_ms: int) -> Outcome:
    """Void the parts it speaks of, cap them, or take postings back; now, or when the original comes.

    A reversal of our late answer voids our part only: the network may have decided in our place, and says so
    in an advice that may come before or after. Nothing is undone twice.
    """
    request = command.request
    effects: list[Effect] = []
    reason = Reason.ACCEPTED
    number = state.find(request.match_keys)
    if number is None:
        account, effects = account_for(state, request)
        first = opened(request, sequence, account, now_ms, request.match_keys)
        effects.append(first)
        draft = Draft(sequence, state, first)
        story: tuple[str | int, ...] = ("not seen",)
    else:
        transaction = state.transactions[number]
        draft = Draft(number, state)
        story = (number, transaction.authorized_minor, transaction.posted_minor)
    if request.original is Original.SINGLE_MESSAGE:
        draft.single_message = True
    if request.total is None:
        effects += _void(draft, request)
    elif _fits(state, number, request.total, draft):
        effects += _cap(draft, request, request.total.minor)
    else:
        effects, reason = [], Reason.INVALID_AMOUNT
    reply = Reply(reason)
    effects.append(Answered(request.key, request.content, reply))
    verdict = Verdict("original", None if reason is Reason.ACCEPTED else reason, story)
    return Outcome(sequence, reply, tuple(effects), (verdict,), transaction=draft.number)


def _void(draft: Draft, request: Reversal) -> list[Effect]:
    """Void our part, and the network's unless the reversal speaks of our answer only.

    What the network posted goes back when it posted a single message, or when the reversal names the posting;
    a posting that followed an authorization is otherwise undone by clearing.
    """
    if request.original is Original.POSTING and not request.of_late_answer:
        for posting in _named(draft, request):
            draft.set_posting(posting, 0)
        draft.posting_void = draft.posting_void or not draft.network_posted
        return draft.effects(Cause.REVERSED)
    draft.issuer_void = True
    if request.of_late_answer:
        return draft.effects(Cause.VOIDED)
    draft.network_void = True
    if draft.single_message:
        for posting in _named(draft, request):
            draft.set_posting(posting, 0)
        draft.posting_void = True
    return draft.effects(Cause.REVERSED)


def _cap(draft: Draft, request: Reversal, total_minor: int) -> list[Effect]:
    """It is for this total now, not for less by this much."""
    names_posting = request.original is Original.POSTING
    if not names_posting:
        draft.cap_minor = total_minor
    if names_posting or draft.single_message:
        for posting in _named(draft, request):
            draft.set_posting(posting, min(total_minor, abs(draft.postings[posting].minor)))
    return draft.effects(Cause.PARTLY_REVERSED)


def _named(draft: Draft, request: Reversal) -> list[int]:
    """The network's postings that a reversal names best: those with the most names in common, or all."""
    names = set(request.match_keys)
    common = {n: len(names.intersection(p.names)) for n, p in draft.postings.items() if n}
    most = max(common.values(), default=0)
    return [number for number, count in common.items() if count == most]


def _fits(state: State, number: int | None, total: Money, draft: Draft) -> bool:
    """Whether a new total is in the original's currency and not above it, as far as it is known yet."""
    if number is None:
        return True
    transaction = state.transactions[number]
    if total.currency not in {"", transaction.amount.currency}:
        return False
    known = transaction.asked or transaction.network_minor is not None or draft.network_posted
    most = max(transaction.authorized_minor, *(abs(p.minor) for p in transaction.postings.values()), 0)
    return not known or total.minor <= most
