"""Power cuts on a simulated disk: whatever was not synced is kept or lost at random, sector by sector."""

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from processor.journal.cipher import Keyring
from processor.journal.disk import Disk
from processor.journal.file_journal import FileJournal
from processor.values.errors import Ambiguous, Damaged, JournalError

SECTOR_BYTES = 512
SEGMENT_BYTES = 4096
SHARD = 1
KEYS = Keyring({1: b"k" * 32}, 1)
FOLDER = Path("/journal")


class PowerCutError(Exception):
    """The lights went out during this call."""


class Inode:
    """A file twice: as programs see it, and as it would survive."""

    def __init__(self) -> None:
        self.seen = bytearray()
        self.safe = bytearray()
        self.dirty: set[int] = set()  # sectors that differ and that the next sync writes

    def survive(self, rng: random.Random) -> None:
        """Keep each dirty sector or lose it; a size that was not synced is kept or lost too."""
        if len(self.seen) != len(self.safe) and rng.random() < 0.5:
            self.safe += bytes(max(0, len(self.seen) - len(self.safe)))
            del self.safe[len(self.seen) :]
        for sector in self.dirty:
            start = sector * SECTOR_BYTES
            if rng.random() < 0.5 and start < len(self.safe):
                end = min(start + SECTOR_BYTES, len(self.safe))
                self.safe[start:end] = self.seen[start:end].ljust(end - start, b"\0")
        self.seen, self.dirty = bytearray(self.safe), set()


