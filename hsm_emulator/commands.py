"""What each host command does: pure functions from request fields to response fields or an error.

With the test LMK a PIN under the LMK is "0" and the clear PIN, as in the published frames; the vendor's own
algorithm is not public.
"""

import hmac
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from hsm_emulator.cvv import CvvKey
from hsm_emulator.keyring import Keyring
from hsm_emulator.pin_block import PIN_DIGITS_LEAST, PIN_DIGITS_MOST, PinKey, read_block
from hsm_emulator.pvv import PvvKey
from processor.hsm.errors import ErrorCode
from processor.hsm.layout import Fields

ZPK = "001"
PVK = "002"
CVK = "402"


class State(NamedTuple):
    """What a command may use besides its fields."""

    keyring: Keyring
    authorised: bool


Result: TypeAlias = Fields | ErrorCode
Handler: TypeAlias = Callable[[Fields, State], Result]


def echo(fields: Fields, state: State) -> Result:  # noqa: ARG001 - every handler has the same shape
    """B2: the data, unchanged."""
    return {"data": fields["data"]}


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


def verify_cvv(fields: Fields, state: State) -> Result:
    """CY: 00 when the card verification value is right, 01 when it is not."""
    cvk = state.keyring.find(CvvKey, CVK, fields["cvk"])
    if isinstance(cvk, ErrorCode):
        return cvk
    expected = cvk.generate(fields["pan"], fields["expiry"], fields["service_code"])
    return _verdict(expected, fields["cvv"])


def generate_pvv(fields: Fields, state: State) -> Result:
    """DG: the PIN verification value of a PIN under the LMK (14 when it is none)."""
    pvk = state.keyring.find(PvvKey, PVK, fields["pvk"])
    if isinstance(pvk, ErrorCode):
        return pvk
    pin_under_lmk = fields["pin_under_lmk"]
    if not pin_under_lmk.startswith("0"):
        return ErrorCode.INVALID_PIN_UNDER_LMK
    return {"pvv": pvk.generate(fields["account"], fields["pvki"], pin_under_lmk[1:])}


def verify_pin_pvv(fields: Fields, state: State) -> Result:
    """EC: 00 when the PIN in the block has this PVV, 01 when another; parity errors: 10 ZPK, 11 PVK."""
    zpk = state.keyring.find(PinKey, ZPK, fields["zpk"])
    if isinstance(zpk, ErrorCode):
        return zpk
    pvk = state.keyring.find(PvvKey, PVK, fields["pvk"])
    if isinstance(pvk, ErrorCode):
        return ErrorCode.DESTINATION_KEY_PARITY if pvk is ErrorCode.SOURCE_KEY_PARITY else pvk
    account = fields["account"]
    pin = read_block(fields["pin_format"], zpk.decrypt(bytes.fromhex(fields["pin_block"])), account)
    if isinstance(pin, ErrorCode):
        return pin
    return _verdict(pvk.generate(account, fields["pvki"], pin), fields["pvv"])


def _verdict(expected: str, presented: str) -> Result:
    """Compared in constant time: no fields when equal, 01 otherwise."""
    return {} if hmac.compare_digest(expected, presented) else ErrorCode.VERIFICATION_FAILED


HANDLERS: dict[str, Handler] = {
    "B2": echo,
    "BA": encrypt_clear_pin,
    "CY": verify_cvv,
    "DG": generate_pvv,
    "EC": verify_pin_pvv,
}
"""The handler of every command in the table."""
