"""Commands that verify PINs and make PVVs and offsets: BK CU DA DC DE DG DU EA EC EE FW.

Parity errors are 10 for the key of the PIN block and 11 for the PVK; where there is no block, 10 for the PVK.
"""

from hsm_emulator.ibm3624 import IbmKey, pin_of
from hsm_emulator.keyring import K
from hsm_emulator.pin_block import PinKey
from hsm_emulator.pin_checks import (
    advised,
    digits_of,
    has_offset,
    ibm_terms,
    make_offset,
    pvv_of,
    verify_offset,
    verify_pvv,
)
from hsm_emulator.pin_source import from_lmk, read_pin, read_typed, under_lmk, verification_key
from hsm_emulator.pvv import PvvKey
from hsm_emulator.roles import IBM_CHECK, IBM_MAKE, PVV_CHECK, PVV_MAKE, TPK_FROM, ZPK_FROM, Role
from hsm_emulator.state import Result, State
from processor.hsm.errors import ErrorCode
from processor.hsm.layout import Fields


def _opened(
    state: State, pin_key: PinKey | ErrorCode, make: type[K], role: Role, fields: Fields
) -> tuple[K, str] | ErrorCode:
    """The PVK ready as ``make`` and the PIN in the block."""
    if isinstance(pin_key, ErrorCode):
        return pin_key
    pvk = verification_key(state, make, role, fields["pvk"])
    if isinstance(pvk, ErrorCode):
        return pvk
    pin = read_pin(pin_key.decrypt, fields["pin_block"], fields["pin_format"], fields["account"])
    return pin if isinstance(pin, ErrorCode) else (pvk, pin)


def _by_pvv(state: State, role: Role, key: str, fields: Fields) -> Result:
    opened = _opened(state, state.keyring.find(PinKey, role, key), PvvKey, PVV_CHECK, fields)
    return opened if isinstance(opened, ErrorCode) else verify_pvv(opened[0], fields, opened[1])


def verify_zone_pin_pvv(fields: Fields, state: State) -> Result:
    """EC: 00 when the PIN in a block under a ZPK has this PVV, 01 when another."""
    return _by_pvv(state, ZPK_FROM, fields["zpk"], fields)


def verify_terminal_pin_pvv(fields: Fields, state: State) -> Result:
    """DC: the same under a TPK."""
    return _by_pvv(state, TPK_FROM, fields["tpk"], fields)


def _by_offset(state: State, role: Role, key: str, fields: Fields) -> Result:
    terms = ibm_terms(fields)
    if isinstance(terms, ErrorCode):
        return terms
    offset = digits_of(fields["offset"], terms.check_length)
    if isinstance(offset, ErrorCode):
        return offset
    opened = _opened(state, state.keyring.find(PinKey, role, key), IbmKey, IBM_CHECK, fields)
    return opened if isinstance(opened, ErrorCode) else verify_offset(*opened, terms, offset)


def verify_zone_pin_ibm(fields: Fields, state: State) -> Result:
    """EA: 00 when the PIN in a block under a ZPK has this IBM 3624 offset, 01 if not, 02 with advice."""
    return _by_offset(state, ZPK_FROM, fields["zpk"], fields)


def verify_terminal_pin_ibm(fields: Fields, state: State) -> Result:
    """DA: the same under a TPK."""
    return _by_offset(state, TPK_FROM, fields["tpk"], fields)


def generate_offset_from_block(fields: Fields, state: State) -> Result:
    """BK: the IBM 3624 offset of the PIN in a block; 81 when it is shorter than the check length."""
    terms = ibm_terms(fields)
    if isinstance(terms, ErrorCode):
        return terms
    opened = _opened(state, read_typed(fields, state), IbmKey, IBM_MAKE, fields)
    return opened if isinstance(opened, ErrorCode) else make_offset(*opened, terms)


def change_offset(fields: Fields, state: State) -> Result:
    """DU: the offset of a new PIN, when the old one is right (01)."""
    terms = ibm_terms(fields)
    if isinstance(terms, ErrorCode):
        return terms
    offset = digits_of(fields["offset"], terms.check_length)
    if isinstance(offset, ErrorCode):
        return offset
    pin_key = read_typed(fields, state)
    opened = _opened(state, pin_key, IbmKey, IBM_MAKE, fields)
    if isinstance(opened, ErrorCode) or isinstance(pin_key, ErrorCode):
        return opened if isinstance(opened, ErrorCode) else ErrorCode.INVALID_KEY_TYPE
    if not has_offset(*opened, terms, offset):
        return ErrorCode.VERIFICATION_FAILED
    new = read_pin(pin_key.decrypt, fields["new_pin_block"], fields["pin_format"], fields["account"])
    return new if isinstance(new, ErrorCode) else make_offset(opened[0], new, terms)


def generate_offset(fields: Fields, state: State) -> Result:
    """DE: the IBM 3624 offset of a PIN under the LMK."""
    terms = ibm_terms(fields)
    if isinstance(terms, ErrorCode):
        return terms
    pvk = state.keyring.find(IbmKey, IBM_MAKE, fields["pvk"])
    if isinstance(pvk, ErrorCode):
        return pvk
    pin = from_lmk(fields["pin_under_lmk"])
    return pin if isinstance(pin, ErrorCode) else make_offset(pvk, pin, terms)


def derive_pin(fields: Fields, state: State) -> Result:
    """EE: the PIN that has an IBM 3624 offset, under the LMK; as long as the check length."""
    terms = ibm_terms(fields)
    if isinstance(terms, ErrorCode):
        return terms
    offset = digits_of(fields["offset"], terms.check_length)
    if isinstance(offset, ErrorCode):
        return offset
    pvk = state.keyring.find(IbmKey, IBM_MAKE, fields["pvk"])
    if isinstance(pvk, ErrorCode):
        return pvk
    pin = pin_of(offset, pvk.natural_pin(terms.validation_data, terms.table))
    return advised(pvk, {"pin_under_lmk": under_lmk(pin)})


def generate_pvv(fields: Fields, state: State) -> Result:
    """DG: the PVV of a PIN under the LMK (14 when it is none)."""
    pvk = state.keyring.find(PvvKey, PVV_MAKE, fields["pvk"])
    if isinstance(pvk, ErrorCode):
        return pvk
    pin = from_lmk(fields["pin_under_lmk"])
    return pin if isinstance(pin, ErrorCode) else {"pvv": pvv_of(pvk, fields, pin)}


def generate_pvv_from_block(fields: Fields, state: State) -> Result:
    """FW: the PVV of the PIN in a block."""
    opened = _opened(state, read_typed(fields, state), PvvKey, PVV_MAKE, fields)
    return opened if isinstance(opened, ErrorCode) else {"pvv": pvv_of(opened[0], fields, opened[1])}


def change_pvv(fields: Fields, state: State) -> Result:
    """CU: the PVV of a new PIN, when the old one is right (01)."""
    pin_key = read_typed(fields, state)
    opened = _opened(state, pin_key, PvvKey, PVV_MAKE, fields)
    if isinstance(opened, ErrorCode) or isinstance(pin_key, ErrorCode):
        return opened if isinstance(opened, ErrorCode) else ErrorCode.INVALID_KEY_TYPE
    pvk, pin = opened
    if verify_pvv(pvk, fields, pin) is ErrorCode.VERIFICATION_FAILED:
        return ErrorCode.VERIFICATION_FAILED
    new = read_pin(pin_key.decrypt, fields["new_pin_block"], fields["pin_format"], fields["account"])
    return new if isinstance(new, ErrorCode) else {"pvv": pvv_of(pvk, fields, new)}
