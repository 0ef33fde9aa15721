"""The host commands, one row each; the client's encoder and the emulator's parser both come from the row.

Layouts follow public implementations: nickntg/thalessimulatorlibrary, leachbj/hsm-emulator and
softwaregroup-bg/ut-codec-payshield; the published request and response pairs of the first two pin them.
"""

import msgspec

from processor.hsm.errors import ErrorCode
from processor.hsm.fields import (
    Field,
    after,
    check_value,
    counted_bytes,
    digits,
    hexadecimal,
    key,
    key_pair,
    optional,
    padded_digits,
    remaining_bytes,
    text,
    validation_data,
    when,
)
from processor.hsm.layout import Layout


class Command(msgspec.Struct, frozen=True):
    """A host command: its code, what it does, the fields both ways and where they are described.

    ``advice`` are the errors that only warn: the command did its work and its response fields come with them.
    """

    code: str
    meaning: str
    request: Layout
    response: Layout
    source: str
    advice: frozenset[ErrorCode]

    @property
    def response_code(self) -> str:
        """The code with its second character raised by one: CY is answered CZ."""
        return self.code[0] + chr(ord(self.code[1]) + 1)


def _row(
    code: str,
    meaning: str,
    request: list[Field],
    response: list[Field],
    source: str,
    advice: frozenset[ErrorCode] = frozenset(),
) -> Command:
    return Command(code, meaning, Layout(tuple(request)), Layout(tuple(response)), source, advice)


_NOT_DOUBLE = "023456789ABCDEF"

_ROWS = (
    _row(
        "A0",
        "generate a random key (mode 0), and encrypt it under a ZMK or TMK too (mode 1)",
        request=[
            digits("mode", 1),
            hexadecimal("key_type", 3),
            text("lmk_scheme", 1),
            *when("mode", "1", *optional(";", digits("zmk_flag", 1)), key("zmk"), text("zmk_scheme", 1)),
        ],
        response=[
            key("key_under_lmk"),
            *optional("", key("key_under_zmk")),
            hexadecimal("check_value", 6),
        ],
        source="nickntg, ut-codec-payshield",
    ),
    _row(
        "B2",
        "echo the data",
        request=[counted_bytes("data", 4)],
        response=[remaining_bytes("data")],
        source="nickntg, ut-codec-payshield",
    ),
    _row(
        "BA",
        "encrypt a clear PIN under the LMK (authorised state only)",
        request=[padded_digits("pin", 4, 13), digits("account", 12)],
        response=[digits("pin_under_lmk", 5, 13)],
        source="nickntg",
    ),
    _row(
        "BU",
        "make a key check value",
        request=[
            hexadecimal("key_type_code", 2),
            hexadecimal("length_flag", 1),
            *when("length_flag", "1", key_pair("key")),
            *when("length_flag", _NOT_DOUBLE, key("key")),
            *when("key_type_code", ["FF"], after(";", hexadecimal("key_type", 3))),
            *optional(";", digits("reserved", 2), digits("check_value_type", 1)),
        ],
        response=[check_value("check_value")],
        source="nickntg, ut-codec-payshield",
    ),
    _row(
        "CW",
        "make a card verification value (CVV, CVV2 with service code 000, iCVV with 999)",
        request=[
            key_pair("cvk"),
            digits("pan", 12, 19, until=";"),
            digits("expiry", 4),
            digits("service_code", 3),
        ],
        response=[digits("cvv", 3)],
        source="nickntg, ut-codec-payshield",
    ),
    _row(
        "CY",
        "verify a card verification value (CVV, CVV2 with service code 000, iCVV with 999)",
        request=[
            key_pair("cvk"),
            digits("cvv", 3),
            digits("pan", 12, 19, until=";"),
            digits("expiry", 4),
            digits("service_code", 3),
        ],
        response=[],
        source="nickntg, ut-codec-payshield",
    ),
    _row(
        "DG",
        "make a PIN verification value from a PIN under the LMK",
        request=[key_pair("pvk"), digits("pin_under_lmk", 5, 13), digits("account", 12), digits("pvki", 1)],
        response=[digits("pvv", 4)],
        source="nickntg",
    ),
    _row(
        "EA",
        "verify a PIN block under a zone PIN key against an IBM 3624 offset",
        request=[
            key("zpk"),
            key("pvk"),
            digits("pin_length_most", 2),
            hexadecimal("pin_block", 16),
            digits("pin_format", 2),
            digits("check_length", 2),
            digits("account", 12),
            hexadecimal("decimalisation_table", 16),
            validation_data("validation_data"),
            padded_digits("offset", 12, 12),
        ],
        response=[],
        source="leachbj, ut-codec-payshield",
        advice=frozenset({ErrorCode.KEY_LENGTH_ADVICE}),
    ),
    _row(
        "EC",
        "verify a PIN block under a zone PIN key against a PIN verification value",
        request=[
            key("zpk"),
            key_pair("pvk"),
            hexadecimal("pin_block", 16),
            digits("pin_format", 2),
            digits("account", 12),
            digits("pvki", 1),
            digits("pvv", 4),
        ],
        response=[],
        source="nickntg, ut-codec-payshield",
    ),
    _row(
        "FW",
        "make a PIN verification value from a PIN block under a zone or terminal PIN key",
        request=[
            hexadecimal("key_type", 3),
            key("pin_key"),
            key_pair("pvk"),
            hexadecimal("pin_block", 16),
            digits("pin_format", 2),
            digits("account", 12),
            digits("pvki", 1),
        ],
        response=[digits("pvv", 4)],
        source="ut-codec-payshield",
    ),
    _row(
        "JA",
        "make a random PIN",
        request=[digits("account", 12), digits("pin_length", 2)],
        response=[digits("pin_under_lmk", 5, 13)],
        source="nickntg, ut-codec-payshield",
    ),
    _row(
        "NC",
        "diagnostics: the LMK's check value and the firmware",
        request=[],
        response=[hexadecimal("lmk_check_value", 16), text("firmware", 9)],
        source="mszeu/PayShieldPressureTest, nickntg",
    ),
)

COMMANDS: dict[str, Command] = {command.code: command for command in _ROWS}
"""Every command by its code."""
