"""Commands about chip cards: KQ, KW, K2 and KU.

The host builds the data of a cryptogram, padding included; the unit only fills it up with zeros to whole
blocks. So CVN 18 and the like come with their byte 80 from the host.
"""

import hmac
from collections.abc import Callable

from hsm_emulator.emv import (
    PAN_PSN_BYTES,
    ChipKey,
    IssuerKey,
    common_session_key,
    pan_psn_b,
    script_mac,
    visa_script_key,
)
from hsm_emulator.mac import pad
from hsm_emulator.roles import MK_AC, MK_SMI
from hsm_emulator.state import Result, State
from processor.hsm.commands import Diagnosis
from processor.hsm.errors import ErrorCode
from processor.hsm.layout import Fields

_ZEROS, _EIGHTY = 1, 2  # padding methods
_KQ_MODES = {"0": (True, 0), "1": (True, 1), "2": (False, 1)}
_KW_MODES = {"0": (True, 0), "1": (True, 1), "2": (False, 1), "3": (True, 2), "4": (False, 2)}
"""By mode: whether the cryptogram is verified, and by which method it is answered (0: not at all)."""
_KW_OPTION_B = "3"

SessionKey = Callable[[ChipKey, Fields], ChipKey]


def _no_session(card_key: ChipKey, _fields: Fields) -> ChipKey:
    return card_key


def _mastercard_session(card_key: ChipKey, fields: Fields) -> ChipKey:
    atc, number = fields["atc"], fields["unpredictable_number"]
    return card_key.session(bytes.fromhex(f"{atc}0000{number}"))


def _common_session(card_key: ChipKey, fields: Fields) -> ChipKey:
    return card_key.session(bytes.fromhex(fields["atc"]) + bytes(6))


_KQ_SCHEMES: dict[str, SessionKey] = {"0": _no_session, "1": _mastercard_session}
_KW_SCHEMES = {"2", _KW_OPTION_B}


def verify_cryptogram_3(fields: Fields, state: State) -> Result:
    """KQ: Visa (scheme 0: the card's key itself) and Mastercard (1: its own session key).

    The answer is by the card's key. Errors: 04 mode, 05 scheme, 81 no data, 01 wrong cryptogram (with the
    right one in the authorised state).
    """
    mode = _KQ_MODES.get(fields["mode"])
    if mode is None:
        with_script = fields["mode"] in {"3", "4"} and fields["scheme"] != "0"
        return ErrorCode.INVALID_COMPONENTS if with_script else ErrorCode.INVALID_MODE
    session = _KQ_SCHEMES.get(fields["scheme"])
    if session is None:
        return ErrorCode.INVALID_KEY_LENGTH_FLAG
    issuer = state.keyring.find(IssuerKey, MK_AC, fields["mk_ac"])
    if isinstance(issuer, ErrorCode):
        return issuer
    card_key = issuer.card(bytes.fromhex(fields["pan_psn"]))
    verifies, method = mode
    refused = _refused(state, session(card_key, fields), fields) if verifies else None
    return _ANSWERS[method](card_key, fields) if refused is None else refused


def verify_cryptogram_4(fields: Fields, state: State) -> Result:
    """KW: the common session key, by card keys of option A (scheme 2) or B (3); errors as KQ."""
    mode = _KW_MODES.get(fields["mode"])
    if mode is None:
        return ErrorCode.INVALID_MODE
    if fields["scheme"] not in _KW_SCHEMES:
        return ErrorCode.INVALID_KEY_LENGTH_FLAG
    card_key = _card_key(state, fields, option_b=fields["scheme"] == _KW_OPTION_B)
    if isinstance(card_key, ErrorCode):
        return card_key
    session_key = _common_session(card_key, fields)
    verifies, method = mode
    refused = _refused(state, session_key, fields) if verifies else None
    return _ANSWERS[method](session_key, fields) if refused is None else refused


def _card_key(state: State, fields: Fields, *, option_b: bool) -> ChipKey | ErrorCode:
    """The card's key by option A or B, or what is wrong with the issuer's key or the digits (15)."""
    issuer = state.keyring.find(IssuerKey, MK_AC, fields["mk_ac"])
    if isinstance(issuer, ErrorCode):
        return issuer
    pan_psn = _derivation_data(fields.get("pan_psn", ""), option_b=option_b)
    return pan_psn if isinstance(pan_psn, ErrorCode) else issuer.card(pan_psn)


