"""PIN verification value (PVV): what the issuer stores instead of a PIN.

Source: the known answers of nickntg/thalessimulatorlibrary and psec pin it.
"""

import functools
from typing import ClassVar

from hsm_emulator.decimal import decimalise
from hsm_emulator.tdes import Tdes


class PvvKey:
    """A PIN verification key pair, 16 bytes, ready to use."""

    KEY_LENGTHS: ClassVar[frozenset[int]] = frozenset({16})
    __slots__ = ("_encrypt",)

    def __init__(self, key: bytes) -> None:
        self._encrypt = Tdes(key).encrypt

    def generate(self, account_12: str, pvki: str, pin: str) -> str:
        """The four digits for an account field, a key index and a PIN (its first four digits count)."""
        return decimalise(self._encrypt(bytes.fromhex(account_12[1:] + pvki + pin[:4])), 4)


_key = functools.lru_cache(maxsize=64)(PvvKey)


def generate_pvv(pvk: bytes, account_12: str, pvki: str, pin: str) -> str:
    """A PIN verification value of four digits.

    Shape:  ``pvk`` 16 bytes; ``account_12`` the twelve rightmost PAN digits without the check digit;
            ``pvki`` one digit; ``pin`` 4 to 12 digits.

    >>> generate_pvv(bytes.fromhex("C8199237EA5857BC40EF9DA2B5E96BBF"), "550000025321", "1", "4321")
    '9614'
    """
    assert len(pvk) == 16, "a PVK is 16 bytes"
    return _key(pvk).generate(account_12, pvki, pin)
