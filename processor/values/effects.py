"""What a command did to the state; ``State.apply`` of these is the only way in which state changes.

A transaction is named by the sequence number of the record that opened it.
"""

import enum

import msgspec

from processor.values.cards import Card
from processor.values.money import Money
from processor.values.outcome import Reply


class Ending(enum.Enum):
    """How a hold or a transaction came to its end."""

    DECLINED = "declined"
    REVERSED = "reversed"
    EXPIRED = "expired"
    LAPSED = "lapsed"


class AccountOpened(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """An account exists, empty, in one currency."""

    account: str
    currency: str


class CardIssued(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """A card exists."""

    card: Card


class Posted(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """Money moved between two ledger accounts of one currency: ``credit`` grows by what ``debit`` loses."""

    debit: str
    credit: str
    amount: Money


class TransactionOpened(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """The first message of a transaction was answered; later ones find it by its keys."""

    transaction: int
    network: str
    card: str
    account: str
    amount: Money
    auth_code: str
    rrn: str
    keys: tuple[str, ...]


class TransactionEnded(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """Nothing further is expected of this transaction."""

    transaction: int
    ending: Ending


class HoldPlaced(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """Money set aside until cleared, released or expired. ``hold_class`` says which expiry row applied."""

    transaction: int
    account: str
    amount: Money
    expires_ms: int
    hold_class: str


class HoldReleased(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """The rest of a hold is free again."""

    transaction: int
    account: str
    amount: Money
    ending: Ending


class PinTrySpent(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """A wrong PIN."""

    card: str


class PinTriesRestored(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """A right PIN after wrong ones."""

    card: str


class Answered(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """The answer to give to this question from now on. A second one for the same key replaces the first."""

    key: str
    content: str
    reply: Reply


class ReversalParked(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """A reversal whose original has not been seen: an original with one of these keys takes no hold."""

    keys: tuple[str, ...]
    reversal: int


class SignChanged(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """A network signed on or off."""

    network: str
    signed_on: bool


Effect = (
    AccountOpened
    | CardIssued
    | Posted
    | TransactionOpened
    | TransactionEnded
    | HoldPlaced
    | HoldReleased
    | PinTrySpent
    | PinTriesRestored
    | Answered
    | ReversalParked
    | SignChanged
)
