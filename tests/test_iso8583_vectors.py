"""Public sample messages, decoded and encoded byte for byte; they are read where they are, never copied."""

import json
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from processor.iso8583.codec import Codec, PyisoCodec
from processor.iso8583.compiled import CompiledCodec
from processor.iso8583.dialect import Dialect
from processor.iso8583.elements import EBCDIC
from processor.iso8583.framing import VISA_FRAME, Framer
from processor.iso8583.header import BASE1, NO_HEADER
from processor.iso8583.subelements import ORIGINAL_DATA
from processor.iso8583.tables import iso87_binary, mc_like
from processor.iso8583.tables.iso87_ascii import ISO87_ASCII, chip_data
from processor.iso8583.tables.iso87_binary import ISO87_BINARY
from processor.iso8583.tables.iso93_ascii import ISO93_ASCII
from processor.iso8583.tables.iso93_binary import ISO93_BINARY
from processor.iso8583.tables.iso93_ebcdic import ISO93_EBCDIC, ISO93_EBCDIC_HEX
from processor.iso8583.tables.mc_like import MC_LIKE
from processor.iso8583.tables.visa_like import NESTED, VISA_LIKE
from processor.values.errors import DecodeError

Record = dict[str, Any]

# Records that are read, by dialect: patterns of ids, and how many there are.
IN_SCOPE: dict[str, tuple[Dialect, dict[str, int]]] = {
    "visa-like": (VISA_LIKE, {"visa_base1/*": 5}),
    "mc-like": (MC_LIKE, {"mastercard_cis/*": 1}),
    "iso87-ascii": (
        ISO87_ASCII,
        {
            "nao1215_*__normalised": 10,
            "moov_testdata/*": 9,
            "jpos/ISO87APackager": 1,
            "jpos/ISO87A-Field64": 1,
            "erl8583_ascii/*": 25,
        },
    ),
    "iso87-binary": (
        ISO87_BINARY,
        {"jpos/ISO87BPackager": 1, "jpos/ISO87B-Field64": 1, "jpos/doc_0800": 1, "erl8583_binary/*": 17},
    ),
    "iso93-ascii": (ISO93_ASCII, {"jpos/ISO93APackager": 1}),
    "iso93-binary": (ISO93_BINARY, {"jpos/ISO93BPackager": 1}),
    "iso93-ebcdic": (
        ISO93_EBCDIC,
        {"amex_gcag/1100_erl8583_example5": 1, "cardutil_ipm/1144_cp500_binbitmap": 1},
    ),
    # the record counts its header as framing; read with it below
    "iso93-ebcdic-hex": (
        ISO93_EBCDIC_HEX.with_header("headerless", NO_HEADER),
        {"jpos/ISO93ebcdic-Custom-Img": 1},
    ),
}
# Why the rest is not read. A new record in the file fails the test until it is put somewhere.
OUT_OF_SCOPE = {
    "nao1215_*": "the original of a normalised record: a second bitmap that bit 1 does not announce",
    "moov_testdata/message_with_*": "elements in another encoding than ASCII, or cut; refused below",
    "moov_testdata/*_track": "a track in EBCDIC; refused below",
    "moov_fuzz/*": "cut on purpose; refused below",
    "erl8583_ascii/fields_91_to_94": "no values on record: jPOS's DE 93 is too long for it; read below",
    "jpos/post": "Postilion: no dialect of ours",
    "cardutil_ipm/*hexbitmap": "clearing, a bitmap in ASCII hexadecimal whatever the rest is in",
    "amex_gcag/1100_masked": "asterisks in the PAN; refused below",
    "bassrehab_logical/*": "field values without a wire form",
    "isosim_logical/*": "field values without a wire form",
}

CHIP_TEXT = "text in this source; ours is raw bytes, so the same characters are read as hexadecimal of them"
# Elements whose value differs from the record's, with the reason. The bytes are the same all the same.
READ_DIFFERENTLY = {
    ("jpos/ISO87APackager", 55): CHIP_TEXT,
    ("jpos/ISO87A-Field64", 55): CHIP_TEXT,
    ("moov_testdata/iso_reversal_message", 55): CHIP_TEXT,
    ("moov_testdata/iso_reversal_repeat_message", 55): CHIP_TEXT,
    ("moov_testdata/iso_reversal_repeat_message_response", 55): CHIP_TEXT,
    ("erl8583_ascii/fields_55_56_57", 55): CHIP_TEXT,
}


