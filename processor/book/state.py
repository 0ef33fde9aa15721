"""The state of one shard. Only ``apply`` changes it, live and in recovery alike."""

import heapq
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec
from sortedcontainers import SortedList

from processor.values.cards import Card
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
from processor.values.money import Money
from processor.values.outcome import Reply
from processor.values.requests import Direction

# Ledger accounts that are no cardholder's, one of each per currency.
FUNDING = "funding:"  # the other side of what cardholders were given
CLEARING = "clearing:"  # owed to the networks, or by them
SUSPENSE = "suspense:"  # what nobody can be charged for yet: advices about cards that are not on file


class Account(msgspec.Struct):
    """One ledger account: what it has (``ledger_minor``), and the sum of what its open holds hold.

    ``holds`` are the transactions with an open hold; ``next_expiry_ms`` is when the first of them
    expires (0: none).
    """

    name: str
    currency: str
    ledger_minor: int = 0
    held_minor: int = 0
    next_expiry_ms: int = 0
    holds: set[int] = msgspec.field(default_factory=set)
    expiries: list[tuple[int, int]] = msgspec.field(
        default_factory=list
    )  # a heap, with closed holds still in it

    @property
    def available_minor(self) -> int:
        """What may be spent now."""
        return self.ledger_minor - self.held_minor


class Posting(msgspec.Struct, gc=False):
    """One posting of a transaction: what its account was debited for it, less what it was credited."""

    names: tuple[str, ...] = ()
    minor: int = 0


class Transaction(msgspec.Struct, gc=False):
    """One purchase from its first message to its last, with its authorization in two parts; see ``HoldSet``.

    ``postings`` are by record, 0 being what we posted ourselves.
    """

    network: str
    card: str
    account: str
    amount: Money
    direction: Direction
    auth_code: str
    rrn: str
    keys: tuple[str, ...]
    asked: bool
    single_message: bool
    day: int
    postings: dict[int, Posting] = msgspec.field(default_factory=dict)
    issuer_minor: int | None = None
    network_minor: int | None = None
    issuer_void: bool = False
    network_void: bool = False
    cap_minor: int | None = None
    posting_void: bool = False
    closed: bool = False
    expires_ms: int = 0
    hold_class: str = ""

    @property
    def authorized_minor(self) -> int:
        """What is authorized in all: the network's decision where there is one, else ours."""
        return authorized_minor(self)

    @property
    def posted_minor(self) -> int:
        """What the account was debited for it, less what it was credited."""
        return sum(posting.minor for posting in self.postings.values())

    @property
    def remaining_minor(self) -> int:
        """What the hold still holds; only debits that are posted later hold anything."""
        if self.closed or self.single_message or self.direction is not Direction.DEBIT:
            return 0
        return self.authorized_minor


class Parts(Protocol):
    """What an authorization is made of."""

    issuer_minor: int | None
    network_minor: int | None
    issuer_void: bool
    network_void: bool
    cap_minor: int | None


def authorized_minor(parts: Parts) -> int:
    """The network's part where there is one, else ours; nothing if it is void, and never above the cap."""
    if parts.network_minor is not None:
        part = 0 if parts.network_void else parts.network_minor
    else:
        part = 0 if parts.issuer_void else parts.issuer_minor or 0
    return part if parts.cap_minor is None else min(part, parts.cap_minor)


class Usage(msgspec.Struct, gc=False):
    """What a card has had authorized on one UTC day."""

    day: int
    count: int = 0
    minor: int = 0


