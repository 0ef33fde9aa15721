"""What a command did to the state; ``State.apply`` of these is the only way in which state changes.

A transaction is named by the sequence number of the record that opened it.
"""

import enum

import msgspec

from processor.values.cards import Card
from processor.values.money import Money
from processor.values.outcome import Reply
from processor.values.requests import Direction


class Cause(enum.Enum):
    """Why a hold changed."""

    AUTHORIZED = "authorized"
    STAND_IN = "stand_in"  # the network decided for us
    REVERSED = "reversed"
    PARTLY_REVERSED = "partly_reversed"
    VOIDED = "voided"  # our own answer came late or was not delivered
    LAPSED = "lapsed"  # our deadline passed before the answer was durable
    CLEARED = "cleared"
    EXPIRED = "expired"


class AccountOpened(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """An account exists, empty, in one currency."""

    account: str
    currency: str


class CardIssued(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """A card exists."""

    card: Card


class Posted(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """Money moved between two ledger accounts of one currency: ``credit`` grows by what ``debit`` loses.

    ``transaction`` is the one it belongs to, 0 for what is none (an account being funded); ``posting`` is the
    record whose message it is part of, 0 for what we post ourselves when a single message is authorized.
    """

    transaction: int
    posting: int
    debit: str
    credit: str
    amount: Money


class PostingTaken(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """The network has posted for a transaction (0220); a reversal may name this posting by its names."""

    transaction: int
    posting: int
    names: tuple[str, ...]


class TransactionOpened(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """The first message of a transaction came, whichever it was; later ones find it by its keys.

    ``asked`` tells whether that was the request itself rather than an advice or a reversal about it; a
    ``single_message`` transaction is posted as it is authorized. ``day`` is the UTC day whose limits it uses.
    """

    transaction: int
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


class TransactionAsked(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """The request of a transaction came after an advice or a reversal about it."""

    transaction: int
    auth_code: str
    keys: tuple[str, ...]


class TransactionNamed(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """An advice joined a transaction, which is now known by the advice's names too."""

    transaction: int
    keys: tuple[str, ...]


class HoldSet(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """What a transaction's authorization is made of from now on, whole: not a difference.

    ``issuer_minor`` is what we authorized, ``network_minor`` what the network authorized in our place, each
    None where nobody did. A void part counts as nothing, whether it comes before or after its voiding, and
    ``cap_minor`` is the new total of a partial reversal. A ``closed`` hold holds nothing more. Where
    ``posting_void`` is set, a posting that is still to come posts nothing. ``hold_class`` says which row of
    the expiry table applied.
    """

    transaction: int
    cause: Cause
    single_message: bool
    issuer_minor: int | None
    network_minor: int | None
    issuer_void: bool
    network_void: bool
    cap_minor: int | None
    posting_void: bool
    closed: bool
    expires_ms: int
    hold_class: str


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


class SignChanged(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """A network signed on or off."""

    network: str
    signed_on: bool


Effect = (
    AccountOpened
    | CardIssued
    | Posted
    | PostingTaken
    | TransactionOpened
    | TransactionAsked
    | TransactionNamed
    | HoldSet
    | PinTrySpent
    | PinTriesRestored
    | Answered
    | SignChanged
)
