"""PINs as commands find them: in blocks under a key, and under the LMK.

A PIN under the LMK is "0" and the clear PIN, as in the published frames; the vendor's own algorithm is not
public.
"""

from collections.abc import Callable

from hsm_emulator.keyring import K
from hsm_emulator.pin_block import PinKey, build_block, fill_of, is_bound, is_known, is_weaker, read_block
from hsm_emulator.roles import PIN_KEYS, Role
from hsm_emulator.state import State
from processor.hsm.errors import ErrorCode
from processor.hsm.layout import Fields

ACCOUNT_DIGITS = 12
FORMAT_04 = "04"

Decrypt = Callable[[bytes], bytes]


def under_lmk(pin: str) -> str:
    """The PIN as a host may keep it."""
    return f"0{pin}"


def from_lmk(text: str) -> str | ErrorCode:
    """The clear PIN of a field under the LMK, or 14."""
    return text[1:] if text.startswith("0") else ErrorCode.INVALID_PIN_UNDER_LMK


def read_pin(decrypt: Decrypt, block: str, format_code: str, account: str) -> str | ErrorCode:
    """The PIN in an encrypted block, or 20, 23 or 24."""
    if not is_known(format_code):
        return ErrorCode.INVALID_PIN_FORMAT
    return read_block(format_code, decrypt(bytes.fromhex(block)), account)


def read_typed(fields: Fields, state: State) -> PinKey | ErrorCode:
    """The PIN key of fields that name its type, or 28 (not a PIN key) or what is wrong with it."""
    role = PIN_KEYS.get(fields["key_type"])
    return ErrorCode.INVALID_KEY_TYPE if role is None else state.keyring.find(PinKey, role, fields["pin_key"])


def verification_key(state: State, make: type[K], role: Role, text: str) -> K | ErrorCode:
    """The PIN verification key that comes second in a request: its parity error is 11."""
    return state.keyring.find(make, role, text, ErrorCode.DESTINATION_KEY_PARITY)


def new_block(state: State, encrypt: Decrypt, pin: str, format_code: str, account: str) -> str | ErrorCode:
    """A PIN in a new encrypted block, or 23."""
    if not is_known(format_code) or (format_code == FORMAT_04 and len(account) == ACCOUNT_DIGITS):
        return ErrorCode.INVALID_PIN_FORMAT
    shown = account if format_code == FORMAT_04 else account[-ACCOUNT_DIGITS:]
    block = build_block(format_code, pin, shown, fill_of(format_code, state.random_bytes(16)))
    return encrypt(block).hex().upper()


def may_become(state: State, old: str, new: str) -> ErrorCode | None:
    """Why a PIN must not move from one format to another: 23 (unknown) or 69 (protects it less)."""
    if not is_known(old) or not is_known(new):
        return ErrorCode.INVALID_PIN_FORMAT
    if is_weaker(new, old) and not state.rules.weaker_pin_blocks:
        return ErrorCode.PIN_FORMAT_DISABLED
    return None


def may_leave(state: State, new: str) -> ErrorCode | None:
    """Why a PIN under the LMK must not get into a format: 23, or 69 when it is not bound to the account."""
    if not is_known(new):
        return ErrorCode.INVALID_PIN_FORMAT
    return None if is_bound(new) or state.rules.weaker_pin_blocks else ErrorCode.PIN_FORMAT_DISABLED
