"""What a run came to: counts, histograms, mismatches; as one JSON object, and as lines for people."""

from collections import Counter
from typing import Any

from hdrh.histogram import HdrHistogram

_LONGEST_US = 60_000_000
_DESCRIBED_MAX = 10
_REQUESTS = ("0100", "0200")
_PERCENTILES = {"p50": 50.0, "p99": 99.0, "p99_9": 99.9}


class Latency:
    """A histogram of times from one microsecond to a minute, three significant digits."""

    def __init__(self) -> None:
        self._histogram = HdrHistogram(1, _LONGEST_US, 3)

    def record(self, seconds: float) -> None:
        """Add one time; what is out of range counts as the nearest that is not."""
        self._histogram.record_value(min(max(int(seconds * 1_000_000), 1), _LONGEST_US))

    def at(self, percentile: float) -> int:
        """The percentile, in microseconds; 0 when nothing was recorded."""
        return int(self._histogram.get_value_at_percentile(percentile)) if self._histogram.total_count else 0

    def figures(self) -> dict[str, int]:
        """p50, p99, p99.9 and the maximum in microseconds."""
        return {f"{name}_us": self.at(p) for name, p in _PERCENTILES.items()} | {"max_us": self.at(100.0)}


class Report:
    """Collects one run. ``loop`` names the kind of load: latencies of the two kinds do not compare."""

    def __init__(self, loop: str, started_s: float) -> None:
        self.loop = loop
        self.started_s = started_s
        self.sent = self.answered = self.unanswered = 0
        self.answers: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()
        self.mismatches: Counter[str] = Counter()
        self.described: list[str] = []
        self.latency = Latency()
        self.lateness = Latency()
        self.ended_s = started_s
        self.link = ""  # how the link failed, if it did
        self._second = Latency()
        self._second_sent = 0
        self._second_started_s = started_s

    def note_sent(self, mti: str, late_s: float) -> None:
        """A message left, so much later than the schedule wanted."""
        self.sent += 1
        self.messages[mti] += 1
        self.lateness.record(late_s)

    def note_answer(self, mti: str, code: str, latency_s: float) -> None:
        """A reply to a message of type ``mti``; only requests are counted by their codes."""
        self.answered += 1
        if mti in _REQUESTS:
            self.answers[code] += 1
        self.latency.record(latency_s)
        self._second.record(latency_s)

    def note_mismatch(self, kind: str, description: str) -> None:
        """A reply that is not what it must be; the first few are described. No card data in either."""
        self.mismatches[kind] += 1
        if len(self.described) < _DESCRIBED_MAX:
            self.described.append(f"{kind}: {description}")

    @property
    def is_clean(self) -> bool:
        """Whether everything was answered, as it must be."""
        return not (self.mismatches or self.unanswered or self.link)

    def progress(self, now_s: float) -> dict[str, Any]:
        """The figures so far; rate and percentiles of the time since the last call."""
        elapsed_s = max(now_s - self._second_started_s, 0.001)
        figures = {
            "event": "progress",
            "second": round(now_s - self.started_s),
            "rate": round((self.sent - self._second_sent) / elapsed_s),
            "sent": self.sent,
            "answered": self.answered,
            "answers": dict(sorted(self.answers.items())),
            "p50_us": self._second.at(50.0),
            "p99_us": self._second.at(99.0),
            "mismatches": self.mismatches.total(),
        }
        self._second, self._second_sent, self._second_started_s = Latency(), self.sent, now_s
        return figures

    def summary(self, books: dict[str, int]) -> dict[str, Any]:
        """The whole run, with what the switch's own books come to."""
        elapsed_s = max(self.ended_s - self.started_s, 0.001)
        return {
            "event": "summary",
            "loop": self.loop,
            "seconds": round(elapsed_s, 3),
            "rate": round(self.sent / elapsed_s, 1),
            "sent": self.sent,
            "messages": dict(sorted(self.messages.items())),
            "answered": self.answered,
            "answers": dict(sorted(self.answers.items())),
            "latency": self.latency.figures(),
            "lateness": self.lateness.figures(),
            "unanswered": self.unanswered,
            "mismatches": dict(sorted(self.mismatches.items())),
            "described": self.described,
            "link": self.link,
            **books,
            "clean": self.is_clean,
        }


def progress_line(figures: dict[str, Any]) -> str:
    """One second for people."""
    return (
        f"{figures['second']:>4} s {figures['rate']:>7,}/s   {codes(figures['answers'])}   "
        f"p50 {milliseconds(figures['p50_us'])}  p99 {milliseconds(figures['p99_us'])}"
    )


def summary_lines(figures: dict[str, Any]) -> list[str]:
    """The whole run for people."""
    sent = f"{figures['sent']:,} in {figures['seconds']} s, {figures['rate']:,}/s, {figures['loop']}"
    held, posted = dollars(figures["open_minor"]), dollars(figures["posted_minor"])
    books = f"{figures['open_holds']:,} holds of {held}, {posted} posted"
    lines = [
        f"sent        {sent}: {codes(figures['messages'])}",
        f"answers     {codes(figures['answers'])}",
        f"latency     {_times(figures['latency'])}, counted from when each was to be sent",
        f"lateness    {_times(figures['lateness'])}, of this generator itself",
        f"own books   {books}",
        f"unanswered  {figures['unanswered']:,}",
        f"mismatches  {', '.join(f'{k} {n:,}' for k, n in figures['mismatches'].items()) or 'none'}",
    ]
    lines += [f"  {line}" for line in figures["described"]]
    return [*lines, f"link        {figures['link']}"] if figures["link"] else lines


def _times(figures: dict[str, int]) -> str:
    names = {"p50_us": "p50", "p99_us": "p99", "p99_9_us": "p99.9", "max_us": "max"}
    return ", ".join(f"{name} {milliseconds(figures[key])}" for key, name in names.items())


def codes(answers: dict[str, int]) -> str:
    """Counts by code, such as answers by DE 39.

    >>> codes({"00": 1200, "51": 3})
    '00 1,200  51 3'
    """
    return "  ".join(f"{code} {count:,}" for code, count in sorted(answers.items())) or "none"


def dollars(minor: int) -> str:
    """Minor units of the decks' currency, as amounts are read.

    >>> dollars(123456789)
    'USD 1,234,567.89'
    """
    whole, cents = divmod(abs(minor), 100)
    return f"USD {'-' if minor < 0 else ''}{whole:,}.{cents:02}"


def milliseconds(us: int) -> str:
    """Microseconds as milliseconds.

    >>> milliseconds(1534)
    '1.53 ms'
    """
    return f"{us / 1000:.2f} ms"
