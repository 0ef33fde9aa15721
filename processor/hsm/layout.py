"""The fields of one message in order, and both directions of its codec.

``write`` and ``read`` interpret the fields one by one; a layout whose fields are all plain and hold no raw
bytes also has one regular expression compiled from them, which is what the fast ways use. Both ways agree on
every input.
"""

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from processor.hsm.errors import ErrorCode
from processor.hsm.fields import KEY_CHARACTERS, RAW_KINDS, SELF_DELIMITING_KINDS, Field, Kind

Fields: TypeAlias = dict[str, str]
"""Field values by name, in the order of the row; raw bytes as upper-case hex digits."""

_COUNT = re.compile("[0-9A-F]*")


class Layout:
    """The fields of a request or of a successful response.

    ``pattern`` matches exactly the messages that ``read`` accepts, one group per field; None if a field holds
    raw bytes or is not always there.
    """

    __slots__ = ("_reserved", "fields", "names", "pattern")

    def __init__(self, fields: tuple[Field, ...]) -> None:
        self.fields = fields
        self.names = tuple(field.name for field in fields)
        self._reserved = tuple(_reserved_after(fields, index) for index in range(len(fields)))
        parts = [field.pattern() for field in fields]
        self.pattern = None if None in parts else re.compile("".join(filter(None, parts)))

    def write(self, values: Mapping[str, str]) -> str:
        """Join the values into the text of a message; each character stands for one byte.

        Errors: ValueError naming the field (never its value) that is missing, unknown or of the wrong shape.
        """
        present = [field for field in self.fields if _belongs(field, values)]
        names = {field.name for field in present}
        if values.keys() != names:
            raise ValueError(f"fields {sorted(values.keys() ^ names)} are missing or unknown")
        return "".join(_written(field, values[field.name]) for field in present)

    def read(self, text: str) -> Fields | ErrorCode:
        """Cut the text of a message into its fields, or say which error it is to be answered with."""
        if self.pattern is not None:
            match = self.pattern.fullmatch(text)
            if match is not None:
                return dict(zip(self.names, match.groups(), strict=True))
        return self.read_by_field(text)

    def read_by_field(self, text: str) -> Fields | ErrorCode:
        """The general way of ``read``: field by field, by length."""
        values: Fields = {}
        at = 0
        for field, reserved in zip(self.fields, self._reserved, strict=True):
            if field.when is not None and not field.when.holds(values):
                continue
            if field.optional and not _stands(field, text, at, reserved):
                continue
            taken = _take(field, text, at, reserved)
            if isinstance(taken, ErrorCode):
                return taken
            values[field.name], at = taken
        return values if at == len(text) else ErrorCode.INVALID_INPUT

    def writer(self, prefix: str) -> Callable[..., bytes]:
        """A fast ``write`` that takes the values by position and puts ``prefix`` in front.

        The joined text is read back with the compiled pattern and must give the same values, so that no value
        can spill into its neighbour. Errors of the returned function: as ``write``.
        """
        assert self.pattern is not None, "a layout with raw bytes or conditions has no compiled form"
        template = prefix + "".join(f"%s{field.until}" for field in self.fields)
        fullmatch, start, names = self.pattern.fullmatch, len(prefix), self.names

        def build(*values: str) -> bytes:
            text = template % values
            match = fullmatch(text, start)
            if match is None or match.groups() != values:
                return (prefix + self.write(dict(zip(names, values, strict=True)))).encode("latin-1")
            return text.encode("ascii")

        return build


def _reserved_after(fields: tuple[Field, ...], index: int) -> int:
    """Characters that the fields after a length-deduced one take; they must all be of fixed length."""
    field, later = fields[index], fields[index + 1 :]
    told = field.is_fixed or field.until or field.kind in SELF_DELIMITING_KINDS | {Kind.COUNTED_BYTES}
    if told and (field.lead or not field.optional):
        return 0
    fixed = all(other.is_fixed and other.is_plain for other in later)
    assert fixed, f"{field.name}: only fixed fields may follow"
    return sum(other.least for other in later)


def _belongs(field: Field, values: Mapping[str, str]) -> bool:
    """Whether a message of these values has the field."""
    if field.when is not None and not field.when.holds(values):
        return False
    return not field.optional or field.name in values


def _stands(field: Field, text: str, at: int, reserved: int) -> bool:
    """Whether the optional field stands in the text."""
    return text.startswith(field.lead, at) if field.lead else len(text) - at > reserved


def _written(field: Field, value: str) -> str:
    if not field.fits(value):
        raise ValueError(f"field {field.name} is not {field.least} to {field.most} of {field.kind.name}")
    if field.kind not in RAW_KINDS:
        return field.lead + value + field.until
    raw = bytes.fromhex(value).decode("latin-1")
    return field.lead + (f"{len(raw):0{field.count_digits}X}{raw}" if field.count_digits else raw)


def _take(field: Field, text: str, at: int, reserved: int) -> tuple[str, int] | ErrorCode:
    """The field's value and where the next field begins."""
    if not text.startswith(field.lead, at):
        return ErrorCode.INVALID_INPUT
    at += len(field.lead)
    if field.kind is Kind.COUNTED_BYTES:
        return _take_counted(field, text, at)
    end = _end(field, text, at, reserved)
    if isinstance(end, ErrorCode):
        return end
    value = text[at:end]
    if field.kind is Kind.REMAINING_BYTES:
        value = value.encode("latin-1").hex().upper()
    if end > len(text) or not field.fits(value):
        return ErrorCode.INVALID_INPUT
    return value, end + len(field.until)


def _end(field: Field, text: str, at: int, reserved: int) -> int | ErrorCode:
    """Where the value ends, from its first character, its delimiter or the message's length."""
    if field.kind in SELF_DELIMITING_KINDS:
        return _told_end(field, text, at)
    if field.until:
        end = text.find(field.until, at, at + field.most + 1)
        return end if end >= 0 else ErrorCode.INVALID_INPUT
    if field.is_fixed:
        return at + field.least
    return max(at, len(text) - reserved)


def _told_end(field: Field, text: str, at: int) -> int | ErrorCode:
    """Where the value ends, from its first character."""
    scheme = text[at : at + 1]
    if field.kind is Kind.VALIDATION_DATA:
        return at + (field.most if scheme == "P" else field.least)
    if scheme in KEY_CHARACTERS:
        return at + KEY_CHARACTERS[scheme]
    if scheme.isalpha() and scheme not in "ABCDEF":
        return ErrorCode.INVALID_KEY_SCHEME
    return at + field.least


def _take_counted(field: Field, text: str, at: int) -> tuple[str, int] | ErrorCode:
    start = at + field.count_digits
    count = text[at:start]
    if len(count) < field.count_digits or _COUNT.fullmatch(count) is None:
        return ErrorCode.INVALID_INPUT
    end = start + int(count, 16)
    if end > len(text):
        return ErrorCode.INVALID_DATA_LENGTH
    return text[start:end].encode("latin-1").hex().upper(), end
