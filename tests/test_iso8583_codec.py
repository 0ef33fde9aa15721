"""Strictness: each rule one row; whatever the bytes, a Message or a DecodeError."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from iso8583.specs import default_ascii

from processor.iso8583.compiled import CompiledCodec
from processor.iso8583.dialect import NUMBERS, Dialect
from processor.iso8583.header import BASE1
from processor.iso8583.message import Message
from processor.iso8583.tables.visa_like import ELEMENTS, VISA_LIKE
from processor.values.errors import ConfigError, DecodeError

HEADER = bytes.fromhex("16010200204000011234560700000000000000000000")
CODEC = CompiledCodec(VISA_LIKE)
ASCII = CompiledCodec(Dialect.from_pyiso8583("ascii", default_ascii))
PAN = "4000001234567899"
GOLDEN = [
    bytes.fromhex("".join(line.partition("#")[0] for line in path.read_text().splitlines()))[4:]
    for path in sorted((Path(__file__).parent / "golden").glob("visa_*.hex"))
]


def refused(codec: CompiledCodec, data: bytes) -> DecodeError:
    with pytest.raises(DecodeError) as refusal:
        codec.decode(data)
    return refusal.value


def bitmaps(*numbers: int) -> bytes:
    """The bitmaps that announce these elements, with the bits that announce bitmaps."""
    count = 1 + (max(numbers) - 1) // 64
    bits = {*numbers, *((1,) if count > 1 else ()), *((65,) if count > 2 else ())}
    bitmap: int = sum(1 << (64 * count - bit) for bit in bits)
    return bitmap.to_bytes(8 * count, "big")


@pytest.mark.parametrize(
    ("body", "offset", "rule"),
    [
        pytest.param("", 22, "data ends early", id="nothing behind the header"),
        pytest.param("01", 22, "data ends early", id="half an MTI"),
        pytest.param("1100" + "00" * 8, 22, "the MTI is not one", id="an MTI of another version"),
        pytest.param("0000" + "00" * 8, 22, "the MTI is not one", id="an MTI of no class"),
        pytest.param("0170" + "00" * 8, 22, "the MTI is not one", id="an MTI of no function"),
        pytest.param("0109" + "00" * 8, 22, "the MTI is not one", id="an MTI of no origin"),
        pytest.param("01AB" + "00" * 8, 22, "the MTI is not one", id="an MTI with letters"),
        pytest.param("0100" + "00" * 7, 24, "data ends early", id="the first bitmap is cut"),
        pytest.param("0100" + "80" + "00" * 14, 32, "data ends early", id="the second bitmap is cut"),
        pytest.param("0100" + "8000000000000000" * 2 + "00", 40, "data ends early", id="the third is cut"),
        pytest.param("0100" + "00" * 8 + "00", 32, "data goes on", id="a byte behind an empty bitmap"),
    ],
)
def test_what_is_wrong_before_the_elements_is_element_0(body: str, offset: int, rule: str) -> None:
    error = refused(CODEC, HEADER + bytes.fromhex(body))

    assert (error.element, error.offset, error.partial) == (0, offset, {})
    assert error.rule.startswith(rule)


TRACK_PAN = "4000001234567899"
CONTROL = "01" + "40" * 7
NO_RRN = "00" * 12
DOLLAR_RRN = "40" * 11 + "5B"


@pytest.mark.parametrize(
    ("number", "data", "at", "rule"),
    [
        pytest.param(2, "", 0, "data ends early", id="a length is missing"),
        pytest.param(2, "104000", 1, "data ends early", id="a PAN is cut"),
        pytest.param(2, "14" + "00" * 10, 0, "longer than its maximum", id="a PAN of 20 digits"),
        pytest.param(2, "00", 1, "not digits only", id="an empty PAN"),
        pytest.param(2, "0440AB", 1, "not digits only", id="a PAN with letters"),
        pytest.param(2, "031400", 1, "the pad of an odd number", id="a PAN's pad that is no zero"),
        pytest.param(4, "0000000F2500", 0, "not digits only", id="a nibble F in an amount"),
        pytest.param(4, "00" * 7, 6, "data goes on", id="a byte behind the last element"),
        pytest.param(19, "E840", 0, "the pad of an odd number", id="E as the pad of a country"),
        pytest.param(28, "C5" + "F0" * 8, 0, "not C or D", id="a fee with the sign E"),
        pytest.param(28, "C4F040" + "F0" * 6, 0, "not C or D", id="a fee with a space"),
        pytest.param(28, "C4EA" + "F0" * 7, 0, "not C or D", id="a fee with a superscript two"),
        pytest.param(35, "10" + TRACK_PAN, 1, "not a track 2", id="a track without separator"),
        pytest.param(35, "12" + TRACK_PAN + "D1", 1, "not a track 2", id="a track without expiry"),
        pytest.param(35, "18" + TRACK_PAN + "D301D012", 1, "not a track 2", id="two separators"),
        pytest.param(35, "18400A001234567899D3012101", 1, "not a track 2", id="a letter in a track's PAN"),
        pytest.param(35, "124000001234D30121010F", 1, "not a track 2", id="a filler in a track"),
        pytest.param(37, NO_RRN, 0, "not letters, digits and", id="an RRN of zero bytes"),
        pytest.param(37, DOLLAR_RRN, 0, "not letters, digits and", id="an RRN with a dollar"),
        pytest.param(39, "F040", 0, "not letters and digits", id="a blank in a response code"),
        pytest.param(41, CONTROL, 0, "not printable", id="a control character in a terminal id"),
        pytest.param(52, "01" * 7, 0, "data ends early", id="a PIN block of seven bytes"),
        pytest.param(60, "01FF", 1, "not digits only", id="no digits where the length counts bytes"),
        pytest.param(129, "", 0, "not assigned", id="a bit without an element"),
    ],
)
def test_an_element_that_breaks_a_rule_is_named_with_its_offset(
    number: int, data: str, at: int, rule: str
) -> None:
    before = HEADER + b"\x01\x00" + bitmaps(number)

    error = refused(CODEC, before + bytes.fromhex(data))

    assert (error.element, error.offset) == (number, len(before) + at)
    assert error.rule.startswith(rule)


def test_a_bit_without_an_element_is_named_and_not_what_follows_it() -> None:
    error = refused(CODEC, HEADER + b"\x01\x00" + bitmaps(129, 192) + b"\xff")

    assert (error.element, error.rule) == (129, "not assigned in this dialect")


@pytest.mark.parametrize(
    ("text", "element", "rule"),
    [
        pytest.param("0100" + "4000000000000000" + " 512345", 2, "its length is not written", id="a space"),
        pytest.param(
            "0100" + "4000000000000000" + "+512345", 2, "its length is not written", id="a plus sign"
        ),
        pytest.param(
            "0100" + "0000000000010000" + "1_0" + "A" * 10, 48, "its length is not", id="an underscore"
        ),
        pytest.param("0100" + "4000000000000000" + "x512345", 2, "its length is not written", id="a letter"),
        pytest.param(
            "0100" + "40 0000000000 00" + "0512345", 0, "a bitmap is not hex", id="spaces in a bitmap"
        ),
        pytest.param("0100" + "4000000000000000" + "0512E45", 2, "not digits only", id="a letter in the PAN"),
        pytest.param(
            "01O0" + "4000000000000000" + "0512345", 0, "the MTI is not one", id="a letter in the MTI"
        ),
        pytest.param("0100" + "4000000000000000" + "05123\xe95", 2, "bytes that are no char", id="not ASCII"),
    ],
)
def test_texts_that_python_would_take_for_numbers_are_refused(text: str, element: int, rule: str) -> None:
    error = refused(ASCII, text.encode("latin-1"))

    assert error.element == element
    assert error.rule.startswith(rule)


def test_a_refusal_carries_what_a_format_error_reply_must_echo() -> None:
    message = Message(HEADER, "0100", {2: PAN, 11: "000042", 37: "632510000042", 41: "TERM0001", 49: "840"})
    broken = CODEC.encode(message)[:-1] + b"\xaa"

    error = refused(CODEC, broken)

    assert (error.element, error.mti, error.offset) == (49, "0100", len(broken) - 2)
    assert error.partial == {2: PAN, 11: "000042", 37: "632510000042", 41: "TERM0001"}


def test_the_element_that_broke_first_is_named_even_if_the_cutting_stopped_later() -> None:
    error = refused(CODEC, HEADER + bytes.fromhex("0100" + "5000000000000000" + "044A00" + "0000"))

    assert error.element == 2
    assert error.partial == {}


def test_a_refusal_shows_no_value_and_keeps_no_error_of_the_library() -> None:
    message = CODEC.encode(Message(HEADER, "0100", {2: PAN, 49: "840"}))
    for broken in (message[:-1], message[:-1] + b"\xaa", message + b"\0"):
        error = refused(CODEC, broken)

        assert PAN not in repr(error) + str(error)
        assert error.__context__ is None


def test_the_message_type_of_a_refusal_is_empty_when_it_is_not_known() -> None:
    assert refused(CODEC, HEADER + bytes.fromhex("1100" + "00" * 8)).mti == ""


@given(st.binary(max_size=60))
def test_any_bytes_without_a_header_are_refused(data: bytes) -> None:
    assert refused(CODEC, data[:21]).element == 0


@given(st.binary(max_size=200))
@example(b"")
def test_any_bytes_are_a_message_or_a_refusal(body: bytes) -> None:
    try:
        CODEC.decode(HEADER + b"\x01\x00" + body)
    except DecodeError as error:
        assert len(HEADER) <= error.offset <= len(HEADER) + 2 + len(body)  # noqa: PT017 - or it is a message


@given(
    st.sampled_from(GOLDEN),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4),
    st.data(),
)
def test_a_mutated_message_is_refused_or_encodes_back_to_its_bytes(
    data: bytes, changes: list[tuple[int, int]], draw: st.DataObject
) -> None:
    mutated = bytearray(data)
    for at, value in changes:
        mutated[22 + at % (len(data) - 22)] = value
    cut = draw.draw(st.integers(len(data) // 2, len(data)))
    try:
        message = CODEC.decode(bytes(mutated[:cut]))
    except DecodeError:
        return

    again = CODEC.encode(message)

    assert CODEC.decode(again) == Message(again[:22], message.mti, message.elements)
    announces_empty_bitmap = not any(number > 64 for number in message.elements) and mutated[24] & 0x80
    if not announces_empty_bitmap and cut == len(data):
        assert again == mutated


@given(st.text(alphabet="0123456789ABCDEF +_-", max_size=60))
def test_any_text_is_a_message_or_a_refusal_for_a_text_dialect(text: str) -> None:
    with contextlib.suppress(DecodeError):
        ASCII.decode(b"0100" + text.encode())


@pytest.mark.parametrize("number", NUMBERS)
def test_every_bit_is_defined(number: int) -> None:
    assigned = {element.number for element in ELEMENTS}

    error = refused(CODEC, HEADER + b"\x01\x00" + bitmaps(number))

    assert error.element == number
    assert error.rule == ("data ends early" if number in assigned else "not assigned in this dialect")


def test_the_table_has_one_row_per_number_and_none_for_the_bitmap_bits() -> None:
    numbers = [element.number for element in ELEMENTS]

    assert numbers == sorted(set(numbers))
    assert set(numbers) <= set(NUMBERS)


def test_the_header_s_length_field_is_set_to_fit_the_message() -> None:
    data = CODEC.encode(Message(HEADER, "0800", {11: "000001", 70: "071"}))

    assert int.from_bytes(data[3:5], "big") == len(data)
    assert data[:3] + data[5:22] == HEADER[:3] + HEADER[5:]


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        pytest.param(Message(HEADER, "9100", {}), "MTI", id="an MTI of no version"),
        pytest.param(Message(HEADER, "100", {}), "MTI", id="an MTI of three digits"),
        pytest.param(Message(HEADER[:-1], "0100", {11: "000001"}), "22 bytes", id="a header that is short"),
        pytest.param(Message(HEADER, "0100", {11: "00001"}), "DE 11", id="a digit short"),
        pytest.param(Message(HEADER, "0100", {4: "00000000-100"}), "DE 4", id="a sign in an amount"),
        pytest.param(Message(HEADER, "0100", {4: "00000000000A"}), "DE 4: not digits", id="a nibble A"),
        pytest.param(Message(HEADER, "0100", {39: "0 "}), "DE 39: not letters", id="a blank in a code"),
        pytest.param(Message(HEADER, "0100", {41: "TERM\n001"}), "DE 41: not printable", id="a line break"),
        pytest.param(Message(HEADER, "0100", {41: "TERM"}), "DE 41", id="text that is short"),
        pytest.param(Message(HEADER, "0100", {43: "€" * 40}), "DE 43", id="a character EBCDIC lacks"),
        pytest.param(Message(HEADER, "0100", {52: "XYZ"}), "DE 52", id="binary that is not hexadecimal"),
        pytest.param(Message(HEADER, "0100", {2: "4" * 20}), "DE 2", id="longer than its maximum"),
        pytest.param(Message(HEADER, "0100", {1: "00" * 8}), "DE 1:", id="a bitmap as an element"),
        pytest.param(Message(HEADER, "0100", {65: "00"}), "DE 65", id="a bitmap's bit as an element"),
        pytest.param(Message(HEADER, "0100", {129: "00"}), "DE 129", id="a bit without an element"),
        pytest.param(Message(HEADER, "0100", {193: "00"}), "DE 193", id="a number beyond the third bitmap"),
    ],
)
def test_an_impossible_message_is_not_encoded(message: Message, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refusal:
        CODEC.encode(message)

    assert type(refusal.value) is ValueError
    assert refusal.value.__context__ is None


def test_three_bitmaps_are_written_and_read_without_being_elements() -> None:
    message = Message(HEADER, "0100", {11: "000001", 136: "0123456789ABCDEF"})

    data = CODEC.encode(message)

    assert data[24:48].hex() == "802000000000000080000000000000000100000000000000"
    assert CODEC.decode(data).elements == message.elements


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param({"t": None}, "mine.t: missing", id="no MTI row"),
        pytest.param({"2": {"data_enc": "b"}}, "mine.2: len_type is not a count", id="a row without length"),
        pytest.param(
            {"3": {**default_ascii["3"], "data_enc": "klingon"}}, "mine.3: data_enc", id="an unknown encoding"
        ),
        pytest.param(
            {"h": {**default_ascii["h"], "len_type": 2}},
            "mine.h: a header of variable length",
            id="its header",
        ),
        pytest.param(
            {"4": {**default_ascii["4"], "len_count": "bits"}}, "mine.4: len_count", id="a length unit"
        ),
    ],
)
def test_a_specification_that_cannot_work_is_refused_when_loaded(
    change: dict[str, dict[str, object] | None], problem: str
) -> None:
    spec = {key: row for key, row in {**default_ascii, **change}.items() if row is not None}

    with pytest.raises(ConfigError) as refusal:
        Dialect.from_pyiso8583("mine", spec)

    assert any(line.startswith(problem) for line in refusal.value.problems)


def test_a_specification_whose_header_has_another_length_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"mine\.h: max_len is not the header's 22 bytes"):
        Dialect.from_pyiso8583("mine", default_ascii, BASE1)


def test_a_bit_missing_in_a_specification_is_refused_by_name() -> None:
    spec = {key: row for key, row in default_ascii.items() if key != "2"}

    error = refused(CompiledCodec(Dialect.from_pyiso8583("mine", spec)), b"01004000000000000000")

    assert (error.element, error.rule) == (2, "not assigned in this dialect")
