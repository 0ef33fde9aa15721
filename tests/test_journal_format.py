"""The journal's bytes, pinned. A change that breaks a test here makes existing journals unreadable.

The expected bytes are read with nothing but `struct`, `hmac` and AES-GCM, not with the journal's own code.
"""

import hashlib
import hmac
import struct
from collections.abc import Callable
from pathlib import Path

import google_crc32c
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from processor.journal.cipher import Keyring
from processor.journal.file_journal import FileJournal
from processor.journal.header import CIPHERTEXT_BYTES_MAX, Unreadable, parse_header
from processor.values.errors import Damaged

KEY = bytes(range(32))
SALT = bytes(range(0xA0, 0xB0))
SHARD, KEY_ID = 5, 7

# A new journal of shard 5: the segment's first batch, a batch of two records, an idle seal.
SEGMENT_BATCH = """
53544a42 0001 02 00 00000005 00000001 00000007 00000000  magic, version, seal, 0, shard, epoch, key id, count
0000000000000001 0000000000000001 00000011 00000001      batch number, first sequence, length, segment
a0a1a2a3a4a5a6a7a8a9aaabacadaeaf                         the lease's salt
0000000000000000000000000000000000000000000000000000000000000000  no batch before
0e  ciphertext
92b4f7fd64dcabe51df8b3eb27014d57  tag
97b056f8  CRC32C
"""
RECORD_BATCH = """
53544a42 0001 01 00 00000005 00000001 00000007 00000002  magic, version, records, 0, shard, epoch, key, count
0000000000000002 0000000000000001 00000021 00000001      batch number, first sequence, length, segment
a0a1a2a3a4a5a6a7a8a9aaabacadaeaf                         the lease's salt
3d67c750774246aed66256c673189b47bc69312f9009978f6e901489aadce36c  SHA-256 of the batch before
a9635437eed082d6a76049a291a5aa15b1  ciphertext
d753f32e44ca39f417c6413d5cc93578  tag
ec2d8488  CRC32C
"""
SEAL_BATCH = """
53544a42 0001 02 00 00000005 00000001 00000007 00000000  magic, version, seal, 0, shard, epoch, key id, count
0000000000000003 0000000000000003 00000011 00000001      batch number, first sequence, length, segment
a0a1a2a3a4a5a6a7a8a9aaabacadaeaf                         the lease's salt
84c7ccf11cc77765be65d6ce3bb976a5c102dd9117bdac1d889756304725a64d  SHA-256 of the batch before
4e  ciphertext
f078105ded978b0b8b2ad00f145185ea  tag
b3d3422e  CRC32C
"""
EPOCH_FILE = """
53544a45 0001 0000 00000005 00000001                     magic, version, zero, shard, epoch
0000000000000000 0000000000000000                        last batch and sequence known to be durable
bb3bdb11  CRC32C
"""


def unhex(text: str) -> bytes:
    """Bytes of an annotated dump: two spaces begin a remark."""
    return b"".join(bytes.fromhex(line.split("  ")[0]) for line in text.strip().splitlines())


def keyring() -> Keyring:
    return Keyring({KEY_ID: KEY}, KEY_ID)


def golden_journal(folder: Path) -> FileJournal:
    return FileJournal(folder, keyring(), segment_bytes=4096, random_bytes=lambda size: SALT[:size])


def golden_bytes() -> bytes:
    return (unhex(SEGMENT_BATCH) + unhex(RECORD_BATCH) + unhex(SEAL_BATCH)).ljust(4096, b"\0")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    journal = golden_journal(tmp_path)
    lease = journal.acquire(SHARD, "golden")
    journal.append(lease, 1, [b"first", b"2nd!"])
    journal.seal(lease)
    return tmp_path


def test_a_segment_is_written_byte_for_byte_as_pinned(written: Path) -> None:
    assert (written / "00000001.seg").read_bytes().hex() == golden_bytes().hex()


def test_the_epoch_file_is_written_byte_for_byte_as_pinned(written: Path) -> None:
    assert (written / "epoch").read_bytes().hex() == unhex(EPOCH_FILE).hex()


def test_the_pinned_bytes_are_read(tmp_path: Path) -> None:
    (tmp_path / "00000001.seg").write_bytes(golden_bytes())
    (tmp_path / "epoch").write_bytes(unhex(EPOCH_FILE))

    lease = golden_journal(tmp_path).acquire(SHARD, "reader")
    (batch,) = FileJournal(tmp_path, keyring()).read(SHARD)

    assert (lease.epoch, lease.last_seq, lease.notices) == (2, 2, ())
    assert (batch.first_seq, batch.records, batch.epoch, batch.number) == (1, (b"first", b"2nd!"), 1, 2)
    assert (batch.segment, batch.offset, batch.size) == (1, 117, 133)


