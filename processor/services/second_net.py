"""The second net under the log: whatever looks like a card number or a track does not leave.

Types mask themselves (``Pan``, ``Message``); this net is for what got past them, so it shows nothing of what
it catches, and what it does not understand it withholds. RRN (12 digits) and STAN (6) pass.
"""

import re
from collections.abc import MutableMapping
from typing import Any

TEXT_MAX = 1000

_TRACK_1 = re.compile(r"%?[Bb]\d{12,19}\^[^?]*\??")
_TRACK_2 = re.compile(r";?\d{12,19}[=DdFf]\d{3,}[Ff]?\??")
_DIGITS = re.compile(r"\d(?:[ -]?\d){12,}")
_PAN_DIGITS = range(13, 20)


def luhn_fits(digits: str) -> bool:
    """Whether the last digit is the Luhn check digit of the others (ISO/IEC 7812-1).

    >>> luhn_fits("4000001234567899"), luhn_fits("4000001234567890")
    (True, False)
    """
    values = [int(digit) for digit in reversed(digits)]
    doubled = sum(sum(divmod(2 * value, 10)) for value in values[1::2])
    return (sum(values[::2]) + doubled) % 10 == 0


def withheld(text: str) -> str:
    """The text without card numbers and tracks, also where they are part of something longer.

    >>> withheld("card 4000001234567899 at 632510000042/000042")
    'card [16 digits withheld] at 632510000042/000042'
    """
    if len(text) > TEXT_MAX:
        text = f"{text[:TEXT_MAX]}..."
    for track in (_TRACK_1, _TRACK_2):
        text = track.sub("[track withheld]", text)
    return _DIGITS.sub(_digits, text)


def second_net(
    _logger: Any,  # noqa: ANN401 - structlog's signature
    _method: str,
    event: MutableMapping[str, Any],
) -> MutableMapping[str, Any]:
    """A structlog processor: every value of an event is harmless afterwards, or nothing of it is shown."""
    try:
        return {key: _value(value) for key, value in event.items()}
    except Exception:  # noqa: BLE001 - a net that tears must not let anything through
        return {"event": "line withheld", "level": "error"}


def _value(value: object) -> str | float | None:
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < 10**12 else withheld(str(value))
    if isinstance(value, str):
        return withheld(value)
    return f"[{type(value).__name__} withheld]"


def _digits(found: re.Match[str]) -> str:
    digits = "".join(filter(str.isdigit, found[0]))
    harmless = len(digits) <= _PAN_DIGITS[-1] and not any(
        luhn_fits(digits[start : start + length])
        for length in _PAN_DIGITS
        for start in range(len(digits) - length + 1)
    )
    return found[0] if harmless else f"[{len(digits)} digits withheld]"
