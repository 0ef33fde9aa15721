"""Questions of people about a running processor, answered without standing in anybody's way.

The state is searched in slices with a turn of the loop between them; the journal is searched in a thread,
batch by batch. Each question has a time limit, and only a few may wait at once.
"""

import functools
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec
import trio

from processor.book.state import State
from processor.journal.lookup import Lookup
from processor.replay.case import Case, Cases, Matches
from processor.replay.statement import Search, Shown, show
from processor.values.clock import Clock
from processor.values.errors import WorldError

JOURNAL_S = 25.0
WORK_S = 0.001
REST = 3  # times as long as it worked
STATE_S = 10.0
AT_ONCE = 1
WAITING_MAX = 8

_T = TypeVar("_T")


class TakesTooLong(WorldError):  # noqa: N818 - what happened
    """The question's time is over."""


class Busy(WorldError):  # noqa: N818
    """Too many questions wait already."""


WITHOUT_RECORD = (
    "Not every answer has a record. A repeat got the same answer once more; what was answered 94 (the same"
    " key, other content), what could not be read (30) and what was shed (overloaded) changed nothing. None"
    " of these is found here; the log has a line for each but the repeats, unless there were too many."
)


class Why(msgspec.Struct, frozen=True):
    """What bears a name, and the story of the one that was picked or is the only one."""

    name: str
    matches: Matches
    case: Case | None
    without_record: str = WITHOUT_RECORD


class Questions:
    """Answers them from one processor's state and journal."""

    def __init__(
        self, state: State, lookup: Callable[[], Lookup], durable: Callable[[], int], clock: Clock
    ) -> None:
        self.state = state
        self._lookup = lookup
        self._durable = durable
        self._clock = clock
        self._turn = trio.CapacityLimiter(AT_ONCE)

    async def why(self, name: str, pick: int) -> Why:
        """The story of the transaction that ``name`` names; ``pick`` chooses among several.

        Errors: TakesTooLong, Busy, Damaged, OSError.
        """
        async with self._in_turn():
            cases = Cases(self._lookup(), self._durable(), _Pacer(self._clock).pause)
            return await trio.to_thread.run_sync(functools.partial(explain, cases, name, pick))

    async def book(self, name: str) -> Shown:
        """The statement of a card or account. Errors: TakesTooLong, Busy."""
        async with self._in_turn():
            return await self.in_slices(show(self.state, name, self._clock.wall_ms()))

    async def in_slices(self, search: Search[_T]) -> _T:
        """Let the loop turn between the slices of a search. Errors: TakesTooLong."""
        due_s = self._clock.monotonic_s() + STATE_S
        while True:
            try:
                next(search)
            except StopIteration as ended:
                value: _T = ended.value
                return value
            if self._clock.monotonic_s() > due_s:
                raise TakesTooLong(f"not found within {STATE_S:.0f} seconds")
            await trio.lowlevel.checkpoint()

    def _in_turn(self) -> trio.CapacityLimiter:
        if self._turn.statistics().tasks_waiting >= WAITING_MAX:
            raise Busy(f"{WAITING_MAX} questions wait already; ask again in a moment")
        return self._turn


class _Pacer:
    """Lets a searching thread rest for longer than it works, so that it takes little from the loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_s = clock.monotonic_s()
        self._due_s = self._began_s + JOURNAL_S

    def pause(self) -> None:
        """Called between batches, in the thread. Errors: TakesTooLong; trio.Cancelled when we are stopped."""
        now_s = self._clock.monotonic_s()
        worked_s = now_s - self._began_s
        if worked_s < WORK_S:
            return
        trio.from_thread.check_cancelled()
        if now_s > self._due_s:
            raise TakesTooLong(f"not found within {JOURNAL_S:.0f} seconds")
        time.sleep(min(worked_s, 10 * WORK_S) * REST)
        self._began_s = self._clock.monotonic_s()


def explain(cases: Cases, name: str, pick: int = 0) -> Why:
    """Find what bears a name, and tell the only one, or the one that is picked of those that were found.

    Errors: Damaged, OSError.
    """
    matches = cases.named(name)
    numbers = [match.number for match in matches.matches]
    if not pick and len(numbers) == 1 and not matches.more:
        pick = numbers[0]
    return Why(name, matches, cases.case(pick) if pick in numbers else None)
