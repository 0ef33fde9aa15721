"""The catalogue of metrics, and the one place that counts.

Counting is plain Python (``tallies``); Prometheus' own library writes the figures down when they are asked
for. Nothing sensitive is ever a label, and no label is anything that a peer can choose freely. All names
begin with ``issuer_``; times are seconds, amounts minor units of their currency.
"""

import itertools
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from processor.core.desk import Flight
from processor.services.link_meters import LinkMeter, LinkMeters
from processor.services.tallies import LATENCY_S, OTHER, STAGE_S, Counters, Histogram, Histograms
from processor.values.effects import Cause, Effect, HoldSet
from processor.values.outcome import Outcome
from processor.values.reasons import APPROVALS, Reason
from processor.values.requests import Advice, Authorization, Reversal

STAGES = ("decode", "turn", "hsm", "execute", "journal", "encode")
ALERTS = ("suspense", "approval_rejected")
HSM_RESULTS = ("answered", "error", "timeout", "late", "unmatched", "unavailable", "unaskable", "line_lost")

Labels = tuple[str, ...]
Readings = Mapping[Labels, float]


class _Reading:
    """Figures that are read when somebody asks for them."""

    def __init__(
        self,
        kind: type[GaugeMetricFamily | CounterMetricFamily],
        name: str,
        text: str,
        labels: Labels,
        read: Callable[[], Readings],
    ) -> None:
        self._kind, self._name, self._text, self._labels, self._read = kind, name, text, labels, read

    def family(self) -> Metric:
        family = self._kind(self._name, self._text, labels=self._labels)
        for labels, value in self._read().items():
            family.add_metric(labels, value)
        return family


def _is_expiry(effect: Effect) -> bool:
    return isinstance(effect, HoldSet) and effect.cause is Cause.EXPIRED


