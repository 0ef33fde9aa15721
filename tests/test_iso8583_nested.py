"""Nested bitmaps: sub-elements by row, refused by name, and read without what stands behind them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.iso8583.elements import BCD, BINARY
from processor.iso8583.nested import Nested, SubElement
from processor.iso8583.tables.visa_like import (
    CUSTOM_PAYMENT_SERVICE,
    NESTED,
    NETWORK_PRIVATE_USE,
    PRIVATE_USE,
)
from processor.values.errors import DecodeError


@pytest.mark.parametrize(
    ("layout", "value", "expected"),
    [
        pytest.param(CUSTOM_PAYMENT_SERVICE, "8000000000000000E8", {1: "Y"}, id="62.1 one EBCDIC character"),
        pytest.param(
            CUSTOM_PAYMENT_SERVICE,
            "40000000000000000386325000000042",
            {2: "386325000000042"},
            id="62.2 fifteen digits in eight bytes",
        ),
        pytest.param(
            CUSTOM_PAYMENT_SERVICE,
            "E000000000000000E80386325000000042C1C2C3F1",
            {1: "Y", 2: "386325000000042", 3: "ABC1"},
            id="62.1 to 62.3 in order",
        ),
        pytest.param(NETWORK_PRIVATE_USE, "A0000000022501", {1: "0002", 3: "2501"}, id="63.1 and 63.3"),
        pytest.param(
            PRIVATE_USE, "0040000000000000F1F140F8F8F8", {10: "11 888"}, id="126.10 presence, type, value"
        ),
        pytest.param(
            PRIVATE_USE, "000140000000000002C1C20199", {16: "AB", 18: "99"}, id="126.16 and .18 variable"
        ),
        pytest.param(PRIVATE_USE, "0000000000000000", {}, id="an empty bitmap"),
    ],
)
def test_sub_elements_are_read_and_built(layout: Nested, value: str, expected: dict[int, str]) -> None:
    assert layout.read(value) == expected
    assert layout.build(expected) == value


@pytest.mark.parametrize(
    ("layout", "value", "rule"),
    [
        pytest.param(
            PRIVATE_USE, "8000000000000000F1", "sub-element 1 is not assigned", id="a bit without a row"
        ),
        pytest.param(PRIVATE_USE, "00400000000000", "no complete bitmap", id="the bitmap is cut"),
        pytest.param(PRIVATE_USE, "", "no complete bitmap", id="nothing at all"),
        pytest.param(PRIVATE_USE, "004", "no complete bitmap", id="not whole bytes"),
        pytest.param(
            PRIVATE_USE,
            "0040000000000000F1F140F8F8",
            "data ends inside sub-element 10",
            id="CVV2 a byte short",
        ),
        pytest.param(
            PRIVATE_USE, "0040000000000000F1F140F8F8F8F8", "data goes on", id="a byte behind the last one"
        ),
        pytest.param(PRIVATE_USE, "0001000000000000", "ends inside sub-element 16", id="no length byte"),
        pytest.param(PRIVATE_USE, "000100000000000021", "16 is longer than its maximum", id="length over it"),
        pytest.param(
            CUSTOM_PAYMENT_SERVICE,
            "40000000000000000A86325000000042",
            "2 is not digits only",
            id="a letter nibble",
        ),
        pytest.param(
            CUSTOM_PAYMENT_SERVICE,
            "40000000000000001386325000000042",
            "2 is not digits only",
            id="pad not zero",
        ),
        pytest.param(CUSTOM_PAYMENT_SERVICE, "800000000000000000", "not printable", id="a control character"),
    ],
)
def test_what_cannot_be_read_names_element_and_rule(layout: Nested, value: str, rule: str) -> None:
    with pytest.raises(DecodeError, match=rule) as refusal:
        layout.read(value)

    assert refusal.value.element == layout.element


def test_one_sub_element_is_read_whatever_stands_behind_it() -> None:
    unreadable_behind = "C000000000000001E80386325000000042"

    assert CUSTOM_PAYMENT_SERVICE.pick(2, unreadable_behind) == "386325000000042"
    assert CUSTOM_PAYMENT_SERVICE.pick(3, unreadable_behind) is None


def test_a_sub_element_behind_one_that_is_not_assigned_cannot_be_found() -> None:
    with pytest.raises(DecodeError, match="sub-element 1 is not assigned"):
        PRIVATE_USE.pick(10, "8040000000000000F1F140F8F8F8")


@pytest.mark.parametrize(
    ("number", "value"),
    [
        pytest.param(1, "X", id="no such row"),
        pytest.param(10, "1 888", id="a character short"),
        pytest.param(8, "00" * 19, id="a byte short"),
        pytest.param(16, "A" * 33, id="over the maximum"),
        pytest.param(9, "no hex", id="not hexadecimal"),
    ],
)
def test_what_does_not_fit_is_not_built(number: int, value: str) -> None:
    with pytest.raises(ValueError, match=rf"DE 126\.{number}: ") as refusal:
        PRIVATE_USE.build({number: value})

    assert refusal.value.__context__ is None


@given(st.sampled_from(sorted(NESTED)), st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(element: int, data: bytes) -> None:
    layout = NESTED[element]
    try:
        found = layout.read(data.hex())
    except DecodeError:
        return

    assert layout.build(found) == data.hex().upper()


def test_a_binary_row_and_an_even_number_of_digits_have_no_pad() -> None:
    layout = Nested(63, 1, (SubElement(1, "a", BCD, 4), SubElement(2, "b", BINARY, 2)))

    assert layout.read("C01234ABCD") == {1: "1234", 2: "ABCD"}
