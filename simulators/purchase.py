"""One purchase as the network knows it: its request, and every later message about it."""

import random
from typing import NamedTuple

from processor.iso8583.message import Message
from processor.iso8583.subelements import ORIGINAL_DATA, REPLACEMENT_AMOUNTS
from processor.values.money import EXPONENT
from simulators.cards import CURRENCY
from simulators.networks.network import Cause, Elements, Network
from simulators.question import Fault, Kind, Matter, Question
from simulators.slip import Slip
from simulators.wallet import Wallet
from simulators.ways import Reading, Way

_PIN_CAPTURE = "12"
_ADVICE_APPROVED, _ADVICE_DECLINED = "00", "05"

# What a later message repeats of the request, besides amounts and names.
_COPIED = (2, 3, 18, 19, 25, 32, 37, 41, 42, 43)
_REVERSING = (Cause.CUSTOMER, Cause.PARTLY, Cause.LATE_ANSWER)
_AMOUNTS = (4, 6, 10, 49, 51)


class Stamp(NamedTuple):
    """What makes a message's keys: DE 11 and 7, the first six characters of DE 37, and an identifier."""

    stan: str
    transmitted: str
    reference: str
    identifier: int


class Abroad(NamedTuple):
    """A transaction currency: so many of its minor units for a hundred of the cardholder's; DE 10 says it."""

    currency: str
    per_hundred: int
    rate: str


HOME = Abroad(CURRENCY, 100, "")
ABROAD = (Abroad("978", 80, "61250000"), Abroad("392", 150, "70666667"), Abroad("414", 310, "73225806"))
"""Exponents 2, 0 and 3."""

assert [EXPONENT[place.currency] for place in ABROAD] == [2, 0, 3], "money of every exponent"


