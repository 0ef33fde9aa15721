"""The format examples of ut-codec-payshield: keys under an unknown LMK, so only the shapes are tested."""

import json
from pathlib import Path

import pytest

from processor.hsm.commands import encode_request, encode_response, parse_request, parse_response
from processor.hsm.errors import ErrorCode
from processor.hsm.table import COMMANDS

BY_RESPONSE = {command.response_code: code for code, command in COMMANDS.items()}
NOT_BUILT = (b"S0", b"%0")  # key blocks and LMK identifiers
COUNTED = {"requests": 17, "refused requests": 10, "responses": 41}


@pytest.fixture
def examples(vectors: Path) -> list[bytes]:
    """Command or response code and body of every example of a command in the table."""
    path = vectors / "hsm" / "payshield_format_examples.json"
    read = json.loads(path.read_text(encoding="utf-8"))["vectors"]
    messages = [bytes.fromhex(example["wire_hex_without_length_prefix"])[4:] for example in read]
    return [m for m in messages if m[:2].decode() in COMMANDS.keys() | BY_RESPONSE.keys()]


def test_requests_are_read_and_written_back(examples: list[bytes]) -> None:
    requests = [m for m in examples if m[:2].decode() in COMMANDS]
    built = [m for m in requests if not any(mark in m for mark in NOT_BUILT)]

    for message in built:
        code = message[:2].decode()
        fields = parse_request(code, message[2:])
        assert isinstance(fields, dict), message[:2]
        assert encode_request(code, fields) == message
    assert (len(built), len(requests) - len(built)) == (COUNTED["requests"], COUNTED["refused requests"])


def test_requests_with_key_blocks_or_lmk_identifiers_are_refused(examples: list[bytes]) -> None:
    for message in examples:
        if message[:2].decode() in COMMANDS and any(mark in message for mark in NOT_BUILT):
            result = parse_request(message[:2].decode(), message[2:])
            assert result in {ErrorCode.INVALID_KEY_SCHEME, ErrorCode.INVALID_INPUT}, message[:2]


def test_responses_are_read_and_written_back(examples: list[bytes]) -> None:
    responses = [m for m in examples if m[:2].decode() in BY_RESPONSE and b"S0" not in m]

    for message in responses:
        code = BY_RESPONSE[message[:2].decode()]
        response = parse_response(code, message)
        result = (
            response.fields if response.error is ErrorCode.NO_ERROR and response.fields else response.error
        )
        assert encode_response(code, result) == message
    assert len(responses) == COUNTED["responses"]
