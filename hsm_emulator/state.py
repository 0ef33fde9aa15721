"""What the handlers of commands share: what they may use and what they give back."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from hsm_emulator.keyring import Keyring
from hsm_emulator.lmk import VariantLmk
from processor.hsm.commands import Advice
from processor.hsm.errors import ErrorCode
from processor.hsm.layout import Fields

RandomBytes: TypeAlias = Callable[[int], bytes]
"""Gives as many random bytes as asked for."""


class State(NamedTuple):
    """What a command may use besides its fields."""

    lmk: VariantLmk
    keyring: Keyring
    authorised: bool
    random_bytes: RandomBytes


Result: TypeAlias = Fields | ErrorCode | Advice
Handler: TypeAlias = Callable[[Fields, State], Result]
