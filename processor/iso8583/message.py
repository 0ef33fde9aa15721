"""A decoded message, which prints masked.

Masking fails closed. An element is shown in clear only if the dialect at hand lists it as harmless, and
without a dialect only if it is in every version of the standard; every other one shows its length and nothing
else. What is listed is still not shown where it might hold a card number: the message's own PAN in any of its
forms, or in an element that is no number by its row any digits that could be a PAN.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from processor.values.sensitive import Pan

# Amounts, dates, identifiers and codes that operations need and that neither authenticate nor pay, in ISO
# 8583:1987 and :1993 alike. Not here: expiry (14), tracks, PIN data, chip data, free-form and private
# elements, keys, account numbers, and what is one thing in 1987 and another in 1993.
HARMLESS = frozenset((*range(3, 13), *range(15, 28), 32, 33, 37, 38, 39, 41, 42, 49, 50, 51, 70, 99, 100))

# Those whose digits are an amount, a date or a reference, so that they cannot be told from a PAN's.
EXACT = frozenset((4, 5, 6, 12, 37))

_MERCHANT = 42  # often 15 digits: a PAN there is all of them
_SPACES = str.maketrans("", "", " -")
_DIGITS = re.compile("[0-9]{12,}")
# As hexadecimal: of EBCDIC, of ASCII.
_SPELLED = re.compile("(?:F[0-9]){12,}|(?:3[0-9]){12,}")
_PAN_DIGITS = range(12, 20)


def masked(
    number: int,
    value: str,
    shown: frozenset[int] = HARMLESS,
    exact: frozenset[int] = EXACT,
    pan: str = "",
) -> str:
    """One element for people: clear, or first six and last four of a PAN, or only its length.

    ``shown`` are the harmless elements, ``exact`` those of them whose digits mean what their row says, and
    ``pan`` is the message's, as far as it is known. ``Dialect.masked`` knows the first two.

    >>> masked(2, "4000001234567899"), masked(39, "00"), masked(52, "0123456789ABCDEF"), masked(2, "40000")
    ('400000******7899', '00', '<16>', '<5>')
    """
    if number == 2 and len(value) in _PAN_DIGITS and value.isascii() and value.isdigit():
        return f"{value[:6]}{'*' * (len(value) - 10)}{value[-4:]}"
    if number in shown and value.isprintable() and not _may_tell_a_card(number, value, exact, pan):
        return value
    return f"<{len(value)}>"


def card_digits(elements: Mapping[int, str]) -> str:
    """The PAN of a message: that of DE 2, or the track's; empty where there is none.

    >>> card_digits({35: ";4000001234567899=3012"})
    '4000001234567899'
    """
    return elements.get(2) or elements.get(35, "").lstrip(";?B").replace("=", "D").partition("D")[0]


def _may_tell_a_card(number: int, value: str, exact: frozenset[int], pan: str) -> bool:
    text = value.translate(_SPACES).upper()
    runs = [text, *_spelled(text)]
    if len(pan) in _PAN_DIGITS and any(pan in run for run in runs):
        return True
    written = [] if number in exact else _DIGITS.findall(text)
    if number == _MERCHANT:
        return any(_is_pan(digits.lstrip("0")) for digits in written)
    return any(map(_has_pan, [*runs[1:], *written]))


def _spelled(text: str) -> Iterator[str]:
    """Digits that stand there as hexadecimal of characters."""
    return (found.group()[1::2] for found in _SPELLED.finditer(text))


def _has_pan(digits: str) -> bool:
    """Whether a part of the digits could be a PAN; of more than 19, one of so many parts always could."""
    starts = range(len(digits) - _PAN_DIGITS.start + 1)
    return len(digits) not in _PAN_DIGITS or any(
        _is_pan(digits[start : start + length]) for start in starts for length in _PAN_DIGITS
    )


def _is_pan(digits: str) -> bool:
    return len(digits) in _PAN_DIGITS and digits[0] != "0" and Pan(digits).check_digit_fits()


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message: raw ``header`` bytes, ``mti`` of four digits, ``elements`` by data element number.

    BCD and text elements are the characters they stand for, without pad; binary ones upper-case hex.
    Bitmaps are not elements. ``repr()`` and ``str()`` are masked, with what is harmless in every dialect.

    >>> Message(b"", "0100", {2: "4000001234567899", 11: "000042", 14: "3012"})
    Message(0100, 2=400000******7899, 11=000042, 14=<4>)
    """

    header: bytes
    mti: str
    elements: dict[int, str]

    def __repr__(self) -> str:
        mti = self.mti if len(self.mti) == 4 and self.mti.isdecimal() else f"<{len(self.mti)}>"
        pan = card_digits(self.elements)
        shown = (f"{number}={masked(number, value, pan=pan)}" for number, value in self.elements.items())
        return f"Message({', '.join((mti, *shown))})"

    __str__ = __repr__

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # msgspec's own would hand the clear elements to rich.
        return [("masked", repr(self))]
