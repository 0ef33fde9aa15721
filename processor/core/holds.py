"""Effects on authorizations and postings that several decisions share."""

from processor.book.state import CLEARING, SUSPENSE, Posting, State, Transaction, authorized_minor
from processor.values.clock import DAY_MS
from processor.values.effects import (
    AccountOpened,
    Cause,
    Effect,
    HoldSet,
    Posted,
    PostingTaken,
    TransactionOpened,
)
from processor.values.money import Money
from processor.values.requests import Direction, Request


class Draft:
    """A transaction's authorization as it is, or a new one's, to be changed field by field.

    ``effects`` sets it whole and brings our own posting in line with it: a single message is posted as it is
    authorized, unless the network has posted it in our place.
    """

    def __init__(self, number: int, state: State, opened: TransactionOpened | None = None) -> None:
        was = state.transactions.get(number) if opened is None else opened
        assert was is not None, "a draft is of a transaction"
        self.number = number
        self._state = state
        self._account, self._amount, self._direction = was.account, was.amount, was.direction
        self.single_message = was.single_message
        known = was if isinstance(was, Transaction) else None
        self.issuer_minor = known.issuer_minor if known else None
        self.network_minor = known.network_minor if known else None
        self.issuer_void = known.issuer_void if known else False
        self.network_void = known.network_void if known else False
        self.cap_minor = known.cap_minor if known else None
        self.posting_void = known.posting_void if known else False
        self.closed = known.closed if known else False
        self.expires_ms = known.expires_ms if known else 0
        self.hold_class = known.hold_class if known else ""
        self.postings = {n: Posting(p.names, p.minor) for n, p in known.postings.items()} if known else {}
        self._postings: list[Effect] = []

    @property
    def network_posted(self) -> bool:
        """Whether the network has posted for it."""
        return any(number for number in self.postings)

    def take_posting(self, posting: int, names: tuple[str, ...], minor: int) -> None:
        """The network has posted ``minor`` for it."""
        self.postings[posting] = Posting(names)
        self._postings.append(PostingTaken(self.number, posting, names))
        self.set_posting(posting, minor)

    def set_posting(self, posting: int, minor: int) -> None:
        """Bring one posting to ``minor``: money in the transaction's direction."""
        target = minor if self._direction is Direction.DEBIT else -minor
        current = self.postings.setdefault(posting, Posting())
        if difference := target - current.minor:
            current.minor = target
            self._postings += self._moved(posting, difference)

    def effects(self, cause: Cause) -> list[Effect]:
        """The authorization from now on, and what is posted for it."""
        if self.single_message:
            own_minor = 0 if self.network_posted else authorized_minor(self)
            if own_minor or 0 in self.postings:
                self.set_posting(0, own_minor)
        hold = HoldSet(
            self.number,
            cause,
            self.single_message,
            self.issuer_minor,
            self.network_minor,
            self.issuer_void,
            self.network_void,
            self.cap_minor,
            self.posting_void,
            self.closed,
            self.expires_ms,
            self.hold_class,
        )
        return [hold, *self._postings]

    def _moved(self, posting: int, difference: int) -> list[Effect]:
        currency = self._amount.currency
        clearing, amount = CLEARING + currency, Money(abs(difference), currency)
        effects = open_if_new(self._state, clearing, currency)
        if any(isinstance(effect, Posted) for effect in self._postings):
            effects = []  # the first posting of this draft has opened it
        debit, credit = (self._account, clearing) if difference > 0 else (clearing, self._account)
        return [*effects, Posted(self.number, posting, debit, credit, amount)]


def expired(state: State, number: int) -> Effect:
    """The hold's time has come; what is left of it is free again."""
    draft = Draft(number, state)
    draft.closed = True
    return draft.effects(Cause.EXPIRED)[0]


def open_if_new(state: State, account: str, currency: str) -> list[Effect]:
    """Open one of the accounts that are no cardholder's, at its first use."""
    return [] if account in state.accounts else [AccountOpened(account, currency)]


def account_for(state: State, request: Request) -> tuple[str, list[Effect]]:
    """The account that must bear a request: the card's, or suspense if there is none in its currency."""
    card, currency = state.cards.get(request.card), request.amount.currency
    if card is not None and state.accounts[card.account].currency == currency:
        return card.account, []
    return SUSPENSE + currency, open_if_new(state, SUSPENSE + currency, currency)


def bears(state: State, number: int, request: Request) -> bool:
    """Whether a transaction can take in what a request moves: the same currency in the same direction."""
    transaction = state.transactions[number]
    account = state.accounts.get(transaction.account)
    return (
        account is not None
        and account.currency == transaction.amount.currency == request.amount.currency
        and transaction.direction is request.direction
    )


def opened(
    request: Request,
    sequence: int,
    account: str,
    now_ms: int,
    keys: tuple[str, ...],
    *,
    auth_code: str = "",
    asked: bool = False,
    single_message: bool = False,
) -> TransactionOpened:
    """The transaction that a request, an advice or a reversal opens."""
    return TransactionOpened(
        transaction=sequence,
        network=request.network,
        card=request.card,
        account=account,
        amount=request.amount,
        direction=request.direction,
        auth_code=auth_code,
        rrn=request.rrn,
        keys=keys,
        asked=asked,
        single_message=single_message,
        day=now_ms // DAY_MS,
    )
