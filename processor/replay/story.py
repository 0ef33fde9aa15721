"""The journal's records for people: in words, as objects for other programs, and one card's among them.

Records know cards by token and masked PAN; the PVV of an issued card, which they also have, is left out.
"""

import datetime
import enum
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from processor.replay.amounts import spoken
from processor.values.commands import (
    Advise,
    Authorize,
    Command,
    ExpireHolds,
    IssueCard,
    Lapse,
    Record,
    Reverse,
    Sign,
)
from processor.values.effects import (
    AccountOpened,
    Answered,
    CardIssued,
    Effect,
    HoldSet,
    PinTriesRestored,
    PinTrySpent,
    Posted,
    PostingTaken,
    SignChanged,
    TransactionAsked,
    TransactionNamed,
    TransactionOpened,
)
from processor.values.facts import Check, Facts
from processor.values.money import Money
from processor.values.outcome import Reply, Verdict
from processor.values.requests import Request

_HIDDEN = frozenset({"pvv"})


def lines(record: Record) -> Iterator[str]:
    """One record in words: a heading, then what was asked, each verdict, each effect."""
    answer = answer_of(record)
    heading = f"{record.sequence}  {utc(record.sequenced_ms)}  {_name(record.command)}"
    yield f"{heading}: {answer.reason.value}" if answer else heading
    yield f"    asked   {_asked(record.command)}"
    if isinstance(record.command, Authorize):
        yield f"    facts   {_facts(record.command.facts)}"
    for verdict in record.verdicts:
        yield f"    rule    {verdict_words(verdict)}"
    for effect in record.effects:
        yield f"    effect  {_effect(effect)}"


def as_object(record: Record) -> dict[str, Any]:
    """One record with names for everything; commands and effects say their ``kind``."""
    found: dict[str, Any] = _plain(record)
    answer = answer_of(record)
    return {
        "sequence": record.sequence,
        "time": utc(record.sequenced_ms),
        "name": _name(record.command),
        "answer": answer.reason.value if answer else None,
        **{name: value for name, value in found.items() if name not in ("kind", "sequence")},
    }


class Thread:
    """Follows one card, by its token or its masked PAN, through records that are given in order."""

    def __init__(self, card: str) -> None:
        self._names = {card}
        self._transactions: set[int] = set()

    def follows(self, record: Record) -> bool:
        """Whether the record is about the card, or about a transaction of the card that was opened before."""
        token, masked = _card(record.command)
        ours = not self._names.isdisjoint((token, masked))
        if ours:
            self._names.add(token)
        opened = (e for e in record.effects if isinstance(e, TransactionOpened) and e.card in self._names)
        self._transactions.update(effect.transaction for effect in opened)
        changed = (effect.transaction for effect in record.effects if isinstance(effect, HoldSet))
        return ours or not self._transactions.isdisjoint(changed)


def answer_of(record: Record) -> Reply | None:
    """The answer that the record stores; None where nothing was asked over a link."""
    return next((effect.reply for effect in record.effects if isinstance(effect, Answered)), None)


