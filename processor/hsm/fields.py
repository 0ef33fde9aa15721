"""Kinds of field in a host command, and the functions a command row is written with.

Every field is text to its caller; fields of raw bytes are given and returned as upper-case hex digits, so
that no caller handles two types. Shapes are checked on both ends and nothing is ever searched for inside raw
bytes.
"""

import enum
import re

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


KEY_CHARACTERS = {"U": 33, "X": 33, "T": 49, "Y": 49}
"""Length of a key field by its scheme letter."""

RAW_KINDS = frozenset({Kind.COUNTED_BYTES, Kind.REMAINING_BYTES})
KEY_KINDS = frozenset({Kind.KEY, Kind.KEY_PAIR})


class Field(msgspec.Struct, frozen=True):
    """One field of a command: its name, its kind and how many characters it has on the wire.

    ``least`` and ``most`` bound the value; where they differ and no ``until`` delimiter ends it, the length
    follows from the message's length, so only fields of fixed length may come after it. ``count_digits`` is
    the width of the count before COUNTED_BYTES.
    """

    name: str
    kind: Kind
    least: int
    most: int
    until: str = ""
    count_digits: int = 0

    @property
    def is_fixed(self) -> bool:
        """True when every value has the same length and nothing delimits it."""
        return self.least == self.most and not self.until and self.kind not in RAW_KINDS

    def fits(self, value: str) -> bool:
        """Whether a value has the field's alphabet and length."""
        size = len(value) // 2 if self.kind in RAW_KINDS else len(value)
        return self.least <= size <= self.most and re.fullmatch(self.kind.value, value) is not None

    def pattern(self) -> str | None:
        """A regular expression with one group for the value; None where a count decides the length."""
        if self.kind in RAW_KINDS:
            return None
        value = self.kind.value
        if self.kind not in KEY_KINDS:
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
