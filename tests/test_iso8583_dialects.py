"""mc-like and iso87-ascii: what each refuses, what iso87-ascii lets pass, and round trips of any message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.iso8583.codec import PyisoCodec
from processor.iso8583.describe import describe
from processor.iso8583.dialect import NUMBERS, Dialect
from processor.iso8583.elements import EBCDIC, FIXED, Element
from processor.iso8583.message import Message
from processor.iso8583.tables import iso87_ascii, mc_like
from processor.iso8583.tables.iso87_ascii import ISO87_ASCII, chip_data
from processor.iso8583.tables.mc_like import MC_LIKE
from processor.iso8583.tables.visa_like import VISA_LIKE
from processor.values.errors import DecodeError

MC = PyisoCodec(MC_LIKE)
ISO = PyisoCodec(ISO87_ASCII)
TABLES = {"mc-like": (MC, mc_like.ELEMENTS), "iso87-ascii": (ISO, iso87_ascii.ELEMENTS)}
TRACK = "4000001234567899=30121010000"


def bitmap(*numbers: int) -> bytes:
    count = 1 + (max(numbers) - 1) // 64
    bits = {*numbers, *((1,) if count > 1 else ()), *((65,) if count > 2 else ())}
    announced: int = sum(1 << (64 * count - bit) for bit in bits)
    return announced.to_bytes(8 * count, "big")


def mc(data: bytes, *numbers: int) -> bytes:
    return "0100".encode(EBCDIC) + bitmap(*numbers) + data


def iso(data: bytes, *numbers: int) -> bytes:
    return b"0100" + bitmap(*numbers).hex().upper().encode() + data


def refused(codec: PyisoCodec, data: bytes) -> DecodeError:
    with pytest.raises(DecodeError) as refusal:
        codec.decode(data)
    return refusal.value


@pytest.mark.parametrize(
    ("data", "element", "offset", "rule"),
    [
        pytest.param(b"0100" + bitmap(2), 0, 0, "the MTI is not one", id="an MTI in ASCII"),
        pytest.param(b"\xf0\xf1\xf0", 0, 0, "data ends early", id="a cut MTI"),
        pytest.param(mc(b"", 2), 2, 12, "data ends early", id="no length"),
        pytest.param(
            mc(b"\xf2\xf0" + b"\xf4" * 20, 2), 2, 12, "longer than its max", id="a PAN of 20 digits"
        ),
        pytest.param(mc(b"\xf0\xf0", 2), 2, 14, "not digits only", id="an empty PAN"),
        pytest.param(mc(b"16" + b"\xf4" * 16, 2), 2, 12, "its length is not a", id="a length in ASCII"),
        pytest.param(
            mc(b"\x40\xf2\xf4\xf4", 2), 2, 14, "its length is not written", id="a blank in a length"
        ),
        pytest.param(mc(b"\xf0" * 11 + b"\xc1", 4), 4, 12, "not digits only", id="a letter in an amount"),
        pytest.param(mc(b"\xf0" * 11 + b"\xea", 4), 4, 12, "not digits only", id="a superscript two"),
        pytest.param(mc(b"\xf0" * 9, 28), 28, 12, "not C or D", id="a fee without its sign"),
        pytest.param(mc(b"\x01" * 7, 52), 52, 12, "data ends early", id="a PIN block of seven bytes"),
        pytest.param(mc(b"\xf0\xf0\xf2\x9f", 55), 55, 15, "data ends early", id="chip data is cut"),
        pytest.param(mc(b"\xf2\xf5\xf6", 55), 55, 12, "longer than its max", id="chip data over its maximum"),
        pytest.param(mc(b"\xf0\xf0\xf1\x00", 63), 63, 15, "not printable", id="a zero byte in network data"),
        pytest.param(mc(b"", 71), 71, 20, "not assigned", id="a bit without an element"),
        pytest.param(mc(b"", 129), 65, 12, "not assigned", id="a third bitmap"),
    ],
)
def test_what_mc_like_refuses(data: bytes, element: int, offset: int, rule: str) -> None:
    error = refused(MC, data)

    assert error.element == element
    assert error.rule.startswith(rule)
    assert error.offset == offset


@pytest.mark.parametrize(
    ("data", "element", "rule"),
    [
        pytest.param(b"1100" + b"0" * 16, 0, "the MTI is not one", id="an MTI of another version"),
        pytest.param("0100".encode(EBCDIC) + b"0" * 16, 0, "bytes that are no char", id="an MTI in EBCDIC"),
        pytest.param(b"0100" + b"0" * 15, 0, "data ends early", id="a bitmap of 15 characters"),
        pytest.param(b"0100" + b"4 00000000000000", 0, "a bitmap is not hex", id="a blank in a bitmap"),
        pytest.param(b"0100" + bitmap(2) + b"16" + b"4" * 16, 0, "", id="a bitmap in bytes"),
        pytest.param(b"0100" + b"8" + b"0" * 30, 0, "data ends early", id="the second bitmap is cut"),
        pytest.param(iso(b"", 129), 65, "not assigned", id="a third bitmap"),
        pytest.param(iso(b"164000", 2), 2, "data ends early", id="a PAN is cut"),
        pytest.param(iso(b"+4" + b"1234", 2), 2, "its length is not written", id="a sign in a length"),
        pytest.param(iso("04\u0661234".encode(), 2), 2, "bytes that are no", id="digits that are not ASCII"),
        pytest.param(iso(b"E00000000", 28), 28, "not digits, with C or D", id="a fee with the sign E"),
        pytest.param(iso(b"22" + TRACK[:21].encode() + b"?", 35), 35, "not a track 2", id="no service code"),
        pytest.param(iso(b"0123456789ABCDEG", 52), 52, "not hexadecimal", id="a G in a PIN block"),
        pytest.param(iso(b"0123456789ABCDE", 52), 52, "data ends early", id="a PIN block of 15 characters"),
        pytest.param(iso(b"3011211", 73), 73, "data goes on", id="a date of seven digits"),
    ],
)
def test_what_iso87_ascii_refuses(data: bytes, element: int, rule: str) -> None:
    error = refused(ISO, data)

    assert (error.element, error.rule[: len(rule)]) == (element, rule)


@pytest.mark.parametrize(
    ("number", "data", "value"),
    [
        pytest.param(2, b"00", "", id="an empty PAN"),
        pytest.param(32, b"00", "", id="an empty acquirer"),
        pytest.param(28, b"000000100", "000000100", id="a fee without its sign"),
        pytest.param(28, b"C00000100", "C00000100", id="a fee with its sign"),
        pytest.param(35, b"28" + TRACK.encode(), TRACK, id="a track with an equals sign"),
        pytest.param(35, b"28" + TRACK.replace("=", "D").encode(), TRACK.replace("=", "D"), id="with a D"),
        pytest.param(35, b"30;" + TRACK.encode() + b"?", f";{TRACK}?", id="a track with its sentinels"),
        pytest.param(43, b"CAF\xc9".ljust(40), "CAF\u00c9".ljust(40), id="a Western European letter"),
        pytest.param(48, b"003\x1cA\xff", "\x1cA\xff", id="any bytes in private data"),
        pytest.param(49, b"USD", "USD", id="a currency in letters"),
        pytest.param(55, b"004\x9f6\x00\x1a", "9F36001A", id="chip data in bytes"),
        pytest.param(55, b"0049F36", "39463336", id="chip data in hexadecimal"),
        pytest.param(63, b"000", "", id="an empty private element"),
    ],
)
def test_what_iso87_ascii_lets_pass_and_writes_again(number: int, data: bytes, value: str) -> None:
    message = ISO.decode(iso(data, number))

    assert message.elements == {number: value}
    assert ISO.encode(message) == iso(data, number)


def test_hexadecimal_in_lower_case_is_read_and_not_written() -> None:
    message = ISO.decode(b"0100" + b"0000000000001001" + b"0123456789abcdef" + b"fedcba9876543210")

    assert message.elements == {52: "0123456789ABCDEF", 64: "FEDCBA9876543210"}
    assert ISO.encode(message) == iso(b"0123456789ABCDEF" + b"FEDCBA9876543210", 52, 64)


def test_a_bitmap_in_lower_case_is_read() -> None:
    assert ISO.decode(b"0100" + b"000000000000000a" + b"001A" + b"001B").elements == {61: "A", 63: "B"}


DATES = {
    "MMDDhhmmss": ["0101000000", "1231235959"],
    "hhmmss": ["000000", "235959"],
    "MMDD": ["0000", "1231"],
    "YYMM": ["0000", "9912"],
    "YYMMDD": ["000000", "991231"],
    "YYMMDDhhmmss": ["000101000000", "991231235959"],
}
DIGITS, LETTERS = "0123456789", "ABCXYZ"
CHARACTERS = {
    "n": DIGITS,
    "[n]": DIGITS,
    "an": DIGITS + LETTERS,
    "anp": DIGITS + LETTERS + "x",
    "ans": DIGITS + LETTERS + " /=*.,-",
    "any": "".join(map(chr, range(256))),
}


def values_of(element: Element) -> st.SearchStrategy[str]:
    """Values that the row allows."""
    if element.date:
        return st.sampled_from(DATES[element.date])
    may_be_empty = element.alphabet in ("[n]", "ans", "any", "b")
    most = element.length if element.prefix == FIXED else min(element.length, 60)
    least = element.length if element.prefix == FIXED else 0 if may_be_empty else 1
    if element.alphabet == "b":
        return st.binary(min_size=least, max_size=most).map(lambda data: data.hex().upper())
    if "x" in element.alphabet:
        digits = st.text(DIGITS, min_size=least - 1, max_size=most - 1)
        return st.tuples(st.sampled_from("CD"), digits).map("".join)
    if element.number == 35:
        return st.sampled_from([TRACK, TRACK.replace("=", "D"), "400000123456=3012101"])
    alphabet = DIGITS + "=" if element.alphabet == "z" else CHARACTERS[element.alphabet]
    return st.text(alphabet, min_size=least, max_size=most)


@st.composite
def messages(draw: st.DrawFn, rows: tuple[Element, ...]) -> Message:
    """An MTI and some elements that the rows allow."""
    chosen = draw(st.lists(st.sampled_from(rows), min_size=1, max_size=12, unique=True))
    elements = {row.number: draw(values_of(row)) for row in sorted(chosen, key=lambda row: row.number)}
    return Message(b"", draw(st.sampled_from(["0100", "0110", "0120", "0401", "0810"])), elements)


@pytest.mark.parametrize("name", TABLES)
@given(data=st.data())
def test_any_message_is_written_and_read_back(name: str, data: st.DataObject) -> None:
    codec, rows = TABLES[name]
    message = data.draw(messages(rows))

    wire = codec.encode(message)

    assert codec.decode(wire) == message
    assert codec.encode(codec.decode(wire)) == wire


@pytest.mark.parametrize("name", TABLES)
@given(data=st.data())
def test_a_changed_message_is_refused_or_written_again(name: str, data: st.DataObject) -> None:
    codec, rows = TABLES[name]
    wire = bytearray(codec.encode(data.draw(messages(rows))))
    for _ in range(data.draw(st.integers(1, 3))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(4, len(wire)))
    try:
        message = codec.decode(bytes(wire[:cut]))
    except DecodeError as error:
        assert -1 <= error.offset <= len(wire)  # noqa: PT017 - or it is a message
        return

    assert codec.decode(codec.encode(message)) == message


@pytest.mark.parametrize("name", TABLES)
@given(data=st.binary(max_size=80))
def test_any_bytes_are_a_message_or_a_refusal(name: str, data: bytes) -> None:
    codec, _ = TABLES[name]
    for start in (b"", "0100".encode(EBCDIC) if name == "mc-like" else b"0100" + b"4000000000000000"):
        try:
            message = codec.decode(start + data)
        except DecodeError:
            continue
        assert codec.decode(codec.encode(message)) == message


@pytest.mark.parametrize("name", TABLES)
def test_the_table_has_one_row_per_number_and_the_rest_is_refused_by_name(name: str) -> None:
    codec, rows = TABLES[name]
    numbers = [row.number for row in rows]
    start = mc if name == "mc-like" else iso

    assert numbers == sorted(set(numbers))
    assert set(numbers) <= set(NUMBERS) - set(range(129, 193))
    for number in set(range(2, 129)) - {65} - set(numbers):
        error = refused(codec, start(b"", number))
        assert (error.element, error.rule) == (number, "not assigned in this dialect")


def test_two_bitmaps_are_written_as_32_hexadecimal_characters() -> None:
    wire = ISO.encode(Message(b"", "0800", {11: "000001", 70: "301"}))

    assert wire == b"0800" + b"80200000000000000400000000000000" + b"000001" + b"301"


@pytest.mark.parametrize(
    ("codec", "data", "offset"),
    [
        pytest.param(MC, mc(b"", 129)[:20] + bytes(8), 12, id="mc-like"),
        pytest.param(ISO, iso(b"", 129)[:36] + b"0" * 16, 20, id="iso87-ascii"),
    ],
)
def test_a_third_bitmap_is_refused_even_if_it_announces_nothing(
    codec: PyisoCodec, data: bytes, offset: int
) -> None:
    error = refused(codec, data)

    assert (error.element, error.rule, error.offset) == (65, "not assigned in this dialect", offset)


def test_a_third_bitmap_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="DE 130: not assigned"):
        ISO.encode(Message(b"", "0100", {130: "000000"}))


PRIVATE = "CVC2=123"


@pytest.mark.parametrize(
    ("dialect", "shown"),
    [
        pytest.param(VISA_LIKE, {60, 62, 63}, id="visa-like"),
        pytest.param(MC_LIKE, {60, 61, 63}, id="mc-like"),
        pytest.param(ISO87_ASCII, set(), id="iso87-ascii: private elements mean something else at each peer"),
    ],
)
def test_only_a_dialect_that_knows_its_private_elements_shows_them(dialect: Dialect, shown: set[int]) -> None:
    message = Message(
        b"", "0100", dict.fromkeys(range(44, 49), PRIVATE) | dict.fromkeys(range(55, 64), PRIVATE)
    )

    lines = describe(message, dialect).splitlines()

    assert {int(line.split()[0]) for line in lines if PRIVATE in line} == shown | {44}
    assert PRIVATE not in repr(message)


@pytest.mark.parametrize(
    ("wire", "tlv"),
    [
        pytest.param("9F2608", "9F2608", id="bytes"),
        pytest.param(b"9F2608".hex(), "9F2608", id="text"),
        pytest.param(b"9f2608".hex(), "9F2608", id="text in lower case"),
        pytest.param(b"9F260".hex(), b"9F260".hex(), id="an odd number of characters is no text"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_chip_data_is_the_same_whether_bytes_or_text_were_sent(wire: str, tlv: str) -> None:
    assert chip_data(wire) == tlv
