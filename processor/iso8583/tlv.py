"""Chip data: BER-TLV as EMV writes it, and the data sets some networks wrap around it.

Everything a peer sends is kept: unknown tags, their order, repeated tags, and lengths written in more bytes
than they need, so that what is read is built to the same bytes. Values are hex as in ``Message``.

    tag     one byte, or two or three when its low five bits are all set
    length  one byte up to 127, or 81 and one byte, or 82 and two bytes
    value   that many bytes; of a constructed tag (bit 6 of its first byte), again tag, length, value

Source: EMV Book 3, annex B; the tags are EMV's and the payment systems' public ones.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from processor.iso8583.elements import is_digits, test_of_alphabet
from processor.iso8583.tables.chip_tags import KNOWN_TAGS
from processor.values.errors import DecodeError

DEPTH_MAX = 4
OBJECTS_MAX = 128

_TAG_BYTES_MAX = 3
_LENGTH_BYTES_MAX = 3


class DataObject(NamedTuple):
    """One tag with its value; ``length_bytes`` is how many bytes its length takes, 0: as few as possible."""

    tag: str
    value: str
    length_bytes: int = 0

    @property
    def is_constructed(self) -> bool:
        """Whether the value is made of data objects."""
        return bool(int(self.tag[:2], 16) & 0x20)

    def __repr__(self) -> str:
        return f"DataObject({self.tag}, <{len(self.value)}>)"


class ChipData:
    """BER-TLV of one element; hex outside, ``DataObject`` inside.

    >>> CHIP_DATA.pick("9F36", "9F3602001A9C0100")
    '001A'
    """

    def __init__(self, element: int) -> None:
        self.element = element

    def read(self, value: str) -> list[DataObject]:
        """Every data object at the top, in order; the value of a constructed one stays whole.

        Raises:
            DecodeError: a tag or length that is cut or malformed, a value that is cut, more than
                ``OBJECTS_MAX`` objects, or a known tag whose value is not what it must be.
        """
        objects = list(self._objects(self._bytes(value)))
        for one in objects:
            self._check(one)
        return objects

    def walk(self, value: str) -> Iterator[tuple[int, DataObject]]:
        """Every data object with its depth (0 at the top), a constructed one before what is in it.

        Raises:
            DecodeError: as ``read``, at every depth; or templates deeper than ``DEPTH_MAX``, or more objects
                in all than ``OBJECTS_MAX``.
        """
        for count, (depth, one) in enumerate(self._walk(value, 0), start=1):
            if count > OBJECTS_MAX:
                raise self._error(f"more than {OBJECTS_MAX} data objects")
            yield depth, one

    def pick(self, tag: str, value: str) -> str | None:
        """The value of the first object with this tag at the top; those behind it are not looked at.

        Raises:
            DecodeError: as ``read``, for what stands before it and for itself.
        """
        for one in self._objects(self._bytes(value)):
            if one.tag == tag:
                self._check(one)
                return one.value
        return None

    def build(self, objects: Iterable[DataObject]) -> str:
        """The element's value from its data objects, in the order given.

        Raises:
            ValueError: a tag that is none, a value that is not hex or not its tag's, or does not fit.
        """
        parts = [self._packed(one) for one in objects]
        if len(parts) > OBJECTS_MAX:
            raise ValueError(f"DE {self.element}: more than {OBJECTS_MAX} data objects")
        return b"".join(parts).hex().upper()

    def _walk(self, value: str, depth: int) -> Iterator[tuple[int, DataObject]]:
        if depth > DEPTH_MAX:
            raise self._error(f"templates more than {DEPTH_MAX} deep")
        for one in self._objects(self._bytes(value)):
            self._check(one)
            yield depth, one
            if one.is_constructed:
                yield from self._walk(one.value, depth + 1)

    def _objects(self, data: bytes) -> Iterator[DataObject]:
        """Tag, length and value one after the other, found as they are asked."""
        at = count = 0
        while at < len(data):
            count += 1
            if count > OBJECTS_MAX:
                raise self._error(f"more than {OBJECTS_MAX} data objects")
            tag_end = self._tag_end(data, at)
            tag = data[at:tag_end].hex().upper()
            begin, length = self._length(data, tag_end, tag)
            at = begin + length
            if at > len(data):
                raise self._error(f"tag {tag} is longer than the data")
            fewest = 1 if length < 0x80 else 2 if length < 0x100 else 3
            width = begin - tag_end
            yield DataObject(tag, data[begin:at].hex().upper(), 0 if width == fewest else width)

    def _tag_end(self, data: bytes, at: int) -> int:
        """Where the tag that begins at ``at`` ends."""
        if data[at] in (0x00, 0xFF):
            raise self._error(f"no tag at byte {at}")
        end = at + 1
        if data[at] & 0x1F == 0x1F:
            while end < len(data) and data[end] & 0x80:
                end += 1
            end += 1
        if end > len(data):
            raise self._error(f"data ends inside the tag at byte {at}")
        if end - at > _TAG_BYTES_MAX:
            raise self._error(f"the tag at byte {at} has more than {_TAG_BYTES_MAX} bytes")
        return end

    def _length(self, data: bytes, at: int, tag: str) -> tuple[int, int]:
        """Where the value of ``tag`` begins, and how many bytes it has."""
        if at >= len(data):
            raise self._error(f"tag {tag} has no length")
        first = data[at]
        if first < 0x80:
            return at + 1, first
        if first == 0x80:
            raise self._error(f"the length of tag {tag} is indefinite")
        end = at + 1 + (first & 0x7F)
        if end - at > _LENGTH_BYTES_MAX:
            raise self._error(f"the length of tag {tag} has more than {_LENGTH_BYTES_MAX} bytes")
        if end > len(data):
            raise self._error(f"data ends inside the length of tag {tag}")
        return end, int.from_bytes(data[at + 1 : end], "big")

    def _check(self, one: DataObject) -> None:
        if rule := _broken_rule(one):
            raise self._error(f"tag {one.tag} {rule}")

    def _packed(self, one: DataObject) -> bytes:
        tag, data = _bytes_of(one.tag), _bytes_of(one.value)
        if not tag or data is None or not self._is_tag(tag) or _broken_rule(one):
            raise ValueError(f"DE {self.element}: tag {one.tag} does not fit")
        length = _packed_length(len(data), one.length_bytes)
        if length is None:
            raise ValueError(f"DE {self.element}: the length of tag {one.tag} does not fit")
        return tag + length + data

    def _is_tag(self, tag: bytes) -> bool:
        try:
            return self._tag_end(tag, 0) == len(tag)
        except DecodeError:
            return False

    def _bytes(self, value: str) -> bytes:
        data = _bytes_of(value)
        if data is None:
            raise self._error("not hexadecimal")
        return data

    def _error(self, rule: str) -> DecodeError:
        return DecodeError(self.element, rule)


def _broken_rule(one: DataObject) -> str:
    """What a known tag's value breaks, or nothing."""
    known = KNOWN_TAGS.get(one.tag)
    if known is None:
        return ""
    length_bytes = len(one.value) // 2
    if not known.least <= length_bytes <= known.most:
        wanted = known.least if known.least == known.most else f"{known.least} to {known.most}"
        return f"has {length_bytes} bytes, not {wanted}"
    if known.alphabet == "n" and not is_digits(one.value):
        return "is not digits only"
    if known.alphabet == "an" and not test_of_alphabet("an")[0](bytes.fromhex(one.value).decode("latin-1")):
        return "is not letters and digits only"
    return ""


