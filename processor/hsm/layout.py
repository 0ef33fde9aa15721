"""The fields of one message in order, and both directions of its codec.

``write`` and ``read`` go field by field; a layout that holds no raw bytes also has one regular expression for
its usual form (no key blocks, nothing optional, no LMK identifier), which is what the fast ways use. Both
ways agree on every message that the expression matches.
"""

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from processor.hsm.errors import ErrorCode
from processor.hsm.fields import (
    COUNTED_KINDS,
    KEY_BLOCK_LEAST,
    KEY_BLOCK_LETTERS,
    KEY_CHARACTERS,
    RAW_KINDS,
    SELF_DELIMITING_KINDS,
    Condition,
    Field,
    Kind,
)

Fields: TypeAlias = dict[str, str]
"""Field values by name, in the order of the row; raw bytes as upper-case hex digits."""

LMK = "lmk"
"""Name of the LMK identifier that any request may end with: % and two digits."""
TRAILER = "trailer"
"""Name of the trailer that any request may end with: X'19 and up to 32 characters, echoed in the reply."""

_COUNTS = {10: re.compile("[0-9]*"), 16: re.compile("[0-9A-F]*")}
_TAIL = re.compile(r"(?:%([0-9]{2}))?(?:\x19([ -~]{0,32}))?")
_TAIL_AT_END = re.compile(r"(?:%[0-9]{2})?(?:\x19[ -~]{0,32})?\Z")


class Layout:
    """The fields of a request (``has_tail``: an LMK identifier and a trailer may follow) or of a response.

    ``usual`` are the names of the fields of the usual form, and ``pattern`` matches exactly its messages, one
    group per field; None if a field of it holds raw bytes.
    """

    __slots__ = ("_has_tail", "_is_deduced", "_steps", "fields", "names", "pattern", "usual")

    def __init__(self, fields: tuple[Field, ...], *, has_tail: bool = False) -> None:
        self.fields = fields
        self.names = tuple(dict.fromkeys(field.name for field in fields))
        self._has_tail = has_tail
        reserved = tuple(_reserved_after(fields, index) for index in range(len(fields)))
        self._is_deduced = any(_is_deduced(field) for field in fields)
        self._steps = tuple(_step(field, rest) for field, rest in zip(fields, reserved, strict=True))
        usual = [field for field in fields if _is_usual(field)]
        self.usual = tuple(field.name for field in usual)
        self.pattern = _usual_pattern(fields, usual)

    def write(self, values: Mapping[str, str]) -> str:
        """Join the values into the text of a message; each character stands for one byte.

        Errors: ValueError naming the field (never its value) that is missing, unknown or of the wrong shape.
        """
        present = [field for field in self.fields if _belongs(field, values)]
        names = {field.name for field in present}
        tail = {LMK, TRAILER} & values.keys() - names if self._has_tail else set()
        if values.keys() != names | tail:
            raise ValueError(f"fields {sorted(values.keys() ^ names)} are missing or unknown")
        return "".join(_written(field, values[field.name]) for field in present) + _tail(values, tail)

    def read(self, text: str) -> Fields | ErrorCode:
        """Cut the text of a message into its fields, or say which error it is to be answered with."""
        if self.pattern is not None:
            match = self.pattern.fullmatch(text)
            if match is not None:
                return dict(zip(self.usual, match.groups(), strict=True))
        return self.read_by_field(text)

    def read_by_field(self, text: str) -> Fields | ErrorCode:
        """The general way of ``read``: field by field, by length."""
        body = text
        if self._has_tail and self._is_deduced and (tail := _TAIL_AT_END.search(text)):
            body = text[: tail.start()]
        values: Fields = {}
        at = 0
        for name, condition, stands, take in self._steps:
            if condition is not None and not condition.holds(values):
                continue
            if stands is not None and not stands(body, at):
                continue
            taken = take(body, at)
            if isinstance(taken, ErrorCode):
                return taken
            values[name], at = taken
        if at == len(text):
            return values
        return self._with_tail(values, text, at)

    def _with_tail(self, values: Fields, text: str, at: int) -> Fields | ErrorCode:
        match = _TAIL.fullmatch(text, at) if self._has_tail else None
        if match is None:
            return ErrorCode.INVALID_INPUT
        found = zip((LMK, TRAILER), match.groups(), strict=True)
        tail = {name: value for name, value in found if value is not None}
        return ErrorCode.INVALID_INPUT if tail.keys() & values.keys() else values | tail

    def writer(self, prefix: str) -> Callable[..., bytes]:
        """A fast ``write`` of the usual form: values by position, with ``prefix`` in front.

        The joined text is read back with the compiled pattern and must give the same values, so that no value
        can spill into its neighbour. Errors of the returned function: as ``write``.
        """
        assert self.pattern is not None, "a layout with raw bytes has no compiled form"
        usual = [field for field in self.fields if _is_usual(field)]
        template = prefix + "".join(f"{field.lead}%s{field.until}" for field in usual)
        fullmatch, start, names = self.pattern.fullmatch, len(prefix), self.usual

        def build(*values: str) -> bytes:
            text = template % values
            match = fullmatch(text, start)
            if match is None or match.groups() != values:
                return (prefix + self.write(dict(zip(names, values, strict=True)))).encode("latin-1")
            return text.encode("ascii")

        return build


