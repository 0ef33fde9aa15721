"""Seeded test cards, the deck file the processor loads, and the file of PINs that only simulators read."""

import itertools
import os
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from processor.values.errors import ConfigError
from processor.values.sensitive import Pan

TEST_BINS = {"visa-like": "400000", "mc-like": "520000"}
"""How each network's cards begin, so that none can be mistaken for a live one, nor for another network's."""

CURRENCY = "840"
PVKI = "1"
_PSN = "001"
_ACCOUNTS = 10**9  # of one BIN
_EXPIRY_YEARS = range(40, 45)  # fixed, so that a seed names the same deck in every year to come
_CARDS_MAX = 10**8  # a tenth of the accounts of one BIN: drawing stays cheap
_SERVICE_CODES = ("201", "201", "101")  # two chip cards to one with a stripe only

# Balances in minor units, with how many cards of a hundred have them; the first kind soon runs out of funds.
_BALANCES = ((15, 1_000, 20_000), (60, 50_000, 500_000), (25, 1_000_000, 5_000_000))


class DeckCard(msgspec.Struct, frozen=True):
    """A line of the deck: what an issuer knows. ``expiry`` is YYMM; the PVV stands for the PIN."""

    pan: str
    expiry: str
    service_code: str
    currency: str
    balance_minor: int
    pvv: str
    pvki: str
    psn: str

    def __repr__(self) -> str:
        return f"DeckCard({Pan(self.pan)})"

    __str__ = __repr__


class CardPin(msgspec.Struct, frozen=True):
    """A line of the PIN file: what the cardholder knows."""

    pan: str
    pin: str

    def __repr__(self) -> str:
        return f"CardPin({Pan(self.pan)})"

    __str__ = __repr__


_Line = TypeVar("_Line", DeckCard, CardPin)


def draft_cards(count: int, seed: int) -> tuple[list[DeckCard], list[CardPin]]:
    """Cards without a PVV yet, and their PINs, in the same order; equal seeds give equal cards.

    The networks' cards take turns. Errors: ConfigError for a count that is not 1 to 10**8.
    """
    if not 1 <= count <= _CARDS_MAX:
        raise ConfigError([f"cards: must be 1 to {_CARDS_MAX}"])
    chance = random.Random(seed)
    cards = [
        DeckCard(
            pan=pan,
            expiry=f"{chance.choice(_EXPIRY_YEARS)}{chance.randint(1, 12):02}",
            service_code=chance.choice(_SERVICE_CODES),
            currency=CURRENCY,
            balance_minor=_balance_minor(chance),
            pvv="",
            pvki=PVKI,
            psn=_PSN,
        )
        for pan in _pans(count, chance)
    ]
    return cards, [CardPin(card.pan, f"{chance.randrange(10_000):04}") for card in cards]


def luhn_digit(digits: str) -> str:
    """The check digit that makes ``digits`` a valid card number.

    >>> luhn_digit("400000123456789")
    '9'
    """
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[::-2]]
    plain = [int(digit) for digit in digits[-2::-2]]
    return str(-(sum(doubled) + sum(plain)) % 10)


def _pans(count: int, chance: random.Random) -> Iterator[str]:
    """Different PANs of the test BINs in turn, in the order their accounts were drawn."""
    bins = itertools.cycle(TEST_BINS.values())
    for account, bin_digits in zip(chance.sample(range(_ACCOUNTS), count), bins, strict=False):
        yield pan_of(bin_digits, account)


def pan_of(bin_digits: str, account: int) -> str:
    """The PAN of an account of a BIN.

    >>> pan_of("400000", 123456789)
    '4000001234567899'
    """
    digits = f"{bin_digits}{account:09}"
    return digits + luhn_digit(digits)


def _balance_minor(chance: random.Random) -> int:
    shares = [share for share, _, _ in _BALANCES]
    _, least, most = chance.choices(_BALANCES, shares)[0]
    return chance.randint(least, most)


def write_lines(path: Path, lines: Iterable[DeckCard | CardPin], mode: int = 0o644) -> None:
    """Write one JSON object a line; the file has ``mode`` before the first byte is in it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.writelines(msgspec.json.encode(line) + b"\n" for line in lines)


def read_deck(path: Path) -> list[DeckCard]:
    """The cards of a deck file. Errors: ConfigError naming the line."""
    return _read(path, DeckCard)


def read_pins(path: Path) -> dict[str, str]:
    """The PIN of each PAN. Errors: ConfigError naming the line."""
    return {line.pan: line.pin for line in _read(path, CardPin)}


def _read(path: Path, kind: type[_Line]) -> list[_Line]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read ({error.strerror})"]) from None
    found = []
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            found.append(msgspec.json.decode(line, type=kind))
            Pan(found[-1].pan)
        except ValueError:  # msgspec's own would quote the line
            raise ConfigError([f"{path}: line {number} is not a {kind.__name__}"]) from None
    if not found:
        raise ConfigError([f"{path}: no lines"])
    return found
