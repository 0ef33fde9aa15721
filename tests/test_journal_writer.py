"""Group commit: what queued is one batch, in order; whatever makes writing fail is told."""

import threading

import pytest
import trio
import trio.testing

from processor.journal.contract import Lease
from processor.services import journal_writer
from processor.services.journal_writer import JournalWriter
from processor.values.commands import Record, Sign
from processor.values.errors import Ambiguous, Full, JournalError


class Journal:
    """A journal in memory whose disk is as slow, as full or as broken as the test wants."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, int]] = []
        self.seals = 0
        self.gate = threading.Event()
        self.gate.set()
        self.error: BaseException | None = None
        self.full = self.released = False

    def append(self, lease, first_seq, records, *, use_reserve=False):
        self.gate.wait(5)
        if self.error is not None:
            raise self.error
        if self.full and not use_reserve:
            raise Full("no space")
        self.batches.append((first_seq, len(records)))
        return first_seq + len(records) - 1

    def seal(self, lease):
        self.seals += 1

    def release(self, lease):
        self.released = True


def record(sequence: int) -> Record:
    return Record(sequence, 0, 1, Sign("visa-like", signed_on=True, received_ms=0), ())


class Bench:
    """A writer over such a journal."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.journal = Journal()
        self.failed: list[JournalError] = []
        self.failure = trio.Event()
        self.sequence = 0
        self.writer = JournalWriter(self.journal, Lease(0, 1, 0, b""), self._fail)
        nursery.start_soon(self.writer.run)

    def _fail(self, error: JournalError) -> None:
        self.failed.append(error)
        self.failure.set()

    def append(self, count: int) -> trio.Event:
        """Append and flush; the event is set when all of it is durable."""
        for _ in range(count):
            self.sequence += 1
            self.writer.append(record(self.sequence))
        durable = trio.Event()
        self.writer.when_durable(self.sequence, durable.set)
        self.writer.flush()
        return durable


@pytest.fixture
async def bench(nursery) -> Bench:
    return Bench(nursery)


async def test_what_queues_during_a_write_is_one_batch(bench):
    bench.journal.gate.clear()
    first = bench.append(1)
    await trio.sleep(0.02)  # the thread is inside its first write
    others = [bench.append(2) for _ in range(3)]
    assert not first.is_set()
    bench.journal.gate.set()
    for durable in (first, *others):
        await durable.wait()

    assert bench.journal.batches == [(1, 1), (2, 6)]


async def test_a_long_queue_is_cut_into_batches_of_bounded_size(bench, monkeypatch):
    monkeypatch.setattr(journal_writer, "BATCH_BYTES_MAX", 200)
    await bench.append(50).wait()

    assert len(bench.journal.batches) > 5
    assert sum(count for _, count in bench.journal.batches) == 50
    assert bench.writer.figures.records == 50


async def test_a_quiet_journal_is_sealed(bench, monkeypatch):
    monkeypatch.setattr(journal_writer, "IDLE_SEAL_S", 0.01)
    await bench.append(1).wait()
    with trio.fail_after(5):
        while not bench.journal.seals:  # noqa: ASYNC110 - the thread has no event for it
            await trio.sleep(0.01)


async def test_on_a_full_disk_what_was_applied_goes_to_the_reserve_and_that_is_told_once_each_way(bench):
    told = []
    bench.writer.space_changed = told.append
    await bench.append(1).wait()
    assert told == []

    bench.journal.full = True
    for _ in range(2):
        await bench.append(1).wait()
        assert bench.writer.low_space
    assert told == [True]

    bench.journal.full = False
    for _ in range(2):
        await bench.append(1).wait()
        assert not bench.writer.low_space
    assert told == [True, False]


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(Ambiguous("00000001.seg: input/output error"), id="a failed write"),
        pytest.param(AssertionError("a batch fits a segment"), id="a bug of ours"),
    ],
)
async def test_whatever_makes_writing_fail_is_told_and_nothing_is_called_durable(bench, error):
    bench.journal.error = error
    durable = bench.append(1)
    with trio.fail_after(5):
        await bench.failure.wait()

    assert not durable.is_set()
    assert str(error) in str(bench.failed[0])


async def test_stopping_writes_what_is_left_and_releases():
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery)
        await trio.testing.wait_all_tasks_blocked()
        bench.journal.gate.clear()
        bench.append(3)
        threading.Timer(0.05, bench.journal.gate.set).start()
        nursery.cancel_scope.cancel()

    assert bench.journal.batches == [(1, 3)]
    assert bench.journal.released
