"""Messages as people have them: hexadecimal or base64 as an argument, files of either or of raw bytes."""

import base64
import binascii
import sys
from pathlib import Path
from typing import Literal

from processor.values.errors import ConfigError

BYTES_MAX = 16 << 20  # more is a trace, not a message

Form = Literal["hex", "base64", "binary"]

_SPACE_AND_MARKS = str.maketrans("", "", " \t:-,")


def read_given(given: str, form: Form | None = None) -> list[bytes]:
    """What ``given`` names or is, one entry per line of text, or one for raw bytes.

    ``-`` is stdin; a path that exists is read; anything else is the text itself. Lines may be empty or
    comments (``#``). Without ``form`` each line is hexadecimal if it can be, else base64; a file that is no
    text is raw.

    Raises:
        ConfigError: nothing there, too much, or text that is neither; the text is never quoted.
    """
    data = _source(given)
    if len(data) > BYTES_MAX:
        raise ConfigError([f"more than {BYTES_MAX >> 20} MiB: this command is for messages"])
    text = None if form == "binary" else _as_text(data)
    if text is None:
        found = [data] if data else []
    else:
        lines = [line.partition("#")[0].strip() for line in text.splitlines()]
        found = [_line(number, line, form) for number, line in enumerate(lines, 1) if line]
    if not found:
        raise ConfigError(["nothing to read: give hexadecimal, base64, a file, or - for stdin"])
    return found


def _source(given: str) -> bytes:
    if given == "-":
        return sys.stdin.buffer.read(BYTES_MAX + 1)
    if _is_file(given):
        try:
            with Path(given).open("rb") as file:
                return file.read(BYTES_MAX + 1)
        except OSError as error:
            raise ConfigError([f"{given}: {error.strerror}"]) from None
    return given.encode()


def _is_file(given: str) -> bool:
    try:
        return Path(given).is_file()
    except (OSError, ValueError):  # too long or too odd for a path, as a message is
        return False


def _as_text(data: bytes) -> str | None:
    """The text, or None where the bytes are no text that a person wrote."""
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        return None
    return text if all(c.isprintable() or c in "\r\n\t" for c in text) else None


def _line(number: int, line: str, form: Form | None) -> bytes:
    if form != "base64":
        try:
            return bytes.fromhex(line.removeprefix("0x").translate(_SPACE_AND_MARKS))
        except ValueError:
            if form == "hex":
                raise ConfigError([f"line {number}: not hexadecimal"]) from None
    try:
        return base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise ConfigError(
        [f"line {number}: neither hexadecimal nor base64, nor a file; raw text needs --form binary"]
    )
