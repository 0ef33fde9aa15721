"""The epoch file: who may append, and how far the journal is known to reach. Layout in `docs/journal.md`.

It is replaced, never changed in place: written beside, synced, renamed, folder synced.
"""

import struct
from pathlib import Path

import google_crc32c
import msgspec

from processor.journal.disk import Disk, write_all
from processor.values.errors import Damaged

_LAYOUT = struct.Struct(">4sHHIIQQ")
_CRC = struct.Struct(">I")
_MAGIC = b"STJE"
_VERSION = 1
EPOCH_BYTES = _LAYOUT.size + _CRC.size

LOST_EPOCHS = 1 << 16  # epochs that may have been taken without leaving a batch, when the file is lost


class EpochMark(msgspec.Struct, frozen=True):
    """The current epoch, and the last batch and sequence that were durable when the file was written."""

    shard: int
    epoch: int
    number: int
    last_seq: int


def epoch_path(folder: Path) -> Path:
    """Where the epoch file lies."""
    return folder / "epoch"


def pack_mark(mark: EpochMark) -> bytes:
    """The file's 36 bytes."""
    body = _LAYOUT.pack(_MAGIC, _VERSION, 0, mark.shard, mark.epoch, mark.number, mark.last_seq)
    return body + _CRC.pack(google_crc32c.value(body))


def parse_mark(raw: bytes) -> EpochMark | None:
    """The mark, or None if these bytes cannot be one. Errors: Damaged if it is of a later version."""
    if len(raw) != EPOCH_BYTES or _CRC.unpack_from(raw, _LAYOUT.size)[0] != google_crc32c.value(raw[:-4]):
        return None
    magic, version, _, shard, epoch, number, last_seq = _LAYOUT.unpack_from(raw)
    if magic != _MAGIC:
        return None
    if version != _VERSION:
        raise Damaged(f"epoch file: format version {version}, this program reads {_VERSION}")
    return EpochMark(shard, epoch, number, last_seq)


def store_mark(disk: Disk, folder: Path, mark: EpochMark) -> None:
    """Replace the epoch file durably. Errors: OSError."""
    beside = folder / "epoch.tmp"
    fd = disk.open_write(beside, create=True)
    try:
        write_all(disk, fd, pack_mark(mark), 0)
        disk.fdatasync(fd)
    finally:
        disk.close(fd)
    disk.rename(beside, epoch_path(folder))
    disk.fsync_dir(folder)


def next_epoch(mark: EpochMark | None, highest_seen: int, *, fresh: bool) -> int:
    """An epoch above every earlier one, those that left no batch on disk included.

    ``fresh`` means that the folder has neither an epoch file nor segments.
    """
    if mark is not None and mark.epoch >= highest_seen:
        return mark.epoch + 1
    return 1 if fresh else highest_seen + LOST_EPOCHS
