"""Commands that make, move and compare PINs."""

from processor.hsm.fields import Field, digits, hexadecimal, key, padded_digits, when_like
from processor.hsm.tables.row import (
    HIGH,
    MIDDLE,
    NICK,
    SARU,
    UT,
    account,
    pin_block,
    pin_under_lmk,
    row,
)

KEY_BLOCK_BDK = "S.{5}B0"
"""How a base derivation key in a key block begins; only key blocks tell it from a zone PIN key."""
_BLOCK_ERRORS = "20 23 24"


def serial_number(prefix: str = "") -> list[Field]:
    """The descriptor of a DUKPT key serial number and the number."""
    return [hexadecimal(f"{prefix}ksn_descriptor", 3), hexadecimal(f"{prefix}ksn", 20)]


def moved_block() -> list[Field]:
    """A PIN block to translate: block, both formats, account."""
    return [
        hexadecimal("pin_block", 16),
        digits("pin_format", 2),
        digits("new_pin_format", 2),
        *account(),
    ]


MOVED = [digits("pin_length", 2), hexadecimal("pin_block", 16), digits("pin_format", 2)]
"""What a translation gives back."""

ROWS = (
    row(
        "BA",
        "encrypt a clear PIN under the LMK (authorised state only)",
        request=[padded_digits("pin", 4, 13), digits("account", 12)],
        response=[pin_under_lmk()],
        source=(NICK, SARU),
        confidence=MIDDLE,
        errors="17 24",
    ),
    row(
        "BC",
        "compare the PIN in a block under a terminal PIN key with a PIN under the LMK",
        request=[
            key("tpk"),
            hexadecimal("pin_block", 16),
            digits("pin_format", 2),
            digits("account", 12),
            pin_under_lmk(),
        ],
        response=[],
        source=(NICK,),
        confidence=MIDDLE,
        errors=f"01 14 {_BLOCK_ERRORS}",
    ),
    row(
        "BE",
        "compare the PIN in a block under a zone PIN key with a PIN under the LMK",
        request=[
            key("zpk"),
            hexadecimal("pin_block", 16),
            digits("pin_format", 2),
            digits("account", 12),
            pin_under_lmk(),
        ],
        response=[],
        source=(NICK,),
        confidence=MIDDLE,
        errors=f"01 14 {_BLOCK_ERRORS}",
    ),
    row(
        "CA",
        "translate a PIN block from a terminal PIN key to a zone PIN key, or a BDK in a key block",
        request=[
            key("tpk"),
            key("new_key"),
            *when_like("new_key", KEY_BLOCK_BDK, *serial_number("new_")),
            digits("pin_length_most", 2),
            *moved_block(),
        ],
        response=MOVED,
        source=(NICK, UT),
        confidence=HIGH,
        errors=f"11 69 {_BLOCK_ERRORS}",
    ),
    row(
        "CC",
        "translate a PIN block from one zone PIN key to another",
        request=[key("zpk"), key("new_key"), digits("pin_length_most", 2), *moved_block()],
        response=MOVED,
        source=(NICK, UT),
        confidence=HIGH,
        errors=f"11 69 {_BLOCK_ERRORS}",
    ),
    row(
        "JA",
        "make a random PIN",
        request=[digits("account", 12), digits("pin_length", 2)],
        response=[pin_under_lmk()],
        source=(NICK, UT),
        confidence=HIGH,
        errors="24",
    ),
    row(
        "JC",
        "translate a PIN from a terminal PIN key to the LMK",
        request=[key("tpk"), *pin_block()],
        response=[pin_under_lmk()],
        source=(NICK, UT),
        confidence=MIDDLE,
        errors=_BLOCK_ERRORS,
    ),
    row(
        "JE",
        "translate a PIN from a zone PIN key to the LMK",
        request=[key("zpk"), *pin_block()],
        response=[pin_under_lmk()],
        source=(NICK, UT),
        confidence=MIDDLE,
        errors=_BLOCK_ERRORS,
    ),
    row(
        "JG",
        "translate a PIN from the LMK to a zone PIN key",
        request=[key("zpk"), digits("pin_format", 2), digits("account", 12), pin_under_lmk()],
        response=[hexadecimal("pin_block", 16)],
        source=(NICK, UT),
        confidence=MIDDLE,
        errors="14 23 69",
    ),
    row(
        "NG",
        "decrypt a PIN under the LMK (authorised state only)",
        request=[digits("account", 12), pin_under_lmk()],
        response=[digits("pin", 4, 12)],
        source=(NICK, SARU),
        confidence=MIDDLE,
        errors="14 17",
    ),
)
