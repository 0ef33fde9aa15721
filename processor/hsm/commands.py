"""The host commands, one row each; the client's encoder and the emulator's parser both come from the row.

A message here is command or response code plus body, without length and header (``framing`` adds those).
Layouts follow public implementations: nickntg/thalessimulatorlibrary and softwaregroup-bg/ut-codec-payshield;
the published request and response pairs of the former pin them.
"""

from collections.abc import Callable, Mapping

import msgspec

from processor.hsm.errors import ErrorCode
from processor.hsm.fields import (
    Field,
    counted_bytes,
    digits,
    hexadecimal,
    key,
    key_pair,
    padded_digits,
    remaining_bytes,
)
from processor.hsm.layout import Fields, Layout
from processor.values.errors import HsmError

CODE_CHARACTERS = 2


class Command(msgspec.Struct, frozen=True):
    """A host command: its code, what it does, the fields both ways and where they are described."""

    code: str
    meaning: str
    request: Layout
    response: Layout
    source: str

    @property
    def response_code(self) -> str:
        """The code with its second character raised by one: CY is answered CZ."""
        return self.code[0] + chr(ord(self.code[1]) + 1)


class Response(msgspec.Struct, frozen=True):
    """What a command came back with; ``fields`` is empty unless ``error`` is NO_ERROR."""

    error: ErrorCode
    fields: Fields

    def __repr__(self) -> str:
        return f"Response({self.error.value}, {sorted(self.fields)})"


def _row(code: str, meaning: str, request: list[Field], response: list[Field], source: str) -> Command:
    return Command(code, meaning, Layout(tuple(request)), Layout(tuple(response)), source)


_ROWS = (
    _row(
        "B2",
        "echo the data",
        request=[counted_bytes("data", 4)],
        response=[remaining_bytes("data")],
        source="nickntg, ut-codec-payshield",
    ),
    _row(
        "BA",
        "encrypt a clear PIN under the LMK (authorised state only)",
        request=[padded_digits("pin", 4, 13), digits("account", 12)],
        response=[digits("pin_under_lmk", 5, 13)],
        source="nickntg",
    ),
    _row(
        "CY",
        "verify a card verification value (CVV, CVV2 with service code 000, iCVV with 999)",
        request=[
            key_pair("cvk"),
            digits("cvv", 3),
            digits("pan", 12, 19, until=";"),
            digits("expiry", 4),
            digits("service_code", 3),
        ],
        response=[],
        source="nickntg, ut-codec-payshield",
    ),
    _row(
        "DG",
        "make a PIN verification value from a PIN under the LMK",
        request=[key_pair("pvk"), digits("pin_under_lmk", 5, 13), digits("account", 12), digits("pvki", 1)],
        response=[digits("pvv", 4)],
        source="nickntg",
    ),
    _row(
        "EC",
        "verify a PIN block under a zone PIN key against a PIN verification value",
        request=[
            key("zpk"),
            key_pair("pvk"),
            hexadecimal("pin_block", 16),
            digits("pin_format", 2),
            digits("account", 12),
            digits("pvki", 1),
            digits("pvv", 4),
        ],
        response=[],
        source="nickntg, ut-codec-payshield",
    ),
)

COMMANDS: dict[str, Command] = {command.code: command for command in _ROWS}
"""Every command by its code."""

_ERRORS = {code.value.encode(): code for code in ErrorCode}
_WITHOUT_FIELDS = {code: Response(code, {}) for code in ErrorCode}
_ERROR_TEXTS: dict[ErrorCode, str] = {code: code.value for code in ErrorCode}


def encode_request(code: str, fields: Mapping[str, str]) -> bytes:
    """The message that asks for a command.

    Errors: KeyError for a command without a row; ValueError naming a field that does not fit.

    >>> encode_request("B2", {"data": "4142"})
    b'B20002AB'
    """
    return (code + COMMANDS[code].request.write(fields)).encode("latin-1")


def request_writer(code: str) -> Callable[..., bytes]:
    """``encode_request`` for one command at speed: values by position, in the order of the row.

    >>> request_writer("DG")("U" + "0" * 32, "01234", "550000025321", "1")[-20:]
    b'00012345500000253211'
    """
    return COMMANDS[code].request.writer(code)


def parse_request(code: str, body: bytes) -> Fields | ErrorCode:
    """The fields of a request's body, or the error to answer with; never raises for a known command."""
    return COMMANDS[code].request.read(body.decode("latin-1"))


def encode_response(code: str, result: Fields | ErrorCode) -> bytes:
    """The message that answers the command ``code`` with its response fields or an error.

    >>> encode_response("CY", ErrorCode.VERIFICATION_FAILED)
    b'CZ01'
    """
    command = COMMANDS[code]
    if isinstance(result, ErrorCode):
        return (command.response_code + _ERROR_TEXTS[result]).encode("ascii")
    return f"{command.response_code}00{command.response.write(result)}".encode("latin-1")


def parse_response(code: str, message: bytes) -> Response:
    """What the command ``code`` was answered with.

    Errors: HsmError when the message answers something else, or its error code or fields cannot be read.
    """
    command = COMMANDS[code]
    error = _ERRORS.get(message[CODE_CHARACTERS:4])
    if message[:CODE_CHARACTERS] != command.response_code.encode() or error is None:
        raise HsmError(f"{code}: the reply has an unexpected response or error code")
    if error is not ErrorCode.NO_ERROR or not command.response.fields:
        if len(message) > 4:
            raise HsmError(f"{code}: the reply has fields where none belong")
        return _WITHOUT_FIELDS[error]
    fields = command.response.read(message[4:].decode("latin-1"))
    if isinstance(fields, ErrorCode):
        raise HsmError(f"{code}: the reply's fields cannot be read")
    return Response(error, fields)
