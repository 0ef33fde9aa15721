"""Seeded visa-like traffic: what is asked next, slot by slot.

A slot is one transmission. Most slots bring a new authorization; some of these are repeated (0101), reversed
(0420, repeated as 0421), or follow their own reversal. When those follow is counted in slots, so that equal
seeds give equal traffic at any rate.
"""

import datetime as dt
import functools
import heapq
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from processor.iso8583.header import Base1Header
from processor.iso8583.message import Message
from processor.iso8583.tables.visa_like import CUSTOM_PAYMENT_SERVICE, NETWORK_PRIVATE_USE
from processor.values.clock import Clock
from simulators.question import Fault, Question, Transmission
from simulators.wallet import Wallet

_ACQUIRER = "400001"
_OUR_STATION, _ISSUER_STATION = "123456", "400001"
_CURRENCY = "840"
_COUNTRY = "840"
_PIN_SECURITY = "2001010100000000"  # DE 53: zone encryption, ISO format 0
_PIN_CAPTURE = "12"
_NETWORK_DATA = NETWORK_PRIVATE_USE.build({1: "0002"})
_REVERSAL_NETWORK_DATA = NETWORK_PRIVATE_USE.build({1: "0002", 3: "2501"})
_STANS = 1_000_000

SIGN_ON, SIGN_OFF, ECHO_TEST = "071", "072", "301"


class Scenario(NamedTuple):
    """A way to pay. ``reading`` is which of the wallet's evidence the terminal gets.

    Amounts are ``step`` times ``steps`` minor units; DE 62 with a transaction identifier comes where
    ``identified``, so that reversals are matched both by it and without it.
    """

    share: int
    processing_code: str
    entry_mode: str
    condition: str
    reading: str
    with_pin: bool
    identified: bool
    merchant_category: str
    terminal: str
    merchant: str
    place: str
    step: int
    steps: tuple[int, int]


def _place(name: str, city: str) -> str:
    return f"{name:<25}{city:<13}US"


SCENARIOS = (
    Scenario(20, "000000", "9010", "00", "stripe", False, False, "5812", "STRIPE01", "DINER0000000001",
             _place("STANDIN TEST DINER", "SPRINGFIELD"), 1, (350, 9_000)),
    Scenario(10, "000000", "9010", "00", "stripe", True, False, "5541", "STRIPE02", "FUEL00000000001",
             _place("STANDIN TEST FUEL", "SHELBYVILLE"), 1, (1_000, 12_000)),
    Scenario(18, "000000", "0510", "00", "chip", False, True, "5411", "CHIP0001", "GROCER000000001",
             _place("STANDIN TEST GROCER", "SPRINGFIELD"), 1, (120, 15_000)),
    Scenario(15, "000000", "0510", "00", "chip", True, True, "5732", "CHIP0002", "RADIO0000000001",
             _place("STANDIN TEST RADIO", "OGDENVILLE"), 1, (1_999, 45_000)),
    Scenario(22, "000000", "0120", "59", "cvv2", False, True, "5999", "WEB00001", "WEBSHOP00000001",
             _place("STANDIN TEST WEBSHOP", "NORTH HAVEN"), 1, (499, 25_000)),
    Scenario(15, "010000", "9010", "02", "stripe", True, False, "6011", "ATM00001", "BANK00000000001",
             _place("STANDIN TEST BANK", "SPRINGFIELD"), 2_000, (1, 15)),
)  # fmt: skip

# Of a thousand new authorizations, how many have which fault or fate.
_WRONG_CVV, _WRONG_PIN = 15, 20
_REPEATED_AT_ONCE, _REPEATED_LATER = 15, 15
_REVERSED_SOON, _REVERSED_LATER = 8, 12
_REVERSED_FIRST = 3
_REVERSAL_REPEATED = 250  # of a thousand reversals
_ECHO_TEST_SLOTS = 500
_FORGETFUL_EVERY = 100  # one cardholder in so many never knows the PIN

_AT_ONCE, _SOON, _LATER = (1, 2), (1, 5), (100, 2_000)

_SCENARIO_SHARES = [scenario.share for scenario in SCENARIOS]
_WRONG = {
    "stripe": Fault.WRONG_CVV,
    "chip": Fault.WRONG_CVV,
    "cvv2": Fault.WRONG_CVV2,
}


