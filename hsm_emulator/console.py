"""Host commands as people type them, and exchanges as people read them: masked unless told otherwise.

A line is a command code and either its fields by name (``CY cvk=@cvk cvv=561 pan=4123456789012345 ...``,
values as the codec has them, raw bytes in hex digits, ``@name`` for a key of the key file) or its body as it
goes over the wire, in which a backslash, x and two hex digits stand for a byte.
"""

import re
import shlex
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from processor.hsm.commands import CODE_CHARACTERS, encode_request, parse_request, parse_response
from processor.hsm.errors import ErrorCode
from processor.hsm.fields import KEY_KINDS, Kind
from processor.hsm.framing import FRAME_BYTES_MAX
from processor.hsm.keys import KeyUnderLmk
from processor.hsm.layout import LMK, Fields, Layout
from processor.hsm.reference import page
from processor.hsm.table import COMMANDS
from processor.values.errors import ConfigError, HsmError

MESSAGE_BYTES_MAX = FRAME_BYTES_MAX - 255
"""Longest command, so that a header of any length has room in its frame."""

_CODE = re.compile("[A-Z0-9]{2}")
_FIELD = re.compile(r"\s*[a-z][a-z_0-9]*=")
_BYTE = re.compile(r"\\x([0-9A-Fa-f]{2})")

# fmt: off
_SHOWN = frozenset({
    "algorithm", "atc", "branch_height", "buffer_size", "card_key_method", "check_length", "check_value",
    "check_value_type", "count", "derivation", "expiry", "exportability", "firmware", "input_format",
    "key_type", "key_type_code", "key_version", "ksn_descriptor", "length", "length_flag", "lmk",
    "lmk_check_value", "lmk_scheme", "mac_size", "method", "mode", "mode_of_use", "network", "new_algorithm",
    "new_key_type", "new_ksn_descriptor", "new_mac_size", "new_mode", "new_padding", "new_pin_format",
    "optional_blocks", "other_firmware", "output_format", "padding", "pin_format", "pin_length",
    "pin_length_most", "psn", "pvki", "reserved", "response_code", "scheme", "service_code",
    "session_key_method", "sockets", "tmk_scheme", "usage", "version", "zmk_flag", "zmk_scheme",
})
# fmt: on
"""Fields that tell nothing of a card, a PIN or a key. Every other one is masked."""

_TAILED = frozenset({"pan", "account", "verification_account"})
_FIRST, _LAST = 6, 4


class Typed(NamedTuple):
    """A command that can be sent: its code, the whole message, and its fields if they can be read."""

    code: str
    message: bytes
    fields: Fields | None


class Exchange(msgspec.Struct, frozen=True):
    """A command and what it was answered, as it may be shown.

    ``done`` is true for 00 and for advice; ``problem`` says what is wrong with a reply that cannot be read.
    """

    command: str
    meaning: str
    sent: dict[str, str]
    answer: str
    error: str
    error_meaning: str
    done: bool
    fields: dict[str, str]
    problem: str = ""


def parse_line(line: str, keys: Mapping[str, KeyUnderLmk], lmk: str = "") -> Typed:
    """The command in a line. Errors: ConfigError, which names a field and never quotes a value."""
    text = line.strip()
    code, body = text[:CODE_CHARACTERS], text[CODE_CHARACTERS:]
    if _CODE.fullmatch(code) is None:
        raise ConfigError(["a command begins with its code, two capital letters or digits"])
    if code in COMMANDS and _FIELD.match(body):
        return _by_fields(code, body, keys, lmk)
    message = code.encode("ascii") + _bytes(body.removeprefix(" "))
    message += f"%{lmk}".encode("ascii") if lmk else b""
    read = parse_request(code, message[CODE_CHARACTERS:]) if code in COMMANDS else None
    return _sized(Typed(code, message, read if isinstance(read, dict) else None))


def _sized(typed: Typed) -> Typed:
    """Errors: ConfigError for a message that no frame can hold."""
    if len(typed.message) > MESSAGE_BYTES_MAX:
        raise ConfigError([f"{typed.code}: longer than {MESSAGE_BYTES_MAX} bytes"])
    return typed


def _by_fields(code: str, body: str, keys: Mapping[str, KeyUnderLmk], lmk: str) -> Typed:
    try:
        pairs = [word.partition("=") for word in shlex.split(body)]
    except ValueError as error:
        raise ConfigError([f"{code}: {error}"]) from None
    if not all(equals for _, equals, _ in pairs):
        raise ConfigError([f"{code}: after the first name=value, every word must be one"])
    fields = {name: _value(name, value, keys) for name, _, value in pairs}
    if len(fields) < len(pairs):
        raise ConfigError([f"{code}: a field is named twice"])
    if lmk:
        fields.setdefault(LMK, lmk)
    try:
        return _sized(Typed(code, encode_request(code, fields), fields))
    except ValueError as error:
        raise ConfigError([f"{code}: {error}; help {code} tells its fields"]) from None


