"""One system call fails: what the journal says, what it refuses from then on, what the next owner finds."""

import errno
import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from processor.journal.cipher import Keyring
from processor.journal.disk import Disk
from processor.journal.file_journal import FileJournal
from processor.journal.segments import SegmentMaker
from processor.values.errors import Ambiguous, Damaged, Fenced, Full

SHARD = 1
KEYS = Keyring({1: b"k" * 32}, 1)


class FaultyDisk(Disk):
    """The real disk, but call number ``at`` of ``method`` fails; ``bytes_left`` is the space for growth."""

    def __init__(self, method: str = "", at: int = 0, code: int = errno.EIO, keep_bytes: int = 0) -> None:
        self.method, self.at, self.code, self.keep_bytes = method, at, code, keep_bytes
        self.calls: list[str] = []
        self.bytes_left: int | None = None
        self.short_by = 0

    def arm(self, method: str, code: int = errno.EIO, keep_bytes: int = 0) -> None:
        """Let the next call of ``method`` fail; a failing write leaves ``keep_bytes`` behind."""
        self.method, self.at, self.code, self.keep_bytes = method, self.calls.count(method), code, keep_bytes

    def _count(self, method: str) -> None:
        fails = method == self.method and self.calls.count(method) == self.at
        self.calls.append(method)
        if fails:
            raise OSError(self.code, os.strerror(self.code))

    def pwrite(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        try:
            self._count("pwrite")
        except OSError:
            super().pwrite(fd, bytes(data[: self.keep_bytes]), offset)
            raise
        grows = max(0, offset + len(data) - self.size(fd))
        if self.bytes_left is not None and grows > self.bytes_left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.bytes_left is not None:
            self.bytes_left -= grows
        short, self.short_by = self.short_by, 0
        return super().pwrite(fd, bytes(data[: len(data) - short]), offset)

    def fdatasync(self, fd: int) -> None:
        self._count("fdatasync")
        super().fdatasync(fd)

    def rename(self, old: Path, new: Path) -> None:
        self._count("rename")
        super().rename(old, new)

    def fsync_dir(self, folder: Path) -> None:
        self._count("fsync_dir")
        super().fsync_dir(folder)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        self._count("pread")
        return super().pread(fd, size, offset)

    def open(self, path: Path) -> int:
        self._count("open")
        return super().open(path)

    def open_write(self, path: Path, *, create: bool = False) -> int:
        self._count("open_write")
        return super().open_write(path, create=create)

    def read_file(self, path: Path) -> bytes | None:
        self._count("read_file")
        return super().read_file(path)

    def identity(self, path: Path) -> tuple[int, ...] | None:
        self._count("identity")
        return super().identity(path)


def opened(folder: Path, disk: Disk | None = None) -> FileJournal:
    return FileJournal(folder, KEYS, segment_bytes=1024, disk=disk)


def stored(folder: Path) -> list[bytes]:
    return [record for batch in opened(folder).read(SHARD) for record in batch.records]


def abandon(journal: FileJournal) -> None:
    journal._let_go()


@pytest.mark.parametrize("method", ["pwrite", "fdatasync"])
@pytest.mark.parametrize("keep_bytes", [0, 1, 100, 10_000])
def test_a_failed_write_or_sync_ends_the_journal(tmp_path: Path, method: str, keep_bytes: int) -> None:
    disk = FaultyDisk()
    journal = opened(tmp_path, disk)
    lease = journal.acquire(SHARD, "one")
    journal.append(lease, 1, [b"kept"])
    disk.arm(method, keep_bytes=keep_bytes)

    with pytest.raises(Ambiguous, match=r"00000001\.seg: Input/output error"):
        journal.append(lease, 2, [b"unknown"])
    syncs = disk.calls.count("fdatasync")
    for refused in (
        lambda: journal.append(lease, 2, [b"again"]),
        lambda: journal.seal(lease),
        lambda: list(journal.read(SHARD)),
        journal.prepare_next,
    ):
        with pytest.raises(Ambiguous, match="Input/output error"):
            refused()
    journal.release(lease)
    with pytest.raises(Ambiguous):
        journal.acquire(SHARD, "same object")

    assert disk.calls.count("fdatasync") == syncs, "a sync that failed is never tried again"
    following = opened(tmp_path)
    assert following.acquire(SHARD, "two").last_seq in (1, 2)
    assert stored(tmp_path) in ([b"kept"], [b"kept", b"unknown"])


def test_an_interrupted_append_counts_as_failed(tmp_path: Path) -> None:
    class Interrupted(FaultyDisk):
        def fdatasync(self, fd: int) -> None:
            if self.method:
                raise KeyboardInterrupt
            super().fdatasync(fd)

    disk = Interrupted()
    journal = opened(tmp_path, disk)
    lease = journal.acquire(SHARD, "one")
    disk.method = "now"

    with pytest.raises(KeyboardInterrupt):
        journal.append(lease, 1, [b"unknown"])
    with pytest.raises(Ambiguous, match="a write did not finish"):
        journal.append(lease, 1, [b"again"])


def test_a_short_write_is_completed(tmp_path: Path) -> None:
    disk = FaultyDisk()
    journal = opened(tmp_path, disk)
    lease = journal.acquire(SHARD, "one")
    disk.short_by = 50

    journal.append(lease, 1, [b"whole"])

    assert stored(tmp_path) == [b"whole"]


def run(journal: FileJournal, done: list[bytes]) -> None:
    """A short life over several segments; ``done`` collects what was acknowledged."""
    lease = journal.acquire(SHARD, "life")
    for sequence in range(lease.last_seq + 1, lease.last_seq + 6):
        record = b"%03d" % sequence * 60
        journal.append(lease, sequence, [record])
        done.append(record)
        while journal.prepare_next():
            pass
    journal.release(lease)


METHODS = (
    "open",
    "open_write",
    "pread",
    "pwrite",
    "fdatasync",
    "rename",
    "fsync_dir",
    "read_file",
    "identity",
)


@pytest.mark.slow
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("method", METHODS)
def test_whichever_call_fails_nothing_acknowledged_is_lost(tmp_path: Path, method: str, code: int) -> None:
    """The n-th call fails, for every n there is."""
    for at in range(1000):
        folder, done = tmp_path / str(at), list[bytes]()
        run(opened(folder), done)
        journal = opened(folder, disk := FaultyDisk(method, at, code, keep_bytes=at * 16))
        with suppress(Damaged, Ambiguous, Full):
            run(journal, done)
        abandon(journal)
        if disk.calls.count(method) <= at:
            assert at > 0
            return
        abandon_after_acquire(folder)
        read = stored(folder)
        assert read[: len(done)] == done, f"call {at} failed"
        assert len(read) <= len(done) + 1, f"call {at} failed"
        shutil.rmtree(folder)
    pytest.fail("the run never ended")


def abandon_after_acquire(folder: Path) -> None:
    following = opened(folder)
    following.acquire(SHARD, "following")
    abandon(following)


def exhausted(folder: Path) -> tuple[FileJournal, FaultyDisk, list[bytes]]:
    """A journal on a disk that has just become full: its last ordinary segment has no room for 500 bytes."""
    disk = FaultyDisk()
    journal = opened(folder, disk)
    lease = journal.acquire(SHARD, "one")
    disk.bytes_left = 36  # the epoch file
    records = [b"first" * 100, b"second" * 100]
    for sequence, record in enumerate(records, 1):
        journal.append(lease, sequence, [record])
    return journal, disk, records


def test_a_full_disk_refuses_requests_and_takes_advices_into_the_reserve(tmp_path: Path) -> None:
    journal, disk, records = exhausted(tmp_path)
    lease = journal._lease
    assert lease is not None

    with pytest.raises(Full, match=r"no space for .*00000003\.seg"):
        journal.append(lease, 3, [b"request" * 70])
    with pytest.raises(Full):
        journal.prepare_next()
    assert journal.append(lease, 3, [b"advice" * 80], use_reserve=True) == 3
    with pytest.raises(Full, match="the reserve is in use"):
        journal.append(lease, 4, [b"request"])
    assert journal.append(lease, 4, [b"reversal"], use_reserve=True) == 4
    journal.seal(lease)
    assert stored(tmp_path) == [*records, b"advice" * 80, b"reversal"]

    disk.bytes_left = None
    while journal.prepare_next():
        pass
    assert journal.append(lease, 5, [b"request"]) == 5


def test_a_full_disk_is_asked_only_by_prepare_next(tmp_path: Path) -> None:
    journal, disk, _ = exhausted(tmp_path)
    lease = journal._lease
    assert lease is not None
    with pytest.raises(Full):
        journal.append(lease, 3, [b"request" * 70])
    asked = disk.calls.count("open_write")

    with pytest.raises(Full):
        journal.append(lease, 3, [b"request" * 70])

    assert disk.calls.count("open_write") == asked


def test_when_even_the_reserve_is_full_advices_are_refused_too(tmp_path: Path) -> None:
    journal, _, _ = exhausted(tmp_path)
    lease = journal._lease
    assert lease is not None
    journal.append(lease, 3, [b"advice" * 80], use_reserve=True)

    with pytest.raises(Full):
        journal.append(lease, 4, [b"advice" * 80], use_reserve=True)
    assert journal.append(lease, 4, [b"small"], use_reserve=True) == 4


def test_a_restart_without_space_for_a_reserve_says_so(tmp_path: Path) -> None:
    journal, disk, _ = exhausted(tmp_path)
    assert journal._lease is not None
    journal.append(journal._lease, 3, [b"advice" * 80], use_reserve=True)
    abandon(journal)
    disk.bytes_left = 100

    following = opened(tmp_path, disk)
    lease = following.acquire(SHARD, "two")

    assert [notice.event for notice in lease.notices] == ["reserve_missing"]
    with pytest.raises(Full):
        following.append(lease, 4, [b"request"])
    assert following.append(lease, 4, [b"advice"], use_reserve=True) == 4


def test_no_space_for_the_epoch_file_is_full(tmp_path: Path) -> None:
    disk = FaultyDisk()
    disk.bytes_left = 61  # the lock's text

    with pytest.raises(Full):
        opened(tmp_path, disk).acquire(SHARD, "one")


def test_an_owner_whose_epoch_was_overtaken_is_fenced_at_its_next_append(tmp_path: Path) -> None:
    """As if the lock had not held, on a network file system for instance."""

    class Lockless(Disk):
        def lock(self, path: Path) -> int | None:
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    first = opened(tmp_path, Lockless())
    old = first.acquire(SHARD, "first")
    first.append(old, 1, [b"a"])
    second = opened(tmp_path, Lockless())
    new = second.acquire(SHARD, "second")

    with pytest.raises(Fenced, match="epoch 1 of shard 1"):
        first.append(old, 2, [b"late"])
    with pytest.raises(Fenced):
        first.seal(old)
    with pytest.raises(Fenced):
        first.release(old)
    second.append(new, 2, [b"b"])
    assert stored(tmp_path) == [b"a", b"b"]


def test_rotation_into_a_prepared_segment_makes_no_file(tmp_path: Path) -> None:
    disk = FaultyDisk()
    journal = opened(tmp_path, disk)
    lease = journal.acquire(SHARD, "one")
    while journal.prepare_next():
        pass
    journal.append(lease, 1, [b"x" * 500])
    disk.calls.clear()

    journal.append(lease, 2, [b"y" * 500])

    # the new segment's first batch is durable before the batch behind it is written
    assert disk.calls == ["identity", "open_write", "pwrite", "fdatasync", "pwrite", "fdatasync"]


def test_the_reserve_is_not_replaced_by_a_segment_that_was_being_made(tmp_path: Path) -> None:
    """The other thread may have begun the same segment anew just before the writer takes the reserve."""
    maker = SegmentMaker(Disk(), tmp_path, 2 * 1024 * 1024)
    maker.resume([], 0)
    while maker.step():
        pass
    maker.entered(1)
    assert maker.step()

    maker._take_reserve()
    (tmp_path / "00000002.seg").write_bytes(b"batches")
    while maker.step():
        pass

    assert (tmp_path / "00000002.seg").read_bytes() == b"batches"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000001.seg", "00000002.seg", "reserve"]


def test_nothing_is_made_any_more_after_the_release(tmp_path: Path) -> None:
    """The folder may have another owner by then."""
    journal = opened(tmp_path)
    lease = journal.acquire(SHARD, "one")
    for sequence in (1, 2):
        journal.append(lease, sequence, [b"x" * 600])
    journal.release(lease)
    names = {path.name for path in tmp_path.iterdir()}

    assert journal.prepare_next() is False
    assert {path.name for path in tmp_path.iterdir()} == names
    assert "00000003.seg" not in names


@pytest.mark.slow
def test_segments_are_made_in_another_thread_while_batches_are_appended(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    lease = journal.acquire(SHARD, "one")
    stop, problems = threading.Event(), list[BaseException]()

    def prepare() -> None:
        try:
            while not stop.is_set():
                journal.prepare_next()
        except BaseException as problem:  # noqa: BLE001 - the assertion below shows it
            problems.append(problem)

    thread = threading.Thread(target=prepare)
    thread.start()
    records = [b"%d" % sequence * 200 for sequence in range(1, 200)]
    for sequence, record in enumerate(records, 1):
        journal.append(lease, sequence, [record])
    journal.release(lease)
    made = {path.name for path in tmp_path.iterdir()}
    assert journal.prepare_next() is False
    stop.set()
    thread.join()

    assert problems == []
    assert made == {path.name for path in tmp_path.iterdir()}
    assert stored(tmp_path) == records
