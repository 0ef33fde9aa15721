"""Triple DES in ECB mode with contexts that are made once and used for every block."""

from typing import ClassVar

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.modes import ECB

BLOCK_BYTES = 8
KEY_LENGTHS = frozenset({8, 16, 24})


class Tdes:
    """One key of 8, 16 or 24 bytes; ``encrypt`` and ``decrypt`` take whole blocks of 8 bytes.

    Making a context costs about ten times as much as a block, and an ECB context that is only ever fed whole
    blocks keeps nothing between calls; so an instance is kept as long as its key is cached, in one thread.
    """

    __slots__ = ("decrypt", "encrypt")

    def __init__(self, key: bytes) -> None:
        assert len(key) in KEY_LENGTHS, "a TDES key is 8, 16 or 24 bytes"
        # Shorter keys are deprecated in cryptography: K·K·K is single DES, K1·K2·K1 is two-key TDES.
        cipher = Cipher(TripleDES((key + key[:8] + key[:8])[:24] if len(key) > 8 else key * 3), ECB())  # noqa: S305
        self.encrypt = cipher.encryptor().update
        self.decrypt = cipher.decryptor().update


def check_value(key: bytes) -> str:
    """The key check value: 16 hex digits of the zero block under the key; units show the first six.

    >>> check_value(bytes.fromhex("0123456789ABCDEF"))
    'D5D44FF720683D0D'
    """
    return Tdes(key).encrypt(bytes(BLOCK_BYTES)).hex().upper()


class CheckedKey:
    """A key of any length and type whose check value is asked for."""

    KEY_LENGTHS: ClassVar[frozenset[int]] = KEY_LENGTHS
    __slots__ = ("check_value",)

    def __init__(self, key: bytes) -> None:
        self.check_value = check_value(key)


def has_odd_parity(key: bytes) -> bool:
    """Whether every byte has an odd number of one bits, as a DES key should."""
    return all(byte.bit_count() % 2 for byte in key)


def with_odd_parity(key: bytes) -> bytes:
    r"""The same key with the lowest bit of every byte set so that the parity is odd.

    >>> with_odd_parity(b"\x00\x01\x02\x03").hex()
    '01010202'
    """
    return bytes(byte if byte.bit_count() % 2 else byte ^ 1 for byte in key)
