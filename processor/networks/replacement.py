"""DE 95 as the card networks use it."""

from processor.iso8583.subelements import REPLACEMENT_AMOUNTS

_TRANSACTION, _BILLING = 1, 3


def new_total(replacement_amounts: str) -> tuple[str, bool]:
    """The digits of the new total: the billing part if filled (then true), else the transaction part."""
    if not replacement_amounts.strip("0 "):
        return "", False
    billing = REPLACEMENT_AMOUNTS.pick(_BILLING, replacement_amounts) or ""
    if billing.strip("0"):
        return billing, True
    return REPLACEMENT_AMOUNTS.pick(_TRANSACTION, replacement_amounts) or "", False
