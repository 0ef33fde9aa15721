"""A transaction's records as sentences that can be read aloud over the telephone."""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from processor.book.state import CLEARING, SUSPENSE, Transaction
from processor.replay.story import answer_of, utc
from processor.values.commands import Advise, Authorize, ExpireHolds, IssueCard, Lapse, Record, Reverse, Sign
from processor.values.effects import (
    Cause,
    HoldSet,
    PinTriesRestored,
    PinTrySpent,
    Posted,
    TransactionAsked,
    TransactionOpened,
)
from processor.values.facts import Check, Facts
from processor.values.money import Money
from processor.values.outcome import Verdict
from processor.values.requests import Advice, Direction, Request

Seen = tuple[str | int, ...]


def tell(transaction: int, records: Iterable[Record]) -> Iterator[str]:
    """The story of a transaction, record by record, and how it stands at the end.

    ``transaction`` is 0 for records that opened none.
    """
    standing = _Standing()
    for record in records:
        yield from _heard(record, transaction)
        yield from standing.changed_by(record, transaction)
    yield from standing.told(transaction)


def reason_words(text: str) -> str:
    """A reason or a class as words.

    >>> reason_words("insufficient_funds")
    'insufficient funds'
    """
    return text.replace("_", " ")


def _heard(record: Record, transaction: int) -> Iterator[str]:
    """What was asked, what was found out, what was answered and why."""
    command, when = record.command, utc(record.sequenced_ms)
    match command:
        case Authorize():
            yield f"{when}: {_message(command.request)} asked whether this may be done."
            yield from _facts(command.facts)
        case Advise(request=request):
            yield f"{when}: {_message(request)} told us what the network has {_told(request)}."
        case Reverse(request=request):
            of = "in part" if request.total is not None else "whole"
            why = ", because our answer came late or was not delivered" if request.of_late_answer else ""
            yield f"{when}: {_message(request)} took it back, {of}{why}."
        case Lapse(request=request):
            yield f"{when}: our deadline passed before the answer to {_message(request)} was safe on disk."
        case ExpireHolds():
            yield f"{when}: holds were looked through for those whose time is over."
        case Sign():
            yield f"{when}: {command.network} signed {'on' if command.signed_on else 'off'}."
        case IssueCard():
            yield f"{when}: card {command.card.pan_masked} was issued with {command.funds}."
    if command_is_about_another(record, transaction):
        return
    yield from _answered(record)


def command_is_about_another(record: Record, transaction: int) -> bool:
    """Whether a record touches a transaction only in passing: it opens or is about another."""
    opened = (e for e in record.effects if isinstance(e, TransactionOpened | TransactionAsked))
    return transaction != 0 and any(effect.transaction != transaction for effect in opened)


def _answered(record: Record) -> Iterator[str]:
    reply = answer_of(record)
    if reply is None:
        return
    code = f", authorization code {reply.auth_code}" if reply.auth_code else ""
    yield f"The answer was {reason_words(reply.reason.value)}{code}."
    refusals = [verdict for verdict in record.verdicts if verdict.reason is not None]
    for number, verdict in enumerate(refusals):
        begun = "It would also have been refused because" if number else "That is because"
        yield f"{begun} {_why(verdict, _currency(record))}."
    if any(verdict.saw == ("not seen",) for verdict in record.verdicts):
        yield "What it is about had not been seen before."


def _message(request: Request) -> str:
    amount = (
        "no money"
        if request.direction is Direction.NONE
        else f"a {request.direction.value} of {request.amount}"
    )
    names = "".join(
        f", {what} {value}" for what, value in (("RRN", request.rrn), ("STAN", request.stan)) if value
    )
    return f"an {request.mti} of {request.network} on card {request.pan_masked} for {amount}{names}"


def _told(request: Advice) -> str:
    if request.financial:
        return "posted"
    return "approved in our place" if request.approved else "declined in our place"


_CHECKS = {
    Check.PASSED: "is right",
    Check.FAILED: "is wrong",
    Check.NO_ANSWER: "could not be checked, because the HSM gave no answer",
}


def _facts(facts: Facts) -> Iterator[str]:
    for what, check in (("CVV", facts.cvv), ("PIN", facts.pin)):
        if check in _CHECKS:
            yield f"The {what} {_CHECKS[check]}."


def _currency(record: Record) -> str:
    """The currency of what was asked."""
    match record.command:
        case Authorize(request=request) | Advise(request=request) | Reverse(request=request):
            return request.amount.currency
        case _:
            return ""


def _why(verdict: Verdict, currency: str) -> str:
    """What a refusing rule saw; rules that are not known here are told by name."""
    said = ""
    if (in_money := _IN_MONEY.get(verdict.rule)) is not None:
        said = _money(in_money, verdict.saw, currency)
    if not said and (words := _RULES.get(verdict.rule)) is not None:
        said = words(verdict.saw)
    if not said:
        seen = ", ".join(map(str, verdict.saw))
        said = f"the rule {verdict.rule} refused it" + (f", having seen {seen}" if seen else "")
    return said


