"""A card as the book keeps it: no PAN, no CVV, no PIN."""

import enum

import msgspec


class CardStatus(enum.Enum):
    """Whether the card may be used at all."""

    ACTIVE = "active"
    BLOCKED = "blocked"


class Card(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One plastic. ``expiry`` is YYMM, good through the month's last day; ``version`` grows with each change.

    The PVV (4 digits, with its key index ``pvki``) is what an issuer stores in place of the PIN.
    """

    token: str
    pan_masked: str
    account: str
    expiry: str
    service_code: str
    pvv: str
    pvki: str
    psn: str
    pin_tries_max: int
    pin_tries_left: int
    status: CardStatus = CardStatus.ACTIVE
    version: int = 1
