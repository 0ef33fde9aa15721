"""What a transaction's records did to its hold and its money, in sentences, and how it stands at the end."""

from collections.abc import Iterator

import msgspec

from processor.book.state import SUSPENSE, Transaction
from processor.replay.amounts import spoken
from processor.replay.story import utc
from processor.values.commands import Record, Reverse
from processor.values.effects import (
    Cause,
    HoldSet,
    PinTriesRestored,
    PinTrySpent,
    Posted,
    TransactionOpened,
)
from processor.values.money import Money
from processor.values.requests import Direction, Original


class Standing:
    """How a transaction stands while its records go by."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._transaction: Transaction | None = None
        self._posted_minor = 0  # taken from the account, less what was put back

    def changed_by(self, record: Record, *, in_passing: bool) -> Iterator[str]:
        """Apply what a record did to the transaction, and say it."""
        moved = [e for e in record.effects if isinstance(e, Posted) and e.transaction == self._number]
        for effect in record.effects:
            match effect:
                case TransactionOpened(transaction=n) if n == self._number:
                    self._transaction = _opened(effect)
                    yield from _account(effect.account)
                case HoldSet(transaction=n) if n == self._number and self._transaction is not None:
                    held_minor = self._transaction.remaining_minor
                    _set(self._transaction, effect)
                    yield f"{_what_happened(effect.cause, record)}."
                    yield from self._held(effect.cause, held_minor, self._transaction)
                case PinTrySpent() if not in_passing:
                    yield "That spent a PIN try."
                case PinTriesRestored() if not in_passing:
                    yield "The PIN tries were restored."
                case _:
                    pass
        if self._transaction is not None:
            yield from self._posted(record, moved, self._transaction)

    def told(self) -> Iterator[str]:
        """The last sentence."""
        transaction = self._transaction
        if not self._number:
            yield "No transaction was opened, and no money moved."
        elif transaction is not None:
            held = _money(transaction.remaining_minor, transaction)
            until = f" until {utc(transaction.expires_ms)}" if transaction.remaining_minor else ""
            yield f"As it stands, {held} is held{until} and {self._posted_so_far(transaction)}."

    def _posted_so_far(self, transaction: Transaction) -> str:
        amount = _money(abs(self._posted_minor), transaction)
        return f"{amount} {'was paid out to the account' if self._posted_minor < 0 else 'is posted'}"

    def _held(self, cause: Cause, before_minor: int, now: Transaction) -> Iterator[str]:
        """What became of the hold, and why that is so where it surprises."""
        if why := _why_not_ours(cause, now):
            yield f"{why}."
        before, held = _money(before_minor, now), _money(now.remaining_minor, now)
        if now.remaining_minor:
            kind = f", as {now.hold_class}" if now.hold_class else ""
            yield f"{held} is held until {utc(now.expires_ms)}{kind}."
        elif before_minor:
            yield f"The hold of {before} is closed."
        elif not now.single_message:
            yield "Nothing is held."

    def _posted(self, record: Record, moved: list[Posted], now: Transaction) -> Iterator[str]:
        """What moved between accounts; and what did not, though one might think so."""
        for effect in moved:
            amount, taken = spoken(effect.amount), effect.debit == now.account
            self._posted_minor += effect.amount.minor if taken else -effect.amount.minor
            if taken:
                yield f"{amount} was taken from {effect.debit}, to {effect.credit}."
            else:
                yield f"{amount} was put on {effect.credit}, from {effect.debit}."
        cleared = any(isinstance(e, HoldSet) and e.cause is Cause.CLEARED for e in record.effects)
        if cleared and not moved:
            yield "Nothing was posted for it: its reversal had come before."
        undoing = isinstance(record.command, Reverse) and record.command.request.total is None
        if undoing and self._posted_minor and not moved:
            yield (
                f"What is posted, {_money(abs(self._posted_minor), now)}, stays posted: this reversal does"
                " not take it back. That takes a reversal that names the posting, or clearing."
            )


_CAUSES = {
    Cause.AUTHORIZED: "We authorized it",
    Cause.STAND_IN: "What the network decided in our place counts from now on",
    Cause.REVERSED: "The authorization counts as reversed",
    Cause.PARTLY_REVERSED: "A part was reversed",
    Cause.VOIDED: "Our own answer counts as never given",
    Cause.LAPSED: "What we had decided was taken back",
    Cause.CLEARED: "The network has posted it",
    Cause.EXPIRED: "The time of its hold was over",
}


def _what_happened(cause: Cause, record: Record) -> str:
    if cause is Cause.REVERSED and isinstance(record.command, Reverse):
        of_posting = record.command.request.original is Original.POSTING
        return "The posting counts as reversed" if of_posting else _CAUSES[cause]
    return _CAUSES[cause]


def _why_not_ours(cause: Cause, now: Transaction) -> str:
    """Why what is held is not what we, or the network, had just decided; empty where it is."""
    network = "" if now.network_minor is None else _money(now.network_minor, now)
    why = ""
    if cause is Cause.AUTHORIZED and now.network_void:
        why = "But a reversal of it had come before"
    elif cause is Cause.AUTHORIZED and now.network_minor == 0:
        why = "But the network had declined it in our place before we answered, and that is what counts"
    elif cause is Cause.AUTHORIZED and network:
        why = f"But the network had decided in our place before, {network}, and that is what counts"
    elif cause is Cause.STAND_IN and now.network_void:
        why = "But it has been reversed"
    elif cause is Cause.STAND_IN and now.network_minor == 0:
        why = "It declined"
    elif cause is Cause.VOIDED and network and not now.network_void:
        why = f"What the network decided in our place, {network}, stays"
    elif cause in _HOLDING and now.closed:
        why = "But it has been posted already"
    elif cause in _HOLDING and now.direction is Direction.CREDIT and not now.single_message:
        why = "A credit is not held: it comes with its posting"
    return why


_HOLDING = frozenset({Cause.AUTHORIZED, Cause.STAND_IN})


def _account(account: str) -> Iterator[str]:
    if not account:
        yield "It is on no account of ours."
    elif account.startswith(SUSPENSE):
        yield f"No account can bear it: it is in {account}, for somebody to look at."


def _money(minor: int, transaction: Transaction) -> str:
    return spoken(Money(minor, transaction.amount.currency)) if minor else "nothing"


def _set(transaction: Transaction, effect: HoldSet) -> None:
    for name in effect.__struct_fields__:
        if name not in {"transaction", "cause"}:
            setattr(transaction, name, getattr(effect, name))


def _opened(effect: TransactionOpened) -> Transaction:
    given = {n: v for n, v in msgspec.structs.asdict(effect).items() if n != "transaction"}
    return Transaction(**given)
