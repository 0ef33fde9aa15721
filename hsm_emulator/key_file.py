"""The keys that an issuer starts with: random ones, under an LMK for the processor, in clear for simulators.

The processor's file (``processor.hsm.keys``) has each key under the LMK with type and check value. The file
for simulators has the clear ones beside them, so whoever has it can make any card: it is for tests.
"""

from typing import NamedTuple

from hsm_emulator.key_block import Header
from hsm_emulator.key_block_lmk import KeyBlockLmk
from hsm_emulator.keyring import Lmk
from hsm_emulator.lmk_file import new_tdes
from hsm_emulator.state import RandomBytes
from hsm_emulator.tdes import check_value

CLEAR_NOTE = "Clear keys, for simulators in tests: whoever has this file can make any card of these keys."

_KEY_BYTES = 16
_BLOCK_TYPE = "FFF"


class Purpose(NamedTuple):
    """A key's type under a variant LMK, and usage and mode of use in a key block."""

    key_type: str
    usage: str
    mode: str


PURPOSES = {
    "zpk": Purpose("001", "P0", "B"),
    "pvk": Purpose("002", "V2", "N"),
    "cvk": Purpose("402", "C0", "N"),
    "imk-ac": Purpose("109", "E0", "X"),
    "imk-smi": Purpose("209", "E2", "X"),
}
"""What each key of an issuer is for, by its name in the files."""


def new_keys(random_bytes: RandomBytes) -> dict[str, bytes]:
    """A double-length TDES key for each name."""
    return {name: new_tdes(_KEY_BYTES, random_bytes) for name in PURPOSES}


def processor_file(lmk: Lmk, keys: dict[str, bytes], random_bytes: RandomBytes) -> dict[str, dict[str, str]]:
    """The entries of the processor's key file."""
    return {name: _entry(lmk, PURPOSES[name], key, random_bytes) for name, key in keys.items()}


def simulators_file(entries: dict[str, dict[str, str]], keys: dict[str, bytes]) -> dict[str, object]:
    """The entries of the processor's file with the clear keys beside them."""
    return {"note": CLEAR_NOTE} | {
        name: entry | {"clear": keys[name].hex().upper()} for name, entry in entries.items()
    }


def _entry(lmk: Lmk, purpose: Purpose, key: bytes, random_bytes: RandomBytes) -> dict[str, str]:
    if isinstance(lmk, KeyBlockLmk):
        header = Header(purpose.usage, "T", purpose.mode, "00", "N", "", "00")
        key_type, text = _BLOCK_TYPE, lmk.wrap_key(header, key, random_bytes)
    else:
        key_type, text = purpose.key_type, str(lmk.encrypt_key(purpose.key_type, key, "U"))
    return {"type": key_type, "under_lmk": text, "check_value": check_value(key)[:6]}
