"""Kinds of field in a host command, and the functions a command row is written with.

Every field is text to its caller; fields of raw bytes are given and returned as upper-case hex digits, so
that no caller handles two types. Shapes are checked on both ends and nothing is ever searched for inside raw
bytes.

``when``, ``unless`` and ``when_like`` make fields depend on the value of an earlier one, ``optional`` marks a
group that may be left out, ``after`` puts a literal in front of a field. They return fields to splice into a
row, and do not nest, except that an optional group may stand inside a condition.
"""

import enum
import re
from collections.abc import Collection, Mapping

import msgspec

_HEX = "[0-9A-F]"
_VARIANT = f"[UX]{_HEX}{{32}}|[TY]{_HEX}{{48}}"
_BLOCK = "S[01][0-9]{4}[0-9A-Za-z]{10,}|R[A-E][0-9]{4}[0-9A-Za-z]{10,}"
_STORED = f"K{_HEX}{{3}}"


class Kind(enum.Enum):
    """What may stand in a field; the value is a regular expression for one whole value."""

    KEY = f"{_HEX}{{16}}|{_VARIANT}|{_BLOCK}|{_STORED}"
    """A key: 16H single, U or X + 32H double, T or Y + 48H triple, S or R + a key block, K + a place."""
    KEY_PAIR = f"{_HEX}{{32}}|{_VARIANT}|{_BLOCK}|{_STORED}"
    """As KEY, but without a scheme letter it is 32H: fields that were two single keys once (CVK, PVK)."""
    DIGITS = "[0-9]*"
    HEX = f"{_HEX}*"
    PADDED_DIGITS = "[0-9F]*"
    """Digits, padded on the right with F."""
    BYTES = f"(?:{_HEX}{{2}})*"
    """A fixed number of raw bytes."""
    COUNTED_BYTES = f"(?:{_HEX}{{2}})*|"
    """A count in digits, then that many raw bytes."""
    COUNTED_HEX = f"{_HEX}*|"
    """A count of characters in hex digits, then that many hex digits."""
    REMAINING_BYTES = f"(?:{_HEX}{{2}})+|"
    """Raw bytes up to the end of the message."""
    TEXT = "[ -~]*"
    """Printable ASCII."""
    CHECK_VALUE = f"{_HEX}{{6}}(?:{_HEX}{{10}})?"
    """A key check value: 16H, or its first six."""
    VALIDATION_DATA = f"[0-9A-FN]{{12}}|P{_HEX}{{16}}"
    """IBM 3624 PIN validation data: 12 characters, one of them N for part of the account, or P + 16H."""
    FILLED_DATA = "[0-9A-FN]*"
    """The 12 characters of the former, where a length has to be deduced."""


KEY_CHARACTERS = {"U": 33, "X": 33, "T": 49, "Y": 49, "K": 4}
"""Length of a key field by its scheme letter."""
KEY_BLOCK_LETTERS = "SR"
"""Scheme letters whose key field says its length itself: version 1, length 4N of what follows the letter."""
KEY_BLOCK_LEAST = 16
"""Characters of a key block's header."""

RAW_KINDS = frozenset({Kind.BYTES, Kind.COUNTED_BYTES, Kind.REMAINING_BYTES})
COUNTED_KINDS = frozenset({Kind.COUNTED_BYTES, Kind.COUNTED_HEX})
KEY_KINDS = frozenset({Kind.KEY, Kind.KEY_PAIR})
SELF_DELIMITING_KINDS = KEY_KINDS | {Kind.VALIDATION_DATA} | COUNTED_KINDS
"""Kinds whose first characters tell the length."""
_EXACT_KINDS = KEY_KINDS | {Kind.VALIDATION_DATA, Kind.CHECK_VALUE}  # the expression gives the lengths too
_USUAL_KEYS = {Kind.KEY: f"{_HEX}{{16}}|{_VARIANT}", Kind.KEY_PAIR: f"{_HEX}{{32}}|{_VARIANT}"}


class Condition(msgspec.Struct, frozen=True):
    """Holds when an earlier field is there and, if ``values`` or ``pattern`` are given, has such a value.

    ``negated`` turns the test of the value round; the field still has to be there.
    """

    name: str
    values: frozenset[str] | None = None
    pattern: str = ""
    negated: bool = False

    def holds(self, known: Mapping[str, str]) -> bool:
        """Whether the values known so far meet the condition."""
        value = known.get(self.name)
        if value is None:
            return False
        if self.pattern:
            return (re.match(self.pattern, value) is not None) != self.negated
        return self.values is None or (value in self.values) != self.negated


