"""A batch in bytes: header ‖ AES-GCM ciphertext and tag ‖ CRC32C of all before it.

The plaintext of a record batch is ``count`` lengths of 4 bytes, then the records; that of a sealing batch is
one byte, its reason. The hash that the next batch carries is the SHA-256 of the whole batch, CRC included.
"""

import hashlib
import struct
from collections.abc import Sequence

import google_crc32c

from processor.journal.cipher import Cipher
from processor.journal.header import (
    CIPHERTEXT_BYTES_MAX,
    CRC_BYTES,
    HEADER_BYTES,
    TAG_BYTES,
    Header,
    Kind,
    Seal,
    Unreadable,
    pack_header,
    parse_header,
)

_CRC = struct.Struct(">I")
_OVERHEAD_BYTES = HEADER_BYTES + TAG_BYTES + CRC_BYTES
SEAL_BYTES = _OVERHEAD_BYTES + 1


def batch_bytes(plaintext: bytes) -> int:
    """How many bytes the batch of this plaintext takes on disk."""
    return _OVERHEAD_BYTES + len(plaintext)


def pack_records(records: Sequence[bytes]) -> bytes:
    """The plaintext of a record batch; neither the batch nor a record may be empty."""
    lengths = [len(record) for record in records]
    assert lengths, "an empty batch looks like a zeroed disk"
    assert 0 not in lengths, "an empty record says nothing"
    plaintext = struct.pack(f">{len(lengths)}I", *lengths) + b"".join(records)
    assert len(plaintext) + TAG_BYTES <= CIPHERTEXT_BYTES_MAX, "a batch beyond the format's limit"
    return plaintext


def unpack_records(plaintext: bytes, count: int) -> tuple[bytes, ...]:
    """The records of a record batch. Errors: Unreadable if lengths and bytes do not add up."""
    at = 4 * count
    if at >= len(plaintext):
        raise Unreadable("the record lengths run past the batch")
    lengths = struct.unpack_from(f">{count}I", plaintext)
    if 0 in lengths or at + sum(lengths) != len(plaintext):
        raise Unreadable("the record lengths do not fill the batch")
    records = []
    for length in lengths:
        records.append(plaintext[at : at + length])
        at += length
    return tuple(records)


def encode_batch(header: Header, plaintext: bytes, cipher: Cipher) -> bytes:
    """The batch as it lies on disk."""
    head = pack_header(header)
    body = head + cipher.encrypt(header, head, plaintext)
    return body + _CRC.pack(google_crc32c.value(body))


def check_crc(raw: bytes) -> Header:
    """The header of a whole batch whose CRC32C is right. Errors: Unreadable."""
    header = parse_header(raw)
    if len(raw) != header.batch_bytes:
        raise Unreadable("the batch is cut short")
    if google_crc32c.value(raw[:-CRC_BYTES]) != _CRC.unpack_from(raw, len(raw) - CRC_BYTES)[0]:
        raise Unreadable("the CRC does not fit")
    return header


def open_batch(header: Header, raw: bytes, cipher: Cipher) -> tuple[bytes, ...]:
    """Decrypt a batch: its records, or nothing for a seal. Errors: Unreadable."""
    plaintext = cipher.decrypt(header, raw[:HEADER_BYTES], raw[HEADER_BYTES:-CRC_BYTES])
    if header.kind == Kind.RECORDS:
        return unpack_records(plaintext, header.count)
    if len(plaintext) != 1 or not Seal.SEGMENT <= plaintext[0] <= Seal.RELEASED:
        raise Unreadable("a seal of no known reason")
    return ()


def batch_hash(raw: bytes) -> bytes:
    """What the next batch carries as the hash of this one."""
    return hashlib.sha256(raw).digest()
