"""Valid messages of a dialect in pieces: segments as they stand on the wire, and sets of elements to join.

Values are made from the dialect's own table and layouts, so that a new dialect or row is fuzzed without a
line here.
"""

import random
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from iso8583.specs import default, default_ascii

from processor.iso8583.compiled_forms import Form
from processor.iso8583.compiled_interpreter import Interpreter, write_element
from processor.iso8583.dialect import Dialect
from processor.iso8583.elements import BCD, BINARY, HEX, Element
from processor.iso8583.header import BASE1, Base1Header
from processor.iso8583.nested import Nested
from processor.iso8583.subelements import Positional, Tagged
from processor.networks.adapters import DIALECTS
from processor.networks.profile import SHIPPED, Profile, load_profile

SEGMENTS_EACH = 16
SETS_EACH = 40
TRIES = 60
KNOWN_ENOUGH = 3  # so many known values of an element leave room for one random value only
PREFERRED = 6  # of an element with known values, how often the first one stands in the list

_DIGITS = "0123456789"
_TEXT = _DIGITS + "ABCXYZabcxyz"
_CHARACTERS = {
    "n": _DIGITS,
    "[n]": _DIGITS,
    "an": _TEXT,
    "anp": _TEXT + " ",
    "ans": _TEXT + " /=*.,-^%?",
    "z": _DIGITS + "D",
    "hex": _DIGITS + "ABCDEF",
    "any": _TEXT + "\0\x1c ~",
}
_DATES = {
    "MMDDhhmmss": ("0101000000", "1231235959", "0229120000"),
    "hhmmss": ("000000", "235959", "120000"),
    "MMDD": ("0101", "1231", "0000", "0231"),
    "YYMM": ("0001", "9912", "0000", "3012"),
    "YYMMDD": ("000101", "991231", "000000"),
    "YYMMDDhhmmss": ("000101000000", "991231235959", "261121101530"),
}
_PANS = ("4000001234567899", "5100000000000008", "400000123456", "6011000000000000004", "4000001234567890")
_TRACKS = tuple(f"{pan}{cut}{rest}" for pan in _PANS for cut in "D=" for rest in ("30121010000", "3012101"))
_CHIP = (
    "9F2608AABBCCDDEEFF00119F100706010A03A000009F3704112233449F360200019505800000000"
    "09A032611219C01005F2A020840"
)
_PLAIN: dict[int, tuple[str, ...]] = {  # what a recogniser looks at, by element
    2: _PANS,
    3: ("000000", "010000", "200000", "300000", "990000"),
    4: ("000000002500", "000000000000", "999999999999"),
    6: ("000000002500", "000000000001"),
    22: ("0510", "9010", "0100", "051", "901", "010", "812", "211101211141", "510101511041"),
    24: ("001", "100", "200", "400", "401", "801", "802", "831"),
    35: (*_TRACKS, ";4000001234567899=3012101000000000?", "B4000001234567899D3012101F"),
    39: ("00", "05", "402", "000", "82"),
    45: ("B4000001234567899^CARD/HOLDER^30121010000", "%B5100000000000008^A B^3012101?"),
    49: ("840", "978", "392", "000"),
    51: ("840", "978"),
    52: ("0123456789ABCDEF", "0000000000000000"),
    53: ("2001010100000000", "9999999999999999"),
    54: ("0002840C000000002599", "0001840D000000000000" * 6, "0002840C000000002599" * 2),
    55: (_CHIP, f"01{len(_CHIP) // 2:04X}{_CHIP}", "71049F180100", _CHIP.encode().hex(), "7E0100" * 3),
    56: ("1100000042261121101530064000010", "11000000422611211015300400"),
    70: ("001", "002", "061", "062", "071", "072", "301", "078", "099"),
    90: ("010000004211211015300000040000100000000000", "0200" + "0" * 38),
    95: ("000000001000000000000000000000001000000000", "000000001000" + "0" * 12 + "C00000000D00000000"),
}


class Template(NamedTuple):
    """A message type and a set of elements, with the bytes of both."""

    mti: bytes
    bitmaps: bytes
    numbers: tuple[int, ...]


