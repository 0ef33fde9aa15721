"""Messages of the host commands as values, both ways, by the rows of ``processor.hsm.table``.

A message here is command or response code plus body, without length and header (``framing`` adds those).
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from processor.hsm.errors import ErrorCode
from processor.hsm.layout import Fields
from processor.hsm.table import COMMANDS
from processor.values.errors import HsmError

CODE_CHARACTERS = 2


class Advice(NamedTuple):
    """A command that did its work and warns; the error is one of its row's ``advice``."""

    error: ErrorCode
    fields: Fields


class Response(msgspec.Struct, frozen=True):
    """What a command came back with.

    ``done`` is true for NO_ERROR and for the command's advice; ``fields`` is empty unless it is.
    """

    error: ErrorCode
    fields: Fields
    done: bool

    def __repr__(self) -> str:
        return f"Response({self.error.value}, {sorted(self.fields)})"


_ERRORS = {code.value.encode(): code for code in ErrorCode}
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

    Errors: AssertionError for a row with raw bytes or fields that are not always there; later as that.

    >>> request_writer("DG")("U" + "0" * 32, "01234", "550000025321", "1")[-20:]
    b'00012345500000253211'
    """
    return COMMANDS[code].request.writer(code)


def parse_request(code: str, body: bytes) -> Fields | ErrorCode:
    """The fields of a request's body, or the error to answer with; never raises for a known command."""
    return COMMANDS[code].request.read(body.decode("latin-1"))


def encode_response(code: str, result: Fields | ErrorCode | Advice) -> bytes:
    """The message that answers the command ``code`` with its response fields, an error or an advice.

    >>> encode_response("CY", ErrorCode.VERIFICATION_FAILED)
    b'CZ01'
    """
    command = COMMANDS[code]
    if isinstance(result, ErrorCode):
        return (command.response_code + _ERROR_TEXTS[result]).encode("ascii")
    error, fields = result if isinstance(result, Advice) else (ErrorCode.NO_ERROR, result)
    return (command.response_code + _ERROR_TEXTS[error] + command.response.write(fields)).encode("latin-1")


def parse_response(code: str, message: bytes) -> Response:
    """What the command ``code`` was answered with.

    Errors: HsmError when the message answers something else, or its error code or fields cannot be read.
    """
    command = COMMANDS[code]
    error = _ERRORS.get(message[CODE_CHARACTERS:4])
    if message[:CODE_CHARACTERS] != command.response_code.encode() or error is None:
        raise HsmError(f"{code}: the reply has an unexpected response or error code")
    done = error is ErrorCode.NO_ERROR or error in command.advice
    if not done or not command.response.fields:
        if len(message) > 4:
            raise HsmError(f"{code}: the reply has fields where none belong")
        return Response(error, {}, done)
    fields = command.response.read(message[4:].decode("latin-1"))
    if isinstance(fields, ErrorCode):
        raise HsmError(f"{code}: the reply's fields cannot be read")
    return Response(error, fields, done)
