"""LMKs that nobody else knows: made at random, kept in a file or handed over on a descriptor.

The file is a JSON object of LMKs by identifier, of which 00 is the default one. A variant LMK has ``pairs``,
32 hex digits by pair code; a key block LMK has ``key``, 48 (TDES) or 64 (AES) hex digits. Each has the
``check_value`` that NC tells, so that a digit that was lost on the way is noticed.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from hsm_emulator.emulator import DEFAULT_LMK
from hsm_emulator.key_block_lmk import TEST_AES, TEST_TDES, KeyBlockLmk
from hsm_emulator.keyring import Lmk
from hsm_emulator.lmk import TEST_PAIRS, VariantLmk
from hsm_emulator.state import RandomBytes
from hsm_emulator.tdes import has_odd_parity, has_weak_part, is_shorter_than_it_looks, with_odd_parity
from processor.values.errors import ConfigError

LmkKind: TypeAlias = Literal["variant", "tdes-block", "aes-block"]
"""What an LMK can be."""

OWNER_ONLY = 0o600
FILE_BYTES_MAX = 64 * 1024

_PAIR_BYTES, _TDES_BYTES, _AES_BYTES = 16, 24, 32
_PUBLISHED = {*map(bytes.fromhex, TEST_PAIRS.values()), TEST_TDES, TEST_AES}


class StoredLmk(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One LMK of a file. It prints without its keys."""

    check_value: str
    pairs: dict[str, str] | None = None
    key: str | None = None

    def __repr__(self) -> str:
        return f"StoredLmk(check value {self.check_value[:6]})"

    __str__ = __repr__


def new_lmk(kind: LmkKind, random_bytes: RandomBytes) -> StoredLmk:
    """An LMK of random keys, to be stored under 00."""
    if kind == "variant":
        pairs = {code: new_tdes(_PAIR_BYTES, random_bytes).hex().upper() for code in TEST_PAIRS}
        return StoredLmk(VariantLmk(pairs).check_value, pairs=pairs)
    key = new_tdes(_TDES_BYTES, random_bytes) if kind == "tdes-block" else random_bytes(_AES_BYTES)
    return StoredLmk(KeyBlockLmk(key, DEFAULT_LMK).check_value, key=key.hex().upper())


def is_sound(key: bytes) -> bool:
    """Whether a TDES key has odd parity, no weak part and parts that differ."""
    return has_odd_parity(key) and not has_weak_part(key) and not is_shorter_than_it_looks(key)


def new_tdes(length: int, random_bytes: RandomBytes) -> bytes:
    """A random TDES key that is sound."""
    while not is_sound(key := with_odd_parity(random_bytes(length))):
        pass
    return key


def write_private(path: Path, value: object) -> None:
    """Write a new file of JSON that only its owner may read; nothing is left of a write that fails.

    Errors: ConfigError when it is there already or cannot be made.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, OWNER_ONLY)
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(value)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise ConfigError([f"{path}: {error.strerror}"]) from None


def load_lmks(path: Path) -> dict[str, Lmk]:
    """The LMKs of a file, by identifier.

    Errors: ConfigError with every problem: it cannot be read, is somebody else's, others may read it, or it
    is not what it should be. A problem never quotes a key.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from None
    with os.fdopen(descriptor, "rb") as file:
        if problem := _exposed(os.fstat(descriptor)):
            raise ConfigError([f"{path}: {problem}"])
        return _lmks(str(path), file.read(FILE_BYTES_MAX + 1))


def read_lmks(descriptor: int) -> dict[str, Lmk]:
    """The LMKs that an inherited descriptor gives until its end; it is closed. Errors: ConfigError."""
    name = f"descriptor {descriptor}"
    try:
        with os.fdopen(descriptor, "rb") as file:
            return _lmks(name, file.read(FILE_BYTES_MAX + 1))
    except OSError as error:
        raise ConfigError([f"{name}: {error.strerror}"]) from None


def _exposed(found: os.stat_result) -> str:
    """Why a file is not one that only we can read; empty if it is."""
    if not stat.S_ISREG(found.st_mode):
        return "not a file"
    if found.st_uid != os.geteuid():
        return "belongs to somebody else"
    return "others may read it; chmod 600" if stat.S_IMODE(found.st_mode) & 0o077 else ""


def _lmks(name: str, data: bytes) -> dict[str, Lmk]:
    try:
        stored = msgspec.json.decode(data, type=dict[str, StoredLmk])
    except (msgspec.DecodeError, UnicodeDecodeError):  # its text may quote what it could not read
        raise ConfigError([f"{name}: not an LMK file"]) from None
    problems = [] if DEFAULT_LMK in stored else [f"no LMK {DEFAULT_LMK}"]
    problems += [f"{key}: {text}" for key, lmk in stored.items() for text in _problems(key, lmk)]
    if problems:
        raise ConfigError([f"{name}: {problem}" for problem in problems])
    return {identifier: _made(identifier, lmk) for identifier, lmk in stored.items()}


def _made(identifier: str, stored: StoredLmk) -> Lmk:
    if stored.pairs is not None:
        return VariantLmk(stored.pairs)
    return KeyBlockLmk(bytes.fromhex(stored.key or ""), identifier)


def _problems(identifier: str, stored: StoredLmk) -> Iterator[str]:
    if len(identifier) != 2 or not identifier.isdecimal() or not identifier.isascii():
        yield "an identifier is two digits"
    if (stored.pairs is None) == (stored.key is None):
        yield "must have pairs or key, one of them"
        return
    wrong = list(_wrong_keys(_keys(stored), _lengths(stored)))
    yield from wrong
    if stored.pairs is not None and stored.pairs.keys() != TEST_PAIRS.keys():
        yield f"pairs must be {' '.join(TEST_PAIRS)}"
    elif not wrong and _made(identifier, stored).check_value != stored.check_value:
        yield "the keys do not have this check value"


def _keys(stored: StoredLmk) -> Mapping[str, str]:
    """The keys by what a problem calls them."""
    if stored.pairs is None:
        return {"key": stored.key or ""}
    return {f"pair {code}": pair for code, pair in stored.pairs.items()}


def _lengths(stored: StoredLmk) -> frozenset[int]:
    return frozenset({_TDES_BYTES, _AES_BYTES} if stored.pairs is None else {_PAIR_BYTES})


def _wrong_keys(keys: Mapping[str, str], lengths: frozenset[int]) -> Iterator[str]:
    for name, text in keys.items():
        try:
            key = bytes.fromhex(text)
        except ValueError:
            key = b""
        if len(key) not in lengths:
            yield f"{name}: must be {' or '.join(str(2 * length) for length in sorted(lengths))} hex digits"
        elif key in _PUBLISHED:
            yield f"{name}: is one of the published test LMKs, which only --test-lmk gives"
        elif len(key) != _AES_BYTES and not is_sound(key):
            yield f"{name}: a TDES key must have odd parity, no weak part, and parts that differ"
