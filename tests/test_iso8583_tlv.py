"""Chip data: read in any order, unknown tags kept, every malformed length refused by its name, bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.iso8583.tables.visa_like import DATA_SETS, chip_data
from processor.iso8583.tlv import CHIP_DATA, DEPTH_MAX, OBJECTS_MAX, DataObject, DataSets
from processor.values.errors import DecodeError

CRYPTOGRAM = "9F26080123456789ABCDEF"
COUNTER = "9F3602001A"
TYPE = "9C0100"


def nested(depth: int) -> str:
    """A counter inside so many templates."""
    value = COUNTER
    for _ in range(depth):
        value = f"72{len(value) // 2:02X}{value}"
    return value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param(COUNTER + TYPE, [("9F36", "001A"), ("9C", "00")], id="two known tags"),
        pytest.param(TYPE + COUNTER, [("9C", "00"), ("9F36", "001A")], id="the other way round"),
        pytest.param(
            "DF812902CAFE" + TYPE, [("DF8129", "CAFE"), ("9C", "00")], id="an unknown tag of three bytes"
        ),
        pytest.param("72038601007203860101", [("72", "860100"), ("72", "860101")], id="a tag twice"),
        pytest.param("9F1000", [("9F10", "")], id="an empty value"),
        pytest.param("DF01818000" + "00" * 127, [("DF01", "00" * 128)], id="a length of two bytes"),
        pytest.param("DF01820100" + "00" * 256, [("DF01", "00" * 256)], id="a length of three bytes"),
        pytest.param("9F368102001A", [("9F36", "001A")], id="a length longer than it need be"),
        pytest.param("9F36820002001A", [("9F36", "001A")], id="a length much longer than it need be"),
        pytest.param("c00100", [("C0", "00")], id="lower-case hexadecimal"),
    ],
)
def test_data_objects_are_read_in_order_and_built_to_the_same_bytes(
    value: str, expected: list[tuple[str, str]]
) -> None:
    objects = CHIP_DATA.read(value)

    assert [(one.tag, one.value) for one in objects] == expected
    assert CHIP_DATA.build(objects) == value.upper()


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        pytest.param("9F", "data ends inside the tag at byte 0", id="a tag is cut"),
        pytest.param("DF81", "data ends inside the tag at byte 0", id="a tag of three bytes is cut"),
        pytest.param("DF81818101" + "00", "the tag at byte 0 has more than 3 bytes", id="a tag of five bytes"),
        pytest.param(TYPE + "0000", "no tag at byte 3", id="zero padding"),
        pytest.param("FF00", "no tag at byte 0", id="a byte of ones"),
        pytest.param("9F36", "tag 9F36 has no length", id="no length"),
        pytest.param("9F36800000", "the length of tag 9F36 is indefinite", id="an indefinite length"),
        pytest.param("9F3681", "data ends inside the length of tag 9F36", id="a length is cut"),
        pytest.param("9F368200", "data ends inside the length of tag 9F36", id="a longer length is cut"),
        pytest.param("9F3683000002001A", "the length of tag 9F36 has more than 3", id="a length of four bytes"),
        pytest.param("9F36FF00", "the length of tag 9F36 has more than 3", id="a length of 128 bytes"),
        pytest.param("9F360300", "tag 9F36 is longer than the data", id="a value is cut"),
        pytest.param("DF0182FFFF00", "tag DF01 is longer than the data", id="a value of 65535 bytes is cut"),
        pytest.param("9F360100", "tag 9F36 has 1 bytes, not 2", id="a known tag too short"),
        pytest.param("8409" + "00" * 9 + "9102CAFE", "tag 91 has 2 bytes, not 8 to 16", id="a cryptogram too short"),
        pytest.param("9C010A", "tag 9C is not digits only", id="digits that are none"),
        pytest.param("8A023020", "tag 8A is not letters and digits only", id="a code with a blank"),
        pytest.param("9C0", "not hexadecimal", id="half a byte"),
        pytest.param("XY", "not hexadecimal", id="no hexadecimal"),
        pytest.param(TYPE * (OBJECTS_MAX + 1), f"more than {OBJECTS_MAX} data objects", id="too many objects"),
    ],
)  # fmt: skip
def test_what_is_malformed_is_refused_by_its_name(value: str, rule: str) -> None:
    with pytest.raises(DecodeError) as refusal:
        CHIP_DATA.read(value)

    assert refusal.value.element == 55
    assert refusal.value.rule.startswith(rule)


def test_a_part_is_found_without_reading_what_stands_behind_it() -> None:
    value = "DF0101FF" + COUNTER + "9F36"

    assert CHIP_DATA.pick("9F36", value) == "001A"
    assert CHIP_DATA.pick("9C", TYPE) == "00"
    assert CHIP_DATA.pick("91", TYPE) is None
    with pytest.raises(DecodeError, match="tag 9F36 has no length"):
        CHIP_DATA.pick("9F26", value)


def test_templates_are_walked_with_their_depth() -> None:
    value = "7209" + "9F180400000001" + "8600" + TYPE

    walked = [(depth, one.tag) for depth, one in CHIP_DATA.walk(value)]

    assert walked == [(0, "72"), (1, "9F18"), (1, "86"), (0, "9C")]


def test_templates_are_bounded_in_depth_and_number() -> None:
    assert sum(1 for _ in CHIP_DATA.walk(nested(DEPTH_MAX))) == DEPTH_MAX + 1
    with pytest.raises(DecodeError, match=f"more than {DEPTH_MAX} deep"):
        list(CHIP_DATA.walk(nested(DEPTH_MAX + 1)))

    full = "C000" * OBJECTS_MAX
    template = f"E082{len(full) // 2:04X}{full}"
    with pytest.raises(DecodeError, match=f"more than {OBJECTS_MAX} data objects"):
        list(CHIP_DATA.walk(template))


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(DataObject("", "00"), id="no tag"),
        pytest.param(DataObject("9F", "00"), id="half a tag"),
        pytest.param(DataObject("9C9C", "00"), id="two tags"),
        pytest.param(DataObject("00", "00"), id="a tag that is none"),
        pytest.param(DataObject("C0", "0"), id="half a byte"),
        pytest.param(DataObject("9F36", "00"), id="a known tag too short"),
        pytest.param(DataObject("C0", "00" * 65_536), id="a value too long"),
        pytest.param(DataObject("C0", "00" * 200, 1), id="a length that cannot hold it"),
        pytest.param(DataObject("C0", "00", 4), id="a length of four bytes"),
    ],
)
def test_what_could_not_be_read_is_not_built(one: DataObject) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        CHIP_DATA.build([one])
    with pytest.raises(ValueError, match="more than"):
        CHIP_DATA.build([DataObject("C0", "")] * (OBJECTS_MAX + 1))


tags = st.sampled_from(["C0", "DF01", "DF8129", "E1", "5F50"])
data_objects = st.builds(
    lambda tag, value: DataObject(tag, value.hex().upper()), tags, st.binary(max_size=300)
)


@given(st.lists(data_objects, max_size=12))
def test_any_objects_are_read_back_as_they_were_built(objects: list[DataObject]) -> None:
    assert CHIP_DATA.read(CHIP_DATA.build(objects)) == objects


@given(st.binary(max_size=80))
def test_any_bytes_are_read_to_the_same_bytes_or_refused(data: bytes) -> None:
    value = data.hex().upper()
    try:
        objects = CHIP_DATA.read(value)
    except DecodeError:
        return

    assert CHIP_DATA.build(objects) == value


def test_an_object_prints_no_value() -> None:
    assert repr(DataObject("57", "4000001234567899")) == "DataObject(57, <16>)"


class TestDataSets:
    """The wrapper that visa-like puts around chip data and its transaction data."""

    def test_the_chip_data_is_in_data_set_01(self) -> None:
        assert chip_data("02000100010005" + COUNTER) == COUNTER
        assert chip_data("02000100") == ""

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            pytest.param("", [], id="nothing"),
            pytest.param("5700040102D7D7", [("57", "0102D7D7")], id="one"),
            pytest.param("570000010001FF", [("57", ""), ("01", "FF")], id="an empty one and another"),
        ],
    )
    def test_they_are_read_in_order_and_built_to_the_same_bytes(
        self, value: str, expected: list[tuple[str, str]]
    ) -> None:
        assert DATA_SETS[104].read(value) == expected
        assert DATA_SETS[104].build(expected) == value

    @pytest.mark.parametrize(
        ("value", "rule"),
        [
            pytest.param("57", "data ends inside data set 1", id="an identifier alone"),
            pytest.param("5700", "data ends inside data set 1", id="half a length"),
            pytest.param("570000570002FF", "data ends inside data set 2", id="content is cut"),
            pytest.param("0", "not hexadecimal", id="half a byte"),
            pytest.param("570000" * (OBJECTS_MAX + 1), "more than", id="too many"),
        ],
    )
    def test_what_is_cut_is_refused(self, value: str, rule: str) -> None:
        with pytest.raises(DecodeError, match=rule):
            DataSets(104).read(value)

    @pytest.mark.parametrize("one", [("", "00"), ("0101", "00"), ("01", "0"), ("01", "00" * 65_536)])
    def test_what_could_not_be_read_is_not_built(self, one: tuple[str, str]) -> None:
        with pytest.raises(ValueError, match="does not fit"):
            DataSets(104).build([one])