class Traffic:
    """The switch's questions in order. ``clock`` dates them; everything else comes from the seed."""

    def __init__(self, wallets: Sequence[Wallet], seed: int, clock: Clock) -> None:
        self._wallets = wallets
        self._chance = random.Random(seed)
        self._clock = clock
        self._slot = 0
        self._stan = 0
        self._later: list[tuple[int, int, Callable[[], Transmission]]] = []
        self._identifier = clock.wall_ms() // 1000 % 10**9  # no run uses another's transaction identifiers

    def next(self) -> Transmission:
        """What leaves in the next slot."""
        self._slot += 1
        if self._later and self._later[0][0] <= self._slot:
            return heapq.heappop(self._later)[2]()
        if self._slot % _ECHO_TEST_SLOTS == 0:
            return self.network_management(ECHO_TEST)
        question = self._authorization()
        if self._happens(_REVERSED_FIRST):
            question.reversed_first = True
            self._follow(_SOON, functools.partial(Transmission, question, "0100"))
            return self._reversal(question)
        self._plan_fate(question)
        return Transmission(question, "0100")

    def network_management(self, code: str) -> Transmission:
        """An 0800: SIGN_ON, SIGN_OFF or ECHO_TEST."""
        stan, transmitted = self._next_stan(), _transmission_time(self._clock.wall_ms() // 1000)
        elements = {7: transmitted, 11: stan, 63: _NETWORK_DATA, 70: code}
        return Transmission(Question(Message(_header(stan), "0800", elements)), "0800")

    def _authorization(self) -> Question:
        chance = self._chance
        holder = chance.randrange(len(self._wallets))
        wallet = self._wallets[holder]
        scenario = chance.choices(SCENARIOS, _SCENARIO_SHARES)[0]
        amount_minor = scenario.step * chance.randint(*scenario.steps)
        fault = _WRONG[scenario.reading] if self._happens(_WRONG_CVV) else Fault.NONE
        if scenario.with_pin and (self._happens(_WRONG_PIN) or holder % _FORGETFUL_EVERY == 0):
            fault = Fault.WRONG_PIN
        stan, second = self._next_stan(), self._clock.wall_ms() // 1000
        elements = {
            2: wallet.card.pan,
            3: scenario.processing_code,
            4: f"{amount_minor:012}",
            7: _transmission_time(second),
            11: stan,
            14: wallet.card.expiry,
            18: scenario.merchant_category,
            19: _COUNTRY,
            22: scenario.entry_mode,
            25: scenario.condition,
            32: _ACQUIRER,
            37: _retrieval_prefix(second // 3600) + stan,
            41: scenario.terminal,
            42: scenario.merchant,
            43: scenario.place,
            49: _CURRENCY,
            63: _NETWORK_DATA,
        }
        if scenario.identified:
            elements[62] = CUSTOM_PAYMENT_SERVICE.build({1: "E", 2: f"{self._identifier:09}{stan}"})
        elements.update(_evidence(wallet, scenario, fault))
        return Question(Message(_header(stan), "0100", elements), amount_minor=amount_minor, fault=fault)

    def _plan_fate(self, question: Question) -> None:
        """Repeat or reverse it, perhaps."""
        repeat = functools.partial(Transmission, question, "0101")
        reverse = functools.partial(self._reversal, question)
        for per_mille, delay, follow_up in (
            (_REPEATED_AT_ONCE, _AT_ONCE, repeat),
            (_REPEATED_LATER, _LATER, repeat),
            (_REVERSED_SOON, _SOON, reverse),
            (_REVERSED_LATER, _LATER, reverse),
        ):
            if self._happens(per_mille):
                self._follow(delay, follow_up)
                if follow_up is reverse:
                    return

    def _reversal(self, original: Question) -> Transmission:
        """An 0420 for the whole of ``original``, named by DE 90, and by DE 38 and 62.2 if there are any."""
        asked = original.message.elements
        stan = self._next_stan()
        elements = {number: asked[number] for number in _REVERSAL_COPIES if number in asked}
        elements[7] = _transmission_time(self._clock.wall_ms() // 1000)
        elements[11] = stan
        elements[63] = _REVERSAL_NETWORK_DATA
        elements[90] = f"0100{asked[11]}{asked[7]}{asked[32]:>011}{0:011}"
        if original.answer is not None and original.answer.auth_code:
            elements[38] = original.answer.auth_code
        reversal = Question(Message(_header(stan), "0420", elements), original=original)
        if self._happens(_REVERSAL_REPEATED):
            self._follow(_SOON, functools.partial(Transmission, reversal, "0421"))
        return Transmission(reversal, "0420")

    def _happens(self, per_mille: int) -> bool:
        return self._chance.randrange(1000) < per_mille

    def _follow(self, delay: tuple[int, int], follow_up: Callable[[], Transmission]) -> None:
        slot = self._slot + self._chance.randint(*delay)
        heapq.heappush(self._later, (slot, self._chance.getrandbits(62), follow_up))

    def _next_stan(self) -> str:
        self._stan = self._stan % (_STANS - 1) + 1
        return f"{self._stan:06}"


_REVERSAL_COPIES = (2, 3, 4, 18, 19, 22, 25, 32, 37, 41, 42, 43, 49, 62)


def _evidence(wallet: Wallet, scenario: Scenario, fault: Fault) -> dict[int, str]:
    """The elements that the cardholder is verified by."""
    found: dict[int, str] = {}
    wrong = fault in (Fault.WRONG_CVV, Fault.WRONG_CVV2)
    if scenario.reading == "cvv2":
        found[126] = wallet.wrong_cvv2 if wrong else wallet.cvv2
    elif scenario.reading == "chip":
        found[23] = wallet.card.psn
        found[35] = wallet.wrong_chip if wrong else wallet.chip
    else:
        found[35] = wallet.wrong_stripe if wrong else wallet.stripe
    if scenario.with_pin:
        found[26] = _PIN_CAPTURE
        found[52] = wallet.wrong_pin_block if fault is Fault.WRONG_PIN else wallet.pin_block
        found[53] = _PIN_SECURITY
    return found


def _header(stan: str) -> bytes:
    """Each message has another round-trip value, so that a reply with another's header is noticed."""
    return Base1Header(_ISSUER_STATION, _OUR_STATION, round_trip=int(stan) % 256).pack()


@functools.lru_cache(maxsize=4)
def _transmission_time(second: int) -> str:
    """DE 7, MMDDhhmmss in UTC, of a second since 1970."""
    return dt.datetime.fromtimestamp(second, dt.UTC).strftime("%m%d%H%M%S")


@functools.lru_cache(maxsize=4)
def _retrieval_prefix(hour: int) -> str:
    """The first six characters of DE 37, YDDDhh, of an hour since 1970."""
    moment = dt.datetime.fromtimestamp(hour * 3600, dt.UTC)
    return f"{moment.year % 10}{moment:%j%H}"
