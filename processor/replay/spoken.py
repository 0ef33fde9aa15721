"""A transaction's records as sentences that can be read aloud over the telephone."""

from collections.abc import Callable, Iterable, Iterator

from processor.replay.amounts import currency, spoken
from processor.replay.standing import Standing
from processor.replay.story import answer_of, utc
from processor.values.commands import Advise, Authorize, ExpireHolds, IssueCard, Lapse, Record, Reverse, Sign
from processor.values.effects import TransactionAsked, TransactionOpened
from processor.values.facts import Check, Facts
from processor.values.money import Money
from processor.values.outcome import Verdict
from processor.values.requests import Advice, Authorization, Direction, Request, Reversal

Seen = tuple[str | int, ...]


def tell(transaction: int, records: Iterable[Record]) -> Iterator[str]:
    """The story of a transaction, record by record, and how it stands at the end.

    ``transaction`` is 0 for records that opened none.
    """
    standing = Standing(transaction)
    for record in records:
        in_passing = _is_about_another(record, transaction)
        if in_passing:
            yield f"{utc(record.sequenced_ms)}: another message of the account came."
        else:
            yield from _heard(record)
            yield from _answered(record)
        yield from standing.changed_by(record, in_passing=in_passing)
    yield from standing.told()


def _is_about_another(record: Record, transaction: int) -> bool:
    """Whether a record touches a transaction only in passing: it opens or is about another."""
    opened = (e for e in record.effects if isinstance(e, TransactionOpened | TransactionAsked))
    return transaction != 0 and any(effect.transaction != transaction for effect in opened)


def _heard(record: Record) -> Iterator[str]:
    """What was asked and what was found out."""
    command, when = record.command, utc(record.sequenced_ms)
    match command:
        case Authorize(request=request):
            yield f"{when}: {request.network} asked whether card {request.pan_masked} {_asked(request)}."
            yield from _facts(command.facts)
        case Advise(request=request):
            yield f"{when}: {request.network} told us that it {_decided(request)}."
        case Reverse(request=request):
            yield f"{when}: {request.network} told us to take back {_taken_back(request)}."
        case Lapse(request=request):
            yield (
                f"{when}: our time to answer {request.network} was over before the answer was safe on disk"
                f" ({_names(request)})."
            )
        case ExpireHolds():
            yield f"{when}: holds were looked through for those whose time is over."
        case Sign():
            yield f"{when}: {command.network} signed {'on' if command.signed_on else 'off'}."
        case IssueCard():
            yield f"{when}: card {command.card.pan_masked} was issued with {spoken(command.funds)}."


def _asked(request: Authorization) -> str:
    amount, at_once = spoken(request.amount), ", posted at once" if request.single_message else ""
    words = {
        Direction.DEBIT: f"may spend {amount}{at_once}",
        Direction.CREDIT: f"may be given {amount}{at_once}",
        Direction.NONE: "is in order, for no money",
    }[request.direction]
    return f"{words} ({_names(request)})"


def _decided(request: Advice) -> str:
    verb = "has posted" if request.financial else "approved" if request.approved else "declined"
    amount = {
        Direction.DEBIT: spoken(request.amount),
        Direction.CREDIT: f"a credit of {spoken(request.amount)}",
        Direction.NONE: "a request for no money",
    }[request.direction]
    place = "" if request.financial else " in our place"
    return f"{verb} {amount} on card {request.pan_masked}{place} ({_names(request)})"


def _taken_back(request: Reversal) -> str:
    how = f"the whole {spoken(request.amount)}"
    if request.total is not None:
        unit = request.total.currency or request.amount.currency
        how = f"a part, so that {spoken(Money(request.total.minor, unit))} of it is left,"
    why = ", because our answer came late or was not delivered" if request.of_late_answer else ""
    return f"{how} on card {request.pan_masked}{why} ({_names(request)})"


def _names(request: Request) -> str:
    """What the message is and how to find it."""
    names = [f"{what} {value}" for what, value in (("RRN", request.rrn), ("STAN", request.stan)) if value]
    repeated = ", a repeat" if request.mti[3:] == "1" else ""
    return ", ".join([f"message {request.mti}{repeated}", *names])


def _answered(record: Record) -> Iterator[str]:
    reply = answer_of(record)
    if reply is None:
        return
    code = f", authorization code {reply.auth_code}" if reply.auth_code else ""
    yield f"The answer was {_words(reply.reason.value)}{code}."
    refusals = [verdict for verdict in record.verdicts if verdict.reason is not None]
    for number, verdict in enumerate(refusals):
        begun = "It would also have been refused because" if number else "That is because"
        yield f"{begun} {_why(verdict, _currency(record))}."
    if any(verdict.saw == ("not seen",) for verdict in record.verdicts):
        yield "What it is about had not been seen before."


def _words(text: str) -> str:
    """A reason or a class as words.

    >>> _words("insufficient_funds")
    'insufficient funds'
    """
    return text.replace("_", " ")


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


def _why(verdict: Verdict, unit: str) -> str:
    """What a refusing rule saw; rules that are not known here are told by name."""
    said = ""
    if (in_money := _IN_MONEY.get(verdict.rule)) is not None:
        said = _money(in_money, verdict.saw, unit)
    if not said and (words := _RULES.get(verdict.rule)) is not None:
        said = words(verdict.saw)
    if not said:
        seen = ", ".join(map(str, verdict.saw))
        said = f"the rule {verdict.rule} refused it" + (f", having seen {seen}" if seen else "")
    return said


def _money(sentence: str, seen: Seen, unit: str) -> str:
    """The sentence with the amounts that a rule saw; empty if it saw something else."""
    amounts = [Money(value, unit) for value in seen if isinstance(value, int)]
    fits = len(amounts) == len(seen) == sentence.count("{}")
    return sentence.format(*map(_or_nothing, amounts)) if fits else ""


def _or_nothing(amount: Money) -> str:
    if amount.minor < 0:
        below = spoken(Money(-amount.minor, amount.currency))
        return f"nothing (the account is {below} below zero, holds counted)"
    return spoken(amount) if amount.minor else "nothing"


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
    return f"the PIN check said {_words(str(what))}, with {left} tries left before"


def _cvv(seen: Seen) -> str:
    if len(seen) == 1:
        return f"entry mode {seen[0]} has a verification value, and none came"
    return f"the {str(seen[0]).upper()} check said {_words(str(seen[1]))}"


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
    "funds": lambda seen: (
        f"the amount is in {currency(str(seen[0]))} and the account in {currency(str(seen[-1]))}"
    ),
    "blocked_merchants": _blocked("merchant category"),
    "blocked_countries": _blocked("country"),
    "blocked_entry_modes": _blocked("entry mode"),
    "signed_on": lambda _: "the network was signed off",
    "not_reversed_before": lambda _: "its reversal had come before it",
    "original": lambda _: "the new total is not one that the original can have",
}
