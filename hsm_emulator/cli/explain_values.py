"""What the subcommands of ``standin hsm explain`` are given: options, and lines of a file behind them."""

import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cyclopts

from hsm_emulator.explain.pin import Block
from hsm_emulator.explain.published import option_key, option_pan
from processor.values.errors import ConfigError


@cyclopts.Parameter(name="*")
@dataclass(frozen=True)
class Terms:
    """Whose keys and cards they are, and how to print.

    Args:
        given: More values, a line each as in ``pan = 4000001234567899``: a file, or - for stdin.
        test_bin: More test BINs; without it cards of 400000 and 520000 and of published examples.
        these_are_test_keys: The clear keys are test keys, although they are not published ones.
        json: Print one JSON object.
    """

    given: Annotated[str, cyclopts.Parameter(name="--from", allow_leading_hyphen=True)] = ""
    test_bin: tuple[str, ...] = ()
    these_are_test_keys: bool = False
    json: bool = False


class Values:
    """The options of a command, with those of ``--from`` behind them."""

    def __init__(self, terms: Terms, **options: str) -> None:
        self._terms = terms
        self._values = _file_values(terms.given, options.keys()) | {k: v for k, v in options.items() if v}

    def text(self, name: str, default: str | None = None) -> str:
        """A value. Errors: ConfigError when it is missing."""
        value = self._values.get(name, default)
        if value is None:
            raise ConfigError([f"{name}: missing"])
        return value

    def digits(self, name: str, *lengths: int, default: str | None = None) -> str:
        """Digits of one of the lengths. Errors: ConfigError."""
        value = self.text(name, default)
        if value and not (value.isascii() and value.isdecimal() and len(value) in lengths):
            raise ConfigError([f"{name}: must be {' or '.join(map(str, lengths))} digits"])
        return value

    def raw(self, name: str, default: str | None = None) -> bytes:
        """Bytes of hex digits. Errors: ConfigError."""
        try:
            return bytes.fromhex(self.text(name, default))
        except ValueError:
            raise ConfigError([f"{name}: must be hex digits"]) from None

    def key(self, name: str, role: str = "", *lengths: int) -> bytes:
        """A test key. Errors: ConfigError."""
        key = option_key(role or name, self.text(name), trusted=self._terms.these_are_test_keys)
        if len(key) not in (lengths or (16,)):
            raise ConfigError([f"{name}: is not of this key's length"])
        return key

    def pan(self) -> str:
        """The PAN of a test card. Errors: ConfigError."""
        return option_pan(self.text("pan"), self._terms.test_bin)

    def block(self) -> Block:
        """A PIN block. Errors: ConfigError."""
        block = self.raw("pin_block")
        if len(block) != 8:
            raise ConfigError(["pin_block: must be 16 hex digits"])
        return Block(
            self.key("zpk", "", 8, 16, 24), block, self.digits("format", 2, default="01"), self.pan()
        )


def _file_values(source: str, names: Collection[str]) -> dict[str, str]:
    """The values of a file or of stdin. Errors: ConfigError, which quotes none of them."""
    if not source:
        return {}
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text("utf-8")
    except OSError as error:
        raise ConfigError([f"{source}: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{source}: not text"]) from None
    values = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, value = line.partition("#")[0].partition("=")
        if equals and name.strip().replace("-", "_") in names:
            values[name.strip().replace("-", "_")] = value.strip()
        elif line.partition("#")[0].strip():
            raise ConfigError([f"{source}:{number}: not a name of this command, = and a value"])
    return values
