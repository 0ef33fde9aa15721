"""The loop's heartbeat: how late a task runs that should run every few milliseconds."""

import trio

from processor.services.tallies import Histogram
from processor.values.clock import Clock

BEAT_S = 0.05


class Heartbeat:
    """Beats until it is cancelled. ``last_s`` is the monotonic second of the last beat."""

    def __init__(self, clock: Clock, lag: Histogram) -> None:
        self._clock = clock
        self._lag = lag
        self.last_s = clock.monotonic_s()

    async def run(self) -> None:
        """Sleep, and see how much longer than asked for it was."""
        while True:
            due_s = self._clock.monotonic_s() + BEAT_S
            await trio.sleep(BEAT_S)
            self.last_s = self._clock.monotonic_s()
            self._lag.observe(max(0.0, self.last_s - due_s))
