"""The instance's own secrets: made at first start, kept in one file that only the owner may read."""

import os
import secrets
import stat
from pathlib import Path

import msgspec

from processor.values.errors import ConfigError


class Secrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """32 bytes each, in hex: the journal key, the PAN-token key, the secret behind DE 38."""

    journal_key: str
    pan_token_key: str
    instance_secret: str

    def __repr__(self) -> str:
        return "Secrets(...)"

    __str__ = __repr__


def load_secrets(folder: Path, *, create: bool) -> Secrets:
    """Read ``secrets.json`` of a state folder, or make it when it may be made.

    Raises:
        ConfigError: it is missing, cannot be read, is not what it should be, or others may read it.
    """
    path = folder / "secrets.json"
    if create and not path.exists():
        if any(folder.glob("journal/*.seg")):
            raise ConfigError([f"{path}: missing, and without it the journal beside it cannot be read"])
        _make(path)
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ConfigError([f"{path}: others may read it; chmod 600"])
        loaded = msgspec.json.decode(path.read_bytes(), type=Secrets)
        if not all(len(bytes.fromhex(value)) == 32 for value in msgspec.structs.astuple(loaded)):
            raise ConfigError([f"{path}: each secret is 32 bytes in hex"])
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from None
    except (msgspec.DecodeError, ValueError):
        raise ConfigError([f"{path}: not a secrets file"]) from None
    return loaded


def _make(path: Path) -> None:
    """Write new secrets durably before anything is encrypted under them."""
    made = Secrets(*(secrets.token_hex(32) for _ in range(3)))
    temporary = path.with_suffix(".new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(
            [f"{temporary}: another start is making secrets, or died doing so: remove it"]
        ) from None
    try:
        os.write(descriptor, msgspec.json.format(msgspec.json.encode(made)))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
