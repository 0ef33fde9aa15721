"""Commands whose key is derived for one transaction of a terminal (TDES DUKPT)."""

from processor.hsm.errors import ErrorCode
from processor.hsm.fields import (
    counted_bytes,
    digits,
    hexadecimal,
    key,
    key_pair,
    optional,
    validation_data,
    when,
    when_like,
)
from processor.hsm.tables.pins import KEY_BLOCK_BDK, MOVED, moved_block, serial_number
from processor.hsm.tables.row import HIGH, MIDDLE, NICK, UT, account, offset, pin_block, row

_BLOCK_ERRORS = "11 20 23 24"
_ADVICE = [ErrorCode.KEY_LENGTH_ADVICE]
_OFFSET = [
    hexadecimal("decimalisation_table", 16),
    validation_data("validation_data"),
    offset(),
]
_PVV = [digits("pvki", 1), digits("pvv", 4)]

ROWS = (
    row(
        "CI",
        "translate a PIN block in ISO format 0 from a derived key to a zone PIN key",
        request=[
            key_pair("bdk"),
            key("new_key"),
            *serial_number(),
            hexadecimal("pin_block", 16),
            digits("new_pin_format", 2),
            digits("account", 12),
        ],
        response=MOVED,
        source=(NICK,),
        confidence=HIGH,
        errors=f"69 {_BLOCK_ERRORS}",
    ),
    row(
        "CK",
        "verify a PIN block in ISO format 0 under a derived key against an IBM 3624 offset",
        request=[
            key_pair("bdk"),
            key("pvk"),
            *serial_number(),
            hexadecimal("pin_block", 16),
            digits("check_length", 2),
            digits("account", 12),
            *_OFFSET,
        ],
        response=[],
        source=(NICK,),
        confidence=HIGH,
        errors=f"01 25 {_BLOCK_ERRORS}",
        advice=_ADVICE,
    ),
    row(
        "CM",
        "verify a PIN block in ISO format 0 under a derived key against a PIN verification value",
        request=[
            key_pair("bdk"),
            key_pair("pvk"),
            *serial_number(),
            hexadecimal("pin_block", 16),
            digits("account", 12),
            *_PVV,
        ],
        response=[],
        source=(NICK,),
        confidence=HIGH,
        errors=f"01 {_BLOCK_ERRORS}",
    ),
    row(
        "G0",
        "translate a PIN block from a derived key to a zone PIN key, or a BDK in a key block",
        request=[
            key_pair("bdk"),
            key("new_key"),
            *serial_number(),
            *when_like("new_key", KEY_BLOCK_BDK, *serial_number("new_")),
            *moved_block(),
        ],
        response=MOVED,
        source=(UT, NICK),
        confidence=MIDDLE,
        errors=f"69 {_BLOCK_ERRORS}",
    ),
    row(
        "GO",
        "verify a PIN block under a derived key against an IBM 3624 offset (mode 0: no MAC)",
        request=[
            digits("mode", 1),
            key_pair("bdk"),
            key("pvk"),
            *serial_number(),
            hexadecimal("pin_block", 16),
            digits("pin_format", 2),
            digits("check_length", 2),
            *account(),
            *_OFFSET,
        ],
        response=[],
        source=(UT,),
        confidence=MIDDLE,
        errors=f"01 25 {_BLOCK_ERRORS}",
        advice=_ADVICE,
    ),
    row(
        "GQ",
        "verify a PIN block under a derived key against a PIN verification value (mode 0: no MAC)",
        request=[
            digits("mode", 1),
            key_pair("bdk"),
            key_pair("pvk"),
            *serial_number(),
            *pin_block(),
            *_PVV,
        ],
        response=[],
        source=(UT,),
        confidence=MIDDLE,
        errors=f"01 {_BLOCK_ERRORS}",
    ),
    row(
        "GW",
        "make (mode 4) or verify (mode 1) a MAC under a derived key (method 1)",
        request=[
            digits("mode", 1),
            digits("method", 1),
            key_pair("bdk"),
            *serial_number(),
            *when("mode", "1", hexadecimal("mac", 16)),
            counted_bytes("data", 4),
        ],
        response=optional("", hexadecimal("mac", 16)),
        source=(UT,),
        confidence=MIDDLE,
        errors="01",
    ),
)
