"""What profiles name and code provides: dialects, framings, headers, and each network's few own functions."""

from pathlib import Path
from typing import Protocol

from processor.iso8583.dialect import Dialect
from processor.iso8583.framing import CATALOGUE, FrameRule
from processor.iso8583.tables.iso87_ascii import ISO87_ASCII, ISO87_ASCII_BINARY_BITMAP
from processor.iso8583.tables.iso87_binary import ISO87_BINARY
from processor.iso8583.tables.iso93_ascii import ISO93_ASCII
from processor.iso8583.tables.iso93_binary import ISO93_BINARY
from processor.iso8583.tables.iso93_ebcdic import ISO93_EBCDIC, ISO93_EBCDIC_HEX
from processor.iso8583.tables.mc_like import MC_LIKE
from processor.iso8583.tables.visa_like import VISA_LIKE
from processor.networks import iso87_ascii, iso93_ascii, mc_like, visa_like
from processor.networks.dialect_file import SUFFIX, load_dialect
from processor.values.outcome import Reply


class Adapter(Protocol):
    """What a network's module offers."""

    def cvv2(self, elements: dict[int, str]) -> str:
        """The CVV2 in a request's elements, three digits, or empty."""
        ...

    @property
    def PARTS(self) -> frozenset[str]:  # noqa: N802 - a module's constant
        """The names that ``part`` knows."""
        ...

    def part(self, name: str, elements: dict[int, str]) -> str:
        """The part of a match key called ``name`` in the profile, or empty when the message lacks it."""
        ...

    def reasons(self, elements: dict[int, str]) -> tuple[str, ...]:
        """Why the network sent an advice or a reversal, in its own codes, the most telling first."""
        ...

    def replacement(self, elements: dict[int, str]) -> tuple[str, bool]:
        """The digits of DE 95's new total, or empty, and whether they are the billing part."""
        ...

    def results(self, asked: dict[int, str], reply: Reply) -> dict[int, str]:
        """The elements of a reply that tell what verification found."""
        ...


class _Dialects(dict[str, Dialect]):
    """Those that come with the processor by name; any other key is the path of a user's file."""

    def __missing__(self, key: str) -> Dialect:
        if not key.endswith(SUFFIX):
            raise KeyError(key)
        return load_dialect(Path(key), self)


ADAPTERS: dict[str, Adapter] = {
    "visa-like": visa_like,
    "mc-like": mc_like,
    "iso87-ascii": iso87_ascii,
    "iso93-ascii": iso93_ascii,
}
DIALECTS: dict[str, Dialect] = _Dialects(
    (dialect.name, dialect)
    for dialect in (
        VISA_LIKE,
        MC_LIKE,
        ISO87_ASCII,
        ISO87_ASCII_BINARY_BITMAP,
        ISO87_BINARY,
        ISO93_ASCII,
        ISO93_BINARY,
        ISO93_EBCDIC,
        ISO93_EBCDIC_HEX,
    )
)
FRAMINGS: dict[str, FrameRule] = CATALOGUE
