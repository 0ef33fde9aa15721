"""A journal looked through from end to end: every batch in its place, and where it ends.

Reads without a lock and changes nothing, so it may run beside the owner; it then sees the journal as of some
moment.
"""

from pathlib import Path

import msgspec

from processor.journal.cipher import Cipher, Keyring
from processor.journal.disk import Disk
from processor.journal.epoch import EpochMark, epoch_path, parse_mark
from processor.journal.header import CRC_BYTES, HEADER_BYTES, Header, Kind, Seal, Unreadable, parse_header
from processor.journal.scan import Scan, Tail, read_batch
from processor.journal.segments import SegmentReader, segment_path
from processor.values.errors import Damaged

_AFTER_ALL = 1 << 62  # a sequence behind every record: reading begins at the last segment


class End(msgspec.Struct, frozen=True):
    """Where the last batch ends, and what is there.

    ``state`` is "released" (sealed by a clean stop), "idle", "opened" or "segment" by the seal that is the
    last batch; "open" when that batch has records; "torn" when bytes that are no batch follow, which the next
    start cuts; "written" when the owner has gone on writing meanwhile; "empty" without any batch.
    """

    state: str
    file: str
    offset: int


class Audit(msgspec.Struct, frozen=True):
    """What was found. The counts are of what is sound: with ``damage``, of what lies before it.

    ``damage`` names file and offset, and is empty for a journal that can be acquired. ``epoch_file`` is "as
    expected", "behind" or "missing"; the next start mends the last two.
    """

    damage: str
    segments: int = 0
    batches: int = 0
    seals: int = 0
    records: int = 0
    epochs: int = 0
    last_epoch: int = 0
    end: End | None = None
    epoch_file: str = ""


def audit(folder: Path, keys: Keyring, shard: int) -> Audit:
    """Check the journal in ``folder``. Errors: OSError if a file cannot be opened."""
    disk = Disk()
    try:
        mark = _mark(disk, folder)  # before the batches, which may become more meanwhile
        scan = Scan(disk, folder, shard, Cipher(keys))
    except Damaged as error:
        return Audit(damage=str(error))
    damage = _read_through(scan) or _contradicts(mark, scan.tail, folder, shard)
    headers = _headers(disk, folder, scan)
    found = Audit(
        damage=damage,
        segments=len({header.segment for header in headers}),
        batches=len(headers),
        seals=sum(header.kind == Kind.SEAL for header in headers),
        records=sum(header.count for header in headers),
        epochs=len({header.epoch for header in headers}),
        last_epoch=scan.tail.epoch,
    )
    if damage:
        return found
    end = _end(disk, folder, scan, keys)
    return msgspec.structs.replace(found, end=end, epoch_file=_epoch_file(_mark(disk, folder), scan.tail))


def check_end(folder: Path, keys: Keyring, shard: int) -> Tail:
    """Check the last segment that is begun, and that the epoch file knows of nothing behind it.

    Errors: Damaged, OSError.
    """
    disk = Disk()
    mark = _mark(disk, folder)
    scan = Scan(disk, folder, shard, Cipher(keys))
    for _ in scan.batches(_AFTER_ALL):
        pass
    if damage := _contradicts(mark, scan.tail, folder, shard):
        raise Damaged(damage)
    return scan.tail


def _mark(disk: Disk, folder: Path) -> EpochMark | None:
    return parse_mark(disk.read_file(epoch_path(folder)) or b"")


def _read_through(scan: Scan) -> str:
    """Check every batch in the chain; what is damaged, or nothing."""
    try:
        for _ in scan.batches(0):
            pass
    except Damaged as error:
        return str(error)
    return ""


def _contradicts(mark: EpochMark | None, tail: Tail, folder: Path, shard: int) -> str:
    """What the epoch file knows of and the segments do not have."""
    if mark is None:
        return ""
    if mark.shard != shard:
        return f"{epoch_path(folder)} belongs to shard {mark.shard}, not {shard}"
    if tail.number < mark.number:
        path = segment_path(folder, max(1, tail.segment))
        known = f"the epoch file knows of batch {mark.number}"
        return f"{path} at byte {tail.offset}: the journal ends with batch {tail.number}, but {known}"
    return ""


def _epoch_file(mark: EpochMark | None, tail: Tail) -> str:
    if mark is None:
        return "missing"
    return "as expected" if mark.epoch >= tail.epoch else "behind"


def _headers(disk: Disk, folder: Path, scan: Scan) -> list[Header]:
    """The headers of the batches that were checked: those up to the tail, seals among them."""
    headers = []
    for number in (n for n in scan.numbers if n <= scan.tail.segment):
        with SegmentReader(disk, folder, number) as segment:
            end = scan.tail.offset if number == scan.tail.segment else segment.size
            offset = 0
            while offset < end:
                try:
                    headers.append(parse_header(segment.read(offset, HEADER_BYTES)))
                except Unreadable:  # the zeros behind the last batch of a full segment
                    break
                offset += headers[-1].batch_bytes
    return headers


def _end(disk: Disk, folder: Path, scan: Scan, keys: Keyring) -> End:
    for loose in scan.loose_ends():
        with SegmentReader(disk, folder, loose.segment) as segment:
            if segment.first_nonzero(loose.offset) is not None:
                state = "written" if _goes_on(segment, loose.offset, scan.tail) else "torn"
                return End(state, str(segment.path), loose.offset)
    state = _last_batch(scan.last_batch, keys) if scan.last_batch else "empty"
    return End(state, str(segment_path(folder, max(1, scan.tail.segment))), scan.tail.offset)


def _goes_on(segment: SegmentReader, offset: int, tail: Tail) -> bool:
    """Whether a whole batch that follows the tail is there now: it was not when the scan came by."""
    try:
        header, _ = read_batch(segment, offset)
    except Unreadable:
        return False
    return header.number > tail.number and header.epoch >= tail.epoch


def _last_batch(raw: bytes, keys: Keyring) -> str:
    header = parse_header(raw)
    if header.kind != Kind.SEAL:
        return "open"
    reason = Cipher(keys).decrypt(header, raw[:HEADER_BYTES], raw[HEADER_BYTES:-CRC_BYTES])
    return Seal(reason[0]).name.lower()
