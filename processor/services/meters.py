"""Counters and stage times: one place that counts, children made once.

The registry is this process's own; nothing sensitive is ever a label.
"""

from collections import Counter as Tally

import msgspec
from prometheus_client import CollectorRegistry, Counter

from processor.core.desk import Flight


class Stage(msgspec.Struct):
    """How often a stage was passed and how long that took in all, in seconds."""

    count: int = 0
    total_s: float = 0.0


class Meters:
    """What happened, by reason."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._answers = self._counter("issuer_answers", "Answers sent.", "network", "mti", "code")
        self._links = self._counter("issuer_links_ended", "Card links that ended.", "network", "reason")
        self._messages = self._counter(
            "issuer_messages_refused", "Messages not served.", "network", "reason", "element"
        )
        self._hsm = self._counter("issuer_hsm", "Questions to the HSM and what became of them.", "result")
        self._alerts = self._counter("issuer_alerts", "What somebody should look at.", "network", "alert")
        self._children: dict[tuple[str, ...], Counter] = {}
        self.codes: Tally[str] = Tally()
        self.stages: dict[str, Stage] = {
            name: Stage() for name in ("decode", "turn", "hsm", "execute", "journal", "encode")
        }

        self._waits = [self.stages[name] for name in ("turn", "hsm", "execute", "journal")]

    def answer(self, network: str, mti: str, code: str) -> None:
        """An answer with DE 39 ``code`` to a message of type ``mti`` was handed to its link."""
        self.codes[code] += 1
        self._child(self._answers, network, mti, code).inc()

    def link_ended(self, network: str, reason: str) -> None:
        """A card link ended; the reason is a short constant."""
        self._child(self._links, network, reason).inc()

    def refused(self, network: str, reason: str, element: int = 0) -> None:
        """A message was not served: a format error in ``element``, an unknown type, an unmatched response."""
        self._child(self._messages, network, reason, str(element)).inc()

    def alert(self, network: str, alert: str) -> None:
        """Something happened that somebody should look at, such as money in suspense."""
        self._child(self._alerts, network, alert).inc()

    def hsm(self, result: str) -> None:
        """What became of one question to the HSM."""
        self._child(self._hsm, result).inc()

    def stage(self, name: str, seconds: float) -> None:
        """One passage of a stage."""
        stage = self.stages[name]
        stage.count += 1
        stage.total_s += seconds

    def flight(self, flight: Flight, answered_s: float) -> None:
        """The stages of one question that was worked out and answered at ``answered_s``."""
        for stage, seconds in zip(
            self._waits,
            (
                flight.began_s - flight.received_s,
                flight.verified_s - flight.began_s,
                flight.executed_s - flight.verified_s,
                answered_s - flight.executed_s,
            ),
            strict=True,
        ):
            stage.count += 1
            stage.total_s += seconds

    def value(self, name: str, **labels: str) -> float:
        """A counter's value, 0.0 when nothing was counted: for tests and reports."""
        return self.registry.get_sample_value(f"{name}_total", labels) or 0.0

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _child(self, counter: Counter, *labels: str) -> Counter:
        key = (counter._name, *labels)  # noqa: SLF001 - the only name a Counter has
        if (child := self._children.get(key)) is None:
            child = self._children[key] = counter.labels(*labels)
        return child
