"""What the handlers of commands share: what they may use and what they give back."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from hsm_emulator.keyring import Keyring, Lmk
from processor.hsm.commands import Advice, Diagnosis
from processor.hsm.errors import ErrorCode
from processor.hsm.layout import Fields

RandomBytes: TypeAlias = Callable[[int], bytes]
"""Gives as many random bytes as asked for."""


class Rules(NamedTuple):
    """What the unit's security settings allow; everything is off until somebody turns it on.

    ``authorised``: clear PINs, components and diagnoses. ``weaker_pin_blocks``: translation to formats that
    protect a PIN less. ``pci_key_types``: terminal keys have the types 70D and 80D. ``strict_keys``: keys
    with equal parts are refused (75). ``pin_failures_max``: after so many wrong PINs in a row an account's
    PINs are verified no more (39); 0 is no limit.
    """

    authorised: bool = False
    weaker_pin_blocks: bool = False
    pci_key_types: bool = False
    strict_keys: bool = False
    pin_failures_max: int = 0


class State(NamedTuple):
    """What a command may use besides its fields: one LMK, the keys under it, the rules."""

    lmk: Lmk
    keyring: Keyring
    rules: Rules
    random_bytes: RandomBytes


Result: TypeAlias = Fields | ErrorCode | Advice | Diagnosis
Handler: TypeAlias = Callable[[Fields, State], Result]
