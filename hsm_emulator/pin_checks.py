"""PIN verification by the two methods, on a PIN that is already clear: PVV and IBM 3624 offset."""

import hmac
from typing import NamedTuple

from hsm_emulator.ibm3624 import IbmKey, fill_validation_data, is_sound_table, offset_of
from hsm_emulator.pin_block import PIN_DIGITS_LEAST, PIN_DIGITS_MOST
from hsm_emulator.pin_source import ACCOUNT_DIGITS
from hsm_emulator.pvv import PvvKey
from hsm_emulator.state import Result
from processor.hsm.commands import Advice
from processor.hsm.errors import ErrorCode
from processor.hsm.layout import Fields

_OFFSET_CHARACTERS = 12


class IbmTerms(NamedTuple):
    """What an IBM 3624 check is made of besides key and PIN."""

    validation_data: str
    table: str
    check_length: int


def ibm_terms(fields: Fields) -> IbmTerms | ErrorCode:
    """The terms of a request, or 15 (validation data, check length) or 25 (decimalisation table)."""
    data = fill_validation_data(fields["validation_data"], fields["account"])
    check_length = int(fields["check_length"])
    if data is None or not PIN_DIGITS_LEAST <= check_length <= PIN_DIGITS_MOST:
        return ErrorCode.INVALID_INPUT
    if fields.get("pin_length_most", "12") != "12":
        return ErrorCode.INVALID_INPUT
    if not is_sound_table(fields["decimalisation_table"]):
        return ErrorCode.DECIMALISATION_TABLE
    return IbmTerms(data, fields["decimalisation_table"], check_length)


def digits_of(offset: str, check_length: int) -> str | ErrorCode:
    """The digits of a padded offset, or 15 when there are not as many as the check length says."""
    digits = offset.rstrip("F")
    return digits if digits.isdecimal() and len(digits) == check_length else ErrorCode.INVALID_INPUT


def has_offset(pvk: IbmKey, pin: str, terms: IbmTerms, offset: str) -> bool:
    """Whether the PIN has this offset; a PIN shorter than the check length has none."""
    if len(pin) < terms.check_length:
        return False
    expected = offset_of(pin, pvk.natural_pin(terms.validation_data, terms.table), terms.check_length)
    return hmac.compare_digest(expected, offset)


def verify_offset(pvk: IbmKey, pin: str, terms: IbmTerms, offset: str) -> Result:
    """00 or 01; 02 instead of 00 advises that the PVK is not single length."""
    if not has_offset(pvk, pin, terms, offset):
        return ErrorCode.VERIFICATION_FAILED
    return advised(pvk, {})


def make_offset(pvk: IbmKey, pin: str, terms: IbmTerms) -> Result:
    """The padded offset of a PIN, or 81 when it is shorter than the check length."""
    if len(pin) < terms.check_length:
        return ErrorCode.PIN_LENGTH_MISMATCH
    offset = offset_of(pin, pvk.natural_pin(terms.validation_data, terms.table), terms.check_length)
    return advised(pvk, {"offset": offset.ljust(_OFFSET_CHARACTERS, "F")})


def advised(pvk: IbmKey, fields: Fields) -> Result:
    """The fields, with advice when the PVK is not single length."""
    return fields if pvk.is_single else Advice(ErrorCode.KEY_LENGTH_ADVICE, fields)


def pvv_of(pvk: PvvKey, fields: Fields, pin: str) -> str:
    """The PVV of a PIN for the account of the fields, or for the one that they name for it."""
    account = fields.get("verification_account") or fields["account"][-ACCOUNT_DIGITS:]
    return pvk.generate(account, fields["pvki"], pin)


def verify_pvv(pvk: PvvKey, fields: Fields, pin: str) -> Result:
    """00 or 01."""
    right = hmac.compare_digest(pvv_of(pvk, fields, pin), fields["pvv"])
    return {} if right else ErrorCode.VERIFICATION_FAILED
