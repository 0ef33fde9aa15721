"""Keys that enter and leave: A6, A8 and FA, and how a key is written under the LMK and under a ZMK."""

from typing import NamedTuple

from hsm_emulator.key_block import TR31, VENDOR, Header, Opened, close_block, open_block
from hsm_emulator.key_block_lmk import KeyBlockLmk
from hsm_emulator.key_scheme import KEY_BYTES, Zmk
from hsm_emulator.roles import KEY_TYPES, UNWRAPPING_ZMK, WRAPPING_TMK, WRAPPING_ZMK, Role
from hsm_emulator.state import RandomBytes, Result, State
from hsm_emulator.tdes import check_value, has_odd_parity, has_weak_part, with_odd_parity
from processor.hsm.commands import Advice
from processor.hsm.errors import ErrorCode
from processor.hsm.layout import Fields

SCHEMES = {"Z": ""} | {scheme: scheme for scheme in KEY_BYTES if scheme}
"""How a key is written by the scheme of a request: Z is a single-length key without a letter."""

CHECK_VALUE_DIGITS = {"0": 16, "1": 6}
"""Digits of a check value by the type that a request asks for."""

_MASTER_KEYS = {"0": WRAPPING_ZMK, "1": WRAPPING_TMK}
_TDES_PARTS = {"T2": 16, "T3": 24}
_TDES = "T"
_ANY_BLOCK = Role(["FFF"], (), "")
_BY_TYPE = {key_type: Role([key_type], (), "") for key_type in KEY_TYPES}
_ZPK_TYPE = "001"


class Carried(NamedTuple):
    """A clear key on its way: its type under a variant LMK, or what its key block says of it."""

    key: bytes
    key_type: str
    header: Header | None


def header_of(fields: Fields) -> tuple[Header, int] | ErrorCode:
    """What the # group of a request says of a new key, and the key's length; A7 or AB if not built."""
    size = _TDES_PARTS.get(fields["algorithm"])
    if size is None:
        return ErrorCode.KEY_ALGORITHM
    if fields["optional_blocks"] != "00":
        return ErrorCode.OPTIONAL_BLOCKS
    attributes = (fields["mode_of_use"], fields["key_version"], fields["exportability"])
    if not "".join((fields["usage"], *attributes)).isalnum():
        return ErrorCode.KEY_BLOCK_FORMAT
    return Header(fields["usage"], _TDES, *attributes, "", "00"), size


def under_lmk(state: State, carried: Carried, scheme: str) -> str | ErrorCode:
    """The key as the host keeps it, or 26 (scheme), 27 (length) or 28 (type)."""
    if isinstance(state.lmk, KeyBlockLmk):
        if scheme != "S" or carried.header is None:
            return ErrorCode.INVALID_KEY_SCHEME
        return state.lmk.wrap_key(carried.header, carried.key, state.random_bytes)
    written = SCHEMES.get(scheme)
    if written is None:
        return ErrorCode.INVALID_KEY_SCHEME
    if len(carried.key) != KEY_BYTES[written]:
        return ErrorCode.INCOMPATIBLE_KEY_LENGTH
    return state.lmk.encrypt_key(carried.key_type, carried.key, written)


def master_key(state: State, fields: Fields, text: str) -> Zmk | ErrorCode:
    """The ZMK, or for flag 1 the TMK, that a key is to leave under."""
    role = _MASTER_KEYS.get(fields.get("zmk_flag", "0"))
    return ErrorCode.INVALID_INPUT if role is None else state.keyring.find(Zmk, role, text)


def under_zmk(zmk: Zmk, carried: Carried, scheme: str, random_bytes: RandomBytes) -> str | ErrorCode:
    """The key as it leaves, or 26 (scheme), 27 (length) or AA (it must not leave)."""
    if scheme in {"S", "R"}:
        return _block_under_zmk(zmk, carried, scheme, random_bytes)
    written = SCHEMES.get(scheme)
    if written is None or carried.header is not None:
        return ErrorCode.INVALID_KEY_SCHEME
    if len(carried.key) != KEY_BYTES[written]:
        return ErrorCode.INCOMPATIBLE_KEY_LENGTH
    return zmk.encrypt_key(carried.key, written)


def _block_under_zmk(zmk: Zmk, carried: Carried, scheme: str, random_bytes: RandomBytes) -> str | ErrorCode:
    header = carried.header
    if header is None:
        return ErrorCode.INVALID_KEY_SCHEME
    version, binding = ("0", VENDOR["0"]) if scheme == "S" else ("B", TR31["B"])
    marked = header._replace(reserved="FF" if scheme == "S" else "00")
    return scheme + close_block(version, binding, zmk.key, marked, carried.key, random_bytes)


def import_key(fields: Fields, state: State) -> Result:
    """A6: a key from under a ZMK under the LMK; 01 advises that its parity was set right."""
    return _imported(state, fields["key_type"], fields, fields["lmk_scheme"], 6)


