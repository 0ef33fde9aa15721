"""What a dialect says of one data element: a row with number, term, alphabet, length, prefix and encoding.

Alphabets are the standard's: ``n`` digits, ``an`` letters and digits, ``anp`` the same padded with spaces,
``ans`` printable characters, ``x+n`` a C or D and digits, ``z`` track data, ``b`` binary.
Brackets mark what may be missing: ``[n]`` digits or nothing, ``[x]+n`` an amount with or without its sign,
``[;]z[?]`` track 2 with or without its sentinels. ``any`` is text of which the specification says no more.
``-`` marks a bit without an element: its format is unknown, so nothing after it could be trusted.
"""

from collections.abc import Callable
from typing import NamedTuple

BCD = "bcd"
BINARY = "b"
ASCII = "ascii"
HEX = "hex"  # bytes written as ASCII hexadecimal digits; both cases are read, upper case is written
EBCDIC = "cp037"  # Python has no cp1047; letters and digits are the same, brackets and the caret differ


class Prefix(NamedTuple):
    """How a variable length is written: prefix bytes, their encoding, and whether they count wire bytes.

    A BCD element's length is in digits unless the prefix counts bytes.
    """

    length_bytes: int
    encoding: str = BINARY
    counts_bytes: bool = False


FIXED = Prefix(0)
L1 = Prefix(1)
L1_BYTES = Prefix(1, counts_bytes=True)


class Element(NamedTuple):
    """One row. ``length`` is in digits or characters, for ``b`` in bytes; the most, if there is a prefix."""

    number: int
    term: str
    alphabet: str
    length: int
    prefix: Prefix
    encoding: str


def unassigned(number: int) -> Element:
    """The row of a bit that this dialect gives no element."""
    return Element(number, "not assigned", "-", 0, FIXED, BINARY)


def is_digits(value: str) -> bool:
    """At least one digit 0 to 9, nothing else (``isdigit`` alone takes superscripts)."""
    return value.isascii() and value.isdigit()


def is_track_2(value: str) -> bool:
    """PAN, one separator (D as a nibble, = as a character), then expiry and service code at least."""
    pan, _, rest = value.replace("=", "D").partition("D")
    return 12 <= len(pan) <= 19 and is_digits(pan) and len(rest) >= 7 and is_digits(rest)


def _is_letters_and_digits(value: str) -> bool:
    return value.isascii() and value.isalnum()


def _is_padded_letters_and_digits(value: str) -> bool:
    return value.isascii() and (value.isalnum() or value.replace(" ", "0").isalnum())


def _is_signed_amount(value: str) -> bool:
    return value[:1] in ("C", "D") and is_digits(value[1:])


def _is_digits_or_nothing(value: str) -> bool:
    return not value or is_digits(value)


def _is_amount(value: str) -> bool:
    return is_digits(value) or _is_signed_amount(value)


def _is_track_2_with_sentinels(value: str) -> bool:
    return is_track_2(value.removeprefix(";").removesuffix("?"))


def _is_hexadecimal(value: str) -> bool:
    return _HEXADECIMAL.issuperset(value)


def _is_track(value: str) -> bool:
    return is_digits(value.replace("=", "D").replace("D", "0"))


def _takes(_value: str) -> bool:
    return True


def _refuses(_value: str) -> bool:
    return False


_HEXADECIMAL = frozenset("0123456789ABCDEFabcdef")

# Which test an element's characters must pass, and what is said when they do not.
# Binary data needs none when read: its characters come from bytes.hex(). str's own methods cost least.
_TESTS: dict[str, tuple[Callable[[str], bool], str]] = {
    "n": (is_digits, "not digits only"),
    "an": (_is_letters_and_digits, "not letters and digits only"),
    "anp": (_is_padded_letters_and_digits, "not letters, digits and spaces only"),
    "ans": (str.isprintable, "not printable characters only"),
    "x+n": (_is_signed_amount, "not C or D and digits"),
    "[n]": (_is_digits_or_nothing, "not digits only"),
    "[x]+n": (_is_amount, "not digits, with C or D before them or not"),
    "z": (_is_track, "not track data"),
    "[;]z[?]": (_is_track_2_with_sentinels, "not a track 2: PAN, separator, expiry, service code"),
    "b": (str.isascii, "not hexadecimal"),
    "any": (_takes, ""),
    "-": (_refuses, "not assigned in this dialect"),
}
_TRACK_2 = (is_track_2, _TESTS["[;]z[?]"][1])


def test_of_alphabet(alphabet: str) -> tuple[Callable[[str], bool], str]:
    """The predicate characters of this alphabet pass, and the rule it states."""
    return _TESTS[alphabet]


def test_of(element: Element) -> tuple[Callable[[str], bool], str]:
    """The predicate a decoded value must pass, and the rule it states."""
    if element.number == 35 and element.alphabet == "z":
        return _TRACK_2
    if element.alphabet == "n" and element.encoding == BCD:
        return (str.isdigit, _TESTS["n"][1])  # nibbles are ASCII already
    if element.encoding == HEX:
        return (_is_hexadecimal, _TESTS["b"][1])
    return test_of_alphabet(element.alphabet)
