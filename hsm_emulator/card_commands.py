"""Commands about cards: CW and CY."""

import hmac

from hsm_emulator.cvv import CvvKey
from hsm_emulator.state import Result, State
from processor.hsm.errors import ErrorCode
from processor.hsm.layout import Fields

CVK = "402"


def generate_cvv(fields: Fields, state: State) -> Result:
    """CW: the card verification value."""
    cvk = state.keyring.find(CvvKey, CVK, fields["cvk"])
    if isinstance(cvk, ErrorCode):
        return cvk
    return {"cvv": cvk.generate(fields["pan"], fields["expiry"], fields["service_code"])}


def verify_cvv(fields: Fields, state: State) -> Result:
    """CY: 00 when the card verification value is right, 01 when it is not."""
    cvk = state.keyring.find(CvvKey, CVK, fields["cvk"])
    if isinstance(cvk, ErrorCode):
        return cvk
    expected = cvk.generate(fields["pan"], fields["expiry"], fields["service_code"])
    return {} if hmac.compare_digest(expected, fields["cvv"]) else ErrorCode.VERIFICATION_FAILED
