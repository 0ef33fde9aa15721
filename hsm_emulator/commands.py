"""Which function does what each host command asks for.

A handler is pure: from request fields and state to response fields, an error or an advice.
"""

from hsm_emulator.card_commands import generate_cvv, verify_cvv
from hsm_emulator.key_commands import generate_key, make_check_value
from hsm_emulator.pin_commands import (
    encrypt_clear_pin,
    generate_pin,
    generate_pvv,
    generate_pvv_from_block,
    verify_pin_ibm,
    verify_pin_pvv,
)
from hsm_emulator.state import Handler, Result, State
from processor.hsm.layout import Fields

FIRMWARE = "0000-TEST"
"""What NC says: the shape of a firmware number, and that this is no unit."""


def echo(fields: Fields, state: State) -> Result:  # noqa: ARG001 - every handler has the same shape
    """B2: the data, unchanged."""
    return {"data": fields["data"]}


def diagnose(fields: Fields, state: State) -> Result:  # noqa: ARG001 - every handler has the same shape
    """NC: the LMK's check value and the firmware."""
    return {"lmk_check_value": state.lmk.check_value, "firmware": FIRMWARE}


HANDLERS: dict[str, Handler] = {
    "A0": generate_key,
    "B2": echo,
    "BA": encrypt_clear_pin,
    "BU": make_check_value,
    "CW": generate_cvv,
    "CY": verify_cvv,
    "DG": generate_pvv,
    "EA": verify_pin_ibm,
    "EC": verify_pin_pvv,
    "FW": generate_pvv_from_block,
    "JA": generate_pin,
    "NC": diagnose,
}
"""The handler of every command in the table."""
