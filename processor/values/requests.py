"""What a network message asks, in business terms: typed, checked, and free of anything sensitive.

These values are journaled, so no PAN (a token stands for it), PIN block, CVV, track or chip data is in them.
``key`` is equal on a question and its repeats; ``content`` is what must not differ between them.
``match_keys`` are the names under which a later message can find this one; the profile builds them, and the
part that needs our DE 38 is written as ``AUTH_CODE`` until there is one.
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


class Authorization(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """An 0100 or 0101: may this card spend this?

    ``amount`` is what the card's account would be charged: DE 6/51 when present, else DE 4/49.
    ``expiry`` is YYMM as the message says it, from DE 14 or the track, or empty.
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
    transaction_amount: Money
    transmitted: str
    stan: str
    rrn: str
    acquirer: str
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


class Reversal(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """An 0420 or 0421: that purchase did not happen. ``match_keys`` name the original, best first."""

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


class Signal(enum.Enum):
    """What a network management message (08xx) wants, from DE 70 by the profile."""

    SIGN_ON = "sign_on"
    SIGN_OFF = "sign_off"
    ECHO = "echo"


class NetworkManagement(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """An 0800: the link's own business."""

    network: str
    mti: str
    signal: Signal
    transmitted: str
    stan: str