class SimulatedDisk(Disk):
    """A disk in memory with a volatile cache. Changes of names survive in order, up to a random point."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.calls_left = -1
        self.syncs_lie = False
        self.sync_fails = False
        self.names_seen: dict[Path, Inode] = {}
        self.names_safe: dict[Path, Inode] = {}
        self.name_changes: list[Callable[[dict[Path, Inode]], None]] = []
        self.handles: dict[int, Inode] = {}
        self.opened = 0

    def restart(self) -> None:
        """Power is back: only what survived is there."""
        for change in self.name_changes[: self.rng.randint(0, len(self.name_changes))]:
            change(self.names_safe)
        self.name_changes, self.handles, self.calls_left = [], {}, -1
        self.names_seen = dict(self.names_safe)
        for inode in {id(inode): inode for inode in self.names_seen.values()}.values():
            inode.survive(self.rng)

    def _tick(self) -> None:
        if self.calls_left == 0:
            raise PowerCutError
        self.calls_left -= 1

    def _change_names(self, change: Callable[[dict[Path, Inode]], None]) -> None:
        self._tick()
        change(self.names_seen)
        self.name_changes.append(change)

    def _handle(self, inode: Inode) -> int:
        self.opened += 1
        self.handles[self.opened] = inode
        return self.opened

    def make_folder(self, folder: Path) -> None:
        pass

    def names(self, folder: Path) -> list[str]:
        return [path.name for path in self.names_seen if path.parent == folder]

    def read_file(self, path: Path) -> bytes | None:
        return bytes(self.names_seen[path].seen) if path in self.names_seen else None

    def identity(self, path: Path) -> tuple[int, ...] | None:
        return (id(self.names_seen[path]),) if path in self.names_seen else None

    def open(self, path: Path) -> int:
        return self._handle(self.names_seen[path])

    def open_write(self, path: Path, *, create: bool = False) -> int:
        if create:
            inode = Inode()
            self._change_names(lambda names: names.__setitem__(path, inode))
        return self._handle(self.names_seen[path])

    def size(self, fd: int) -> int:
        return len(self.handles[fd].seen)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        return bytes(self.handles[fd].seen[offset : offset + size])

    def pwrite(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        inode, end = self.handles[fd], offset + len(data)
        inode.seen += bytes(max(0, end - len(inode.seen)))
        inode.seen[offset:end] = data
        inode.dirty.update(range(offset // SECTOR_BYTES, (end - 1) // SECTOR_BYTES + 1))
        self._tick()  # a cut here leaves any part of the write
        return len(data)

    def fdatasync(self, fd: int) -> None:
        self._tick()
        inode = self.handles[fd]
        if self.sync_fails:
            inode.dirty.clear()  # as Linux does: the pages are clean now, and not on disk
            raise OSError(5, "Input/output error")
        if not self.syncs_lie:
            for sector in inode.dirty:
                at = slice(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES)
                inode.safe += bytes(max(0, min(at.stop, len(inode.seen)) - len(inode.safe)))
                inode.safe[at] = inode.seen[at]
            inode.dirty.clear()

    def close(self, fd: int) -> None:
        self.handles.pop(fd, None)

    def rename(self, old: Path, new: Path) -> None:
        def change(names: dict[Path, Inode]) -> None:
            names[new] = names.pop(old)

        self._change_names(change)

    def unlink(self, path: Path) -> None:
        def change(names: dict[Path, Inode]) -> None:
            names.pop(path, None)

        self._change_names(change)

    def fsync_dir(self, folder: Path) -> None:
        assert folder == FOLDER
        self._tick()
        if not self.syncs_lie:
            for change in self.name_changes:
                change(self.names_safe)
            self.name_changes = []

    def lock(self, path: Path) -> int | None:
        return self._handle(self.names_seen.setdefault(path, Inode()))


def opened(disk: SimulatedDisk) -> FileJournal:
    salts = disk.rng.randbytes
    return FileJournal(FOLDER, KEYS, segment_bytes=SEGMENT_BYTES, disk=disk, random_bytes=salts)


class Life:
    """One machine over several power cuts, with what it tried to write and what it acknowledged."""

    def __init__(self, seed: int, *, syncs_lie: bool = False) -> None:
        self.rng = random.Random(seed)
        self.disk = SimulatedDisk(self.rng)
        self.disk.syncs_lie = syncs_lie
        self.tried: list[bytes] = []
        self.acknowledged = 0
        self.epoch = 0

    def live(self) -> None:
        """Run until the power fails or the work is done."""
        self.disk.calls_left = self.rng.choice((5, 15, 40, 80))
        self.disk.calls_left = self.rng.randint(0, self.disk.calls_left)
        with suppress(PowerCutError):
            self._work()
        self.disk.restart()

    def _work(self) -> None:
        journal = opened(self.disk)
        lease = journal.acquire(SHARD, "life")
        assert lease.epoch > self.epoch
        assert all(notice.event == "torn_tail_cut" for notice in lease.notices), "the epoch file was torn"
        self.epoch = lease.epoch
        self._settle(lease.last_seq)
        for _ in range(self.rng.randint(1, 12)):
            self._step(journal)
        journal.release(lease)

    def _settle(self, last_seq: int) -> None:
        """What the new owner found is what counts from now on."""
        assert self.acknowledged <= last_seq <= len(self.tried), "an acknowledged record is gone"
        del self.tried[last_seq:]
        self.acknowledged = last_seq

    def _step(self, journal: FileJournal) -> None:
        lease = journal._lease
        assert lease is not None
        if self.rng.random() < 0.1:
            journal.seal(lease)
        if self.rng.random() < 0.5:
            journal.prepare_next()
        records = [
            self.rng.randbytes(self.rng.choice((1, 30, 300, 700))) for _ in range(self.rng.randint(1, 3))
        ]
        first_seq = len(self.tried) + 1
        self.tried += records
        self.acknowledged = journal.append(lease, first_seq, records)

    def check(self) -> None:
        """Every acknowledged record is there, in order, and what is there was once written."""
        read = [record for batch in opened(self.disk).read(SHARD) for record in batch.records]
        assert self.acknowledged <= len(read), "an acknowledged record is gone"
        assert read == self.tried[: len(read)], "a record is not what was written"


def survives(seed: int, *, syncs_lie: bool = False) -> bool:
    """Five lives with a power cut in each; false if anything acknowledged was lost or refused."""
    life = Life(seed, syncs_lie=syncs_lie)
    try:
        for _ in range(5):
            life.live()
            life.check()
    except (JournalError, AssertionError, KeyError):
        if not syncs_lie:
            raise
        return False
    return True


@pytest.mark.slow
def test_no_power_cut_loses_anything_acknowledged() -> None:
    """2,000 machines with five power cuts each."""
    for seed in range(2_000):
        assert survives(seed), f"seed {seed}"


def test_a_disk_whose_syncs_do_nothing_is_found_out() -> None:
    """The check of the check: without fdatasync the same lives lose records."""
    lost = sum(not survives(seed, syncs_lie=True) for seed in range(100))

    assert lost > 50


@pytest.mark.parametrize("seed", range(20))
def test_a_batch_whose_sync_failed_is_really_durable_once_the_next_owner_reports_it(seed: int) -> None:
    """After EIO from fsync the pages are clean but not on disk; the next owner reads them from the cache."""
    disk = SimulatedDisk(random.Random(seed))
    journal = opened(disk)
    lease = journal.acquire(SHARD, "first")
    journal.append(lease, 1, [b"acknowledged"])
    disk.sync_fails = True
    with pytest.raises(Ambiguous):
        journal.append(lease, 2, [b"u" * 2000])
    journal.release(lease)
    disk.sync_fails = False

    following = opened(disk).acquire(SHARD, "second")
    disk.restart()

    records = [record for batch in opened(disk).read(SHARD) for record in batch.records]
    assert following.last_seq == 2
    assert records == [b"acknowledged", b"u" * 2000]


@pytest.mark.slow
def test_a_power_cut_while_a_batch_of_unknown_fate_is_taken_over_leaves_a_journal_that_starts() -> None:
    """The mark in the epoch file must not know of a batch before the batch itself is really durable."""
    for seed in range(500):
        disk = SimulatedDisk(rng := random.Random(seed))
        journal = opened(disk)
        lease = journal.acquire(SHARD, "first")
        journal.append(lease, 1, [b"acknowledged"])
        disk.sync_fails = True
        with pytest.raises(Ambiguous):
            journal.append(lease, 2, [b"u" * 2000])
        disk.sync_fails, disk.calls_left = False, rng.randint(0, 12)
        with suppress(PowerCutError):
            opened(disk).acquire(SHARD, "second")
        disk.restart()

        assert opened(disk).acquire(SHARD, "third").last_seq in (1, 2), f"seed {seed}"


@pytest.mark.parametrize("seed", range(20))
def test_a_sector_that_rots_under_a_later_batch_is_refused(seed: int) -> None:
    rng = random.Random(seed)
    disk = SimulatedDisk(rng)
    journal = opened(disk)
    lease = journal.acquire(SHARD, "first")
    for sequence in range(1, 8):
        journal.append(lease, sequence, [rng.randbytes(200)])
    journal.release(lease)
    inode = disk.names_seen[FOLDER / "00000001.seg"]
    sector = rng.randrange(4) * SECTOR_BYTES
    inode.seen[sector : sector + SECTOR_BYTES] = bytes(SECTOR_BYTES)

    with pytest.raises(Damaged, match="a later batch is at byte"):
        opened(disk).acquire(SHARD, "second")
