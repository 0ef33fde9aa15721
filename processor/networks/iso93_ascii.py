"""Where messages of ISO 8583:1993 keep what those of 1987 keep elsewhere; it has no place for a CVV2 either.

The original is named in DE 56, why a message was sent stands in DE 25, and a partial reversal is one by its
function code (24): its DE 4 is the new total, DE 30 what it was.
"""

from processor.iso8583.tables.iso93_ascii import ORIGINAL_DATA
from processor.values.outcome import Reply

_PARTS = {"56.11": 2, "56.12": 3, "56.32": 4}
PARTS = frozenset(_PARTS)

_PARTIAL_REVERSAL = "401"
_LENGTH_DIGITS = 2


def cvv2(elements: dict[int, str]) -> str:  # noqa: ARG001 - there is none
    """Always empty."""
    return ""


def part(name: str, elements: dict[int, str]) -> str:
    """A part of DE 56, or empty where it is absent or zeros; an institution without leading zeros."""
    assert name in PARTS, f"nothing called {name} identifies a transaction here"
    value = ORIGINAL_DATA.pick(_PARTS[name], elements.get(56, "")) or ""
    if name == "56.32":
        return value[_LENGTH_DIGITS:].lstrip("0")
    return value if value.strip("0") else ""


def reasons(elements: dict[int, str]) -> tuple[str, ...]:
    """DE 25, the message reason code."""
    return (elements[25],) if 25 in elements else ()


def replacement(elements: dict[int, str]) -> tuple[str, bool]:
    """The new total of a partial reversal, which is its DE 4, or DE 6 in the cardholder's currency."""
    if elements.get(24) != _PARTIAL_REVERSAL:
        return "", False
    return (elements[6], True) if 6 in elements else (elements.get(4, ""), False)


def results(asked: dict[int, str], reply: Reply) -> dict[int, str]:  # noqa: ARG001
    """No element tells what verification found."""
    return {}
