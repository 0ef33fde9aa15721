"""What a message shows of itself: nothing that authenticates or pays, and nothing of what is not known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.iso8583.describe import describe
from processor.iso8583.message import Message, masked
from processor.iso8583.tables.visa_like import VISA_LIKE

HIDDEN = [
    14,
    34,
    35,
    36,
    45,
    46,
    47,
    48,
    52,
    53,
    54,
    55,
    56,
    57,
    58,
    59,
    61,
    64,
    96,
    *range(102, 129),
    *range(129, 193),
    0,
    1,
    200,
]


# What these mean is known to a dialect only.
PRIVATE = [60, 62, 63]


@pytest.mark.parametrize("number", [*HIDDEN, *PRIVATE])
def test_what_is_not_listed_as_harmless_shows_only_its_length(number: int) -> None:
    assert masked(number, "ZZ9876543210") == "<12>"


@pytest.mark.parametrize(
    ("number", "value", "shown"),
    [
        pytest.param(2, "4000001234567899", "400000******7899", id="a PAN of 16 digits"),
        pytest.param(2, "400000123456", "400000**3456", id="the shortest PAN"),
        pytest.param(2, "4000001234567890123", "400000*********0123", id="the longest PAN"),
        pytest.param(2, "40000012345", "<11>", id="too short to be a PAN"),
        pytest.param(2, "40000012345678901234", "<20>", id="too long to be a PAN"),
        pytest.param(2, "400000123456789D", "<16>", id="not a PAN"),
        pytest.param(2, "40000012345678²²", "<16>", id="digits that are none"),
        pytest.param(39, "00", "00", id="a harmless element"),
        pytest.param(43, "SHOP\n2=4000", "<11>", id="a harmless element with a line break"),
    ],
)
def test_elements_are_masked(number: int, value: str, shown: str) -> None:
    assert masked(number, value) == shown


SENSITIVE = "QWERTY7654321098"


@given(st.dictionaries(st.sampled_from([2, *HIDDEN]), st.just(SENSITIVE)))
def test_no_rendering_of_a_message_shows_a_sensitive_value(elements: dict[int, str]) -> None:
    message = Message(bytes(22), "0100", elements)

    for text in (
        repr(message), str(message), f"{message}", describe(message, VISA_LIKE), repr(message.__rich_repr__())
    ):  # fmt: skip
        assert SENSITIVE[:6] not in text


def test_an_mti_that_is_none_is_not_shown() -> None:
    assert repr(Message(b"", "4000001234567899", {})) == "Message(<16>)"


def test_describe_has_a_line_per_element_with_its_term() -> None:
    message = Message(b"\x16\x01", "0110", {39: "05", 2: "4000001234567899", 52: "00" * 8})

    lines = describe(message, VISA_LIKE).splitlines()

    assert lines[:2] == ["MTI 0110", "header 1601"]
    assert [line.split()[0] for line in lines[2:]] == ["2", "39", "52"]
    assert lines[2].split("  ")[-1].strip() == "400000******7899"
    assert "response code" in lines[3]
    assert lines[4].endswith("<16>")
