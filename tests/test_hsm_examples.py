"""The format examples of ut-codec-payshield: keys under an unknown LMK, so only the shapes are tested."""

import json
from pathlib import Path
from typing import Any

import pytest

from processor.hsm.commands import (
    Advice,
    Diagnosis,
    encode_request,
    encode_response,
    parse_request,
    parse_response,
)
from processor.hsm.errors import ErrorCode
from processor.hsm.table import COMMANDS
from processor.values.errors import HsmError

BY_RESPONSE = {command.response_code: code for code, command in COMMANDS.items()}
NOT_READ = {
    "generateKey-Encode-3": "a flag without its delimiter in front of a key block",
    "encryptDataBlock-Encode-2": "the count is of bytes, in the other examples of characters",
    "decryptDataBlock-Encode-3": "the count is of bytes, in the other examples of characters",
    "verifyOffsetIbmDukpt-Encode-1": "a PIN check with a MAC, whose fields no source explains",
    "verifyOffsetIbmDukpt-Decode-0": "the answer to it",
    "verifyOffsetIbmDukpt-Decode-1": "the answer to it",
    "importKey-Decode-6": "advice without its fields; upstream cannot read it either",
    "importKey-Decode-7": "no error code; upstream cannot read it either",
}


@pytest.fixture
def examples(vectors: Path) -> dict[str, bytes]:
    """Command or response code and body of every example, by its name."""
    path = vectors / "hsm" / "payshield_format_examples.json"
    read: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["vectors"]
    return {example["id"]: bytes.fromhex(example["wire_hex_without_length_prefix"])[4:] for example in read}


def test_every_example_is_of_a_command_in_the_table(examples: dict[str, bytes]) -> None:
    assert len(examples) == 289
    assert all(m[:2].decode() in COMMANDS.keys() | BY_RESPONSE.keys() for m in examples.values())


def test_requests_are_read_and_written_back(examples: dict[str, bytes]) -> None:
    requests = {name: m for name, m in examples.items() if m[:2].decode() in COMMANDS}
    for name, message in requests.items():
        code = message[:2].decode()
        fields = parse_request(code, message[2:])
        assert isinstance(fields, dict) == (name not in NOT_READ), name
        if isinstance(fields, dict):
            assert encode_request(code, fields) == message, name
    assert len(requests) == 105


def test_responses_are_read_and_written_back(examples: dict[str, bytes]) -> None:
    responses = {name: m for name, m in examples.items() if m[:2].decode() in BY_RESPONSE}
    for name, message in responses.items():
        code = BY_RESPONSE[message[:2].decode()]
        if name in NOT_READ:
            with pytest.raises(HsmError):
                parse_response(code, message)
        else:
            assert written_back(code, message) == message, name
    assert len(responses) == 184


def written_back(code: str, message: bytes) -> bytes:
    response = parse_response(code, message)
    if response.error is ErrorCode.NO_ERROR:
        return encode_response(code, response.fields)
    if not response.fields:
        return encode_response(code, response.error)
    with_fields = Advice(response.error, response.fields) if response.done else Diagnosis(response.fields)
    return encode_response(code, with_fields)
