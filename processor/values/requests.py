"""What a network message asks, in business terms: typed, checked, and free of anything sensitive.

These values are journaled, so no PAN (a token stands for it), PIN block, CVV, track or chip data is in them.
``key`` is equal on a question and its repeats; ``content`` is what must not differ between them.
Match keys are the names under which one message finds another; the profile builds them, and the part that
needs our DE 38 is written as ``AUTH_CODE`` until there is one.
"""

import enum

import msgspec

from processor.values.money import Money

AUTH_CODE = "{38}"


class CvvKind(enum.Enum):
    """Which card verification value a message carries, by entry mode."""

    NONE = "none"
    CVV = "cvv"  # magnetic stripe: service code of the track
    ICVV = "icvv"  # chip's track 2 equivalent: service code 999
    CVV2 = "cvv2"  # printed on the card: service code 000


class Direction(enum.Enum):
    """What a transaction does to the cardholder's money, by DE 3."""

    DEBIT = "debit"
    CREDIT = "credit"
    NONE = "none"


class Request(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What every message about money has. ``amount`` is what the card's account is charged or credited.

    ``match_keys`` of an authorization are the names it is known by; those of an advice or a reversal are the
    names it gives the message it is about, best first.
    """

    network: str
    mti: str
    key: str
    content: str
    match_keys: tuple[str, ...]
    card: str
    pan_masked: str
    processing_code: str
    amount: Money
    transmitted: str
    stan: str
    rrn: str
    acquirer: str
    direction: Direction


class Authorization(Request, frozen=True, tag=True, array_like=True, gc=False):
    """An 0100 or 0200 (or its repeat): may this card spend this?

    ``amount`` is DE 6/51 when present, else DE 4/49. A ``single_message`` (0200) is posted at once, others
    hold. ``expiry`` is YYMM as the message says it, from DE 14 or the track, or empty.
    """

    single_message: bool
    transaction_amount: Money
    terminal: str
    merchant: str
    merchant_category: str
    country: str
    entry_mode: str
    condition: str
    expiry: str
    pin_present: bool
    cvv_kind: CvvKind
    hold_days: int
    hold_class: str


class Advice(Request, frozen=True, tag=True, array_like=True, gc=False):
    """An 0120 (the network decided for us) or 0220 (it has been posted): never declined, only taken in.

    ``known_by`` are the names under which a later message may find it, ``approved`` what was decided. An 0220
    is ``financial``. Whom a type that is not ``known_type`` charges, nobody here can say. ``reason`` is why
    the network sent it, as the network codes it.
    """

    known_by: tuple[str, ...]
    known_type: bool
    financial: bool
    approved: bool
    auth_code: str
    reason: str
    hold_days: int
    hold_class: str


class Original(enum.Enum):
    """What a reversal names as its original, by the message type in DE 90."""

    AUTHORIZATION = "authorization"
    SINGLE_MESSAGE = "single_message"  # an 0200
    POSTING = "posting"  # an 0220


class Reversal(Request, frozen=True, tag=True, array_like=True, gc=False):
    """An 0400 or 0420: that did not happen, or only in part.

    ``total`` is the new total of a partial reversal (DE 95), None for a full one; its currency is empty where
    the message leaves it to the original. ``of_late_answer`` is a reversal that speaks of our own late or
    undelivered answer and says nothing of what the network decided.
    """

    total: Money | None
    of_late_answer: bool
    original: Original


class Signal(enum.Enum):
    """What a network management message (08xx) wants, from DE 70 by the profile."""

    SIGN_ON = "sign_on"
    SIGN_OFF = "sign_off"
    ECHO = "echo"
    RECOVERY_BEGIN = "recovery_begin"  # send us the advices that you have stored
    RECOVERY_END = "recovery_end"  # there are no more


class NetworkManagement(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """An 0800: the link's own business."""

    network: str
    mti: str
    signal: Signal
    transmitted: str
    stan: str
