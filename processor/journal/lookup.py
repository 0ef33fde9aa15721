"""Single records out of a journal, found by the headers of their batches: for people's questions.

Every batch that is opened is authenticated by its tag; that they make a chain is `scan`'s business. Batches
are skipped from header to header, and only those that contain what is looked for are taken apart, so that a
thread beside a running processor holds the interpreter for a fraction of a millisecond at a time.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from processor.journal.batch import check_crc, unpack_records
from processor.journal.cipher import Cipher, Keyring
from processor.journal.contract import NO_END, Found
from processor.journal.disk import Disk
from processor.journal.header import CRC_BYTES, HEADER_BYTES, Header, Kind, Unreadable, parse_header
from processor.journal.segments import SegmentReader, segment_numbers, segment_path
from processor.values.errors import Damaged


class _Place(msgspec.Struct, frozen=True):
    header: Header
    offset: int


class Lookup:
    """Looks into the journal of one shard; needs no lease, takes no lock, belongs to one thread."""

    def __init__(self, folder: Path, keys: Keyring, shard: int) -> None:
        self._folder = folder
        self._shard = shard
        self._disk = Disk()
        self._cipher = Cipher(keys)

    def containing(
        self, needles: Collection[bytes], after_seq: int = 0, up_to_seq: int = NO_END
    ) -> Iterator[Found | None]:
        """See `processor.journal.contract.Finder`."""
        for number in self._segments(after_seq):
            yield from self._of_segment(number, needles, after_seq, up_to_seq, newest_first=False)

    def newest_first(
        self, needles: Collection[bytes], after_seq: int = 0, up_to_seq: int = NO_END
    ) -> Iterator[Found | None]:
        """As `containing`, from the end."""
        for number in reversed(self._segments(after_seq)):
            yield from self._of_segment(number, needles, after_seq, up_to_seq, newest_first=True)

    def _segments(self, after_seq: int) -> list[int]:
        """The segments that may hold records behind ``after_seq``, ascending."""
        chosen: list[int] = []
        for number in reversed(segment_numbers(self._disk, self._folder)):
            with SegmentReader(self._disk, self._folder, number) as segment:
                try:
                    first = parse_header(segment.read(0, HEADER_BYTES))
                except Unreadable:  # made ahead, and empty still
                    continue
            if first.shard != self._shard:
                raise Damaged(f"{segment.path} belongs to shard {first.shard}, not {self._shard}")
            chosen.append(number)
            if first.first_seq <= after_seq + 1:
                break
        return chosen[::-1]

    def _of_segment(
        self, number: int, needles: Collection[bytes], after_seq: int, up_to_seq: int, *, newest_first: bool
    ) -> Iterator[Found | None]:
        with SegmentReader(self._disk, self._folder, number) as segment:
            places = list(_places(segment, after_seq, up_to_seq))
            for place in reversed(places) if newest_first else places:
                yield None
                found = [
                    Found(sequence, raw)
                    for sequence, raw in enumerate(
                        self._open(segment, place, needles, last=place is places[-1]), place.header.first_seq
                    )
                    if after_seq < sequence <= up_to_seq and any(needle in raw for needle in needles)
                ]
                yield from reversed(found) if newest_first else found

    def _open(
        self, segment: SegmentReader, place: _Place, needles: Collection[bytes], *, last: bool
    ) -> tuple[bytes, ...]:
        """The records of a batch, or none when nothing that is looked for is in it."""
        header = place.header
        raw = segment.read(place.offset, header.batch_bytes)
        try:
            check_crc(raw)
            plaintext = self._cipher.decrypt(header, raw[:HEADER_BYTES], raw[HEADER_BYTES:-CRC_BYTES])
            if not any(needle in plaintext for needle in needles):
                return ()
            return unpack_records(plaintext, header.count)
        except Unreadable as problem:
            if last and not segment_path(self._folder, segment.number + 1).exists():
                return ()  # a torn tail, or a batch that is being written
            raise Damaged(f"{segment.path} at byte {place.offset}: {problem}") from None


def _places(segment: SegmentReader, after_seq: int, up_to_seq: int) -> Iterator[_Place]:
    """The record batches of a segment that reach into the range, in order."""
    offset = 0
    while True:
        try:
            header = parse_header(segment.read(offset, HEADER_BYTES))
        except Unreadable:
            return
        if (
            header.kind == Kind.RECORDS
            and header.first_seq <= up_to_seq
            and header.first_seq + header.count > after_seq + 1
        ):
            yield _Place(header, offset)
        offset += header.batch_bytes
