"""Public sample messages, decoded and encoded byte for byte; they are read where they are, never copied."""

import json
from pathlib import Path
from typing import Any

import pytest

from processor.iso8583.codec import PyisoCodec
from processor.iso8583.dialect import Dialect
from processor.iso8583.framing import VISA_FRAME, Framer
from processor.iso8583.header import BASE1
from processor.iso8583.tables.visa_like import NESTED, VISA_LIKE

Record = dict[str, Any]

IN_SCOPE = {"visa_base1", "mastercard_cis"}
# Why the rest is not read yet. A new group in the file fails the test until it is put somewhere.
OUT_OF_SCOPE = {
    "nao1215_basei": "ISO87 ASCII host profile, not a dialect of ours yet",
    "nao1215_spec87ascii": "ISO87 ASCII host profile, not a dialect of ours yet",
    "moov_testdata": "ISO87 ASCII with other encodings per element; some carry empty numeric elements",
    "moov_fuzz": "a fuzz seed of another library",
    "jpos": "packager images of ISO 87, 93 and Postilion",
    "cardutil_ipm": "clearing files, not switch messages",
    "amex_gcag": "no dialect of ours",
    "erl8583_ascii": "one or two elements each, ISO87 ASCII",
    "erl8583_binary": "one or two elements each, ISO87 binary",
    "bassrehab_logical": "field values without a wire form",
    "isosim_logical": "field values without a wire form",
}


@pytest.fixture
def records(vectors: Path) -> list[Record]:
    lines = (vectors / "iso8583" / "messages.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def group(record: Record) -> str:
    return str(record["id"]).partition("/")[0]


def data_of(record: Record) -> bytes:
    """Header and message, without the frame's prefix."""
    return bytes.fromhex(record["frame_hex"])[record["message_offset"] :]


def elements_of(record: Record) -> dict[int, str]:
    return {int(key): value for key, value in record["decoded"].items() if key not in ("h", "t", "p", "1")}


def of_group(records: list[Record], name: str, count: int) -> list[Record]:
    found = [record for record in records if group(record) == name]
    assert len(found) == count
    return found


def test_every_group_of_records_is_read_or_said_to_be_out_of_scope(records: list[Record]) -> None:
    assert {group(record) for record in records} == IN_SCOPE | OUT_OF_SCOPE.keys()


def test_visa_frames_are_cut_and_their_headers_agree(records: list[Record]) -> None:
    chosen = of_group(records, "visa_base1", 5)
    framer = Framer(VISA_FRAME, 2048)
    framer.receive(b"".join(bytes.fromhex(record["frame_hex"]) for record in chosen))

    frames = framer.frames()

    assert frames == [data_of(record) for record in chosen]
    for frame, record in zip(frames, chosen, strict=True):
        BASE1.parse(frame)
        assert VISA_FRAME.frame(frame).hex().upper() == record["frame_hex"]


def test_visa_messages_decode_to_the_recorded_values_and_encode_to_the_same_bytes(
    records: list[Record],
) -> None:
    codec = PyisoCodec(VISA_LIKE)
    for record in of_group(records, "visa_base1", 5):
        message = codec.decode(data_of(record))

        assert message.header.hex().upper() == record["decoded"]["h"], record["id"]
        assert message.mti == record["decoded"]["t"], record["id"]
        assert message.elements == elements_of(record), record["id"]
        assert codec.encode(message) == data_of(record), record["id"]


def test_visa_nested_elements_are_read_whole_and_built_to_the_same_value(records: list[Record]) -> None:
    seen = set()
    for record in of_group(records, "visa_base1", 5):
        for element, layout in NESTED.items():
            value = elements_of(record).get(element)
            if value is not None:
                seen.add(element)
                assert layout.build(layout.read(value)) == value, (record["id"], element)

    assert seen == {62, 63, 126}


@pytest.mark.parametrize(
    ("name", "spec_file", "count"),
    [
        pytest.param("visa_base1", "pyiso8583_visa_base1.json", 5, id="visa-like specification of a user"),
        pytest.param("mastercard_cis", "pyiso8583_mastercard_cis.json", 1, id="EBCDIC without a header"),
    ],
)
def test_a_plain_pyiso8583_specification_is_a_dialect(
    records: list[Record], vectors: Path, name: str, spec_file: str, count: int
) -> None:
    spec = json.loads((vectors / "specs" / spec_file).read_text())["spec"]
    codec = PyisoCodec(Dialect.from_pyiso8583(name, spec))
    for record in of_group(records, name, count):
        message = codec.decode(data_of(record))

        assert message.elements == elements_of(record), record["id"]
        assert codec.encode(message) == data_of(record), record["id"]
