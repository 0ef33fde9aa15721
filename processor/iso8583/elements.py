"""What a dialect says of one data element: a row with number, term, alphabet, length, prefix and encoding.

Alphabets are the standard's: ``n`` digits, ``an`` letters and digits, ``anp`` the same padded with spaces,
``ans`` printable characters, ``x+n`` a C or D and digits, ``z`` track data, ``b`` binary.
Brackets mark what may be missing: ``[n]`` digits or nothing, ``[x]+n`` an amount with or without its sign,
``[;]z[?]`` track 2 with or without its sentinels (nibbles B and F). ``hex`` is hexadecimal written as text,
``any`` text of which the specification says no more.
``-`` marks a bit without an element: its format is unknown, so nothing after it could be trusted.
"""

import re
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
    """One row. ``length`` is in digits or characters, for ``b`` in bytes; the most, if there is a prefix.

    ``pads_right`` is of BCD: the zero nibble of an odd number of digits stands last, not first. ``date`` is
    what the digits mean, such as ``MMDD``: they must then be a date or time that can be; where it is a date
    alone, also zeros for none.
    """

    number: int
    term: str
    alphabet: str
    length: int
    prefix: Prefix
    encoding: str
    pads_right: bool = False
    date: str = ""


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
    if value[:1] in (";", "B"):
        value = value[1:]
    return is_track_2(value[:-1] if value[-1:] in ("?", "F") else value)


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
    "hex": (_is_hexadecimal, "not hexadecimal"),
    "any": (_takes, ""),
    "-": (_refuses, "not assigned in this dialect"),
}
_TRACK_2 = (is_track_2, _TESTS["[;]z[?]"][1])


_MONTH, _DAY = "(?:0[1-9]|1[0-2])", "(?:0[1-9]|[12][0-9]|3[01])"
_TIME = "(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]"
_DATES = {
    "MMDDhhmmss": _MONTH + _DAY + _TIME,
    "hhmmss": _TIME,
    "MMDD": f"(?:{_MONTH}{_DAY}|0000)",
    "YYMM": f"(?:[0-9]{{2}}{_MONTH}|0000)",
    "YYMMDD": f"(?:[0-9]{{2}}{_MONTH}{_DAY}|000000)",
    "YYMMDDhhmmss": f"[0-9]{{2}}{_MONTH}{_DAY}{_TIME}",
}


def _date_test(pattern: str) -> Callable[[str], bool]:
    matches = re.compile(pattern).fullmatch
    return lambda value: matches(value) is not None


_DATE_TESTS = {date: _date_test(pattern) for date, pattern in _DATES.items()}

# Tests as regular expressions, for Latin-1 characters: first those of characters, by what stands in brackets.
_CHARACTERS: dict[Callable[[str], bool], str] = {
    is_digits: "0-9",
    str.isdigit: "0-9",
    _is_digits_or_nothing: "0-9",
    _is_letters_and_digits: "0-9A-Za-z",
    _is_padded_letters_and_digits: "0-9A-Za-z ",
    _is_track: "0-9=D",
    _is_hexadecimal: "0-9A-Fa-f",
    str.isprintable: r"^\x00-\x1f\x7f-\xa0\xad",
}

_DATE_PATTERNS = {test: _DATES[date] for date, test in _DATE_TESTS.items()}
_TRACK_2_PATTERNS: dict[Callable[[str], bool], str] = {
    is_track_2: "[0-9]{12,19}[=D][0-9]{7,}",
    _is_track_2_with_sentinels: "[;B]?[0-9]{12,19}[=D][0-9]{7,}[?F]?",
}


def pattern_of(test: Callable[[str], bool], least: int, most: int) -> str | None:
    """A regular expression for the values of ``least`` to ``most`` Latin-1 characters that pass a test.

    A date is as long as it is, and so is track 2, which has none where its length is fixed. None for none.
    """
    if test in _CHARACTERS:
        return f"[{_CHARACTERS[test]}]{{{least},{most}}}"
    if test in (_is_signed_amount, _is_amount):
        signed, digits = f"[CD][0-9]{{{max(least - 1, 1)},{most - 1}}}", f"[0-9]{{{least},{most}}}"
        return signed if test is _is_signed_amount else f"(?:{signed}|{digits})"
    if least == most and test in _TRACK_2_PATTERNS:
        return None
    return _DATE_PATTERNS.get(test) or _TRACK_2_PATTERNS.get(test)


def test_of_alphabet(alphabet: str) -> tuple[Callable[[str], bool], str]:
    """The predicate characters of this alphabet pass, and the rule it states."""
    return _TESTS[alphabet]


def test_of(element: Element) -> tuple[Callable[[str], bool], str]:
    """The predicate a decoded value must pass, and the rule it states."""
    if element.date:
        return (_DATE_TESTS[element.date], f"not a date or time {element.date}")
    if element.number == 35 and element.alphabet == "z":
        return _TRACK_2
    if element.alphabet == "n" and element.encoding == BCD:
        return (str.isdigit, _TESTS["n"][1])  # nibbles are ASCII already
    if element.encoding == HEX:
        return (_is_hexadecimal, _TESTS["b"][1])
    return test_of_alphabet(element.alphabet)
