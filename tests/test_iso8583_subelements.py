"""Parts by position, by tag and in sets: read one by one, refused by name, built to the same text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.iso8583.subelements import (
    ADDITIONAL_AMOUNTS,
    ORIGINAL_DATA,
    REPLACEMENT_AMOUNTS,
    AdditionalAmount,
    Part,
    Positional,
    SignedAmount,
    Tag,
    Tagged,
)
from processor.iso8583.tables import iso87_ascii, iso93_ascii, visa_like
from processor.iso8583.tables.mc_like import (
    ADDITIONAL_DATA,
    ADVICE_REASON,
    CARD_ACCEPTOR,
    ELECTRONIC_COMMERCE_INDICATORS,
    EXTENDED_CONDITION_CODES,
    NETWORK_DATA,
    POINT_OF_SERVICE_DATA,
    TRACE_IDENTIFIER,
)
from processor.values.errors import DecodeError
from processor.values.money import Money

POS = "1025140000600840"
ORIGINAL = "0100" + "000042" + "1121103015" + "00000400001" + "00000000000"
XID = "00112233445566778899AABBCCDDEEFF00112233"


@pytest.mark.parametrize(
    ("layout", "value", "expected"),
    [
        pytest.param(
            POINT_OF_SERVICE_DATA,
            POS + "62704     ",
            dict(enumerate([*"10251400006", "00", "840", "62704     "], start=1)),
            id="61 whole",
        ),
        pytest.param(
            POINT_OF_SERVICE_DATA,
            POS,
            dict(enumerate([*"10251400006", "00", "840"], start=1)),
            id="61 without a postal code",
        ),
        pytest.param(NETWORK_DATA, "MCC0A1B2C", {1: "MCC", 2: "0A1B2C"}, id="63 with a short reference"),
        pytest.param(NETWORK_DATA, "MCC0A1B2C3D4", {1: "MCC", 2: "0A1B2C3D4"}, id="63 with a long reference"),
        pytest.param(ADVICE_REASON, "1020000", {1: "102", 2: "0000"}, id="60 without text"),
        pytest.param(ADVICE_REASON, "1020000LATE", {1: "102", 2: "0000", 3: "LATE"}, id="60 with text"),
        pytest.param(
            ORIGINAL_DATA,
            ORIGINAL,
            {1: "0100", 2: "000042", 3: "1121103015", 4: "00000400001", 5: "0" * 11},
            id="90",
        ),
        pytest.param(
            REPLACEMENT_AMOUNTS,
            "000000001500" + "0" * 12 + "000000001600" + "0" * 6,
            {1: "000000001500", 2: "0" * 12, 3: "000000001600", 4: "000000"},
            id="95 of the card networks",
        ),
        pytest.param(
            iso87_ascii.REPLACEMENT_AMOUNTS,
            "000000001500" + "0" * 12 + "C00000100" + "000000000",
            {1: "000000001500", 2: "0" * 12, 3: "C00000100", 4: "000000000"},
            id="95 of the standard",
        ),
        pytest.param(iso87_ascii.ENTRY_MODE, "901", {1: "90", 2: "1"}, id="22 of three digits"),
        pytest.param(visa_like.ENTRY_MODE, "0510", {1: "05", 2: "1", 3: "0"}, id="22 with a filler"),
        pytest.param(
            iso93_ascii.POINT_OF_SERVICE_DATA,
            "210101214140",
            dict(enumerate("210101214140", start=1)),
            id="22 of twelve positions",
        ),
        pytest.param(
            visa_like.CARD_ACCEPTOR,
            f"{'STANDIN TEST SHOP':<25}{'SPRINGFIELD':<13}US",
            {1: f"{'STANDIN TEST SHOP':<25}", 2: f"{'SPRINGFIELD':<13}", 3: "US"},
            id="43 of visa-like",
        ),
        pytest.param(
            CARD_ACCEPTOR,
            f"{'STANDIN TEST SHOP':<22} {'SPRINGFIELD':<13} USA",
            {1: f"{'STANDIN TEST SHOP':<22}", 2: " ", 3: f"{'SPRINGFIELD':<13}", 4: " ", 5: "USA"},
            id="43 of mc-like",
        ),
        pytest.param(
            iso87_ascii.CARD_ACCEPTOR,
            f"{'1 MAIN STREET':<23}{'SPRINGFIELD':<13}ILUS",
            {1: f"{'1 MAIN STREET':<23}", 2: f"{'SPRINGFIELD':<13}", 3: "IL", 4: "US"},
            id="43 of the standard",
        ),
        pytest.param(
            visa_like.POINT_OF_SERVICE,
            "5000060007",
            dict(enumerate(["5", "0", "0", "0", "06", "0", "0", "07"], start=1)),
            id="60 that ends before its last parts",
        ),
        pytest.param(visa_like.OTHER_AMOUNTS, "000000000500", {1: "000000000500"}, id="61 with one amount"),
        pytest.param(
            iso93_ascii.ORIGINAL_AMOUNTS,
            "000000001000" + "0" * 12,
            {1: "000000001000", 2: "0" * 12},
            id="30 of 1993",
        ),
        pytest.param(
            iso93_ascii.ORIGINAL_DATA,
            "1100" + "000042" + "261121101530" + "06400001",
            {1: "1100", 2: "000042", 3: "261121101530", 4: "06400001"},
            id="56 of 1993",
        ),
        pytest.param(
            EXTENDED_CONDITION_CODES, "10001", {1: "1", 2: "0", 3: "0", 4: "0", 5: "1"}, id="48.61 final"
        ),
        pytest.param(TRACE_IDENTIFIER, "MCC0A1B2C1121  ", {1: "MCC0A1B2C", 2: "1121  "}, id="48.63"),
        pytest.param(ADDITIONAL_DATA, "R", {0: "R"}, id="48 with a category and nothing else"),
        pytest.param(ADDITIONAL_DATA, "8002TV", {80: "TV"}, id="48 without a category"),
        pytest.param(
            ADDITIONAL_DATA,
            "T9203888420701032105602XY",
            {0: "T", 92: "888", 42: "0103210", 56: "XY"},
            id="48 in any order, with an unknown tag",
        ),
        pytest.param(
            ADDITIONAL_DATA,
            "T4420" + bytes.fromhex(XID).decode("cp037") + "8701M",
            {0: "T", 44: XID, 87: "M"},
            id="48 with raw bytes in a sub-element",
        ),
        pytest.param(ADDITIONAL_DATA, "T5600", {0: "T", 56: ""}, id="48 with an empty sub-element"),
        pytest.param(ELECTRONIC_COMMERCE_INDICATORS, "0103210", {1: "210"}, id="48.42"),
    ],
)
def test_parts_are_read_and_built(layout: Positional | Tagged, value: str, expected: dict[int, str]) -> None:
    assert layout.read(value) == expected
    assert list(layout.read(value)) == list(expected)
    assert [layout.pick(number, value) for number in expected] == list(expected.values())
    assert layout.build(expected) == value


@pytest.mark.parametrize(
    ("layout", "value", "rule"),
    [
        pytest.param(POINT_OF_SERVICE_DATA, POS[:12], "data ends inside part 12", id="61 cut in a part"),
        pytest.param(
            POINT_OF_SERVICE_DATA, "1X2" + POS[3:15] + "X", "part 13 is not digits", id="61.13 has a letter"
        ),
        pytest.param(POINT_OF_SERVICE_DATA, POS + "1" * 11, "data goes on after part 14", id="61 too long"),
        pytest.param(NETWORK_DATA, "MCC0A1B2", "data ends inside part 2", id="63 with a reference of five"),
        pytest.param(ORIGINAL_DATA, "O" + ORIGINAL[1:], "part 1 is not digits", id="90 with a letter"),
        pytest.param(REPLACEMENT_AMOUNTS, "C" + "0" * 41, "part 1 is not digits", id="95.1 with a sign"),
        pytest.param(visa_like.POINT_OF_SERVICE, "50000", "data ends inside part 5", id="60 cut in a part"),
        pytest.param(visa_like.OTHER_AMOUNTS, "00000000050C", "part 1 is not digits", id="61 with a letter"),
        pytest.param(
            iso93_ascii.POINT_OF_SERVICE_DATA, "21010121414-", "part 12 is not letters", id="22.12 is a dash"
        ),
        pytest.param(iso93_ascii.ORIGINAL_DATA, "EFGH", "part 1 is not digits", id="56 in letters"),
        pytest.param(EXTENDED_CONDITION_CODES, "1 ", "sub-element 61 part 2 is not", id="48.61 with a blank"),
        pytest.param(
            ADDITIONAL_DATA, "RT8002TV", "no tag and length at character 1", id="48 with two letters"
        ),
        pytest.param(ADDITIONAL_DATA, "R80", "no tag and length at character 1", id="48 without a length"),
        pytest.param(ADDITIONAL_DATA, "R800", "no tag and length at character 1", id="48 with half a length"),
        pytest.param(ADDITIONAL_DATA, "R8002TV1", "no tag and length at character 7", id="48 goes on"),
        pytest.param(ADDITIONAL_DATA, "R80+2TV", "no tag and length", id="48 with a sign in a length"),
        pytest.param(ADDITIONAL_DATA, "R0002TV", "no tag and length", id="48 with tag 00"),
        pytest.param(ADDITIONAL_DATA, "R8003TV", "sub-element 80 is longer", id="48.80 is cut"),
        pytest.param(ADDITIONAL_DATA, "R9203ABC", "sub-element 92 is not digits", id="48.92 in letters"),
        pytest.param(ADDITIONAL_DATA, "R920412 3", "sub-element 92 has not 3", id="48.92 in four characters"),
        pytest.param(
            ADDITIONAL_DATA, "R6102\x00\x01", "sub-element 61 is not printable", id="48.61 in bytes"
        ),
        pytest.param(ADDITIONAL_DATA, "R8701M8701N", "sub-element 87 stands there twice", id="48.87 twice"),
        pytest.param(
            ELECTRONIC_COMMERCE_INDICATORS, "01042100", "sub-element 42: sub-element 1 has", id="48.42"
        ),
        pytest.param(
            ELECTRONIC_COMMERCE_INDICATORS, "A0103210", "sub-element 42: no tag", id="48.42 with a head"
        ),
    ],
)
def test_what_cannot_be_read_names_element_and_part(
    layout: Positional | Tagged, value: str, rule: str
) -> None:
    with pytest.raises(DecodeError) as refusal:
        layout.read(value)

    assert refusal.value.element == layout.element
    assert refusal.value.rule.startswith(rule)


def test_one_part_is_read_whatever_stands_behind_it() -> None:
    assert POINT_OF_SERVICE_DATA.pick(7, "XXXXXX4") == "4"
    assert ORIGINAL_DATA.pick(2, "XXXX000042 not digits") == "000042"
    assert ADDITIONAL_DATA.pick(42, "T42070103210 no tag") == "0103210"
    assert ADDITIONAL_DATA.pick(0, "T no tag") == "T"
    assert ADDITIONAL_AMOUNTS.pick("02", "0002840C000000002599 no set") is not None


def test_a_part_that_is_not_there_is_none() -> None:
    assert POINT_OF_SERVICE_DATA.pick(14, POS) is None
    assert NETWORK_DATA.pick(2, "MCC") is None
    assert ADDITIONAL_DATA.pick(92, "R8002TV") is None
    assert ADDITIONAL_DATA.pick(0, "8002TV") is None
    assert ADDITIONAL_AMOUNTS.pick("40", "0002840C000000002599") is None


@pytest.mark.parametrize(
    ("layout", "values"),
    [
        pytest.param(POINT_OF_SERVICE_DATA, {1: "0", 3: "0"}, id="a gap"),
        pytest.param(POINT_OF_SERVICE_DATA, {15: "0"}, id="no such part"),
        pytest.param(NETWORK_DATA, {1: "MC", 2: "0A1B2C"}, id="a short part before another"),
        pytest.param(NETWORK_DATA, {1: "MCC", 2: "0A1B2C3D4E"}, id="a part that is long"),
        pytest.param(ORIGINAL_DATA, {1: "01OO"}, id="letters for digits"),
        pytest.param(ADDITIONAL_DATA, {0: "7"}, id="a digit as the category"),
        pytest.param(ADDITIONAL_DATA, {0: ""}, id="an empty category"),
        pytest.param(ELECTRONIC_COMMERCE_INDICATORS, {0: "R"}, id="a head where there is none"),
        pytest.param(ADDITIONAL_DATA, {100: "A"}, id="a tag of three digits"),
        pytest.param(ADDITIONAL_DATA, {-1: "A"}, id="a tag below zero"),
        pytest.param(ADDITIONAL_DATA, {56: "A" * 100}, id="a value of 100 characters"),
        pytest.param(ADDITIONAL_DATA, {92: "12"}, id="a CVC 2 of two digits"),
        pytest.param(ADDITIONAL_DATA, {92: "12X"}, id="a CVC 2 with a letter"),
        pytest.param(ADDITIONAL_DATA, {44: "0X"}, id="bytes that are not hexadecimal"),
    ],
)
def test_what_does_not_fit_is_not_built(layout: Positional | Tagged, values: dict[int, str]) -> None:
    with pytest.raises(ValueError, match=f"DE {layout.element}: ") as refusal:
        layout.build(values)

    assert refusal.value.__context__ is None
    assert not any(value in str(refusal.value) for value in values.values() if len(value) > 1)


BALANCES = [
    AdditionalAmount("00", "01", Money(10_000, "840")),
    AdditionalAmount("20", "02", Money(-2599, "840")),
    AdditionalAmount("00", "57", Money(5, "392")),
]


def test_sets_are_read_and_built() -> None:
    value = "0001840C000000010000" + "2002840D000000002599" + "0057392C000000000005"

    assert ADDITIONAL_AMOUNTS.read(value) == BALANCES
    assert ADDITIONAL_AMOUNTS.build(BALANCES) == value
    assert ADDITIONAL_AMOUNTS.pick("57", value) == BALANCES[2]
    assert ADDITIONAL_AMOUNTS.read("") == []


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("0001840C00000001000", id="a digit short"),
        pytest.param("0001840C0000000100000", id="a digit too many"),
        pytest.param("000000001000000000002000", id="amounts without sets"),
        pytest.param("0001840X000000010000", id="a sign that is none"),
        pytest.param("0001USDC000000010000", id="a currency in letters"),
        pytest.param("0001840C0000000100 0", id="a blank in the amount"),
        pytest.param("0001840C000000010000" * 7, id="seven sets"),
    ],
)
def test_what_is_no_set_is_refused(value: str) -> None:
    with pytest.raises(DecodeError) as refusal:
        ADDITIONAL_AMOUNTS.read(value)

    assert refusal.value.element == 54


@pytest.mark.parametrize(
    "amounts",
    [
        pytest.param([AdditionalAmount("00", "01", Money(10**12, "840"))], id="an amount of 13 digits"),
        pytest.param([AdditionalAmount("0", "01", Money(1, "840"))], id="an account type of one digit"),
        pytest.param(BALANCES * 3, id="nine sets"),
    ],
)
def test_sets_that_do_not_fit_are_not_built(amounts: list[AdditionalAmount]) -> None:
    with pytest.raises(ValueError, match="DE 54") as refusal:
        ADDITIONAL_AMOUNTS.build(amounts)

    assert refusal.value.__context__ is None


MIXED = Positional(99, (Part(1, "a", 2, "n"), Part(2, "b", 3), Part(3, "c", 5, "an", shortest=2)))
SMALL = Tagged(99, (Tag(1, "a", "n", 2), Tag(2, "b", "b")), head="head")


@given(st.text("0123456789AZ \x00", max_size=12))
def test_any_text_is_read_by_position_and_built_again_or_refused(value: str) -> None:
    try:
        found = MIXED.read(value)
    except DecodeError:
        return

    assert MIXED.build(found) == value


@given(st.text("012A\x00\xff", max_size=24))
def test_any_text_is_read_by_tag_and_built_again_or_refused(value: str) -> None:
    try:
        found = SMALL.read(value)
    except DecodeError:
        return

    assert SMALL.build(found) == value


@given(
    st.dictionaries(
        st.integers(1, 99).filter(lambda number: number not in ADDITIONAL_DATA.rows), st.text(max_size=99)
    ),
    st.sampled_from(["", "R", "z"]),
)
def test_unknown_tags_are_kept_in_order(values: dict[int, str], head: str) -> None:
    values = {**({0: head} if head else {}), **values}

    assert list(ADDITIONAL_DATA.read(ADDITIONAL_DATA.build(values)).items()) == list(values.items())


@given(st.text("0123456789CD", max_size=60))
def test_any_text_is_sets_or_refused(value: str) -> None:
    try:
        found = ADDITIONAL_AMOUNTS.read(value)
    except DecodeError:
        return

    assert ADDITIONAL_AMOUNTS.build(found) == value.replace("D000000000000", "C000000000000")


amounts = st.builds(
    AdditionalAmount,
    st.from_regex("[0-9]{2}", fullmatch=True),
    st.from_regex("[0-9A-Z]{2}", fullmatch=True),
    st.builds(Money, st.integers(-(10**12) + 1, 10**12 - 1), st.sampled_from(["840", "392", "048"])),
)


@given(st.lists(amounts, max_size=6))
def test_any_sets_are_built_and_read_back(sets: list[AdditionalAmount]) -> None:
    assert ADDITIONAL_AMOUNTS.read(ADDITIONAL_AMOUNTS.build(sets)) == sets


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        pytest.param("4300000100", "C00000100", id="a credit"),
        pytest.param("440000000000002599", "D0000000000002599", id="a debit of sixteen digits"),
        pytest.param("3000000100", "00000100", id="a zero for a sign"),
    ],
)
def test_a_packed_amount_with_its_sign_is_read_and_built(value: str, amount: str) -> None:
    assert SignedAmount(28).read(value) == amount
    assert SignedAmount(28).build(amount) == value


@pytest.mark.parametrize("value", ["", "43", "4200000100", "430000010A", "C00000100"])
def test_what_is_no_packed_amount_is_refused(value: str) -> None:
    with pytest.raises(DecodeError, match="DE 28: not C or D and digits"):
        SignedAmount(28).read(value)


@pytest.mark.parametrize("amount", ["", "C", "C1", "X00000100", "C0000010A"])
def test_what_is_no_amount_is_not_packed(amount: str) -> None:
    with pytest.raises(ValueError, match="an even number of digits"):
        SignedAmount(28).build(amount)
