"""Commands that verify PINs and make what they are verified by: PVVs and IBM 3624 offsets."""

from processor.hsm.errors import ErrorCode
from processor.hsm.fields import (
    Field,
    digits,
    filled_data,
    hexadecimal,
    key,
    key_pair,
    optional,
    validation_data,
)
from processor.hsm.tables.row import (
    DYMAR,
    HIGH,
    LEACH,
    MIDDLE,
    NICK,
    UT,
    account,
    offset,
    pin_block,
    pin_under_lmk,
    row,
)

_LENGTH_ADVICE = [ErrorCode.KEY_LENGTH_ADVICE]
_BLOCK_ERRORS = "11 20 23 24"


def _pvv(name: str = "pvv") -> list[Field]:
    return [digits("pvki", 1), digits(name, 4)]


def _verification_account() -> list[Field]:
    """The account that the PVV belongs to, when the block holds another (a token)."""
    return optional(";", digits("verification_account", 12))


def _ibm_block() -> list[Field]:
    """A PIN block whose account stands behind the check length."""
    return [hexadecimal("pin_block", 16), digits("pin_format", 2), digits("check_length", 2), *account()]


def _typed_key() -> list[Field]:
    return [hexadecimal("key_type", 3), key("pin_key")]


_TABLE = hexadecimal("decimalisation_table", 16)
_DATA = validation_data("validation_data")


def _verify_by_offset(pin_key: str) -> list[Field]:
    """The fields of DA and EA, which differ in the key of the block."""
    most = digits("pin_length_most", 2)
    return [key(pin_key), key("pvk"), most, *_ibm_block(), _TABLE, _DATA, offset()]


def _verify_by_pvv(pin_key: str) -> list[Field]:
    """The fields of DC and EC, which differ in the key of the block."""
    return [key(pin_key), key_pair("pvk"), *pin_block(), *_verification_account(), *_pvv()]


ROWS = (
    row(
        "BK",
        "make an IBM 3624 offset for the PIN in a block",
        request=[*_typed_key(), key("pvk"), *_ibm_block(), _TABLE, _DATA],
        response=[offset()],
        source=(UT, DYMAR),
        confidence=HIGH,
        errors=f"25 81 86 {_BLOCK_ERRORS}",
        advice=_LENGTH_ADVICE,
    ),
    row(
        "CU",
        "verify the PIN in a block by its PVV and make the PVV of another one",
        request=[
            *_typed_key(),
            key_pair("pvk"),
            *pin_block(),
            *_pvv(),
            hexadecimal("new_pin_block", 16),
        ],
        response=[digits("pvv", 4)],
        source=(NICK, UT),
        confidence=HIGH,
        errors=f"01 86 {_BLOCK_ERRORS}",
    ),
    row(
        "DA",
        "verify a PIN block under a terminal PIN key against an IBM 3624 offset",
        request=_verify_by_offset("tpk"),
        response=[],
        source=(DYMAR, UT),
        confidence=HIGH,
        errors=f"01 25 {_BLOCK_ERRORS}",
        advice=_LENGTH_ADVICE,
    ),
    row(
        "DC",
        "verify a PIN block under a terminal PIN key against a PIN verification value",
        request=_verify_by_pvv("tpk"),
        response=[],
        source=(NICK, UT),
        confidence=HIGH,
        errors=f"01 {_BLOCK_ERRORS}",
    ),
    row(
        "DE",
        "make an IBM 3624 offset for a PIN under the LMK",
        request=[
            key("pvk"),
            pin_under_lmk(),
            digits("check_length", 2),
            digits("account", 12),
            _TABLE,
            filled_data("validation_data"),
        ],
        response=[offset()],
        source=(NICK, UT, LEACH),
        confidence=MIDDLE,
        errors="14 25 81 86",
        advice=_LENGTH_ADVICE,
    ),
    row(
        "DG",
        "make a PIN verification value from a PIN under the LMK",
        request=[key_pair("pvk"), pin_under_lmk(), digits("account", 12), digits("pvki", 1)],
        response=[digits("pvv", 4)],
        source=(NICK, UT),
        confidence=HIGH,
        errors="14 86",
    ),
    row(
        "DU",
        "verify the PIN in a block by its IBM 3624 offset and make the offset of another one",
        request=[
            *_typed_key(),
            key("pvk"),
            *_ibm_block(),
            _TABLE,
            _DATA,
            offset(),
            hexadecimal("new_pin_block", 16),
        ],
        response=[offset()],
        source=(DYMAR, UT),
        confidence=HIGH,
        errors=f"01 25 81 86 {_BLOCK_ERRORS}",
        advice=_LENGTH_ADVICE,
    ),
    row(
        "EA",
        "verify a PIN block under a zone PIN key against an IBM 3624 offset",
        request=_verify_by_offset("zpk"),
        response=[],
        source=(LEACH, UT),
        confidence=HIGH,
        errors=f"01 25 {_BLOCK_ERRORS}",
        advice=_LENGTH_ADVICE,
    ),
    row(
        "EC",
        "verify a PIN block under a zone PIN key against a PIN verification value",
        request=_verify_by_pvv("zpk"),
        response=[],
        source=(NICK, UT),
        confidence=HIGH,
        errors=f"01 {_BLOCK_ERRORS}",
    ),
    row(
        "EE",
        "derive the PIN of an IBM 3624 offset",
        request=[
            key("pvk"),
            offset(),
            digits("check_length", 2),
            digits("account", 12),
            _TABLE,
            _DATA,
        ],
        response=[pin_under_lmk()],
        source=(NICK, UT),
        confidence=MIDDLE,
        errors="25 81 86",
        advice=_LENGTH_ADVICE,
    ),
    row(
        "FW",
        "make a PIN verification value from a PIN block",
        request=[*_typed_key(), key_pair("pvk"), *pin_block(), digits("pvki", 1)],
        response=[digits("pvv", 4)],
        source=(UT,),
        confidence=MIDDLE,
        errors=f"86 {_BLOCK_ERRORS}",
    ),
)
