"""Fixtures every test may use: the shared vectors, test cards, and an acquirer's questions."""

import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hsm_emulator.pvv import generate_pvv
from processor.iso8583.header import Base1Header
from processor.iso8583.message import Message
from processor.values.sensitive import Pan
from simulators.cards import DeckCard, luhn_digit, write_lines
from simulators.keys import TestKeys, load_test_keys
from simulators.wallet import Wallet

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder of shared vectors: STANDIN_VECTORS, or ../shared/vectors beside the repository.

    Tests that need it are skipped where it is absent, and fail when STANDIN_REQUIRE_VECTORS is 1.
    """
    default = ROOT.parent / "shared" / "vectors"
    folder = Path(os.environ.get("STANDIN_VECTORS") or default)
    if not folder.is_dir():
        if os.environ.get("STANDIN_REQUIRE_VECTORS") == "1":
            pytest.fail(f"STANDIN_REQUIRE_VECTORS is 1 and {folder} does not exist")
        pytest.skip(f"no vectors at {folder}")
    return folder


def _program(name: str) -> str:
    """Where a program of Prometheus is; without it tests are skipped, or fail if STANDIN_REQUIRE_PROMETHEUS is 1."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("STANDIN_REQUIRE_PROMETHEUS") == "1":
            pytest.fail(f"STANDIN_REQUIRE_PROMETHEUS is 1 and there is no {name}")
        pytest.skip(f"no {name}")
    return found


@pytest.fixture(scope="session")
def promtool() -> str:
    """Checks metrics, configuration, rules and their tests."""
    return _program("promtool")


@pytest.fixture(scope="session")
def prometheus() -> str:
    """The server."""
    return _program("prometheus")


@pytest.fixture(scope="session")
def test_keys() -> TestKeys:
    """The published test keys, in clear."""
    return load_test_keys(ROOT / "examples" / "keys.test.json")


_cards = itertools.count(1)


class Issuer:
    """Makes test cards, each with an account of its own and a PIN, and writes them as a deck."""

    def __init__(self, keys: TestKeys) -> None:
        self._keys = keys
        self._issued: list[DeckCard] = []

    def card(
        self, balance_minor: int = 1_000_000, *, expiry: str = "4012", pan: str = "", issued: bool = True
    ) -> Wallet:
        """A new card, in this deck unless it is not ``issued``."""
        digits = f"400000{next(_cards):09}"
        pan = pan or digits + luhn_digit(digits)
        pin = "4271"
        pvv = generate_pvv(self._keys.pvk, Pan(pan).account_12(), "1", pin)
        card = DeckCard(pan, expiry, "201", "840", balance_minor, pvv, "1", "001")
        if issued:
            self._issued.append(card)
        return Wallet(card, pin, self._keys)

    def deck(self, folder: Path) -> Path:
        """The deck's file."""
        write_lines(folder / "deck.jsonl", self._issued)
        return folder / "deck.jsonl"


@pytest.fixture
def issuer(test_keys: TestKeys) -> Issuer:
    """An issuer without cards."""
    return Issuer(test_keys)


@pytest.fixture(scope="module")
def new_issuer(test_keys: TestKeys) -> Callable[[], Issuer]:
    """Issuers for fixtures that live as long as a module."""
    return lambda: Issuer(test_keys)


_READINGS: dict[str, Callable[[Wallet], dict[int, str]]] = {
    "keyed": lambda _: {22: "0100"},  # nothing that the HSM would have to look at
    "stripe": lambda card: {22: "9010", 35: card.stripe},
    "wrong stripe": lambda card: {22: "9010", 35: card.wrong_stripe},
    "chip": lambda card: {22: "0510", 23: "001", 35: card.chip},
    "wrong chip": lambda card: {22: "0510", 23: "001", 35: card.wrong_chip},
    "web": lambda card: {14: card.card.expiry, 22: "0120", 25: "59", 126: card.cvv2},
    "wrong web": lambda card: {14: card.card.expiry, 22: "0120", 25: "59", 126: card.wrong_cvv2},
}


class Till:
    """Makes the questions of an acquirer; each new one has a STAN and an RRN of its own."""

    def __init__(self) -> None:
        self._stans = itertools.count(1)

    def purchase(
        self, card: Wallet, amount_minor: int = 1000, reading: str = "keyed", pin: str = "", **more: str
    ) -> Message:
        """An 0100. ``pin`` is "right" or "wrong"; ``more`` are elements by name, such as ``de3``."""
        elements = self._first({2: card.card.pan, 3: "000000", 4: f"{amount_minor:012}"})
        elements |= _READINGS[reading](card)
        if pin:
            elements |= {
                52: card.pin_block if pin == "right" else card.wrong_pin_block,
                53: "2001010100000000",
            }
        elements |= {int(name.removeprefix("de")): value for name, value in more.items()}
        return self._message("0100", elements)

    def reversal(self, of: Message, auth_code: str = "") -> Message:
        """An 0420 for the whole of a purchase, named by DE 90, and by DE 38 where it is known."""
        asked = of.elements
        elements = self._first({number: asked[number] for number in (2, 3, 4)})
        elements |= {22: asked[22], 37: asked[37], 90: f"0100{asked[11]}{asked[7]}{asked[32]:>011}{0:011}"}
        return self._message("0420", elements | ({38: auth_code} if auth_code else {}))

    def repeat(self, message: Message) -> Message:
        """The same question again: 0101 of an 0100, 0421 of an 0420."""
        return Message(message.header, message.mti[:3] + "1", message.elements)

    def signal(self, code: str) -> Message:
        """An 0800: 071 signs on, 072 off, 301 is an echo test."""
        return self._message("0800", {7: "1121101530", 11: f"{next(self._stans):06}", 70: code})

    def _first(self, elements: dict[int, str]) -> dict[int, str]:
        stan = f"{next(self._stans):06}"
        return elements | {
            7: "1121101530",
            11: stan,
            18: "5411",
            19: "840",
            25: "00",
            32: "400001",
            37: f"632510{stan}",
            41: "TERM0001",
            42: "MERCHANT0000001",
            43: f"{'STANDIN TEST SHOP':<25}{'SPRINGFIELD':<13}US",
            49: "840",
            63: "8000000002",
        }

    def _message(self, mti: str, elements: dict[int, str]) -> Message:
        return Message(Base1Header("400001", "123456", round_trip=7).pack(), mti, elements)


@pytest.fixture(scope="module")
def till() -> Till:
    """A till whose STANs run on through a module, because its tests may share a processor."""
    return Till()