class Meters(Collector):
    """What happened, by reason. Counting belongs to the loop; ``expose`` may be called from any thread."""

    def __init__(self) -> None:
        self.codes: Tally[str] = Tally()
        self._families: list[Counters | Histograms | _Reading] = []
        self._build_info: dict[str, str] = {}
        self._mtis: dict[str, frozenset[str]] = {}
        self._money_counters()
        self._trouble_counters()
        self._times()
        self._links = LinkMeters()
        self._families.append(self._links.transitions)
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def _money_counters(self) -> None:
        network = "network"
        self._requests = self.counters(
            "issuer_auth_requests",
            "Messages that were understood, by type; the others, which are answered too, are in "
            "issuer_messages_refused_total.",
            network,
            "mti",
            "stip",
        )
        self._responses = self.counters(
            "issuer_auth_responses",
            "Answers given to a link, also to what could not be read, by the type of what they answer; "
            "stip: of a stand-in advice.",
            *(network, "mti", "response_code", "reason", "stip"),
        )
        self._amounts = self.counters(
            "issuer_auth_amount_minor_units",
            "Amounts of decided requests, each once.",
            *(network, "currency", "outcome"),
        )
        self._reversals = self.counters(
            "issuer_reversals",
            "Reversals worked out, by whether their original was known.",
            network,
            "matched",
        )
        self._stip_advices = self.counters(
            "issuer_stip_advices", "Decisions the network took in our place.", network, "decision"
        )
        self._postings = self.counters(
            "issuer_financial_advices",
            "Postings of the network, by whether their original was known.",
            *(network, "matched"),
        )
        self._holds_expired = self.counters("issuer_holds_expired", "Holds that nobody asked about in time.")

    def _trouble_counters(self) -> None:
        network = "network"
        self._timeouts = self.counters(
            "issuer_timeouts", "Requests whose deadline passed before an answer was durable.", network
        )
        self._late = self.counters(
            "issuer_late_responses", "Answers to our own requests that came after their time.", network
        )
        self._duplicates = self.counters(
            "issuer_duplicates",
            "Questions asked again: answered before, still in flight, or with other content (94).",
            *(network, "kind"),
        )
        self._unmatched = self.counters(
            "issuer_unmatched", "Messages that belong to nothing we know, by what differed.", network, "part"
        )
        self._format_errors = self.counters(
            "issuer_format_errors", "Messages that could not be read, by data element.", network, "field"
        )
        self._refused = self.counters(
            "issuer_messages_refused", "Messages that were not served.", network, "reason"
        )
        self._rejections = self.counters(
            "issuer_rejections",
            "Header-level rejects: sent to a peer, received for a frame of ours, or stray (not ours).",
            *(network, "what", "code"),
        )
        self._links_ended = self.counters("issuer_links_ended", "Card links that ended.", network, "reason")
        self._alerts = self.counters("issuer_alerts", "What somebody should look at.", network, "alert")
        self._hsm = self.counters(
            "issuer_hsm_requests", "Questions to the HSM and what became of them.", "op", "result"
        )
        for result in HSM_RESULTS:
            for op in ("cvv", "pin"):
                self._hsm.count(op, result, by=0)

    def _times(self) -> None:
        self._latencies = self.histograms(
            "issuer_auth_latency_seconds",
            "From a message read whole to its answer written; a repeat (0101) counts under 0100.",
            *("network", "mti"),
            bounds=LATENCY_S,
        )
        stages = self.histograms(
            "issuer_auth_stage_seconds",
            "One stage of a message: decode, execute and encode are work, the others wait as well.",
            "stage",
            bounds=STAGE_S,
        )
        self.stages: dict[str, Histogram] = {name: stages.of(name) for name in STAGES}
        self._turn, self._verify, self._execute, self._journal = map(
            stages.of, ("turn", "hsm", "execute", "journal")
        )
        hsm = self.histograms(
            "issuer_hsm_latency_seconds", "From a question's sending to its answer.", "op", bounds=LATENCY_S
        )
        self.hsm_latency: dict[str, Histogram] = {op: hsm.of(op) for op in ("cvv", "pin")}
        self.loop_lag = self.histograms(
            "issuer_loop_lag_seconds", "How late the loop's heartbeat was.", bounds=LATENCY_S
        ).of()

    # What is counted.

    def network(self, network: str, mtis: Iterable[str]) -> None:
        """A network is served: messages of other types than ``mtis`` are counted as ``other``.

        Its rarer counters begin at zero here, because a rate cannot see a counter's first appearance.
        """
        self._mtis[network] = frozenset(mtis)
        self._links.open(network).end()
        for kind in ("answered_before", "in_flight", "other_content"):
            self._duplicates.count(network, kind, by=0)
        for yes in ("true", "false"):
            self._reversals.count(network, yes, by=0)
            self._postings.count(network, yes, by=0)
        for decision in ("approved", "declined"):
            self._stip_advices.count(network, decision, by=0)
        for counters in (self._timeouts, self._late):
            counters.count(network, by=0)
        for alert in ALERTS:
            self._alerts.count(network, alert, by=0)

    def asked(self, network: str, mti: str) -> None:
        """A message of type ``mti`` was understood."""
        self._requests.count(network, mti, "true" if mti[1:3] == "12" else "false")

    def answered(self, network: str, mti: str, code: str, reason: Reason) -> Histogram:
        """An answer with DE 39 ``code`` to a message of type ``mti`` was handed to its link.

        Gives the histogram that takes its latency, once the answer is written.
        """
        if mti not in self._mtis.get(network, ()):
            mti = OTHER
        self.codes[code] += 1
        stip = "true" if mti[1:3] == "12" else "false"
        self._responses.count(network, mti, code, reason.value, stip)
        return self._latencies.of(network, mti[:3] + "0" if mti is not OTHER else mti)

    def decided(self, request: Authorization | Advice | Reversal, outcome: Outcome) -> None:
        """A question was worked out: counted once, however many asked it."""
        network, reason = request.network, outcome.reply.reason
        if outcome.effects and _is_expiry(outcome.effects[0]):
            self.expired(outcome.effects)
        if isinstance(request, Authorization):
            verdict = "approved" if reason in APPROVALS else "declined"
            self._amounts.count(network, request.amount.currency, verdict, by=request.amount.minor)
            if reason is Reason.LATE:
                self._timeouts.count(network)
            return
        matched = "true" if outcome.transaction != outcome.sequence else "false"
        if isinstance(request, Reversal):
            self._reversals.count(network, matched)
        elif request.financial:
            self._postings.count(network, matched)
        else:
            self._stip_advices.count(network, "approved" if request.approved else "declined")

    def expired(self, effects: Iterable[Effect]) -> None:
        """Count the holds that expired first of all, before anything else was decided."""
        expired = itertools.takewhile(_is_expiry, effects)
        if number := sum(1 for _ in expired):
            self._holds_expired.count(by=number)

    def duplicate(self, network: str, kind: str) -> None:
        """A question came again: ``answered_before``, ``in_flight`` or ``other_content``."""
        self._duplicates.count(network, kind)

    def unmatched(self, network: str, part: str) -> None:
        """A message belongs to nothing we know; ``part`` is a constant: the part of the key that differed."""
        self._unmatched.count(network, part)

    def late_response(self, network: str) -> None:
        """An answer to a request of our own came after its time."""
        self._late.count(network)

    def refused(self, network: str, reason: str, element: int = 0) -> None:
        """A message was not served; a format error is in ``element``, 0 for the MTI or a bitmap."""
        self._refused.count(network, reason)
        if reason == Reason.FORMAT_ERROR.value:
            self._format_errors.count(network, str(element))

    def rejection(self, network: str, what: str, code: str) -> None:
        """A frame was rejected by its header: ``sent``, ``received`` or ``stray``, whose code is empty."""
        self._rejections.count(network, what, code)

    def alert(self, network: str, alert: str) -> None:
        """Something happened that somebody should look at, such as money in suspense."""
        self._alerts.count(network, alert)

    def hsm(self, op: str, result: str) -> None:
        """What became of one question to the HSM: ``op`` is ``cvv`` or ``pin``."""
        self._hsm.count(op, result)

    def link(self, network: str) -> LinkMeter:
        """A card link begins; it sets its own figures and ends them."""
        return self._links.open(network)

    def link_ended(self, network: str, reason: str) -> None:
        """A card link ended, or was refused; the reason is a short constant."""
        self._links_ended.count(network, reason)

    def flight(self, flight: Flight) -> None:
        """The stages of one question that was worked out."""
        self._turn.observe(flight.began_s - flight.received_s)
        self._verify.observe(flight.verified_s - flight.began_s)
        self._execute.observe(flight.executed_s - flight.verified_s)
        self._journal.observe(flight.durable_s - flight.executed_s)

    # What is read when somebody asks.

    def counters(self, name: str, text: str, *labels: str) -> Counters:
        """Add a counter to the catalogue."""
        self._families.append(added := Counters(name, text, labels))
        return added

    def histograms(self, name: str, text: str, *labels: str, bounds: Sequence[float]) -> Histograms:
        """Add a histogram to the catalogue."""
        self._families.append(added := Histograms(name, text, labels, bounds))
        return added

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Add a figure that is read at each scrape, from any thread: ``read`` must take one step."""
        self._families.append(_Reading(GaugeMetricFamily, name, text, (), lambda: {(): read()}))

    def gauges(self, name: str, text: str, labels: Labels, read: Callable[[], Readings]) -> None:
        """Add figures by labels, which ``read`` gives in one step."""
        self._families.append(_Reading(GaugeMetricFamily, name, text, labels, read))

    def reading(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Add a counter that somebody else keeps."""
        self._families.append(_Reading(CounterMetricFamily, name, text, (), lambda: {(): read()}))

    def add(self, counters: Counters) -> None:
        """Add counters that somebody else keeps."""
        self._families.append(counters)

    def build(self, **facts: str) -> None:
        """What is running: version, interpreter, policy."""
        self._build_info = facts

    def collect(self) -> Iterable[Metric]:
        """Every family as it is now; for prometheus_client."""
        for family in list(self._families):
            yield family.family()
        yield from self._links.families()
        yield InfoMetricFamily("issuer_build", "What is running.", value=self._build_info)

    def expose(self) -> bytes:
        """The catalogue in Prometheus' text format. Takes milliseconds: call it in a worker thread."""
        return generate_latest(self.registry)

    def value(self, name: str, **labels: str) -> float:
        """A counter's value, 0.0 when nothing was counted: for tests and reports."""
        return self.registry.get_sample_value(f"{name}_total", labels) or 0.0
