"""A dialect: its element rows, its header, and the pyiso8583 specification that both become.

Our own dialects are tables of rows (``processor.iso8583.tables``); a user's pyiso8583 specification loads as
it is. Either way every bit 2 to 192 is defined, and a bit without an element is refused by name.
"""

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from typing import Any, Protocol, Self

from processor.iso8583.elements import ASCII, BCD, BINARY, FIXED, HEX, Element, Prefix, test_of, unassigned
from processor.iso8583.header import HeaderRule, OpaqueRule
from processor.iso8583.message import EXACT, HARMLESS, masked
from processor.values.errors import ConfigError

Row = dict[str, Any]

# Bits 1 and 65 announce bitmaps and are no elements.
NUMBERS = (*range(2, 65), *range(66, 193))

# ISO 8583 message types: class, function, origin. Which versions it speaks is the dialect's own.
_CLASSES = "12345678"
_FUNCTIONS = "01234589"
_ORIGINS = "012345"

# Every row a specification of pyiso8583 may have; how long those are that are no elements, in bytes as binary
# and in characters as text.
_KEYS = frozenset(("h", "t", "p", *map(str, range(1, 193))))
_PLAIN_LENGTHS = {"h": (0, 0), "t": (2, 4), "p": (8, 16), "1": (8, 16)}

# The most that a row may count; no frame is longer.
_COUNTS_MAX = {"len_type": 6, "max_len": 99_999}
_TEXTS = ("left_pad", "right_pad", "desc")

# Characters that an encoding of one byte a character writes as one byte or not at all: escapes, and scripts.
_TELLING = "+\\~\u00e9\u20ac\u03a9\u0416\u3042\u4e2d\uac00"

# A specification of pyiso8583 has no alphabets. These are digits in every version of the standard, these
# text, these track data; the rest is taken as it comes.
_ALWAYS_DIGITS = frozenset((*range(2, 8), *range(9, 18), 32, 33))
_ALWAYS_TEXT = frozenset(range(37, 44))
_TRACKS = frozenset((35, 36))

_NUMBERS = frozenset(("n", "[n]", "x+n", "[x]+n"))
_PAN_SHORTEST = 12


class LayoutRow(Protocol):
    """A part of an element."""

    @property
    def term(self) -> str:
        """What the part is."""
        ...


class Layout(Protocol):
    """What reads an element's parts: see ``subelements`` and ``nested``."""

    @property
    def rows(self) -> Mapping[int, LayoutRow]:
        """The parts by number, those that are known."""
        ...

    def read(self, value: str) -> dict[int, str]:
        """Every part that is there; DecodeError where it cannot be read."""
        ...


class Dialect:
    """Rows by element number, and what follows from them, computed once.

    ``elements`` has every number; ``accepts`` and ``rules`` are the test of a decoded value and what it
    states; ``spec`` is for pyiso8583, without the header; ``mtis`` are the message types it knows.
    ``bitmaps`` is the most it has, text in hexadecimal unless ``bitmap_encoding`` is binary. ``shown`` are
    the elements that mean something harmless here, so that they need not be masked; ``codes`` are those of
    them whose digits are amounts or codes though their row does not say digits.
    ``source`` says where the table is from, in a sentence for people. ``layouts`` read the elements that have
    parts; ``chip_data`` gives the BER-TLV in DE 55.
    """

    def __init__(
        self,
        name: str,
        elements: Iterable[Element],
        header: HeaderRule,
        *,
        mti_encoding: str,
        versions: str,
        bitmap_encoding: str = BINARY,
        bitmaps: int = 3,
        shown: frozenset[int] = HARMLESS,
        codes: frozenset[int] = frozenset(),
        source: str = "",
        layouts: Mapping[int, Layout] | None = None,
        chip_data: Callable[[str], str] = str,
    ) -> None:
        self.name = name
        self.layouts = layouts or {}
        self.chip_data = chip_data
        self.source = source
        self.header = header
        self.bitmaps = bitmaps
        self.shown = shown
        self.elements = {number: unassigned(number) for number in NUMBERS}
        self.elements.update((element.number, element) for element in elements)
        self._exact = EXACT | codes | {n for n in shown if _is_number(self.elements[n])}
        self.mtis = frozenset(
            v + c + f + o for v in versions for c in _CLASSES for f in _FUNCTIONS for o in _ORIGINS
        )
        tests = {number: test_of(element) for number, element in self.elements.items()}
        self.accepts: dict[int, Callable[[str], bool]] = {number: test for number, (test, _) in tests.items()}
        self.rules: dict[int, str] = {number: rule for number, (_, rule) in tests.items()}
        self.spec: dict[str, Row] = {
            "h": _plain_row(BINARY, 0),
            "t": _plain_row(mti_encoding, 2 if mti_encoding == BINARY else 4),
            "p": _plain_row(bitmap_encoding, 8 if bitmap_encoding == BINARY else 16),
            "1": _plain_row(bitmap_encoding, 8 if bitmap_encoding == BINARY else 16),
            **{str(number): _row(element) for number, element in self.elements.items()},
        }

    def masked(self, number: int, value: str, pan: str = "") -> str:
        """One element for people; ``pan`` is the message's, as far as it is known. See ``message.masked``."""
        return masked(number, value, self.shown, self._exact, pan)

    def with_header(self, name: str, header: HeaderRule) -> "Dialect":
        """The same elements behind another header, under another name."""
        other = copy(self)
        other.name, other.header = name, header
        return other

    @classmethod
    def from_pyiso8583(
        cls, name: str, spec: Mapping[str, Mapping[str, Any]], header: HeaderRule | None = None
    ) -> Self:
        """A dialect from a pyiso8583 specification, MTIs of every version of the standard.

        ``header`` says what the bytes of its ``h`` row mean; without it they are echoed as they came.

        Raises:
            ConfigError: every row that is missing or cannot be used.
        """
        problems = [f"{key}: missing" for key in ("h", "t", "p", "1") if key not in spec]
        problems += [f"{key}: {problem}" for key, row in spec.items() for problem in _problems(row)]
        problems += [
            f"{key}: {problem}" for key in ("h", "t", "p", "1") for problem in _plain(key, spec.get(key))
        ]
        problems += [f"{key}: there is no such row" for key in spec if key not in _KEYS]
        if header and spec.get("h", {}).get("max_len") != header.length_bytes:
            problems.append(f"h: max_len is not the header's {header.length_bytes} bytes")
        if problems:
            raise ConfigError([f"{name}.{problem}" for problem in problems])
        dialect = cls(
            name,
            [_element(number, spec[str(number)]) for number in NUMBERS if str(number) in spec],
            header or OpaqueRule(spec["h"]["max_len"]),
            mti_encoding=spec["t"]["data_enc"],
            versions="012",
        )
        dialect.spec.update((key, dict(row)) for key, row in spec.items() if key != "h")
        return dialect