class Field(msgspec.Struct, frozen=True):
    """One field of a command: its name, its kind and how many characters it has on the wire.

    ``least`` and ``most`` bound the value; where they differ and no ``until`` delimiter ends it, the length
    follows from the message's length, so only fields of fixed length may come after it. ``count_digits`` is
    the width of the count before counted kinds, ``count_base`` its base; their ``until`` stands after the
    counted characters and is not searched for.

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
    count_base: int = 16
    lead: str = ""
    optional: bool = False
    when: Condition | None = None

    @property
    def is_fixed(self) -> bool:
        """True when every value has the same length and nothing delimits it."""
        return self.least == self.most and not self.until and self.kind not in _NOT_FIXED

    @property
    def is_plain(self) -> bool:
        """True when the field is always there and nothing stands in front of it."""
        return not self.lead and not self.optional and self.when is None

    def fits(self, value: str) -> bool:
        """Whether a value has the field's alphabet and length."""
        size = len(value) // 2 if self.kind in RAW_KINDS else len(value)
        if not self.least <= size <= self.most or re.fullmatch(self.kind.value, value) is None:
            return False
        if self.kind in KEY_KINDS and value[0] in KEY_BLOCK_LETTERS:
            return int(value[2:6]) == size - 1
        return True

    def usual_pattern(self) -> str | None:
        """A regular expression with one group for the usual values (no key blocks); None for raw bytes."""
        if self.kind in RAW_KINDS | COUNTED_KINDS:
            return None
        value = _USUAL_KEYS.get(self.kind, self.kind.value)
        if self.kind not in _EXACT_KINDS:
            value = f"{value.removesuffix('*')}{{{self.least},{self.most}}}"
        return f"{re.escape(self.lead)}({value}){re.escape(self.until)}"


_NOT_FIXED = SELF_DELIMITING_KINDS | {Kind.REMAINING_BYTES}
_KEY_MOST = 1 + 9999


def key(name: str) -> Field:
    """A key under the LMK that is single-length without a scheme letter."""
    return Field(name, Kind.KEY, 4, _KEY_MOST)


def key_pair(name: str) -> Field:
    """A key under the LMK that is double-length without a scheme letter."""
    return Field(name, Kind.KEY_PAIR, 4, _KEY_MOST)


def digits(name: str, least: int, most: int | None = None, *, until: str = "") -> Field:
    """Decimal digits: exactly ``least``, or ``least`` to ``most``."""
    return Field(name, Kind.DIGITS, least, least if most is None else most, until)


def hexadecimal(name: str, least: int, most: int | None = None) -> Field:
    """Upper-case hex digits: exactly ``least``, or ``least`` to ``most``."""
    return Field(name, Kind.HEX, least, least if most is None else most)


def padded_digits(name: str, least: int, most: int) -> Field:
    """Digits and F padding whose length follows from the message's length."""
    return Field(name, Kind.PADDED_DIGITS, least, most)


def raw(name: str, length: int) -> Field:
    """Exactly ``length`` raw bytes."""
    return Field(name, Kind.BYTES, length, length)


def counted_bytes(
    name: str, count_digits: int, *, base: int = 16, most: int | None = None, until: str = ""
) -> Field:
    """Raw bytes after their count in ``count_digits`` digits, with a literal after them."""
    most = base**count_digits - 1 if most is None else most
    return Field(name, Kind.COUNTED_BYTES, 0, most, until, count_digits, base)


def counted_hex(name: str, count_digits: int) -> Field:
    """Hex digits after the count of their characters in ``count_digits`` hex digits."""
    return Field(name, Kind.COUNTED_HEX, 0, 16**count_digits - 1, count_digits=count_digits)


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


def filled_data(name: str) -> Field:
    """IBM 3624 PIN validation data of 12 characters."""
    return Field(name, Kind.FILLED_DATA, 12, 12)


def after(lead: str, field: Field) -> Field:
    """A field with a literal in front of it."""
    return msgspec.structs.replace(field, lead=lead)


def optional(lead: str, first: Field, *others: Field) -> list[Field]:
    """Fields that are all there or all left out; ``lead`` in front of the first one says which.

    With an empty lead the message's length says it; then only fields of fixed length may come after.
    """
    assert all(field.is_plain for field in (first, *others)), "an optional group holds plain fields"
    with_first = Condition(first.name)
    opening = msgspec.structs.replace(first, lead=lead, optional=True)
    return [opening, *(msgspec.structs.replace(field, when=with_first) for field in others)]


def when(name: str, values: Collection[str], *fields: Field) -> list[Field]:
    """Fields that are there only when the earlier field ``name`` has one of the values."""
    return _under(Condition(name, frozenset(values)), fields)


def unless(name: str, values: Collection[str], *fields: Field) -> list[Field]:
    """Fields that are there only when the earlier field ``name`` has none of the values."""
    return _under(Condition(name, frozenset(values), negated=True), fields)


def when_like(name: str, pattern: str, *fields: Field) -> list[Field]:
    """Fields that are there only when the earlier field ``name`` begins with the regular expression."""
    return _under(Condition(name, pattern=pattern), fields)


def _under(condition: Condition, fields: tuple[Field, ...]) -> list[Field]:
    known = [field.when for field in fields if field.when is not None]
    assert all(other.values is None and not other.pattern for other in known), "conditions do not nest"
    return [msgspec.structs.replace(field, when=field.when or condition) for field in fields]
