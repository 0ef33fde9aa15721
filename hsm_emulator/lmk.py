"""Variant Local Master Keys: which key encrypts which, and the schemes a key is written in.

A key type is a variant digit and a pair code: 402 is variant 4 of pair 14-15. The variant is XORed into the
first byte of the left half of the pair; the schemes U and T also XOR a byte per key part into the first byte
of its right half. X, Y and keys without a scheme letter are plain ECB. Ciphertexts published by
dymarjaya/payshield-verification-pin-python3 (a real unit), jPOS and nickntg/thalessimulatorlibrary prove it.
"""

from collections.abc import Mapping

from hsm_emulator.tdes import Tdes
from processor.hsm.errors import ErrorCode

_VARIANTS = bytes.fromhex("00A65A6ADE2B50749CFA")
_SCHEME_VARIANTS = {"U": bytes.fromhex("A65A"), "T": bytes.fromhex("6ADE2B")}
_KEY_BYTES = {"U": 16, "X": 16, "T": 24, "Y": 24}

TEST_PAIRS = {
    "00": "40404040404040405151515151515151",
    "01": "61616161616161617070707070707070",
    "02": "E0E0010101010101F1F1010101010101",
    "03": "1C587F1C13924FEF0101010101010101",
    "04": "01010101010101010101010101010101",
    "05": "02020202020202020404040404040404",
    "06": "07070707070707071010101010101010",
    "07": "13131313131313131515151515151515",
    "08": "16161616161616161919191919191919",
    "09": "1A1A1A1A1A1A1A1A1C1C1C1C1C1C1C1C",
    "0A": "23232323232323232525252525252525",
    "0B": "26262626262626262929292929292929",
    "0C": "2A2A2A2A2A2A2A2A2C2C2C2C2C2C2C2C",
    "0D": "2F2F2F2F2F2F2F2F3131313131313131",
    "0E": "01010101010101010101010101010101",
}
"""The published test set by pair code (00 is pair 04-05, 0E pair 38-39). Everybody knows it."""


class VariantLmk:
    """A set of double-length LMK pairs by pair code; encrypts and decrypts keys by their type.

    Only the bytes are looked at: parity and length are the key store's business.
    """

    __slots__ = ("_contexts", "_pairs")

    def __init__(self, pairs: Mapping[str, str] | None = None) -> None:
        source = TEST_PAIRS if pairs is None else pairs
        self._pairs = {code: bytes.fromhex(pair) for code, pair in source.items()}
        self._contexts: dict[tuple[str, int], Tdes] = {}

    def decrypt_key(self, key_type: str, text: str) -> bytes | ErrorCode:
        """The clear key behind a key field (of a shape the command table allows), or 28: unknown type."""
        return self._convert(key_type, text, encrypting=False)

    def encrypt_key(self, key_type: str, key: bytes, scheme: str = "") -> str | ErrorCode:
        """The key field for a clear key under a scheme letter (none: plain hex digits), or 26, 27 or 28."""
        if scheme and scheme not in _KEY_BYTES:
            return ErrorCode.INVALID_KEY_SCHEME
        if len(key) != _KEY_BYTES.get(scheme, len(key)):
            return ErrorCode.INCOMPATIBLE_KEY_LENGTH
        result = self._convert(key_type, scheme + key.hex(), encrypting=True)
        return result if isinstance(result, ErrorCode) else scheme + result.hex().upper()

    def _convert(self, key_type: str, text: str, *, encrypting: bool) -> bytes | ErrorCode:
        if key_type[1:] not in self._pairs or not key_type[0].isdecimal():
            return ErrorCode.INVALID_KEY_TYPE
        scheme = text[0] if text[0] in _KEY_BYTES else ""
        data = bytes.fromhex(text.removeprefix(scheme))
        parts = [data[at : at + 8] for at in range(0, len(data), 8)]
        masks = _SCHEME_VARIANTS.get(scheme, bytes(len(parts)))
        contexts = [self._context(key_type, mask) for mask in masks]
        pairs = zip(contexts, parts, strict=True)
        return b"".join(c.encrypt(part) if encrypting else c.decrypt(part) for c, part in pairs)

    def _context(self, key_type: str, mask: int) -> Tdes:
        """The pair of a key type with its variant and the scheme's mask for one key part."""
        known = self._contexts.get((key_type, mask))
        if known is None:
            pair = bytearray(self._pairs[key_type[1:]])
            pair[0] ^= _VARIANTS[int(key_type[0])]
            pair[8] ^= mask
            known = self._contexts[key_type, mask] = Tdes(bytes(pair))
        return known
