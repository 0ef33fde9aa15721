"""A message for people: one line per element, masked as ``message.masked`` and the dialect say."""

from processor.iso8583.dialect import Dialect
from processor.iso8583.message import Message, masked


def describe(message: Message, dialect: Dialect) -> str:
    """MTI, header, and number, term and masked value of each element; for logs and golden diffs."""
    lines = [f"MTI {message.mti}"]
    if message.header:
        lines.append(f"header {message.header.hex().upper()}")
    for number, value in sorted(message.elements.items()):
        row = dialect.elements.get(number)
        term = row.term if row else "no such element"
        lines.append(f"{number:>3} {term:<45} {masked(number, value, dialect.shown)}")
    return "\n".join(lines)
