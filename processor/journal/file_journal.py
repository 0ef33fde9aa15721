"""The journal in a folder: one shard, one owner, segments of batches. Format: `docs/journal.md`."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from processor.journal.batch import SEAL_BYTES, batch_bytes, batch_hash, encode_batch, pack_records
from processor.journal.cipher import Cipher, Keyring
from processor.journal.contract import Batch, Lease, Notice
from processor.journal.disk import Disk, write_all
from processor.journal.epoch import EpochMark, epoch_path, next_epoch, parse_mark, store_mark
from processor.journal.header import TAG_BYTES, Header, Kind, Seal
from processor.journal.scan import Scan, Tail
from processor.journal.segments import NO_SPACE, SegmentMaker, blank, segment_path
from processor.values.errors import Ambiguous, Damaged, Fenced, Full

SEGMENT_BYTES = 64 * 1024 * 1024


class FileJournal:
    """A journal of files; see `processor.journal.contract.Journal` for what its methods promise.

    One thread at a time calls it, except that `prepare_next` may run in another thread beside `append`, and
    `read` anywhere. After any failed write or sync it refuses everything but `release`: what is on disk is
    unknown then, and a second fsync would report success for bytes that are gone. It survives the death of
    the process and of the operating system, not the loss of the disk.
    """

    def __init__(
        self,
        folder: Path,
        keys: Keyring,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        disk: Disk | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._folder = folder
        self._keys = keys
        self._cipher = Cipher(keys)
        self._disk = disk or Disk()
        self._random_bytes = random_bytes
        self._maker = SegmentMaker(self._disk, folder, segment_bytes)
        self._failure = ""
        self._lease: Lease | None = None
        self._lock_fd = -1
        self._fd = -1
        self._size = 0
        self._salt = b""
        self._epoch_path = epoch_path(folder)
        self._epoch_file: tuple[int, ...] | None = None
        self._path = folder
        self._tail = Tail(0, 0, 0, 0, 0, b"")
        self._sealed = False

    def acquire(self, shard: int, owner: str, *, after_seq: int = 0) -> Lease:
        """Become the owner: check, cut a torn tail, raise the epoch, write the opening seal."""
        assert self._lease is None, "release the lease first"
        self._refuse_if_failed()
        try:
            self._take_lock(owner)
            self._lease = self._take_over(shard, after_seq)
        except OSError as error:
            self._let_go()
            if error.errno in NO_SPACE:
                raise Full(f"{self._folder}: no space to start with") from error
            raise self._fail(self._folder, error) from error
        except BaseException:
            self._let_go()
            raise
        return self._lease

    def append(
        self, lease: Lease, first_seq: int, records: Sequence[bytes], *, use_reserve: bool = False
    ) -> int:
        """Encrypt, write and sync one batch."""
        self._check_lease(lease)
        assert first_seq == self._tail.last_seq + 1, f"sequence {first_seq} after {self._tail.last_seq}"
        if not (use_reserve or self._maker.reserve_ready):
            raise Full("the reserve is in use: only advices and reversals are taken")
        plaintext = pack_records(records)
        self._make_room(batch_bytes(plaintext), use_reserve=use_reserve)
        self._put(Kind.RECORDS, len(records), plaintext)
        return self._tail.last_seq

    def seal(self, lease: Lease) -> None:
        """Write a sealing batch, unless the last batch is one."""
        self._check_lease(lease)
        if not self._sealed:
            self._write_seal(Seal.IDLE)

    def read(self, shard: int, after_seq: int = 0) -> Iterator[Batch]:
        """The records after ``after_seq``; what is behind the last complete batch is left as it is."""
        self._refuse_if_failed()
        scan = Scan(self._disk, self._folder, shard, Cipher(self._keys))
        expected = after_seq + 1
        for batch in scan.batches(after_seq):
            if batch.first_seq != expected:
                raise Damaged(f"{self._folder}: sequence {expected} is not in the journal any more")
            yield batch
            expected = batch.last_seq + 1

    def release(self, lease: Lease) -> None:
        """Seal, note in the epoch file how far the journal reaches, unlock."""
        assert lease == self._lease, "not the lease of this journal"
        try:
            if not self._failure:
                self._check_lease(lease)
                self._write_seal(Seal.RELEASED)
                self._store_mark(lease.shard, lease.epoch)
        except OSError as error:
            raise self._fail(self._epoch_path, error) from error
        finally:
            self._let_go()

    def prepare_next(self) -> bool:
        """Do one bounded step (1 MiB of zeros, synced) towards the next segment and the reserve.

        Call it in a thread beside the writer's after `acquire`, again and again while it returns true; later
        now and then, for it also makes the reserve anew. Errors: Full (try again later), Ambiguous.
        """
        self._refuse_if_failed()
        try:
            return self._maker.step()
        except OSError as error:
            raise self._fail(self._folder, error) from error

    def _refuse_if_failed(self) -> None:
        if self._failure:
            raise Ambiguous(self._failure)

    def _fail(self, path: Path, error: OSError) -> Ambiguous:
        self._failure = f"{path}: {error.strerror}"
        return Ambiguous(self._failure)

    def _check_lease(self, lease: Lease) -> None:
        self._refuse_if_failed()
        try:
            current = self._disk.identity(self._epoch_path)
        except OSError as error:
            raise self._fail(self._epoch_path, error) from error
        if lease != self._lease or current != self._epoch_file:
            raise Fenced(f"epoch {lease.epoch} of shard {lease.shard} is not the current one")

    def _take_lock(self, owner: str) -> None:
        self._disk.make_folder(self._folder)
        lock = self._disk.lock(self._folder / "lock")
        if lock is None:
            holder = (self._disk.read_file(self._folder / "lock") or b"").decode(errors="replace").strip()
            raise Fenced(f"{self._folder} is held by {holder or 'another owner'}")
        self._lock_fd = lock
        self._disk.pwrite(lock, f"{owner[:60]:60}\n".encode(), 0)  # for people: the lock is what counts

    def _take_over(self, shard: int, after_seq: int) -> Lease:
        scan = Scan(self._disk, self._folder, shard, self._cipher)
        for _ in scan.batches(after_seq):
            pass
        self._tail = scan.tail
        raw_mark = self._disk.read_file(self._epoch_path)
        mark = parse_mark(raw_mark or b"")
        self._check_mark(mark, shard)
        notices = self._settle(scan)
        epoch = next_epoch(mark, scan.tail.epoch, fresh=raw_mark is None and not scan.numbers)
        if epoch != (mark.epoch if mark else 0) + 1:
            notices.append(Notice("epoch_file_replaced", self._epoch_path.name))
        self._store_mark(shard, epoch)
        self._open_epoch(scan.numbers, shard, epoch)
        notices += self._make_reserve()
        return Lease(shard, epoch, self._tail.last_seq, self._tail.digest, tuple(notices))

    def _check_mark(self, mark: EpochMark | None, shard: int) -> None:
        if mark is None:
            return
        where = self._epoch_path
        if mark.shard != shard:
            raise Damaged(f"{where} belongs to shard {mark.shard}, not {shard}")
        if self._tail.number < mark.number:
            raise Damaged(
                f"{segment_path(self._folder, max(1, self._tail.segment))} at byte {self._tail.offset}: the"
                f" journal ends with batch {self._tail.number}, but {where.name} knows of {mark.number}"
            )

    def _settle(self, scan: Scan) -> list[Notice]:
        """Make what was read durable, and zero everything behind it."""
        tail = scan.tail
        if scan.last_batch:
            # The last writer's sync may have failed and left these pages clean but not on disk. Written
            # again, they are dirty, and the sync in blank() is a real one.
            fd = self._disk.open_write(segment_path(self._folder, tail.segment))
            write_all(self._disk, fd, scan.last_batch, tail.offset - len(scan.last_batch))
            self._disk.close(fd)
        notices = []
        for loose in scan.loose_ends():
            path = segment_path(self._folder, loose.segment)
            if cut := blank(self._disk, path, loose.offset, self._maker.segment_bytes):
                notices.append(Notice("torn_tail_cut", path.name, loose.offset, cut))
        self._disk.fsync_dir(self._folder)
        return notices

    def _store_mark(self, shard: int, epoch: int) -> None:
        mark = EpochMark(shard, epoch, self._tail.number, self._tail.last_seq)
        store_mark(self._disk, self._folder, mark)
        self._epoch_file = self._disk.identity(self._epoch_path)

    def _open_epoch(self, numbers: list[int], shard: int, epoch: int) -> None:
        """Write the first batch of this epoch: it seals everything that was recovered."""
        self._salt = self._random_bytes(16)
        self._lease = Lease(shard, epoch, self._tail.last_seq, self._tail.digest)
        begun = self._tail.offset > 0
        self._maker.resume(numbers, self._tail.segment if begun else 0)
        if begun:
            self._use_segment(self._tail.segment)
            self._write_seal(Seal.OPENED)
        else:
            self._rotate(use_reserve=True)

    def _make_reserve(self) -> list[Notice]:
        try:
            while not self._maker.reserve_ready:
                self._maker.step()
        except Full:
            return [Notice("reserve_missing", "reserve")]
        return []

    def _make_room(self, size: int, *, use_reserve: bool) -> None:
        assert size + SEAL_BYTES <= self._maker.segment_bytes, "a batch that fits into no segment"
        while self._tail.offset + size > self._size:
            self._rotate(use_reserve=use_reserve)

    def _rotate(self, *, use_reserve: bool) -> None:
        """Go on in the next segment. Its first batch is durable before anything is written behind it."""
        number = self._maker.next_number
        try:
            self._maker.provide(use_reserve=use_reserve)
            self._use_segment(number)
        except OSError as error:
            raise self._fail(segment_path(self._folder, number), error) from error
        self._maker.entered(number)
        self._put(Kind.SEAL, 0, bytes([Seal.SEGMENT]))

    def _use_segment(self, number: int) -> None:
        if self._fd >= 0:
            self._disk.close(self._fd)
        self._path = segment_path(self._folder, number)
        self._fd = self._disk.open_write(self._path)
        self._size = self._disk.size(self._fd)
        tail = self._tail
        offset = tail.offset if tail.segment == number else 0
        self._tail = Tail(number, offset, tail.number, tail.last_seq, tail.epoch, tail.digest)

    def _write_seal(self, why: Seal) -> None:
        if self._tail.offset + SEAL_BYTES > self._size:
            self._rotate(use_reserve=True)
        self._put(Kind.SEAL, 0, bytes([why]))

    def _put(self, kind: Kind, count: int, plaintext: bytes) -> None:
        """Write one batch behind the tail and sync it; anything that interrupts this ends the journal."""
        assert self._lease is not None
        tail = self._tail
        number = tail.number + 1
        header = Header(
            kind,
            self._lease.shard,
            self._lease.epoch,
            self._keys.current,
            count,
            number,
            tail.last_seq + 1,
            len(plaintext) + TAG_BYTES,
            tail.segment,
            self._salt,
            tail.digest,
        )
        raw = encode_batch(header, plaintext, self._cipher)
        try:
            write_all(self._disk, self._fd, raw, tail.offset)
            self._disk.fdatasync(self._fd)
        except OSError as error:
            raise self._fail(self._path, error) from error
        except BaseException:
            self._failure = f"{self._path}: a write did not finish"
            raise
        end, last_seq = tail.offset + len(raw), tail.last_seq + count
        self._tail = Tail(tail.segment, end, number, last_seq, header.epoch, batch_hash(raw))
        self._sealed = kind == Kind.SEAL

    def _let_go(self) -> None:
        """Close everything; the lock goes last, so that nobody else begins before."""
        self._lease = None
        with suppress(OSError):
            self._maker.close()
        for fd in (self._fd, self._lock_fd):
            if fd >= 0:
                with suppress(OSError):
                    self._disk.close(fd)
        self._fd = self._lock_fd = -1
