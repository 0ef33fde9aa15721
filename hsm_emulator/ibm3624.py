"""IBM 3624 PINs: the natural PIN that follows from the account, and the offset to the PIN that was chosen.

Source: IBM's public description of the algorithm (z/OS Cryptographic Services, PIN offset generation); the
known answers of psec, leachbj/hsm-emulator and a transcript of a real unit pin it.
"""

from binascii import hexlify
from collections import Counter
from typing import ClassVar

from hsm_emulator.tdes import BLOCK_BYTES, KEY_LENGTHS, Tdes

_HEX = b"0123456789abcdef"
_ACCOUNT_DIGITS = 5
_DIFFERENT_DIGITS_LEAST = 8
_SAME_DIGIT_MOST = 4


class IbmKey:
    """A PIN verification key of 8, 16 or 24 bytes, ready to use. ``is_single``: the method's own length."""

    KEY_LENGTHS: ClassVar[frozenset[int]] = KEY_LENGTHS
    __slots__ = ("_encrypt", "is_single")

    def __init__(self, key: bytes) -> None:
        self._encrypt = Tdes(key).encrypt
        self.is_single = len(key) == BLOCK_BYTES

    def natural_pin(self, validation_data: str, table: str) -> str:
        """Sixteen digits, of which the PIN's length count, for 16 hex digits and a decimalisation table.

        >>> IbmKey(bytes.fromhex("4C9BE09E681A19DC")).natural_pin("9230000004310431", "3456789012345678")[:6]
        '893157'
        """
        block = hexlify(self._encrypt(bytes.fromhex(validation_data)))
        return block.translate(bytes.maketrans(_HEX, table.encode("ascii"))).decode("ascii")


def is_sound_table(table: str) -> bool:
    """Whether a decimalisation table has 16 digits, 8 of them different and none more than 4 times.

    Other tables would help an attacker to guess a PIN digit by digit.
    """
    counts = Counter(table)
    varied = len(counts) >= _DIFFERENT_DIGITS_LEAST and max(counts.values()) <= _SAME_DIGIT_MOST
    return len(table) == len(_HEX) and table.isascii() and table.isdecimal() and varied


def fill_validation_data(text: str, account_12: str) -> str | None:
    """The 16 hex digits of a validation data field; None unless exactly one N stands in it.

    Shape: 11 hex digits and one N, which stands for the last five digits of the account; or P + 16H as it is.

    >>> fill_validation_data("9230000N0431", "923000000431")
    '9230000004310431'
    """
    if text.startswith("P"):
        return text[1:]
    return text.replace("N", account_12[-_ACCOUNT_DIGITS:]) if text.count("N") == 1 else None


def offset_of(pin: str, natural_pin: str, check_length: int) -> str:
    """The offset: the last ``check_length`` digits of PIN less natural PIN, digit by digit, modulo ten.

    >>> offset_of("111111", "8931570000000000", 6)
    '328064'
    """
    assert check_length <= len(pin), "the check length is longer than the PIN"
    first = len(pin) - check_length
    pairs = zip(pin[first:], natural_pin[first:], strict=False)
    return "".join(str((int(chosen) - int(natural)) % 10) for chosen, natural in pairs)


def pin_of(offset: str, natural_pin: str) -> str:
    """The PIN that has this offset: as many digits as the offset.

    >>> pin_of("328064", "8931570000000000")
    '111111'
    """
    pairs = zip(offset, natural_pin, strict=False)
    return "".join(str((int(shift) + int(natural)) % 10) for shift, natural in pairs)
