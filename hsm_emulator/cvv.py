"""Card verification values: CVV, CVV2 (service code 000) and iCVV (999) are one algorithm.

Source: the known answers of nickntg/thalessimulatorlibrary, jPOS and psec pin it.
"""

import functools
from typing import ClassVar

from hsm_emulator.decimal import decimalise
from hsm_emulator.tdes import Tdes

_DATA_DIGITS = 32


class CvvKey:
    """A card verification key pair, 16 bytes, ready to use."""

    KEY_LENGTHS: ClassVar[frozenset[int]] = frozenset({16})
    __slots__ = ("_encrypt_left", "_encrypt_pair")

    def __init__(self, key: bytes) -> None:
        self._encrypt_left = Tdes(key[:8]).encrypt
        self._encrypt_pair = Tdes(key).encrypt

    def generate(self, pan: str, expiry: str, service_code: str) -> str:
        """The three digits for a PAN (12 to 19 digits), an expiry of 4 and a service code of 3 digits."""
        data = bytes.fromhex((pan + expiry + service_code).ljust(_DATA_DIGITS, "0"))
        first = int.from_bytes(self._encrypt_left(data[:8]), "big")
        second = first ^ int.from_bytes(data[8:], "big")
        return decimalise(self._encrypt_pair(second.to_bytes(8, "big")), 3)


_key = functools.lru_cache(maxsize=64)(CvvKey)


def generate_cvv(cvk: bytes, pan: str, expiry: str, service_code: str) -> str:
    """A card verification value of three digits.

    Shape:  ``cvk`` 16 bytes; ``pan`` 12 to 19 digits; ``expiry`` 4 digits in the order the issuer chose
            (YYMM on the track); ``service_code`` 3 digits (000 for CVV2, 999 for iCVV).

    >>> generate_cvv(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"), "4123456789012345", "8701", "101")
    '561'
    """
    assert len(cvk) == 16, "a CVK is 16 bytes"
    return _key(cvk).generate(pan, expiry, service_code)