def _is_usual(field: Field) -> bool:
    """Whether the usual form has the field: always there, or there unless another has special values."""
    return not field.optional and (field.when is None or field.when.negated)


def _usual_pattern(fields: tuple[Field, ...], usual: list[Field]) -> re.Pattern[str] | None:
    """The expression for the usual form: no field has a value that brings others in or leaves them out."""
    special: dict[str, set[str]] = {}
    for field in fields:
        if field.when is not None and field.when.values is not None:
            special.setdefault(field.when.name, set()).update(field.when.values)
    parts = []
    for field in usual:
        pattern = field.usual_pattern()
        if pattern is None:
            return None
        values = special.get(field.name)
        parts.append((f"(?!{'|'.join(map(re.escape, sorted(values)))})" if values else "") + pattern)
    return re.compile("".join(parts))


def _is_deduced(field: Field) -> bool:
    """Whether the value's length, or the field's presence, follows from the message's length."""
    told = field.is_fixed or bool(field.until) or field.kind in SELF_DELIMITING_KINDS
    return not told or (field.optional and not field.lead)


def _reserved_after(fields: tuple[Field, ...], index: int) -> int:
    """Characters that the fields after a length-deduced one take; they must all be of fixed length."""
    field, later = fields[index], fields[index + 1 :]
    if not _is_deduced(field):
        return 0
    fixed = all(other.is_fixed and other.is_plain for other in later)
    assert fixed, f"{field.name}: only fixed fields may follow"
    return sum(other.least for other in later)


def _belongs(field: Field, values: Mapping[str, str]) -> bool:
    """Whether a message of these values has the field."""
    if field.when is not None and not field.when.holds(values):
        return False
    return not field.optional or field.name in values


Take: TypeAlias = Callable[[str, int], tuple[str, int] | ErrorCode]
"""Gives a field's value and where the next one begins, for a text and a place in it."""
_Step: TypeAlias = tuple[str, Condition | None, Callable[[str, int], bool] | None, Take]


def _step(field: Field, reserved: int) -> _Step:
    """What reading a field takes: its name, when it is there, whether it stands in the text, its value."""
    stands = _stands(field.lead, reserved) if field.optional else None
    take = _after_lead(field.lead, _taker(field, reserved)) if field.lead else _taker(field, reserved)
    return field.name, field.when, stands, take


def _stands(lead: str, reserved: int) -> Callable[[str, int], bool]:
    """Whether an optional field stands in the text."""
    if lead:
        return lambda text, at: text.startswith(lead, at)
    return lambda text, at: len(text) - at > reserved


def _after_lead(lead: str, take: Take) -> Take:
    def after_lead(text: str, at: int) -> tuple[str, int] | ErrorCode:
        return take(text, at + len(lead)) if text.startswith(lead, at) else ErrorCode.INVALID_INPUT

    return after_lead


def _taker(field: Field, reserved: int) -> Take:
    """The way to a field's value, chosen once."""
    if field.kind is Kind.BYTES:
        return _bytes_taker(field.least)
    if field.kind in COUNTED_KINDS:
        return lambda text, at: _take_counted(field, text, at)
    if field.is_fixed and field.kind is not Kind.REMAINING_BYTES:
        return _fixed_taker(field)
    return lambda text, at: _take(field, text, at, reserved)


