"""Deciding an authorization: may this card spend this?"""

from processor.book.state import State
from processor.core.expire import release
from processor.core.terms import Terms
from processor.values.clock import DAY_MS, year_month
from processor.values.commands import Authorize
from processor.values.effects import (
    Answered,
    Effect,
    Ending,
    HoldPlaced,
    PinTriesRestored,
    PinTrySpent,
    TransactionEnded,
    TransactionOpened,
)
from processor.values.facts import Check, Facts
from processor.values.outcome import Outcome, Reply, Verdict
from processor.values.reasons import Reason
from processor.values.requests import AUTH_CODE, Authorization
from processor.values.sensitive import Evidence
from rules.policy import refusal
from rules.situation import Situation

# DE 3, positions 1-2: debits that place a hold. Other types are refused until they are served.
DEBITS = frozenset({"00", "01", "09", "11", "17", "18"})


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
    effects: list[Effect] = []
    available = 0
    if account is not None:
        due = state.due_holds_of(account, now_ms)
        effects += release(state, due, Ending.EXPIRED)
        available = account.available_minor + sum(state.holds[t].amount.minor for t in due)
    verdicts = (
        *_gate(state, terms, request),
        *terms.policy.evaluate(
            Situation(
                request=request,
                facts=facts,
                card=card,
                currency=account.currency if account is not None else "",
                available_minor=available,
                month=year_month(now_ms),
            )
        ),
    )
    reason = refusal(verdicts)
    auth_code = terms.identity.auth_code(sequence) if reason is None else ""
    if card is not None:
        if facts.pin is Check.FAILED and card.pin_tries_left > 0:
            effects.append(PinTrySpent(card.token))
        elif facts.pin is Check.PASSED and 0 < card.pin_tries_left < card.pin_tries_max:
            effects.append(PinTriesRestored(card.token))
    effects.append(_opened(request, sequence, auth_code, card.account if card is not None else ""))
    if reason is not None:
        effects.append(TransactionEnded(sequence, Ending.DECLINED))
    elif request.amount.minor > 0:
        assert card is not None, "the policy refuses unknown cards"
        expires_ms = now_ms + request.hold_days * DAY_MS
        effects.append(HoldPlaced(sequence, card.account, request.amount, expires_ms, request.hold_class))
    reply = Reply(reason or Reason.APPROVED, auth_code, facts.cvv, request.cvv_kind)
    effects.append(Answered(request.key, request.content, reply))
    return Outcome(sequence, reply, tuple(effects), verdicts)


def _still_valid(facts: Facts, card_version: int) -> Facts:
    """Facts are about the card as it was when the HSM was asked; of a card that changed they say nothing."""
    if facts.card_version == card_version:
        return facts
    return Facts(
        cvv=facts.cvv if facts.cvv is Check.NOT_ASKED else Check.NO_ANSWER,
        pin=facts.pin if facts.pin is Check.NOT_ASKED else Check.NO_ANSWER,
        card_version=card_version,
    )


def _gate(state: State, terms: Terms, request: Authorization) -> tuple[Verdict, ...]:
    """What comes before any policy: the network is signed on, the type is served, no reversal came first."""
    verdicts = []
    if not state.signed_on.get(request.network, request.network in terms.before_sign_on):
        verdicts.append(Verdict("signed_on", Reason.SIGNED_OFF))
    if request.processing_code[:2] not in DEBITS:
        verdicts.append(
            Verdict("transaction_type", Reason.UNSUPPORTED_TRANSACTION, (request.processing_code,))
        )
    parked = [state.parked[key] for key in request.match_keys if key in state.parked]
    if parked:
        verdicts.append(Verdict("not_reversed_before", Reason.ALREADY_REVERSED, (parked[0],)))
    return tuple(verdicts)


def _opened(request: Authorization, sequence: int, auth_code: str, account: str) -> TransactionOpened:
    """A declined transaction has no DE 38 to be found by."""
    keys = tuple(
        [key.replace(AUTH_CODE, auth_code) for key in request.match_keys if auth_code or AUTH_CODE not in key]
    )
    return TransactionOpened(
        sequence, request.network, request.card, account, request.amount, auth_code, request.rrn, keys
    )
