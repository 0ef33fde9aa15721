"""Commands about PINs: BA, DG, EA, EC, FW and JA.

With the test LMK a PIN under the LMK is "0" and the clear PIN, as in the published frames; the vendor's own
algorithm is not public.
"""

import hmac

from hsm_emulator.ibm3624 import IbmKey, fill_validation_data, is_sound_table, offset_of
from hsm_emulator.keyring import K
from hsm_emulator.pin_block import PIN_DIGITS_LEAST, PIN_DIGITS_MOST, PinKey, read_block
from hsm_emulator.pvv import PvvKey
from hsm_emulator.state import Result, State
from processor.hsm.commands import Advice
from processor.hsm.errors import ErrorCode
from processor.hsm.layout import Fields

ZPK = "001"
PVK = "002"
PIN_KEY_TYPES = frozenset({ZPK, "002", "70D"})
"""A zone PIN key, and a terminal PIN key without and with PCI HSM key types."""

_PIN_RANDOM_BYTES = 16  # 128 bits for at most 40: no digit is likelier than another by more than 2 to the -88


def encrypt_clear_pin(fields: Fields, state: State) -> Result:
    """BA: a PIN under the LMK, in the authorised state only (17)."""
    if not state.authorised:
        return ErrorCode.NOT_AUTHORISED
    pin = fields["pin"].rstrip("F")
    if "F" in pin:
        return ErrorCode.INVALID_INPUT
    if not PIN_DIGITS_LEAST <= len(pin) <= PIN_DIGITS_MOST:
        return ErrorCode.INVALID_PIN_LENGTH
    return {"pin_under_lmk": "0" + pin}


def generate_pin(fields: Fields, state: State) -> Result:
    """JA: a random PIN of 4 to 12 digits (24) under the LMK; every PIN of the length is equally likely."""
    length = int(fields["pin_length"])
    if not PIN_DIGITS_LEAST <= length <= PIN_DIGITS_MOST:
        return ErrorCode.INVALID_PIN_LENGTH
    number = int.from_bytes(state.random_bytes(_PIN_RANDOM_BYTES), "big") % 10**length
    return {"pin_under_lmk": f"0{number:0{length}}"}


def generate_pvv(fields: Fields, state: State) -> Result:
    """DG: the PIN verification value of a PIN under the LMK (14 when it is none)."""
    pvk = state.keyring.find(PvvKey, PVK, fields["pvk"])
    if isinstance(pvk, ErrorCode):
        return pvk
    pin_under_lmk = fields["pin_under_lmk"]
    if not pin_under_lmk.startswith("0"):
        return ErrorCode.INVALID_PIN_UNDER_LMK
    return {"pvv": pvk.generate(fields["account"], fields["pvki"], pin_under_lmk[1:])}


def generate_pvv_from_block(fields: Fields, state: State) -> Result:
    """FW: the PIN verification value of the PIN in a block; parity errors: 10 PIN key, 11 PVK."""
    if fields["key_type"] not in PIN_KEY_TYPES:
        return ErrorCode.INVALID_KEY_TYPE
    opened = _open_block(state, fields["key_type"], fields["pin_key"], PvvKey, fields)
    if isinstance(opened, ErrorCode):
        return opened
    pvk, pin = opened
    return {"pvv": pvk.generate(fields["account"], fields["pvki"], pin)}


def verify_pin_pvv(fields: Fields, state: State) -> Result:
    """EC: 00 when the PIN in the block has this PVV, 01 when another; parity errors: 10 ZPK, 11 PVK."""
    opened = _open_block(state, ZPK, fields["zpk"], PvvKey, fields)
    if isinstance(opened, ErrorCode):
        return opened
    pvk, pin = opened
    expected = pvk.generate(fields["account"], fields["pvki"], pin)
    return {} if hmac.compare_digest(expected, fields["pvv"]) else ErrorCode.VERIFICATION_FAILED


def verify_pin_ibm(fields: Fields, state: State) -> Result:
    """EA: 00 when the PIN in the block has this IBM 3624 offset, 01 when another; parity errors as EC.

    02 instead of 00 advises that the PVK is not single length; 25 refuses the decimalisation table.
    """
    data = fill_validation_data(fields["validation_data"], fields["account"])
    if data is None or not _lengths_agree(fields):
        return ErrorCode.INVALID_INPUT
    if not is_sound_table(fields["decimalisation_table"]):
        return ErrorCode.DECIMALISATION_TABLE
    opened = _open_block(state, ZPK, fields["zpk"], IbmKey, fields)
    if isinstance(opened, ErrorCode):
        return opened
    pvk, pin = opened
    check_length = int(fields["check_length"])
    if len(pin) < check_length:
        return ErrorCode.VERIFICATION_FAILED
    expected = offset_of(pin, pvk.natural_pin(data, fields["decimalisation_table"]), check_length)
    if not hmac.compare_digest(expected, fields["offset"].rstrip("F")):
        return ErrorCode.VERIFICATION_FAILED
    return {} if pvk.is_single else Advice(ErrorCode.KEY_LENGTH_ADVICE, {})


def _lengths_agree(fields: Fields) -> bool:
    """Whether EA's offset has the check length, that is 4 to 12, and the longest PIN is 12."""
    offset, check_length = fields["offset"].rstrip("F"), int(fields["check_length"])
    in_range = PIN_DIGITS_LEAST <= check_length <= PIN_DIGITS_MOST == int(fields["pin_length_most"])
    return in_range and len(offset) == check_length and "F" not in offset


def _open_block(
    state: State, key_type: str, key: str, make: type[K], fields: Fields
) -> tuple[K, str] | ErrorCode:
    """The PVK ready as ``make`` and the PIN in the block; parity errors: 10 PIN key, 11 PVK."""
    pin_key = state.keyring.find(PinKey, key_type, key)
    if isinstance(pin_key, ErrorCode):
        return pin_key
    pvk = state.keyring.find(make, PVK, fields["pvk"])
    if isinstance(pvk, ErrorCode):
        return ErrorCode.DESTINATION_KEY_PARITY if pvk is ErrorCode.SOURCE_KEY_PARITY else pvk
    block = pin_key.decrypt(bytes.fromhex(fields["pin_block"]))
    pin = read_block(fields["pin_format"], block, fields["account"])
    return pin if isinstance(pin, ErrorCode) else (pvk, pin)
