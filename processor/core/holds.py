"""Effects on holds and postings that several decisions share."""

from processor.book.state import CLEARING, SUSPENSE, State, Transaction
from processor.values.effects import AccountOpened, Cause, Effect, HoldSet, Posted
from processor.values.money import Money
from processor.values.requests import Direction, Request


class Hold:
    """A transaction's hold as it is, or empty, to be set anew: change fields, then take ``effect``."""

    __slots__ = (
        "cleared_minor",
        "closed",
        "expires_ms",
        "hold_class",
        "issuer_minor",
        "issuer_void",
        "network_minor",
        "network_void",
    )

    def __init__(self, transaction: Transaction | None) -> None:
        self.issuer_minor = transaction.issuer_minor if transaction else None
        self.network_minor = transaction.network_minor if transaction else None
        self.issuer_void = transaction.issuer_void if transaction else False
        self.network_void = transaction.network_void if transaction else False
        self.cleared_minor = transaction.cleared_minor if transaction else 0
        self.closed = transaction.closed if transaction else False
        self.expires_ms = transaction.expires_ms if transaction else 0
        self.hold_class = transaction.hold_class if transaction else ""

    def effect(self, number: int, cause: Cause) -> HoldSet:
        """The hold of transaction ``number`` from now on."""
        return HoldSet(
            number,
            cause,
            self.issuer_minor,
            self.network_minor,
            self.issuer_void,
            self.network_void,
            self.cleared_minor,
            self.closed,
            self.expires_ms,
            self.hold_class,
        )


def expired(state: State, number: int) -> HoldSet:
    """The hold's time has come; what is left of it is free again."""
    hold = Hold(state.transactions[number])
    hold.closed = True
    return hold.effect(number, Cause.EXPIRED)


def post(state: State, number: int, account: str, amount: Money, direction: Direction) -> list[Effect]:
    """Move an amount between the account and the network's clearing account; an amount of zero does not."""
    if not amount.minor or direction is Direction.NONE:
        return []
    clearing = CLEARING + amount.currency
    effects = open_if_new(state, clearing, amount.currency)
    if direction is Direction.DEBIT:
        return [*effects, Posted(number, account, clearing, amount)]
    return [*effects, Posted(number, clearing, account, amount)]


def unpost(number: int, transaction: Transaction, keep_minor: int = 0) -> list[Effect]:
    """Give back what was posted beyond ``keep_minor``; or take it back, where it had been a credit."""
    currency, posted = transaction.amount.currency, transaction.posted_minor
    clearing, excess = CLEARING + currency, abs(posted) - keep_minor
    if not posted or excess <= 0:
        return []
    amount = Money(excess, currency)
    if posted > 0:
        return [Posted(number, clearing, transaction.account, amount)]
    return [Posted(number, transaction.account, clearing, amount)]


def open_if_new(state: State, account: str, currency: str) -> list[Effect]:
    """Open one of the accounts that are no cardholder's, at its first use."""
    return [] if account in state.accounts else [AccountOpened(account, currency)]


def account_for(state: State, request: Request) -> tuple[str, list[Effect]]:
    """The account that must bear a request: the card's, or suspense if there is none in its currency."""
    card, currency = state.cards.get(request.card), request.amount.currency
    if card is not None and state.accounts[card.account].currency == currency:
        return card.account, []
    return SUSPENSE + currency, open_if_new(state, SUSPENSE + currency, currency)
