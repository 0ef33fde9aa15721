"""Bytes to Message and back, strictly.

``Codec`` is what the rest of the processor knows; nothing of pyiso8583, which does the cutting here, shows
through it. On top of it come the checks pyiso8583 leaves out: alphabets, message types, bits without an
element, and length and bitmap texts that only ``int()`` and ``fromhex()`` would take.

Data is header and message, without the frame's length prefix.
"""

from typing import Protocol

import iso8583

from processor.iso8583.dialect import NUMBERS, Dialect
from processor.iso8583.elements import BINARY, HEX, is_digits
from processor.iso8583.message import Message
from processor.values.errors import DecodeError

_NUMBER = {str(number): number for number in NUMBERS}
_KEY = {number: str(number) for number in NUMBERS}
_HEX = frozenset("0123456789ABCDEFabcdef")
_TRAILING = "Extra data"

Elements = dict[int, str]
Wire = dict[str, dict[str, bytes]]


class Codec(Protocol):
    """Both directions of one dialect."""

    def decode(self, data: bytes) -> Message:
        """Read header and message; the header is cut off, not checked (``HeaderRule.check`` does that).

        Raises:
            DecodeError: with what was read before; nothing else is raised, whatever the bytes.
        """

    def encode(self, message: Message) -> bytes:
        """Write header and message; the header's own length field, if it has one, is set to fit.

        Raises:
            ValueError: the message cannot be written in this dialect, which is a mistake of ours.
        """


class PyisoCodec:
    """The codec of ``dialect`` by interpreting its pyiso8583 specification."""

    def __init__(self, dialect: Dialect) -> None:
        self._mtis = dialect.mtis
        self._accepts = dialect.accepts
        self._rules = dialect.rules
        self._header = dialect.header
        self._header_bytes = dialect.header.length_bytes
        self._bitmap_digits = 16 * dialect.bitmaps
        self._spec = dialect.spec
        self._hex_texts = [n for n, element in dialect.elements.items() if element.encoding == HEX]
        self._text_lengths = {
            number: str(self._spec[key]["len_enc"])
            for key, number in _NUMBER.items()
            if self._spec[key]["len_type"] and self._spec[key]["len_enc"] not in (BINARY, "bcd")
        }
        self._has_texts = bool(self._text_lengths) or any(
            self._spec[key]["data_enc"] != BINARY for key in ("p", "1")
        )

    def decode(self, data: bytes) -> Message:
        """Read header and message; see ``Codec.decode``."""
        failure: iso8583.DecodeError | None = None
        try:
            doc, wire = iso8583.decode(data[self._header_bytes :], self._spec)
        except iso8583.DecodeError as error:
            failure, doc, wire = error, error.doc_dec, error.doc_enc
        # Outside the handler from here, so that the library's error, which holds the message in clear, is not
        # chained to ours.
        mti = doc.pop("t", "")
        bitmaps = doc.pop("p", "") + doc.pop("1", "")
        elements = {_NUMBER[key]: value for key, value in doc.items()}
        for number in self._hex_texts:
            if number in elements:
                elements[number] = elements[number].upper()
        if failure is None and mti in self._mtis and self._is_sound(bitmaps, elements, wire):
            return Message(data[: self._header_bytes], mti, elements)
        raise self._violation(mti, bitmaps, elements, wire, failure)

    def encode(self, message: Message) -> bytes:
        """Write header and message; see ``Codec.encode``."""
        if message.mti not in self._mtis:
            raise ValueError("the MTI is not one of this dialect")
        accepts = self._accepts
        doc = {"t": message.mti}
        for number, value in message.elements.items():
            if number not in accepts or not accepts[number](value):
                raise ValueError(f"DE {number}: {self._rules.get(number, 'there is no such element')}")
            doc[_KEY[number]] = value
        body = self._encoded(doc)
        return self._header.sized(message.header, len(body)) + bytes(body)

    def _encoded(self, doc: dict[str, str]) -> bytearray:
        try:
            return iso8583.encode(doc, self._spec)[0]
        except iso8583.EncodeError as error:
            problem = f"DE {error.field}: {error.msg}"
        raise ValueError(problem)  # outside the handler: the library's error holds the message in clear

    def _is_sound(self, bitmaps: str, elements: Elements, wire: Wire) -> bool:
        """Whether every check passes; says nothing more, because it runs for every message."""
        accepts = self._accepts
        for number, value in elements.items():
            if not accepts[number](value):
                return False
        if len(bitmaps) > self._bitmap_digits:
            return False
        if not self._has_texts:
            return True
        return _HEX.issuperset(bitmaps) and all(
            self._is_length_text(number, wire) for number in elements if number in self._text_lengths
        )

    def _violation(
        self, mti: str, bitmaps: str, elements: Elements, wire: Wire, failure: iso8583.DecodeError | None
    ) -> DecodeError:
        """The first thing wrong in the order of the wire: a rule of ours, or where the cutting stopped."""
        if len(mti) == 4 and mti not in self._mtis:
            return DecodeError(0, "the MTI is not one of this dialect", offset=self._header_bytes)
        if not _HEX.issuperset(bitmaps):
            return DecodeError(0, "a bitmap is not hexadecimal", offset=self._offset("p", wire), mti=mti)
        if len(bitmaps) > self._bitmap_digits:  # its bit announces a bitmap that this dialect has not
            bit = 1 + 64 * (self._bitmap_digits // 16 - 1)
            return DecodeError(bit, "not assigned in this dialect", offset=self._offset("1", wire), mti=mti)
        stopped_at = "" if failure is None or failure.msg.startswith(_TRAILING) else failure.field
        partial: Elements = {}
        for number, value in elements.items():
            if _KEY[number] == stopped_at:
                break
            rule = self._broken_rule(number, value, wire)
            if rule:
                offset = self._offset(_KEY[number], wire)
                return DecodeError(number, rule, offset=offset, mti=mti, partial=partial)
            partial[number] = value
        assert failure is not None, "refused without a reason"
        element, offset = _NUMBER.get(failure.field, 0), self._header_bytes + failure.pos
        return DecodeError(element, _rule(failure), offset=offset, mti=mti, partial=partial)

    def _broken_rule(self, number: int, value: str, wire: Wire) -> str:
        if number in self._text_lengths and not self._is_length_text(number, wire):
            return "its length is not written in digits"
        return "" if self._accepts[number](value) else self._rules[number]

    def _is_length_text(self, number: int, wire: Wire) -> bool:
        return is_digits(wire[_KEY[number]]["len"].decode(self._text_lengths[number]))

    def _offset(self, key: str, wire: Wire) -> int:
        """Where the data of ``key`` begins, counted from the first byte of the header."""
        offset = self._header_bytes
        for name, part in wire.items():
            if name == key:
                return offset + len(part["len"])
            offset += len(part["len"]) + len(part["data"])
        raise AssertionError(f"{key} was not read")


def _rule(failure: iso8583.DecodeError) -> str:
    """Why the cutting stopped, in our words."""
    if failure.msg.startswith(_TRAILING):
        return "data goes on after the last element"
    if "larger than maximum" in failure.msg:
        return "longer than its maximum"
    if failure.msg.startswith("Failed to decode field length"):
        return "its length is not a number"
    if failure.msg.startswith("Failed to decode"):
        return "bytes that are no characters"
    # The library has the element's text already only where it then misses the pad nibble of an odd length.
    return (
        "the pad of an odd number of digits is wrong"
        if failure.doc_dec.get(failure.field)
        else "data ends early"
    )
