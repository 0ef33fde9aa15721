"""Commands over data: encryption and message authentication."""

from processor.hsm.fields import (
    Field,
    counted_bytes,
    counted_hex,
    digits,
    hexadecimal,
    key,
    unless,
    when,
)
from processor.hsm.tables.row import HIGH, LOW, MIDDLE, NICK, PROXY, UT, row

_CIPHER_ERRORS = "02 03 04 05 06 35"
_MAC_ERRORS = "02 03 04 05 06 09"


def _mac_key(prefix: str = "") -> list[Field]:
    """How a MAC is made: size, algorithm, padding and key."""
    return [
        digits(f"{prefix}mac_size", 1),
        digits(f"{prefix}algorithm", 1),
        digits(f"{prefix}padding", 1),
        hexadecimal(f"{prefix}key_type", 3),
        key(f"{prefix}key"),
    ]


def _message() -> list[Field]:
    """The data after its count of characters: hex digits for input format 1, raw bytes otherwise."""
    return [
        *when("input_format", "1", counted_hex("data", 4)),
        *unless("input_format", "1", counted_bytes("data", 4)),
    ]


def _mac() -> list[Field]:
    return [
        *when("mac_size", "0", hexadecimal("mac", 8)),
        *when("mac_size", "1", hexadecimal("mac", 16)),
    ]


def _formats() -> list[Field]:
    return [digits("input_format", 1), digits("output_format", 1)]


_MAC_HEADER = [digits("mode", 1), digits("input_format", 1)]
_CHAINED = when("mode", "23", hexadecimal("iv", 16))
_MADE = [hexadecimal("mac", 8, 16)]

ROWS = (
    row(
        "M0",
        "encrypt data (mode 00: block by block)",
        request=[digits("mode", 2), *_formats(), hexadecimal("key_type", 3), key("key"), *_message()],
        response=[counted_bytes("data", 4)],
        source=(UT,),
        confidence=MIDDLE,
        errors=_CIPHER_ERRORS,
    ),
    row(
        "M2",
        "decrypt data (mode 00: block by block)",
        request=[digits("mode", 2), *_formats(), hexadecimal("key_type", 3), key("key"), *_message()],
        response=[counted_bytes("data", 4)],
        source=(UT,),
        confidence=MIDDLE,
        errors=_CIPHER_ERRORS,
    ),
    row(
        "M4",
        "decrypt data and encrypt it under another key (modes 00: block by block)",
        request=[
            digits("mode", 2),
            digits("new_mode", 2),
            *_formats(),
            hexadecimal("key_type", 3),
            key("key"),
            hexadecimal("new_key_type", 3),
            key("new_key"),
            *_message(),
        ],
        response=[counted_bytes("data", 4)],
        source=(UT,),
        confidence=MIDDLE,
        errors=f"{_CIPHER_ERRORS} 11",
    ),
    row(
        "M6",
        "make a MAC, of a whole message or of its blocks in turn",
        request=[*_MAC_HEADER, *_mac_key(), *_CHAINED, *_message()],
        response=_MADE,
        source=(UT, NICK),
        confidence=HIGH,
        errors=_MAC_ERRORS,
    ),
    row(
        "M8",
        "verify a MAC of a whole message, or of its last block",
        request=[*_MAC_HEADER, *_mac_key(), *when("mode", "3", hexadecimal("iv", 16)), *_message(), *_mac()],
        response=[],
        source=(UT, NICK),
        confidence=HIGH,
        errors=f"01 {_MAC_ERRORS}",
    ),
    row(
        "MY",
        "verify a MAC and make another one over the same message",
        request=[*_MAC_HEADER, *_mac_key(), *_mac_key("new_"), *_message(), *_mac()],
        response=_MADE,
        source=(PROXY,),
        confidence=LOW,
        errors=f"01 11 {_MAC_ERRORS}",
    ),
)
