"""How often something may be done: so often a second in the long run, and a few times at once."""


class Pace:
    """A bucket of ``at_once`` tokens that refills by ``per_s`` a second, kept as one moment.

    >>> pace = Pace(per_s=10.0, at_once=2)
    >>> for _ in range(3):
    ...     pace.take(now_s=5.0)
    >>> round(pace.wait_s(now_s=5.0), 3), pace.wait_s(now_s=6.0)
    (0.2, 0.0)
    """

    def __init__(self, per_s: float, at_once: int) -> None:
        self._each_s = 1.0 / per_s
        self._slack_s = (at_once - 1) * self._each_s
        self._due_s = 0.0  # when the next one would come if all came evenly

    def wait_s(self, now_s: float) -> float:
        """How long the next one has to wait; 0.0 if it may come now."""
        return max(0.0, self._due_s - self._slack_s - now_s)

    def take(self, now_s: float) -> None:
        """One comes, now or after its wait."""
        self._due_s = max(self._due_s, now_s) + self._each_s
