"""What a cardholder brings to a terminal: tracks, CVV2 and PIN blocks of one card, right and wrong.

Everything is worked out once per card, on first use, so that traffic costs no cryptography.
"""

import functools
import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import msgspec

from hsm_emulator.cvv import generate_cvv
from hsm_emulator.pin_block import encrypt_iso0
from hsm_emulator.pvv import generate_pvv
from processor.iso8583.tables.visa_like import PRIVATE_USE
from processor.values.errors import ConfigError
from processor.values.sensitive import Pan
from simulators.cards import TEST_BINS, DeckCard, pan_of, read_deck, read_pins
from simulators.keys import TestKeys

_CVV2_SERVICE_CODE = "000"
_ICVV_SERVICE_CODE = "999"
_CVV2_PRESENT = "11"  # 126.10: a value is there, and its result is wanted; then the value in four characters
_CHECKED_WALLETS = 20
_STRANGERS = 5
_STRANGERS_PIN = "0000"


class Wallet:
    """One card and its PIN; prints masked. Every value is in the form of its data element."""

    def __init__(self, card: DeckCard, pin: str, keys: TestKeys) -> None:
        self.card = card
        self._pin = pin
        self._keys = keys

    def __repr__(self) -> str:
        return f"Wallet({Pan(self.card.pan)})"

    @functools.cached_property
    def stripe(self) -> str:
        """DE 35 of the magnetic stripe, with the CVV."""
        return self._track(self._cvv(self.card.service_code))

    @functools.cached_property
    def wrong_stripe(self) -> str:
        """DE 35 of a chip's image copied onto a stripe: it has the iCVV, which a stripe must not have."""
        right, copied = self._cvv(self.card.service_code), self._cvv(_ICVV_SERVICE_CODE)
        return self._track(copied if copied != right else _other_than(right))

    @functools.cached_property
    def chip(self) -> str:
        """DE 35 of the chip's track 2 equivalent, with the iCVV."""
        return self._track(self._cvv(_ICVV_SERVICE_CODE))

    @functools.cached_property
    def wrong_chip(self) -> str:
        """DE 35 from the chip with a wrong iCVV."""
        return self._track(_other_than(self._cvv(_ICVV_SERVICE_CODE)))

    @functools.cached_property
    def cvv2(self) -> str:
        """DE 126 with the CVV2 that is printed on the card."""
        return _private_use(self.cvc2)

    @functools.cached_property
    def wrong_cvv2(self) -> str:
        """DE 126 with a wrong CVV2."""
        return _private_use(self.wrong_cvc2)

    @functools.cached_property
    def cvc2(self) -> str:
        """The same value by its other name, as DE 48.92 has it."""
        return self._cvv(_CVV2_SERVICE_CODE)

    @functools.cached_property
    def wrong_cvc2(self) -> str:
        """A wrong one."""
        return _other_than(self._cvv(_CVV2_SERVICE_CODE))

    @functools.cached_property
    def pin_block(self) -> str:
        """DE 52, ISO 9564 format 0 under the zone PIN key."""
        return self._pin_block(self._pin)

    @functools.cached_property
    def wrong_pin_block(self) -> str:
        """DE 52 with a PIN of another PVV: of ten thousand PINs a few share one, and those would be right."""
        candidates = (f"{(int(self._pin) + step) % 10_000:04}" for step in range(1, 10_000))
        return self._pin_block(next(pin for pin in candidates if self._pvv(pin) != self.card.pvv))

    def check(self) -> None:
        """See that deck and PIN file belong together under these keys. Errors: ConfigError, card masked."""
        if self._pvv(self._pin) != self.card.pvv:
            raise ConfigError([f"card {Pan(self.card.pan)}: deck, PIN file and keys do not belong together"])

    def _cvv(self, service_code: str) -> str:
        return generate_cvv(self._keys.cvk, self.card.pan, self.card.expiry, service_code)

    def _track(self, cvv: str) -> str:
        card = self.card
        return f"{card.pan}D{card.expiry}{card.service_code}{card.pvki}{card.pvv}{cvv}".ljust(37, "0")

    def _pin_block(self, pin: str) -> str:
        return encrypt_iso0(self._keys.zpk, pin, Pan(self.card.pan).account_12())

    def _pvv(self, pin: str) -> str:
        return generate_pvv(self._keys.pvk, Pan(self.card.pan).account_12(), self.card.pvki, pin)


def read_wallets(deck: Path, pins: Path, keys: TestKeys) -> list[Wallet]:
    """Each card of the deck with its PIN; a sample is checked against its PVV.

    Errors: ConfigError for what cannot be read or does not belong together.
    """
    cards, pin_of = read_deck(deck), read_pins(pins)
    if missing := sum(card.pan not in pin_of for card in cards):
        raise ConfigError([f"{pins}: has no PIN for {missing} cards of {deck}"])
    wallets = [Wallet(card, pin_of[card.pan], keys) for card in cards]
    for wallet in random.Random(len(wallets)).sample(wallets, min(_CHECKED_WALLETS, len(wallets))):
        wallet.check()
    return wallets


def of_network(wallets: Sequence[Wallet], network: str) -> list[Wallet]:
    """Those whose cards are the network's. Errors: ConfigError if there are none."""
    own = [wallet for wallet in wallets if wallet.card.pan.startswith(TEST_BINS[network])]
    if not own:
        raise ConfigError([f"the deck has no cards of {network}: they begin with {TEST_BINS[network]}"])
    return own


def strangers(wallets: Sequence[Wallet], network: str, keys: TestKeys) -> list[Wallet]:
    """A few cards of the network that are in no deck of these cards."""
    known = {wallet.card.pan for wallet in wallets}
    pans = (pan_of(TEST_BINS[network], account) for account in itertools.count(999_000_001))
    unknown = itertools.islice((pan for pan in pans if pan not in known), _STRANGERS)
    like = wallets[0].card
    return [Wallet(msgspec.structs.replace(like, pan=pan), _STRANGERS_PIN, keys) for pan in unknown]


def _other_than(cvv: str) -> str:
    return f"{(int(cvv) + 500) % 1000:03}"


def _private_use(cvv2: str) -> str:
    return PRIVATE_USE.build({10: f"{_CVV2_PRESENT}{cvv2:>4}"})