def _packed_length(length: int, length_bytes: int) -> bytes | None:
    """The length in so many bytes, 0 for as few as possible; None if it does not fit."""
    fewest = 1 if length < 0x80 else 2 if length < 0x100 else 3
    width = length_bytes or fewest
    if not fewest <= width <= _LENGTH_BYTES_MAX or length > 0xFFFF:
        return None
    return bytes((length,)) if width == 1 else bytes((0x7F + width,)) + length.to_bytes(width - 1, "big")


def _bytes_of(value: str) -> bytes | None:
    """The bytes, or None where ``value`` is not hexadecimal."""
    try:
        return bytes.fromhex(value)
    except ValueError:  # it quotes the value, so it goes no further
        return None


class DataSets:
    """Data sets one after the other: one byte of identifier, two of length, then that many bytes.

    >>> DataSets(55).read("0100059F3602001A")
    [('01', '9F3602001A')]
    """

    def __init__(self, element: int) -> None:
        self.element = element

    def read(self, value: str) -> list[tuple[str, str]]:
        """Identifier and content of every data set, in order.

        Raises:
            DecodeError: a data set that is cut, or more than ``OBJECTS_MAX``.
        """
        data = _bytes_of(value)
        if data is None:
            raise DecodeError(self.element, "not hexadecimal")
        found: list[tuple[str, str]] = []
        at = 0
        while at < len(data):
            begin = at + 3
            end = begin + int.from_bytes(data[at + 1 : begin], "big")
            if end > len(data):
                raise DecodeError(self.element, f"data ends inside data set {1 + len(found)}")
            found.append((data[at : at + 1].hex().upper(), data[begin:end].hex().upper()))
            at = end
            if len(found) > OBJECTS_MAX:
                raise DecodeError(self.element, f"more than {OBJECTS_MAX} data sets")
        return found

    def pick(self, identifier: str, value: str) -> str | None:
        """The content of the first data set with this identifier, or None.

        Raises:
            DecodeError: as ``read``.
        """
        return next((content for name, content in self.read(value) if name == identifier), None)

    def build(self, sets: Iterable[tuple[str, str]]) -> str:
        """The element's value.

        Raises:
            ValueError: an identifier that is not one byte, or content that is not hex or too long.
        """
        parts = []
        for identifier, content in sets:
            name, data = _bytes_of(identifier), _bytes_of(content)
            if name is None or data is None or len(name) != 1 or len(data) > 0xFFFF:
                raise ValueError(f"DE {self.element}: data set {identifier} does not fit")
            parts.append(name + len(data).to_bytes(2, "big") + data)
        return b"".join(parts).hex().upper()


CHIP_DATA = ChipData(55)
