"""Keys as the processor knows them: under the LMK, with a check value, in a JSON file."""

import re
from pathlib import Path

import msgspec

from processor.hsm.fields import Kind
from processor.values.errors import ConfigError

_SHAPES = {
    "type": (re.compile("[0-9][0-9A-F]{2}|FFF"), "a variant digit and a pair code, such as 402, or FFF"),
    "under_lmk": (
        re.compile(f"{Kind.KEY.value}|{Kind.KEY_PAIR.value}"),
        "16 or 32 hex digits, or U, X + 32, or T, Y + 48, or S + a key block",
    ),
    "check_value": (re.compile(Kind.CHECK_VALUE.value), "6 or 16 hex digits"),
}
_IGNORED = {"clear"}  # for simulators only; never kept here


class KeyUnderLmk(msgspec.Struct, frozen=True):
    """A key that only the HSM can use: its type (variant digit and pair code), text, check value.

    It prints without the text: under a public test LMK that is as good as a clear key.
    """

    type: str
    value: str
    check_value: str

    def __repr__(self) -> str:
        return f"KeyUnderLmk({self.type}, check value {self.check_value})"

    __str__ = __repr__


def load_keys(path: Path) -> dict[str, KeyUnderLmk]:
    """Read a key file: an object of entries by name, each with type, under_lmk and check_value.

    A ``note`` beside the entries and ``clear`` inside them are ignored.
    Errors: ConfigError with every problem of the file; a problem names the place and never quotes a value.
    """
    try:
        entries = msgspec.json.decode(path.read_bytes(), type=dict[str, object])
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read ({error.strerror})"]) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ConfigError([f"{path}: not a JSON object"]) from None
    entries.pop("note", None)
    problems = [problem for name, entry in entries.items() for problem in _problems(name, entry)]
    if not entries:
        problems.append("no keys")
    if problems:
        raise ConfigError([f"{path}: {problem}" for problem in problems])
    return {name: _key(entry) for name, entry in entries.items() if isinstance(entry, dict)}


def _key(entry: dict[str, str]) -> KeyUnderLmk:
    return KeyUnderLmk(entry["type"], entry["under_lmk"], entry["check_value"])


def _problems(name: str, entry: object) -> list[str]:
    """What is wrong with one entry."""
    if not isinstance(entry, dict):
        return [f"{name}: not an object"]
    problems = [f"{name}.{member}: unknown" for member in sorted(entry.keys() - _SHAPES.keys() - _IGNORED)]
    for member, (shape, expected) in _SHAPES.items():
        value = entry.get(member)
        if not isinstance(value, str) or shape.fullmatch(value) is None:
            problems.append(f"{name}.{member}: must be {expected}")
    return problems
