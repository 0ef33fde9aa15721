"""Deciding an authorization: may this card spend this?"""

from collections.abc import Collection

from processor.book.state import Account, State
from processor.core.holds import Draft, bears, expired, opened
from processor.core.terms import Terms
from processor.values.cards import Card
from processor.values.clock import DAY_MS, year_month
from processor.values.commands import Authorize
from processor.values.effects import (
    Answered,
    Cause,
    Effect,
    PinTriesRestored,
    PinTrySpent,
    TransactionAsked,
)
from processor.values.facts import Check, Facts
from processor.values.outcome import Outcome, Reply, Verdict
from processor.values.reasons import Reason
from processor.values.requests import AUTH_CODE, Authorization, Direction
from processor.values.sensitive import Evidence
from rules.policy import refusal
from rules.situation import Situation


def questions(state: State, request: Authorization, evidence: Evidence) -> tuple[bool, bool]:
    """Whether to ask the HSM about the CVV and about the PIN.

    Nothing is asked for a card that is not on file, nor about the PIN of a card whose tries are exhausted.
    """
    card = state.cards.get(request.card)
    if card is None:
        return False, False
    return bool(evidence.cvv), bool(evidence.pin_block) and card.pin_tries_left > 0


def decide(state: State, terms: Terms, command: Authorize, sequence: int, now_ms: int) -> Outcome:
    """The answer with its effects and its explanation. Reads ``state`` and changes nothing.

    ``now_ms`` is the record's sequenced time. The account's due holds expire first, so that what they held
    can be spent by this very request.
    """
    request = command.request
    card = state.cards.get(request.card)
    account = state.accounts[card.account] if card is not None else None
    facts = _still_valid(command.facts, card.version if card is not None else 0)
    due = state.due_holds_of(account, now_ms) if account is not None else []
    earlier = _advised_before(state, request)
    freed = {*due, earlier} if earlier is not None else due  # what it held or posted itself does not count
    situation = _situation(state, request, facts, card, account, freed, now_ms)
    verdicts = (*_gate(state, terms, request, earlier), *terms.policy.evaluate(situation))
    reason = refusal(verdicts)
    auth_code = terms.identity.auth_code(sequence) if reason is None else ""
    effects: list[Effect] = [expired(state, number) for number in due]
    effects += _pin_tries(card, facts)
    keys = _known_by(request, auth_code)
    account_name = account.name if account is not None else ""
    if earlier is None:
        first = opened(
            request,
            sequence,
            account_name,
            now_ms,
            keys,
            auth_code=auth_code,
            asked=True,
            single_message=request.single_message,
        )
        effects.append(first)
        draft = Draft(sequence, state, first)
    else:
        effects.append(TransactionAsked(earlier, auth_code, keys))
        draft = Draft(earlier, state)
        draft.closed = draft.closed or earlier in due
    if reason is None and request.direction is not Direction.NONE:
        effects += _approved(request, draft, now_ms)
    reply = Reply(reason or Reason.APPROVED, auth_code, facts.cvv, request.cvv_kind)
    effects.append(Answered(request.key, request.content, reply))
    silent = reason is None and Check.NO_ANSWER in (facts.cvv, facts.pin)
    alerts = _unverified(facts) if silent else ()
    return Outcome(sequence, reply, tuple(effects), verdicts, alerts, draft.number)


def _unverified(facts: Facts) -> tuple[str, ...]:
    """What the policy has approved without an answer of the HSM."""
    checks = (("approved_without_cvv", facts.cvv), ("approved_without_pin", facts.pin))
    return tuple(alert for alert, check in checks if check is Check.NO_ANSWER)


def _situation(
    state: State,
    request: Authorization,
    facts: Facts,
    card: Card | None,
    account: Account | None,
    freed: Collection[int],
    now_ms: int,
) -> Situation:
    freed_minor = 0
    for number in freed:
        transaction = state.transactions[number]
        if account is not None and transaction.account == account.name:
            own_posted = transaction.posted_minor if not transaction.asked else 0
            freed_minor += transaction.remaining_minor + own_posted
    today = state.used_on(request.card, now_ms // DAY_MS)
    return Situation(
        request=request,
        facts=facts,
        card=card,
        currency=account.currency if account is not None else "",
        available_minor=account.available_minor + freed_minor if account is not None else 0,
        today_count=today.count,
        today_minor=today.minor,
        month=year_month(now_ms),
    )


def _advised_before(state: State, request: Authorization) -> int | None:
    """The transaction that an advice or a reversal opened for this request before it came.

    One that cannot bear the request (it is in another currency, say) is joined only to be refused.
    """
    for key in request.match_keys:
        number = state.by_key.get(key)
        if number is None or (transaction := state.transactions[number]).asked:
            continue
        card = state.cards.get(request.card)
        same_account = card is not None and transaction.account == card.account
        if transaction.issuer_void or (same_account and bears(state, number, request)):
            return number
    return None


def _pin_tries(card: Card | None, facts: Facts) -> list[Effect]:
    if card is None or card.pin_tries_left <= 0:
        return []
    if facts.pin is Check.FAILED:
        return [PinTrySpent(card.token)]
    if facts.pin is Check.PASSED and card.pin_tries_left < card.pin_tries_max:
        return [PinTriesRestored(card.token)]
    return []


def _approved(request: Authorization, draft: Draft, now_ms: int) -> list[Effect]:
    """Our part of the authorization: held until it is posted, or posted at once as a single message."""
    draft.single_message = draft.single_message or request.single_message
    draft.issuer_minor = request.amount.minor
    if draft.network_minor is None:
        draft.expires_ms = now_ms + request.hold_days * DAY_MS
        draft.hold_class = request.hold_class
    return draft.effects(Cause.AUTHORIZED)


def _still_valid(facts: Facts, card_version: int) -> Facts:
    """Facts are about the card as it was when the HSM was asked; of a card that changed they say nothing."""
    if facts.card_version == card_version:
        return facts
    return Facts(
        cvv=facts.cvv if facts.cvv is Check.NOT_ASKED else Check.NO_ANSWER,
        pin=facts.pin if facts.pin is Check.NOT_ASKED else Check.NO_ANSWER,
        card_version=card_version,
    )


def _gate(state: State, terms: Terms, request: Authorization, earlier: int | None) -> tuple[Verdict, ...]:
    """What comes before any policy: the network is signed on, and no reversal came first."""
    verdicts = []
    if not state.signed_on.get(request.network, request.network in terms.before_sign_on):
        verdicts.append(Verdict("signed_on", Reason.SIGNED_OFF))
    if earlier is not None and state.transactions[earlier].issuer_void:
        verdicts.append(Verdict("not_reversed_before", Reason.ALREADY_REVERSED, (earlier,)))
    return tuple(verdicts)


def _known_by(request: Authorization, auth_code: str) -> tuple[str, ...]:
    """The names of the transaction; a declined one has no DE 38 to be found by."""
    return tuple(
        [key.replace(AUTH_CODE, auth_code) for key in request.match_keys if auth_code or AUTH_CODE not in key]
    )
