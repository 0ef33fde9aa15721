"""The BASE I header: what is checked, what a reply changes, and a network without a header."""

import pytest

from processor.iso8583.header import (
    BASE1,
    HEADERS,
    ISO_LITERAL,
    NO_HEADER,
    TPDU,
    Base1Header,
    HeaderRule,
    OpaqueRule,
)
from processor.values.errors import FrameError

# H01 22, H02 1, H03 2, H04 32, H05 400001, H06 123456, H07 7, H08 8090, H09 A0B0C0, H10 5, H11 010203, H12 9
HEADER = bytes.fromhex("16 01 02 0020 400001 123456 07 8090 A0B0C0 05 010203 09")
BODY = bytes(10)


def test_a_header_is_parsed_into_its_fields() -> None:
    parsed = BASE1.parse(HEADER + BODY)

    assert parsed == Base1Header(
        destination="400001",
        source="123456",
        round_trip=7,
        flags=b"\x80\x90",
        status=b"\xa0\xb0\xc0",
        batch=5,
        reserved=b"\1\2\3",
        user=9,
    )
    assert parsed.pack(len(BODY)) == HEADER


def test_a_reply_swaps_the_stations_sets_the_length_and_echoes_the_rest() -> None:
    assert BASE1.reply(HEADER, 100) == bytes.fromhex(
        "16 01 02 007A 123456 400001 07 8090 A0B0C0 05 010203 09"
    )


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        pytest.param(0, 0x15, "header_length", id="H01 below 22"),
        pytest.param(0, 0x17, "header_length", id="H01 between a header and a reject header"),
        pytest.param(0, 0xFF, "header_length", id="H01 longer than the frame"),
        pytest.param(2, 3, "header_text_format", id="H03 another text format"),
        pytest.param(4, 0x21, "header_total_length", id="H04 one more than the frame"),
        pytest.param(4, 0x1F, "header_total_length", id="H04 one less than the frame"),
        pytest.param(3, 1, "header_total_length", id="H04 in its high byte"),
        pytest.param(5, 0xA0, "header_stations", id="H05 not in digits"),
        pytest.param(10, 0x0F, "header_stations", id="H06 not in digits"),
    ],
)
def test_a_header_that_cannot_be_right_names_its_field(offset: int, value: int, reason: str) -> None:
    frame = bytearray(HEADER + BODY)
    frame[offset] = value

    with pytest.raises(FrameError) as refusal:
        BASE1.parse(bytes(frame))

    assert refusal.value.reason == reason


@pytest.mark.parametrize("length", [0, 1, 21])
def test_a_frame_that_ends_inside_the_header_is_refused(length: int) -> None:
    with pytest.raises(FrameError, match="header_length"):
        BASE1.check(HEADER[:length])


def test_a_reject_header_gives_its_reject_code() -> None:
    total = 26 + 22 + len(BODY)
    reject = bytes((26, 1, 2)) + total.to_bytes(2, "big") + HEADER[5:] + bytes.fromhex("80000510")

    assert BASE1.parse(reject + HEADER + BODY).reject_code == "0510"


def test_a_network_without_a_header_has_the_same_methods() -> None:
    rule: HeaderRule = NO_HEADER

    rule.check(b"")

    assert rule.length_bytes == 0
    assert rule.reply(b"", 10) == b""


def test_an_opaque_header_is_echoed_and_must_be_whole() -> None:
    rule = OpaqueRule(5)

    assert rule.reply(b"TPDU0", 99) == b"TPDU0"
    with pytest.raises(FrameError, match="header_length"):
        rule.check(b"TPDU")
    with pytest.raises(ValueError, match="5 bytes"):
        rule.sized(b"TPDU", 0)


def test_a_reject_is_built_and_gives_back_the_frame_that_was_rejected() -> None:
    frame = HEADER + BODY

    reject = BASE1.reject(frame, "0510")

    assert reject is not None
    # H01 26, H04 58, the stations swapped, then H13 with bit 1 and H14
    assert (
        reject == bytes.fromhex("1A 01 02 003A 123456 400001 07 8090 A0B0C0 05 010203 09 8000 0510") + frame
    )
    BASE1.check(reject)
    rejection = BASE1.rejection(reject)
    assert rejection is not None
    assert (rejection.code, rejection.frame) == ("0510", frame)
    assert frame.hex() not in repr(rejection)
    assert str(rejection) == "Rejection(0510, 32 bytes)"


@pytest.mark.parametrize(
    ("offset", "value"), [pytest.param(2, 3, id="its text format"), pytest.param(4, 0x21, id="its length")]
)
def test_a_frame_that_its_header_contradicts_can_be_rejected(offset: int, value: int) -> None:
    frame = bytearray(HEADER + BODY)
    frame[offset] = value

    reject = BASE1.reject(bytes(frame), "0001")

    assert reject is not None
    BASE1.check(reject)
    rejection = BASE1.rejection(reject)
    assert rejection is not None
    assert (rejection.code, rejection.frame) == ("0001", frame)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(HEADER[:21], id="no whole header"),
        pytest.param(b"\x15" + HEADER[1:] + BODY, id="a header of another length"),
        pytest.param(b"\x1a" + HEADER[1:] + bytes.fromhex("80000123") + BODY, id="a reject"),
        pytest.param(HEADER + bytes(0xFFFF - 22 - 25), id="one byte too long for H04"),
    ],
)
def test_what_cannot_be_rejected_is_not(frame: bytes) -> None:
    assert BASE1.reject(frame, "0123") is None


def test_a_plain_frame_rejects_nothing() -> None:
    assert BASE1.rejection(HEADER + BODY) is None


@pytest.mark.parametrize(
    ("offset", "value"),
    [pytest.param(22, 0, id="H13 without its bit"), pytest.param(24, 0xA0, id="H14 not in digits")],
)
def test_a_reject_header_that_rejects_nothing_is_refused(offset: int, value: int) -> None:
    reject = bytearray(BASE1.reject(HEADER + BODY, "0510") or b"")
    reject[offset] = value

    with pytest.raises(FrameError, match="reject_header"):
        BASE1.rejection(bytes(reject))


@pytest.mark.parametrize("code", ["", "51", "05100", "05 0", "\u0660\u0661\u0662\u0663"])
def test_a_reject_code_is_four_digits(code: str) -> None:
    with pytest.raises(ValueError, match="four digits"):
        BASE1.reject(HEADER + BODY, code)


def test_a_tpdu_is_turned_round_in_the_reply() -> None:
    header = bytes.fromhex("60 0012 0034")

    TPDU.check(header + BODY)

    assert TPDU.reply(header, 10) == bytes.fromhex("60 0034 0012")
    with pytest.raises(FrameError, match="header_length"):
        TPDU.check(header[:4])
    with pytest.raises(ValueError, match="5 bytes"):
        TPDU.reply(b"", 10)


def test_an_iso_literal_must_be_there_and_is_echoed() -> None:
    header = b"ISO026000055"

    ISO_LITERAL.check(header + BODY)

    assert ISO_LITERAL.reply(header) == header
    with pytest.raises(FrameError, match="header_literal"):
        ISO_LITERAL.check(b"OSI026000055")


@pytest.mark.parametrize("name", sorted(HEADERS.keys() - {"base1"}))
def test_where_there_are_no_rejects_none_is_found_or_built(name: str) -> None:
    assert HEADERS[name].rejection(bytes(40)) is None
    assert HEADERS[name].reject(bytes(40), "0510") is None
