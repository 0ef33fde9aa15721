"""Values that must be unpredictable outside and reproducible inside: HMAC(instance secret, sequence)."""

import hashlib
import hmac

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_CODES = 36**6


class Identity:
    """Derives such values for one instance."""

    def __init__(self, secret: bytes) -> None:
        assert len(secret) >= 16, "an instance secret has at least 128 bits"
        self._secret = secret

    def auth_code(self, sequence: int) -> str:
        """DE 38: six characters of 0-9 and A-Z, never all zeros.

        >>> Identity(bytes(16)).auth_code(1) == Identity(bytes(16)).auth_code(1)
        True
        """
        mac = hmac.digest(self._secret, sequence.to_bytes(8, "big"), hashlib.sha256)
        number = int.from_bytes(mac[:8], "big") % (_CODES - 1) + 1
        high, low = divmod(number, 36**2)
        high, middle = divmod(high, 36**2)
        return _PAIRS[high] + _PAIRS[middle] + _PAIRS[low]
