"""Chip card cryptography: card keys, session keys, cryptograms and the issuer's answers.

Source: EMV book 2 (annexes A1.3, A1.4, section 8) as pyemv and jPOS implement it; their known answers,
several compared with hardware by their authors, pin it. The data of a cryptogram is the host's business:
nothing here knows tags or schemes.
"""

import hashlib
from collections.abc import Callable
from typing import ClassVar

from hsm_emulator.decimal import decimalise
from hsm_emulator.mac import pad, xor
from hsm_emulator.tdes import BLOCK_BYTES, Tdes, cbc_encryptor, encryptor, with_odd_parity

PAN_PSN_BYTES = 8
CARD_KEYS_MAX = 1024
"""Card keys kept per issuer key; the oldest leaves first. They are key material, so they are few."""

_ONES = (1 << 64) - 1
_ZERO = bytes(BLOCK_BYTES)


def pan_psn_a(pan: str, psn: str) -> bytes:
    """Derivation data of option A: the sixteen rightmost digits of PAN and sequence number.

    >>> pan_psn_a("1234567890123456", "00").hex()
    '3456789012345600'
    """
    return bytes.fromhex((pan + psn).rjust(16, "0")[-16:])


def pan_psn_b(digits: str) -> bytes:
    """Derivation data of option B for more than sixteen digits of PAN and number: digits of a SHA-1.

    >>> pan_psn_b("890123456789012345600").hex()
    '3712337853619639'
    """
    even = digits if len(digits) % 2 == 0 else "0" + digits
    return bytes.fromhex(decimalise(hashlib.sha1(bytes.fromhex(even)).digest(), 16))  # noqa: S324 - as EMV has it


class ChipKey:
    """A card key or session key of 16 bytes; its contexts are made when they are first used, and kept."""

    __slots__ = ("_chain", "_encrypt", "_last", "key")

    def __init__(self, key: bytes) -> None:
        self.key = key
        self._encrypt: Callable[[bytes], bytes] | None = None
        self._chain: Callable[[bytes], bytes] | None = None
        self._last = _ZERO

    def encrypt(self, blocks: bytes) -> bytes:
        """Whole blocks under both halves."""
        if self._encrypt is None:
            self._encrypt = encryptor(self.key)
        return self._encrypt(blocks)

    def mac(self, data: bytes) -> bytes:
        """ISO 9797-1 algorithm 3 over whole blocks: 8 bytes."""
        assert len(data) % BLOCK_BYTES == 0, "whole blocks"
        chained = _ZERO
        if len(data) > BLOCK_BYTES:
            if self._chain is None:
                self._chain = cbc_encryptor(self.key[:8])
            # The context still chains from the last block of the data before: that is taken out again.
            first = xor(self._last, data[:BLOCK_BYTES])
            self._last = chained = self._chain(first + data[BLOCK_BYTES:-BLOCK_BYTES])[-BLOCK_BYTES:]
        return self.encrypt(xor(chained, data[-BLOCK_BYTES:]))

    def session(self, diversifier: bytes) -> "ChipKey":
        """The session key for 8 bytes that differ from transaction to transaction.

        ``diversifier``: ATC and six zeros; ATC, two zeros and the unpredictable number (Mastercard's own
        method); or a cryptogram, for an issuer's message.
        """
        head, rest = diversifier[:2], diversifier[3:]
        return ChipKey(with_odd_parity(self.encrypt(head + b"\xf0" + rest + head + b"\x0f" + rest)))

    def answer_1(self, arqc: bytes, response_code: bytes) -> bytes:
        """The answer to a cryptogram with a response code of two bytes: 8 bytes."""
        return self.encrypt(xor(arqc, response_code + bytes(6)))

    def answer_2(self, arqc: bytes, card_status_update: bytes, proprietary: bytes = b"") -> bytes:
        """The answer with a card status update of 4 bytes and up to 8 bytes of the issuer's own: 4 bytes."""
        return self.mac(pad(arqc + card_status_update + proprietary, 2))[:4]


class IssuerKey:
    """An issuer master key of 16 bytes; keeps the keys of the cards that were seen last."""

    KEY_LENGTHS: ClassVar[frozenset[int]] = frozenset({16})
    __slots__ = ("_cards", "_encrypt")

    def __init__(self, key: bytes) -> None:
        self._encrypt = Tdes(key).encrypt
        self._cards: dict[bytes, ChipKey] = {}

    def card(self, pan_psn: bytes) -> ChipKey:
        """The card's key for 8 bytes of derivation data, with odd parity."""
        known = self._cards.get(pan_psn)
        if known is None:
            inverted = (int.from_bytes(pan_psn, "big") ^ _ONES).to_bytes(PAN_PSN_BYTES, "big")
            known = ChipKey(with_odd_parity(self._encrypt(pan_psn + inverted)))
            if len(self._cards) >= CARD_KEYS_MAX:
                del self._cards[next(iter(self._cards))]
            self._cards[pan_psn] = known
        return known

    def card_key(self, pan_psn: bytes) -> bytes:
        """The bytes of the card's key."""
        return self.card(pan_psn).key


def common_session_key(card_key: bytes, diversifier: bytes) -> bytes:
    """``ChipKey.session`` for bytes."""
    return ChipKey(card_key).session(diversifier).key


def visa_script_key(card_key: bytes, atc: bytes) -> bytes:
    """The key of a Visa issuer's message: the ATC is XORed into the left half, its inverse into the right."""
    inverted = xor(atc, b"\xff\xff")
    return with_odd_parity(xor(card_key, bytes(6) + atc + bytes(6) + inverted))


def cryptogram(session_key: bytes, data: bytes) -> bytes:
    """The application cryptogram over whole blocks of data: 8 bytes."""
    return ChipKey(session_key).mac(data)


def arpc_method_1(key: bytes, arqc: bytes, response_code: bytes) -> bytes:
    """``ChipKey.answer_1`` for bytes."""
    return ChipKey(key).answer_1(arqc, response_code)


def arpc_method_2(key: bytes, arqc: bytes, card_status_update: bytes, proprietary: bytes = b"") -> bytes:
    """``ChipKey.answer_2`` for bytes."""
    return ChipKey(key).answer_2(arqc, card_status_update, proprietary)


def script_mac(session_key: bytes, message: bytes) -> bytes:
    """The MAC of an issuer's message: 8 bytes."""
    return ChipKey(session_key).mac(pad(message, 2))
