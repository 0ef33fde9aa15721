"""The compiled codec against pyiso8583, byte for byte and element for element, refusals included."""

import importlib
import json
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iso8583.specs import default, default_ascii

from processor.iso8583 import tables
from processor.iso8583.codec import Codec, PyisoCodec
from processor.iso8583.compiled import CompiledCodec
from processor.iso8583.dialect import Dialect
from processor.iso8583.elements import BCD, EBCDIC, HEX, Element
from processor.iso8583.message import Message
from processor.values.errors import ConfigError, DecodeError

NEVER = 10**9


def shipped() -> dict[str, Dialect]:
    """Every dialect in a table module."""
    modules = [
        importlib.import_module(f"{tables.__name__}.{m.name}") for m in pkgutil.iter_modules(tables.__path__)
    ]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Dialect)]
    return {dialect.name: dialect for dialect in found}


def row(data: str, length: int, prefix: int = 0, prefix_encoding: str = "b") -> dict[str, Any]:
    """A row of a user's specification."""
    encodings = {"data_enc": data, "len_enc": prefix_encoding}
    return {**encodings, "len_type": prefix, "max_len": length, "desc": ""}


def odd(row: dict[str, Any], **pads: str) -> dict[str, Any]:
    """The row counting nibbles, with these pads."""
    return {**row, "len_count": "nibbles", **pads}


# What no shipped table has: every kind of prefix, pad and encoding that a specification can ask for.
UNUSUAL: dict[str, dict[str, Any]] = {
    **{key: default_ascii[key] for key in ("h", "t")},
    "p": row("b", 8),
    "1": row("ascii", 16),
    "2": odd(row("b", 19, 1, "bcd"), right_pad="F"),
    "3": odd(row("b", 5), right_pad="0"),
    "4": odd(row("b", 11), left_pad="F"),
    "5": odd(row("b", 12, 2, "ascii"), left_pad="0", right_pad="F"),
    "6": odd(row("b", 8)),
    "7": row("b", 5),
    "11": row("ascii", 6, 2, "bcd"),
    "32": row("cp500", 11, 2, "cp037"),
    "33": row("latin-1", 300, 2, "b"),
    "35": odd(row("b", 37, 1, "b"), left_pad="0"),
    "36": row("ascii", 20),
    "37": row("ascii", 12),
    "38": row("cp1250", 6),
    "39": row("cp1140", 4),
    "40": row("ascii", 3, 1, "b"),
    "41": row("cp273", 80, 2, "ascii"),
    "42": row("cp1252", 20, 2, "iso8859-15"),
    "43": row("ascii", 40, 3, "ascii"),
    "45": odd(row("ascii", 99, 1, "b")),
    "46": row("koi8-r", 30, 1, "b"),
    "47": row("latin-1", 20_000, 5, "ascii"),
    "48": row("b", 9, 1, "ascii"),
    "52": row("b", 8),
    "53": row("b", 0),
    "54": row("ascii", 0, 2, "ascii"),
    "55": row("b", 999, 2, "bcd"),
    "60": odd(row("b", 9), left_pad="0"),
    "61": odd(row("b", 8)),
    "62": row("cp037", 5),
    "63": row("latin-1", 3),
    "66": row("ascii", 30, 1, "ascii"),
    "70": row("ascii", 3),
    "128": row("b", 8),
    "130": row("ascii", 5),
    "192": row("b", 1),
}

DIALECTS = {
    **shipped(),
    "a user's, ASCII": Dialect.from_pyiso8583("ascii", default_ascii),
    "a user's, BCD": Dialect.from_pyiso8583("bcd", default),
    "a user's, unusual": Dialect.from_pyiso8583("unusual", UNUSUAL),
}
REFERENCE = {name: PyisoCodec(dialect) for name, dialect in DIALECTS.items()}
INTERPRETED = {name: CompiledCodec(dialect, worth_it=NEVER) for name, dialect in DIALECTS.items()}

DIGITS = "0123456789"
TEXT = DIGITS + "ABCxyz"
CHARACTERS = {
    "n": DIGITS,
    "[n]": DIGITS,
    "an": TEXT,
    "anp": TEXT + " ",
    "ans": TEXT + " /=*.,-",
    "z": DIGITS + "D",
    "hex": DIGITS + "ABCDEF",
    "any": TEXT + "\0\x1c ~",
}
DATES = {
    "MMDDhhmmss": ["0101000000", "1231235959"],
    "hhmmss": ["000000", "235959", "120000"],
    "MMDD": ["0101", "1231", "0000"],
    "YYMM": ["0001", "9912", "0000"],
    "YYMMDD": ["000101", "991231", "000000"],
    "YYMMDDhhmmss": ["000101000000", "991231235959"],
}
TRACKS = ["4000001234567899D30121010000", "400000123456D3012101"]