def utc(ms: int) -> str:
    """Milliseconds since 1970 as a date and time.

    >>> utc(1_798_761_599_042)
    '2026-12-31T23:59:59.042Z'
    """
    moment = datetime.datetime.fromtimestamp(ms // 1000, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03}Z"


def _name(command: Command) -> str:
    return _NAMES[type(command)]


_NAMES: dict[type, str] = {
    IssueCard: "issue card",
    Authorize: "authorize",
    Advise: "advise",
    Reverse: "reverse",
    Sign: "sign",
    Lapse: "lapse",
    ExpireHolds: "expire holds",
}


def _card(command: Command) -> tuple[str, str]:
    """Token and masked PAN of the card that a command names; the networks' and the clock's name none."""
    match command:
        case IssueCard():
            return command.card.token, command.card.pan_masked
        case Authorize() | Advise() | Reverse() | Lapse():
            return command.request.card, command.request.pan_masked
        case Sign() | ExpireHolds():
            return "", ""


def _asked(command: Command) -> str:
    match command:
        case IssueCard():
            return f"card {command.card.pan_masked} with {spoken(command.funds)}, token {command.card.token}"
        case Authorize() | Advise() | Reverse():
            return _request(command.request)
        case Lapse():
            decided = f"transaction {command.transaction}" if command.transaction else "not decided yet"
            return f"{_request(command.request)}, {decided}"
        case Sign():
            return f"{command.network} signs {'on' if command.signed_on else 'off'}"
        case ExpireHolds():
            return f"up to {command.limit} holds that are due"


def _request(request: Request) -> str:
    named = (
        ("processing code", request.processing_code),
        ("STAN", request.stan),
        ("RRN", request.rrn),
        ("sent", request.transmitted),
        ("acquirer", request.acquirer),
        ("token", request.card),
    )
    known = "".join(f", {name} {value}" for name, value in named if value)
    return f"{request.mti} on {request.network}, card {request.pan_masked}, {_direction(request)}{known}"


def _direction(request: Request) -> str:
    return f"{request.direction.value} {spoken(request.amount)}"


def _facts(facts: Facts) -> str:
    return f"CVV {_check(facts.cvv)}, PIN {_check(facts.pin)}, card version {facts.card_version}"


def _check(check: Check) -> str:
    return check.value.replace("_", " ")


def verdict_words(verdict: Verdict) -> str:
    """One rule's word, with what it saw: ``funds: refused, insufficient_funds; saw 2600, 840, 1000``."""
    said = "passed" if verdict.reason is None else f"refused, {verdict.reason.value}"
    saw = ", ".join(str(value) if value != "" else "nothing" for value in verdict.saw)
    return f"{verdict.rule}: {said}; saw {saw}" if verdict.saw else f"{verdict.rule}: {said}"


def _effect(effect: Effect) -> str:
    return _WORDS[type(effect)](effect)


def _opened(effect: TransactionOpened) -> str:
    account = effect.account or "no account"
    return f"transaction {effect.transaction} opened for {spoken(effect.amount)} on {account}"


def _named(effect: TransactionNamed) -> str:
    return f"transaction {effect.transaction} known by {len(effect.keys)} more names"


def _asked_after_all(effect: TransactionAsked) -> str:
    return f"transaction {effect.transaction}: its request came after what is about it"


def _posted(effect: Posted) -> str:
    about = f" for transaction {effect.transaction}" if effect.transaction else ""
    return f"{spoken(effect.amount)} posted from {effect.debit} to {effect.credit}{about}"


def _taken(effect: PostingTaken) -> str:
    return f"posting {effect.posting} of the network's taken for transaction {effect.transaction}"


def _hold(effect: HoldSet) -> str:
    ours = _part(effect.issuer_minor, void=effect.issuer_void)
    network = _part(effect.network_minor, void=effect.network_void)
    cap = f", not above {effect.cap_minor}" if effect.cap_minor is not None else ""
    state = "closed" if effect.closed else f"until {utc(effect.expires_ms)} ({effect.hold_class})"
    return (
        f"hold of transaction {effect.transaction} {effect.cause.value.replace('_', ' ')}: ours {ours},"
        f" the network's {network} (minor units){cap}, {state}"
    )


def _part(minor: int | None, *, void: bool) -> str:
    return ("none" if minor is None else str(minor)) + (" void" if void else "")


def _answered(effect: Answered) -> str:
    code = effect.reply.auth_code
    return f"answer {effect.reply.reason.value} stored{f', DE 38 {code}' if code else ''}"


def _signed(effect: SignChanged) -> str:
    return f"{effect.network} is signed {'on' if effect.signed_on else 'off'}"


_WORDS: dict[type, Callable[[Any], str]] = {
    AccountOpened: lambda effect: f"account {effect.account} opened in {effect.currency}",
    CardIssued: lambda effect: f"card {effect.card.pan_masked} issued on {effect.card.account}",
    Posted: _posted,
    TransactionOpened: _opened,
    TransactionNamed: _named,
    TransactionAsked: _asked_after_all,
    HoldSet: _hold,
    PostingTaken: _taken,
    PinTrySpent: lambda effect: f"a PIN try of card {effect.card} spent",
    PinTriesRestored: lambda effect: f"the PIN tries of card {effect.card} restored",
    Answered: _answered,
    SignChanged: _signed,
}


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a record has
    """Structs as objects with the name of their class, enums by value."""
    if isinstance(value, msgspec.Struct):
        fields = {n: _plain(getattr(value, n)) for n in value.__struct_fields__ if n not in _HIDDEN}
        return (
            fields
            if isinstance(value, Money | Verdict | Facts | Reply)
            else {"kind": type(value).__name__, **fields}
        )
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
