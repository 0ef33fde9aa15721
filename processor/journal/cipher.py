"""AES-256-GCM over a batch; the only place in the processor that imports ``cryptography``.

The key of a batch is HKDF-SHA256(journal key, the lease's random salt, shard and epoch); the nonce is
epoch (4 bytes) ‖ batch number (8 bytes). Within a lease no number is used twice, and no two leases share a
salt: neither shards under one key nor a restored or copied folder can make a nonce repeat.
"""

import struct
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from processor.journal.header import Header, Unreadable

_NONCE = struct.Struct(">IQ")
_INFO = struct.Struct(">20sII")
_PURPOSE = b"standin journal v1\0\0"


class Keyring:
    """Journal keys (32 bytes each) by key id; new batches use ``current``. Never prints a key."""

    __slots__ = ("_keys", "current")

    def __init__(self, keys: Mapping[int, bytes], current: int) -> None:
        assert current in keys, "the current journal key is missing"
        assert all(len(key) == 32 for key in keys.values()), "a journal key has 32 bytes"
        assert all(0 <= key_id < 1 << 32 for key_id in keys), "a key id has 4 bytes"
        self._keys = dict(keys)
        self.current = current

    def reveal(self, key_id: int) -> bytes | None:
        """The key itself, for `Cipher` only; None if there is none."""
        return self._keys.get(key_id)

    def __repr__(self) -> str:
        return f"Keyring(ids={sorted(self._keys)}, current={self.current})"


class Cipher:
    """Encrypts and decrypts batches. Keeps the key of the last lease it saw, so it belongs to one thread."""

    def __init__(self, keys: Keyring) -> None:
        self._keys = keys
        self._lease: tuple[int, int, int, bytes] | None = None
        self._aead: AESGCM | None = None

    def encrypt(self, header: Header, header_bytes: bytes, plaintext: bytes) -> bytes:
        """Ciphertext ‖ tag; the header is authenticated with it."""
        return self._of(header).encrypt(_nonce(header), plaintext, header_bytes)

    def decrypt(self, header: Header, header_bytes: bytes, ciphertext: bytes) -> bytes:
        """The plaintext. Errors: Unreadable if the key is unknown or the tag does not fit."""
        try:
            return self._of(header).decrypt(_nonce(header), ciphertext, header_bytes)
        except InvalidTag:
            raise Unreadable(f"key {header.key_id} does not decrypt it") from None

    def _of(self, header: Header) -> AESGCM:
        lease = (header.key_id, header.shard, header.epoch, header.salt)
        if self._aead is None or self._lease != lease:
            self._aead, self._lease = AESGCM(self._derive(header)), lease
        return self._aead

    def _derive(self, header: Header) -> bytes:
        key = self._keys.reveal(header.key_id)
        if key is None:
            raise Unreadable(f"key {header.key_id} is not in the keyring")
        info = _INFO.pack(_PURPOSE, header.shard, header.epoch)
        return HKDF(algorithm=SHA256(), length=32, salt=header.salt, info=info).derive(key)


def _nonce(header: Header) -> bytes:
    return _NONCE.pack(header.epoch, header.number)
