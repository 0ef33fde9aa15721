"""What a command can read of the state, the first time a recording sees it: the rest never enters a trace.

A thing that nobody touches stays as it is, so it can be told late: just before the first command that can
read or change it. What began after the recording did is known from the commands themselves.
"""

from collections.abc import Iterable

import msgspec

from processor.book.state import CLEARING, FUNDING, SUSPENSE, Account, Answer, Posting, State, Transaction
from processor.values.cards import Card
from processor.values.commands import Advise, Authorize, Command, ExpireHolds, IssueCard, Lapse, Reverse, Sign

SHARED = (FUNDING, CLEARING, SUSPENSE)  # how accounts begin that are no cardholder's

Figures = tuple[str, str, int, int]  # an account's name, currency, ledger_minor, held_minor


class Touched(msgspec.Struct):
    """What was touched for the first time, as it was; names are still the processor's own."""

    cards: list[Card] = []
    accounts: list[Figures] = []
    usage: list[tuple[str, int, int, int]] = []  # card, day, count, minor
    transactions: list[tuple[int, Transaction]] = []
    names: list[tuple[str, int]] = []  # match key, transaction
    answers: list[tuple[str, Answer]] = []  # by the key of their question


class Reach:
    """Follows the commands of one recording, from its first."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._began = state.sequence
        self._cards: set[str] = set()
        self._accounts = {name for name in state.accounts if name.startswith(SHARED)}  # the header has them
        self._transactions: set[int] = set()
        self._told: Touched | None = None

    def take(self) -> Touched | None:
        """What was touched for the first time since the last call, None if nothing was."""
        told, self._told = self._told, None
        return told

    def answered(self, key: str, answer: Answer) -> None:
        """A stored answer was looked at: told each time, because nobody knows when it was given."""
        self._tell().answers.append((key, answer))

    def of(self, command: Command, sequenced_ms: int) -> None:
        """What the command can read, as far as it has not been told yet."""
        match command:
            case Authorize():
                request = command.request
                self.card(request.card)
                self._due(request.card, sequenced_ms)
                self._named(request.match_keys)
            case Advise() | Reverse():
                self.card(command.request.card)
                self._named(command.request.match_keys)
            case Lapse():
                self._transaction(command.transaction)
            case ExpireHolds():
                self._expiring(self._state.due_holds(sequenced_ms, command.limit))
            case IssueCard():
                self._cards.add(command.card.token)
                self._accounts.add(command.card.account)
            case Sign():
                pass  # the header has who was signed on

    def _tell(self) -> Touched:
        if self._told is None:
            self._told = Touched()
        return self._told

    def card(self, token: str) -> None:
        """A card, with its account and what it has used."""
        if token in self._cards:
            return
        self._cards.add(token)
        if (card := self._state.cards.get(token)) is None:
            return
        self._tell().cards.append(card)
        self._account(card.account)
        if (usage := self._state.usage.get(token)) is not None:
            self._tell().usage.append((token, usage.day, usage.count, usage.minor))

    def _account(self, name: str) -> None:
        if name and name not in self._accounts and not name.startswith(SHARED):
            self._accounts.add(name)
            self._tell().accounts.append(figures(self._state.accounts[name]))

    def _due(self, token: str, now_ms: int) -> None:
        """The account's holds that an authorization lets expire first."""
        if (card := self._state.cards.get(token)) is not None:
            account = self._state.accounts[card.account]
            if account.next_expiry_ms and account.next_expiry_ms <= now_ms:
                for number in self._state.due_holds_of(account, now_ms):
                    self._transaction(number)

    def _named(self, keys: Iterable[str]) -> None:
        by_key, began = self._state.by_key, self._began
        for key in keys:
            number = by_key.get(key)
            if number is not None and number <= began:
                self._tell().names.append((key, number))
                self._transaction(number)

    def _expiring(self, numbers: Iterable[int]) -> None:
        """Of holds that expire unasked, those of cardholders' accounts that have been told."""
        for number in numbers:
            account = self._state.transactions[number].account
            if account in self._accounts and not account.startswith(SHARED):
                self._transaction(number)

    def _transaction(self, number: int) -> None:
        if not 0 < number <= self._began or number in self._transactions:
            return
        self._transactions.add(number)
        transaction = self._state.transactions[number]
        self._account(transaction.account)
        self.card(transaction.card)
        postings = {n: Posting(p.names, p.minor) for n, p in transaction.postings.items()}
        self._tell().transactions.append((number, msgspec.structs.replace(transaction, postings=postings)))


def figures(account: Account) -> Figures:
    """What a trace tells of an account."""
    return account.name, account.currency, account.ledger_minor, account.held_minor
