"""The form of each element on the wire, from a dialect's pyiso8583 rows.

A value is characters. They stand on the wire as text, as text of hexadecimal digits, as nibbles or as bytes;
before them there may be a length in binary, BCD or text, which counts bytes or nibbles.
"""

import codecs
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any

import msgspec

from processor.iso8583.dialect import Dialect
from processor.iso8583.elements import BCD, BINARY, HEX

_HEX_DIGITS = "0123456789ABCDEF"
_TABLES_MAX = 256  # tables of lengths that are kept for all dialects; most have a dozen


class Form(msgspec.Struct, frozen=True):
    """One element on the wire.

    ``encoding`` is empty for bytes, whose value is upper-case hexadecimal. ``length`` is the exact length, or
    the most where ``prefix_bytes`` is not 0, in nibbles or bytes. ``is_hex_text`` is text of hexadecimal
    digits. ``left_pad`` and ``right_pad`` are what makes an odd number of nibbles even, empty for none.
    """

    number: int
    alphabet: str
    encoding: str
    length: int
    prefix_bytes: int
    prefix_encoding: str
    nibbles: bool
    is_hex_text: bool
    left_pad: str
    right_pad: str
    accepts: Callable[[str], bool]
    rule: str

    @property
    def is_fixed(self) -> bool:
        """Whether its length is in the table, not on the wire."""
        return self.prefix_bytes == 0

    def bytes_of(self, length: int) -> int:
        """How many bytes ``length`` nibbles or bytes take."""
        return (length + 1) // 2 if self.nibbles else length


def forms_of(dialect: Dialect) -> dict[int, Form]:
    """The form of every element, assigned or not."""
    return {number: _form(dialect, number, dialect.spec[str(number)]) for number in dialect.elements}


def _form(dialect: Dialect, number: int, row: dict[str, Any]) -> Form:
    return Form(
        number=number,
        alphabet=dialect.elements[number].alphabet,
        encoding="" if row["data_enc"] == BINARY else row["data_enc"],
        length=row["max_len"],
        prefix_bytes=row["len_type"],
        prefix_encoding=row["len_enc"],
        nibbles=row.get("len_count", "bytes") == "nibbles",
        is_hex_text=dialect.elements[number].encoding == HEX,
        left_pad=_pad(row, "left_pad"),
        right_pad=_pad(row, "right_pad"),
        accepts=dialect.accepts[number],
        rule=dialect.rules[number],
    )


def _pad(row: dict[str, Any], key: str) -> str:
    """The pad nibble, or nothing if it is none that ``bytes.hex().upper()`` could show."""
    pad: str = row.get(key, "")[:1]
    return pad if pad in _HEX_DIGITS else ""


@cache
def latin_1_table(encoding: str) -> bytes | None:
    """The Latin-1 code of each byte of ``encoding``, if that is one-to-one; None if it is another kind.

    >>> latin_1_table("cp037")[0xF0:0xF3], latin_1_table("utf-8")
    (b'012', None)
    """
    try:
        table = bytes(range(256)).decode(encoding).encode("latin-1")
    except UnicodeError:
        return None
    return table if len(set(table)) == 256 else None


@cache
def is_ascii(encoding: str) -> bool:
    """Whether this is ASCII under one of its names: 128 characters, a byte each."""
    return codecs.lookup(encoding).name == "ascii"


def prefix_of(prefix_bytes: int, encoding: str, length: int) -> bytes:
    """The length as it is written.

    Raises:
        ValueError: it does not fit.
    """
    if encoding == BINARY:
        most = 256**prefix_bytes - 1
        prefix = length.to_bytes(prefix_bytes, "big") if length <= most else b""
    elif encoding == BCD:
        text = f"{length:0{2 * prefix_bytes}}"
        prefix = bytes.fromhex(text) if len(text) % 2 == 0 else b""
    else:
        prefix = f"{length:0{prefix_bytes}}".encode(encoding)
    if len(prefix) != prefix_bytes:
        raise ValueError("its length does not fit")
    return prefix


@lru_cache(_TABLES_MAX)
def _prefixes(prefix_bytes: int, encoding: str, length_max: int) -> tuple[bytes, ...]:
    """The prefix of each length from 0, as far as it fits."""
    prefixes = []
    for length in range(length_max + 1):
        try:
            prefixes.append(prefix_of(prefix_bytes, encoding, length))
        except ValueError:
            break
    return tuple(prefixes)


@lru_cache(_TABLES_MAX)
def lengths_of(prefix_bytes: int, encoding: str, length_max: int) -> Mapping[bytes | int, int]:
    """The length that each prefix says; a prefix of one byte is that byte as a number.

    >>> lengths_of(2, "ascii", 19)[b"16"], lengths_of(1, "b", 19)[0x10]
    (16, 16)
    """
    prefixes = _prefixes(prefix_bytes, encoding, length_max)
    return {prefix[0] if prefix_bytes == 1 else prefix: length for length, prefix in enumerate(prefixes)}


@lru_cache(_TABLES_MAX)
def prefix_texts_of(
    prefix_bytes: int, encoding: str, length_max: int, characters: int, *, as_hex: bool
) -> Mapping[int, str]:
    """The prefix as text, or as hexadecimal of its bytes, by the value's length in characters.

    ``characters`` is how many of them are one of what the prefix counts.

    >>> prefix_texts_of(3, "ascii", 999, 2, as_hex=False)[8]
    '004'
    """
    prefixes = _prefixes(prefix_bytes, encoding, length_max)
    return {
        characters * length: prefix.hex() if as_hex else str(prefix, encoding)
        for length, prefix in enumerate(prefixes)
    }
