"""Commands about cards: CW, CY and PM."""

import hmac

from hsm_emulator.cvv import CvvKey
from hsm_emulator.dynamic_cvv import generate_cvc3, static_part, track_with_zeros
from hsm_emulator.emv import IssuerKey, pan_psn_a, pan_psn_b
from hsm_emulator.roles import CVK_CHECK, CVK_MAKE, MK_DYNAMIC
from hsm_emulator.state import Result, State
from processor.hsm.commands import Diagnosis
from processor.hsm.errors import ErrorCode
from processor.hsm.layout import Fields

_MASTERCARD, _TRACK_GIVEN = "1", "2"
_PAN_DIGITS_OPTION_A_MOST = 16
_ATC_MOST = 0xFFFF


def generate_cvv(fields: Fields, state: State) -> Result:
    """CW: the card verification value."""
    cvk = state.keyring.find(CvvKey, CVK_MAKE, fields["cvk"])
    if isinstance(cvk, ErrorCode):
        return cvk
    return {"cvv": cvk.generate(fields["pan"], fields["expiry"], fields["service_code"])}


def verify_cvv(fields: Fields, state: State) -> Result:
    """CY: 00 when the card verification value is right, 01 when it is not."""
    cvk = state.keyring.find(CvvKey, CVK_CHECK, fields["cvk"])
    if isinstance(cvk, ErrorCode):
        return cvk
    expected = cvk.generate(fields["pan"], fields["expiry"], fields["service_code"])
    return {} if hmac.compare_digest(expected, fields["cvv"]) else ErrorCode.VERIFICATION_FAILED


def verify_dynamic_cvv(fields: Fields, state: State) -> Result:
    """PM: 00 when the CVC3 over this track is right, 01 when it is not; 15 for other schemes and versions.

    The value may be filled up with X, of which none counts; its last digits are compared.
    """
    digits = fields["dcvv"].replace("X", "")
    if (fields["scheme"], fields["version"]) != (_MASTERCARD, _TRACK_GIVEN) or not digits.isdecimal():
        return ErrorCode.INVALID_INPUT
    data = _derivation_data(fields)
    track = _track(fields["track"])
    atc = int(fields["atc"])
    if data is None or track is None or atc > _ATC_MOST:
        return ErrorCode.INVALID_INPUT
    issuer = state.keyring.find(IssuerKey, MK_DYNAMIC, fields["master_key"])
    if isinstance(issuer, ErrorCode):
        return issuer
    card_key = issuer.card_key(data)
    number = bytes.fromhex(fields["unpredictable_number"])
    expected = generate_cvc3(card_key, static_part(card_key, track), number, atc.to_bytes(2, "big"))
    if hmac.compare_digest(expected[-len(digits) :], digits):
        return {}
    return Diagnosis({"dcvv": expected}) if state.rules.authorised else ErrorCode.VERIFICATION_FAILED


def _derivation_data(fields: Fields) -> bytes | None:
    """What the card's key comes from by method A, or B for a PAN of more than sixteen digits."""
    pan, psn = fields["pan"], fields["psn"]
    if fields["derivation"] == "A":
        return pan_psn_a(pan, psn)
    is_long = len(pan) > _PAN_DIGITS_OPTION_A_MOST
    return pan_psn_b(pan + psn) if fields["derivation"] == "B" and is_long else None


def _track(hex_digits: str) -> bytes | None:
    """The static part of track 2 in its bytes; None for another shape."""
    track = track_with_zeros(hex_digits)
    return None if track is None or len(track) % 2 else bytes.fromhex(track)
