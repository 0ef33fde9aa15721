"""DE 95 as the card networks use it."""

from processor.iso8583.subelements import REPLACEMENT_AMOUNTS

_TRANSACTION, _BILLING = 1, 3


def new_total(replacement_amounts: str) -> str:
    """The new total in the cardholder's currency: the billing part if filled, else the transaction part."""
    if not replacement_amounts.strip("0 "):
        return ""
    billing = REPLACEMENT_AMOUNTS.pick(_BILLING, replacement_amounts) or ""
    return (
        billing if billing.strip("0") else REPLACEMENT_AMOUNTS.pick(_TRANSACTION, replacement_amounts) or ""
    )
