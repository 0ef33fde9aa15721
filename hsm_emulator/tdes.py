"""Triple DES with contexts that are made once and used for every block, and what a DES key has to be."""

import itertools
from collections.abc import Callable
from typing import ClassVar

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB

BLOCK_BYTES = 8
KEY_LENGTHS = frozenset({8, 16, 24})

_ODD = bytes(byte if byte.bit_count() % 2 else byte ^ 1 for byte in range(256))

_WEAK = frozenset(
    map(
        bytes.fromhex,
        [
            *("0101010101010101", "FEFEFEFEFEFEFEFE", "E0E0E0E0F1F1F1F1", "1F1F1F1F0E0E0E0E"),
            *("01FE01FE01FE01FE", "FE01FE01FE01FE01", "1FE01FE00EF10EF1", "E01FE01FF10EF10E"),
            *("01E001E001F101F1", "E001E001F101F101", "1FFE1FFE0EFE0EFE", "FE1FFE1FFE0EFE0E"),
            *("011F011F010E010E", "1F011F010E010E01", "E0FEE0FEF1FEF1FE", "FEE0FEE0FEF1FEF1"),
        ],
    )
)
"""The weak and semi-weak DES keys: one of them undoes itself or another."""


def tdes_algorithm(key: bytes) -> TripleDES:
    """The algorithm for 8, 16 or 24 bytes.

    Shorter keys are deprecated in cryptography: K·K·K is single DES, K1·K2·K1 is two-key TDES.
    """
    assert len(key) in KEY_LENGTHS, "a TDES key is 8, 16 or 24 bytes"
    return TripleDES((key + key[:8] + key[:8])[:24] if len(key) > 8 else key * 3)


class Tdes:
    """One key of 8, 16 or 24 bytes; ``encrypt`` and ``decrypt`` take whole blocks of 8 bytes.

    Making a context costs about ten times as much as a block, and an ECB context that is only ever fed whole
    blocks keeps nothing between calls; so an instance is kept as long as its key is cached, in one thread.
    """

    KEY_LENGTHS: ClassVar[frozenset[int]] = KEY_LENGTHS
    __slots__ = ("decrypt", "encrypt")

    def __init__(self, key: bytes) -> None:
        cipher = Cipher(tdes_algorithm(key), ECB())  # noqa: S305 - single blocks by definition
        self.encrypt = cipher.encryptor().update
        self.decrypt = cipher.decryptor().update


def encryptor(key: bytes) -> Callable[[bytes], bytes]:
    """Only the encrypting context, for keys that live for one command."""
    return Cipher(tdes_algorithm(key), ECB()).encryptor().update  # noqa: S305 - single blocks by definition


def cbc_encryptor(key: bytes) -> Callable[[bytes], bytes]:
    """A context that chains on from call to call, beginning with zeros."""
    return Cipher(tdes_algorithm(key), CBC(bytes(BLOCK_BYTES))).encryptor().update


def cbc_encrypt(key: bytes, iv: bytes, data: bytes) -> bytes:
    """Whole blocks in cipher block chaining."""
    return Cipher(tdes_algorithm(key), CBC(iv)).encryptor().update(data)


def cbc_decrypt(key: bytes, iv: bytes, data: bytes) -> bytes:
    """The reverse of ``cbc_encrypt``."""
    return Cipher(tdes_algorithm(key), CBC(iv)).decryptor().update(data)


def check_value(key: bytes) -> str:
    """The key check value: 16 hex digits of the zero block under the key; units show the first six.

    >>> check_value(bytes.fromhex("0123456789ABCDEF"))
    'D5D44FF720683D0D'
    """
    return encryptor(key)(bytes(BLOCK_BYTES)).hex().upper()


def has_odd_parity(key: bytes) -> bool:
    """Whether every byte has an odd number of one bits, as a DES key should."""
    return key == key.translate(_ODD)


def with_odd_parity(key: bytes) -> bytes:
    r"""The same key with the lowest bit of every byte set so that the parity is odd.

    >>> with_odd_parity(b"\x00\x01\x02\x03").hex()
    '01010202'
    """
    return key.translate(_ODD)


def has_weak_part(key: bytes) -> bool:
    """Whether one of the key's parts is a weak or semi-weak DES key."""
    return any(key[at : at + BLOCK_BYTES] in _WEAK for at in range(0, len(key), BLOCK_BYTES))


def is_shorter_than_it_looks(key: bytes) -> bool:
    """Whether the parts of a longer key are equal, so that it works as a shorter one."""
    parts = [key[at : at + BLOCK_BYTES] for at in range(0, len(key), BLOCK_BYTES)]
    return any(one == other for one, other in itertools.pairwise(parts))


class CheckedKey:
    """A key of any length and type whose check value is asked for."""

    KEY_LENGTHS: ClassVar[frozenset[int]] = KEY_LENGTHS
    __slots__ = ("check_value",)

    def __init__(self, key: bytes) -> None:
        self.check_value = check_value(key)