@pytest.fixture
def records(vectors: Path) -> list[Record]:
    lines = (vectors / "iso8583" / "messages.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def data_of(record: Record) -> bytes:
    """Header and message, without the frame's prefix."""
    return bytes.fromhex(record["frame_hex"])[record["message_offset"] :]


def elements_of(record: Record) -> dict[int, str]:
    return {int(key): value for key, value in record["decoded"].items() if key not in ("h", "t", "p", "1")}


def of_dialect(records: list[Record], name: str) -> list[Record]:
    """The records read in this dialect, of which there must be as many as stated."""
    chosen = []
    for pattern, count in IN_SCOPE[name][1].items():
        found = [r for r in records if fnmatch(r["id"], pattern) and r.get("pyiso8583_roundtrip") is True]
        assert len(found) == count, pattern
        chosen += found
    return chosen


def test_every_record_is_read_or_said_to_be_out_of_scope(records: list[Record]) -> None:
    read = {record["id"] for name in IN_SCOPE for record in of_dialect(records, name)}
    rest = {record["id"] for record in records} - read

    assert [name for name in rest if not any(fnmatch(name, pattern) for pattern in OUT_OF_SCOPE)] == []
    assert [p for p in OUT_OF_SCOPE if not any(fnmatch(name, p) for name in rest)] == []


def test_every_iso_87_ascii_record_that_round_trips_is_read(records: list[Record]) -> None:
    marked = {
        record["id"]
        for record in records
        if record["dialect"].startswith("ISO87 ASCII") and record.get("pyiso8583_roundtrip") is True
    }

    assert marked == {record["id"] for record in of_dialect(records, "iso87-ascii")}


def test_visa_frames_are_cut_and_their_headers_agree(records: list[Record]) -> None:
    chosen = of_dialect(records, "visa-like")
    framer = Framer(VISA_FRAME, 2048)
    framer.receive(b"".join(bytes.fromhex(record["frame_hex"]) for record in chosen))

    frames = framer.frames()

    assert frames == [data_of(record) for record in chosen]
    for frame, record in zip(frames, chosen, strict=True):
        BASE1.parse(frame)
        assert VISA_FRAME.frame(frame).hex().upper() == record["frame_hex"]


@pytest.mark.parametrize("name", IN_SCOPE)
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(PyisoCodec, id="pyiso8583"),
        pytest.param(lambda dialect: CompiledCodec(dialect, worth_it=1), id="compiled"),
        pytest.param(CompiledCodec, id="interpreted"),
    ],
)
def test_messages_decode_to_the_recorded_values_and_encode_to_the_same_bytes(
    records: list[Record], name: str, make: Callable[[Dialect], Codec]
) -> None:
    codec = make(IN_SCOPE[name][0])
    differing = set()
    for record in of_dialect(records, name):
        message, stated = codec.decode(data_of(record)), elements_of(record)

        assert message.header.hex().upper() == record["decoded"].get("h", ""), record["id"]
        assert message.mti == record["decoded"]["t"], record["id"]
        assert message.elements.keys() == stated.keys(), record["id"]
        assert codec.encode(message) == data_of(record), record["id"]
        differing |= {(record["id"], n) for n, value in message.elements.items() if value != stated[n]}

    ids = {record["id"] for record in of_dialect(records, name)}
    assert differing == {key for key in READ_DIFFERENTLY if key[0] in ids}


def test_what_is_read_differently_is_the_same_characters(records: list[Record]) -> None:
    codec = PyisoCodec(ISO87_ASCII)
    by_id = {record["id"]: record for record in records}
    for name, number in READ_DIFFERENTLY:
        value = codec.decode(data_of(by_id[name])).elements[number]

        assert bytes.fromhex(value).decode("ascii") == elements_of(by_id[name])[number], name


def test_chip_data_of_a_host_that_writes_bytes_is_taken_as_it_is(records: list[Record]) -> None:
    codec = PyisoCodec(ISO87_ASCII)
    values = [
        elements[55]
        for record in of_dialect(records, "iso87-ascii")
        if record["id"].startswith("nao1215") and 55 in (elements := codec.decode(data_of(record)).elements)
    ]

    assert values
    assert [chip_data(value) for value in values] == values


def test_visa_nested_elements_are_read_whole_and_built_to_the_same_value(records: list[Record]) -> None:
    seen = set()
    for record in of_dialect(records, "visa-like"):
        for element, layout in NESTED.items():
            value = elements_of(record).get(element)
            if value is not None:
                seen.add(element)
                assert layout.build(layout.read(value)) == value, (record["id"], element)

    assert seen == {62, 63, 126}


