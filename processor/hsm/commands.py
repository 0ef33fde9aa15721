"""Messages of the host commands as values, both ways, by the rows of ``processor.hsm.table``.

A message here is command or response code plus body, without length and header (``framing`` adds those).
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from processor.hsm.errors import ErrorCode
from processor.hsm.layout import Fields, Layout
from processor.hsm.table import COMMANDS
from processor.hsm.tables.row import Command
from processor.values.errors import HsmError

CODE_CHARACTERS = 2


class Advice(NamedTuple):
    """A command that did its work and warns; the error is one of its row's ``advice``."""

    error: ErrorCode
    fields: Fields


class Diagnosis(NamedTuple):
    """A verification that failed, with what would have been right; for the authorised state."""

    fields: Fields


class Response(msgspec.Struct, frozen=True):
    """What a command came back with.

    ``done`` is true for NO_ERROR and for the command's advice; ``fields`` is empty unless it is, or unless a
    failed verification came with a diagnosis.
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

    Only the row's usual fields (``Layout.usual``). Errors: AssertionError for a row with raw bytes; later as
    that.

    >>> request_writer("DG")("U" + "0" * 32, "01234", "550000025321", "1")[-20:]
    b'00012345500000253211'
    """
    return COMMANDS[code].request.writer(code)


def parse_request(code: str, body: bytes) -> Fields | ErrorCode:
    """The fields of a request's body, or the error to answer with; never raises for a known command."""
    return COMMANDS[code].request.read(body.decode("latin-1"))


def encode_response(code: str, result: Fields | ErrorCode | Advice | Diagnosis) -> bytes:
    """The message that answers the command ``code`` with its response fields, an error, advice or diagnosis.

    >>> encode_response("CY", ErrorCode.VERIFICATION_FAILED)
    b'CZ01'
    """
    command = COMMANDS[code]
    if isinstance(result, ErrorCode):
        return (command.response_code + _ERROR_TEXTS[result]).encode("ascii")
    if isinstance(result, Diagnosis):
        error, layout, fields = ErrorCode.VERIFICATION_FAILED, command.diagnosis, result.fields
    else:
        layout = command.response
        error, fields = result if isinstance(result, Advice) else (ErrorCode.NO_ERROR, result)
    return (command.response_code + _ERROR_TEXTS[error] + layout.write(fields)).encode("latin-1")


def parse_response(code: str, message: bytes, trailer: str = "") -> Response:
    """What the command ``code`` was answered with; ``trailer`` is the one that was sent, and comes back.

    Errors: HsmError when the message answers something else, or its error code or fields cannot be read.
    """
    command = COMMANDS[code]
    end = b"\x19" + trailer.encode("ascii") if trailer else b""
    if not message.endswith(end):
        raise HsmError(f"{code}: the reply has not the trailer of the request")
    message = message.removesuffix(end)
    error = _ERRORS.get(message[CODE_CHARACTERS:4])
    if message[:CODE_CHARACTERS] != command.response_code.encode() or error is None:
        raise HsmError(f"{code}: the reply has an unexpected response or error code")
    done = error is ErrorCode.NO_ERROR or error in command.advice
    layout = _layout_of(command, error, done=done)
    if not layout.fields or (len(message) == 4 and not done):
        if len(message) > 4:
            raise HsmError(f"{code}: the reply has fields where none belong")
        return Response(error, {}, done)
    fields = layout.read(message[4:].decode("latin-1"))
    if isinstance(fields, ErrorCode):
        raise HsmError(f"{code}: the reply's fields cannot be read")
    return Response(error, fields, done)


_NOTHING = Layout(())


def _layout_of(command: Command, error: ErrorCode, *, done: bool) -> Layout:
    """Which fields may come with an error code."""
    if done:
        return command.response
    return command.diagnosis if error is ErrorCode.VERIFICATION_FAILED else _NOTHING
