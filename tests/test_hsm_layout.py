"""What a row can say about fields that are not always there."""

import pytest

from processor.hsm.errors import ErrorCode
from processor.hsm.fields import (
    after,
    check_value,
    counted_bytes,
    digits,
    hexadecimal,
    key,
    optional,
    raw,
    unless,
    validation_data,
    when,
    when_like,
)
from processor.hsm.layout import Layout

KEY = "U1EF828AA8F6B80EB83E19FBC373F3A85"
ROW = Layout((
    digits("mode", 1),
    *when("mode", "12", hexadecimal("vector", 4), *optional(";", digits("flag", 1))),
    *when("mode", ["3"], after("#", digits("usage", 2))),
    *optional(";", digits("reserved", 2), digits("kind", 1)),
    *optional("%", digits("lmk", 2)),
))  # fmt: skip
RESPONSE = Layout((key("one"), *optional("", key("other")), hexadecimal("check", 6)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("0", {"mode": "0"}, id="nothing that depends"),
        pytest.param("1AAAA", {"mode": "1", "vector": "AAAA"}, id="a field that a value asks for"),
        pytest.param("1AAAA;5", {"mode": "1", "vector": "AAAA", "flag": "5"}, id="an optional field in it"),
        pytest.param("3#12", {"mode": "3", "usage": "12"}, id="a literal in front"),
        pytest.param("0;001", {"mode": "0", "reserved": "00", "kind": "1"}, id="an optional group"),
        pytest.param("0%07", {"mode": "0", "lmk": "07"}, id="another lead, the group before it left out"),
        pytest.param(
            "1AAAA;5;001%07",
            {"mode": "1", "vector": "AAAA", "flag": "5", "reserved": "00", "kind": "1", "lmk": "07"},
            id="everything in its order",
        ),
    ],
)
def test_what_is_there_is_read_and_written(text: str, expected: dict[str, str]) -> None:
    assert ROW.read(text) == expected
    assert ROW.write(expected) == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("0AAAA", id="a field whose condition does not hold"),
        pytest.param("1", id="a field whose condition holds is missing"),
        pytest.param("312", id="the literal is missing"),
        pytest.param("3;12", id="another literal"),
        pytest.param("0;00", id="half a group"),
        pytest.param("0;001;001", id="a group twice"),
        pytest.param("0%07;001", id="groups in another order"),
        pytest.param("0;", id="a lead with nothing after it"),
    ],
)
def test_what_does_not_go_together_is_refused(text: str) -> None:
    assert ROW.read(text) is ErrorCode.INVALID_INPUT


@pytest.mark.parametrize(
    ("values", "named"),
    [
        pytest.param({"mode": "0", "vector": "AAAA"}, "vector", id="a value that its condition forbids"),
        pytest.param({"mode": "1"}, "vector", id="a value that its condition asks for is missing"),
        pytest.param({"mode": "0", "reserved": "00"}, "kind", id="half a group"),
        pytest.param({"mode": "0", "kind": "1"}, "kind", id="the other half"),
        pytest.param({"mode": "0", "flag": "1"}, "flag", id="an optional value outside its condition"),
        pytest.param({"mode": "3", "usage": "A1"}, "usage", id="a value of the wrong shape"),
    ],
)
def test_values_that_do_not_go_together_are_refused_by_name(values: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        ROW.write(values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(KEY + "ABCDEF", {"one": KEY, "check": "ABCDEF"}, id="left out"),
        pytest.param(KEY + KEY + "ABCDEF", {"one": KEY, "other": KEY, "check": "ABCDEF"}, id="there"),
        pytest.param("A" * 16 + "ABCDEF", {"one": "A" * 16, "check": "ABCDEF"}, id="left out, no letter"),
        pytest.param(
            "A" * 32 + "ABCDEF",
            {"one": "A" * 16, "other": "A" * 16, "check": "ABCDEF"},
            id="there, no letters",
        ),
    ],
)
def test_without_a_lead_the_length_says_what_is_there(text: str, expected: dict[str, str]) -> None:
    assert RESPONSE.read(text) == expected
    assert RESPONSE.write(expected) == text


@pytest.mark.parametrize("text", [KEY + "ABCDE", KEY + "ABCDEFA", KEY + KEY, KEY + "ABCDEF" + KEY])
def test_a_length_that_fits_nothing_is_refused(text: str) -> None:
    assert isinstance(RESPONSE.read(text), ErrorCode)


@pytest.mark.parametrize(
    ("text", "sound"),
    [("A" * 6, True), ("A" * 16, True), ("A" * 5, False), ("A" * 7, False), ("A" * 17, False), ("", False)],
)
def test_a_check_value_has_six_or_sixteen_digits(text: str, sound: bool) -> None:
    layout = Layout((check_value("kcv"),))

    assert (layout.read(text) == {"kcv": text}) == sound
    assert (layout.read_by_field(text) == {"kcv": text}) == sound


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("1234567890NF", True),
        ("N" * 12, True),  # the handler counts
        ("P0123456789ABCDEF", True),
        ("P0123456789ABCDE", False),
        ("1234567890N", False),
        ("12345678PN12", False),
    ],
)
def test_the_first_character_tells_the_length_of_validation_data(text: str, sound: bool) -> None:
    layout = Layout((validation_data("data"), digits("more", 1)))
    expected = {"data": text, "more": "7"}

    assert (layout.read(text + "7") == expected) == sound
    assert (layout.read_by_field(text + "7") == expected) == sound


def test_a_layout_with_raw_bytes_has_no_fast_writer() -> None:
    with pytest.raises(AssertionError, match="no compiled form"):
        Layout((raw("data", 2),)).writer("ZZ")