def import_zpk(fields: Fields, state: State) -> Result:
    """FA: the same for a ZPK, in the form of older units."""
    shown = CHECK_VALUE_DIGITS.get(fields.get("check_value_type", "0"))
    if shown is None:
        return ErrorCode.INVALID_INPUT
    letter = fields["key_under_zmk"][0]
    scheme = fields.get("lmk_scheme", letter if letter in KEY_BYTES else "Z")
    return _imported(state, _ZPK_TYPE, fields, scheme, shown)


def _imported(state: State, key_type: str, fields: Fields, scheme: str, shown: int) -> Result:
    zmk = state.keyring.find(Zmk, UNWRAPPING_ZMK, fields["zmk"])
    if isinstance(zmk, ErrorCode):
        return zmk
    opened = _from_zmk(zmk, key_type, fields)
    if isinstance(opened, ErrorCode):
        return opened
    key = with_odd_parity(opened.key)
    if has_weak_part(key):  # so are zeros with their parity set right
        return ErrorCode.DESTINATION_KEY_PARITY
    text = under_lmk(state, opened._replace(key=key), scheme)
    if isinstance(text, ErrorCode):
        return text
    made = {"key_under_lmk": text, "check_value": check_value(key)[:shown]}
    return made if has_odd_parity(opened.key) else Advice(ErrorCode.VERIFICATION_FAILED, made)


def _from_zmk(zmk: Zmk, key_type: str, fields: Fields) -> Carried | ErrorCode:
    """The clear key of a field under a ZMK."""
    text = fields["key_under_zmk"]
    if text[0] == "K":
        return ErrorCode.USER_STORAGE_UNAVAILABLE
    if text[0] in "SR":
        opened = open_block(VENDOR if text[0] == "S" else TR31, zmk.key, text[1:])
        return opened if isinstance(opened, ErrorCode) else _from_block(opened, key_type)
    if key_type == "FFF" and "usage" in fields:
        attributes = header_of(fields)
        if isinstance(attributes, ErrorCode):
            return attributes
        return Carried(zmk.decrypt_key(text), key_type, attributes[0])
    return _typed(zmk.decrypt_key(text), key_type)


def _from_block(opened: Opened, key_type: str) -> Carried | ErrorCode:
    """A key out of a block: a TDES key that goes into another block."""
    if opened.header.algorithm not in {"T", "D"}:
        return ErrorCode.KEY_ALGORITHM
    if len(opened.key) not in {8, 16, 24}:
        return ErrorCode.KEY_BLOCK_LENGTH
    return (
        Carried(opened.key, key_type, opened.header) if key_type == "FFF" else ErrorCode.INCOMPATIBLE_SCHEMES
    )


def _typed(key: bytes, key_type: str) -> Carried | ErrorCode:
    return Carried(key, key_type, None) if key_type in KEY_TYPES else ErrorCode.INVALID_KEY_TYPE


def export_key(fields: Fields, state: State) -> Result:
    """A8: a key from under the LMK under a ZMK or TMK; parity errors: 10 ZMK, 11 the key."""
    zmk = master_key(state, fields, fields["zmk"])
    if isinstance(zmk, ErrorCode):
        return zmk
    carried = _from_lmk(state, fields)
    if isinstance(carried, ErrorCode):
        return ErrorCode.DESTINATION_KEY_PARITY if carried is ErrorCode.SOURCE_KEY_PARITY else carried
    text = under_zmk(zmk, carried, fields["zmk_scheme"], state.random_bytes)
    if isinstance(text, ErrorCode):
        return text
    return {"key_under_zmk": text, "check_value": check_value(carried.key)[:6]}


def _from_lmk(state: State, fields: Fields) -> Carried | ErrorCode:
    """The clear key of a field under the LMK, with its type or its header."""
    text, key_type = fields["key_under_lmk"], fields["key_type"]
    role = _ANY_BLOCK if key_type == "FFF" else _BY_TYPE.get(key_type)
    if role is None:
        return ErrorCode.INVALID_KEY_TYPE
    clear = state.keyring.clear_key(role, text)
    if isinstance(clear, ErrorCode):
        return clear
    if not isinstance(state.lmk, KeyBlockLmk):
        return Carried(clear, key_type, None)
    opened = state.lmk.open_key(text)
    if isinstance(opened, ErrorCode):
        return opened
    header = _leaving(opened.header, fields.get("exportability", ""))
    return header if isinstance(header, ErrorCode) else Carried(clear, key_type, header)


def _leaving(header: Header, narrowed: str) -> Header | ErrorCode:
    """The header that a key leaves with: a request may narrow its exportability, never widen it (AA)."""
    order = "NSE"  # not at all, only under a trusted key, under any
    if header.exportability == "N" or (narrowed and narrowed not in order):
        return ErrorCode.KEY_EXPORTABILITY
    if narrowed and order.find(narrowed) > order.find(header.exportability):
        return ErrorCode.KEY_EXPORTABILITY
    return header._replace(exportability=narrowed or header.exportability)