def _derivation_data(hex_digits: str, *, option_b: bool) -> bytes | ErrorCode:
    """The eight bytes that a card key comes from; 15 when the digits are none."""
    if not hex_digits.isdecimal():
        return ErrorCode.INVALID_INPUT
    if option_b and len(hex_digits) > 2 * PAN_PSN_BYTES:
        return pan_psn_b(hex_digits)
    if len(hex_digits) != 2 * PAN_PSN_BYTES:
        return ErrorCode.INVALID_INPUT
    return bytes.fromhex(hex_digits)


def _refused(state: State, session_key: ChipKey, fields: Fields) -> ErrorCode | Diagnosis | None:
    """Why a cryptogram is not the card's: 81 (no data) or 01; None when it is."""
    data = bytes.fromhex(fields["data"])
    if not data:
        return ErrorCode.PIN_LENGTH_MISMATCH
    expected = session_key.mac(pad(data, _ZEROS)).hex().upper()
    if hmac.compare_digest(expected, fields["cryptogram"]):
        return None
    return Diagnosis({"cryptogram": expected}) if state.rules.authorised else ErrorCode.VERIFICATION_FAILED


def _answer_1(key: ChipKey, fields: Fields) -> Result:
    arqc, response_code = bytes.fromhex(fields["cryptogram"]), bytes.fromhex(fields["response_code"])
    return {"arpc": key.answer_1(arqc, response_code).hex().upper()}


def _answer_2(key: ChipKey, fields: Fields) -> Result:
    """Four bytes of answer, and four of zeros, as the one published reply has it."""
    arqc, update = bytes.fromhex(fields["cryptogram"]), bytes.fromhex(fields["card_status_update"])
    arpc = key.answer_2(arqc, update, bytes.fromhex(fields["proprietary_data"]))
    return {"arpc": arpc.hex().upper() + "00" * 4}


def _no_answer(_key: ChipKey, _fields: Fields) -> Result:
    return {}


_ANSWERS = (_no_answer, _answer_1, _answer_2)
"""How an answer is made, by its method."""


def verify_truncated_cryptogram(fields: Fields, state: State) -> Result:
    """K2: a cryptogram over data that the unit pads with a byte 80; Mastercard's session key only (15).

    Errors: 04 mode, 05 scheme, 15 a bitmap (which bits it leaves out is not public), 81, 01.
    """
    if fields["mode"] != "0":
        return ErrorCode.INVALID_MODE
    if fields["scheme"] != "00":
        return ErrorCode.INVALID_KEY_LENGTH_FLAG
    if fields["session_key_method"] != "1" or fields["cryptogram_bitmap"].strip("0"):
        return ErrorCode.INVALID_INPUT
    card_key = _card_key(state, fields, option_b=fields["card_key_method"] == "1")
    if isinstance(card_key, ErrorCode):
        return card_key
    padded = pad(bytes.fromhex(fields["data"]), _EIGHTY).hex().upper() if fields["data"] else ""
    return _refused(state, _mastercard_session(card_key, fields), fields | {"data": padded}) or {}


def make_script_mac(fields: Fields, state: State) -> Result:
    """KU: the MAC of an issuer's message, padded with a byte 80, for Visa (scheme 0) and Mastercard (1).

    Errors: 04 any mode but 0, 05 scheme, 81 no data.
    """
    if fields["mode"] != "0":
        return ErrorCode.INVALID_MODE
    if fields["scheme"] not in {"0", "1"}:
        return ErrorCode.INVALID_KEY_LENGTH_FLAG
    issuer = state.keyring.find(IssuerKey, MK_SMI, fields["mk_smi"])
    if isinstance(issuer, ErrorCode):
        return issuer
    card_key = issuer.card_key(bytes.fromhex(fields["pan_psn"]))
    session_data = bytes.fromhex(fields["session_data"])
    if not fields["data"]:
        return ErrorCode.PIN_LENGTH_MISMATCH
    visa = fields["scheme"] == "0"
    key = visa_script_key(card_key, session_data[-2:]) if visa else common_session_key(card_key, session_data)
    return {"mac": script_mac(key, bytes.fromhex(fields["data"])).hex().upper()}