def independent_plaintext(raw: bytes) -> bytes:
    """Decrypt a batch with primitives only: HKDF by its two HMAC steps, then AES-256-GCM."""
    shard, epoch = struct.unpack_from(">II", raw, 8)
    extracted = hmac.digest(raw[48:64], KEY, hashlib.sha256)
    info = b"standin journal v1\0\0" + struct.pack(">II", shard, epoch)
    key = hmac.digest(extracted, info + b"\1", hashlib.sha256)
    nonce = struct.pack(">I", epoch) + raw[24:32]
    return AESGCM(key).decrypt(nonce, raw[96:-4], raw[:96])


@pytest.mark.parametrize(
    ("dump", "plaintext"),
    [
        pytest.param(SEGMENT_BATCH, b"\x01", id="a segment begins with a seal of reason 1"),
        pytest.param(RECORD_BATCH, b"\0\0\0\5\0\0\0\4first2nd!", id="two lengths, then two records"),
        pytest.param(SEAL_BATCH, b"\x03", id="an idle seal has reason 3"),
    ],
)
def test_the_pinned_bytes_mean_what_the_format_page_says(dump: str, plaintext: bytes) -> None:
    raw = unhex(dump)

    assert struct.unpack(">I", raw[-4:])[0] == google_crc32c.value(raw[:-4])
    assert struct.unpack_from(">I", raw, 40)[0] == len(raw) - 100
    assert independent_plaintext(raw) == plaintext


def test_every_batch_carries_the_hash_of_all_bytes_of_the_one_before() -> None:
    assert unhex(RECORD_BATCH)[64:96] == hashlib.sha256(unhex(SEGMENT_BATCH)).digest()
    assert unhex(SEAL_BATCH)[64:96] == hashlib.sha256(unhex(RECORD_BATCH)).digest()


def test_the_crc_is_castagnoli_with_its_published_check_value() -> None:
    assert google_crc32c.value(b"123456789") == 0xE3069283


def patched(at: int, value: str) -> bytes:
    """The header of the record batch with other bytes at an offset."""
    raw, new = unhex(RECORD_BATCH)[:96], bytes.fromhex(value)
    return raw[:at] + new + raw[at + len(new) :]


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(patched(0, "00"), id="no magic"),
        pytest.param(patched(4, "0000"), id="version 0: the sector with the version was never written"),
        pytest.param(patched(6, "03"), id="a kind that does not exist"),
        pytest.param(patched(6, "02"), id="a seal with records"),
        pytest.param(patched(7, "01"), id="a flag that does not exist"),
        pytest.param(patched(12, "00000000"), id="epoch 0"),
        pytest.param(patched(20, "00000000"), id="a record batch without records"),
        pytest.param(patched(24, "0000000000000000"), id="batch number 0"),
        pytest.param(patched(32, "0000000000000000"), id="sequence 0"),
        pytest.param(patched(40, "00000010"), id="an empty plaintext"),
        pytest.param(patched(40, f"{CIPHERTEXT_BYTES_MAX + 1:08x}"), id="more than a reader allocates"),
        pytest.param(patched(44, "00000000"), id="segment 0"),
        pytest.param(patched(0, "")[:95], id="a byte short"),
    ],
)
def test_a_header_is_refused_before_anything_is_allocated_by_it(header: bytes) -> None:
    assert parse_header(patched(0, "")).count == 2

    with pytest.raises(Unreadable):
        parse_header(header)


def repair_crc(data: bytearray, start: int, end: int) -> None:
    struct.pack_into(">I", data, end - 4, google_crc32c.value(bytes(data[start : end - 4])))


def raise_batch_version(folder: Path) -> None:
    path = folder / "00000001.seg"
    data = bytearray(path.read_bytes())
    data[250 + 5] = 2
    repair_crc(data, 250, 367)
    path.write_bytes(data)


def raise_epoch_version(folder: Path) -> None:
    data = bytearray((folder / "epoch").read_bytes())
    data[5] = 2
    repair_crc(data, 0, 36)
    (folder / "epoch").write_bytes(data)


@pytest.mark.parametrize(
    "alter",
    [
        pytest.param(raise_batch_version, id="a last batch of a later version is not cut as a torn tail"),
        pytest.param(raise_epoch_version, id="an epoch file of a later version is not replaced"),
    ],
)
def test_a_later_format_is_refused_and_left_alone(tmp_path: Path, alter: Callable[[Path], None]) -> None:
    (tmp_path / "00000001.seg").write_bytes(golden_bytes())
    (tmp_path / "epoch").write_bytes(unhex(EPOCH_FILE))
    alter(tmp_path)
    before = (tmp_path / "00000001.seg").read_bytes(), (tmp_path / "epoch").read_bytes()

    with pytest.raises(Damaged, match="format version 2, this program reads 1"):
        golden_journal(tmp_path).acquire(SHARD, "old program")

    assert before == ((tmp_path / "00000001.seg").read_bytes(), (tmp_path / "epoch").read_bytes())


def test_a_keyring_prints_no_key() -> None:
    assert repr(keyring()) == "Keyring(ids=[7], current=7)"
