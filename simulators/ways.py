"""The ways to pay, as rows: who pays where, how the card is read, and for how much."""

import enum
from typing import NamedTuple


class Reading(enum.Enum):
    """How the card's data came to the terminal."""

    STRIPE = "magnetic stripe"
    CHIP = "chip"
    CONTACTLESS = "contactless chip"
    WEB = "internet"


class Till(NamedTuple):
    """A card acceptor: DE 18, 41, 42 and 43.

    ``condition`` is DE 25 where a network has that, ``category`` the transaction category of the others.
    """

    merchant_category: str
    terminal: str
    merchant: str
    place: str
    condition: str
    category: str


class Way(NamedTuple):
    """A way to pay. Amounts are ``step`` times ``steps`` minor units; zero is an account verification.

    ``type`` is DE 3, positions 1-2. ``posts`` is a single message (0200). Where ``identified``, later
    messages name it by the network's own identifier as well.
    """

    share: int
    type: str
    reading: Reading
    till: Till
    with_pin: bool = False
    posts: bool = False
    identified: bool = True
    step: int = 1
    steps: tuple[int, int] = (100, 10_000)

    @property
    def is_credit(self) -> bool:
        """Whether the cardholder gets money."""
        return self.type == REFUND

    @property
    def is_verification(self) -> bool:
        """Whether it only asks if the account is good."""
        return self.steps == _NOTHING


PURCHASE, CASH, REFUND = "00", "01", "20"
_NOTHING = (0, 0)


def _till(
    category: str, terminal: str, merchant: str, name: str, city: str, condition: str, tcc: str
) -> Till:
    return Till(category, terminal, f"{merchant:0<15}", f"{name:<25}{city:<13}US", condition, tcc)


_DINER = _till("5812", "STRIPE01", "DINER", "STANDIN TEST DINER", "SPRINGFIELD", "00", "F")
_FUEL = _till("5541", "STRIPE02", "FUEL", "STANDIN TEST FUEL", "SHELBYVILLE", "00", "R")
_GROCER = _till("5411", "CHIP0001", "GROCER", "STANDIN TEST GROCER", "SPRINGFIELD", "00", "R")
_RADIO = _till("5732", "CHIP0002", "RADIO", "STANDIN TEST RADIO", "OGDENVILLE", "00", "R")
_KIOSK = _till("5994", "TAP00001", "KIOSK", "STANDIN TEST KIOSK", "CAPITAL CITY", "00", "R")
_WEBSHOP = _till("5999", "WEB00001", "WEBSHOP", "STANDIN TEST WEBSHOP", "NORTH HAVEN", "59", "T")
_SIGN_UP = _till("4899", "WEB00002", "STREAM", "STANDIN TEST STREAM", "NORTH HAVEN", "51", "T")
_ATM = _till("6011", "ATM00001", "BANK", "STANDIN TEST BANK", "SPRINGFIELD", "02", "Z")

WAYS = (
    Way(14, PURCHASE, Reading.STRIPE, _DINER, identified=False, steps=(350, 9_000)),
    Way(8, PURCHASE, Reading.STRIPE, _FUEL, with_pin=True, identified=False, steps=(1_000, 12_000)),
    Way(14, PURCHASE, Reading.CHIP, _GROCER, steps=(120, 15_000)),
    Way(11, PURCHASE, Reading.CHIP, _RADIO, with_pin=True, steps=(1_999, 45_000)),
    Way(12, PURCHASE, Reading.CONTACTLESS, _KIOSK, steps=(90, 2_500)),
    Way(16, PURCHASE, Reading.WEB, _WEBSHOP, steps=(499, 25_000)),
    Way(9, CASH, Reading.STRIPE, _ATM, with_pin=True, identified=False, step=2_000, steps=(1, 15)),
    Way(3, PURCHASE, Reading.WEB, _SIGN_UP, steps=_NOTHING),
    Way(2, REFUND, Reading.STRIPE, _DINER, identified=False, steps=(350, 9_000)),
    Way(4, CASH, Reading.CHIP, _ATM, with_pin=True, posts=True, step=2_000, steps=(1, 15)),
    Way(5, PURCHASE, Reading.CHIP, _GROCER, with_pin=True, posts=True, steps=(120, 15_000)),
    Way(2, REFUND, Reading.CHIP, _RADIO, posts=True, steps=(350, 9_000)),
)
