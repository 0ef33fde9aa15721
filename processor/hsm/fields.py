"""Kinds of field in a host command, and the functions a command row is written with.

Every field is text to its caller; fields of raw bytes are given and returned as upper-case hex digits, so
that no caller handles two types. Shapes are checked on both ends and nothing is ever searched for inside raw
bytes.

``when`` makes fields depend on the value of an earlier one, ``optional`` marks a group that may be left out,
``after`` puts a literal in front of a field. They return fields to splice into a row, and do not nest, except
that an optional group may stand inside ``when``.
"""

import enum
import re
from collections.abc import Collection, Mapping

import msgspec

_HEX = "[0-9A-F]"
_SCHEMES = f"[UX]{_HEX}{{32}}|[TY]{_HEX}{{48}}"


class Kind(enum.Enum):
    """What may stand in a field; the value is a regular expression for one whole value."""

    KEY = f"{_HEX}{{16}}|{_SCHEMES}"
    """A key under the LMK: 16H single, U or X + 32H double, T or Y + 48H triple."""
    KEY_PAIR = f"{_HEX}{{32}}|{_SCHEMES}"
    """As KEY, but without a scheme letter it is 32H: fields that were two single keys once (CVK, PVK)."""
    DIGITS = "[0-9]*"
    HEX = f"{_HEX}*"
    PADDED_DIGITS = "[0-9F]*"
    """Digits, padded on the right with F."""
    COUNTED_BYTES = f"(?:{_HEX}{{2}})*"
    """A count in hex digits, then that many raw bytes."""
    REMAINING_BYTES = f"(?:{_HEX}{{2}})+|"
    """Raw bytes up to the end of the message."""
    TEXT = "[ -~]*"
    """Printable ASCII."""
    CHECK_VALUE = f"{_HEX}{{6}}(?:{_HEX}{{10}})?"
    """A key check value: 16H, or its first six."""
    VALIDATION_DATA = f"[0-9A-FN]{{12}}|P{_HEX}{{16}}"
    """IBM 3624 PIN validation data: 12 characters, one of them N for part of the account, or P + 16H."""


KEY_CHARACTERS = {"U": 33, "X": 33, "T": 49, "Y": 49}
"""Length of a key field by its scheme letter."""

RAW_KINDS = frozenset({Kind.COUNTED_BYTES, Kind.REMAINING_BYTES})
KEY_KINDS = frozenset({Kind.KEY, Kind.KEY_PAIR})
SELF_DELIMITING_KINDS = KEY_KINDS | {Kind.VALIDATION_DATA}
"""Kinds whose first character tells the length."""
_EXACT_KINDS = SELF_DELIMITING_KINDS | {Kind.CHECK_VALUE}  # the regular expression gives the lengths too


class Condition(msgspec.Struct, frozen=True):
    """Holds when an earlier field is there and, if ``values`` are given, has one of them."""

    name: str
    values: frozenset[str] | None

    def holds(self, known: Mapping[str, str]) -> bool:
        """Whether the values known so far meet the condition."""
        value = known.get(self.name)
        return value is not None and (self.values is None or value in self.values)


class Field(msgspec.Struct, frozen=True):
    """One field of a command: its name, its kind and how many characters it has on the wire.

    ``least`` and ``most`` bound the value; where they differ and no ``until`` delimiter ends it, the length
    follows from the message's length, so only fields of fixed length may come after it. ``count_digits`` is
    the width of the count before COUNTED_BYTES.

    ``lead`` is a literal in front of the value. A field whose ``when`` does not hold is not there. An
    ``optional`` one is there when its lead stands in its place, or, without a lead, when the message has more
    characters than the later fields take.
    """

    name: str
    kind: Kind
    least: int
    most: int
    until: str = ""
    count_digits: int = 0
    lead: str = ""
    optional: bool = False
    when: Condition | None = None

    @property
    def is_fixed(self) -> bool:
        """True when every value has the same length and nothing delimits it."""
        return self.least == self.most and not self.until and self.kind not in RAW_KINDS

    @property
    def is_plain(self) -> bool:
        """True when the field is always there and nothing stands in front of it."""
        return not self.lead and not self.optional and self.when is None

    def fits(self, value: str) -> bool:
        """Whether a value has the field's alphabet and length."""
        size = len(value) // 2 if self.kind in RAW_KINDS else len(value)
        return self.least <= size <= self.most and re.fullmatch(self.kind.value, value) is not None

    def pattern(self) -> str | None:
        """A regular expression with one group for the value; None for raw bytes and if not plain."""
        if self.kind in RAW_KINDS or not self.is_plain:
            return None
        value = self.kind.value
        if self.kind not in _EXACT_KINDS:
            value = f"{value.removesuffix('*')}{{{self.least},{self.most}}}"
        return f"({value}){re.escape(self.until)}"


def key(name: str) -> Field:
    """A key under the LMK that is single-length without a scheme letter."""
    return Field(name, Kind.KEY, 16, 49)


def key_pair(name: str) -> Field:
    """A key under the LMK that is double-length without a scheme letter."""
    return Field(name, Kind.KEY_PAIR, 32, 49)


def digits(name: str, least: int, most: int | None = None, *, until: str = "") -> Field:
    """Decimal digits: exactly ``least``, or ``least`` to ``most``."""
    return Field(name, Kind.DIGITS, least, least if most is None else most, until)


def hexadecimal(name: str, length: int) -> Field:
    """Exactly ``length`` upper-case hex digits."""
    return Field(name, Kind.HEX, length, length)


def padded_digits(name: str, least: int, most: int) -> Field:
    """Digits and F padding whose length follows from the message's length."""
    return Field(name, Kind.PADDED_DIGITS, least, most)


def counted_bytes(name: str, count_digits: int) -> Field:
    """Raw bytes after their count in ``count_digits`` hex digits."""
    return Field(name, Kind.COUNTED_BYTES, 0, 16**count_digits - 1, count_digits=count_digits)


def remaining_bytes(name: str) -> Field:
    """Raw bytes up to the end of the message."""
    return Field(name, Kind.REMAINING_BYTES, 0, 65535)


def text(name: str, length: int) -> Field:
    """Exactly ``length`` printable ASCII characters."""
    return Field(name, Kind.TEXT, length, length)


def check_value(name: str) -> Field:
    """A key check value of 6 or 16 hex digits; its length follows from the message's length."""
    return Field(name, Kind.CHECK_VALUE, 6, 16)


def validation_data(name: str) -> Field:
    """IBM 3624 PIN validation data."""
    return Field(name, Kind.VALIDATION_DATA, 12, 17)


def after(lead: str, field: Field) -> Field:
    """A field with a literal in front of it."""
    return msgspec.structs.replace(field, lead=lead)


def optional(lead: str, first: Field, *others: Field) -> list[Field]:
    """Fields that are all there or all left out; ``lead`` in front of the first one says which.

    With an empty lead the message's length says it; then only fields of fixed length may come after.
    """
    assert all(field.is_plain for field in (first, *others)), "an optional group holds plain fields"
    with_first = Condition(first.name, None)
    opening = msgspec.structs.replace(first, lead=lead, optional=True)
    return [opening, *(msgspec.structs.replace(field, when=with_first) for field in others)]


def when(name: str, values: Collection[str], *fields: Field) -> list[Field]:
    """Fields that are there only when the earlier field ``name`` has one of the values."""
    conditions = [field.when for field in fields if field.when is not None]
    assert all(known.values is None for known in conditions), "conditions do not nest"
    condition = Condition(name, frozenset(values))
    return [msgspec.structs.replace(field, when=field.when or condition) for field in fields]
