"""Reading and writing a message form by form: the path of bitmaps seen for the first times, and of errors.

It reads in the order of the wire and stops at the first thing that is wrong, which a DecodeError then says.
The compiled functions take only what this path takes, and leave every error to it.
"""

import re
from binascii import unhexlify
from itertools import islice

from processor.iso8583.compiled_forms import Form, forms_of, prefix_of
from processor.iso8583.dialect import Dialect
from processor.iso8583.elements import BCD, BINARY, is_digits
from processor.iso8583.message import Message
from processor.values.errors import DecodeError

_BITMAP_DIGITS = re.compile("[0-9A-Fa-f]{16}")
_PAN_INSIDE = re.compile("[0-9]{12}")
_FILLER = "F"


class Broken(ValueError):  # noqa: N818 - becomes a DecodeError, which must not hold what this one holds
    """A rule that the bytes at ``offset`` break; ``value`` is in clear.

    ``end`` is where the element ends, if only what it holds is wrong, else 0.
    """

    def __init__(self, rule: str, offset: int, value: str = "", *, element: int = 0, end: int = 0) -> None:
        super().__init__(rule)
        self.rule = rule
        self.offset = offset
        self.value = value
        self.element = element
        self.end = end


class _Progress:
    """What has been read of a message so far; ``number`` is of the element that is being read."""

    __slots__ = ("elements", "mti", "number", "numbers")

    def __init__(self) -> None:
        self.mti = ""
        self.number = 0
        self.numbers: list[int] = []
        self.elements: dict[int, str] = {}


class Interpreter:
    """Both directions of ``dialect``, one element at a time."""

    def __init__(self, dialect: Dialect) -> None:
        self.forms = forms_of(dialect)
        self._dialect = dialect
        self._mti_encoding = dialect.spec["t"]["data_enc"]
        self._bitmap_encodings = [dialect.spec[key]["data_enc"] for key in ("p", "1", "1")]

    def decode(self, data: bytes) -> Message:
        """Read header and message.

        Raises:
            DecodeError: with what was read before.
        """
        progress = _Progress()
        try:
            return self._read(data, progress)
        except Broken as problem:
            broken = problem.with_traceback(None)  # which would hold this frame, and this frame it
        # Outside the handler: errors below hold the message in clear and are not chained to ours.
        number = broken.element or progress.number
        raise DecodeError(
            number,
            broken.rule,
            offset=broken.offset,
            mti=progress.mti,
            partial=progress.elements | self._rest(data, progress, broken.end),
            value=_masked(number, broken.value, self._dialect),
        )

    def encode(self, message: Message) -> bytes:
        """Write the message without its header.

        Raises:
            ValueError: it cannot be written; the text names the element and no value.
        """
        if message.mti not in self._dialect.mtis:
            raise ValueError("the MTI is not one of this dialect")
        numbers = sorted(message.elements)
        parts = [self.mti_bytes(message.mti), self.bitmaps_of(numbers)]
        for number in numbers:
            form = self.forms.get(number)
            problem = written = None
            try:
                written = write_element(form, message.elements[number]) if form else None
            except ValueError as error:
                problem = _rule_of(error)
            if written is None:  # outside the handler, as in decode
                raise ValueError(f"DE {number}: {problem or 'there is no such element'}")
            parts.append(written)
        return b"".join(parts)

    def mti_bytes(self, mti: str) -> bytes:
        """The message type as it is written."""
        return bytes.fromhex(mti) if self._mti_encoding == BINARY else mti.encode(self._mti_encoding)

    def bitmaps_of(self, numbers: list[int]) -> bytes:
        """The bitmaps that announce these elements and each other. A number that cannot be is left out."""
        bits = {number for number in numbers if number in self.forms}
        if any(number > 128 for number in bits):
            bits.add(65)
        if any(64 < number <= 128 for number in bits):
            bits.add(1)
        count = 3 if 65 in bits else 2 if 1 in bits else 1
        if count == 3:
            bits.add(1)
        whole: int = sum(1 << (64 * count - bit) for bit in bits)
        raw = whole.to_bytes(8 * count, "big")
        parts = (raw[8 * i : 8 * i + 8] for i in range(count))
        return b"".join(
            part if encoding == BINARY else part.hex().upper().encode(encoding)
            for part, encoding in zip(parts, self._bitmap_encodings, strict=False)
        )

    def announced(self, data: bytes) -> tuple[list[int], int]:
        """The elements that the bitmaps announce, in order, and the offset behind the bitmaps.

        For data that ``decode`` has taken.
        """
        at = self._dialect.header.length_bytes
        return self._read_bitmaps(data, at + (2 if self._mti_encoding == BINARY else 4))

    def _rest(self, data: bytes, progress: _Progress, at: int) -> dict[int, str]:
        """What is sound behind a wrong value that ends at ``at``, for the echoes of a reply.

        As far as the cutting is sure: behind a wrong value of fixed length always. Where the length is on the
        wire, it may be what is wrong; then only if the elements go on to the last byte and no further.
        """
        rest: dict[int, str] = {}
        if not at or not progress.number:
            return rest
        sure = None if self.forms[progress.number].is_fixed else 0
        for number in progress.numbers:
            if number <= progress.number:
                continue
            try:
                rest[number], at = read_element(self.forms[number], data, at)
            except Broken as problem:
                at = problem.end
                if not at:
                    break
                if sure is None and not self.forms[number].is_fixed:
                    sure = len(rest)
        return rest if at == len(data) else dict(islice(rest.items(), sure))

    def _read(self, data: bytes, progress: _Progress) -> Message:
        header_bytes = self._dialect.header.length_bytes
        mti, at = self._read_mti(data, header_bytes)
        progress.mti = mti
        progress.numbers, at = self._read_bitmaps(data, at)
        elements = progress.elements
        for number in progress.numbers:
            progress.number = number
            elements[number], at = read_element(self.forms[number], data, at)
        if at != len(data):  # said of the last element, which is perhaps the one whose length is wrong
            raise Broken("data goes on after the last element", at)
        return Message(data[:header_bytes], mti, elements)

    def _read_mti(self, data: bytes, at: int) -> tuple[str, int]:
        length = 2 if self._mti_encoding == BINARY else 4
        mti = _text(self._mti_encoding, _slice(data, at, length), at)
        if mti not in self._dialect.mtis:
            raise Broken("the MTI is not one of this dialect", at, mti)
        return mti, at + length

    def _read_bitmaps(self, data: bytes, at: int) -> tuple[list[int], int]:
        begins_at, whole = at, 0
        for index, encoding in enumerate(self._bitmap_encodings):
            length = 8 if encoding == BINARY else 16
            digits = _text(encoding, _slice(data, at, length), at)
            if not _BITMAP_DIGITS.fullmatch(digits):
                raise Broken("a bitmap is not hexadecimal", at)
            if index == self._dialect.bitmaps:  # the bit that announced it has no element either
                second_at = begins_at + (8 if self._bitmap_encodings[0] == BINARY else 16)
                raise Broken("not assigned in this dialect", second_at, element=1 + 64 * (index - 1))
            bitmap = int(digits, 16)
            whole |= (bitmap & ~(1 << 63) if index < 2 else bitmap) << (128 - 64 * index)
            at += length
            if index == 2 or not bitmap >> 63:
                break
        bits = f"{whole:0192b}"
        return [number for number in self.forms if bits[number - 1] == "1"], at


