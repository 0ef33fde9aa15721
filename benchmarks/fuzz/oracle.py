"""Whether the compiled codec and pyiso8583 read alike but for the table in ``processor.iso8583.compiled``."""

from processor.iso8583.message import Message
from processor.values.errors import DecodeError

Read = Message | DecodeError


def differs(reference: Read, ours: Read, data: bytes) -> str:
    """What differs, in words without values; empty where nothing does that should not."""
    if isinstance(reference, Message):
        return "" if ours == reference else "it reads what we do not, or otherwise"
    if reference.rule.startswith("the pad of an odd") and (
        isinstance(ours, Message) or (ours.element, ours.rule) != (reference.element, reference.rule)
    ):
        return _not_a_filler(reference, ours, data)
    if isinstance(ours, Message):
        return f"it refuses what we read: {reference}"
    return _other_error(reference, ours)


def _other_error(reference: DecodeError, ours: DecodeError) -> str:
    if (ours.element, ours.mti) != (reference.element, reference.mti):
        return f"it says {reference}, we {ours}"
    ahead = {n: v for n, v in ours.partial.items() if n < ours.element or n in reference.partial}
    if ahead != reference.partial:
        return f"another partial message of {reference}"
    if ours.rule == "its length is not written in digits":
        return ""
    same_place = ours.rule == "a bitmap is not hexadecimal" or ours.offset == reference.offset
    return "" if ours.rule == reference.rule and same_place else f"it says {reference}, we {ours}"


def _not_a_filler(reference: DecodeError, ours: Read, data: bytes) -> str:
    """Ours may take an F at either end for the pad, and go on."""
    elements = ours.elements if isinstance(ours, Message) else ours.partial
    if not elements.items() >= reference.partial.items():
        return "another partial message"
    digits = len(elements.get(reference.element, ""))
    raw = data[reference.offset : reference.offset + (digits + 1) // 2].hex().upper()
    if digits and "F" not in (raw[:1], raw[-1:]):
        return "a pad that is no filler is taken"
    return ""
