"""AES with contexts that are made once, and its check value."""

from typing import ClassVar

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB
from cryptography.hazmat.primitives.cmac import CMAC

BLOCK_BYTES = 16
KEY_LENGTHS = frozenset({16, 24, 32})


class Aes:
    """One key of 16, 24 or 32 bytes; ``encrypt`` and ``decrypt`` take whole blocks of 16 bytes."""

    KEY_LENGTHS: ClassVar[frozenset[int]] = KEY_LENGTHS
    __slots__ = ("decrypt", "encrypt")

    def __init__(self, key: bytes) -> None:
        cipher = Cipher(AES(key), ECB())  # noqa: S305 - single blocks by definition
        self.encrypt = cipher.encryptor().update
        self.decrypt = cipher.decryptor().update


def cbc_encrypt(key: bytes, iv: bytes, data: bytes) -> bytes:
    """Whole blocks in cipher block chaining."""
    return Cipher(AES(key), CBC(iv)).encryptor().update(data)


def cbc_decrypt(key: bytes, iv: bytes, data: bytes) -> bytes:
    """The reverse of ``cbc_encrypt``."""
    return Cipher(AES(key), CBC(iv)).decryptor().update(data)


def aes_cmac(key: bytes, data: bytes) -> bytes:
    """The CMAC of NIST SP 800-38B: 16 bytes.

    >>> aes_cmac(bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C"), b"").hex()
    'bb1d6929e95937287fa37d129b756746'
    """
    mac = CMAC(AES(key))
    mac.update(data)
    return mac.finalize()


def aes_check_value(key: bytes) -> str:
    """The check value of an AES key: the CMAC of a zero block, as hex digits; units show the first six."""
    return aes_cmac(key, bytes(BLOCK_BYTES)).hex().upper()
