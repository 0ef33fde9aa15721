"""Segment files: named 00000001.seg and so on, full of zeros before the first batch is written into them.

Zeros are written, not merely allocated: a write into an unwritten extent changes metadata, so that fdatasync
would have to commit the file system's own journal as well.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from processor.journal.disk import Disk, write_all
from processor.values.errors import Damaged, Full

_NAME = re.compile(r"([0-9]{8})\.seg")
_CHUNK = bytes(1024 * 1024)
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def segment_path(folder: Path, number: int) -> Path:
    """Where the segment of this number (from 1) lies."""
    return folder / f"{number:08}.seg"


def segment_numbers(disk: Disk, folder: Path) -> list[int]:
    """The numbers of the segments in a folder, ascending. Errors: Damaged if one in between is missing."""
    numbers = sorted(int(match[1]) for name in disk.names(folder) if (match := _NAME.fullmatch(name)))
    for before, after in pairwise(numbers):
        if after != before + 1:
            raise Damaged(f"{segment_path(folder, before + 1)} is missing")
    return numbers


class SegmentReader:
    """One open segment, read only. Errors: Damaged if the disk cannot read it."""

    def __init__(self, disk: Disk, folder: Path, number: int) -> None:
        self.number = number
        self.path = segment_path(folder, number)
        self._disk = disk
        self._fd = disk.open(self.path)
        self.size = disk.size(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._disk.close(self._fd)

    def read(self, offset: int, size: int) -> bytes:
        """The bytes there; fewer at the end of the file."""
        try:
            return self._disk.pread(self._fd, size, offset)
        except OSError as error:
            raise Damaged(f"{self.path} at byte {offset}: {error.strerror}") from error

    def chunks(self, offset: int) -> Iterator[tuple[int, bytes]]:
        """The chunks that are not all zeros, with their offsets, from ``offset`` to the end."""
        while data := self.read(offset, len(_CHUNK)):
            if data != _CHUNK[: len(data)]:
                yield offset, data
            offset += len(data)

    def first_nonzero(self, offset: int) -> int | None:
        """Where the zeros end, from ``offset`` on; None if they reach the end of the file."""
        for at, data in self.chunks(offset):
            return at + len(data) - len(data.lstrip(b"\0"))
        return None

    def find(self, pattern: bytes, offset: int) -> Iterator[int]:
        """Every place from ``offset`` on where a pattern of a few bytes begins."""
        for at, data in self.chunks(offset):
            window = data + self.read(at + len(data), len(pattern) - 1)
            found = window.find(pattern)
            while found >= 0:
                yield at + found
                found = window.find(pattern, found + 1)


def blank(disk: Disk, path: Path, offset: int, size: int) -> int:
    """Zero what is not zero from ``offset`` on, bring the file to ``size`` at least, sync.

    Returns how many bytes lie between the first and the last that were not zero. Errors: OSError.
    """
    fd = disk.open_write(path)
    try:
        first, end, at = -1, -1, offset
        while data := disk.pread(fd, len(_CHUNK), at):
            if data != _CHUNK[: len(data)]:
                first = first if first >= 0 else at + len(data) - len(data.lstrip(b"\0"))
                end = at + len(data.rstrip(b"\0"))
                write_all(disk, fd, _CHUNK[: len(data)], at)
            at += len(data)
        while at < size:
            write_all(disk, fd, _CHUNK[: size - at], at)
            at += min(len(_CHUNK), size - at)
        disk.fdatasync(fd)
    finally:
        disk.close(fd)
    return end - first


class SegmentMaker:
    """Makes the next segment and the reserve, a bounded step at a time, outside the hot path.

    `step` may run in another thread than the rest. ``next_number`` is the segment after the writer's,
    ``ready`` the last one that is prepared; ``reserve_ready`` false means that only records which cannot be
    refused may still be appended.
    """

    def __init__(self, disk: Disk, folder: Path, segment_bytes: int) -> None:
        self.segment_bytes = segment_bytes
        self.ready = 0
        self.reserve_ready = False
        self._disk = disk
        self._folder = folder
        self._reserve = folder / "reserve"
        self.next_number = 1
        self._open = False
        self._no_space = False
        self._making = Lock()
        self._fd = -1
        self._target = Path()
        self._filled = 0

    def resume(self, numbers: list[int], current: int) -> None:
        """Take stock of the folder: ``current`` is the segment being written, 0 if there is none."""
        self._open = True
        self.entered(current)
        self.ready = current + 1 if current + 1 in numbers else 0
        if self._reserve.name in self._disk.names(self._folder):
            fd = self._disk.open(self._reserve)
            self.reserve_ready = self._disk.size(fd) >= self.segment_bytes
            self._disk.close(fd)

    def entered(self, number: int) -> None:
        """The writer is in segment ``number`` now, so the next one is wanted."""
        self.next_number = number + 1

    def step(self) -> bool:
        """Write and sync up to 1 MiB of zeros where they are needed; true while there is more to do.

        Errors: Full; any other OSError as it is.
        """
        with self._making:
            try:
                return self._step()
            except OSError as error:
                self._abandon()
                if error.errno not in NO_SPACE:
                    raise
                self._no_space = True
                raise Full(f"no space for {self._target}") from error

    def provide(self, *, use_reserve: bool) -> None:
        """See to it that the wanted segment is there; quick if it was prepared. Errors: Full, OSError."""
        try:
            while self.ready != self.next_number:
                self._refuse_if_known_full()
                self.step()
        except Full:
            if not (use_reserve and self.reserve_ready):
                raise
            self._take_reserve()

    def close(self) -> None:
        """Drop a file that is half made, and make no more: the folder may have another owner from now on."""
        with self._making:
            self._open = False
            self._abandon()

    def _refuse_if_known_full(self) -> None:
        """Spare an append the attempt that `step` has just seen fail; `prepare_next` is what tries again."""
        if self._no_space and self._fd < 0:
            raise Full(f"no space for {segment_path(self._folder, self.next_number)}")

    def _step(self) -> bool:
        if not self._open or (self._fd < 0 and not self._begin()):
            return False
        size = min(len(_CHUNK), self.segment_bytes - self._filled)
        write_all(self._disk, self._fd, _CHUNK[:size], self._filled)
        self._disk.fdatasync(self._fd)
        self._filled += size
        if self._filled == self.segment_bytes:
            self._finish()
        return self._fd >= 0 or self.ready != self.next_number or not self.reserve_ready

    def _begin(self) -> bool:
        if self.ready != self.next_number:
            self._target = segment_path(self._folder, self.next_number)
        elif not self.reserve_ready:
            self._target = self._reserve
        else:
            return False
        self._filled = 0
        self._fd = self._disk.open_write(self._target.with_suffix(".tmp"), create=True)
        return True

    def _finish(self) -> None:
        self._disk.rename(self._target.with_suffix(".tmp"), self._target)
        self._disk.fsync_dir(self._folder)
        self._disk.close(self._fd)
        self._fd = -1
        self._no_space = False
        if self._target == self._reserve:
            self.reserve_ready = True
        else:
            self.ready = self.next_number

    def _abandon(self) -> None:
        if self._fd >= 0:
            self._disk.close(self._fd)
            self._fd = -1
            with suppress(OSError):
                self._disk.unlink(self._target.with_suffix(".tmp"))

    def _take_reserve(self) -> None:
        with self._making:
            self._abandon()  # another thread may have begun this very segment again
            self.reserve_ready = False
            self._disk.rename(self._reserve, segment_path(self._folder, self.next_number))
            self._disk.fsync_dir(self._folder)
            self.ready = self.next_number
