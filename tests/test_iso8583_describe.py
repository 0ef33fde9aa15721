"""What people see of a message's parts: their terms, masked as their element is, or why they cannot be read."""

import pytest

from processor.iso8583.describe import describe
from processor.iso8583.message import Message
from processor.iso8583.tables.mc_like import ADDITIONAL_DATA
from processor.iso8583.tables.visa_like import NESTED
from processor.networks.adapters import DIALECTS

CHIP = "9F3602001A" + "DF8129015A" + "57" + "084000001234567899"


def lines(name: str, **elements: str) -> list[str]:
    message = Message(b"", "0100", {int(key.removeprefix("de")): value for key, value in elements.items()})
    return [" ".join(line.split()) for line in describe(message, DIALECTS[name]).splitlines()[2:]]


def test_parts_of_an_element_that_is_shown_are_shown() -> None:
    assert lines("visa-like", de62=NESTED[62].build({1: "E", 2: "303085254670208"})) == [
        "62.1 authorization characteristics indicator E",
        "62.2 transaction identifier 303085254670208",
    ]
    assert lines("visa-like", de22="0510")[0] == "22.1 PAN entry mode 05"


def test_parts_of_an_element_that_is_masked_show_their_lengths() -> None:
    assert lines("visa-like", de126=NESTED[126].build({10: "11 888"})) == [
        "126.10 CVV2 authorization request data <6>"
    ]
    assert lines("mc-like", de48=ADDITIONAL_DATA.build({0: "T", 92: "888", 56: "XY"})) == [
        "48.0 not known <1>",
        "48.92 card validation code 2 <3>",
        "48.56 not known <2>",
    ]


def test_parts_of_an_element_that_may_tell_a_card_show_their_lengths() -> None:
    name = "SHOP 400000123456" + "7899".ljust(23)

    assert lines("iso87-ascii", de43=name)[1] == "43.2 city <13>"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("mc-like", CHIP, id="as it is"),
        pytest.param("visa-like", f"0100{len(CHIP) // 2:02X}{CHIP}", id="in a data set"),
        pytest.param("iso87-ascii", CHIP.encode().hex(), id="as text"),
    ],
)
def test_chip_data_shows_tags_and_lengths_whatever_is_around_it(name: str, value: str) -> None:
    assert lines(name, de55=value) == [
        "9F36 application transaction counter <4>",
        "DF8129 not known <2>",
        "57 track 2 equivalent data <16>",
    ]


@pytest.mark.parametrize(
    ("name", "element", "value", "rule"),
    [
        pytest.param("mc-like", "de48", "R9203", "sub-element 92 is longer than the data", id="tagged"),
        pytest.param("mc-like", "de55", "9F36", "tag 9F36 has no length", id="chip data"),
        pytest.param("iso87-ascii", "de55", "CVC2=123", "not hexadecimal", id="chip data that is none"),
        pytest.param("visa-like", "de62", "00", "no complete bitmap", id="nested"),
        pytest.param("iso93-ascii", "de56", "EFGH", "part 1 is not digits only", id="positional"),
    ],
)
def test_parts_that_cannot_be_read_harm_nothing_else(name: str, element: str, value: str, rule: str) -> None:
    assert lines(name, **{element: value}) == [f"parts: {rule}"]
