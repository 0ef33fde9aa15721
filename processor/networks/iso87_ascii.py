"""The plain standard: it has no place for a CVV2 and none for verification results."""

from processor.iso8583.tables.iso87_ascii import REPLACEMENT_AMOUNTS
from processor.values.outcome import Reply

PARTS: frozenset[str] = frozenset()


def cvv2(elements: dict[int, str]) -> str:  # noqa: ARG001 - there is none
    """Always empty."""
    return ""


def part(name: str, elements: dict[int, str]) -> str:  # noqa: ARG001
    """No sub-element identifies a transaction."""
    raise AssertionError(f"nothing called {name} identifies a transaction here")


def reasons(elements: dict[int, str]) -> tuple[str, ...]:
    """DE 39 of a reversal."""
    return (elements[39],) if 39 in elements else ()


def replacement(elements: dict[int, str]) -> tuple[str, bool]:
    """The new total of a partial reversal: DE 95's first part."""
    return REPLACEMENT_AMOUNTS.pick(1, elements.get(95, "")) or "", False


def results(asked: dict[int, str], reply: Reply) -> dict[int, str]:  # noqa: ARG001
    """No element tells what verification found."""
    return {}
