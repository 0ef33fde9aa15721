"""Torn tail or damage: what `acquire` and `read` make of bytes that are not what was written."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from processor.journal.batch import check_crc, encode_batch, pack_records
from processor.journal.cipher import Cipher, Keyring
from processor.journal.disk import Disk
from processor.journal.file_journal import FileJournal
from processor.journal.scan import Scan
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


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
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
def test_every_single_flipped_bit_of_a_sealed_journal_is_detected(tmp_path: Path) -> None:
    """Only the closing seal itself may be taken for a torn tail: no record is lost with it."""
    folder, records = tmp_path / "journal", [b"one", b"two", b"three"]
    ends = write(folder, [records[:2], records[2:]], seal=True)
    pristine = {path.name: path.read_bytes() for path in folder.iterdir()}
    end = len(pristine["00000001.seg"].rstrip(b"\0"))

    for bit in range(8 * (end + 40)):
        flip(segment(folder), bit)
        journal = opened(folder)
        if bit // 8 < ends[-1]:
            with pytest.raises(Damaged, match=r"00000001\.seg at byte"):
                journal.acquire(SHARD, "next")
            with pytest.raises(Damaged):
                stored(folder)
        else:
            assert_noticed(journal, records)
        for name, data in pristine.items():
            (folder / name).write_bytes(data)


def assert_noticed(journal: FileJournal, records: list[bytes]) -> None:
    try:
        lease = journal.acquire(SHARD, "next")
    except Damaged:
        return  # the version number of the last batch: perhaps a later format
    assert [notice.event for notice in lease.notices] == ["torn_tail_cut"]
    assert [record for batch in journal.read(SHARD) for record in batch.records] == records
    abandon(journal)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["epoch", "00000002.seg", "reserve"])
def test_every_flipped_bit_elsewhere_leaves_the_records_and_raises_the_epoch(
    tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "journal"
    write(folder, [RECORDS[:2]], seal=True)
    pristine = {path.name: path.read_bytes() for path in folder.iterdir()}

    for bit in range(8 * min(40, len(pristine[name]))):
        flip(folder / name, bit)
        journal = opened(folder)
        lease = journal.acquire(SHARD, "next")
        assert (lease.last_seq, lease.epoch > 1) == (2, True)
        assert [notice.file for notice in lease.notices] == ([name] if name != "reserve" else [])
        abandon(journal)
        for kept, data in pristine.items():
            (folder / kept).write_bytes(data)


def three_batches(folder: Path) -> list[int]:
    return write(folder, [RECORDS[:1], RECORDS[1:2], RECORDS[2:3]])


def swap_batches(data: bytearray) -> None:
    data[117:373] = data[245:373] + data[117:245]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: data.__setitem__(slice(150, 160), bytes(10)), id="zeros in the middle"),
        pytest.param(lambda data: data.__setitem__(slice(117, 245), bytes(128)), id="a batch that is gone"),
        pytest.param(lambda data: data.__setitem__(slice(0, 117), bytes(117)), id="no first batch"),
        pytest.param(lambda data: data.__delitem__(slice(117, 245)), id="a batch cut out, the rest moved up"),
        pytest.param(swap_batches, id="two batches in the wrong order"),
        pytest.param(lambda data: data.insert(117, 0), id="everything moved by a byte"),
    ],
)
def test_damage_before_a_valid_batch_is_refused_and_left_alone(
    tmp_path: Path, change: Callable[[bytearray], None]
) -> None:
    assert three_batches(tmp_path) == [245, 373, 501]
    edit(segment(tmp_path), change)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != "lock"}

    with pytest.raises(Damaged, match=r"00000001\.seg at byte (0|117|245): .*; a later batch is at byte"):
        opened(tmp_path).acquire(SHARD, "next")
    with pytest.raises(Damaged):
        stored(tmp_path)

    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != "lock"}


def test_damage_in_an_earlier_segment_is_found_by_a_batch_in_a_later_one(tmp_path: Path) -> None:
    write(tmp_path, [[record * 30] for record in RECORDS])
    assert segment(tmp_path, 4).exists()
    last = max(batch.offset for batch in opened(tmp_path).read(SHARD) if batch.segment == 2)
    edit(segment(tmp_path, 2), lambda data: data.__setitem__(slice(last, len(data)), bytes(len(data) - last)))

    with pytest.raises(Damaged, match=rf"00000002\.seg at byte {last}: .* byte 0 of 00000003\.seg"):
        opened(tmp_path).acquire(SHARD, "next")


def test_something_in_the_unused_end_of_a_full_segment_is_damage(tmp_path: Path) -> None:
    write(tmp_path, [[record * 30] for record in RECORDS])
    edit(segment(tmp_path, 2), lambda data: data.__setitem__(-1, 1))

    with pytest.raises(Damaged, match=r"00000002\.seg at byte"):
        opened(tmp_path).acquire(SHARD, "next")


def test_a_missing_segment_is_damage(tmp_path: Path) -> None:
    write(tmp_path, [[record * 30] for record in RECORDS])
    segment(tmp_path, 2).unlink()

    with pytest.raises(Damaged, match=r"00000002\.seg is missing"):
        opened(tmp_path).acquire(SHARD, "next")


def test_segments_swapped_by_name_are_damage(tmp_path: Path) -> None:
    write(tmp_path, [[record * 30] for record in RECORDS])
    one, two = segment(tmp_path, 2).read_bytes(), segment(tmp_path, 3).read_bytes()
    segment(tmp_path, 2).write_bytes(two)
    segment(tmp_path, 3).write_bytes(one)

    with pytest.raises(Damaged, match=r"00000001\.seg at byte \d+: .* byte 0 of 00000002\.seg"):
        opened(tmp_path).acquire(SHARD, "next")


@pytest.mark.parametrize("count", [1, 2])
def test_batches_that_the_epoch_file_knows_of_cannot_be_lost_unnoticed(tmp_path: Path, count: int) -> None:
    """The last batches vanish and nothing follows them, so only the mark can tell."""
    three_batches(tmp_path)
    journal = opened(tmp_path)
    journal.release(journal.acquire(SHARD, "clean"))
    edit(segment(tmp_path), lambda data: data.__setitem__(slice(373, 1024), bytes(651)))
    if count == 2:
        segment(tmp_path).unlink()
        segment(tmp_path, 2).unlink()

    with pytest.raises(Damaged, match=r"the journal ends with batch \d, but epoch knows of 6"):
        opened(tmp_path).acquire(SHARD, "next")


@pytest.mark.parametrize(
    ("shard", "keys"),
    [
        pytest.param(2, KEYS, id="another shard's journal"),
        pytest.param(1, Keyring({1: b"x" * 32}, 1), id="a wrong key"),
        pytest.param(1, Keyring({2: b"k" * 32}, 2), id="a key id that is not in the keyring"),
    ],
)
@pytest.mark.parametrize("epoch_file", [True, False])
@pytest.mark.parametrize("batches", [[], [RECORDS[:1]]], ids=["empty", "one batch"])
def test_a_journal_that_is_not_ours_to_read_is_never_cut(
    tmp_path: Path, shard: int, keys: Keyring, epoch_file: bool, batches: list[list[bytes]]
) -> None:
    write(tmp_path, batches)
    if not epoch_file:
        (tmp_path / "epoch").unlink()
    before = segment(tmp_path).read_bytes()

    with pytest.raises(Damaged):
        opened(tmp_path, keys).acquire(shard, "stranger")

    assert segment(tmp_path).read_bytes() == before


@pytest.mark.parametrize("start", [117, 373], ids=["the first records again", "the last batch again"])
def test_stale_bytes_that_look_like_earlier_batches_are_a_torn_tail(tmp_path: Path, start: int) -> None:
    """A valid batch with a number that was already used proves nothing about what lies before it."""
    ends = three_batches(tmp_path)
    edit(segment(tmp_path), lambda data: data.__setitem__(slice(600, 728), data[start : start + 128]))

    assert stored(tmp_path) == RECORDS[:3]
    journal = opened(tmp_path)
    (notice,) = journal.acquire(SHARD, "next").notices
    assert (notice.event, notice.offset, notice.size) == ("torn_tail_cut", ends[-1], 128)


@pytest.mark.parametrize("gap", [0, 50], ids=["at the end", "behind the end"])
def test_what_a_fenced_owner_left_behind_counts_for_nothing(tmp_path: Path, gap: int) -> None:
    """A batch of an older epoch, though its number is higher than any other."""
    write(tmp_path, [[record[:8]] for record in RECORDS[:6]])
    fenced = segment(tmp_path).read_bytes()[757:885]
    edit(segment(tmp_path), lambda data: data.__setitem__(slice(245, 1024), bytes(779)))
    restart_and_append(tmp_path, RECORDS[:1])
    end = gap + len(segment(tmp_path).read_bytes().rstrip(b"\0"))
    edit(segment(tmp_path), lambda data: data.__setitem__(slice(end, end + 128), fenced))

    restart_and_append(tmp_path, [RECORDS[0], b"more"])


def forged(folder: Path, **changes: object) -> None:
    """Append a batch that is sound in itself, key and CRC included, but differs in these header fields."""
    scan = Scan(Disk(), folder, SHARD, Cipher(KEYS))
    for _ in scan.batches(0):
        pass
    tail, last = scan.tail, check_crc(scan.last_batch)
    following = {
        "number": tail.number + 1,
        "first_seq": tail.last_seq + 1,
        "previous": tail.digest,
        "length": 25,
    }
    header = msgspec.structs.replace(last, **{**following, "epoch": 2, "kind": 1, "count": 1, **changes})
    raw = encode_batch(header, pack_records([b"fine"]) + bytes(header.length - 24), Cipher(KEYS))
    edit(segment(folder), lambda data: data.__setitem__(slice(tail.offset, tail.offset + len(raw)), raw))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        pytest.param({"length": 24}, "", id="nothing: it is read"),
        pytest.param({"shard": 2}, "shard 2 where 1 belongs", id="another shard"),
        pytest.param({"segment": 2}, "segment 2 where 1 belongs", id="another segment"),
        pytest.param({"number": 9}, "batch number 9 where 4 belongs", id="a gap in the batch numbers"),
        pytest.param({"first_seq": 9}, "first sequence 9 where 2 belongs", id="a gap in the sequence"),
        pytest.param({"previous": b"h" * 32}, "does not follow the batch before it", id="another history"),
        pytest.param({"length": 25}, "the record lengths do not fill the batch", id="a byte too many"),
        pytest.param({"count": 2}, "the record lengths", id="a record too many"),
    ],
)
def test_a_sound_batch_that_does_not_belong_here_is_damage(
    tmp_path: Path, changes: dict[str, object], problem: str
) -> None:
    write(tmp_path, [RECORDS[:1]])
    abandon_new_owner(tmp_path)
    forged(tmp_path, **{"length": 24, **changes})

    if not problem:
        restart_and_append(tmp_path, [RECORDS[0], b"fine"])
        return
    with pytest.raises(Damaged, match=problem):
        opened(tmp_path).acquire(SHARD, "next")


def test_an_epoch_that_falls_is_what_a_fenced_owner_wrote(tmp_path: Path) -> None:
    """Even if everything else about the batch fits."""
    write(tmp_path, [RECORDS[:1]])
    abandon_new_owner(tmp_path)
    forged(tmp_path, length=24, epoch=1)

    restart_and_append(tmp_path, RECORDS[:1])


def abandon_new_owner(folder: Path) -> None:
    journal = opened(folder)
    journal.acquire(SHARD, "second")
    abandon(journal)


def test_a_first_segment_that_cannot_be_read_is_never_begun_anew(tmp_path: Path) -> None:
    write(tmp_path, [[record * 30] for record in RECORDS])
    *gone, kept = [path for path in sorted(tmp_path.glob("*.seg")) if any(path.read_bytes())]
    for path in gone:
        path.unlink()
    edit(kept, lambda data: data.__setitem__(slice(0, 1024), bytes(1024)))

    with pytest.raises(Damaged, match=f"{kept.name} at byte 0: no batch begins here"):
        opened(tmp_path).acquire(SHARD, "next")
