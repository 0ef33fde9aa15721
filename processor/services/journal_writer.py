"""Group commit: one thread writes what queued up while it wrote the batch before.

The loop appends values; the thread encodes, encrypts, writes and syncs. There is no gathering delay: a batch
is whatever arrived during the previous fsync. Whatever makes writing fail ends the process, because memory is
then ahead of the disk; ``failed`` tells the one who runs the process.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator

import msgspec
import trio

from processor.journal.contract import Journal, Lease
from processor.services.tallies import LATENCY_S, RECORDS, Histogram
from processor.values.clock import Clock, SystemClock
from processor.values.commands import Record
from processor.values.errors import Full, JournalError

IDLE_SEAL_S = 0.5  # quiet for this long: seal, so that damage to the last batch cannot pass for a torn tail
PREPARE_S = 0.25  # how often to look whether a next segment is wanted


BATCH_BYTES_MAX = 256 * 1024  # a longer queue is written in several batches; a segment holds at least four


class JournalFigures(msgspec.Struct):
    """What the writer has done so far: each batch is one fdatasync. Changed by the writer's thread alone."""

    batches: int = 0
    records: int = 0
    payload_bytes: int = 0
    low_space: bool = False  # writing into the reserve: refuse what can be refused
    errors: int = 0
    last_sync_ms: int = 0
    sync_s: Histogram = msgspec.field(default_factory=lambda: Histogram(LATENCY_S))
    batch_records: Histogram = msgspec.field(default_factory=lambda: Histogram(RECORDS))


class JournalWriter:
    """Makes records durable in order. Made on the loop; ``run`` is its thread's whole life."""

    def __init__(
        self,
        journal: Journal,
        lease: Lease,
        failed: Callable[[JournalError], None],
        prepare_next: Callable[[], bool] = lambda: False,
        clock: Clock | None = None,
    ) -> None:
        self.figures = JournalFigures()
        self._clock = clock or SystemClock()
        self.witness: Callable[[int], None] | None = (
            None  # is told of records on disk before who waits for them
        )
        self.space_changed: Callable[[bool], None] | None = None  # is told of going into the reserve, and out
        self._told_low_space = False
        self._prepare_next = prepare_next
        self._journal = journal
        self._lease = lease
        self._failed = failed
        self._appended: list[Record] = []
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._durable = lease.last_seq
        self._handed: list[Record] = []
        self._wake = threading.Condition()
        self._stopping = False

    @property
    def low_space(self) -> bool:
        """Whether records go into the reserve by now."""
        return self.figures.low_space

    @property
    def durable_seq(self) -> int:
        """The last record that is known to be on disk."""
        return self._durable

    def append(self, record: Record) -> None:
        """Queue a record; it is written with the next ``flush``."""
        self._appended.append(record)

    def when_durable(self, sequence: int, done: Callable[[], None]) -> None:
        """Call ``done`` on the loop once the record is on disk, in sequence order."""
        assert not self._waiting or self._waiting[-1][0] <= sequence, "waiters come in sequence order"
        self._waiting.append((sequence, done))

    def flush(self) -> None:
        """Hand what was appended to the thread."""
        if self._appended:
            with self._wake:
                self._handed += self._appended
                self._wake.notify()
            self._appended = []

    async def run(self) -> None:
        """Write until cancelled; then write what is left, seal, and release the lease."""
        token = trio.lowlevel.current_trio_token()
        thread = threading.Thread(target=self._write_all, args=(token,), name="journal", daemon=True)
        thread.start()
        try:
            await trio.sleep_forever()
        finally:
            self.flush()
            with self._wake:
                self._stopping = True
                self._wake.notify()
            thread.join()

    async def make_room(self) -> None:
        """Prepare segments ahead, in small steps in a thread of their own, until cancelled."""
        while True:
            try:
                more = await trio.to_thread.run_sync(self._prepare_next)
            except Full:
                more = False
            except JournalError as error:
                self._failed(error)
                return
            else:
                self.figures.low_space = False  # the reserve is whole again, or was never touched
                self._tell_space()
            if not more:
                await trio.sleep(PREPARE_S)

    def _write_all(self, token: trio.lowlevel.TrioToken) -> None:
        """The thread."""
        encode = msgspec.msgpack.Encoder().encode
        try:
            while (batch := self._next_batch()) is not None:
                if batch:
                    for first_seq, encoded in _cut(batch[0].sequence, [encode(record) for record in batch]):
                        durable = self._append_batch(first_seq, encoded)
                        token.run_sync_soon(self._made_durable, durable)
                else:
                    self._journal.seal(self._lease)
            self._journal.release(self._lease)
        except JournalError as error:
            self.figures.errors += 1
            token.run_sync_soon(self._failed, error)
        except BaseException as error:  # noqa: BLE001 - a thread that dies unnoticed would answer nobody, for ever
            self.figures.errors += 1
            token.run_sync_soon(self._failed, JournalError(f"the writer failed: {error!r}"))

    def _next_batch(self) -> list[Record] | None:
        """What is queued; empty after a quiet time; None when stopping and everything is written."""
        with self._wake:
            if not self._handed and not self._stopping:
                self._wake.wait(IDLE_SEAL_S)
            batch, self._handed = self._handed, []
            return None if self._stopping and not batch else batch

    def _append_batch(self, first_seq: int, records: list[bytes]) -> int:
        figures, began_s = self.figures, self._clock.monotonic_s()
        try:
            durable = self._journal.append(self._lease, first_seq, records)
            figures.low_space = False
        except Full:  # these records are applied already, so they may use the reserve
            figures.low_space = True
            durable = self._journal.append(self._lease, first_seq, records, use_reserve=True)
        figures.sync_s.observe(self._clock.monotonic_s() - began_s)
        figures.batch_records.observe(len(records))
        figures.last_sync_ms = self._clock.wall_ms()
        figures.batches += 1
        figures.records += len(records)
        figures.payload_bytes += sum(map(len, records))
        return durable

    def _made_durable(self, sequence: int) -> None:
        """On the loop: everything up to ``sequence`` is on disk."""
        self._durable = sequence
        self._tell_space()
        if self.witness is not None:
            self.witness(sequence)
        waiting = self._waiting
        while waiting and waiting[0][0] <= sequence:
            waiting.popleft()[1]()

    def _tell_space(self) -> None:
        """On the loop: say once when the reserve is used, and once when it is not any more."""
        low = self.figures.low_space
        if low is not self._told_low_space:
            self._told_low_space = low
            if self.space_changed is not None:
                self.space_changed(low)


def _cut(first_seq: int, encoded: list[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Cut a queue into batches of bounded size, each with its first sequence."""
    batch: list[bytes] = []
    size = 0
    for record in encoded:
        if batch and size + len(record) > BATCH_BYTES_MAX:
            yield first_seq, batch
            first_seq += len(batch)
            batch, size = [], 0
        batch.append(record)
        size += len(record)
    if batch:
        yield first_seq, batch
