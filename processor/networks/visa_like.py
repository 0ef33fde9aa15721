"""Where visa-like messages keep what others keep elsewhere.

CVV2 is in DE 126.10, the transaction identifier in DE 62.2, check results go into DE 44.
"""

from processor.iso8583.tables.visa_like import CUSTOM_PAYMENT_SERVICE, NETWORK_PRIVATE_USE, PRIVATE_USE
from processor.networks.replacement import new_total
from processor.values.errors import DecodeError
from processor.values.facts import Check
from processor.values.outcome import Reply
from processor.values.requests import CvvKind

PARTS = frozenset({"62.2"})

_CVV_RESULT = {Check.PASSED: "2", Check.FAILED: "1"}  # DE 44.5
_CVV2_RESULT = {Check.PASSED: "M", Check.FAILED: "N", Check.NO_ANSWER: "P"}  # DE 44.10


def cvv2(elements: dict[int, str]) -> str:
    """The CVV2 of DE 126.10, three digits, or empty when the cardholder gave none.

    Shape: presence indicator, response type, then the value right-justified in four characters.
    Presence 1 means a value is there; 0, 2 and 9 mean omitted, illegible and not on the card.
    """
    if (private := elements.get(126)) is None or (field := PRIVATE_USE.pick(10, private)) is None:
        return ""
    if field[0] != "1":
        return ""
    value = field[2:].strip(" ")
    if len(value) != 3 or not (value.isascii() and value.isdigit()):
        raise DecodeError(126, "126.10 announces a CVV2 that is not three digits")
    return value


def part(name: str, elements: dict[int, str]) -> str:
    """A part of a match key that is not a whole element: "62.2", or empty when the message has none."""
    assert name in PARTS, f"no sub-element {name} identifies a visa-like transaction"
    identifier = CUSTOM_PAYMENT_SERVICE.pick(2, elements[62]) if 62 in elements else None
    return identifier if identifier and identifier.strip("0") else ""


def reasons(elements: dict[int, str]) -> tuple[str, ...]:
    """Why the network sent an advice or a reversal: DE 63.4 and 63.3, as far as they are there."""
    if (private := elements.get(63)) is None:
        return ()
    return tuple(r for number in (4, 3) if (r := NETWORK_PRIVATE_USE.pick(number, private)))


def replacement(elements: dict[int, str]) -> tuple[str, bool]:
    """DE 95's new total, and whether it is the billing part."""
    return new_total(elements.get(95, ""))


def results(asked: dict[int, str], reply: Reply) -> dict[int, str]:  # noqa: ARG001 - nothing of it is needed
    """DE 44 with the card verification result: position 5 for CVV and iCVV, position 10 for CVV2."""
    if reply.cvv_kind is CvvKind.CVV2:
        mark = _CVV2_RESULT.get(reply.cvv, "")
        return {44: " " * 9 + mark} if mark else {}
    mark = _CVV_RESULT.get(reply.cvv, "")
    return {44: " " * 4 + mark} if mark else {}
