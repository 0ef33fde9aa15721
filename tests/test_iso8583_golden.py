"""Golden messages: one line per part of the frame, its bytes in hex and, as a comment, what they say.

The comments are the expected values, so that each file can be checked by eye against the element table.
The first word of a file's name is its dialect.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from processor.iso8583.codec import PyisoCodec
from processor.iso8583.describe import describe
from processor.iso8583.dialect import Dialect
from processor.iso8583.framing import TWO_BYTE_FRAME, VISA_FRAME, Framer, FrameRule
from processor.iso8583.message import Message
from processor.iso8583.tables import iso87_ascii, iso87_binary, iso93_ascii, mc_like, visa_like
from processor.iso8583.tables.iso87_ascii import ISO87_ASCII, ISO87_ASCII_BINARY_BITMAP
from processor.iso8583.tables.iso87_binary import ISO87_BINARY
from processor.iso8583.tables.iso93_ascii import ISO93_ASCII
from processor.iso8583.tables.iso93_binary import ISO93_BINARY
from processor.iso8583.tables.iso93_ebcdic import ISO93_EBCDIC
from processor.iso8583.tables.mc_like import MC_LIKE
from processor.iso8583.tables.visa_like import NESTED, VISA_LIKE


class Kind(NamedTuple):
    """What a golden file is read with."""

    dialect: Dialect
    frame: FrameRule
    layouts: dict[int, Any]


KINDS = {
    "visa": Kind(VISA_LIKE, VISA_FRAME, NESTED | visa_like.LAYOUTS),
    "mc": Kind(MC_LIKE, TWO_BYTE_FRAME, mc_like.LAYOUTS),
    "iso87": Kind(ISO87_ASCII, TWO_BYTE_FRAME, iso87_ascii.LAYOUTS),
    "iso87b": Kind(ISO87_BINARY, TWO_BYTE_FRAME, iso87_ascii.LAYOUTS | iso87_binary.SIGNED_AMOUNTS),
    "iso87x": Kind(ISO87_ASCII_BINARY_BITMAP, TWO_BYTE_FRAME, iso87_ascii.LAYOUTS),
    "iso93": Kind(ISO93_ASCII, TWO_BYTE_FRAME, iso93_ascii.LAYOUTS),
    "iso93b": Kind(ISO93_BINARY, TWO_BYTE_FRAME, iso93_ascii.LAYOUTS),
    "iso93e": Kind(ISO93_EBCDIC, TWO_BYTE_FRAME, iso93_ascii.LAYOUTS),
}
FOLDER = Path(__file__).parent / "golden"
FILES = sorted(FOLDER.glob("*.hex"))
LINE = re.compile(r'([0-9A-F]+) +# (?:(frame|header|bitmap)|MTI (\d{4})|DE (\d+) "(.*)")')


def parse(path: Path) -> tuple[bytes, Message]:
    """The frame's bytes and the message that the comments state."""
    stream, header, mti = "", "", ""
    elements: dict[int, str] = {}
    for line in path.read_text().splitlines()[1:]:
        match = LINE.fullmatch(line)
        assert match, f"{path.name}: {line[:20]}"
        part, word, mti_text, number, value = match.groups()
        stream += part
        header = part if word == "header" else header
        mti = mti_text or mti
        if number:
            elements[int(number)] = value
    return bytes.fromhex(stream), Message(bytes.fromhex(header), mti, elements)


def kind_of(path: Path) -> Kind:
    return KINDS[path.name.partition("_")[0]]


@pytest.mark.parametrize(
    ("name", "mtis"),
    [
        pytest.param("visa", "0100 0110 0120 0420 0430 0800 0810", id="visa-like"),
        pytest.param("mc", "0100 0110 0120 0400 0800 0810", id="mc-like"),
        pytest.param("iso87", "0100 0110 0120 0200 0400 0800 0810", id="iso87-ascii"),
        pytest.param("iso87b", "0100 0110", id="iso87-binary"),
        pytest.param("iso87x", "0800", id="iso87-ascii-binary-bitmap"),
        pytest.param("iso93", "1100 1110 1420 1804", id="iso93-ascii"),
        pytest.param("iso93b", "1100", id="iso93-binary"),
        pytest.param("iso93e", "1100", id="iso93-ebcdic"),
    ],
)
def test_there_are_golden_messages_of_every_kind(name: str, mtis: str) -> None:
    found = {parse(path)[1].mti for path in FILES if path.name.startswith(f"{name}_")}

    assert found == set(mtis.split())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_golden_message_is_read_as_it_says_and_written_to_the_same_bytes(path: Path) -> None:
    stream, stated = parse(path)
    dialect, frame, _ = kind_of(path)
    codec = PyisoCodec(dialect)
    framer = Framer(frame, 2048)
    framer.receive(stream)

    (data,) = framer.frames()
    dialect.header.check(data)
    message = codec.decode(data)

    assert describe(message, dialect) == describe(stated, dialect)
    assert message == stated
    assert frame.frame(codec.encode(stated)) == stream


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_nested_elements_of_a_golden_message_are_read_and_built(path: Path) -> None:
    elements, layouts = parse(path)[1].elements, kind_of(path).layouts
    for number in layouts.keys() & elements.keys():
        layout = layouts[number]

        assert layout.build(layout.read(elements[number])) == elements[number]
