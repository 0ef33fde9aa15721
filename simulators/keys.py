"""The published test keys: in clear for what terminals and acquirers compute, under the LMK for the HSM."""

from pathlib import Path

import msgspec

from processor.hsm.keys import load_keys
from processor.values.errors import ConfigError

_CLEAR_BYTES = 16


class TestKeys(msgspec.Struct, frozen=True):
    """Zone PIN key, card verification key and PIN verification key; ``pvk_under_lmk`` is for host commands.

    It prints without the keys: whoever gives other keys than the published ones keeps them to himself.
    """

    __test__ = False  # not a test class, whatever its name

    zpk: bytes
    cvk: bytes
    pvk: bytes
    pvk_under_lmk: str

    def __repr__(self) -> str:
        return "TestKeys(zpk, cvk, pvk)"

    __str__ = __repr__


def load_test_keys(path: Path) -> TestKeys:
    """Read a key file whose entries ``zpk``, ``pvk`` and ``cvk`` also have a ``clear`` of 32 hex digits.

    Errors: ConfigError with every problem; a problem names the place and never quotes a value.
    """
    under_lmk = load_keys(path)
    entries = msgspec.json.decode(path.read_bytes(), type=dict[str, object])
    clear = {name: _clear(entries.get(name)) for name in ("zpk", "pvk", "cvk")}
    problems = [f"{path}: {name}.clear: must be 32 hex digits" for name, key in clear.items() if not key]
    if problems:
        raise ConfigError(problems)
    return TestKeys(clear["zpk"], clear["cvk"], clear["pvk"], under_lmk["pvk"].value)


def _clear(entry: object) -> bytes:
    """The clear key of an entry, or nothing."""
    text = entry.get("clear") if isinstance(entry, dict) else None
    try:
        key = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        return b""
    return key if len(key) == _CLEAR_BYTES else b""
