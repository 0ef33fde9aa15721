"""The 96 bytes before every batch; `docs/journal.md` has the table.

All integers are unsigned and big-endian. Changing anything here needs a new version number.
"""

import struct
from enum import IntEnum

import msgspec

MAGIC = b"STJB"
VERSION = 1
TAG_BYTES = 16  # AES-GCM
CRC_BYTES = 4
CIPHERTEXT_BYTES_MAX = 16 * 1024 * 1024  # far above any group commit; what a reader allocates at most
NO_HASH = bytes(32)  # before the first batch of a journal

_LAYOUT = struct.Struct(">4sHBBIIIIQQII16s32s")
HEADER_BYTES = _LAYOUT.size
assert HEADER_BYTES == 96


class Unreadable(Exception):  # noqa: N818 - not an error yet: the scan decides
    """These bytes are not the batch that was expected here: a torn tail, or damage."""


class UnknownVersion(Unreadable):
    """A batch of a later format: it must never be taken for a torn tail and cut."""


class Kind(IntEnum):
    """What a batch holds."""

    RECORDS = 1
    SEAL = 2


class Seal(IntEnum):
    """Why a sealing batch was written: its one byte of plaintext."""

    SEGMENT = 1  # the first batch of every segment
    OPENED = 2  # a new lease begins
    IDLE = 3
    RELEASED = 4  # a clean shutdown


class Header(msgspec.Struct, frozen=True):
    """A batch header. ``length`` is the ciphertext's, tag included; ``salt`` is the lease's, random."""

    kind: int
    shard: int
    epoch: int
    key_id: int
    count: int
    number: int
    first_seq: int
    length: int
    segment: int
    salt: bytes
    previous: bytes

    @property
    def batch_bytes(self) -> int:
        """From magic to CRC."""
        return HEADER_BYTES + self.length + CRC_BYTES


def pack_header(header: Header) -> bytes:
    """The header as it lies on disk, and as the cipher authenticates it."""
    return _LAYOUT.pack(
        MAGIC,
        VERSION,
        header.kind,
        0,
        header.shard,
        header.epoch,
        header.key_id,
        header.count,
        header.number,
        header.first_seq,
        header.length,
        header.segment,
        header.salt,
        header.previous,
    )


def parse_header(raw: bytes) -> Header:
    """Read a header and bound everything that a reader would allocate by.

    Errors: Unreadable, UnknownVersion. The CRC is not known to be right yet.
    """
    if len(raw) < HEADER_BYTES or not raw.startswith(MAGIC):
        raise Unreadable("no batch begins here")
    (
        _,
        version,
        kind,
        flags,
        shard,
        epoch,
        key_id,
        count,
        number,
        first_seq,
        length,
        segment,
        salt,
        previous,
    ) = _LAYOUT.unpack_from(raw)
    if version > VERSION:
        raise UnknownVersion(f"format version {version}, this program reads {VERSION}")
    if version != VERSION or flags != 0:
        raise Unreadable("the header is not whole")
    header = Header(kind, shard, epoch, key_id, count, number, first_seq, length, segment, salt, previous)
    _check_shape(header)
    return header


def _check_shape(header: Header) -> None:
    if header.kind not in (Kind.RECORDS, Kind.SEAL):
        raise Unreadable(f"batch kind {header.kind} is not known")
    if not TAG_BYTES < header.length <= CIPHERTEXT_BYTES_MAX:
        raise Unreadable(f"a length of {header.length} bytes")
    if (header.kind == Kind.RECORDS) != (header.count > 0):
        raise Unreadable(f"a count of {header.count}")
    if header.epoch == 0 or header.number == 0 or header.first_seq == 0 or header.segment == 0:
        raise Unreadable("an epoch, batch number, sequence or segment of 0")