def _money(sentence: str, seen: Seen, currency: str) -> str:
    """The sentence with the amounts that a rule saw; empty if it saw something else."""
    amounts = [Money(value, currency) for value in seen if isinstance(value, int)]
    return sentence.format(*amounts) if len(amounts) == len(seen) == sentence.count("{}") else ""


def _expiry(seen: Seen) -> str:
    card, said, month = seen
    if str(card) < str(month):
        return f"the card was good through {card} and it is {month} (year, month)"
    return f"the message names the expiry {said}, and the card has {card} (year, month)"


def _pin(seen: Seen) -> str:
    if len(seen) == 1:
        return (
            "no PIN tries are left"
            if seen[0] == 0
            else f"processing code {seen[0]} needs a PIN, and none came"
        )
    what, left = seen
    return f"the PIN check said {reason_words(str(what))}, with {left} tries left before"


def _cvv(seen: Seen) -> str:
    if len(seen) == 1:
        return f"entry mode {seen[0]} has a verification value, and none came"
    return f"the {str(seen[0]).upper()} check said {reason_words(str(seen[1]))}"


def _blocked(what: str) -> Callable[[Seen], str]:
    return lambda seen: f"{what} {seen[0] or '(none in the message)'} is blocked"


_IN_MONEY = {
    "amount_limit": "{} was asked for and {} is the most at once",
    "daily_amount": "{} had been used that day, {} was asked for, and {} is the most in a day",
    "funds": "{} was asked for and {} was available",
}

_RULES: dict[str, Callable[[Seen], str]] = {
    "card_known": lambda _: "the card is not on file",
    "card_active": lambda seen: f"the card is {seen[0]}",
    "not_expired": _expiry,
    "pin": _pin,
    "cvv": _cvv,
    "daily_count": lambda seen: f"the card was used {seen[0]} times today and {seen[1]} is the most",
    "funds": lambda seen: f"the amount is in currency {seen[0]} and the account in {seen[-1]}",
    "blocked_merchants": _blocked("merchant category"),
    "blocked_countries": _blocked("country"),
    "blocked_entry_modes": _blocked("entry mode"),
    "signed_on": lambda _: "the network was signed off",
    "not_reversed_before": lambda _: "its reversal had come before it",
    "original": lambda _: "the new total is not one that the original can have",
}

_CAUSES = {
    Cause.AUTHORIZED: "authorized by us",
    Cause.STAND_IN: "decided by the network in our place",
    Cause.REVERSED: "reversed",
    Cause.PARTLY_REVERSED: "reversed in part",
    Cause.VOIDED: "our part voided, what the network decided stays",
    Cause.LAPSED: "our part taken back",
    Cause.CLEARED: "cleared",
    Cause.EXPIRED: "expired",
}


class _Standing:
    """How a transaction stands while its records go by."""

    def __init__(self) -> None:
        self._transaction: Transaction | None = None
        self._posted_minor = 0

    def changed_by(self, record: Record, number: int) -> Iterator[str]:
        """Apply what a record did to the transaction, and say it."""
        for effect in record.effects:
            match effect:
                case TransactionOpened(transaction=n) if n == number:
                    self._transaction = _opened(effect)
                    if not effect.account:
                        yield "It is on no account of ours."
                    elif effect.account.startswith(SUSPENSE):
                        yield f"No account can bear it: it is in {effect.account}, for somebody to look at."
                case HoldSet(transaction=n) if n == number and self._transaction is not None:
                    yield self._set(effect, self._transaction)
                case Posted(transaction=n) if n == number:
                    self._posted_minor += effect.amount.minor * (
                        1 if effect.credit.startswith(CLEARING) else -1
                    )
                    yield f"{effect.amount} was posted from {effect.debit} to {effect.credit}."
                case PinTrySpent() if not command_is_about_another(record, number):
                    yield "That spent a PIN try."
                case PinTriesRestored() if not command_is_about_another(record, number):
                    yield "The PIN tries were restored."
                case _:
                    pass

    def told(self, number: int) -> Iterator[str]:
        """The last sentence."""
        transaction = self._transaction
        if not number:
            yield "No transaction was opened, and no money moved."
        elif transaction is not None:
            currency = transaction.amount.currency
            held = Money(transaction.remaining_minor, currency)
            until = f" until {utc(transaction.expires_ms)}" if held.minor else ""
            yield f"As it stands, {held} is held{until} and {Money(self._posted_minor, currency)} is posted."

    def _set(self, effect: HoldSet, transaction: Transaction) -> str:
        for name in effect.__struct_fields__:
            if name not in {"transaction", "cause"}:
                setattr(transaction, name, getattr(effect, name))
        held = transaction.remaining_minor
        words = _CAUSES[effect.cause]
        if not held:
            return f"The transaction was {words}; nothing is held."
        amount = Money(held, transaction.amount.currency)
        kind = f", as {effect.hold_class}" if effect.hold_class else ""
        return f"The transaction was {words}; {amount} is held until {utc(effect.expires_ms)}{kind}."


def _opened(effect: TransactionOpened) -> Transaction:
    given = {n: v for n, v in msgspec.structs.asdict(effect).items() if n != "transaction"}
    return Transaction(**given)
