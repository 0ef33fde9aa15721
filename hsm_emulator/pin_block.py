"""Clear PIN blocks, built and read, and PIN blocks under a PIN key.

Formats by their host-command code: 01 ISO 9564 format 0, 03 Diebold, 04 PLUS, 05 ISO format 1, 34 ISO
format 2, 35 Mastercard pay now and pay later, 47 ISO format 3. ISO format 4 (AES, 16 bytes) has functions of
its own. ``account`` is the twelve rightmost PAN digits without the check digit, zero-padded on the left; for
format 04 eighteen of them, of which the leftmost twelve digits of the PAN count.
"""

import functools
from typing import ClassVar, NamedTuple

from hsm_emulator.aes import Aes
from hsm_emulator.mac import xor
from hsm_emulator.tdes import KEY_LENGTHS, Tdes
from processor.hsm.errors import ErrorCode

PIN_DIGITS_LEAST = 4
PIN_DIGITS_MOST = 12

_ALL_F = "F" * 16
_ACCOUNT_DIGITS = 12


class _Format(NamedTuple):
    """How a format is laid out: control (and length) nibble or none, account XORed or not, allowed fill.

    ``strength``: how well it protects a PIN: 2 bound to the account, 1 random fill, 0 always the same block.
    """

    control: str
    with_account: bool
    fill: frozenset[str]
    strength: int


_F = frozenset("F")
_FORMATS = {
    "01": _Format("0", with_account=True, fill=_F, strength=2),
    "03": _Format("", with_account=False, fill=_F, strength=0),
    "04": _Format("0", with_account=True, fill=_F, strength=2),
    "05": _Format("1", with_account=False, fill=frozenset("0123456789ABCDEF"), strength=1),
    "34": _Format("2", with_account=False, fill=_F, strength=0),
    "35": _Format("2", with_account=True, fill=_F, strength=2),
    "47": _Format("3", with_account=True, fill=frozenset("ABCDEF"), strength=2),
}
_OFFLINE = frozenset({"34"})  # what a card is given; it never travels under a zone PIN key


class PinKey:
    """A zone or terminal PIN key of 8, 16 or 24 bytes, ready to use."""

    KEY_LENGTHS: ClassVar[frozenset[int]] = KEY_LENGTHS
    __slots__ = ("decrypt", "encrypt")

    def __init__(self, key: bytes) -> None:
        context = Tdes(key)
        self.encrypt = context.encrypt
        self.decrypt = context.decrypt


_key = functools.lru_cache(maxsize=64)(PinKey)


def is_known(format_code: str) -> bool:
    """Whether host commands take the format."""
    return format_code in _FORMATS and format_code not in _OFFLINE


def is_weaker(format_code: str, than: str) -> bool:
    """Whether a PIN is protected less in one known format than in another."""
    return _FORMATS[format_code].strength < _FORMATS[than].strength


def is_bound(format_code: str) -> bool:
    """Whether a known format binds the PIN to its account."""
    return _FORMATS[format_code].with_account


def fill_of(format_code: str, random: bytes) -> str:
    """The fill of a new block: random nibbles where the format wants them."""
    if format_code == "05":
        return random.hex().upper()
    return "".join("ABCDEF"[byte % 6] for byte in random) if format_code == "47" else _ALL_F


def build_block(format_code: str, pin: str, account: str = "", fill: str = _ALL_F) -> bytes:
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
    return _with_account(bytes.fromhex(head + padding), account if layout.with_account else "")


def read_block(format_code: str, block: bytes, account: str) -> str | ErrorCode:
    """The PIN in a clear block of eight bytes, or 23 (format), 20 (values) or 24 (PIN length)."""
    layout = _FORMATS.get(format_code)
    if layout is None:
        return ErrorCode.INVALID_PIN_FORMAT
    nibbles = _with_account(block, account if layout.with_account else "").hex().upper()
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


def _with_account(block: bytes, account: str) -> bytes:
    if not account:
        return block
    digits = account if len(account) == _ACCOUNT_DIGITS else account.lstrip("0")[:_ACCOUNT_DIGITS] or "0"
    return (int.from_bytes(block, "big") ^ int(digits, 16)).to_bytes(8, "big")


def pan_field(pan: str) -> bytes:
    """The PAN in ISO format 4: the digits over twelve as a nibble, the PAN (at least 12 digits), zeros.

    >>> pan_field("4111111111111111").hex()
    '44111111111111111000000000000000'
    """
    digits = pan.rjust(_ACCOUNT_DIGITS, "0")
    return bytes.fromhex(f"{len(digits) - _ACCOUNT_DIGITS}{digits}".ljust(32, "0"))


def encrypt_iso4(key: bytes, pin: str, pan: str, random: bytes) -> bytes:
    """An ISO format 4 PIN block under an AES key; ``random`` is eight bytes."""
    assert PIN_DIGITS_LEAST <= len(pin) <= PIN_DIGITS_MOST, "a PIN is 4 to 12 digits"
    encrypt = Aes(key).encrypt
    pin_field = bytes.fromhex(f"4{len(pin):X}{pin}".ljust(16, "A")) + random
    return encrypt(xor(encrypt(pin_field), pan_field(pan)))


def decrypt_iso4(key: bytes, block: bytes, pan: str) -> str | ErrorCode:
    """The PIN in an ISO format 4 block, or 20 (values) or 24 (PIN length)."""
    decrypt = Aes(key).decrypt
    nibbles = decrypt(xor(decrypt(block), pan_field(pan)))[:8].hex().upper()
    if nibbles[0] != "4":
        return ErrorCode.INVALID_PIN_BLOCK
    length = int(nibbles[1], 16)
    if not PIN_DIGITS_LEAST <= length <= PIN_DIGITS_MOST:
        return ErrorCode.INVALID_PIN_LENGTH
    pin = nibbles[2 : 2 + length]
    if not pin.isdecimal() or nibbles[2 + length :].strip("A"):
        return ErrorCode.INVALID_PIN_BLOCK
    return pin
