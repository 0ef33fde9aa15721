"""The kinds of rules a policy can name: one function per kind, made from the row's parameters.

A rule returns a Verdict, or None where it does not apply (a PIN rule on a message that needs no PIN). A card
that is not on file is refused by ``card_known`` alone: the other rules have nothing to look at.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from processor.values.cards import CardStatus
from processor.values.facts import Check
from processor.values.money import Money
from processor.values.outcome import Verdict
from processor.values.reasons import Reason
from processor.values.requests import CvvKind, Direction
from rules.situation import Situation

Rule = Callable[[Situation], Verdict | None]


class CardKnown(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="card_known", tag_field="rule"):
    """The card is on file."""

    def compile(self) -> Rule:
        """Refuse ``unknown_card``."""
        passed, refused = Verdict("card_known", None), Verdict("card_known", Reason.UNKNOWN_CARD)
        return lambda s: passed if s.card is not None else refused


class CardActive(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="card_active", tag_field="rule"
):
    """The card's status allows use."""

    def compile(self) -> Rule:
        """Refuse ``inactive_card``."""

        def rule(s: Situation) -> Verdict | None:
            if s.card is None:
                return None
            reason = None if s.card.status is CardStatus.ACTIVE else Reason.INACTIVE_CARD
            return Verdict("card_active", reason, (s.card.status.value,))

        return rule


class NotExpired(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="not_expired", tag_field="rule"
):
    """The card is within its expiry month, and the message names the same month if it names one.

    ``compare`` false leaves out the second: for simulators that make up their cards' expiry.
    """

    compare: bool = True

    def compile(self) -> Rule:
        """Refuse ``expired_card`` or ``expiry_mismatch``."""
        compare = self.compare

        def rule(s: Situation) -> Verdict | None:
            if s.card is None:
                return None
            reason = None
            if s.card.expiry < s.month:
                reason = Reason.EXPIRED_CARD
            elif compare and s.request.expiry and s.request.expiry != s.card.expiry:
                reason = Reason.EXPIRY_MISMATCH
            return Verdict("not_expired", reason, (s.card.expiry, s.request.expiry, s.month))

        return rule


class WithoutAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What passes although the HSM gave no answer: up to ``max_minor`` minor units of ``currency``.

    An approval of that kind is an alert. Without this parameter nothing passes.
    """

    currency: str
    max_minor: int

    def covers(self, amount: Money) -> bool:
        """Whether the amount is small enough."""
        return amount.currency == self.currency and amount.minor <= self.max_minor


class Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="pin", tag_field="rule"):
    """The PIN is right when there is one, and there is one where it is required.

    ``required_processing_codes`` are the first two digits of DE 3 that may not go without, such as cash.
    """

    required_processing_codes: frozenset[str] = frozenset()
    without_answer: WithoutAnswer | msgspec.UnsetType = msgspec.UNSET

    def compile(self) -> Rule:
        """Refuse by PIN; exhausted tries come before whatever the HSM said."""
        required, spared = self.required_processing_codes, self.without_answer

        def rule(s: Situation) -> Verdict | None:
            card, request, pin = s.card, s.request, s.facts.pin
            if card is None:
                return None
            if not request.pin_present:
                if request.processing_code[:2] in required:
                    return Verdict("pin", Reason.PIN_MISSING, (request.processing_code,))
                return None
            if card.pin_tries_left <= 0:
                return Verdict("pin", Reason.PIN_TRIES_EXCEEDED, (0,))
            reason = None if _spares(spared, pin, request.amount) else _PIN_REASONS[pin]
            return Verdict("pin", reason, (pin.value, card.pin_tries_left))

        return rule


# A PIN that was sent and not asked about is as unverified as one the HSM was silent on.
_PIN_REASONS = {
    Check.PASSED: None,
    Check.FAILED: Reason.INCORRECT_PIN,
    Check.NOT_ASKED: Reason.VERIFICATION_UNAVAILABLE,
    Check.NO_ANSWER: Reason.VERIFICATION_UNAVAILABLE,
}


class Cvv(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="cvv", tag_field="rule"):
    """The card verification value is right when there is one, and there is one where it is required.

    ``required_entry_modes`` are positions 1-2 of DE 22 whose messages may not go without.
    """

    required_entry_modes: frozenset[str] = frozenset()
    without_answer: WithoutAnswer | msgspec.UnsetType = msgspec.UNSET

    def compile(self) -> Rule:
        """Refuse by CVV, iCVV or CVV2."""
        required, spared = self.required_entry_modes, self.without_answer

        def rule(s: Situation) -> Verdict | None:
            if s.card is None:
                return None
            kind, cvv = s.request.cvv_kind, s.facts.cvv
            if kind is CvvKind.NONE:
                if s.request.entry_mode in required:
                    return Verdict("cvv", Reason.CVV_MISSING, (s.request.entry_mode,))
                return None
            reason = None
            if cvv is Check.FAILED:
                reason = Reason.CVV2_FAILED if kind is CvvKind.CVV2 else Reason.CVV_FAILED
            elif cvv is not Check.PASSED and not _spares(spared, cvv, s.request.amount):
                reason = Reason.VERIFICATION_UNAVAILABLE
            return Verdict("cvv", reason, (kind.value, cvv.value))

        return rule


class AmountLimit(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="amount_limit", tag_field="rule"
):
    """One debit may not be larger than ``max_minor``, minor units of the account's ``currency``."""

    currency: str
    max_minor: int

    def compile(self) -> Rule:
        """Refuse ``amount_limit``."""
        currency, max_minor = self.currency, self.max_minor

        def rule(s: Situation) -> Verdict | None:
            amount = s.request.amount
            if s.card is None or not _debits(s) or amount.currency != currency:
                return None
            reason = Reason.AMOUNT_LIMIT if amount.minor > max_minor else None
            return Verdict("amount_limit", reason, (amount.minor, max_minor))

        return rule


