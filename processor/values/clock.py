"""The one door through which time enters.

Wall time is evidence and is read once per batch of frames; deadlines use the monotonic clock. Nothing that
decides reads either: a decision gets its time inside the command.
"""

import datetime
import functools
import time
from typing import Protocol

DAY_MS = 86_400_000


class Clock(Protocol):
    """Wall time for records, monotonic time for deadlines."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds of a clock that never runs backwards."""
        ...


class SystemClock:
    """The machine's clocks."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1_000_000  # noqa: TID251 - the only such call in the project

    def monotonic_s(self) -> float:
        """Seconds since some moment of the past."""
        return time.monotonic()


def year_month(wall_ms: int) -> str:
    """The UTC month as YYMM, comparable with a card's expiry.

    >>> year_month(1_798_761_599_999), year_month(1_798_761_600_000)
    ('2612', '2701')
    """
    return _year_month_of_day(wall_ms // DAY_MS)


def transmission_time(wall_ms: int) -> str:
    """The UTC moment as DE 7 has it, MMDDhhmmss.

    >>> transmission_time(1_798_761_599_999), transmission_time(1_798_761_600_000)
    ('1231235959', '0101000000')
    """
    moment = datetime.datetime.fromtimestamp(wall_ms // 1000, datetime.UTC)
    return moment.strftime("%m%d%H%M%S")


@functools.lru_cache(maxsize=4)
def _year_month_of_day(day: int) -> str:
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=day)).strftime("%y%m")
