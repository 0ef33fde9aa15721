"""What profiles name and code provides: dialects, framings, headers, and each network's few own functions."""

from typing import Protocol

from processor.iso8583.dialect import Dialect
from processor.iso8583.framing import VISA_FRAME, FrameRule
from processor.iso8583.tables.visa_like import VISA_LIKE
from processor.networks import visa_like
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

    def results(self, reply: Reply) -> dict[int, str]:
        """The elements of a reply that tell what verification found."""
        ...


ADAPTERS: dict[str, Adapter] = {"visa-like": visa_like}
DIALECTS: dict[str, Dialect] = {"visa-like": VISA_LIKE}
FRAMINGS: dict[str, FrameRule] = {"visa": VISA_FRAME}