class DailyAmount(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="daily_amount", tag_field="rule"
):
    """A card's debits of one UTC day may not come to more than ``max_minor`` of ``currency``."""

    currency: str
    max_minor: int

    def compile(self) -> Rule:
        """Refuse ``amount_limit``."""
        currency, max_minor = self.currency, self.max_minor

        def rule(s: Situation) -> Verdict | None:
            amount = s.request.amount
            if s.card is None or not _debits(s) or amount.currency != currency:
                return None
            reason = Reason.AMOUNT_LIMIT if s.today_minor + amount.minor > max_minor else None
            return Verdict("daily_amount", reason, (s.today_minor, amount.minor, max_minor))

        return rule


class DailyCount(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="daily_count", tag_field="rule"
):
    """A card may not have more than ``max_count`` debits on one UTC day."""

    max_count: int

    def compile(self) -> Rule:
        """Refuse ``count_limit``."""
        max_count = self.max_count

        def rule(s: Situation) -> Verdict | None:
            if s.card is None or not _debits(s):
                return None
            reason = Reason.COUNT_LIMIT if s.today_count >= max_count else None
            return Verdict("daily_count", reason, (s.today_count, max_count))

        return rule


class Funds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="funds", tag_field="rule"):
    """The account holds the currency and, for a debit, can pay the amount."""

    def compile(self) -> Rule:
        """Refuse ``currency_not_held`` or ``insufficient_funds``."""

        def rule(s: Situation) -> Verdict | None:
            if s.card is None:
                return None
            amount = s.request.amount
            if amount.currency != s.currency:
                return Verdict("funds", Reason.CURRENCY_NOT_HELD, (amount.currency, s.currency))
            if not _debits(s):
                return None
            reason = Reason.INSUFFICIENT_FUNDS if amount.minor > s.available_minor else None
            return Verdict("funds", reason, (amount.minor, s.available_minor))

        return rule


class BlockedMerchants(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="blocked_merchants", tag_field="rule"
):
    """No business with these merchant categories (DE 18)."""

    categories: frozenset[str]
    if_missing: Literal["refuse", "pass"] = "refuse"

    def compile(self) -> Rule:
        """Refuse ``blocked_merchant``."""
        blocked = _blocked(self.categories, self.if_missing)
        return _blocks("blocked_merchants", blocked, Reason.BLOCKED_MERCHANT, "merchant_category")


class BlockedCountries(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="blocked_countries", tag_field="rule"
):
    """No business in these countries (DE 19, ISO 3166-1 numeric)."""

    countries: frozenset[str]
    if_missing: Literal["refuse", "pass"] = "refuse"

    def compile(self) -> Rule:
        """Refuse ``blocked_country``."""
        blocked = _blocked(self.countries, self.if_missing)
        return _blocks("blocked_countries", blocked, Reason.BLOCKED_COUNTRY, "country")


class BlockedEntryModes(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="blocked_entry_modes", tag_field="rule"
):
    """No cards read in these ways (DE 22, positions 1-2)."""

    entry_modes: frozenset[str]
    if_missing: Literal["refuse", "pass"] = "refuse"

    def compile(self) -> Rule:
        """Refuse ``blocked_entry_mode``."""
        blocked = _blocked(self.entry_modes, self.if_missing)
        return _blocks("blocked_entry_modes", blocked, Reason.BLOCKED_ENTRY_MODE, "entry_mode")


def _blocked(listed: frozenset[str], if_missing: Literal["refuse", "pass"]) -> frozenset[str]:
    """A missing element is an empty value; it does not pass unless the policy says so."""
    return listed | {""} if if_missing == "refuse" else listed


def _blocks(name: str, blocked: frozenset[str], reason: Reason, field: str) -> Rule:
    def rule(s: Situation) -> Verdict | None:
        if s.card is None:
            return None
        value = getattr(s.request, field)
        return Verdict(name, reason if value in blocked else None, (value,))

    return rule


def _spares(spared: WithoutAnswer | msgspec.UnsetType, check: Check, amount: Money) -> bool:
    """Whether silence is forgiven; a question that was not even asked is not."""
    return check is Check.NO_ANSWER and spared is not msgspec.UNSET and spared.covers(amount)


def _debits(s: Situation) -> bool:
    return s.request.direction is Direction.DEBIT


RuleRow = (
    CardKnown
    | CardActive
    | NotExpired
    | Pin
    | Cvv
    | AmountLimit
    | DailyAmount
    | DailyCount
    | BlockedMerchants
    | BlockedCountries
    | BlockedEntryModes
    | Funds
)
