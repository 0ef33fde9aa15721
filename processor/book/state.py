"""The state of one shard. Only ``apply`` changes it, live and in recovery alike."""

from collections.abc import Callable
from typing import Any

import msgspec
from sortedcontainers import SortedList

from processor.values.cards import Card
from processor.values.effects import (
    AccountOpened,
    Answered,
    CardIssued,
    Effect,
    Ending,
    HoldPlaced,
    HoldReleased,
    PinTriesRestored,
    PinTrySpent,
    Posted,
    ReversalParked,
    SignChanged,
    TransactionEnded,
    TransactionOpened,
)
from processor.values.money import Money
from processor.values.outcome import Reply

FUNDING = "funding:"  # the other side of what cardholders were given, one ledger account per currency


class Hold(msgspec.Struct, gc=False):
    """Money set aside for one transaction; the book's key is the transaction."""

    account: str
    amount: Money
    expires_ms: int
    hold_class: str


class Account(msgspec.Struct):
    """One ledger account: what it has (``ledger_minor``), and the sum of its open holds.

    ``holds`` are the transactions with an open hold; ``next_expiry_ms`` is never later than the first of them
    to expire (0: none).
    """

    name: str
    currency: str
    ledger_minor: int = 0
    held_minor: int = 0
    next_expiry_ms: int = 0
    holds: set[int] = msgspec.field(default_factory=set)

    @property
    def available_minor(self) -> int:
        """What may be spent now."""
        return self.ledger_minor - self.held_minor


class Transaction(msgspec.Struct, gc=False):
    """One purchase from its first message to its last. ``ending`` is None while it is open."""

    network: str
    card: str
    account: str
    amount: Money
    auth_code: str
    rrn: str
    keys: tuple[str, ...]
    ending: Ending | None = None


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
        self.holds: dict[int, Hold] = {}
        self.holds_by_expiry: SortedList[tuple[int, int]] = SortedList()  # (expires_ms, transaction)
        self.answers: dict[str, Answer] = {}
        self.parked: dict[str, int] = {}  # an original's key -> the reversal that came before it
        self.signed_on: dict[str, bool] = {}
        self._appliers: dict[type, Callable[[Any], None]] = {
            AccountOpened: self._account_opened,
            CardIssued: self._card_issued,
            Posted: self._posted,
            TransactionOpened: self._transaction_opened,
            TransactionEnded: self._transaction_ended,
            HoldPlaced: self._hold_placed,
            HoldReleased: self._hold_released,
            PinTrySpent: self._pin_try_spent,
            PinTriesRestored: self._pin_tries_restored,
            Answered: self._answered,
            ReversalParked: self._reversal_parked,
            SignChanged: self._sign_changed,
        }

    def apply(self, effect: Effect) -> None:
        """Change the state as the effect says. An impossible effect is a bug of ours: AssertionError."""
        self._appliers[type(effect)](effect)

    def available_minor(self, account: str) -> int:
        """What an account may spend now, in minor units of its currency."""
        return self.accounts[account].available_minor

    def due_holds(self, now_ms: int, limit: int) -> list[int]:
        """The transactions whose holds are due, earliest first, at most ``limit``."""
        due: list[int] = []
        for expires_ms, transaction in self.holds_by_expiry:
            if expires_ms > now_ms or len(due) >= limit:
                break
            due.append(transaction)
        return due

    def due_holds_of(self, account: Account, now_ms: int) -> list[int]:
        """The transactions of one account whose holds are due, in order of opening."""
        if not account.next_expiry_ms or account.next_expiry_ms > now_ms:
            return []
        return sorted(t for t in account.holds if self.holds[t].expires_ms <= now_ms)

    def _account_opened(self, effect: AccountOpened) -> None:
        assert effect.account not in self.accounts, "an account is opened once"
        self.accounts[effect.account] = Account(effect.account, effect.currency)

    def _card_issued(self, effect: CardIssued) -> None:
        card = effect.card
        assert card.token not in self.cards, "a card is issued once"
        assert card.account in self.accounts, "a card needs its account"
        self.cards[card.token] = card

    def _posted(self, effect: Posted) -> None:
        debit, credit = self.accounts[effect.debit], self.accounts[effect.credit]
        assert effect.amount.minor > 0, "money moves in one direction, by a positive amount"
        assert debit is not credit, "money moves between two accounts"
        assert debit.currency == credit.currency == effect.amount.currency, "money keeps its currency"
        debit.ledger_minor -= effect.amount.minor
        credit.ledger_minor += effect.amount.minor

    def _transaction_opened(self, effect: TransactionOpened) -> None:
        assert effect.transaction not in self.transactions, "a transaction is opened once"
        self.transactions[effect.transaction] = Transaction(
            effect.network,
            effect.card,
            effect.account,
            effect.amount,
            effect.auth_code,
            effect.rrn,
            effect.keys,
        )
        for key in effect.keys:  # the latest one bears the name: STAN and RRN come round again
            self.by_key[key] = effect.transaction

    def _transaction_ended(self, effect: TransactionEnded) -> None:
        transaction = self.transactions[effect.transaction]
        assert transaction.ending is None, "a transaction ends once"
        assert effect.transaction not in self.holds, "a hold ends before its transaction"
        transaction.ending = effect.ending

    def _hold_placed(self, effect: HoldPlaced) -> None:
        account, amount = self.accounts[effect.account], effect.amount
        assert effect.transaction in self.transactions, "a hold has a transaction that explains it"
        assert effect.transaction not in self.holds, "a transaction has one hold"
        assert amount.minor > 0, "a hold holds something"
        assert amount.currency == account.currency, "a hold is in its account's currency"
        self.holds[effect.transaction] = Hold(effect.account, amount, effect.expires_ms, effect.hold_class)
        self.holds_by_expiry.add((effect.expires_ms, effect.transaction))
        account.held_minor += amount.minor
        account.holds.add(effect.transaction)
        if not account.next_expiry_ms or effect.expires_ms < account.next_expiry_ms:
            account.next_expiry_ms = effect.expires_ms

    def _hold_released(self, effect: HoldReleased) -> None:
        hold = self.holds.pop(effect.transaction)
        assert hold.amount == effect.amount, "a hold is released for what is left of it"
        account = self.accounts[hold.account]
        self.holds_by_expiry.remove((hold.expires_ms, effect.transaction))
        account.held_minor -= hold.amount.minor
        account.holds.remove(effect.transaction)
        assert account.held_minor >= 0, "no more is released than was held"
        if hold.expires_ms <= account.next_expiry_ms:
            account.next_expiry_ms = min((self.holds[t].expires_ms for t in account.holds), default=0)

    def _pin_try_spent(self, effect: PinTrySpent) -> None:
        card = self.cards[effect.card]
        assert card.pin_tries_left > 0, "an exhausted card has no try to spend"
        self.cards[effect.card] = msgspec.structs.replace(card, pin_tries_left=card.pin_tries_left - 1)

    def _pin_tries_restored(self, effect: PinTriesRestored) -> None:
        card = self.cards[effect.card]
        self.cards[effect.card] = msgspec.structs.replace(card, pin_tries_left=card.pin_tries_max)

    def _answered(self, effect: Answered) -> None:
        self.answers[effect.key] = Answer(effect.content, effect.reply)

    def _reversal_parked(self, effect: ReversalParked) -> None:
        for key in effect.keys:
            self.parked[key] = effect.reversal

    def _sign_changed(self, effect: SignChanged) -> None:
        self.signed_on[effect.network] = effect.signed_on