def _is_number(element: Element) -> bool:
    """Whether no PAN fits in but in place of the number: its length is fixed, or less than a PAN's."""
    return element.alphabet in _NUMBERS and (element.prefix == FIXED or element.length < _PAN_SHORTEST)


def _problems(row: Mapping[str, Any]) -> list[str]:
    """What pyiso8583 would trip over while decoding with this row."""
    found = [
        f"{key} is not a count up to {most}"
        for key, most in _COUNTS_MAX.items()
        if not _is_count(row.get(key), most)
    ]
    for key, others in (("data_enc", ("b",)), ("len_enc", ("b", "bcd"))):
        if row.get(key) not in others and not _is_text_encoding(row.get(key)):
            found.append(f"{key} is not an encoding of one byte a character")
    found += [f"{key} is not text" for key in _TEXTS if not isinstance(row.get(key, ""), str)]
    if row.get("len_count", "bytes") not in ("bytes", "nibbles"):
        found.append("len_count is neither bytes nor nibbles")
    return found


def _plain(key: str, row: Mapping[str, Any] | None) -> list[str]:
    """What is wrong with a row that is no element: header, message type, or a bitmap."""
    if row is None:
        return []
    term = "header" if key == "h" else "message type" if key == "t" else "bitmap"
    found = [] if row.get("len_type") == 0 else [f"a {term} of variable length is not supported"]
    bytes_, characters = _PLAIN_LENGTHS[key]
    wanted = bytes_ if row.get("data_enc") == BINARY else characters
    if wanted and row.get("max_len") != wanted:
        found.append(f"max_len is not {wanted}")
    return found


def _is_count(value: object, most: int) -> bool:
    return type(value) is int and 0 <= value <= most


def _is_text_encoding(value: object) -> bool:
    """Whether bytes become text, one character each, by ``bytes.decode``; with digits, so that all is.

    Elsewhere a length would count what is not characters, and characters would not be where their bytes are.
    """
    if not isinstance(value, str):
        return False
    try:
        digits = "0123456789".encode(value)
        is_text = len(digits) == 10 and digits.decode(value) == "0123456789"
        return is_text and all(_written_bytes(character, value) <= 1 for character in _TELLING)
    except (LookupError, ValueError):  # none at all, or one of bytes to bytes or text to text
        return False


def _written_bytes(character: str, encoding: str) -> int:
    try:
        return len(character.encode(encoding))
    except UnicodeEncodeError:
        return 0


def _plain_row(encoding: str, length: int) -> Row:
    return {"data_enc": encoding, "len_enc": ASCII, "len_type": 0, "max_len": length, "desc": ""}


def _row(element: Element) -> Row:
    """The row as pyiso8583 wants it: BCD counts nibbles where digits can be odd in number, else bytes.

    Hexadecimal text is text of twice the length.
    """
    row: Row = {
        "data_enc": BINARY if element.encoding == BCD else element.encoding,
        "len_enc": element.prefix.encoding,
        "len_type": element.prefix.length_bytes,
        "max_len": element.length,
        "desc": element.term,
    }
    if element.encoding == HEX:
        return {**row, "data_enc": ASCII, "max_len": 2 * element.length}
    if element.encoding != BCD:
        return row
    fixed_and_even = element.prefix == FIXED and element.length % 2 == 0
    if fixed_and_even or element.prefix.counts_bytes:
        return {**row, "max_len": element.length // 2}
    return {**row, "len_count": "nibbles", "right_pad" if element.pads_right else "left_pad": "0"}


def _element(number: int, row: Mapping[str, Any]) -> Element:
    """What a pyiso8583 row says of an element; its alphabet from the standard as far as that is certain."""
    nibbles = row.get("len_count") == "nibbles"
    binary = row["data_enc"] == BINARY
    bcd = binary and (nibbles or number in _ALWAYS_DIGITS or number in _TRACKS)
    prefix = Prefix(row["len_type"], row["len_enc"], counts_bytes=bcd and not nibbles)
    length = row["max_len"] * 2 if bcd and not nibbles else row["max_len"]
    return Element(
        number, row.get("desc", ""), _alphabet(number, bcd=bcd, binary=binary), length, prefix,
        BCD if bcd else row["data_enc"], pads_right="left_pad" not in row and "right_pad" in row,
    )  # fmt: skip


def _alphabet(number: int, *, bcd: bool, binary: bool) -> str:
    if number in _TRACKS and (bcd or not binary):
        return "z"
    if bcd or number in _ALWAYS_DIGITS:
        return "n"
    if binary:
        return "b"
    return "ans" if number in _ALWAYS_TEXT else "any"
