"""Variant Local Master Keys: which key encrypts which.

A key type is a variant digit and a pair code: 402 is variant 4 of pair 14-15. The variant is XORed into the
first byte of the left half of the pair; what else happens to it is the scheme's business (``key_scheme``).
"""

import functools
import hashlib
from collections.abc import Mapping

from hsm_emulator.key_scheme import Contexts, decrypt_key, encrypt_key, variant_context
from hsm_emulator.tdes import Tdes
from processor.hsm.errors import ErrorCode

_VARIANTS = bytes.fromhex("00A65A6ADE2B50749CFA")

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

    @property
    def check_value(self) -> str:
        """Sixteen hex digits: six of the SHA-256 of all pairs in the order of their codes, then zeros.

        An own construction: units have another one for variant LMKs, which is not public.
        """
        pairs = b"".join(pair for _, pair in sorted(self._pairs.items()))
        return hashlib.sha256(pairs).hexdigest()[:6].upper() + "0" * 10

    def decrypt_key(self, key_type: str, text: str) -> bytes | ErrorCode:
        """The clear key behind a key field (of a shape the command table allows), or 28: unknown type."""
        contexts = self._contexts_of(key_type)
        return contexts if isinstance(contexts, ErrorCode) else decrypt_key(text, contexts)

    def encrypt_key(self, key_type: str, key: bytes, scheme: str = "") -> str | ErrorCode:
        """The key field for a clear key under a scheme letter (none: plain hex digits), or 26, 27 or 28."""
        contexts = self._contexts_of(key_type)
        return contexts if isinstance(contexts, ErrorCode) else encrypt_key(key, scheme, contexts)

    def _contexts_of(self, key_type: str) -> Contexts | ErrorCode:
        if key_type[1:] not in self._pairs or not key_type[0].isdecimal():
            return ErrorCode.INVALID_KEY_TYPE
        return functools.partial(self._context, key_type)

    def _context(self, key_type: str, mask: int) -> Tdes:
        """The pair of a key type with its variant and the scheme's mask for one key part."""
        known = self._contexts.get((key_type, mask))
        if known is None:
            pair = self._pairs[key_type[1:]]
            variant = bytes([pair[0] ^ _VARIANTS[int(key_type[0])]]) + pair[1:]
            known = self._contexts[key_type, mask] = variant_context(variant, mask)
        return known
