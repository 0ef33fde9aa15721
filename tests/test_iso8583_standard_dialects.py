"""The standard's dialects in all their encodings: the same message, other bytes; any message there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.iso8583.codec import PyisoCodec
from processor.iso8583.dialect import NUMBERS
from processor.iso8583.elements import BCD, FIXED, Element
from processor.iso8583.message import Message
from processor.iso8583.tables import iso87_ascii, iso93_ascii
from processor.networks.adapters import DIALECTS
from processor.values.errors import DecodeError

CODECS = {name: PyisoCodec(dialect) for name, dialect in DIALECTS.items() if name.startswith("iso")}
NAMES = sorted(CODECS)
DIGITS = "0123456789"
CHARACTERS = {
    "n": DIGITS, "[n]": DIGITS, "an": DIGITS + "AZaz", "anp": DIGITS + "AZaz ", "ans": DIGITS + "AZaz /.$",
    "any": DIGITS + "AZaz /.$\x00\x01\xe9", "hex": "0123456789ABCDEF",
}  # fmt: skip
DATES = {
    "MMDDhhmmss": ["0101000000", "1231235959"], "hhmmss": ["000000", "235959"], "MMDD": ["0000", "1231"],
    "YYMM": ["0000", "9912"], "YYMMDD": ["000000", "991231"], "YYMMDDhhmmss": ["000101000000", "991231235959"],
}  # fmt: skip
TRACK = "4000001234567899D30121011234"


def row_of(name: str, number: int) -> Element:
    return DIALECTS[name].elements[number]


def assigned(name: str) -> list[Element]:
    return [row for row in DIALECTS[name].elements.values() if row.alphabet != "-"]


def values_of(element: Element) -> st.SearchStrategy[str]:
    """Values that the row allows."""
    if element.date:
        return st.sampled_from(DATES[element.date])
    may_be_empty = element.alphabet in ("[n]", "ans", "any", "b")
    most = element.length if element.prefix == FIXED else min(element.length, 60)
    least = element.length if element.prefix == FIXED else 0 if may_be_empty else 1
    if element.alphabet == "b":
        return st.binary(min_size=least, max_size=most).map(lambda data: data.hex().upper())
    if "x" in element.alphabet and element.alphabet != "hex":
        digits = st.text(DIGITS, min_size=least - 1, max_size=most - 1)
        return st.tuples(st.sampled_from("CD"), digits).map("".join)
    if element.number == 35:
        packed = element.encoding == BCD
        characters = [TRACK.replace("D", "="), f";{TRACK.replace('D', '=')}?"]
        return st.sampled_from([TRACK, f"B{TRACK}F", f"{TRACK}0"] if packed else [TRACK, *characters])
    return st.text(CHARACTERS[element.alphabet], min_size=least, max_size=most)


@st.composite
def messages(draw: st.DrawFn, name: str) -> Message:
    """An MTI and some elements that the rows allow."""
    chosen = draw(st.lists(st.sampled_from(assigned(name)), min_size=1, max_size=12, unique=True))
    elements = {row.number: draw(values_of(row)) for row in sorted(chosen, key=lambda row: row.number)}
    mtis = st.sampled_from(["100", "110", "121", "420", "804"])
    header = bytes(DIALECTS[name].header.length_bytes)
    return Message(header, ("1" if "93" in name else "0") + draw(mtis), elements)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_any_message_is_written_and_read_back(name: str, data: st.DataObject) -> None:
    message = data.draw(messages(name))

    wire = CODECS[name].encode(message)

    assert CODECS[name].decode(wire) == message
    assert CODECS[name].encode(CODECS[name].decode(wire)) == wire


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_a_changed_message_is_refused_or_written_again(name: str, data: st.DataObject) -> None:
    codec = CODECS[name]
    wire = bytearray(codec.encode(data.draw(messages(name))))
    for _ in range(data.draw(st.integers(1, 3))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    try:
        message = codec.decode(bytes(wire[: data.draw(st.integers(4, len(wire)))]))
    except DecodeError:
        return

    assert codec.decode(codec.encode(message)) == message


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", [65, 129, 192])
def test_a_third_bitmap_is_none_of_the_standards(name: str, number: int) -> None:
    assert number not in NUMBERS or row_of(name, number).alphabet == "-"
    header = bytes(DIALECTS[name].header.length_bytes)
    with pytest.raises(ValueError, match=f"DE {number}"):
        CODECS[name].encode(Message(header, "1100" if "93" in name else "0100", {number: "0"}))


@pytest.mark.parametrize(
    ("version", "ascii_rows"), [("iso87", iso87_ascii.ELEMENTS), ("iso93", iso93_ascii.ELEMENTS)]
)
def test_a_version_has_the_same_elements_in_every_encoding(
    version: str, ascii_rows: tuple[Element, ...]
) -> None:
    for name in NAMES:
        if name.startswith(version):
            assert [(row.number, row.term) for row in assigned(name)] == [
                (row.number, row.term) for row in ascii_rows
            ]


@given(
    pan=st.text(DIGITS, min_size=12, max_size=19),
    stan=st.text(DIGITS, min_size=6, max_size=6),
    country=st.text(DIGITS, min_size=3, max_size=3),
    text=st.text("ABC xyz/0", min_size=0, max_size=50),
    pin_block=st.binary(min_size=8, max_size=8),
)
def test_one_message_means_the_same_in_every_encoding(
    pan: str, stan: str, country: str, text: str, pin_block: bytes
) -> None:
    elements = {2: pan, 11: stan, 19: country, 48: text, 52: pin_block.hex().upper()}
    for name, codec in CODECS.items():
        header = bytes(DIALECTS[name].header.length_bytes)
        message = Message(header, "1100" if "93" in name else "0100", elements)

        assert codec.decode(codec.encode(message)).elements == elements, name


@pytest.mark.parametrize(
    ("name", "element", "wire"),
    [
        pytest.param("iso87-binary", {19: "840"}, "0840", id="a fixed odd number is padded first"),
        pytest.param("iso87-binary", {2: "400000123456789"}, "154000001234567890", id="a PAN last"),
        pytest.param("iso87-binary", {48: "A" * 123}, "0123" + "41" * 123, id="a length of two bytes"),
        pytest.param("iso93-binary", {19: "840"}, "8400", id="in 1993 a fixed odd number too"),
        pytest.param("iso93-binary", {56: "110000004"}, "091100000040", id="56 is packed"),
        pytest.param("iso93-ebcdic", {19: "840"}, "F8F4F0", id="EBCDIC digits"),
        pytest.param("iso93-ebcdic", {55: "9F36020001"}, "F0F0F59F36020001", id="bytes behind an EBCDIC length"),
        pytest.param("iso93-ebcdic-hex", {52: "0123456789ABCDEF"}, "F0F1F2F3F4F5F6F7F8F9C1C2C3C4C5C6", id="text"),
    ],
)  # fmt: skip
def test_how_elements_look_on_the_wire(name: str, element: dict[int, str], wire: str) -> None:
    header = bytes(DIALECTS[name].header.length_bytes)
    data = CODECS[name].encode(Message(header, "1100" if "93" in name else "0100", element))

    assert data.hex().upper().endswith(wire)


@pytest.mark.parametrize(
    ("name", "wire", "element", "rule"),
    [
        pytest.param("iso87-binary", "0100" "4000000000000000" "0A", 2, "its length is", id="a length in hex"),
        pytest.param("iso87-binary", "0100" "4000000000000000" "20" + "11" * 10, 2, "longer", id="a long PAN"),
        pytest.param(
            "iso87-binary", "0100" "4000000000000000" "15400000123456789F", 2, "the pad", id="a pad that is no zero"
        ),
        pytest.param("iso87-binary", "0100" "0000200000000000" "084A", 19, "not digits", id="a nibble"),
        pytest.param("iso87-binary", "1100" "0000200000000000" "0840", 0, "the MTI", id="an MTI of 1993"),
        pytest.param("iso93-binary", "1100" "0000200000000000" "8401", 19, "the pad", id="a pad of one"),
        pytest.param("iso93-ebcdic", "31313030", 0, "", id="an MTI in ASCII"),
        pytest.param(
            "iso87-binary", "0100" "0000000020000000" "30" "B4000001234567899E30121011234F", 35, "not a track 2",
            id="another separator",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(name: str, wire: str, element: int, rule: str) -> None:
    with pytest.raises(DecodeError) as refusal:
        CODECS[name].decode(bytes.fromhex(wire))

    assert refusal.value.element == element
    assert refusal.value.rule.startswith(rule)