def read_element(form: Form, data: bytes, at: int) -> tuple[str, int]:
    """The value of ``form`` at ``at``, checked, and where it ends."""
    length = form.length
    if not form.is_fixed:
        length = _read_length(form, data, at)
        at += form.prefix_bytes
    raw = _slice(data, at, form.bytes_of(length))
    value = _text(form.encoding, raw, at)
    if form.is_hex_text:
        value = value.upper()
    end = at + len(raw)
    if form.nibbles and not form.encoding and length % 2:
        value = _without_pad(form, value, at, end)
    if not form.accepts(value):
        raise Broken(form.rule, at, value, end=end if form.alphabet != "-" else 0)
    return value, end


def _read_length(form: Form, data: bytes, at: int) -> int:
    raw = _slice(data, at, form.prefix_bytes)
    if form.prefix_encoding == BINARY:
        length = int.from_bytes(raw, "big")
    else:
        try:
            text = raw.hex() if form.prefix_encoding == BCD else str(raw, form.prefix_encoding)
        except UnicodeError:
            text = ""
        if not is_digits(text):
            raise Broken("its length is not written in digits", at)
        length = int(text)
    if length > form.length:
        raise Broken("longer than its maximum", at)
    return length


def _without_pad(form: Form, value: str, at: int, end: int) -> str:
    """The nibbles without the pad that makes them even: the table's own, or a filler F at either end."""
    if form.left_pad and value[0] == form.left_pad:
        return value[1:]
    if form.right_pad and value[-1] == form.right_pad:
        return value[:-1]
    if form.left_pad or form.right_pad:
        if value[-1] == _FILLER:
            return value[:-1]
        if value[0] == _FILLER:
            return value[1:]
    raise Broken("the pad of an odd number of digits is wrong", at, value, end=end)


def _slice(data: bytes, at: int, length: int) -> bytes:
    raw = data[at : at + length]
    if len(raw) != length:
        raise Broken("data ends early", at)
    return raw


def _text(encoding: str, raw: bytes, at: int) -> str:
    """Text of an encoding, or upper-case hexadecimal of bytes, which have none."""
    if encoding in ("", BINARY):
        return raw.hex().upper()
    try:
        return str(raw, encoding)
    except UnicodeError:
        raise Broken("bytes that are no characters", at, end=at + len(raw)) from None


def write_element(form: Form, value: str) -> bytes:
    """Length and data of a value.

    Raises:
        ValueError: it breaks the element's rule, or does not fit.
    """
    if not form.accepts(value):
        raise ValueError(form.rule)
    if form.encoding:
        data = value.encode(form.encoding)
        length = 2 * len(data) if form.nibbles else len(data)
    else:
        odd = form.nibbles and len(value) % 2
        left = form.left_pad if odd else ""
        data = unhexlify(left + value + (form.right_pad if odd and not left else ""))
        length = len(value) if form.nibbles else len(data)
    if form.is_fixed:
        if length != form.length:
            raise ValueError(f"its length is not {form.length}")
        return data
    if length > form.length:
        raise ValueError("longer than its maximum")
    return prefix_of(form.prefix_bytes, form.prefix_encoding, length) + data


def _rule_of(error: ValueError) -> str:
    """What is wrong, without the value that Python's own errors quote."""
    if isinstance(error, UnicodeError):
        return "characters that its encoding has not"
    return str(error) if type(error) is ValueError else "not hexadecimal"


def _masked(number: int, value: str, dialect: Dialect) -> str:
    """As a message shows it; what might be a PAN that slipped into another element, only by its length."""
    if _PAN_INSIDE.search(value):
        return f"<{len(value)}>"
    return dialect.masked(number, value) if value else ""
