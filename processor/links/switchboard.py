"""What card links share: their network, the processor around them, and what each of them may use."""

from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec

from processor.core.desk import Desk
from processor.core.executor import Core
from processor.iso8583.codec import Codec
from processor.iso8583.compiled import CompiledCodec
from processor.links.asking import Asking, stans
from processor.links.machine import Patience
from processor.links.strays import Strays
from processor.networks.adapters import DIALECTS, FRAMINGS
from processor.networks.profile import Profile
from processor.networks.recognise import Recogniser
from processor.networks.respond import Responder
from processor.services.journal_writer import JournalWriter
from processor.services.log import Log
from processor.services.meters import Meters
from processor.services.recorder import Recorder
from processor.values.clock import Clock
from processor.values.requests import Signal
from processor.values.sensitive import Tokens

Role = Literal["server", "client"]


class LinkLimits(msgspec.Struct, frozen=True):
    """What one peer may use. Seconds and bytes; see the configuration for what each is for."""

    frame_bytes_max: int
    in_flight_max: int
    unsent_bytes_max: int
    send_s: float
    patience: Patience


class Shares:
    """How many questions all links together may have in flight, in equal shares among those that have any.

    One share is always kept for a link that has none yet: a link that sends without end is held back before
    the processor has to refuse anybody's requests.
    """

    def __init__(self, in_flight_max: int) -> None:
        self._in_flight_max = in_flight_max
        self.busy = 0  # links with questions in flight

    def of(self, in_flight: int) -> int:
        """What a link that has ``in_flight`` may have now."""
        busy = self.busy if in_flight else self.busy + 1
        return max(1, self._in_flight_max // (busy + 1))


class Origin(msgspec.Struct, frozen=True):
    """Where a link comes from, and who we are on it.

    ``signs``: signing the member on and off is this link's task. ``elements`` stand in what we ask, by
    number; ``header`` is that of what we begin, in hex, or empty for the profile's.
    """

    peer: str
    role: Role = "server"
    signs: bool = False
    elements: Mapping[str, str] = {}
    header: str = ""


class Told(Protocol):
    """A link, as its network sees it."""

    def told(self, signal: Signal) -> None:
        """The member was signed on or off."""
        ...


class Network:
    """What the links of one network share: its profile and what is made from it."""

    def __init__(self, profile: Profile, tokens: Tokens) -> None:
        self.profile = profile
        self.dialect = DIALECTS[profile.dialect]
        self.frame_rule = FRAMINGS[profile.framing]
        self.codec: Codec = CompiledCodec(self.dialect)
        self.recogniser = Recogniser(profile, tokens)
        self.responder = Responder(profile)
        self.budget_s = profile.timers.answer_ms / 1000
        self.links: set[Told] = set()
        self.strays = Strays([link.later for link in profile.keys.link])
        self._stans = stans()

    def says(self, role: Role) -> frozenset[Signal]:
        """What we say of our own accord on links of this role."""
        session = self.profile.session
        return frozenset(signal for signal, saying in session.says.items() if role in saying.roles)

    def asking(self, origin: Origin) -> Asking:
        """What we ask on one link; STANs are the network's, so no two links have the same."""
        session = self.profile.session
        header = bytes.fromhex(origin.header or session.header)
        return Asking(session, self._stans, header, origin.elements)

    def told(self, signal: Signal) -> None:
        """The member was signed on or off by one of its links, and so for all of them."""
        for link in self.links:
            link.told(signal)


class Switchboard(msgspec.Struct, frozen=True):
    """What every card link needs of the processor."""

    core: Core
    desk: Desk
    journal: JournalWriter
    clock: Clock
    meters: Meters
    log: Log
    limits: LinkLimits
    shares: Shares
    recorder: Recorder | None = None
