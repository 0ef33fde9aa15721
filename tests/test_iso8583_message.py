"""What a message shows of itself: nothing that authenticates or pays, and nothing of what is not known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.iso8583.describe import describe
from processor.iso8583.dialect import NUMBERS
from processor.iso8583.message import Message, masked
from processor.iso8583.tables.visa_like import VISA_LIKE
from processor.networks.adapters import DIALECTS
from processor.networks.profile import SHIPPED, load_profile

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


PAN, AMEX = "4000001234567899", "378282246310005"
EBCDIC, ASCII = PAN.encode("cp037").hex().upper(), PAN.encode().hex()


@pytest.mark.parametrize(
    ("network", "number", "value"),
    [
        pytest.param("iso87-ascii", 43, f"SHOP {PAN} TOWN", id="in a name"),
        pytest.param("visa-like", 44, PAN + "12", id="in a response, with digits behind it"),
        pytest.param("mc-like", 101, "4000 0012 3456 7899", id="in a file name, with spaces"),
        pytest.param("mc-like", 101, "4000-0012-3456-7899", id="in a file name, with hyphens"),
        pytest.param("iso93-ascii", 43, "1" * 20, id="in a name, more digits than a PAN has"),
        pytest.param("iso87-ascii", 42, AMEX, id="as a merchant"),
        pytest.param("iso87-ascii", 42, "000" + "400000123457", id="as a merchant, with zeros before it"),
        pytest.param("visa-like", 62, EBCDIC, id="in EBCDIC"),
        pytest.param("visa-like", 63, "00" + ASCII, id="in ASCII"),
        pytest.param("iso87-ascii", 43, EBCDIC, id="in a name, spelled"),
    ],
)
def test_what_may_be_any_card_s_number_is_not_shown(network: str, number: int, value: str) -> None:
    assert DIALECTS[network].masked(number, value) == f"<{len(value)}>"
    assert value not in repr(Message(b"", "0100", {number: value}))


@pytest.mark.parametrize(
    ("network", "number", "value"),
    [
        pytest.param("visa-like", 60, PAN[:12], id="where a number is meant"),
        pytest.param("visa-like", 62, "40" + PAN, id="packed"),
        pytest.param("visa-like", 63, EBCDIC, id="in EBCDIC"),
        pytest.param("mc-like", 61, PAN + "0000", id="among codes"),
        pytest.param("iso93-ascii", 30, "0000" + PAN + "0000", id="among amounts"),
        pytest.param("iso87-ascii", 95, "0000" + PAN + "0" * 22, id="among new amounts"),
        pytest.param("iso87-ascii", 90, "0000" + PAN + "0" * 22, id="among original data"),
        pytest.param("iso87-ascii", 37, PAN[:12], id="as a reference"),
    ],
)
def test_the_message_s_own_pan_is_not_shown_in_any_element(network: str, number: int, value: str) -> None:
    dialect = DIALECTS[network]
    own = PAN[:12] if len(value) == 12 else PAN

    for elements in ({2: own, number: value}, {35: f"{own}D3012201", number: value}):
        message = Message(b"", "0100", elements)

        assert value not in repr(message)
        assert value not in describe(message, dialect)
    assert dialect.masked(number, value, own) == f"<{len(value)}>"


@pytest.mark.parametrize(
    ("network", "number", "value"),
    [
        pytest.param("iso87-ascii", 4, "400000123457", id="an amount that could be a PAN"),
        pytest.param("iso87-ascii", 37, "400000123457", id="a reference that could be one"),
        pytest.param("iso93-ascii", 12, "301121101531", id="a date and time"),
        pytest.param("iso87-ascii", 88, PAN, id="a total"),
        pytest.param("mc-like", 61, "00000100003000840" + "90210", id="codes in a row"),
        pytest.param("mc-like", 95, "000000002500" + "0" * 30, id="new amounts"),
        pytest.param("visa-like", 90, "0100" + "000042" + "1121093142" + "0" * 22, id="original data"),
        pytest.param("visa-like", 62, "4000000000000000" + "0" + "303085254670208", id="packed references"),
        pytest.param("iso87-ascii", 42, "000000000000000", id="a merchant of zeros"),
        pytest.param("iso87-ascii", 42, "123456789012345", id="a merchant that is no PAN"),
        pytest.param("iso87-ascii", 43, "SHOP 12 MAIN STREET 20001 TOWN", id="a name with numbers in it"),
    ],
)
def test_what_operations_need_is_shown_although_it_has_many_digits(
    network: str, number: int, value: str
) -> None:
    assert DIALECTS[network].masked(number, value, "4000009999999991") == value


@pytest.mark.parametrize(
    ("number", "meant"),
    [(13, "1121"), (31, "C00000100"), (44, "5 M"), (66, "1"), (95, "0" * 42)],
)
def test_an_element_of_1987_is_not_shown_where_it_means_something_else(number: int, meant: str) -> None:
    assert DIALECTS["iso87-ascii"].masked(number, meant) == meant
    assert DIALECTS["iso93-ascii"].masked(number, meant) == f"<{len(meant)}>"
    assert masked(number, meant) == f"<{len(meant)}>"


def test_without_a_dialect_only_what_is_harmless_in_all_is_shown() -> None:
    dialects = {DIALECTS[load_profile(name).dialect] for name in SHIPPED}

    assert {n for n in NUMBERS if masked(n, "0") == "0"} <= frozenset.intersection(
        *(d.shown for d in dialects)
    )


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


@pytest.mark.parametrize(
    ("network", "whole", "shown"),
    [
        pytest.param("visa-like", True, "16010200", id="one that is known"),
        pytest.param("visa-like", False, "<4 bytes>", id="one that is known, of no message"),
        pytest.param("iso93-ebcdic-hex", True, "<4 bytes>", id="one whose bytes have no meaning"),
    ],
)
def test_a_header_is_shown_only_if_it_is_one(network: str, whole: bool, shown: str) -> None:
    message = Message(bytes.fromhex("16010200"), "0100", {})

    assert describe(message, DIALECTS[network], whole=whole) == f"MTI 0100\nheader {shown}"
    assert describe(message, DIALECTS[network], whole=whole, clear=True) == "MTI 0100\nheader 16010200"


def test_describe_has_a_line_per_element_with_its_term() -> None:
    message = Message(b"\x16\x01", "0110", {39: "05", 2: "4000001234567899", 52: "00" * 8})

    lines = describe(message, VISA_LIKE).splitlines()

    assert lines[:2] == ["MTI 0110", "header 1601"]
    assert [line.split()[0] for line in lines[2:]] == ["2", "39", "52"]
    assert lines[2].split("  ")[-1].strip() == "400000******7899"
    assert "response code" in lines[3]
    assert lines[4].endswith("<16>")