def _value(name: str, value: str, keys: Mapping[str, KeyUnderLmk]) -> str:
    if not value.startswith("@"):
        return value
    key = keys.get(value[1:])
    if key is None:
        raise ConfigError([f"{name}: no such key in the key file (--keys)"])
    return key.value


def _bytes(text: str) -> bytes:
    try:
        return _BYTE.sub(lambda match: chr(int(match[1], 16)), text).encode("latin-1")
    except UnicodeEncodeError:
        raise ConfigError(["a character that is no byte"]) from None


def exchange(typed: Typed, reply: bytes, *, unsafe: bool = False) -> Exchange:
    """What was sent and what came back, by the rows of the table."""
    command = COMMANDS.get(typed.code)
    sent = {"body": _hidden(len(typed.message) - CODE_CHARACTERS)}
    if unsafe:
        sent = {"body": ascii(typed.message[CODE_CHARACTERS:].decode("latin-1"))}
    if command is not None and typed.fields is not None:
        sent = _shown(typed.fields, command.request, unsafe=unsafe)
    answer, error, meaning = _told(reply)
    shown = Exchange(
        typed.code,
        command.meaning if command else "not in the table",
        sent,
        answer,
        error,
        meaning,
        False,
        {},
    )
    if command is None:
        return shown
    try:
        response = parse_response(typed.code, reply)
    except HsmError as problem:
        return msgspec.structs.replace(shown, problem=str(problem))
    layout = command.response if response.done else command.diagnosis
    fields = _shown(response.fields, layout, unsafe=unsafe)
    return msgspec.structs.replace(shown, done=response.done, fields=fields)


def _told(reply: bytes) -> tuple[str, str, str]:
    """Response code, error code and its meaning, of whatever came back."""
    text = reply[: CODE_CHARACTERS + 2].decode("latin-1")
    answer, error = ascii(text[:CODE_CHARACTERS])[1:-1], ascii(text[CODE_CHARACTERS:])[1:-1]
    return answer, error, meaning_of(error) or "not a known error code"


def meaning_of(error: str) -> str:
    """What an error code means; empty for one that is not known."""
    return next((code.meaning for code in ErrorCode if code.value == error), "")


def _shown(fields: Fields, layout: Layout, *, unsafe: bool) -> dict[str, str]:
    kinds = {field.name: field.kind for field in layout.fields}
    return {name: value if unsafe else masked(name, value, kinds.get(name)) for name, value in fields.items()}


def masked(name: str, value: str, kind: Kind | None) -> str:
    """A field's value as it may be shown.

    >>> masked("pan", "4000001234567899", Kind.DIGITS), masked("cvv", "123", Kind.DIGITS)
    ('400000******7899', '(3 characters)')
    """
    if name in _SHOWN:
        return value
    if name in _TAILED:
        first = _FIRST if name == "pan" and len(value) > _FIRST + _LAST else 0
        return value[:first] + "*" * (len(value) - first - _LAST) + value[-_LAST:]
    scheme = f"{value[:1]}… " if kind in KEY_KINDS and value[:1] in set("UXTYSRK") else ""
    return scheme + _hidden(len(value))


def _hidden(length: int) -> str:
    return f"({length} characters)"


def lines(told: Exchange) -> list[str]:
    """An exchange for a terminal."""
    advised = " (advice: it was done)" if told.done and told.error != ErrorCode.NO_ERROR.value else ""
    rows = [f"{told.command}  {told.meaning}", *_rows(told.sent)]
    rows += [f"{told.answer}  {told.error}: {told.error_meaning}{advised}", *_rows(told.fields)]
    return rows + ([f"    {told.problem}"] if told.problem else [])


def _rows(fields: Mapping[str, str]) -> list[str]:
    width = max(map(len, fields), default=0)
    return [f"    {name:<{width}}  {value}" for name, value in fields.items()]


def help_on(topic: str) -> str:
    """What there is to know about a command code or an error code; about the console for anything else."""
    known = []
    if topic in COMMANDS:
        known.append({text[:CODE_CHARACTERS]: text.rstrip() for text in page().split("\n## ")}[topic])
    if meaning := meaning_of(topic):
        known.append(f"error {topic}: {meaning}")
    if known:
        return "\n".join(known)
    commands = [f"  {code}  {command.meaning}" for code, command in COMMANDS.items()]
    return "\n".join([_HELP, *commands])


_HELP = """CODE name=value ...   a command by its fields; raw bytes in hex digits, @name is a key of --keys
CODE body             a command as it goes over the wire; \\x1F is one byte
help CODE             the fields of a command; help 15: what an error code means
quit                  the end
"""
