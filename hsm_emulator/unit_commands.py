"""Commands about the unit itself: B2, N0, NC and NO."""

from hsm_emulator.state import Result, State
from processor.hsm.errors import ErrorCode
from processor.hsm.layout import Fields

FIRMWARE = "0000-TEST"
"""What NC says: the shape of a firmware number, and that this is no unit."""

SOCKETS = 64
"""How many links are served at a time."""


def echo(fields: Fields, state: State) -> Result:  # noqa: ARG001 - every handler has the same shape
    """B2: the data, unchanged."""
    return {"data": fields["data"]}


def give_random(fields: Fields, state: State) -> Result:
    """N0: as many random bytes as asked for, at least one (15)."""
    length = int(fields["length"])
    return {"random": state.random_bytes(length).hex().upper()} if length else ErrorCode.INVALID_INPUT


def diagnose(fields: Fields, state: State) -> Result:  # noqa: ARG001 - every handler has the same shape
    """NC: the LMK's check value and the firmware."""
    return {"lmk_check_value": state.lmk.check_value, "firmware": FIRMWARE}


def tell_status(fields: Fields, state: State) -> Result:  # noqa: ARG001 - every handler has the same shape
    """NO: mode 00; others are answered 15."""
    if fields["mode"] != "00":
        return ErrorCode.INVALID_INPUT
    return {
        "buffer_size": "3",
        "network": "1",
        "sockets": f"{SOCKETS:02}",
        "firmware": FIRMWARE,
        "reserved": "0",
        "other_firmware": "0000",
    }