class Purchase:
    """Builds its messages. ``amount_minor`` is in the cardholder's currency, which ``place`` may differ from.

    ``fault`` is what is wrong about the request; one with another card's track is never looked at.
    """

    def __init__(
        self,
        network: Network,
        way: Way,
        wallet: Wallet,
        stamp: Stamp,
        *,
        amount_minor: int,
        fault: Fault,
        place: Abroad = HOME,
        other_track: str = "",
    ) -> None:
        self.way = way
        self.amount_minor = amount_minor
        self.asked = False  # whether the issuer has been asked and has it on file
        self._network = network
        self._place = place
        self._slip = Slip(posts=way.posts, is_credit=way.is_credit)
        self._posting: Question | None = None
        elements = self._opening(wallet, stamp)
        elements |= _evidence(network, way, wallet, fault)
        if fault is Fault.OTHER_TRACK:
            elements[35] = other_track
        matter = Matter(
            Kind.REQUEST,
            self._slip,
            amount_minor,
            is_credit=way.is_credit,
            reading=way.reading,
            has_pin=way.with_pin,
            fault=fault,
        )
        self.request = self._question(self.request_mti, elements, matter)

    @property
    def request_mti(self) -> str:
        """Dual or single message."""
        return "0200" if self.way.posts else "0100"

    def changed(self) -> Question:
        """Another question under the request's key: the amount is another."""
        elements = dict(self.request.message.elements)
        elements[4] = f"{int(elements[4]) + 1:012}"
        matter = self.request.matter
        if matter.fault is not Fault.OTHER_TRACK:  # which is not even read as far as its key
            matter = matter._replace(fault=Fault.CHANGED)
        return Question(Message(self.request.message.header, self.request_mti, elements), matter)

    def reversal(self, stamp: Stamp, chance: random.Random) -> Question:
        """The whole, by the acquirer."""
        elements = self._about(self.request, stamp, Cause.CUSTOMER, chance)
        matter = Matter(Kind.REVERSAL, self._slip)
        return self._question(chance.choice(self._reversal_mtis()), elements, matter)

    def reduction(self, stamp: Stamp, chance: random.Random) -> Question:
        """A part, by the acquirer: DE 95 has the new totals, of the transaction and of the billing."""
        total_minor = self.amount_minor * chance.randint(20, 110) // 100
        if not total_minor:
            return self.reversal(stamp, chance)
        elements = self._about(self.request, stamp, Cause.PARTLY, chance)
        billing = total_minor if self._place is not HOME else 0
        elements[95] = REPLACEMENT_AMOUNTS.build(
            {1: f"{self._abroad(total_minor):012}", 2: "0" * 12, 3: f"{billing:012}", 4: "0" * 6}
        )
        matter = Matter(Kind.REVERSAL, self._slip, total_minor=total_minor)
        return self._question(chance.choice(self._reversal_mtis()), elements, matter)

    def taking_back(self, stamp: Stamp, chance: random.Random) -> Question:
        """The network had no answer in time, and will have none."""
        elements = self._about(self.request, stamp, Cause.LATE_ANSWER, chance)
        matter = Matter(Kind.REVERSAL, self._slip, of_late_answer=True)
        return self._question("0420", elements, matter)

    def stand_in(self, stamp: Stamp, chance: random.Random, *, approved: bool) -> Question:
        """The network decided in the issuer's place; the amount it approved may be another."""
        amount_minor = self.amount_minor * chance.choice((100, 100, 100, 60, 130)) // 100
        cause = chance.choice((Cause.ISSUER_TIMED_OUT, Cause.ISSUER_SIGNED_OFF))
        elements = self._advice(stamp, chance, amount_minor, cause)
        elements[39] = _ADVICE_APPROVED if approved else _ADVICE_DECLINED
        matter = Matter(Kind.STAND_IN, self._slip, amount_minor, approved=approved)
        return self._question("0120", elements, matter)

    def posting(self, stamp: Stamp, chance: random.Random) -> Question:
        """It has been posted: a completion, for more or less than was authorized, or by force."""
        amount_minor = self.amount_minor * chance.choice((100, 100, 100, 70, 120)) // 100
        elements = self._advice(stamp, chance, amount_minor, Cause.COMPLETED)
        matter = Matter(Kind.POSTING, self._slip, amount_minor)
        self._posting = self._question("0220", elements, matter)
        return self._posting

    def undoing(self, stamp: Stamp, chance: random.Random) -> Question:
        """A reversal of what was posted, named by the posting."""
        assert self._posting is not None, "there is a posting to undo"
        elements = self._about(self._posting, stamp, Cause.CUSTOMER, chance)
        matter = Matter(Kind.REVERSAL, self._slip, of_posting=True)
        return self._question(chance.choice(self._reversal_mtis()), elements, matter)

    def _opening(self, wallet: Wallet, stamp: Stamp) -> Elements:
        way, till, network = self.way, self.way.till, self._network
        elements = {
            2: wallet.card.pan,
            3: f"{way.type}0000",
            7: stamp.transmitted,
            11: stamp.stan,
            14: wallet.card.expiry,
            18: till.merchant_category,
            19: CURRENCY,
            32: network.acquirer,
            37: stamp.reference + stamp.stan,
            41: till.terminal,
            42: till.merchant,
            43: till.place,
        }
        elements |= self._amounts(self.amount_minor)
        return elements | network.opening(way, wallet, stamp.identifier, stamp.transmitted[:4])

    def _amounts(self, minor: int) -> Elements:
        """DE 4 and 49, and what they come to for the cardholder where the currency is another."""
        place = self._place
        elements = {4: f"{self._abroad(minor):012}", 49: place.currency}
        if place is not HOME:
            elements |= {6: f"{minor:012}", 10: place.rate, 51: CURRENCY}
        return elements

    def _abroad(self, minor: int) -> int:
        return minor * self._place.per_hundred // 100

    def _advice(self, stamp: Stamp, chance: random.Random, amount_minor: int, cause: Cause) -> Elements:
        """Told under the original's own names, or under names of its own with the original's beside them."""
        asked = self.request.message.elements
        if chance.random() < 0.5:
            elements = self._about(self.request, stamp, cause, chance)
        else:
            elements = self._copied(asked, stamp) | self._network.about(asked, cause, stamp.identifier)
            elements |= {7: asked[7], 11: asked[11], **self._network.same(asked)}
        return elements | self._amounts(amount_minor)

    def _about(self, earlier: Question, stamp: Stamp, cause: Cause, chance: random.Random) -> Elements:
        """A later message under its own names; it names ``earlier`` in one, two or three ways.

        A reversal always has DE 90, of which perhaps only the message type is known.
        """
        asked, network = earlier.message.elements, self._network
        elements = self._copied(asked, stamp) | network.about(asked, cause, stamp.identifier)
        naming = network.naming(asked) if self.way.identified else {}
        auth_code = earlier.answer.auth_code if earlier.answer is not None else ""
        if auth_code:
            elements[38] = auth_code
        whole = not naming or chance.random() < 0.7
        if whole or cause in _REVERSING:
            elements[90] = _original_data(earlier.message, whole=whole)
        return elements | naming

    def _copied(self, asked: Elements, stamp: Stamp) -> Elements:
        elements = {number: asked[number] for number in _COPIED if number in asked}
        elements |= {number: asked[number] for number in _AMOUNTS if number in asked}
        return elements | {7: stamp.transmitted, 11: stamp.stan}

    def _reversal_mtis(self) -> tuple[str, ...]:
        return ("0400", "0420") if self.way.posts else self._network.reversal_mtis

    def _question(self, mti: str, elements: Elements, matter: Matter) -> Question:
        return Question(Message(self._network.header(elements[11]), mti, elements), matter)


def _original_data(message: Message, *, whole: bool) -> str:
    """DE 90; zeros are what is not known."""
    if not whole:
        return f"{message.mti:0<42}"
    asked = message.elements
    return ORIGINAL_DATA.build(
        {1: message.mti, 2: asked[11], 3: asked[7], 4: asked[32].zfill(11), 5: asked.get(33, "").zfill(11)}
    )


def _evidence(network: Network, way: Way, wallet: Wallet, fault: Fault) -> Elements:
    """The elements that the cardholder is verified by."""
    wrong = fault in (Fault.WRONG_CVV, Fault.WRONG_CVV2)
    found = network.evidence(way, wallet, wrong=wrong)
    if way.reading is Reading.STRIPE:
        found[35] = wallet.wrong_stripe if wrong else wallet.stripe
    elif way.reading is not Reading.WEB:
        found[23] = wallet.card.psn
        found[35] = wallet.wrong_chip if wrong else wallet.chip
    if way.with_pin:
        found[26] = _PIN_CAPTURE
        found[52] = wallet.wrong_pin_block if fault is Fault.WRONG_PIN else wallet.pin_block
        found[53] = network.pin_security()
    return found
