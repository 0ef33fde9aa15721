"""Counters and histograms in plain Python: one dict or list operation to count, Prometheus only at a scrape.

A tally is changed by one thread and may be read by any other: a reader copies it in one step that nothing can
interrupt. No label can have unbounded values: what would be one child too many is counted as ``other``.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric

CHILDREN_MAX = 500
OTHER = "other"

# Seconds. 0.1 is an edge for a service objective, 5 and 10 are for the networks' timers.
LATENCY_S = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2.5, 5, 10, 30),
)
STAGE_S = (0.000025, 0.00005, 0.0001, 0.00025, 0.001, 0.005, 0.02, 0.1, 0.5, 2.5)
RECORDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Counters:
    """One counter for each combination of label values; ``children`` are the counts by label values."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str] = (), children_max: int = CHILDREN_MAX
    ) -> None:
        self._name, self._text, self._labels = name, text, tuple(labels)
        self._children_max = children_max
        self.children: dict[tuple[str, ...], int] = {} if labels else {(): 0}

    def count(self, *labels: str, by: int = 1) -> None:
        """Add ``by``, which is never negative."""
        try:
            self.children[labels] += by
        except KeyError:
            self._first(labels, by)

    def family(self) -> Metric:
        """The counts as they are now; ``copy`` takes them in one step, also from another thread."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for labels, value in self.children.copy().items():
            family.add_metric(labels, value)
        return family

    def _first(self, labels: tuple[str, ...], by: int) -> None:
        assert len(labels) == len(self._labels), f"{self._name} has the labels {self._labels}"
        if len(self.children) >= self._children_max:
            labels = (OTHER,) * len(labels)
        self.children[labels] = self.children.get(labels, 0) + by


class Histogram:
    """How often values were up to each of ``bounds``; the last of ``counts`` is for those above all."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)


class Histograms:
    """One histogram for each combination of label values."""

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str],
        bounds: Sequence[float],
        children_max: int = CHILDREN_MAX,
    ) -> None:
        self._name, self._text, self._labels = name, text, tuple(labels)
        self._bounds = bounds
        self._edges = [*(str(float(bound)) for bound in bounds), "+Inf"]
        self._children_max = children_max
        self.children: dict[tuple[str, ...], Histogram] = {} if labels else {(): Histogram(bounds)}

    def adopt(self, histogram: Histogram) -> None:
        """Show a histogram that somebody else keeps, as the only one."""
        self.children = {(): histogram}

    def of(self, *labels: str) -> Histogram:
        """The histogram with these label values: to be kept by whoever observes often."""
        if (found := self.children.get(labels)) is not None:
            return found
        assert len(labels) == len(self._labels), f"{self._name} has the labels {self._labels}"
        if len(self.children) >= self._children_max:
            labels = (OTHER,) * len(labels)
        return self.children.setdefault(labels, Histogram(self._bounds))

    def family(self) -> Metric:
        """The histograms as they are now."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for labels, histogram in self.children.copy().items():
            up_to = accumulate(list(histogram.counts))
            family.add_metric(labels, list(zip(self._edges, up_to, strict=True)), histogram.total)
        return family
