"""How a card or an account stands, for people: ledger, holds one by one, usage, PIN tries, last transactions.

The functions are generators that yield after each slice of a search, so that others can run in between; what
they return is what they found.
"""

import datetime
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

import msgspec

from processor.book.state import Account, State, Transaction
from processor.replay.amounts import spoken
from processor.replay.story import utc
from processor.values.cards import Card
from processor.values.clock import DAY_MS
from processor.values.money import Money

SLICE = 5_000  # looked at between two yields: well under a millisecond
CARDS_MAX = 50
HOLDS_MAX = 200
TRANSACTIONS_MAX = 10

_T = TypeVar("_T")
Search = Generator[None, None, _T]


class Amount(msgspec.Struct, frozen=True):
    """An amount of the account's currency: to count with, and to read."""

    minor: int
    text: str


class CardLine(msgspec.Struct, frozen=True):
    """One card of the account. ``used_today`` is what was authorized on this UTC day."""

    token: str
    card: str
    account: str
    status: str
    expiry: str
    version: int
    pin_tries_left: int
    pin_tries_max: int
    used_today: Amount
    times_today: int


class HoldLine(msgspec.Struct, frozen=True):
    """One open hold, and why it lives until then. ``ours`` and ``networks`` are its parts in minor units."""

    transaction: int
    amount: Amount
    until: str
    why: str
    network: str
    rrn: str
    auth_code: str
    ours: int | None
    networks: int | None


class TransactionLine(msgspec.Struct, frozen=True):
    """One transaction; ``standing`` says in a few words what became of it."""

    transaction: int
    day: str
    network: str
    direction: str
    amount: Amount
    rrn: str
    auth_code: str
    standing: str


class Statement(msgspec.Struct, frozen=True):
    """An account as of a record. ``holds`` are the first to expire, ``transactions`` the latest."""

    as_of_record: int
    as_of: str
    account: str
    currency: str
    ledger: Amount
    held: Amount
    available: Amount
    cards: tuple[CardLine, ...]
    holds: tuple[HoldLine, ...]
    holds_open: int
    transactions: tuple[TransactionLine, ...]


class Shown(msgspec.Struct, frozen=True):
    """What bears a name: one statement, or the cards to choose from, or nothing."""

    statement: Statement | None = None
    cards: tuple[CardLine, ...] = ()


def show(state: State, name: str, now_ms: int) -> Search[Shown]:
    """The statement of a card (token or masked PAN) or of an account.

    Of a card, the transactions are the card's; of an account, the account's.
    """
    if (account := state.accounts.get(name)) is not None:
        cards = yield from _cards(state, lambda card: card.account == name)
        last = yield from _last(state, lambda transaction: transaction.account == name)
        return Shown(_statement(state, account, cards, last, now_ms))
    named = [state.cards[name]] if name in state.cards else (yield from _cards(state, _masked(name)))
    if len(named) != 1:
        return Shown(cards=tuple(_card_line(state, card, now_ms) for card in named))
    card = named[0]
    last = yield from _last(state, lambda transaction: transaction.card == card.token)
    account = state.accounts[card.account]
    return Shown(_statement(state, account, [state.cards[card.token]], last, now_ms))


def finish(search: Search[_T]) -> _T:
    """Run a search to its end at once."""
    while True:
        try:
            next(search)
        except StopIteration as ended:
            value: _T = ended.value
            return value


def as_object(shown: Shown) -> dict[str, Any]:
    """For JSON."""
    found: dict[str, Any] = msgspec.to_builtins(shown)
    return found


def _masked(name: str) -> Callable[[Card], bool]:
    return lambda card: card.pan_masked == name


def _cards(state: State, wanted: Callable[[Card], bool]) -> Search[list[Card]]:
    """The first cards that are wanted; begins again when a card is issued meanwhile."""
    while True:
        found: list[Card] = []
        try:
            for count, card in enumerate(state.cards.values(), 1):
                if wanted(card):
                    found.append(card)
                    if len(found) == CARDS_MAX:
                        break
                if count % SLICE == 0:
                    yield
        except RuntimeError:  # the dictionary has grown
            continue
        return found


def _last(state: State, wanted: Callable[[Transaction], bool]) -> Search[list[tuple[int, Transaction]]]:
    """The latest transactions that are wanted, newest first; a number is that of the opening record."""
    found: list[tuple[int, Transaction]] = []
    for number in range(state.sequence, 0, -1):
        transaction = state.transactions.get(number)
        if transaction is not None and wanted(transaction):
            found.append((number, transaction))
            if len(found) == TRANSACTIONS_MAX:
                break
        if number % SLICE == 0:
            yield
    return found


def _statement(
    state: State, account: Account, cards: list[Card], last: list[tuple[int, Transaction]], now_ms: int
) -> Statement:
    def amount(minor: int) -> Amount:
        return _amount(minor, account.currency)

    return Statement(
        as_of_record=state.sequence,
        as_of=utc(state.sequenced_ms),
        account=account.name,
        currency=account.currency,
        ledger=amount(account.ledger_minor),
        held=amount(account.held_minor),
        available=amount(account.available_minor),
        cards=tuple(_card_line(state, card, now_ms) for card in cards),
        holds=tuple(_holds(state, account)),
        holds_open=len(account.holds),
        transactions=tuple(_transaction_line(number, transaction) for number, transaction in last),
    )


def _amount(minor: int, currency: str) -> Amount:
    return Amount(minor, spoken(Money(minor, currency)))


def _card_line(state: State, card: Card, now_ms: int) -> CardLine:
    today = state.used_on(card.token, now_ms // DAY_MS)
    return CardLine(
        token=card.token,
        card=card.pan_masked,
        account=card.account,
        status=card.status.value,
        expiry=card.expiry,
        version=card.version,
        pin_tries_left=card.pin_tries_left,
        pin_tries_max=card.pin_tries_max,
        used_today=_amount(today.minor, state.accounts[card.account].currency),
        times_today=today.count,
    )


def _holds(state: State, account: Account) -> Iterator[HoldLine]:
    due = sorted((state.transactions[number].expires_ms, number) for number in account.holds)
    for expires_ms, number in due[:HOLDS_MAX]:
        held = state.transactions[number]
        yield HoldLine(
            transaction=number,
            amount=_amount(held.remaining_minor, account.currency),
            until=utc(expires_ms),
            why=held.hold_class,
            network=held.network,
            rrn=held.rrn,
            auth_code=held.auth_code,
            ours=None if held.issuer_void else held.issuer_minor,
            networks=None if held.network_void else held.network_minor,
        )


def _transaction_line(number: int, transaction: Transaction) -> TransactionLine:
    return TransactionLine(
        transaction=number,
        day=str(datetime.date(1970, 1, 1) + datetime.timedelta(days=transaction.day)),
        network=transaction.network,
        direction=transaction.direction.value,
        amount=_amount(transaction.amount.minor, transaction.amount.currency),
        rrn=transaction.rrn,
        auth_code=transaction.auth_code,
        standing=_standing(transaction),
    )


def _standing(transaction: Transaction) -> str:
    """What became of it, in a few words."""
    words = []
    if held := transaction.remaining_minor:
        words.append(f"{spoken(Money(held, transaction.amount.currency))} held")
    if posted := transaction.posted_minor:
        words.append(f"{spoken(Money(posted, transaction.amount.currency))} posted")
    if transaction.issuer_void or transaction.network_void:
        words.append("reversed")
    if not words:
        nothing_authorized = transaction.issuer_minor is None and transaction.network_minor is None
        words.append("declined" if transaction.asked and nothing_authorized else "nothing held")
    return ", ".join(words)