def values_of(element: Element) -> st.SearchStrategy[str]:
    """Values that the row should allow; the codecs have the last word."""
    if element.date:
        return st.sampled_from(DATES[element.date])
    if element.number == 35:
        text = element.encoding != BCD
        return st.sampled_from([*TRACKS, *(track.replace("D", "=") for track in TRACKS if text)])
    fixed = element.prefix.length_bytes == 0
    most = element.length if fixed else min(element.length, 40)
    least = most if fixed else 0 if element.alphabet in ("[n]", "ans", "any", "b") else 1
    if element.alphabet == "b" or element.encoding == HEX:
        return st.binary(min_size=least, max_size=most).map(lambda data: data.hex().upper())
    if "x" in element.alphabet.split("+")[0] and "+" in element.alphabet:
        digits = st.text(DIGITS, min_size=max(least - 1, 1), max_size=most - 1)
        return st.tuples(st.sampled_from("CD"), digits).map("".join)
    values = st.text(CHARACTERS[element.alphabet], min_size=least, max_size=most)
    whole_bytes = element.encoding == BCD and element.prefix.counts_bytes
    return values.map(lambda value: "0" * (len(value) % 2) + value) if whole_bytes else values


def assigned(dialect: Dialect) -> list[Element]:
    return [element for element in dialect.elements.values() if element.alphabet != "-"]


@st.composite
def messages(draw: st.DrawFn, name: str) -> Message:
    """A header, an MTI and some elements, in any order."""
    dialect = DIALECTS[name]
    chosen = draw(st.lists(st.sampled_from(assigned(dialect)), max_size=14, unique=True))
    elements = {row.number: draw(values_of(row)) for row in chosen}
    header = draw(st.binary(min_size=dialect.header.length_bytes, max_size=dialect.header.length_bytes))
    return Message(header, draw(st.sampled_from(sorted(dialect.mtis))), elements)


def written(codec: Codec, message: Message) -> bytes | None:
    """The bytes, or None if it cannot be written."""
    try:
        return codec.encode(message)
    except ValueError as error:
        assert type(error) is ValueError  # noqa: PT017 - or it is written
        assert error.__context__ is None  # noqa: PT017
        return None


def read(codec: Codec, data: bytes) -> Message | DecodeError:
    try:
        return codec.decode(data)
    except DecodeError as error:
        return error


def assert_agreed(reference: Message | DecodeError, ours: Message | DecodeError, data: bytes) -> None:
    """Both read the same, or refuse the same element with the same partial message, but for the table."""
    if isinstance(reference, Message):
        assert ours == reference
        assert list(ours.elements) == list(reference.elements)
        return
    if reference.rule.startswith("the pad of an odd") and (
        isinstance(ours, Message) or (ours.element, ours.rule) != (reference.element, reference.rule)
    ):
        _assert_filler(reference, ours, data)
        return
    assert isinstance(ours, DecodeError)
    assert (ours.element, ours.mti) == (reference.element, reference.mti)
    assert {
        n: v for n, v in ours.partial.items() if n < ours.element or n in reference.partial
    } == reference.partial
    if ours.rule == "its length is not written in digits":
        return
    assert ours.rule == reference.rule
    if ours.rule != "a bitmap is not hexadecimal":
        assert ours.offset == reference.offset