class Material:
    """What messages of one dialect are joined from. ``profile`` is None where no network speaks it."""

    def __init__(self, dialect: Dialect, profile: Profile | None, rng: random.Random) -> None:
        self.dialect = dialect
        self.profile = profile
        self._interpreter = Interpreter(dialect)
        self.header = _header(dialect)
        self.segments = {
            number: self._segments(element, rng)
            for number, element in dialect.elements.items()
            if element.alphabet != "-"
        }
        self.numbers = tuple(self.segments)
        self.mtis = [self._interpreter.mti_bytes(mti) for mti in sorted(dialect.mtis)]
        self.prefixes = {number: self._interpreter.forms[number].prefix_bytes for number in self.numbers}
        self.templates = self._templates(rng)

    def template(self, mti: bytes, numbers: Iterable[int]) -> Template:
        """A set of elements, in order, with the bitmaps that announce it."""
        ordered = sorted(set(numbers))
        return Template(mti, self._interpreter.bitmaps_of(ordered), tuple(ordered))

    def message(self, template: Template, rng: random.Random) -> bytes:
        """A valid message of these elements."""
        parts = [rng.choice(self.segments[number]) for number in template.numbers]
        return self.finished(template.mti + template.bitmaps + b"".join(parts))

    def finished(self, body: bytes) -> bytes:
        """The body behind a header that fits it."""
        return self.dialect.header.sized(self.header, len(body) & 0x7FFF) + body

    def _templates(self, rng: random.Random) -> list[Template]:
        """Sets with what each message type must have, some more elements in each; few big ones."""
        found = []
        served = sorted(self.profile.messages) if self.profile else sorted(self.dialect.mtis)
        for index in range(SETS_EACH):
            mti = served[index % len(served)]
            must = self._mandatory(mti)
            more = rng.sample(self.numbers, min(rng.choice((0, 2, 5, 10)), len(self.numbers)))
            likely = [n for n in (2, 14, 22, 35, 48, 52, 55, 62, 63, 95, 90, 126, 39) if n in self.segments]
            found.append(
                self.template(self._mti(mti), (*must, *more, *rng.sample(likely, min(4, len(likely)))))
            )
        found.append(self.template(self._mti(served[0]), self.numbers))
        return found

    def _mandatory(self, mti: str) -> tuple[int, ...]:
        first = f"{mti[:3]}{int(mti[3]) & ~1}"
        must = self.profile.mandatory.get(first, ()) if self.profile else ()
        return must if mti[1] == "8" else (2, 3, 4, 11, *must)

    def _mti(self, mti: str) -> bytes:
        return self._interpreter.mti_bytes(mti)

    def _segments(self, element: Element, rng: random.Random) -> list[bytes]:
        """The element on the wire: known values first, then its layout's, then characters of its alphabet."""
        form, found = self._interpreter.forms[element.number], set[bytes]()
        for value in (*_PLAIN.get(element.number, ()), *_layout_values(self.dialect, element.number, rng)):
            for written in (value, value.replace("=", "D"), value[: element.length]):
                _keep(found, lambda value=written: write_element(form, value))
        enough = SEGMENTS_EACH if len(found) < KNOWN_ENOUGH else len(found) + 1
        for _ in range(TRIES):
            if len(found) >= enough:
                break
            _keep(found, lambda: write_element(form, _value(element, rng)))
        assert found, f"{self.dialect.name} DE {element.number}: no value fits its row"
        known = _PLAIN.get(element.number, ())
        preferred = [write_element(form, known[0])] if known and _fits(form, known[0]) else []
        return sorted(found) + preferred * PREFERRED


def _fits(form: Form, value: str) -> bool:
    try:
        write_element(form, value)
    except ValueError:
        return False
    return True


def _keep(found: set[bytes], made: Callable[[], bytes]) -> None:
    try:
        found.add(made())
    except ValueError:  # one that does not fit here
        return


def _value(element: Element, rng: random.Random) -> str:
    if element.date:
        return rng.choice(_DATES[element.date])
    fixed = element.prefix.length_bytes == 0
    most = element.length if fixed else rng.choice((1, 3, 12, min(40, element.length), element.length))
    length = min(most, element.length)
    if element.alphabet == "b" or element.encoding in (HEX, BINARY):
        return rng.randbytes(length).hex().upper()
    if element.alphabet in ("x+n", "[x]+n"):
        return rng.choice("CD") + "".join(rng.choices(_DIGITS, k=length - 1))
    if element.encoding == BCD and element.prefix.counts_bytes:
        length += length % 2
    return "".join(rng.choices(_CHARACTERS.get(element.alphabet, _TEXT), k=length))


