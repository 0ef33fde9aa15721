"""The tracks of a card's stripe as DE 35 and 45 carry them; values print masked.

    track 2   [;] PAN = YYMM service-code discretionary [?]     packed: D for =, B and F for the sentinels
    track 1   [%] B PAN ^ name ^ YYMM service-code discretionary [?]

Source: ISO/IEC 7813. Discretionary data begins with PIN key index 1, PVV 4, CVV 3 where the issuer has it so.
"""

import msgspec

from processor.iso8583.elements import is_digits
from processor.values.errors import DecodeError

_PVV_END = 5
_CVV_DIGITS = 3


class Track2(msgspec.Struct, frozen=True):
    """Track 2, cut into its parts; ``start``, ``separator`` and ``end`` as they stood there."""

    pan: str
    expiry: str
    service_code: str
    discretionary: str
    separator: str = "D"
    start: str = ""
    end: str = ""

    @property
    def cvv(self) -> str:
        """The card verification value behind the PVV, or empty."""
        digits = self.discretionary[_PVV_END : _PVV_END + _CVV_DIGITS]
        return digits if len(digits) == _CVV_DIGITS else ""

    def __repr__(self) -> str:
        return "Track2(...)"

    __str__ = __repr__


class Track1(msgspec.Struct, frozen=True):
    """Track 1 of format B, cut into its parts."""

    pan: str
    name: str
    expiry: str
    service_code: str
    discretionary: str
    start: str = ""
    end: str = ""

    def __repr__(self) -> str:
        return "Track1(...)"

    __str__ = __repr__


def read_track_2(value: str) -> Track2:
    """DE 35 cut into its parts.

    Raises:
        DecodeError: no PAN of 12 to 19 digits, or no expiry and service code in digits behind it.
    """
    start = value[:1] if value[:1] in (";", "B") else ""
    inner = value[len(start) :]
    kept = inner.rstrip("?F")
    pan, separator, rest = _cut(kept)
    _check_pan(35, pan)
    if not separator or not _is_dated(rest):
        raise DecodeError(35, "no expiry and service code in digits after the PAN")
    return Track2(pan, rest[:4], rest[4:7], rest[7:], separator, start, inner[len(kept) :])


def build_track_2(track: Track2) -> str:
    """DE 35 from its parts.

    Raises:
        ValueError: what is built could not be read.
    """
    value = (
        f"{track.start}{track.pan}{track.separator}{track.expiry}{track.service_code}{track.discretionary}"
        f"{track.end}"
    )
    try:
        read = read_track_2(value)
    except DecodeError as error:
        problem = str(error)
    else:
        if read == track:
            return value
        problem = "DE 35: a part has not its length"
    raise ValueError(problem)


def read_track_1(value: str) -> Track1:
    """DE 45 cut into its parts.

    Raises:
        DecodeError: not format B, not three parts, no PAN, or no expiry and service code in digits.
    """
    start = value[:1] if value[:1] == "%" else ""
    end = value[-1:] if value[-1:] == "?" else ""
    inner = value[len(start) : len(value) - len(end)]
    parts = inner.split("^")
    if inner[:1] != "B" or len(parts) != 3:
        raise DecodeError(45, "not a track 1 of format B: B, PAN, name, dates")
    pan, name, rest = parts[0][1:], parts[1], parts[2]
    _check_pan(45, pan)
    if not 2 <= len(name) <= 26:
        raise DecodeError(45, "the name has not 2 to 26 characters")
    if not is_digits(rest[:7]) or len(rest) < 7:
        raise DecodeError(45, "no expiry and service code in digits after the name")
    return Track1(pan, name, rest[:4], rest[4:7], rest[7:], start, end)


def build_track_1(track: Track1) -> str:
    """DE 45 from its parts.

    Raises:
        ValueError: what is built could not be read.
    """
    value = (
        f"{track.start}B{track.pan}^{track.name}^{track.expiry}{track.service_code}{track.discretionary}"
        f"{track.end}"
    )
    try:
        read = read_track_1(value)
    except DecodeError as error:
        problem = str(error)
    else:
        if read == track:
            return value
        problem = "DE 45: a part has not its length"
    raise ValueError(problem)


def _cut(text: str) -> tuple[str, str, str]:
    """PAN, separator and the rest."""
    separator = "=" if "=" in text else "D"
    return text.partition(separator)


def _check_pan(element: int, pan: str) -> None:
    if not (12 <= len(pan) <= 19 and is_digits(pan)):
        raise DecodeError(element, "no PAN of 12 to 19 digits")


def _is_dated(rest: str) -> bool:
    return len(rest) >= 7 and is_digits(rest)
