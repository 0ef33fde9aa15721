"""Seeded traffic of one network: what is asked next, slot by slot.

A slot is one transmission. Most slots begin a new purchase; each has a story, and the later messages of the
stories take the slots that are theirs. When they follow is counted in slots, so that equal seeds give equal
traffic at any rate.
"""

import datetime as dt
import functools
import heapq
import random
from collections.abc import Callable, Sequence

from processor.iso8583.message import Message
from processor.values.clock import Clock
from simulators.networks.network import Network
from simulators.purchase import ABROAD, HOME, Purchase, Stamp
from simulators.question import SIGNAL, Fault, Question, Transmission
from simulators.stories import STORIES, Act, shares
from simulators.wallet import Wallet
from simulators.ways import WAYS, Reading, Way

_STANS = 1_000_000
_ECHO_TEST_SLOTS = 500
_FORGETFUL_EVERY = 100  # one cardholder in so many never knows the PIN

# Of a thousand.
_WRONG_CVV, _WRONG_PIN, _OTHER_TRACK = 15, 20, 3
_OF_STRANGERS = 4  # cards that the issuer does not know
_FOREIGN = 80
_REPEATED = 200  # later messages that are sent again
_REPEATED_SOON = (1, 5)

_WAY_SHARES = [way.share for way in WAYS]
_STORY_SHARES = {way: shares(way) for way in WAYS}


class Traffic:
    """The switch's questions in order. ``clock`` dates them; everything else comes from the seed.

    ``strangers`` are cards that the issuer does not know; there may be none.
    """

    def __init__(
        self,
        network: Network,
        wallets: Sequence[Wallet],
        seed: int,
        clock: Clock,
        strangers: Sequence[Wallet] = (),
    ) -> None:
        self.network = network
        self._wallets = wallets
        self._strangers = strangers
        self._unknown = {wallet.card.pan for wallet in strangers}
        self._chance = random.Random(seed)
        self._clock = clock
        self._slot = 0
        self._stan = 0
        self._later: list[tuple[int, int, Callable[[], Transmission]]] = []
        self._run = clock.wall_ms() // 1000 % 10**9 * _STANS  # no run uses another's identifiers

    def next(self) -> Transmission:
        """What leaves in the next slot."""
        self._slot += 1
        if self._later and self._later[0][0] <= self._slot:
            return heapq.heappop(self._later)[2]()
        if self._slot % _ECHO_TEST_SLOTS == 0:
            return self.signal(self.network.echo_test)
        purchase = self._purchase()
        story = self._chance.choices(STORIES, _STORY_SHARES[purchase.way])[0]
        if purchase.request.matter.fault is Fault.OTHER_TRACK:  # it is refused unread: no story follows
            story = STORIES[0]
        slot = self._slot
        for delay, act in story.then:
            slot += self._chance.randint(*delay)
            self._follow(slot, functools.partial(self._transmit, purchase, act))
        return self._transmit(purchase, story.first)

    def signal(self, code: str) -> Transmission:
        """An 0800: the network's code to sign on, to sign off, or to test the link."""
        stamp = self._stamp()
        elements = {7: stamp.transmitted, 11: stamp.stan, 70: code, **self.network.signal()}
        message = Message(self.network.header(stamp.stan), "0800", elements)
        return Transmission(Question(message, SIGNAL), "0800")

    def _purchase(self) -> Purchase:
        chance = self._chance
        holder = chance.randrange(len(self._wallets))
        wallet, forgetful = self._wallets[holder], holder % _FORGETFUL_EVERY == 0
        if self._strangers and self._happens(_OF_STRANGERS):
            wallet = chance.choice(self._strangers)
        way = chance.choices(WAYS, _WAY_SHARES)[0]
        return Purchase(
            self.network,
            way,
            wallet,
            self._stamp(),
            amount_minor=way.step * chance.randint(*way.steps),
            fault=self._fault(way, forgetful=forgetful),
            place=chance.choice(ABROAD) if self._happens(_FOREIGN) else HOME,
            other_track=self._wallets[holder - 1].stripe,
        )

    def _fault(self, way: Way, *, forgetful: bool) -> Fault:
        if way.with_pin and (forgetful or self._happens(_WRONG_PIN)):
            return Fault.WRONG_PIN
        if self._happens(_WRONG_CVV):
            return Fault.WRONG_CVV2 if way.reading is Reading.WEB else Fault.WRONG_CVV
        if way.reading is not Reading.WEB and len(self._wallets) > 1 and self._happens(_OTHER_TRACK):
            return Fault.OTHER_TRACK
        return Fault.NONE

    def _transmit(self, purchase: Purchase, act: Act) -> Transmission:
        """One step of a story; what tells of something that happened may be told twice."""
        if act is Act.ASK:
            purchase.asked = purchase.request.pan not in self._unknown
            return Transmission(purchase.request, purchase.request_mti)
        if act is Act.ASK_AGAIN:
            return Transmission(purchase.request, repeat_of(purchase.request_mti))
        if act is Act.ASK_CHANGED:
            return Transmission(purchase.changed(), purchase.request_mti)
        question = self._told(purchase, act)
        mti = question.message.mti
        if self._happens(_REPEATED):
            slot = self._slot + self._chance.randint(*_REPEATED_SOON)
            self._follow(slot, functools.partial(Transmission, question, repeat_of(mti)))
        return Transmission(question, mti)

    def _told(self, purchase: Purchase, act: Act) -> Question:
        stamp, chance = self._stamp(), self._chance
        match act:
            case Act.STAND_IN | Act.REFUSE:
                return purchase.stand_in(stamp, chance, approved=act is Act.STAND_IN)
            case Act.POST:
                return purchase.posting(stamp, chance)
            case Act.UNDO_POSTING:
                return purchase.undoing(stamp, chance)
            case Act.REDUCE:
                return purchase.reduction(stamp, chance)
            case Act.TAKE_BACK:
                return purchase.taking_back(stamp, chance)
            case _:
                return purchase.reversal(stamp, chance)

    def _happens(self, per_mille: int) -> bool:
        return self._chance.randrange(1000) < per_mille

    def _follow(self, slot: int, follow_up: Callable[[], Transmission]) -> None:
        heapq.heappush(self._later, (slot, self._chance.getrandbits(62), follow_up))

    def _stamp(self) -> Stamp:
        self._stan = self._stan % (_STANS - 1) + 1
        second = self._clock.wall_ms() // 1000
        stan = f"{self._stan:06}"
        return Stamp(
            stan, _transmission_time(second), _retrieval_prefix(second // 3600), self._run + self._stan
        )


def repeat_of(mti: str) -> str:
    """The MTI of a repeat.

    >>> repeat_of("0420")
    '0421'
    """
    return f"{mti[:3]}1"


@functools.lru_cache(maxsize=4)
def _transmission_time(second: int) -> str:
    """DE 7, MMDDhhmmss in UTC, of a second since 1970."""
    return dt.datetime.fromtimestamp(second, dt.UTC).strftime("%m%d%H%M%S")


@functools.lru_cache(maxsize=4)
def _retrieval_prefix(hour: int) -> str:
    """The first six characters of DE 37, YDDDhh, of an hour since 1970."""
    moment = dt.datetime.fromtimestamp(hour * 3600, dt.UTC)
    return f"{moment.year % 10}{moment:%j%H}"
