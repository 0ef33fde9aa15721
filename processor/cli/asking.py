"""Asking a running processor over its HTTP port, before a state folder is opened without it."""

import os
import sys
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import httpx
import msgspec

from processor.cli.terminal import printable
from processor.journal.cipher import Keyring
from processor.journal.holder import holder
from processor.secrets import Secrets, load_secrets
from processor.services.door import find_door, load_token
from processor.values.errors import ConfigError

ALIVE_S = 2.0  # for a processor that runs to say that it does
ANSWER_S = 30.0

_T = TypeVar("_T")


def ask_running(state: Path, kind: str, name: str, answer: type[_T], **query: int) -> _T | None:
    """What the processor that holds ``state`` says to ``/v1/KIND/NAME``.

    None when no processor runs there; also when one does without an HTTP port, or does not answer: that is
    said on stderr, and its journal can be read beside it.

    Raises:
        ConfigError: it refused, in its words.
    """
    door = find_door(state)
    if door is None:
        if pid := holder(state / "journal"):
            _beside(f"process {pid} holds {state} and has no HTTP port")
        return None
    path = "/".join(quote(part, safe="") for part in ("v1", kind, name) if part)
    try:
        headers = {"Authorization": f"Bearer {load_token(state, create=False)}"}
        with httpx.Client(trust_env=False, headers=headers) as client:  # a proxy has no business here
            client.get(f"http://{door.address}/livez", timeout=ALIVE_S)
            response = client.get(f"http://{door.address}/{path}", params=dict(query), timeout=ANSWER_S)
    except httpx.HTTPError as error:
        _beside(f"the processor at {door.address} does not answer ({type(error).__name__})")
        return None
    if response.status_code != httpx.codes.OK:
        raise ConfigError([f"the processor at {door.address} says: {_detail(response)}"])
    return msgspec.json.decode(response.content, type=answer)


def journal_of(state: Path) -> Path:
    """The journal's folder of a state folder. Errors: ConfigError if there is none."""
    if not any((state / "journal").glob("*.seg")):
        raise ConfigError([f"{state}: no journal here"])
    return state / "journal"


def secrets_of(state: Path) -> Secrets:
    """The secrets of a state folder that exists. Errors: ConfigError."""
    return load_secrets(state, create=False)


def keyring_of(state: Path) -> Keyring:
    """The journal's keys. Errors: ConfigError."""
    return Keyring({1: bytes.fromhex(secrets_of(state).journal_key)}, current=1)


def print_lines(*lines: str) -> None:
    """Print, without control characters, and end quietly when the reader has seen enough, as `head` has."""
    try:
        print("\n".join(map(printable, lines)), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _beside(what: str) -> None:
    print(f"standin: {printable(what)}; reading its folder instead", file=sys.stderr)


def _detail(response: httpx.Response) -> str:
    try:
        return msgspec.json.decode(response.content, type=dict[str, str]).get("detail", "")
    except msgspec.MsgspecError:
        return f"HTTP {response.status_code}"
