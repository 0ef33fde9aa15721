"""Clear PIN blocks of eight bytes, built and read, and PIN blocks under a zone PIN key.

Formats by their host-command code: 01 ISO 9564 format 0, 03 Diebold, 05 ISO format 1, 47 ISO format 3.
``account_12`` is the twelve rightmost PAN digits without the check digit, zero-padded on the left.
"""

import functools
from typing import ClassVar, NamedTuple

from hsm_emulator.tdes import KEY_LENGTHS, Tdes
from processor.hsm.errors import ErrorCode

PIN_DIGITS_LEAST = 4
PIN_DIGITS_MOST = 12

_ALL_F = "F" * 16


class _Format(NamedTuple):
    """How a format is laid out: control (and length) nibble or none, account XORed or not, allowed fill."""

    control: str
    with_account: bool
    fill: frozenset[str]


_FORMATS = {
    "01": _Format("0", with_account=True, fill=frozenset("F")),
    "03": _Format("", with_account=False, fill=frozenset("F")),
    "05": _Format("1", with_account=False, fill=frozenset("0123456789ABCDEF")),
    "47": _Format("3", with_account=True, fill=frozenset("ABCDEF")),
}


class PinKey:
    """A zone or terminal PIN key of 8, 16 or 24 bytes, ready to use."""

    KEY_LENGTHS: ClassVar[frozenset[int]] = KEY_LENGTHS
    __slots__ = ("decrypt", "encrypt")

    def __init__(self, key: bytes) -> None:
        context = Tdes(key)
        self.encrypt = context.encrypt
        self.decrypt = context.decrypt


_key = functools.lru_cache(maxsize=64)(PinKey)


def build_block(format_code: str, pin: str, account_12: str = "", fill: str = _ALL_F) -> bytes:
    """A clear PIN block.

    Shape:  ``pin`` 4 to 12 digits; ``fill`` the nibbles after the PIN for formats 05 (any) and 47 (A to F),
            of which as many as needed are used; the caller brings the randomness.

    >>> build_block("01", "1234", "401234567890").hex().upper()
    '041274EDCBA9876F'
    """
    layout = _FORMATS[format_code]
    assert PIN_DIGITS_LEAST <= len(pin) <= PIN_DIGITS_MOST, "a PIN is 4 to 12 digits"
    head = (f"{layout.control}{len(pin):X}" if layout.control else "") + pin
    padding = fill[: 16 - len(head)]
    assert layout.fill.issuperset(padding), "the fill does not suit the format"
    assert len(head + padding) == 16, "the fill is too short"
    return _with_account(bytes.fromhex(head + padding), account_12 if layout.with_account else "")


def read_block(format_code: str, block: bytes, account_12: str) -> str | ErrorCode:
    """The PIN in a clear block of eight bytes, or 23 (format), 20 (values) or 24 (PIN length)."""
    layout = _FORMATS.get(format_code)
    if layout is None:
        return ErrorCode.INVALID_PIN_FORMAT
    nibbles = _with_account(block, account_12 if layout.with_account else "").hex().upper()
    if layout.control:
        if nibbles[0] != layout.control:
            return ErrorCode.INVALID_PIN_BLOCK
        start, length = 2, int(nibbles[1], 16)
    else:
        start, length = 0, len(nibbles.rstrip("F"))
    if not PIN_DIGITS_LEAST <= length <= PIN_DIGITS_MOST:
        return ErrorCode.INVALID_PIN_LENGTH
    pin, padding = nibbles[start : start + length], nibbles[start + length :]
    if not pin.isdecimal() or not layout.fill.issuperset(padding):
        return ErrorCode.INVALID_PIN_BLOCK
    return pin


def encrypt_iso0(zpk: bytes, pin: str, account_12: str) -> str:
    """An ISO format 0 PIN block under a zone PIN key: 16 hex digits, as DE 52 and the host commands carry it.

    >>> encrypt_iso0(bytes.fromhex("C7152C20BC2C830EA7EC9E8334ABE3FE"), "1234", "550000025321")
    '91DDDA0A7C12CFAA'
    """
    return _key(zpk).encrypt(build_block("01", pin, account_12)).hex().upper()


def _with_account(block: bytes, account_12: str) -> bytes:
    if not account_12:
        return block
    return (int.from_bytes(block, "big") ^ int(account_12, 16)).to_bytes(8, "big")