USUAL = Layout((
    digits("format", 2),
    *when("format", ["04"], digits("account", 18)),
    *unless("format", ["04"], digits("account", 12)),
    *optional(";", digits("other", 3)),
    digits("last", 1),
))  # fmt: skip


def test_the_usual_form_has_what_special_values_do_not_change() -> None:
    assert USUAL.usual == ("format", "account", "last")
    assert USUAL.writer("X")("01", "1" * 12, "7") == b"X01" + b"1" * 12 + b"7"
    with pytest.raises(ValueError, match="account"):
        USUAL.writer("X")("04", "1" * 12, "7")


@pytest.mark.parametrize(
    ("text", "usual"),
    [
        pytest.param("01" + "1" * 12 + "7", True, id="the usual form"),
        pytest.param("04" + "1" * 18 + "7", False, id="a special value and its field"),
        pytest.param("01" + "1" * 12 + ";1237", False, id="an optional field"),
    ],
)
def test_both_ways_read_special_forms(text: str, usual: bool) -> None:
    assert USUAL.pattern is not None
    assert (USUAL.pattern.fullmatch(text) is not None) == usual
    values = USUAL.read(text)
    assert isinstance(values, dict)
    assert values == USUAL.read_by_field(text)
    assert USUAL.write(values) == text


TAILED = Layout((counted_bytes("data", 2, until=";"), raw("end", 1)), has_tail=True)
DEDUCED = Layout((digits("pin", 5, 13), digits("account", 2)), has_tail=True)


@pytest.mark.parametrize(
    ("layout", "text", "expected"),
    [
        pytest.param(TAILED, "02;%;A", {"data": "3B25", "end": "41"}, id="raw bytes like a tail"),
        pytest.param(
            TAILED, "00;A%07", {"data": "", "end": "41", "lmk": "07"}, id="an LMK identifier after raw bytes"
        ),
        pytest.param(
            TAILED,
            "00;%\x19%01",
            {"data": "", "end": "25", "trailer": "%01"},
            id="a trailer that looks like an identifier",
        ),
        pytest.param(DEDUCED, "0123499", {"pin": "01234", "account": "99"}, id="no tail"),
        pytest.param(
            DEDUCED,
            "0123499%01\x19x",
            {"pin": "01234", "account": "99", "lmk": "01", "trailer": "x"},
            id="a deduced length in front of a tail",
        ),
    ],
)
def test_any_request_may_end_with_an_lmk_identifier_and_a_trailer(
    layout: Layout, text: str, expected: dict[str, str]
) -> None:
    assert layout.read(text) == expected
    assert layout.write(expected) == text


@pytest.mark.parametrize("text", ["00;A%7", "00;A%077", "00;A\x19" + "x" * 33, "00;A\x19\n", "00,A", "01;A"])
def test_a_tail_of_another_shape_is_refused(text: str) -> None:
    assert isinstance(TAILED.read(text), ErrorCode)


def test_a_tail_of_another_shape_is_not_written() -> None:
    with pytest.raises(ValueError, match="lmk"):
        TAILED.write({"data": "", "end": "41", "lmk": "7"})
    with pytest.raises(ValueError, match="trailer"):
        RESPONSE.write({"one": KEY, "check": "ABCDEF", "trailer": "x"})


BLOCK = "S00072B0TN00E000256A37F894FD49E61DD3FA27FDE8919D07F7AA966F8BF39AB31D00034"


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        pytest.param(BLOCK, True, id="a key block says its length"),
        pytest.param(BLOCK[:-1], False, id="a key block cut short"),
        pytest.param("S00073" + BLOCK[6:], False, id="another length"),
        pytest.param("S0007X" + BLOCK[6:], False, id="a length that is no number"),
        pytest.param("S00000" + BLOCK[6:], False, id="a length below the header's"),
        pytest.param("K123", True, id="a place in user storage"),
        pytest.param("Q123", False, id="a letter that is no scheme"),
    ],
)
def test_keys_tell_their_length(text: str, sound: bool) -> None:
    layout = Layout((key("key"), digits("more", 1)))

    assert (layout.read(text + "7") == {"key": text, "more": "7"}) == sound
    if sound:
        assert layout.write({"key": text, "more": "7"}) == text + "7"


def test_counts_may_be_decimal_and_bounded() -> None:
    layout = Layout((counted_bytes("data", 2, base=10, most=12),))

    assert layout.read("12" + "x" * 12) == {"data": "78" * 12}
    assert layout.read("0Cxxxxxxxxxxxx") is ErrorCode.INVALID_INPUT
    assert layout.read("13" + "x" * 13) is ErrorCode.INVALID_DATA_LENGTH


def test_a_condition_may_ask_how_a_value_begins() -> None:
    layout = Layout((key("key"), *when_like("key", "S.{5}B0", hexadecimal("ksn", 2))))

    assert layout.read(BLOCK + "FF") == {"key": BLOCK, "ksn": "FF"}
    assert layout.read(KEY) == {"key": KEY}


def test_groups_do_not_nest_in_ways_that_read_wrongly() -> None:
    with pytest.raises(AssertionError, match="do not nest"):
        when("mode", "1", *when("scheme", "2", digits("data", 1)))
    with pytest.raises(AssertionError, match="plain fields"):
        optional(";", digits("first", 1), *when("scheme", "2", digits("data", 1)))


def test_only_fixed_fields_may_follow_an_optional_one_without_a_lead() -> None:
    with pytest.raises(AssertionError, match="only fixed fields"):
        Layout((*optional("", key("other")), check_value("kcv")))
    with pytest.raises(AssertionError, match="only fixed fields"):
        Layout((*optional("", key("other")), *optional(";", digits("kind", 1))))
