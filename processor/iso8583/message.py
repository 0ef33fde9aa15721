"""A decoded message, which prints masked.

Masking fails closed: an element is shown in clear only if its number is listed here; every other one, known
or unknown, shows its length and nothing else. The numbers are those of ISO 8583:1987. What is private to a
network means something else in every dialect (a CVV2 stands in 63 of some), so only its dialect can show it.
"""

from typing import Any

import msgspec

# Amounts, dates, identifiers and codes that operations need and that neither authenticate nor pay.
# Not here: expiry (14), tracks, PIN data, chip data, free-form and private elements, keys, account numbers.
_SHOWN = frozenset(
    (
        *range(3, 14),
        *range(15, 34),
        *(37, 38, 39, 41, 42, 43, 44, 49, 50, 51, 66, 70),
        *range(73, 91),
        *(91, 95, 97, 99, 100, 101),
    )
)


def masked(number: int, value: str, shown: frozenset[int] = frozenset()) -> str:
    """One element for people: clear, or first six and last four of a PAN, or only its length.

    ``shown`` are elements that are harmless in the dialect at hand (``Dialect.shown``).

    >>> masked(2, "4000001234567899"), masked(39, "00"), masked(52, "0123456789ABCDEF"), masked(2, "40000")
    ('400000******7899', '00', '<16>', '<5>')
    """
    if number == 2 and 12 <= len(value) <= 19 and value.isascii() and value.isdigit():
        return f"{value[:6]}{'*' * (len(value) - 10)}{value[-4:]}"
    if (number in _SHOWN or number in shown) and value.isprintable():
        return value
    return f"<{len(value)}>"


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message: raw ``header`` bytes, ``mti`` of four digits, ``elements`` by data element number.

    BCD and text elements are the characters they stand for, without pad; binary ones upper-case hex.
    Bitmaps are not elements. ``repr()`` and ``str()`` are masked.

    >>> Message(b"", "0100", {2: "4000001234567899", 11: "000042", 14: "3012"})
    Message(0100, 2=400000******7899, 11=000042, 14=<4>)
    """

    header: bytes
    mti: str
    elements: dict[int, str]

    def __repr__(self) -> str:
        mti = self.mti if len(self.mti) == 4 and self.mti.isdecimal() else f"<{len(self.mti)}>"
        shown = (f"{number}={masked(number, value)}" for number, value in self.elements.items())
        return f"Message({', '.join((mti, *shown))})"

    __str__ = __repr__

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # msgspec's own would hand the clear elements to rich.
        return [("masked", repr(self))]