class Answer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What was answered to a question, and the content the question had."""

    content: str
    reply: Reply


class State:
    """Everything a decision may read."""

    def __init__(self) -> None:
        self.sequence = 0
        self.sequenced_ms = 0
        self.accounts: dict[str, Account] = {}
        self.cards: dict[str, Card] = {}
        self.transactions: dict[int, Transaction] = {}
        self.by_key: dict[str, int] = {}
        self.holds: SortedList[tuple[int, int]] = SortedList()  # open ones: (expires_ms, transaction)
        self.held_minor: dict[str, int] = {}  # by currency: what all open holds hold
        self.usage: dict[str, Usage] = {}  # by card: the latest day on which it was used
        self.answers: dict[str, Answer] = {}
        self.signed_on: dict[str, bool] = {}
        self._appliers: dict[type, Callable[[Any], None]] = {
            AccountOpened: self._account_opened,
            CardIssued: self._card_issued,
            Posted: self._posted,
            PostingTaken: self._posting_taken,
            TransactionOpened: self._transaction_opened,
            TransactionAsked: self._transaction_asked,
            TransactionNamed: self._transaction_named,
            HoldSet: self._hold_set,
            PinTrySpent: self._pin_try_spent,
            PinTriesRestored: self._pin_tries_restored,
            Answered: self._answered,
            SignChanged: self._sign_changed,
        }

    def apply(self, effect: Effect) -> None:
        """Change the state as the effect says. An impossible effect is a bug of ours: AssertionError."""
        self._appliers[type(effect)](effect)

    def find(self, keys: Iterable[str]) -> int | None:
        """The transaction that the first known one of these keys names."""
        return next((self.by_key[key] for key in keys if key in self.by_key), None)

    def used_on(self, card: str, day: int) -> Usage:
        """What a card has had authorized on a day; a day before its latest one counts as unused."""
        usage = self.usage.get(card)
        return usage if usage is not None and usage.day == day else Usage(day)

    def due_holds(self, now_ms: int, limit: int) -> list[int]:
        """The transactions whose holds are due, earliest first, at most ``limit``."""
        due: list[int] = []
        for expires_ms, transaction in self.holds:
            if expires_ms > now_ms or len(due) >= limit:
                break
            due.append(transaction)
        return due

    def due_holds_of(self, account: Account, now_ms: int) -> list[int]:
        """The transactions of one account whose holds are due, in order of opening."""
        if not account.next_expiry_ms or account.next_expiry_ms > now_ms:
            return []
        return sorted(t for t in account.holds if self.transactions[t].expires_ms <= now_ms)

    def _account_opened(self, effect: AccountOpened) -> None:
        assert effect.account not in self.accounts, "an account is opened once"
        self.accounts[effect.account] = Account(effect.account, effect.currency)
        self.held_minor.setdefault(effect.currency, 0)

    def _card_issued(self, effect: CardIssued) -> None:
        card = effect.card
        assert card.token not in self.cards, "a card is issued once"
        assert card.account in self.accounts, "a card needs its account"
        self.cards[card.token] = card

    def _posted(self, effect: Posted) -> None:
        debit, credit, minor = self.accounts[effect.debit], self.accounts[effect.credit], effect.amount.minor
        assert minor > 0, "money moves in one direction, by a positive amount"
        assert debit is not credit, "money moves between two accounts"
        assert debit.currency == credit.currency == effect.amount.currency, "money keeps its currency"
        debit.ledger_minor -= minor
        credit.ledger_minor += minor
        if effect.transaction:
            transaction = self.transactions[effect.transaction]
            assert transaction.account in {effect.debit, effect.credit}, "a transaction moves its own account"
            assert transaction.remaining_minor == 0, "what is still held is not posted"
            posting = transaction.postings.setdefault(effect.posting, Posting())
            posting.minor += minor if transaction.account == effect.debit else -minor

    def _posting_taken(self, effect: PostingTaken) -> None:
        postings = self.transactions[effect.transaction].postings
        assert effect.posting not in postings, "a posting is taken once"
        postings[effect.posting] = Posting(effect.names)

    def _transaction_opened(self, effect: TransactionOpened) -> None:
        assert effect.transaction not in self.transactions, "a transaction is opened once"
        assert effect.account in self.accounts or not effect.account, "a transaction's account exists"
        self.transactions[effect.transaction] = Transaction(
            effect.network,
            effect.card,
            effect.account,
            effect.amount,
            effect.direction,
            effect.auth_code,
            effect.rrn,
            effect.keys,
            effect.asked,
            effect.single_message,
            effect.day,
        )
        self._name(effect.transaction, effect.keys)

    def _transaction_asked(self, effect: TransactionAsked) -> None:
        transaction = self.transactions[effect.transaction]
        assert not transaction.asked, "a transaction is asked for once"
        transaction.asked = True
        transaction.auth_code = effect.auth_code or transaction.auth_code
        self._add_names(effect.transaction, effect.keys)

    def _transaction_named(self, effect: TransactionNamed) -> None:
        self._add_names(effect.transaction, effect.keys)

    def _add_names(self, number: int, keys: tuple[str, ...]) -> None:
        transaction = self.transactions[number]
        transaction.keys += tuple(key for key in keys if key not in transaction.keys)
        self._name(number, keys)

    def _name(self, number: int, keys: tuple[str, ...]) -> None:
        for key in keys:  # the latest one bears the name: STAN and RRN come round again
            self.by_key[key] = number

    def _hold_set(self, effect: HoldSet) -> None:
        transaction = self.transactions[effect.transaction]
        authorized, remaining = transaction.authorized_minor, transaction.remaining_minor
        account = self.accounts.get(transaction.account)
        if account is not None and remaining:
            self._close(account, effect.transaction)
            self.holds.remove((transaction.expires_ms, effect.transaction))
        transaction.single_message = effect.single_message
        transaction.issuer_minor, transaction.network_minor = effect.issuer_minor, effect.network_minor
        transaction.issuer_void, transaction.network_void = effect.issuer_void, effect.network_void
        transaction.cap_minor, transaction.posting_void = effect.cap_minor, effect.posting_void
        transaction.closed = effect.closed
        transaction.expires_ms, transaction.hold_class = effect.expires_ms, effect.hold_class
        remains = transaction.remaining_minor
        if remains:
            assert account is not None, "a hold needs an account"
            assert account.currency == transaction.amount.currency, "a hold is in its account's currency"
            self.holds.add((transaction.expires_ms, effect.transaction))
            self._open(account, effect.transaction, transaction.expires_ms)
        if account is not None:
            account.held_minor += remains - remaining
            assert account.held_minor >= 0, "no more is released than was held"
            currency = account.currency
            self.held_minor[currency] += remains - remaining
        self._use(transaction, authorized)

    def _open(self, account: Account, number: int, expires_ms: int) -> None:
        account.holds.add(number)
        heapq.heappush(account.expiries, (expires_ms, number))
        self._set_next_expiry(account)

    def _close(self, account: Account, number: int) -> None:
        account.holds.remove(number)
        self._set_next_expiry(account)

    def _set_next_expiry(self, account: Account) -> None:
        """The first hold in the heap that is still open, and still expires then."""
        heap = account.expiries
        while heap and not (
            heap[0][1] in account.holds and self.transactions[heap[0][1]].expires_ms == heap[0][0]
        ):
            heapq.heappop(heap)
        account.next_expiry_ms = heap[0][0] if heap else 0

    def _use(self, transaction: Transaction, before_minor: int) -> None:
        """Count what was authorized more or less than before, on the day the transaction was opened.

        Credits use no limit, nor does what another account than the card's bears.
        """
        now_minor = transaction.authorized_minor
        if now_minor == before_minor or transaction.direction is not Direction.DEBIT:
            return
        card = self.cards.get(transaction.card)
        if card is None or card.account != transaction.account:
            return
        usage = self.usage.get(transaction.card)
        if usage is None or usage.day < transaction.day:
            usage = self.usage[transaction.card] = Usage(transaction.day)
        if usage.day == transaction.day:
            usage.minor += now_minor - before_minor
            usage.count += bool(now_minor) - bool(before_minor)

    def _pin_try_spent(self, effect: PinTrySpent) -> None:
        card = self.cards[effect.card]
        assert card.pin_tries_left > 0, "an exhausted card has no try to spend"
        self.cards[effect.card] = msgspec.structs.replace(card, pin_tries_left=card.pin_tries_left - 1)

    def _pin_tries_restored(self, effect: PinTriesRestored) -> None:
        card = self.cards[effect.card]
        self.cards[effect.card] = msgspec.structs.replace(card, pin_tries_left=card.pin_tries_max)

    def _answered(self, effect: Answered) -> None:
        self.answers[effect.key] = Answer(effect.content, effect.reply)

    def _sign_changed(self, effect: SignChanged) -> None:
        self.signed_on[effect.network] = effect.signed_on
