"""The schemes that a key is written in under another key, the LMK's pairs or a zone master key.

U and T encrypt each part of a key under the double-length key with a byte of its own XORed into the first
byte of the right half; X, Y and keys without a letter are plain ECB. Ciphertexts published by
dymarjaya/payshield-verification-pin-python3 (a real unit), jPOS and nickntg/thalessimulatorlibrary prove it.
"""

from collections.abc import Callable
from typing import ClassVar

from hsm_emulator.tdes import Tdes
from processor.hsm.errors import ErrorCode

KEY_BYTES = {"": 8, "U": 16, "X": 16, "T": 24, "Y": 24}
"""Length of a new key by the scheme letter it is written with."""

_VARIANTS = {"U": bytes.fromhex("A65A"), "T": bytes.fromhex("6ADE2B")}
_PART_BYTES = 8

Contexts = Callable[[int], Tdes]
"""The context of the encrypting key with a byte XORed into the first byte of its right half."""


def variant_context(pair: bytes, mask: int) -> Tdes:
    """A double-length key with a byte XORed into the first byte of its right half."""
    return Tdes(pair[:8] + bytes([pair[8] ^ mask]) + pair[9:])


def decrypt_key(text: str, contexts: Contexts) -> bytes:
    """The clear key behind a key field (of a shape the command table allows)."""
    scheme = text[0] if text[0] in KEY_BYTES else ""
    pairs = _parts(scheme, bytes.fromhex(text.removeprefix(scheme)))
    return b"".join(contexts(mask).decrypt(part) for mask, part in pairs)


def encrypt_key(key: bytes, scheme: str, contexts: Contexts) -> str | ErrorCode:
    """The key field for a clear key under a scheme letter (none: hex digits of any length), or 26 or 27."""
    if scheme not in KEY_BYTES:
        return ErrorCode.INVALID_KEY_SCHEME
    if scheme and len(key) != KEY_BYTES[scheme]:
        return ErrorCode.INCOMPATIBLE_KEY_LENGTH
    return scheme + b"".join(contexts(mask).encrypt(part) for mask, part in _parts(scheme, key)).hex().upper()


def _parts(scheme: str, data: bytes) -> list[tuple[int, bytes]]:
    """The parts of eight bytes, each with the mask of its place."""
    parts = [data[at : at + _PART_BYTES] for at in range(0, len(data), _PART_BYTES)]
    return list(zip(_VARIANTS.get(scheme, bytes(len(parts))), parts, strict=True))


class Zmk:
    """A double-length zone or terminal master key: other keys are written under it to leave the HSM.

    ``key`` is its clear bytes, for key blocks.
    """

    KEY_LENGTHS: ClassVar[frozenset[int]] = frozenset({16})
    __slots__ = ("key",)

    def __init__(self, key: bytes) -> None:
        self.key = key

    def encrypt_key(self, key: bytes, scheme: str) -> str | ErrorCode:
        """The key field for a clear key under this one, or 26 (scheme) or 27 (length)."""
        return encrypt_key(key, scheme, lambda mask: variant_context(self.key, mask))

    def decrypt_key(self, text: str) -> bytes:
        """The clear key behind a key field that is no key block; its parity is not looked at."""
        return decrypt_key(text, lambda mask: variant_context(self.key, mask))