def test_mc_sub_elements_are_read_whole_and_built_to_the_same_value(records: list[Record]) -> None:
    (record,) = of_dialect(records, "mc-like")
    elements = elements_of(record)

    assert mc_like.ADDITIONAL_DATA.read(elements[48]) == {0: "P", 42: "0103210", 77: "C07"}
    assert mc_like.ELECTRONIC_COMMERCE_INDICATORS.read("0103210") == {1: "210"}
    assert mc_like.POINT_OF_SERVICE_DATA.pick(13, elements[61]) == "643"
    for number in (48, 61):
        layout = mc_like.LAYOUTS[number]
        assert layout.build(layout.read(elements[number])) == elements[number]


def test_a_header_of_characters_is_kept_and_echoed(records: list[Record]) -> None:
    (record,) = of_dialect(records, "iso93-ebcdic-hex")
    codec, frame = PyisoCodec(ISO93_EBCDIC_HEX), bytes.fromhex(record["frame_hex"])

    message = codec.decode(frame)

    assert message.header.decode(EBCDIC) == "1ROUTENET"
    assert message.elements == elements_of(record)
    assert codec.encode(message) == frame
    assert ISO93_EBCDIC_HEX.header.reply(message.header) == message.header


def test_a_packed_amount_with_a_sign_is_read_and_built_to_the_same_value(records: list[Record]) -> None:
    (record,) = (r for r in records if r["id"] == "jpos/ISO87BPackager")
    for number, layout in list(iso87_binary.SIGNED_AMOUNTS.items())[:4]:
        value = elements_of(record)[number]

        assert layout.read(value) == record["expect_from_source"][str(number)][1:]
        assert layout.build(layout.read(value)) == value


def test_a_pan_with_asterisks_is_refused(records: list[Record]) -> None:
    (record,) = (r for r in records if r["id"] == "amex_gcag/1100_masked")

    with pytest.raises(DecodeError, match="DE 2 at byte 22: not digits only"):
        PyisoCodec(ISO93_EBCDIC).decode(data_of(record))


def test_original_data_names_the_original_of_a_reversal(records: list[Record]) -> None:
    by_id = {record["id"]: elements_of(record) for record in records if "decoded" in record}
    original = by_id["nao1215_basei/0200-financial-request__normalised"]
    reversal = by_id["nao1215_basei/0420-reversal-advice__normalised"]

    parts = ORIGINAL_DATA.read(reversal[90])

    assert parts == {1: "0200", 2: original[11], 3: original[7], 4: "0" * 11, 5: "0" * 11}


@pytest.mark.parametrize(
    ("name", "element"),
    [
        ("moov_testdata/message_with_character_ebcdic_encoding", 42),
        ("moov_testdata/message_with_error_indicate_numeric", 28),
        ("moov_testdata/message_with_hex_bcd", 48),
        ("moov_testdata/message_with_hex_length", 32),
        ("moov_testdata/message_with_hex_rbcd", 48),
        ("moov_testdata/message_with_indicate_numeric", 28),
        ("moov_testdata/message_with_number_bcd_encoding", 7),
        ("moov_testdata/network_management_message_with_error_track", 35),
        ("moov_testdata/network_management_message_with_track", 35),
        ("moov_fuzz/seed_0800", 7),
    ],
)
def test_a_record_that_is_wrong_is_refused_at_the_element_that_is(
    records: list[Record], name: str, element: int
) -> None:
    (record,) = (record for record in records if record["id"] == name)

    with pytest.raises(DecodeError) as refusal:
        PyisoCodec(ISO87_ASCII).decode(data_of(record))

    assert refusal.value.element == element


def test_a_response_indicator_has_five_characters_as_in_the_standard(records: list[Record]) -> None:
    (record,) = (record for record in records if record["id"] == "erl8583_ascii/fields_91_to_94")
    codec = PyisoCodec(ISO87_ASCII)

    message = codec.decode(data_of(record))

    assert message.elements == {91: "A", 92: "22", 93: "55555", 94: "DDDDDDD"}
    assert codec.encode(message) == data_of(record)


@pytest.mark.parametrize(
    ("name", "spec_file"),
    [
        pytest.param("visa-like", "pyiso8583_visa_base1.json", id="visa-like specification of a user"),
        pytest.param("mc-like", "pyiso8583_mastercard_cis.json", id="EBCDIC without a header"),
    ],
)
def test_a_plain_pyiso8583_specification_is_a_dialect(
    records: list[Record], vectors: Path, name: str, spec_file: str
) -> None:
    spec = json.loads((vectors / "specs" / spec_file).read_text())["spec"]
    codec = PyisoCodec(Dialect.from_pyiso8583(name, spec))
    for record in of_dialect(records, name):
        message = codec.decode(data_of(record))

        assert message.elements == elements_of(record), record["id"]
        assert codec.encode(message) == data_of(record), record["id"]