def _layout_values(dialect: Dialect, number: int, rng: random.Random) -> list[str]:
    """Values that the element's layout can read."""
    layout: Any = dialect.layouts.get(number)
    values: list[str] = []
    for _ in range(8 if layout else 0):
        try:
            values.append(layout.build(_parts(layout, rng)))
        except ValueError:
            continue
    return values


def _parts(layout: Positional | Tagged | Nested, rng: random.Random) -> dict[int, str]:
    """Values for some parts: the first ones of a positional layout, any of another."""
    numbers = sorted(layout.rows)
    if isinstance(layout, Positional):
        return {n: _part(layout.rows[n], rng) for n in numbers[: rng.randint(1, len(numbers))]}
    chosen = sorted(rng.sample(numbers, rng.randint(1, min(4, len(numbers)))))
    parts = {n: _part(layout.rows[n], rng) for n in chosen}
    return {0: "R", **parts} if isinstance(layout, Tagged) and layout.head else parts


def _part(row: Any, rng: random.Random) -> str:  # noqa: ANN401 - a row of any kind of layout
    """One part's value, by the alphabet or encoding of its row."""
    length = row.length or rng.choice((1, 3, 12))
    kind = getattr(row, "alphabet", "") or row.encoding
    if kind in ("b", BINARY):
        return rng.randbytes(length).hex().upper()
    if kind in ("x+n", "[x]+n"):
        return "C" + "0" * (length - 1)
    alphabet = _DIGITS if kind in ("n", BCD) else _CHARACTERS.get(kind, _TEXT)
    return "".join(rng.choices(alphabet, k=length))


def _header(dialect: Dialect) -> bytes:
    if dialect.header is BASE1:
        return Base1Header("400001", "123456", round_trip=7).pack()
    return bytes(dialect.header.length_bytes)


# What no shipped table has: other prefixes, pads and encodings that a user's specification may ask for.
def _row(data: str, length: int, prefix: int = 0, prefix_encoding: str = "b", **more: str) -> dict[str, Any]:
    encodings = {"data_enc": data, "len_enc": prefix_encoding}
    return {**encodings, "len_type": prefix, "max_len": length, "desc": "", **more}


_UNUSUAL = {
    "h": _row("b", 0),
    "t": _row("ascii", 4),
    "p": _row("b", 8),
    "1": _row("cp500", 16),
    "2": _row("b", 19, 1, "bcd", len_count="nibbles", right_pad="F"),
    "3": _row("b", 5, len_count="nibbles", right_pad="0"),
    "4": _row("b", 11, len_count="nibbles", left_pad="F"),
    "5": _row("b", 8, len_count="nibbles"),
    "11": _row("ascii", 6, 2, "bcd"),
    "32": _row("cp500", 11, 2, "cp037"),
    "33": _row("latin-1", 300, 2, "b"),
    "35": _row("b", 37, 1, "b", len_count="nibbles", left_pad="0"),
    "38": _row("cp1250", 6),
    "41": _row("cp273", 80, 2, "ascii"),
    "42": _row("cp1252", 20, 2, "iso8859-15"),
    "45": _row("ascii", 99, 1, "b", len_count="nibbles"),
    "46": _row("koi8-r", 30, 1, "b"),
    "47": _row("latin-1", 20_000, 5, "ascii"),
    "53": _row("b", 0),
    "54": _row("ascii", 0, 2, "ascii"),
    "55": _row("b", 999, 2, "bcd"),
    "70": _row("ascii", 3),
    "130": _row("ascii", 5),
    "192": _row("b", 1),
}


def _users() -> list[Dialect]:
    """Specifications as a user brings them: the library's own two, and an unusual one."""
    specs = {"user-bcd": default, "user-ascii": default_ascii, "user-unusual": _UNUSUAL}
    return [Dialect.from_pyiso8583(name, spec) for name, spec in specs.items()]


def materials(seed: int) -> dict[str, Material]:
    """Every shipped dialect and three of a user's, with its network's profile where one speaks it."""
    profiles = {profile.dialect: profile for profile in map(load_profile, SHIPPED)}
    return {
        name: Material(dialect, profiles.get(name), random.Random(f"{seed} {name}"))
        for name, dialect in {**DIALECTS, **{own.name: own for own in _users()}}.items()
    }
