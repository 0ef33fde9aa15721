"""Commands under keys derived for one transaction (TDES DUKPT): CI CK CM G0 GO GQ GW."""

import hmac

from hsm_emulator.dukpt import mac_key, pin_key
from hsm_emulator.dukpt_key import BaseKey
from hsm_emulator.ibm3624 import IbmKey
from hsm_emulator.mac import pad, retail_mac
from hsm_emulator.pin_block import PinKey
from hsm_emulator.pin_checks import digits_of, ibm_terms, verify_offset, verify_pvv
from hsm_emulator.pin_commands import move_block, new_pin_encryptor
from hsm_emulator.pin_source import read_pin, verification_key
from hsm_emulator.pvv import PvvKey
from hsm_emulator.roles import BDK, IBM_CHECK, PVV_CHECK
from hsm_emulator.state import Result, State
from processor.hsm.errors import ErrorCode
from processor.hsm.layout import Fields

_ISO_0 = "01"
_PIN_ONLY, _VERIFY, _GENERATE = "0", "1", "4"
_METHOD = "1"
_ZEROS = 1  # padding method


def _base(state: State, fields: Fields) -> BaseKey | ErrorCode:
    return state.keyring.find(BaseKey, BDK, fields["bdk"])


def _pin_key(state: State, fields: Fields) -> PinKey | ErrorCode:
    """The key of the transaction's PIN block."""
    base = _base(state, fields)
    return base if isinstance(base, ErrorCode) else PinKey(pin_key(base.key, bytes.fromhex(fields["ksn"])))


def translate_derived_pin(fields: Fields, state: State) -> Result:
    """G0: a PIN block from a derived key to a ZPK, or to a BDK in a key block."""
    return _moved(state, fields, fields["pin_format"])


def translate_derived_iso0(fields: Fields, state: State) -> Result:
    """CI: the same from ISO format 0, which older units take for granted."""
    return _moved(state, fields, _ISO_0)


def _moved(state: State, fields: Fields, old_format: str) -> Result:
    source = _pin_key(state, fields)
    if isinstance(source, ErrorCode):
        return source
    encrypt = new_pin_encryptor(state, fields)
    if isinstance(encrypt, ErrorCode):
        return encrypt
    return move_block(state, source.decrypt, encrypt, fields, old_format)


def verify_derived_pvv(fields: Fields, state: State) -> Result:
    """GQ: 00 when the PIN in a block under a derived key has this PVV, 01 when another; mode 0 only (15)."""
    return (
        _by_pvv(state, fields, fields["pin_format"])
        if fields["mode"] == _PIN_ONLY
        else ErrorCode.INVALID_INPUT
    )


def verify_derived_iso0_pvv(fields: Fields, state: State) -> Result:
    """CM: the same for ISO format 0."""
    return _by_pvv(state, fields, _ISO_0)


def _by_pvv(state: State, fields: Fields, format_code: str) -> Result:
    source = _pin_key(state, fields)
    if isinstance(source, ErrorCode):
        return source
    pvk = verification_key(state, PvvKey, PVV_CHECK, fields["pvk"])
    if isinstance(pvk, ErrorCode):
        return pvk
    pin = read_pin(source.decrypt, fields["pin_block"], format_code, fields["account"])
    return pin if isinstance(pin, ErrorCode) else verify_pvv(pvk, fields, pin)


def verify_derived_offset(fields: Fields, state: State) -> Result:
    """GO: 00 when the PIN in a block under a derived key has this offset, 01 if not; mode 0 only (15)."""
    if fields["mode"] != _PIN_ONLY:
        return ErrorCode.INVALID_INPUT
    return _by_offset(state, fields, fields["pin_format"])


def verify_derived_iso0_offset(fields: Fields, state: State) -> Result:
    """CK: the same for ISO format 0."""
    return _by_offset(state, fields, _ISO_0)


def _by_offset(state: State, fields: Fields, format_code: str) -> Result:
    terms = ibm_terms(fields)
    if isinstance(terms, ErrorCode):
        return terms
    offset = digits_of(fields["offset"], terms.check_length)
    if isinstance(offset, ErrorCode):
        return offset
    source = _pin_key(state, fields)
    if isinstance(source, ErrorCode):
        return source
    pvk = verification_key(state, IbmKey, IBM_CHECK, fields["pvk"])
    if isinstance(pvk, ErrorCode):
        return pvk
    pin = read_pin(source.decrypt, fields["pin_block"], format_code, fields["account"])
    return pin if isinstance(pin, ErrorCode) else verify_offset(pvk, pin, terms, offset)


def authenticate_derived(fields: Fields, state: State) -> Result:
    """GW: a MAC under the transaction's request key made (mode 4) or verified (mode 1); 15 for others."""
    if fields["mode"] not in {_VERIFY, _GENERATE} or fields["method"] != _METHOD:
        return ErrorCode.INVALID_INPUT
    base = _base(state, fields)
    if isinstance(base, ErrorCode):
        return base
    key = mac_key(base.key, bytes.fromhex(fields["ksn"]))
    made = retail_mac(key, pad(bytes.fromhex(fields["data"]), _ZEROS)).hex().upper()
    if fields["mode"] == _GENERATE:
        return {"mac": made}
    return {} if hmac.compare_digest(made, fields["mac"]) else ErrorCode.VERIFICATION_FAILED
