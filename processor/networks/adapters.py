"""What profiles name and code provides: dialects, framings, headers, and each network's few own functions."""

from typing import Protocol

from processor.iso8583.dialect import Dialect
from processor.iso8583.framing import TWO_BYTE_FRAME, VISA_FRAME, FrameRule
from processor.iso8583.tables.iso87_ascii import ISO87_ASCII
from processor.iso8583.tables.mc_like import MC_LIKE
from processor.iso8583.tables.visa_like import VISA_LIKE
from processor.networks import iso87_ascii, mc_like, visa_like
from processor.values.outcome import Reply


class Adapter(Protocol):
    """What a network's module offers."""

    def cvv2(self, elements: dict[int, str]) -> str:
        """The CVV2 in a request's elements, three digits, or empty."""
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


ADAPTERS: dict[str, Adapter] = {"visa-like": visa_like, "mc-like": mc_like, "iso87-ascii": iso87_ascii}
DIALECTS: dict[str, Dialect] = {d.name: d for d in (VISA_LIKE, MC_LIKE, ISO87_ASCII)}
FRAMINGS: dict[str, FrameRule] = {"visa": VISA_FRAME, "two-byte": TWO_BYTE_FRAME}
