"""Reading a journal and checking it: every batch, every link of the chain, and what lies behind the end.

A writer makes a batch durable before it begins the next, so only the last batch can be torn. Therefore: bytes
that are not the expected batch, with a valid batch of a higher number anywhere behind them, are damage; with
none, they are a torn tail.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from processor.journal.batch import batch_hash, check_crc, open_batch
from processor.journal.cipher import Cipher
from processor.journal.contract import Batch
from processor.journal.disk import Disk
from processor.journal.header import (
    HEADER_BYTES,
    MAGIC,
    NO_HASH,
    Header,
    Kind,
    UnknownVersion,
    Unreadable,
    parse_header,
)
from processor.journal.segments import SegmentReader, segment_numbers, segment_path
from processor.values.errors import Damaged


class Tail(msgspec.Struct, frozen=True):
    """Where the journal ends: behind batch ``number`` with hash ``digest``, at ``offset`` in ``segment``."""

    segment: int
    offset: int
    number: int
    last_seq: int
    epoch: int
    digest: bytes


class Loose(msgspec.Struct, frozen=True):
    """A segment that is begun behind the tail's: bytes from ``offset`` on belong to no batch."""

    segment: int
    offset: int


def read_batch(segment: SegmentReader, offset: int) -> tuple[Header, bytes]:
    """The batch at ``offset`` if its bytes are whole, wherever it may belong. Errors: Unreadable."""
    head = segment.read(offset, HEADER_BYTES)
    header = parse_header(head)
    if offset + header.batch_bytes > segment.size:
        raise Unreadable("the batch runs past the end of the segment")
    raw = head + segment.read(offset + HEADER_BYTES, header.batch_bytes - HEADER_BYTES)
    return check_crc(raw), raw


class Scan:
    """One pass over a journal; then ``tail`` says where it ends, ``last_batch`` has its last bytes."""

    def __init__(self, disk: Disk, folder: Path, shard: int, cipher: Cipher) -> None:
        self.tail = Tail(segment=0, offset=0, number=0, last_seq=0, epoch=0, digest=NO_HASH)
        self.last_batch = b""
        self.numbers = segment_numbers(disk, folder)
        self._disk = disk
        self._folder = folder
        self._shard = shard
        self._cipher = cipher
        self._problem = ""
        self._retried = (0, 0)

    def batches(self, after_seq: int) -> Iterator[Batch]:
        """Every batch of records that reaches beyond ``after_seq``, each checked in the chain.

        Begins at the last segment that holds it, with that segment's first batch as the anchor.
        Errors: Damaged, naming file and offset.
        """
        number = self._anchor(after_seq)
        while number:
            with self._open(number) as segment:
                yield from self._chain(segment, after_seq)
                number = self._after(segment)

    def loose_ends(self) -> list[Loose]:
        """The tail's segment and those behind it, to be zeroed from these offsets on."""
        tail = self.tail
        behind = [Loose(number, 0) for number in self.numbers if number > tail.segment]
        return [Loose(tail.segment, tail.offset), *behind] if tail.segment else behind

    def _open(self, number: int) -> SegmentReader:
        return SegmentReader(self._disk, self._folder, number)

    def _anchor(self, after_seq: int) -> int:
        """Choose the segment to begin with, 0 if there is none, and set the tail before its first batch."""
        for number in reversed(self.numbers):
            if number == 1:
                self.tail = msgspec.structs.replace(self.tail, segment=1)
                return 1
            with self._open(number) as segment:
                try:
                    header, _ = read_batch(segment, 0)
                except Unreadable as problem:
                    if number == self.numbers[0]:
                        raise Damaged(f"{segment.path} at byte 0: {problem}") from None
                    continue
            if header.first_seq <= after_seq + 1 or number == self.numbers[0]:
                before = (header.number - 1, header.first_seq - 1, header.epoch, header.previous)
                self.tail = Tail(number, 0, *before)
                return number
        return 0

    def _chain(self, segment: SegmentReader, after_seq: int) -> Iterator[Batch]:
        """Follow the chain in one segment until something else lies there; says what in ``_problem``."""
        while True:
            offset = self._stop(segment)
            try:
                header, records = self._link(segment, offset)
            except UnknownVersion as problem:
                raise Damaged(f"{segment.path} at byte {offset}: {problem}") from None
            except Unreadable as problem:
                self._problem = str(problem)
                return
            skipped = max(0, after_seq + 1 - header.first_seq)
            if records[skipped:]:
                yield Batch(
                    header.first_seq + skipped,
                    records[skipped:],
                    header.epoch,
                    header.number,
                    segment.number,
                    offset,
                    header.batch_bytes,
                )

    def _stop(self, segment: SegmentReader) -> int:
        return self.tail.offset if segment.number == self.tail.segment else 0

    def _link(self, segment: SegmentReader, offset: int) -> tuple[Header, tuple[bytes, ...]]:
        """Read the batch that must follow the tail here, and move the tail behind it. Errors: Unreadable."""
        header, raw = read_batch(segment, offset)
        self._check_place(header, segment.number)
        if offset == 0 and header.kind != Kind.SEAL:
            raise Unreadable("a segment begins with a seal")
        records = open_batch(header, raw, self._cipher)
        last_seq = self.tail.last_seq + header.count
        end = offset + header.batch_bytes
        self.tail = Tail(segment.number, end, header.number, last_seq, header.epoch, batch_hash(raw))
        self.last_batch = raw
        return header, records

    def _check_place(self, header: Header, segment: int) -> None:
        tail = self.tail
        for name, found, expected in (
            ("shard", header.shard, self._shard),
            ("segment", header.segment, segment),
            ("batch number", header.number, tail.number + 1),
            ("first sequence", header.first_seq, tail.last_seq + 1),
        ):
            if found != expected:
                raise Unreadable(f"{name} {found} where {expected} belongs")
        if header.epoch < tail.epoch:
            raise Unreadable(f"epoch {header.epoch} after {tail.epoch}")
        if header.previous != tail.digest:
            raise Unreadable("it does not follow the batch before it (hash)")

    def _after(self, segment: SegmentReader) -> int:
        """The segment to go on with after the chain stopped, 0 at the journal's end. Errors: Damaged."""
        stop = self._stop(segment)
        found = self._look_ahead(segment.number, stop)
        if found is None:
            return 0
        if found == (segment.number + 1, 0, self.tail.number + 1) and segment.first_nonzero(stop) is None:
            return segment.number + 1
        if self._retried != (segment.number, stop):
            self._retried = (segment.number, stop)  # a living writer may have gone on since: look once more
            return segment.number
        raise Damaged(
            f"{segment.path} at byte {stop}: {self._problem}; "
            f"a later batch is at byte {found[1]} of {segment_path(self._folder, found[0]).name}"
        )

    def _look_ahead(self, number: int, offset: int) -> tuple[int, int, int] | None:
        """Segment, offset and number of the first whole batch with a higher number than the tail's, if any.

        A batch of an older epoch is what a fenced owner left behind: it counts for nothing.
        """
        for later in range(number, self.numbers[-1] + 1):
            with self._open(later) as segment:
                for at in segment.find(MAGIC, offset if later == number else 0):
                    try:
                        header, _ = read_batch(segment, at)
                    except Unreadable:
                        continue
                    if header.number > self.tail.number and header.epoch >= self.tail.epoch:
                        return later, at, header.number
        return None
