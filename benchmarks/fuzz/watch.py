"""What is watched while inputs are fed: what escapes, how long each takes, how much memory there is."""

import resource
import time
import traceback
from pathlib import Path

from targets import Target

LIMIT_MS = 5.0
AGAIN = 3
_BOUNDS_US = (20, 50, 100, 200, 500, 1000, 2000, 5000)
_PAGE_KB = resource.getpagesize() // 1024


def resident_mb() -> float:
    """The resident memory of this process, now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_KB / 1024


class Watch:
    """Feeds inputs to targets and keeps what matters of it.

    Time is this thread's CPU time, read before and after each input. An input that took more than
    ``LIMIT_MS`` is fed again three times, each time to a target made anew whose codec compiles at once, and
    is an outlier if the quickest of the three is over the limit too.
    """

    def __init__(self, folder: Path) -> None:
        self.fed: dict[str, int] = {}
        self.reached = 0
        self.findings: dict[str, str] = {}
        self.over_at_first = 0
        self.outliers: list[tuple[float, str, str]] = []
        self.slowest_ms = (0.0, "")
        self.spread = [0] * (len(_BOUNDS_US) + 1)
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def inputs(self) -> int:
        """How many were fed."""
        return sum(self.fed.values())

    def feed(self, target: Target, data: bytes) -> None:
        """One input."""
        name = target.name
        self.fed[name] = self.fed.get(name, 0) + 1
        began_ns = time.thread_time_ns()
        try:
            reached = target.feed(data)
            took_us = (time.thread_time_ns() - began_ns) / 1000
            target.check(data)
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            self._found(name, data, error)
            return
        self.reached += reached
        at = 0
        while at < len(_BOUNDS_US) and took_us >= _BOUNDS_US[at]:
            at += 1
        self.spread[at] += 1
        if took_us / 1000 > self.slowest_ms[0]:
            self.slowest_ms = took_us / 1000, name
        if took_us / 1000 > LIMIT_MS:
            self._again(target, data, took_us / 1000)

    def spread_in_words(self) -> str:
        """How many inputs took how long."""
        names = [*(f"< {bound} µs" for bound in _BOUNDS_US), f">= {_BOUNDS_US[-1]} µs"]
        return ", ".join(f"{name} {count:,}" for name, count in zip(names, self.spread, strict=True) if count)

    def _again(self, target: Target, data: bytes, first_ms: float) -> None:
        self.over_at_first += 1
        readings = []
        for _ in range(AGAIN):
            fresh = target.anew()
            began_ns = time.thread_time_ns()
            fresh.feed(data)
            readings.append((time.thread_time_ns() - began_ns) / 1e6)
        if min(readings) > LIMIT_MS:
            self.outliers.append((min(readings), target.name, data.hex()))
            self._keep(f"slow-{len(self.outliers)}", target.name, data, f"{first_ms:.1f} ms, then {readings}")

    def _found(self, name: str, data: bytes, error: Exception) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[:0:-1][:3])
        key = f"{name}: {type(error).__name__} at {where}"
        if key not in self.findings:
            said = str(error).splitlines()[0][:300] if str(error) else ""
            self.findings[key] = said
            self._keep(f"finding-{len(self.findings)}", name, data, f"{key}\n{said}")

    def _keep(self, stem: str, name: str, data: bytes, text: str) -> None:
        (self._folder / f"{stem}.txt").write_text(f"{name}\n{text}\n{data.hex()}\n")
