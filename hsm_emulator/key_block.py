"""Key blocks: a key with what it may be used for, encrypted and authenticated together.

A block is 16 characters of header, optional blocks, the encrypted key and a MAC. Five bindings are known:
TR-31 versions A and C, B, and D (the text behind the scheme letter R), and the vendor's versions 0 and 1
(behind S). Sources: openemv/tr31 and psec, with their known answers, for TR-31; for S the captures of
EFTlab's tool, so that interoperation with hardware is unproven.
"""

import hmac
import re
from collections.abc import Callable
from typing import NamedTuple

from hsm_emulator import aes, tdes
from hsm_emulator.aes import aes_cmac
from hsm_emulator.mac import cbc_mac, tdes_cmac, xor
from processor.hsm.errors import ErrorCode

HEADER_CHARACTERS = 16
_HEX = re.compile("[0-9A-F]*")
_OPTIONAL = re.compile("[0-9A-Z]{2}[0-9A-F]{2}")


class Header(NamedTuple):
    """What the header says of the key; ``reserved`` is the LMK identifier in a block behind S."""

    usage: str
    algorithm: str
    mode: str
    key_version: str
    exportability: str
    optional: str
    reserved: str

    @property
    def optional_count(self) -> int:
        """How many optional blocks there are; of a header that ``_cut`` has checked."""
        return _count_optional(self.optional) or 0

    def text(self, version: str, length: int) -> str:
        """The header as characters, with the optional blocks."""
        return (
            f"{version}{length:04}{self.usage}{self.algorithm}{self.mode}{self.key_version}"
            f"{self.exportability}{self.optional_count:02}{self.reserved}{self.optional}"
        )


class Opened(NamedTuple):
    """A key out of its block."""

    header: Header
    key: bytes


class Binding(NamedTuple):
    """How a version of key block binds key and header.

    ``keys`` gives the encrypting and the authenticating key of a protection key. ``mac_covers_clear``: the
    MAC is over the clear key and serves as the chaining value; otherwise it is over the encrypted key, and
    the header begins the chain.
    """

    keys: Callable[[bytes], tuple[bytes, bytes]]
    encrypt: Callable[[bytes, bytes, bytes], bytes]
    decrypt: Callable[[bytes, bytes, bytes], bytes]
    mac: Callable[[bytes, bytes], bytes]
    mac_bytes: int
    block_bytes: int
    key_lengths: frozenset[int]
    mac_covers_clear: bool


def _masked(protection: bytes) -> tuple[bytes, bytes]:
    """The protection key with every byte changed: E for encryption, M for the MAC."""
    return xor(protection, b"\x45" * len(protection)), xor(protection, b"\x4d" * len(protection))


def _derived(protection: bytes, algorithm: int, cmac: Callable[[bytes, bytes], bytes]) -> tuple[bytes, bytes]:
    """Both keys by CMACs over a counter, the usage (0 encryption, 1 MAC), algorithm and length."""
    bits = len(protection) * 8

    def derive(usage: int) -> bytes:
        made = b""
        counter = 0
        while len(made) < len(protection):
            counter += 1
            made += cmac(protection, bytes((counter, 0, usage, 0, 0, algorithm)) + bits.to_bytes(2, "big"))
        return made[: len(protection)]

    return derive(0), derive(1)


def _tdes_derived(protection: bytes) -> tuple[bytes, bytes]:
    return _derived(protection, 0 if len(protection) == 16 else 1, tdes_cmac)


