"""One connection to an HSM, and the health of the endpoint behind it; bytes and values, no socket.

Replies are told apart by header id alone. An id whose answer did not come in time is not used again on its
line, so that a late answer is nobody else's, and a new connection goes on where the last one's ids ended.
A reply to an id that is not in use shows that replies can no longer be told apart: the line ends.
"""

import itertools
from collections.abc import Iterator
from typing import Protocol

from processor.hsm.framing import HsmFramer, frame_message
from processor.links.hsm_questions import Question

ID_CHARACTERS = 4  # of a header: 1.7 million ids are enough
LATE_MAX = 10_000  # answers that one line may owe before it is given up

_DIGITS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def header_ids(header_bytes: int) -> Iterator[bytes]:
    """Headers of 0-9 and A-Z, round and round, all different within a round.

    >>> ids = header_ids(6)
    >>> next(ids), next(ids)
    (b'0000--', b'0001--')
    """
    used = min(header_bytes, ID_CHARACTERS)
    while True:
        for letters in itertools.product(_DIGITS, repeat=used):
            yield bytes(letters).ljust(header_bytes, b"-")


class Wire(Protocol):
    """The connection itself."""

    def push(self, data: bytes) -> None:
        """Send; never waits."""
        ...

    def healthy(self) -> None:
        """The HSM at the other end is fit to be asked."""
        ...

    def close(self) -> None:
        """End it soon."""
        ...


class Breaker:
    """Whether an endpoint is worth asking. It opens after ``failures_max`` failures in a row.

    It closes when a new line has found the HSM in health; until there has been a verdict again, one more
    failure opens it again.
    """

    def __init__(self, number: int, failures_max: int) -> None:
        self.number = number
        self.failures = 0
        self.is_open = True  # nothing is known of it yet
        self._failures_max = failures_max

    def failed(self) -> bool:
        """Count a failure; whether it is the one that opens the breaker."""
        self.failures += 1
        opens = not self.is_open and self.failures >= self._failures_max
        self.is_open = self.is_open or opens
        return opens


class Line:
    """The questions on one connection. ``ended`` is why no more are asked on it, empty while they are."""

    def __init__(
        self, breaker: Breaker, wire: Wire, ids: Iterator[bytes], header_bytes: int, now_s: float
    ) -> None:
        self.breaker = breaker
        self.wire = wire
        self.framer = HsmFramer(header_bytes=header_bytes)
        self.header_bytes = header_bytes
        self.asked: dict[bytes, Question] = {}
        self.late: set[bytes] = set()
        self.heard_s = now_s
        self.ended = ""
        self._ids = ids
        self._ids_max: int = len(_DIGITS) ** min(header_bytes, ID_CHARACTERS)

    @property
    def load(self) -> int:
        """Questions that are not answered yet."""
        return len(self.asked)

    def has_room(self, questions: int, in_flight_max: int) -> bool:
        """Whether so many more may be asked; one id is always kept for a question about the HSM itself."""
        wanted = len(self.asked) + questions
        return wanted <= in_flight_max and wanted + len(self.late) < self._ids_max

    def ask(self, question: Question, now_s: float) -> None:
        """Send a question under an id of its own."""
        header = next(self._ids)
        while header in self.asked or header in self.late:
            header = next(self._ids)
        question.sent_s = now_s
        question.times += 1
        self.asked[header] = question
        self.wire.push(frame_message(header, question.message))

    def give_up(self, header: bytes) -> Question:
        """Wait no longer for this answer; its id is not used again unless it comes after all."""
        self.late.add(header)
        return self.asked.pop(header)

    @property
    def owes_too_much(self) -> bool:
        """Whether too many ids wait for an answer that nobody needs any more."""
        return len(self.late) > min(LATE_MAX, self._ids_max // 2)
