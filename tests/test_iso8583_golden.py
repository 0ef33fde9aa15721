"""Golden messages: one line per part of the frame, its bytes in hex and, as a comment, what they say.

The comments are the expected values, so that each file can be checked by eye against the element table.
"""

import re
from pathlib import Path

import pytest

from processor.iso8583.codec import PyisoCodec
from processor.iso8583.describe import describe
from processor.iso8583.framing import VISA_FRAME, Framer
from processor.iso8583.header import BASE1
from processor.iso8583.message import Message
from processor.iso8583.tables.visa_like import NESTED, VISA_LIKE

FOLDER = Path(__file__).parent / "golden"
FILES = sorted(FOLDER.glob("visa_*.hex"))
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


def test_there_are_golden_messages_of_every_kind() -> None:
    assert {parse(path)[1].mti for path in FILES} == {
        "0100", "0110", "0120", "0420", "0430", "0800", "0810",
    }  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_golden_message_is_read_as_it_says_and_written_to_the_same_bytes(path: Path) -> None:
    stream, stated = parse(path)
    codec = PyisoCodec(VISA_LIKE)
    framer = Framer(VISA_FRAME, 2048)
    framer.receive(stream)

    (data,) = framer.frames()
    BASE1.check(data)
    message = codec.decode(data)

    assert describe(message, VISA_LIKE) == describe(stated, VISA_LIKE)
    assert message == stated
    assert VISA_FRAME.frame(codec.encode(stated)) == stream


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_nested_elements_of_a_golden_message_are_read_and_built(path: Path) -> None:
    elements = parse(path)[1].elements
    for number in NESTED.keys() & elements.keys():
        layout = NESTED[number]

        assert layout.build(layout.read(elements[number])) == elements[number]
