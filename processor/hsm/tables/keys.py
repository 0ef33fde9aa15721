"""Commands about keys."""

from processor.hsm.errors import ErrorCode
from processor.hsm.fields import (
    Field,
    after,
    check_value,
    digits,
    hexadecimal,
    key,
    key_pair,
    optional,
    text,
    when,
)
from processor.hsm.tables.row import HIGH, LEACH, MIDDLE, NICK, SARU, UT, row

_NOT_DOUBLE = "023456789ABCDEF"
_LMK = optional("%", digits("lmk", 2))
_COMPONENTS_MOST = 9


def _block_attributes() -> list[Field]:
    """What a new key block says of its key: usage, algorithm, mode of use, version, exportability."""
    return optional(
        "#",
        text("usage", 2),
        text("algorithm", 2),
        text("mode_of_use", 1),
        text("key_version", 2),
        text("exportability", 1),
        digits("optional_blocks", 2),
    )


def _component(number: int) -> list[Field]:
    """One of the components, there when as many are announced."""
    enough = [str(count) for count in range(number, _COMPONENTS_MOST + 1)]
    return when("count", enough, key(f"component_{number}"))


def _legacy_schemes(first: str) -> list[Field]:
    """The optional group that older commands say their schemes with."""
    return optional(";", text(first, 1), text("lmk_scheme", 1), digits("check_value_type", 1))


ROWS = (
    row(
        "A0",
        "generate a random key (mode 0), and encrypt it under a ZMK or TMK too (mode 1)",
        request=[
            digits("mode", 1),
            hexadecimal("key_type", 3),
            text("lmk_scheme", 1),
            *when("mode", "1", *optional(";", digits("zmk_flag", 1)), key("zmk"), text("zmk_scheme", 1)),
            *_LMK,
            *_block_attributes(),
        ],
        response=[key("key_under_lmk"), *optional("", key("key_under_zmk")), hexadecimal("check_value", 6)],
        source=(NICK, UT),
        confidence=HIGH,
        errors="26 28 29",
    ),
    row(
        "A4",
        "form a key from 2 to 9 components under the LMK (authorised state only)",
        request=[
            digits("count", 1),
            hexadecimal("key_type", 3),
            text("lmk_scheme", 1),
            key("component_1"),
            key("component_2"),
            *(field for number in range(3, _COMPONENTS_MOST + 1) for field in _component(number)),
            *_LMK,
            *optional("#", text("key_version", 2), digits("optional_blocks", 2)),
        ],
        response=[key("key_under_lmk"), hexadecimal("check_value", 6)],
        source=(UT, NICK),
        confidence=MIDDLE,
        errors="03 17 29",
    ),
    row(
        "A6",
        "import a key from under a ZMK",
        request=[
            hexadecimal("key_type", 3),
            key("zmk"),
            key("key_under_zmk"),
            text("lmk_scheme", 1),
            *_LMK,
            *_block_attributes(),
        ],
        response=[key("key_under_lmk"), hexadecimal("check_value", 6)],
        source=(UT, NICK),
        confidence=HIGH,
        errors="11 29",
        advice=[ErrorCode.VERIFICATION_FAILED],
    ),
    row(
        "A8",
        "export a key to under a ZMK or TMK",
        request=[
            hexadecimal("key_type", 3),
            *optional(";", digits("zmk_flag", 1)),
            key("zmk"),
            key("key_under_lmk"),
            text("zmk_scheme", 1),
            *_LMK,
            *optional("&", text("exportability", 1)),
        ],
        response=[key("key_under_zmk"), hexadecimal("check_value", 6)],
        source=(UT, NICK),
        confidence=HIGH,
        errors="11 29",
    ),
    row(
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
        source=(NICK, UT),
        confidence=HIGH,
        errors="05",
    ),
    row(
        "FA",
        "import a ZPK from under a ZMK (older form)",
        request=[key("zmk"), key("key_under_zmk"), *_legacy_schemes("reserved")],
        response=[key("key_under_lmk"), check_value("check_value")],
        source=(NICK, SARU),
        confidence=MIDDLE,
        errors="11",
        advice=[ErrorCode.VERIFICATION_FAILED],
    ),
    row(
        "HC",
        "make a new TMK, TPK or PVK and write it under the one in use (older form)",
        request=[
            key("tmk"),
            *optional(";", text("tmk_scheme", 1), text("lmk_scheme", 1), text("reserved", 1)),
        ],
        response=[key("key_under_tmk"), key("key_under_lmk")],
        source=(NICK, UT),
        confidence=MIDDLE,
    ),
    row(
        "IA",
        "make a ZPK and write it under a ZMK (older form)",
        request=[key("zmk"), *_legacy_schemes("zmk_scheme")],
        response=[key("key_under_zmk"), key("key_under_lmk"), check_value("check_value")],
        source=(NICK, LEACH, SARU),
        confidence=MIDDLE,
    ),
)