def _aes_derived(protection: bytes) -> tuple[bytes, bytes]:
    return _derived(protection, len(protection) // 8, aes_cmac)


_TDES_LENGTHS = frozenset({16, 24})
_BY_MASK = Binding(
    _masked, tdes.cbc_encrypt, tdes.cbc_decrypt, cbc_mac, 4, 8, _TDES_LENGTHS, mac_covers_clear=False
)
_BY_TDES = Binding(
    _tdes_derived, tdes.cbc_encrypt, tdes.cbc_decrypt, tdes_cmac, 8, 8, _TDES_LENGTHS, mac_covers_clear=True
)
_BY_AES = Binding(
    _aes_derived, aes.cbc_encrypt, aes.cbc_decrypt, aes_cmac, 16, 16, aes.KEY_LENGTHS, mac_covers_clear=True
)
_VENDOR_AES = Binding(
    _aes_derived, aes.cbc_encrypt, aes.cbc_decrypt, aes_cmac, 8, 16, aes.KEY_LENGTHS, mac_covers_clear=False
)

TR31 = {"A": _BY_MASK, "B": _BY_TDES, "C": _BY_MASK, "D": _BY_AES}
"""Bindings of blocks behind R, by version."""
VENDOR = {"0": _BY_MASK, "1": _VENDOR_AES}
"""Bindings of blocks behind S, by version."""


def open_block(bindings: dict[str, Binding], protection: bytes, text: str) -> Opened | ErrorCode:
    """The key of a block, or 83 (format), A5 (length) or A4 (not authentic)."""
    binding = bindings.get(text[:1])
    cut = None if binding is None else _cut(text, binding)
    if binding is None or cut is None or len(protection) not in binding.key_lengths:
        return ErrorCode.KEY_BLOCK_FORMAT
    header, header_text, encrypted, mac = cut
    encrypting, authenticating = binding.keys(protection)
    head = header_text.encode("ascii")
    iv = mac if binding.mac_covers_clear else head[: binding.block_bytes]
    clear = binding.decrypt(encrypting, iv, encrypted)
    covered = head + (clear if binding.mac_covers_clear else encrypted)
    if not hmac.compare_digest(binding.mac(authenticating, covered)[: binding.mac_bytes], mac):
        return ErrorCode.KEY_BLOCK_AUTHENTICATION
    bits = int.from_bytes(clear[:2], "big")
    if bits % 8 or not 0 < bits // 8 <= len(clear) - 2:
        return ErrorCode.KEY_BLOCK_LENGTH
    return Opened(header, clear[2 : 2 + bits // 8])


def close_block(
    version: str,
    binding: Binding,
    protection: bytes,
    header: Header,
    key: bytes,
    random_bytes: Callable[[int], bytes],
) -> str:
    """The block of a key, without its scheme letter."""
    filled = -(-(2 + len(key)) // binding.block_bytes) * binding.block_bytes
    padding = random_bytes(filled - 2 - len(key))
    clear = (len(key) * 8).to_bytes(2, "big") + key + padding
    length = HEADER_CHARACTERS + len(header.optional) + 2 * (len(clear) + binding.mac_bytes)
    head_text = header.text(version, length)
    head = head_text.encode("ascii")
    encrypting, authenticating = binding.keys(protection)
    if binding.mac_covers_clear:
        mac = binding.mac(authenticating, head + clear)[: binding.mac_bytes]
        encrypted = binding.encrypt(encrypting, mac, clear)
    else:
        encrypted = binding.encrypt(encrypting, head[: binding.block_bytes], clear)
        mac = binding.mac(authenticating, head + encrypted)[: binding.mac_bytes]
    return head_text + (encrypted + mac).hex().upper()


def _cut(text: str, binding: Binding) -> tuple[Header, str, bytes, bytes] | None:
    """Header, its text with the optional blocks, encrypted key and MAC; None for what cannot be a block."""
    if len(text) < HEADER_CHARACTERS or not text[12:14].isdecimal() or text[1:5] != f"{len(text):04}":
        return None
    at = HEADER_CHARACTERS
    for _ in range(int(text[12:14])):
        if _OPTIONAL.fullmatch(text, at, at + 4) is None or int(text[at + 2 : at + 4], 16) < 4:
            return None
        at += int(text[at + 2 : at + 4], 16)
    body, mac_characters = text[at:], 2 * binding.mac_bytes
    if _HEX.fullmatch(body) is None or at > len(text) or (at - HEADER_CHARACTERS) % binding.block_bytes:
        return None
    encrypted = body[:-mac_characters]
    if not encrypted or len(encrypted) % (2 * binding.block_bytes):
        return None
    header = Header(
        text[5:7], text[7], text[8], text[9:11], text[11], text[HEADER_CHARACTERS:at], text[14:16]
    )
    return header, text[:at], bytes.fromhex(encrypted), bytes.fromhex(body[-mac_characters:])


def _count_optional(text: str) -> int | None:
    """How many optional blocks a text is; None when it is not made of whole ones."""
    count = at = 0
    while at < len(text):
        if _OPTIONAL.fullmatch(text, at, at + 4) is None or (length := int(text[at + 2 : at + 4], 16)) < 4:
            return None
        at, count = at + length, count + 1
    return count if at == len(text) else None
