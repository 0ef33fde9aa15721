"""Decimalisation in two passes, as CVV and PVV use it."""

from binascii import hexlify

_LETTERS = b"abcdef"
_LETTER_DIGITS = bytes.maketrans(_LETTERS, b"012345")


def decimalise(block: bytes, count: int) -> str:
    """The first ``count`` digits of an encrypted block.

    First pass: the decimal digits from left to right. Second pass, only when they are too few: the letters
    from left to right, less ten.

    >>> decimalise(bytes.fromhex("AFFFFFFFFFFFFF12"), 4)
    '1205'
    """
    digits = hexlify(block)
    decimal = digits.translate(None, _LETTERS)
    if len(decimal) < count:
        decimal += digits.translate(_LETTER_DIGITS, b"0123456789")
    return decimal[:count].decode("ascii")
