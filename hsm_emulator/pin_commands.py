"""Commands that make, move and compare PINs: BA, BC, BE, CA, CC, JA, JC, JE, JG and NG."""

import hmac

from hsm_emulator.dukpt import pin_key
from hsm_emulator.dukpt_key import BaseKey
from hsm_emulator.pin_block import PIN_DIGITS_LEAST, PIN_DIGITS_MOST, PinKey
from hsm_emulator.pin_source import (
    Decrypt,
    from_lmk,
    may_become,
    may_leave,
    new_block,
    read_pin,
    under_lmk,
)
from hsm_emulator.roles import BDK, TPK_FROM, ZPK_FROM, ZPK_TO, Role
from hsm_emulator.state import Result, State
from hsm_emulator.tdes import encryptor
from processor.hsm.errors import ErrorCode
from processor.hsm.layout import Fields

_PIN_RANDOM_BYTES = 16  # 128 bits for at most 40: no digit is likelier than another by more than 2 to the -88
_PIN_LENGTH_MOST = "12"


def encrypt_clear_pin(fields: Fields, state: State) -> Result:
    """BA: a PIN under the LMK, in the authorised state only (17)."""
    if not state.rules.authorised:
        return ErrorCode.NOT_AUTHORISED
    pin = fields["pin"].rstrip("F")
    if "F" in pin:
        return ErrorCode.INVALID_INPUT
    if not PIN_DIGITS_LEAST <= len(pin) <= PIN_DIGITS_MOST:
        return ErrorCode.INVALID_PIN_LENGTH
    return {"pin_under_lmk": under_lmk(pin)}


def decrypt_pin(fields: Fields, state: State) -> Result:
    """NG: the clear PIN, in the authorised state only (17)."""
    if not state.rules.authorised:
        return ErrorCode.NOT_AUTHORISED
    pin = from_lmk(fields["pin_under_lmk"])
    return pin if isinstance(pin, ErrorCode) else {"pin": pin}


def generate_pin(fields: Fields, state: State) -> Result:
    """JA: a random PIN of 4 to 12 digits (24) under the LMK; every PIN of the length is equally likely."""
    length = int(fields["pin_length"])
    if not PIN_DIGITS_LEAST <= length <= PIN_DIGITS_MOST:
        return ErrorCode.INVALID_PIN_LENGTH
    number = int.from_bytes(state.random_bytes(_PIN_RANDOM_BYTES), "big") % 10**length
    return {"pin_under_lmk": under_lmk(f"{number:0{length}}")}


def _pin_of(state: State, role: Role, key: str, fields: Fields) -> str | ErrorCode:
    """The PIN in the block of the fields."""
    found = state.keyring.find(PinKey, role, key)
    if isinstance(found, ErrorCode):
        return found
    return read_pin(found.decrypt, fields["pin_block"], fields["pin_format"], fields["account"])


def _to_lmk(state: State, role: Role, key: str, fields: Fields) -> Result:
    pin = _pin_of(state, role, key, fields)
    return pin if isinstance(pin, ErrorCode) else {"pin_under_lmk": under_lmk(pin)}


def terminal_pin_to_lmk(fields: Fields, state: State) -> Result:
    """JC: the PIN of a block under a TPK, under the LMK."""
    return _to_lmk(state, TPK_FROM, fields["tpk"], fields)


def zone_pin_to_lmk(fields: Fields, state: State) -> Result:
    """JE: the PIN of a block under a ZPK, under the LMK."""
    return _to_lmk(state, ZPK_FROM, fields["zpk"], fields)


def lmk_pin_to_zone(fields: Fields, state: State) -> Result:
    """JG: a PIN under the LMK in a block under a ZPK; 69 for formats that are not bound to the account."""
    zpk = state.keyring.find(PinKey, ZPK_TO, fields["zpk"])
    if isinstance(zpk, ErrorCode):
        return zpk
    refused = may_leave(state, fields["pin_format"])
    if refused is not None:
        return refused
    pin = from_lmk(fields["pin_under_lmk"])
    if isinstance(pin, ErrorCode):
        return pin
    block = new_block(state, zpk.encrypt, pin, fields["pin_format"], fields["account"])
    return block if isinstance(block, ErrorCode) else {"pin_block": block}


def _compared(state: State, role: Role, key: str, fields: Fields) -> Result:
    pin = _pin_of(state, role, key, fields)
    if isinstance(pin, ErrorCode):
        return pin
    expected = from_lmk(fields["pin_under_lmk"])
    if isinstance(expected, ErrorCode):
        return expected
    return {} if hmac.compare_digest(pin, expected) else ErrorCode.VERIFICATION_FAILED


def compare_terminal_pin(fields: Fields, state: State) -> Result:
    """BC: 00 when the PIN of a block under a TPK is the one under the LMK, 01 when it is not."""
    return _compared(state, TPK_FROM, fields["tpk"], fields)


def compare_zone_pin(fields: Fields, state: State) -> Result:
    """BE: 00 when the PIN of a block under a ZPK is the one under the LMK, 01 when it is not."""
    return _compared(state, ZPK_FROM, fields["zpk"], fields)


def translate_terminal_pin(fields: Fields, state: State) -> Result:
    """CA: a PIN block from a TPK to a ZPK, or to a BDK; parity errors: 10 TPK, 11 the new key."""
    return _translated(state, TPK_FROM, fields["tpk"], fields)


def translate_zone_pin(fields: Fields, state: State) -> Result:
    """CC: a PIN block from one ZPK to another; parity errors: 10 the old one, 11 the new one."""
    return _translated(state, ZPK_FROM, fields["zpk"], fields)


def _translated(state: State, role: Role, key: str, fields: Fields) -> Result:
    if fields["pin_length_most"] != _PIN_LENGTH_MOST:
        return ErrorCode.INVALID_INPUT
    found = state.keyring.find(PinKey, role, key)
    if isinstance(found, ErrorCode):
        return found
    encrypt = new_pin_encryptor(state, fields)
    if isinstance(encrypt, ErrorCode):
        return encrypt
    return move_block(state, found.decrypt, encrypt, fields, fields["pin_format"])


def new_pin_encryptor(state: State, fields: Fields) -> Decrypt | ErrorCode:
    """What encrypts under the new key of a translation: a ZPK, or a transaction's key of a BDK."""
    parity = ErrorCode.DESTINATION_KEY_PARITY
    if "new_ksn" in fields:
        base = state.keyring.find(BaseKey, BDK, fields["new_key"], parity)
        if isinstance(base, ErrorCode):
            return base
        return encryptor(pin_key(base.key, bytes.fromhex(fields["new_ksn"])))
    zpk = state.keyring.find(PinKey, ZPK_TO, fields["new_key"], parity)
    return zpk if isinstance(zpk, ErrorCode) else zpk.encrypt


def move_block(state: State, decrypt: Decrypt, encrypt: Decrypt, fields: Fields, old_format: str) -> Result:
    """The PIN of a block in a new one: its length, the block, the format."""
    new_format, account = fields["new_pin_format"], fields["account"]
    refused = may_become(state, old_format, new_format)
    if refused is not None:
        return refused
    pin = read_pin(decrypt, fields["pin_block"], old_format, account)
    if isinstance(pin, ErrorCode):
        return pin
    block = new_block(state, encrypt, pin, new_format, account)
    if isinstance(block, ErrorCode):
        return block
    return {"pin_length": f"{len(pin):02}", "pin_block": block, "pin_format": new_format}
