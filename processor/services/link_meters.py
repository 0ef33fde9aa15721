"""What is measured of each card link: gauges by network and a small slot number.

Peers come and go with ports that never repeat, so a link bears the smallest number free in its network.
A slot that is given up stays as a link that is down; the next link of the network takes it.
"""

import heapq
from collections import defaultdict
from collections.abc import Callable

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from processor.services.tallies import Counters

SLOTS_MAX = 16  # links beyond are counted, but have no gauges of their own

Load = Callable[[], tuple[int, int]]  # messages in flight, bytes not sent

STATES = {"down": 0, "connected": 1, "signed_on": 2, "signed_off": 3}


def _no_load() -> tuple[int, int]:
    return 0, 0


class LinkMeter:
    """One link's figures, set by the link itself: 0 and None until known; ``load`` is read at a scrape."""

    __slots__ = ("_meters", "echo_rtt_s", "last_message_s", "load", "network", "slot", "state")

    def __init__(self, meters: "LinkMeters", network: str, slot: int) -> None:
        self._meters = meters
        self.network = network
        self.slot = slot
        self.state = "down"
        self.last_message_s = 0.0  # wall time
        self.load: Load = _no_load
        self.echo_rtt_s: float | None = None

    def enter(self, state: str) -> None:
        """The link is now in ``state``, one of STATES; staying where it is counts nothing."""
        if state != self.state:
            self.state = state
            self._meters.transitions.count(self.network, state)

    def end(self) -> None:
        """The link is over; its slot is free."""
        self.enter("down")
        self.load = _no_load
        self._meters.free(self)


class LinkMeters:
    """All links, those that are down included."""

    def __init__(self) -> None:
        self.transitions = Counters(
            "issuer_link_transitions", "Times a card link entered a state.", ("network", "state")
        )
        self._links: dict[tuple[str, int], LinkMeter] = {}
        self._freed: defaultdict[str, list[int]] = defaultdict(list)  # heaps, by network
        self._highest: defaultdict[str, int] = defaultdict(int)

    def open(self, network: str) -> LinkMeter:
        """A link begins: it gets the smallest slot that is free."""
        if freed := self._freed[network]:
            slot = heapq.heappop(freed)
        else:
            slot = self._highest[network] = self._highest[network] + 1
        link = LinkMeter(self, network, slot)
        if slot <= SLOTS_MAX:
            self._links[network, slot] = link
        return link

    def free(self, link: LinkMeter) -> None:
        """A link has ended."""
        heapq.heappush(self._freed[link.network], link.slot)

    def families(self) -> list[Metric]:
        """The gauges as they are now."""
        labels = ("network", "link")
        state = GaugeMetricFamily(
            "issuer_link_state", "0 down, 1 connected, 2 signed on, 3 signed off.", labels=labels
        )
        last = GaugeMetricFamily(
            "issuer_link_last_message_timestamp_seconds", "When the link's last frame came.", labels=labels
        )
        in_flight = GaugeMetricFamily("issuer_link_in_flight", "Messages not answered yet.", labels=labels)
        unsent = GaugeMetricFamily(
            "issuer_link_unsent_bytes", "Answers that the peer has not taken.", labels=labels
        )
        echo = GaugeMetricFamily("issuer_link_echo_rtt_seconds", "Our last echo test.", labels=labels)
        for link in self._links.copy().values():
            label = (link.network, str(link.slot))
            state.add_metric(label, STATES[link.state])
            last.add_metric(label, link.last_message_s)
            messages, unsent_bytes = link.load()
            in_flight.add_metric(label, messages)
            unsent.add_metric(label, unsent_bytes)
            if link.echo_rtt_s is not None:
                echo.add_metric(label, link.echo_rtt_s)
        return [state, last, in_flight, unsent, echo]
