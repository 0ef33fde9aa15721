"""The command table: what a client writes, a server reads, byte for byte and error for error."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.hsm.commands import (
    Advice,
    encode_request,
    encode_response,
    parse_request,
    parse_response,
    request_writer,
)
from processor.hsm.errors import ErrorCode
from processor.hsm.fields import Field, Kind, digits, padded_digits
from processor.hsm.layout import Layout
from processor.hsm.table import COMMANDS
from processor.values.errors import HsmError

CVK = "U9B4934384B19946B040CD702B4D58145"
PVK = "X367930344805B1FAD6146EF4ED7502B3"
ZPK = "U1EF828AA8F6B80EB83E19FBC373F3A85"
CY = {"cvk": CVK, "cvv": "561", "pan": "4123456789012345", "expiry": "8701", "service_code": "101"}
EC = {
    "zpk": ZPK,
    "pvk": PVK,
    "pin_block": "91DDDA0A7C12CFAA",
    "pin_format": "01",
    "account": "550000025321",
    "pvki": "1",
    "pvv": "4402",
}
HEX = "0123456789ABCDEF"
WITHOUT_RAW_BYTES = [command for command in COMMANDS.values() if command.request.pattern is not None]


ALNUM = HEX + "GHIJKLMNOPQRSTUVWXYZ"


def blocks(letter: str, versions: str) -> st.SearchStrategy[str]:
    """Key fields that look like key blocks."""
    body = st.text(ALNUM, min_size=11, max_size=60)
    return st.builds(
        lambda version, rest: f"{letter}{version}{5 + len(rest):04}{rest}", st.sampled_from(versions), body
    )


KEYS = st.sampled_from(["", *"UXTY"]).flatmap(
    lambda scheme: st.text(
        HEX, min_size=(size := {"": 16, "T": 48, "Y": 48}.get(scheme, 32)), max_size=size
    ).map(scheme.__add__)
)
PAIRS = KEYS.map(lambda text: text * 2 if len(text) == 16 else text)
OTHER_KEYS = blocks("S", "01") | blocks("R", "ABCDE") | st.text(HEX, min_size=3, max_size=3).map("K".__add__)


def value_of(field: Field) -> st.SearchStrategy[str]:
    """Every value that a field may have."""
    match field.kind:
        case Kind.KEY:
            return KEYS | OTHER_KEYS
        case Kind.KEY_PAIR:
            return PAIRS | OTHER_KEYS
        case Kind.CHECK_VALUE | Kind.VALIDATION_DATA:
            return st.from_regex(field.kind.value, fullmatch=True, alphabet=ALNUM)
        case Kind.BYTES | Kind.COUNTED_BYTES | Kind.REMAINING_BYTES:
            most = min(field.most, 300)
            return st.binary(min_size=field.least, max_size=most).map(lambda raw: raw.hex().upper())
        case Kind.TEXT:
            printable = st.characters(min_codepoint=32, max_codepoint=126)
            return st.text(printable, min_size=field.least, max_size=field.most)
        case _:
            return st.text(ALPHABETS[field.kind], min_size=field.least, max_size=min(field.most, 300))


ALPHABETS = {
    Kind.DIGITS: HEX[:10],
    Kind.PADDED_DIGITS: HEX[:10] + "F",
    Kind.HEX: HEX,
    Kind.COUNTED_HEX: HEX,
    Kind.FILLED_DATA: HEX + "N",
}


@st.composite
def values_of(draw: st.DrawFn, layout: Layout) -> dict[str, str]:
    """Values of the fields that go together: conditions hold, optional groups come or not."""
    values: dict[str, str] = {}
    for field in layout.fields:
        if field.when is not None and not field.when.holds(values):
            continue
        if field.optional and not draw(st.booleans()):
            continue
        asked_for = {
            v for f in layout.fields if f.when and f.when.name == field.name for v in f.when.values or ()
        }
        special = st.sampled_from(sorted(asked_for)) if asked_for else st.nothing()
        values[field.name] = draw(special | value_of(field))
    return values


@pytest.mark.parametrize("code", COMMANDS)
@given(data=st.data())
def test_a_request_is_read_as_it_was_written(code: str, data: st.DataObject) -> None:
    fields = data.draw(values_of(COMMANDS[code].request))
    message = encode_request(code, fields)

    assert message[:2] == code.encode()
    assert parse_request(code, message[2:]) == fields


@pytest.mark.parametrize("code", COMMANDS)
@given(data=st.data())
def test_a_response_is_read_as_it_was_written(code: str, data: st.DataObject) -> None:
    fields = data.draw(values_of(COMMANDS[code].response))
    response = parse_response(code, encode_response(code, fields))

    assert (response.error, response.fields, response.done) == (ErrorCode.NO_ERROR, fields, True)


@pytest.mark.parametrize("code", COMMANDS)
@given(data=st.data())
def test_what_is_read_is_what_was_there(code: str, data: st.DataObject) -> None:
    """Whatever is accepted, however damaged, is written back to the same characters."""
    layout = COMMANDS[code].request
    sound = layout.write(data.draw(values_of(layout)))
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(sound))] * 2)))
    text = sound[:start] + data.draw(st.text(HEX + "NPUXTY;%\x19é\n", max_size=4)) + sound[end:]
    fields = layout.read(text)

    assert isinstance(fields, ErrorCode) or layout.write(fields) == text


@pytest.mark.parametrize("command", WITHOUT_RAW_BYTES, ids=lambda command: command.code)
@given(data=st.data())
def test_the_fast_writer_equals_the_general_one(command: Any, data: st.DataObject) -> None:
    fields = data.draw(values_of(command.request))

    if fields.keys() == set(command.request.usual):
        in_order = [fields[name] for name in command.request.usual]
        assert request_writer(command.code)(*in_order) == encode_request(command.code, fields)


@pytest.mark.parametrize("command", WITHOUT_RAW_BYTES, ids=lambda command: command.code)
@given(data=st.data())
def test_what_the_compiled_pattern_accepts_the_general_way_reads_the_same(
    command: Any, data: st.DataObject
) -> None:
    layout = command.request
    sound = layout.write(data.draw(values_of(layout)))
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(sound))] * 2)))
    text = sound[:start] + data.draw(st.text(HEX + "UXTY;%\x19é\n", max_size=4)) + sound[end:]
    match = layout.pattern.fullmatch(text)

    general = layout.read_by_field(text)

    if match is not None:
        assert isinstance(general, dict)
        assert tuple(general.values()) == match.groups()


@pytest.mark.parametrize("code", COMMANDS)
@given(body=st.binary(max_size=120))
def test_any_body_is_read_or_gives_a_documented_error(code: str, body: bytes) -> None:
    expected = {ErrorCode.INVALID_INPUT, ErrorCode.INVALID_KEY_SCHEME, ErrorCode.INVALID_DATA_LENGTH}
    result = parse_request(code, body)

    assert isinstance(result, dict) or result in expected


@pytest.mark.parametrize(
    ("code", "body", "expected"),
    [
        pytest.param("CY", b"", ErrorCode.INVALID_INPUT, id="an empty body"),
        pytest.param("CY", CVK.encode() + b"561;8701101", ErrorCode.INVALID_INPUT, id="no PAN"),
        pytest.param(
            "CY", CVK.encode() + b"5614123456789012345", ErrorCode.INVALID_INPUT, id="a PAN without its end"
        ),
        pytest.param(
            "CY", CVK.encode() + b"5614123456789012345;8701101X", ErrorCode.INVALID_INPUT, id="a byte left"
        ),
        pytest.param(
            "CY",
            CVK.lower().encode() + b"5614123456789012345;8701101",
            ErrorCode.INVALID_KEY_SCHEME,
            id="a scheme letter in lower case",
        ),
        pytest.param(
            "CY", b"S" + CVK[1:].encode() + b"561", ErrorCode.INVALID_INPUT, id="a key block cut short",
        ),
        pytest.param("B2", b"0003AB", ErrorCode.INVALID_DATA_LENGTH, id="fewer bytes than counted"),
        pytest.param("B2", b"0001AB", ErrorCode.INVALID_INPUT, id="more bytes than counted"),
        pytest.param("B2", b"00+1A", ErrorCode.INVALID_INPUT, id="a count that is no hex number"),
        pytest.param("B2", b"000", ErrorCode.INVALID_INPUT, id="a count cut short"),
        pytest.param("B2", b"000;", ErrorCode.INVALID_INPUT, id="a delimiter inside the count"),
        pytest.param("DG", PVK.encode() + b"01235500000253211", ErrorCode.INVALID_INPUT, id="a short PIN"),
        pytest.param("NC", b"0", ErrorCode.INVALID_INPUT, id="anything after a command without fields"),
        pytest.param("A0", b"0001U;0" + ZPK.encode() + b"U", ErrorCode.INVALID_INPUT, id="a ZMK in mode 0"),
        pytest.param("A0", b"1001U", ErrorCode.INVALID_INPUT, id="no ZMK in mode 1"),
        pytest.param("A0", b"1001U;" + ZPK.encode() + b"U", ErrorCode.INVALID_INPUT, id="half a group"),
        pytest.param("BU", b"FF1" + ZPK.encode() + b";001;0", ErrorCode.INVALID_INPUT, id="a cut group"),
        pytest.param("BU", b"FF1" + ZPK.encode(), ErrorCode.INVALID_INPUT, id="FF without a key type"),
        pytest.param("BU", b"FFFS0007", ErrorCode.INVALID_INPUT, id="the check value of half a key block"),
    ],
)  # fmt: skip
def test_malformed_requests(code: str, body: bytes, expected: ErrorCode) -> None:
    assert parse_request(code, body) is expected


def test_raw_bytes_are_never_searched_for_delimiters() -> None:
    raw = b";%00\x19U\xff\x00"

    assert parse_request("B2", b"0008" + raw) == {"data": raw.hex().upper()}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("cvv", "56", id="a CVV too short"),
        pytest.param("cvv", "56A", id="a CVV with a letter"),
        pytest.param("pan", "4123;8701101", id="a PAN with a delimiter"),
        pytest.param("pan", "41234567890", id="a PAN too short"),
        pytest.param("expiry", "87011", id="an expiry too long"),
        pytest.param("cvk", "U" + "Z" * 32, id="a key that is no hex number"),
        pytest.param("service_code", "\uff11\uff10\uff11", id="digits that are not ASCII"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name_and_never_quoted(name: str, value: str) -> None:
    fields = CY | {name: value}

    with pytest.raises(ValueError, match=f"field {name} ") as general:
        encode_request("CY", fields)
    with pytest.raises(ValueError, match=f"field {name} ") as fast:
        request_writer("CY")(*fields.values())

    assert value not in str(general.value) + str(fast.value)


def test_a_value_cannot_spill_into_its_neighbour() -> None:
    spilling = CY | {"cvv": "5614", "pan": "123456789012345"}

    with pytest.raises(ValueError, match="field cvv "):
        request_writer("CY")(*spilling.values())


@pytest.mark.parametrize("fields", [{"data": "41", "more": ""}, {}], ids=["one too many", "one missing"])
def test_field_names_must_be_the_rows(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="missing or unknown"):
        encode_request("B2", fields)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        pytest.param("CY", b"ED00", id="the reply to another command"),
        pytest.param("CY", b"CZ", id="no error code"),
        pytest.param("CY", b"CZ0", id="half an error code"),
        pytest.param("CY", b"CZ??", id="an error code nobody knows"),
        pytest.param("CY", b"CZ00X", id="fields where none belong"),
        pytest.param("DG", b"DH00", id="no fields where some belong"),
        pytest.param("DG", b"DH0044A2", id="fields of the wrong shape"),
        pytest.param("DG", b"DH104402", id="fields after an error"),
    ],
)
def test_a_reply_that_cannot_be_read_is_an_error(code: str, message: bytes) -> None:
    with pytest.raises(HsmError):
        parse_response(code, message)


@pytest.mark.parametrize(
    ("code", "message", "done"),
    [
        pytest.param("CY", b"CZ01", False, id="a wrong CVV"),
        pytest.param("EA", b"EB01", False, id="a wrong PIN"),
        pytest.param("EA", b"EB02", True, id="a right PIN with advice about the PVK"),
        pytest.param("CY", b"CZ02", False, id="the same code where it is no advice"),
    ],
)
def test_errors_and_advice_are_values(code: str, message: bytes, done: bool) -> None:
    response = parse_response(code, message)

    assert (response.error, response.done) == (ErrorCode(message[2:].decode()), done)


def test_fields_come_with_advice_and_not_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    warned = ErrorCode.KEY_LENGTH_ADVICE
    monkeypatch.setitem(COMMANDS, "DG", msgspec.structs.replace(COMMANDS["DG"], advice=frozenset({warned})))
    message = encode_response("DG", Advice(warned, {"pvv": "4402"}))

    response = parse_response("DG", message)

    assert message == b"DH024402"
    assert (response.error, response.fields, response.done) == (warned, {"pvv": "4402"}, True)
    with pytest.raises(HsmError):
        parse_response("DG", b"DH104402")


def test_a_response_prints_without_its_values() -> None:
    assert "4402" not in repr(parse_response("DG", b"DH004402"))


def test_published_requests_are_written_and_replies_read_byte_for_byte(vectors: Path) -> None:
    published = json.loads((vectors / "hsm" / "host_command_frames.json").read_text())["vectors"]
    assert len(published) == 29
    for vector in published:
        code, body = vector["command"], vector["request_body"].encode()
        fields = parse_request(code, body)
        assert isinstance(fields, dict), vector["id"]
        assert encode_request(code, fields) == code.encode() + body, vector["id"]
        response = parse_response(code, vector["response"].encode())
        result = response.fields if response.error is ErrorCode.NO_ERROR else response.error
        assert encode_response(code, result) == vector["response"].encode(), vector["id"]


def test_every_row_says_what_it_is_for() -> None:
    for code, command in COMMANDS.items():
        assert code == command.code
        assert len(command.code) == 2
        assert command.meaning
        assert command.source
        assert command.confidence in {"H", "M", "L"}


def test_only_fixed_fields_may_follow_a_deduced_length() -> None:
    with pytest.raises(AssertionError, match="only fixed fields"):
        Layout((padded_digits("pin", 4, 13), digits("pan", 12, 19, until=";")))
