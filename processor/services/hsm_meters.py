"""What is counted about the HSM. Endpoints are numbered as they stand in the configuration, from 0."""

from processor.services.meters import Meters


class HsmMeters:
    """Questions by what became of them, and how endpoints and their lines do."""

    def __init__(self, meters: Meters) -> None:
        self.requests = meters.hsm
        self.latency = meters.hsm_latency
        self._again = meters.counters(
            "issuer_hsm_asked_again", "Questions that were asked another line, and why.", "op", "why"
        )
        self._checks = meters.counters(
            "issuer_hsm_checks", "What an endpoint answered when asked how it is (NC).", "endpoint", "result"
        )
        self._lines_ended = meters.counters(
            "issuer_hsm_lines_ended",
            "Lines to an endpoint that ended, by who or what ended them.",
            "endpoint",
            "reason",
        )
        for op in ("cvv", "pin"):
            for why in ("line_lost", "silence"):
                self._again.count(op, why, by=0)

    def again(self, op: str, why: str) -> None:
        """A question was asked once more: ``line_lost`` or ``silence``."""
        self._again.count(op, why)

    def checks(self, endpoint: int, result: str) -> None:
        """An endpoint was asked how it is: ``well``, or a short constant for what is wrong."""
        self._checks.count(str(endpoint), result)

    def line_ended(self, endpoint: int, reason: str) -> None:
        """A line carries no more questions; the reason is a short constant."""
        self._lines_ended.count(str(endpoint), reason)
