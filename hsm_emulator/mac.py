"""Message authentication codes: ISO 9797-1 algorithms 1 and 3 with paddings 1 to 3, CMAC, HMAC.

Source: the standard's own examples and the known answers of psec, nickntg/thalessimulatorlibrary and
leachbj/hsm-emulator pin them.
"""

import hmac

from cryptography.hazmat.primitives.cmac import CMAC

from hsm_emulator.tdes import BLOCK_BYTES, cbc_encrypt, encryptor, tdes_algorithm

_ZERO = bytes(BLOCK_BYTES)


def pad(data: bytes, method: int, block_bytes: int = BLOCK_BYTES) -> bytes:
    r"""Data filled up to whole blocks, at least one.

    Method 0: not at all. 1: zeros where needed. 2: a byte 80, then zeros where needed. 3: as 1, with the
    length in bits in a block in front.

    >>> pad(b"abc", 2).hex()
    '6162638000000000'
    """
    if method == 0:
        return data
    if method == 2:
        data += b"\x80"
    filled = data.ljust(max(-(-len(data) // block_bytes), 1) * block_bytes, b"\0")
    return (len(data) * 8).to_bytes(block_bytes, "big") + filled if method == 3 else filled


def cbc_mac(key: bytes, data: bytes, iv: bytes = _ZERO) -> bytes:
    """Algorithm 1: the last block of cipher block chaining under the whole key; whole blocks of data."""
    return cbc_encrypt(key, iv, data)[-BLOCK_BYTES:]


def retail_mac(key: bytes, data: bytes, iv: bytes = _ZERO) -> bytes:
    """Algorithm 3: chaining under the first 8 bytes of a double key, the last block under both.

    >>> retail_mac(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"), b"Now is the time for all ").hex()
    'a1c72e74ea3fa9b6'
    """
    if len(data) > BLOCK_BYTES:
        iv = cbc_encrypt(key[:8], iv, data[:-BLOCK_BYTES])[-BLOCK_BYTES:]
    return encryptor(key)(xor(iv, data[-BLOCK_BYTES:]))


def tdes_cmac(key: bytes, data: bytes) -> bytes:
    """The CMAC of NIST SP 800-38B with TDES: 8 bytes."""
    mac = CMAC(tdes_algorithm(key))
    mac.update(data)
    return mac.finalize()


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """The HMAC of RFC 2104 with SHA-256: 32 bytes."""
    return hmac.digest(key, data, "sha256")


def xor(one: bytes, other: bytes) -> bytes:
    """Two strings of the same length, bit by bit."""
    assert len(one) == len(other), "of the same length"
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")
