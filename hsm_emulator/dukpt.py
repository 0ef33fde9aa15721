"""Keys derived for one transaction (DUKPT): TDES by ANSI X9.24-1:2009, AES by X9.24-3.

Sources: the test data of both standards as openemv/dukpt and moov-io/dukpt publish it.
"""

from collections.abc import Iterator

from hsm_emulator.aes import Aes
from hsm_emulator.mac import xor
from hsm_emulator.tdes import encryptor

SERIAL_BYTES = 10
_COUNTER_MASK = 0x1FFFFF
_KEY_MASK = bytes.fromhex("C0C0C0C000000000C0C0C0C000000000")
_PIN = bytes.fromhex("00000000000000FF00000000000000FF")
_MAC_REQUEST = bytes.fromhex("000000000000FF00000000000000FF00")
_MAC_RESPONSE = bytes.fromhex("00000000FF00000000000000FF000000")
_DATA_REQUEST = bytes.fromhex("0000000000FF00000000000000FF0000")


def initial_key(bdk: bytes, serial: bytes) -> bytes:
    """The key that a terminal is loaded with; ``serial``: 10 bytes, whose counter is ignored."""
    counter_free = (int.from_bytes(serial, "big") & ~_COUNTER_MASK).to_bytes(SERIAL_BYTES, "big")
    block = counter_free[:8]
    return encryptor(bdk)(block) + encryptor(xor(bdk, _KEY_MASK))(block)


def transaction_key(bdk: bytes, serial: bytes) -> bytes:
    """The key of the transaction whose counter the serial number ends with: 16 bytes."""
    key = initial_key(bdk, serial)
    number = int.from_bytes(serial, "big")
    counter = number & _COUNTER_MASK
    register = (number & ~_COUNTER_MASK) & ((1 << 64) - 1)
    for bit in _bits(counter, 21):
        register |= bit
        key = _next(xor(key, _KEY_MASK), register) + _next(key, register)
    return key


def pin_key(bdk: bytes, serial: bytes) -> bytes:
    """The key that the transaction's PIN block is under."""
    return xor(transaction_key(bdk, serial), _PIN)


def mac_key(bdk: bytes, serial: bytes, *, response: bool = False) -> bytes:
    """The key of the MAC of the transaction's request, or of the response."""
    return xor(transaction_key(bdk, serial), _MAC_RESPONSE if response else _MAC_REQUEST)


def data_key(bdk: bytes, serial: bytes) -> bytes:
    """The key that data of the request is under."""
    variant = xor(transaction_key(bdk, serial), _DATA_REQUEST)
    encrypt = encryptor(variant)
    return encrypt(variant[:8]) + encrypt(variant[8:])


def _next(key: bytes, register: int) -> bytes:
    """Half of a derived key: single DES under the left half, with the right half added before and after."""
    block = xor(register.to_bytes(8, "big"), key[8:])
    return xor(encryptor(key[:8])(block), key[8:])


def _bits(counter: int, width: int) -> Iterator[int]:
    """The set bits of a counter, the highest first."""
    return (1 << at for at in range(width - 1, -1, -1) if counter >> at & 1)


INITIAL, DERIVATION = 0x8001, 0x8000
PIN_ENCRYPTION, MAC_GENERATION, MAC_VERIFICATION, DATA_ENCRYPTION = 0x1000, 0x2000, 0x2001, 0x3000
"""Usages of derived AES keys."""


def aes_initial_key(bdk: bytes, key_id: bytes) -> bytes:
    """The AES key that a terminal is loaded with, for an initial key identifier of 8 bytes."""
    return _derive(bdk, INITIAL, len(bdk), key_id)


def aes_derivation_key(bdk: bytes, serial: bytes) -> bytes:
    """The key that a transaction's working keys come from; ``serial`` is 12 bytes, the last 4 its counter."""
    key = aes_initial_key(bdk, serial[:8])
    counter, register = int.from_bytes(serial[8:], "big"), 0
    for bit in _bits(counter, 32):
        register |= bit
        key = _derive(key, DERIVATION, len(bdk), serial[4:8] + register.to_bytes(4, "big"))
    return key


def aes_working_key(bdk: bytes, serial: bytes, usage: int, key_bytes: int) -> bytes:
    """A working AES key of a transaction, of 16, 24 or 32 bytes."""
    return _derive(aes_derivation_key(bdk, serial), usage, key_bytes, serial[4:])


def _derive(key: bytes, usage: int, key_bytes: int, context: bytes) -> bytes:
    """AES over version, block counter, usage, algorithm, length and the context's 8 bytes."""
    algorithm = key_bytes // 8  # 2, 3 and 4 are AES-128, -192 and -256
    tail = (
        usage.to_bytes(2, "big") + algorithm.to_bytes(2, "big") + (key_bytes * 8).to_bytes(2, "big") + context
    )
    blocks = b"".join(bytes((1, counter)) + tail for counter in range(1, -(-key_bytes // 16) + 1))
    return Aes(key).encrypt(blocks)[:key_bytes]
