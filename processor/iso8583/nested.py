"""Elements that hold a bitmap of their own and the sub-elements it announces, as data rows.

Sub-elements stand in the order of the bitmap without tags, so reading one needs the lengths of those before
it and nothing of those after it.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from processor.iso8583.elements import BCD, BINARY, EBCDIC, is_digits
from processor.values.errors import DecodeError


class SubElement(NamedTuple):
    """One row: ``length`` in digits for BCD (odd: a zero nibble first), else in characters or bytes.

    ``variable`` has one binary length byte first, counting bytes, and ``length`` is the most.
    """

    number: int
    term: str
    encoding: str
    length: int
    variable: bool = False


class Nested:
    """The layout of one such element; values are hex outside, and per sub-element as in ``Message``."""

    def __init__(self, element: int, bitmap_bytes: int, rows: tuple[SubElement, ...]) -> None:
        self.element = element
        self.rows = {row.number: row for row in rows}
        self._bitmap_bytes = bitmap_bytes

    def read(self, value: str) -> dict[int, str]:
        """Every sub-element of an element's hex ``value``.

        Raises:
            DecodeError: a bit without a row, characters outside the row's kind, data too short or too long.
        """
        data = self._bytes(value)
        found: dict[int, str] = {}
        end = self._bitmap_bytes
        for number, start, end in self._spans(data, last=8 * self._bitmap_bytes):
            found[number] = self._text(self.rows[number], data[start:end])
        if end != len(data):
            raise self._error("data goes on after the last sub-element")
        return found

    def pick(self, number: int, value: str) -> str | None:
        """One sub-element, or None if its bit is off; those behind it are not looked at.

        Raises:
            DecodeError: as ``read``, for what stands before it and for itself.
        """
        data = self._bytes(value)
        for present, start, end in self._spans(data, last=number):
            if present == number:
                return self._text(self.rows[number], data[start:end])
        return None

    def build(self, values: Mapping[int, str]) -> str:
        """The element's hex value from its sub-elements.

        Raises:
            ValueError: a number without a row, or a value that does not fit it.
        """
        bits = 8 * self._bitmap_bytes
        bitmap = sum(1 << (bits - number) for number in values)
        parts = [self._packed(number, values[number]) for number in sorted(values)]
        return (bitmap.to_bytes(self._bitmap_bytes, "big") + b"".join(parts)).hex().upper()

    def _bytes(self, value: str) -> bytes:
        try:
            data = bytes.fromhex(value)
        except ValueError:
            data = b""
        if len(data) < self._bitmap_bytes:
            raise self._error("no complete bitmap")
        return data

    def _spans(self, data: bytes, last: int) -> Iterator[tuple[int, int, int]]:
        """Number, start and end of each sub-element in the bitmap up to ``last``, found as they are asked."""
        bits = 8 * self._bitmap_bytes
        bitmap = int.from_bytes(data[: self._bitmap_bytes], "big")
        end = self._bitmap_bytes
        for number in range(1, last + 1):
            if not bitmap >> (bits - number) & 1:
                continue
            row = self.rows.get(number)
            if row is None:
                raise self._error(f"sub-element {number} is not assigned in this dialect")
            start, end = self._span(row, data, end)
            if end > len(data):
                raise self._error(f"data ends inside sub-element {number}")
            yield number, start, end

    def _span(self, row: SubElement, data: bytes, at: int) -> tuple[int, int]:
        if not row.variable:
            return at, at + (row.length + 1) // 2 if row.encoding == BCD else at + row.length
        length = data[at] if at < len(data) else row.length
        if length > row.length:
            raise self._error(f"sub-element {row.number} is longer than its maximum")
        return at + 1, at + 1 + length

    def _text(self, row: SubElement, data: bytes) -> str:
        if row.encoding == BINARY:
            return data.hex().upper()
        if row.encoding == EBCDIC:
            text = data.decode(EBCDIC)
            if not text.isprintable():
                raise self._error(f"sub-element {row.number} is not printable characters only")
            return text
        digits = data.hex()
        if not digits.isdigit() or (row.length % 2 and digits[0] != "0"):
            raise self._error(f"sub-element {row.number} is not digits only")
        return digits[row.length % 2 :]

    def _packed(self, number: int, value: str) -> bytes:
        row = self.rows.get(number)
        data = _data(row, value) if row else None
        if row is None or data is None:
            raise ValueError(f"DE {self.element}.{number}: no such sub-element, or the value does not fit it")
        return bytes((len(data),)) + data if row.variable else data

    def _error(self, rule: str) -> DecodeError:
        return DecodeError(self.element, rule)


def _data(row: SubElement, value: str) -> bytes | None:
    """The value's bytes on the wire, or None if it does not fit the row."""
    try:
        if row.encoding == BCD:
            fits = is_digits(value) and len(value) == row.length
            return bytes.fromhex("0" * (row.length % 2) + value) if fits else None
        data = bytes.fromhex(value) if row.encoding == BINARY else value.encode(row.encoding)
    except ValueError:  # it quotes the value, so it goes no further
        return None
    fits = len(data) <= row.length if row.variable else len(data) == row.length
    return data if fits else None