def _assert_filler(reference: DecodeError, ours: Message | DecodeError, data: bytes) -> None:
    """Ours took an F at either end for the pad, and went on."""
    elements = ours.elements if isinstance(ours, Message) else ours.partial
    assert elements.items() >= reference.partial.items()
    at = reference.offset
    if reference.element in elements:
        digits = len(elements[reference.element])
        raw = data[at : at + (digits + 1) // 2].hex().upper()
        assert elements[reference.element] in (raw[1:], raw[:-1])
        assert "F" in (raw[0], raw[-1])


@pytest.mark.parametrize("name", DIALECTS)
@given(data=st.data())
def test_what_is_written_and_read_is_the_same(name: str, data: st.DataObject) -> None:
    message = data.draw(messages(name))
    wire = written(REFERENCE[name], message)
    compiled = CompiledCodec(DIALECTS[name], worth_it=1)

    for codec in (INTERPRETED[name], compiled, compiled):
        assert written(codec, message) == wire
    if wire is None:
        return
    for codec in (INTERPRETED[name], compiled, compiled):
        assert_agreed(read(REFERENCE[name], wire), read(codec, wire), wire)


@pytest.mark.parametrize("name", DIALECTS)
@given(data=st.data())
def test_what_is_refused_is_the_same(name: str, data: st.DataObject) -> None:
    dialect = DIALECTS[name]
    wire = written(REFERENCE[name], data.draw(messages(name)))
    if wire is None:
        return
    compiled = CompiledCodec(dialect, worth_it=1)
    read(compiled, wire)
    for _ in range(8):
        mutated = bytearray(wire)
        for _ in range(data.draw(st.integers(0, 2))):
            at = data.draw(st.integers(dialect.header.length_bytes, len(wire) - 1))
            mutated[at] = data.draw(
                st.integers(0, 255) | st.sampled_from(b"0123456789 +-_ABCDEFabcdef\xff\xf0\x40")
            )
        cut = len(wire) - data.draw(st.sampled_from([0, 0, 0, 1, 2, 9, 40]))
        changed = bytes(mutated[: max(cut, 0)]) + data.draw(st.sampled_from([b"", b"", b"", b"0"]))
        reference = read(REFERENCE[name], changed)
        for codec in (INTERPRETED[name], compiled):
            assert_agreed(reference, read(codec, changed), changed)


@pytest.mark.parametrize("name", DIALECTS)
@given(data=st.data())
def test_a_message_with_a_wrong_value_is_not_written_by_either(name: str, data: st.DataObject) -> None:
    message = data.draw(messages(name))
    compiled = CompiledCodec(DIALECTS[name], worth_it=1)
    written(compiled, message)
    for _ in range(4):
        if not message.elements:
            return
        number = data.draw(st.sampled_from(sorted(message.elements)))
        value = message.elements[number]
        wrong = data.draw(
            st.sampled_from(
                [value[:-1], value + "0", value + " ", value[:-1] + "\0", value[:-1] + "é", "²", "€", ""]
            )
        )
        changed = Message(message.header, message.mti, {**message.elements, number: wrong})

        assert written(compiled, changed) == written(REFERENCE[name], changed)


@settings(max_examples=300)
@pytest.mark.parametrize("name", DIALECTS)
@given(body=st.binary(max_size=120), mti=st.sampled_from(["0100", "0420"]))
def test_any_bytes_are_read_alike(name: str, body: bytes, mti: str) -> None:
    dialect = DIALECTS[name]
    encoding = dialect.spec["t"]["data_enc"]
    version = "0" if "0100" in dialect.mtis else "1"
    start = version + mti[1:]
    begin = bytes.fromhex(start) if encoding == "b" else start.encode(encoding)
    wire = bytes(dialect.header.length_bytes) + begin + body

    assert_agreed(read(REFERENCE[name], wire), read(INTERPRETED[name], wire), wire)


def test_every_public_vector_is_read_alike(vectors: Path) -> None:
    lines = (vectors / "iso8583" / "messages.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    wires = [bytes.fromhex(r["frame_hex"])[r["message_offset"] :] for r in records if r.get("frame_hex")]
    assert len(wires) > 60
    for name, dialect in DIALECTS.items():
        compiled = CompiledCodec(dialect, worth_it=1)
        for wire in wires * 2:
            reference = read(REFERENCE[name], wire)
            ours = read(compiled, wire)
            assert_agreed(reference, ours, wire)
            if isinstance(ours, Message) and isinstance(reference, Message):
                assert written(compiled, ours) == written(REFERENCE[name], ours)


def test_a_specification_that_a_user_brings_is_read_alike(vectors: Path) -> None:
    """All those that load at all; the vectors are read with each."""
    lines = (vectors / "iso8583" / "messages.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    wires = [bytes.fromhex(r["frame_hex"])[r["message_offset"] :] for r in records if r.get("frame_hex")]
    loaded = 0
    for path in sorted((vectors / "specs").glob("*.json")):
        spec: Mapping[str, Any] | None = json.loads(path.read_text()).get("spec")
        try:
            dialect = Dialect.from_pyiso8583(path.stem, spec or {})
        except (ConfigError, AttributeError, TypeError):
            continue
        loaded += 1
        reference, compiled = PyisoCodec(dialect), CompiledCodec(dialect, worth_it=1)
        for wire in wires * 2:
            assert_agreed(read(reference, wire), read(compiled, wire), wire)
    assert loaded >= 2


ASCII = DIALECTS["a user's, ASCII"]
VISA = DIALECTS["visa-like"]
VISA_START = bytes.fromhex("16010200204000011234560700000000000000000000" + "0100")


# One row per row of the table in processor/iso8583/compiled.py.
@pytest.mark.parametrize(
    ("dialect", "data", "reference", "ours"),
    [
        pytest.param(
            VISA,
            VISA_START + bytes.fromhex("4000000000000000" + "0F" + "400000123456789F"),
            (2, "the pad of an odd number of digits is wrong", 33, {}),
            {2: "400000123456789"},
            id="odd BCD with F at the end",
        ),
        pytest.param(
            VISA,
            VISA_START + bytes.fromhex("0000200000000000" + "F840"),
            (19, "the pad of an odd number of digits is wrong", 32, {}),
            {19: "840"},
            id="odd BCD with F at the beginning",
        ),
        pytest.param(
            ASCII,
            b"0100" + b"4000000000000000" + b"+512345",
            (2, "its length is not written in digits", 22, {}),
            (2, "its length is not written in digits", 20, {}),
            id="a length that is not digits",
        ),
        pytest.param(
            ASCII,
            b"0100" + b"8000000000000000" + b"0000 0000000 000",
            (0, "a bitmap is not hexadecimal", 4, {}),
            (0, "a bitmap is not hexadecimal", 20, {}),
            id="a second bitmap that is not hexadecimal",
        ),
        pytest.param(
            ASCII,
            b"0100" + b"4020000000000000" + b"0512X45" + b"000042",
            (2, "not digits only", 22, {}),
            (2, "not digits only", 22, {11: "000042"}),
            id="a wrong value",
        ),
        pytest.param(
            ASCII,
            b"0100" + b"1030000008000000" + b"00000X002500" + b"000042" + b"10X000" + b"632509000042",
            (4, "not digits only", 20, {}),
            (4, "not digits only", 20, {11: "000042", 37: "632509000042"}),
            id="two wrong values of fixed length",
        ),
        pytest.param(
            ASCII,
            b"0100" + b"5020000008000000" + b"0512X45" + b"00000X002500" + b"000042" + b"632509000042",
            (2, "not digits only", 22, {}),
            (2, "not digits only", 22, {11: "000042", 37: "632509000042"}),
            id="a wrong value whose length fits, and another",
        ),
        pytest.param(
            ASCII,
            b"0100" + b"5020000008000000" + b"0412X45" + b"000000002500" + b"000042" + b"632509000042",
            (2, "not digits only", 22, {}),
            (2, "not digits only", 22, {}),
            id="a wrong value whose length may be wrong",
        ),
        pytest.param(
            ASCII,
            b"0100" + b"1020000108000000" + b"00000X002500" + b"000042" + b"0312X" + b"632509000",
            (4, "not digits only", 20, {}),
            (4, "not digits only", 20, {11: "000042"}),
            id="behind a wrong value of fixed length, one whose length may be wrong",
        ),
        pytest.param(
            VISA,
            VISA_START + bytes.fromhex("0000200008000000" + "4840" + "F6F3F2F5F0F9F0F0F0F0F4F2"),
            (19, "the pad of an odd number of digits is wrong", 32, {}),
            (19, "the pad of an odd number of digits is wrong", 32, {37: "632509000042"}),
            id="a wrong pad",
        ),
    ],
)
def test_where_ours_differs_on_purpose(
    dialect: Dialect, data: bytes, reference: object, ours: object
) -> None:
    def said(codec: Codec) -> object:
        result = read(codec, data)
        if isinstance(result, Message):
            return result.elements
        return (result.element, result.rule, result.offset, result.partial)

    compiled = CompiledCodec(dialect, worth_it=1)

    assert said(PyisoCodec(dialect)) == reference
    assert [said(compiled), said(compiled)] == [ours, ours]


def test_a_filler_is_written_as_the_table_s_pad() -> None:
    compiled = CompiledCodec(VISA)
    message = compiled.decode(
        VISA_START + bytes.fromhex("4000200000000000" + "0F" + "400000123456789F" + "F840")
    )

    assert compiled.encode(message).hex().upper().endswith("0F" + "0400000123456789" + "0840")


def test_a_filler_where_the_table_s_own_pad_stands_is_no_pad() -> None:
    """A zero before, an F behind: the zero is the pad, and F is no digit."""
    error = read(CompiledCodec(VISA), VISA_START + bytes.fromhex("0000200000000000" + "084F"))

    assert isinstance(error, DecodeError)
    assert (error.element, error.rule) == (19, "not digits only")


def test_text_in_ebcdic_is_one_of_the_dialects() -> None:
    """So that the differential tests have each kind: EBCDIC, BCD, hexadecimal text, three bitmaps."""
    encodings = {element.encoding for dialect in shipped().values() for element in dialect.elements.values()}

    assert {EBCDIC, BCD, HEX} <= encodings
    assert max(dialect.bitmaps for dialect in shipped().values()) == 3
