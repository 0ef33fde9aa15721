"""Where a running processor can be asked: two files in its state folder.

``admin.token`` is the bearer token, made at the first start; ``http.json`` says where the HTTP port listens
while the processor runs. One that a killed process left behind names a process that does not hold the folder
any more, and counts for nothing: so nobody else is ever shown the token.
"""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

import msgspec

from processor.journal.holder import holder
from processor.values.errors import ConfigError

_TOKEN_BYTES = 32


class Door(msgspec.Struct, frozen=True):
    """The HTTP port's ``HOST:PORT``, and the process behind it."""

    address: str
    pid: int


def load_token(state: Path, *, create: bool) -> str:
    """The token of a state folder; it is made if it may be made.

    Raises:
        ConfigError: missing, unreadable, not a token, or others may read it.
    """
    path = state / "admin.token"
    try:
        if create and not path.exists():
            _write(path, secrets.token_hex(_TOKEN_BYTES).encode() + b"\n")
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ConfigError([f"{path}: others may read it; chmod 600, or remove it and start again"])
        token = path.read_text("ascii").strip()
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from None
    except UnicodeDecodeError:
        token = ""
    if len(token) < _TOKEN_BYTES or not token.isalnum():
        raise ConfigError([f"{path}: not a token; remove it and start again"])
    return token


def open_door(state: Path, address: str) -> None:
    """Say where this process can be asked. Errors: OSError."""
    _write(state / "http.json", msgspec.json.encode(Door(address, os.getpid())))


def close_door(state: Path) -> None:
    """Say that nobody can be asked any more."""
    with suppress(OSError):
        (state / "http.json").unlink()


def find_door(state: Path) -> Door | None:
    """The door of the processor that holds this state folder now; None without one."""
    try:
        door = msgspec.json.decode((state / "http.json").read_bytes(), type=Door)
    except (OSError, msgspec.MsgspecError):
        return None
    return door if door.pid == holder(state / "journal") else None


def _write(path: Path, content: bytes) -> None:
    """Replace a private file whole."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)
    beside.rename(path)
