"""Values that must not be seen: they print masked, and masking fails closed.

``Pan`` may live in memory and on the wire; the journal and the book know a card only by its ``CardToken``.
Everything in ``Evidence`` is sensitive authentication data: used for one verification, then dropped.
"""

import hashlib
import hmac
import re

import msgspec

_PAN = re.compile(r"[0-9]{12,19}")


class Pan:
    """DE 2, Primary Account Number: 12 to 19 digits.

    ``str()`` and ``repr()`` are masked (first six, last four); only ``reveal()`` gives the digits.

    >>> Pan("4000001234567899")
    400000******7899
    >>> f"{Pan('400000123456')}"
    '400000**3456'
    """

    __slots__ = ("_digits",)

    def __init__(self, digits: str) -> None:
        if _PAN.fullmatch(digits) is None:
            raise ValueError("a PAN is 12 to 19 digits")  # never quotes the value
        self._digits = digits

    def reveal(self) -> str:
        """The clear digits: for the wire and the HSM only."""
        return self._digits

    def masked(self) -> str:
        """First six, stars, last four."""
        return self._digits[:6] + "*" * (len(self._digits) - 10) + self._digits[-4:]

    def account_12(self) -> str:
        """The twelve rightmost digits before the check digit, zero-padded on the left: for PIN blocks."""
        return self._digits[:-1][-12:].rjust(12, "0")

    def check_digit_fits(self) -> bool:
        """Whether the last digit is the Luhn check digit of the others (ISO/IEC 7812-1).

        >>> Pan("4000001234567899").check_digit_fits(), Pan("4000001234567890").check_digit_fits()
        (True, False)
        """
        digits = [int(digit) for digit in reversed(self._digits)]
        doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
        return (sum(digits[::2]) + doubled) % 10 == 0

    def __str__(self) -> str:
        return self.masked()

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(self.masked(), spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pan) and hmac.compare_digest(self._digits, other._digits)

    def __hash__(self) -> int:
        return hash(self._digits)

    def __reduce__(self) -> str:
        raise TypeError("a Pan is not pickled")


class Tokens:
    """Turns a PAN into its token: HMAC-SHA256 under the instance's PAN-token key, 32 hex digits."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        assert len(key) >= 16, "a PAN-token key has at least 128 bits"
        self._key = key

    def token(self, pan: Pan) -> str:
        """The card's name in book, journal and keys; equal PANs have equal tokens within one instance."""
        return hmac.digest(self._key, pan.reveal().encode(), hashlib.sha256)[:16].hex()


class Evidence(msgspec.Struct, frozen=True):
    """Sensitive authentication data of one request, as the HSM needs it; never stored, logged or traced.

    ``cvv`` is three digits with the ``cvv_service_code`` and ``cvv_expiry`` (YYMM) to verify it under;
    ``pin_block`` is 16 hex digits under the zone PIN key, ``pin_format`` its host-command format code.
    Empty strings mean absent; a CVV without an expiry is verified under the one on file.
    """

    pan: Pan
    cvv: str = ""
    cvv_service_code: str = ""
    cvv_expiry: str = ""
    pin_block: str = ""
    pin_format: str = ""

    def __repr__(self) -> str:
        return f"Evidence({self.pan}, cvv={bool(self.cvv)}, pin={bool(self.pin_block)})"

    __str__ = __repr__