def _bytes_taker(length: int) -> Take:
    def take(text: str, at: int) -> tuple[str, int] | ErrorCode:
        end = at + length
        if end > len(text):
            return ErrorCode.INVALID_INPUT
        return text[at:end].encode("latin-1").hex().upper(), end

    return take


def _fixed_taker(field: Field) -> Take:
    length = field.least
    fits = re.compile(field.kind.value).fullmatch

    def take(text: str, at: int) -> tuple[str, int] | ErrorCode:
        end = at + length
        if end > len(text) or fits(text, at, end) is None:
            return ErrorCode.INVALID_INPUT
        return text[at:end], end

    return take


def _tail(values: Mapping[str, str], names: set[str]) -> str:
    """The LMK identifier and the trailer as they end a request."""
    text = f"%{values[LMK]}" if LMK in names else ""
    if TRAILER in names:
        text += f"\x19{values[TRAILER]}"
    if text and _TAIL.fullmatch(text) is None:
        raise ValueError(f"fields {sorted(names)} do not have the shape of an LMK identifier or trailer")
    return text


def _written(field: Field, value: str) -> str:
    if not field.fits(value):
        raise ValueError(f"field {field.name} is not {field.least} to {field.most} of {field.kind.name}")
    if field.kind in RAW_KINDS:
        value = bytes.fromhex(value).decode("latin-1")
    if field.count_digits:
        form = "X" if field.count_base == 16 else "d"
        value = f"{len(value):0{field.count_digits}{form}}{value}"
    return field.lead + value + field.until


def _take(field: Field, text: str, at: int, reserved: int) -> tuple[str, int] | ErrorCode:
    """The value of a field whose length is told or deduced."""
    told = _end(field, text, at, reserved)
    return told if isinstance(told, ErrorCode) else _cut(field, text, at, told)


def _cut(field: Field, text: str, at: int, end: int) -> tuple[str, int] | ErrorCode:
    """The value between two places."""
    value = text[at:end]
    if field.kind is Kind.REMAINING_BYTES:
        value = value.encode("latin-1").hex().upper()
    if end > len(text) or not field.fits(value):
        return ErrorCode.INVALID_INPUT
    return value, end + len(field.until)


def _end(field: Field, text: str, at: int, reserved: int) -> int | ErrorCode:
    """Where the value ends, from its first characters, its delimiter or the message's length."""
    if field.kind in SELF_DELIMITING_KINDS:
        return _told_end(field, text, at)
    if field.until:
        end = text.find(field.until, at, at + field.most + 1)
        return end if end >= 0 else ErrorCode.INVALID_INPUT
    if field.is_fixed:
        return at + field.least
    return max(at, len(text) - reserved)


def _told_end(field: Field, text: str, at: int) -> int | ErrorCode:
    """Where the value ends, from its first characters."""
    scheme = text[at : at + 1]
    if field.kind is Kind.VALIDATION_DATA:
        return at + (field.most if scheme == "P" else field.least)
    if scheme in KEY_CHARACTERS:
        return at + KEY_CHARACTERS[scheme]
    if scheme and scheme in KEY_BLOCK_LETTERS:
        return _block_end(text, at + 1)
    if scheme.isalpha() and scheme not in "ABCDEF":
        return ErrorCode.INVALID_KEY_SCHEME
    return at + (16 if field.kind is Kind.KEY else 32)


def _block_end(text: str, at: int) -> int | ErrorCode:
    """Where a key block ends that begins with its version and its length of four digits."""
    length = text[at + 1 : at + 5]
    if len(length) < 4 or _COUNTS[10].fullmatch(length) is None or int(length) < KEY_BLOCK_LEAST:
        return ErrorCode.INVALID_INPUT
    return at + int(length)


def _take_counted(field: Field, text: str, at: int) -> tuple[str, int] | ErrorCode:
    start = at + field.count_digits
    count = text[at:start]
    if len(count) < field.count_digits or _COUNTS[field.count_base].fullmatch(count) is None:
        return ErrorCode.INVALID_INPUT
    length = int(count, field.count_base)
    end = start + length
    if end > len(text) or length > field.most:
        return ErrorCode.INVALID_DATA_LENGTH
    if field.until and not text.startswith(field.until, end):
        return ErrorCode.INVALID_INPUT
    value = text[start:end]
    if field.kind is Kind.COUNTED_BYTES:
        value = value.encode("latin-1").hex().upper()
    elif not field.fits(value):
        return ErrorCode.INVALID_INPUT
    return value, end + len(field.until)
