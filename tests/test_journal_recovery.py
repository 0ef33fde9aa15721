"""A journal whose writer ended without warning: what the next owner and a reader find."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from processor.journal.cipher import Keyring
from processor.journal.disk import Disk
from processor.journal.file_journal import FileJournal
from processor.journal.header import HEADER_BYTES
from processor.values.errors import Damaged

SHARD = 1
KEYS = Keyring({1: b"k" * 32}, 1)
SEGMENT_BYTES = 1024
RECORDS = [b"record %d" % number for number in range(1, 13)]


def opened(folder: Path, keys: Keyring = KEYS, disk: Disk | None = None) -> FileJournal:
    return FileJournal(folder, keys, segment_bytes=SEGMENT_BYTES, disk=disk)


def stored(folder: Path, after_seq: int = 0) -> list[bytes]:
    return [record for batch in opened(folder).read(SHARD, after_seq) for record in batch.records]


def abandon(journal: FileJournal) -> None:
    """What the end of the process does: descriptors close, nothing is sealed."""
    journal._let_go()


def segment(folder: Path, number: int = 1) -> Path:
    return folder / f"{number:08}.seg"


def write(folder: Path, batches: list[list[bytes]], *, seal: bool = False) -> list[int]:
    """A journal of one lease that ends without warning; returns the offset behind each batch, in bytes."""
    journal, ends = opened(folder), []
    lease = journal.acquire(SHARD, "writer")
    sequence = 1
    for records in batches:
        sequence = journal.append(lease, sequence, records) + 1
        ends.append(journal._tail.offset)
    if seal:
        journal.seal(lease)
    abandon(journal)
    return ends


def edit(path: Path, change: Callable[[bytearray], None]) -> None:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


def restart_and_append(folder: Path, expected: list[bytes]) -> None:
    """The next owner finds exactly these records, appends one more, and all are read again."""
    journal = opened(folder)
    lease = journal.acquire(SHARD, "next")
    assert lease.last_seq == len(expected)
    journal.append(lease, lease.last_seq + 1, [b"more"])
    abandon(journal)
    assert stored(folder) == [*expected, b"more"]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["truncated", "zeroed", "noise"])
def test_a_journal_cut_at_any_byte_keeps_every_batch_before_the_cut(tmp_path: Path, how: str) -> None:
    batches = [RECORDS[:1], RECORDS[1:4], RECORDS[4:6]]
    origin = tmp_path / "origin"
    ends = write(origin, batches)
    rest = {
        "truncated": b"",
        "zeroed": bytes(SEGMENT_BYTES),
        "noise": bytes(8) + b"\xa5STJB" * SEGMENT_BYTES,
    }[how]

    for cut in range(ends[-1] + 1):
        folder = tmp_path / f"cut{cut}"
        shutil.copytree(origin, folder)
        whole = segment(origin).read_bytes()
        left = whole[:cut] + rest[: len(rest) and SEGMENT_BYTES - cut]  # may end as the batch did, by chance
        segment(folder).write_bytes(left)
        kept = [
            record
            for end, batch in zip(ends, batches, strict=True)
            if left[:end] == whole[:end]
            for record in batch
        ]

        assert stored(folder) == kept
        restart_and_append(folder, kept)
        shutil.rmtree(folder)


def test_keys_rotate_and_old_batches_stay_readable(tmp_path: Path) -> None:
    write(tmp_path, [RECORDS[:1]])
    both = Keyring({1: b"k" * 32, 2: b"n" * 32}, 2)
    journal = opened(tmp_path, both)
    lease = journal.acquire(SHARD, "next")
    journal.append(lease, 2, RECORDS[1:2])

    assert [batch.records for batch in journal.read(SHARD)] == [(RECORDS[0],), (RECORDS[1],)]
    with pytest.raises(Damaged, match="key 2 is not in the keyring"):
        list(opened(tmp_path).read(SHARD))


class StaleDisk(Disk):
    """A reader's disk whose next read at ``offset`` comes before the writer's bytes."""

    offset = -1

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        data = super().pread(fd, size, offset)
        if offset != self.offset:
            return data
        self.offset = -1
        return bytes(len(data))


def test_a_reader_that_looked_a_moment_too_early_looks_once_more(tmp_path: Path) -> None:
    """Its first look finds zeros; until it has looked ahead, a living writer has appended two batches."""
    ends = write(tmp_path, [RECORDS[:1], RECORDS[1:2], RECORDS[2:3]])
    disk = StaleDisk()
    disk.offset = ends[0]

    batches = opened(tmp_path, disk=disk).read(SHARD)

    assert [record for batch in batches for record in batch.records] == RECORDS[:3]
    assert disk.offset == -1


def test_a_torn_batch_is_reported_with_its_place_and_size(tmp_path: Path) -> None:
    ends = write(tmp_path, [RECORDS[:1], RECORDS[1:2]])
    edit(segment(tmp_path), lambda data: data.__setitem__(slice(ends[1] - 10, ends[1]), bytes(10)))

    lease = opened(tmp_path).acquire(SHARD, "next")

    (notice,) = lease.notices
    assert (notice.event, notice.file, notice.offset) == ("torn_tail_cut", "00000001.seg", ends[0])
    assert HEADER_BYTES < notice.size <= ends[1] - 10 - ends[0]
    assert not any(segment(tmp_path).read_bytes()[ends[0] + 117 :])  # the opening seal, then zeros


@pytest.mark.parametrize("lost", [b"", b"garbage", None], ids=["empty", "unreadable", "missing"])
def test_a_lost_epoch_file_cannot_bring_back_an_epoch(tmp_path: Path, lost: bytes | None) -> None:
    """Epoch 3 leaves only a torn batch: no trace of it is readable, and still it is not given out again."""
    write(tmp_path, [RECORDS[:1]])
    for _ in range(2):
        journal = opened(tmp_path)
        journal.acquire(SHARD, "unlucky")
        abandon(journal)
    edit(segment(tmp_path), lambda data: data.__setitem__(slice(245 + 117, 1024), bytes(1024 - 362)))
    (tmp_path / "epoch").unlink() if lost is None else (tmp_path / "epoch").write_bytes(lost)

    journal = opened(tmp_path)
    lease = journal.acquire(SHARD, "next")

    assert lease.epoch == 2 + 65536
    assert [notice.event for notice in lease.notices] == ["epoch_file_replaced"]
    abandon(journal)
    restart_and_append(tmp_path, RECORDS[:1])


def test_an_epoch_file_older_than_the_batches_is_overtaken(tmp_path: Path) -> None:
    write(tmp_path, [RECORDS[:1]])
    old = (tmp_path / "epoch").read_bytes()
    journal = opened(tmp_path)
    journal.acquire(SHARD, "second")
    abandon(journal)
    (tmp_path / "epoch").write_bytes(old)

    assert opened(tmp_path).acquire(SHARD, "third").epoch == 2 + 65536


def test_two_lives_of_one_copied_folder_never_share_a_nonce_under_one_key(tmp_path: Path) -> None:
    """Same epoch, same batch number, same plaintext: the salt makes the key, so the ciphertexts differ."""
    write(tmp_path / "one", [RECORDS[:1]])
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    tails = []
    for name in ("one", "two"):
        journal = opened(tmp_path / name)
        lease = journal.acquire(SHARD, "life")
        journal.append(lease, 2, [b"x" * 50])
        (batch,) = journal.read(SHARD, 1)
        at = batch.offset + HEADER_BYTES
        tails.append((batch.epoch, batch.number, segment(tmp_path / name).read_bytes()[at : at + 50]))

    assert tails[0][:2] == tails[1][:2]
    assert tails[0][2] != tails[1][2]


def test_a_batch_that_does_not_fit_goes_into_the_next_segment(tmp_path: Path) -> None:
    write(tmp_path, [[b"s" * 500], [b"l" * 600], [b"s" * 20]])

    found = [(batch.segment, batch.records) for batch in opened(tmp_path).read(SHARD)]

    assert found == [(1, (b"s" * 500,)), (2, (b"l" * 600,)), (2, (b"s" * 20,))]
    restart_and_append(tmp_path, [b"s" * 500, b"l" * 600, b"s" * 20])


def test_a_batch_that_fits_into_no_segment_is_our_own_error(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    lease = journal.acquire(SHARD, "writer")

    with pytest.raises(AssertionError, match="fits into no segment"):
        journal.append(lease, 1, [b"x" * 1000])
    assert journal.append(lease, 1, [b"x" * 600]) == 1


def test_a_segment_filled_to_its_last_byte_is_followed_by_the_next(tmp_path: Path) -> None:
    fill = SEGMENT_BYTES - 117 - 116 - 4  # the segment's seal; header, tag and CRC; one length
    write(tmp_path, [[b"f" * fill], [b"next"]], seal=True)

    assert [batch.segment for batch in opened(tmp_path).read(SHARD)] == [1, 2]
    restart_and_append(tmp_path, [b"f" * fill, b"next"])


def test_reading_from_a_snapshot_skips_the_segments_before_it(tmp_path: Path) -> None:
    records = [record * 30 for record in RECORDS]
    write(tmp_path, [[record] for record in records])
    edit(segment(tmp_path, 1), lambda data: data.__setitem__(130, data[130] ^ 1))

    assert stored(tmp_path, after_seq=8) == records[8:]
    with pytest.raises(Damaged):
        stored(tmp_path)
    assert opened(tmp_path).acquire(SHARD, "next", after_seq=8).last_seq == len(records)


def test_a_journal_whose_first_segments_were_removed_is_read_from_there_only(tmp_path: Path) -> None:
    records = [record * 30 for record in RECORDS]
    write(tmp_path, [[record] for record in records])
    first_of_third = min(batch.first_seq for batch in opened(tmp_path).read(SHARD) if batch.segment == 3)
    segment(tmp_path, 1).unlink()
    segment(tmp_path, 2).unlink()

    assert stored(tmp_path, first_of_third - 1) == records[first_of_third - 1 :]
    with pytest.raises(Damaged, match="sequence 1 is not in the journal any more"):
        stored(tmp_path)
    assert opened(tmp_path).acquire(SHARD, "next").last_seq == len(records)
