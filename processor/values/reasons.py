"""Why an answer is what it is: the processor's own vocabulary.

A network's DE 39 codes collide between networks, so state and journal keep a ``Reason``; the network profile
maps it to the wire, both ways.
"""

import enum


class Reason(enum.Enum):
    """The decision's reason; values are what the journal keeps and profiles map."""

    APPROVED = "approved"
    ACCEPTED = "accepted"  # an advice or a network management message was taken
    UNKNOWN_CARD = "unknown_card"
    INACTIVE_CARD = "inactive_card"
    EXPIRED_CARD = "expired_card"
    EXPIRY_MISMATCH = "expiry_mismatch"
    INCORRECT_PIN = "incorrect_pin"
    PIN_TRIES_EXCEEDED = "pin_tries_exceeded"
    PIN_MISSING = "pin_missing"
    CVV_FAILED = "cvv_failed"
    CVV2_FAILED = "cvv2_failed"
    CVV_MISSING = "cvv_missing"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    AMOUNT_LIMIT = "amount_limit"
    COUNT_LIMIT = "count_limit"
    BLOCKED_MERCHANT = "blocked_merchant"
    BLOCKED_COUNTRY = "blocked_country"
    BLOCKED_ENTRY_MODE = "blocked_entry_mode"
    INVALID_AMOUNT = "invalid_amount"
    CURRENCY_NOT_HELD = "currency_not_held"
    UNSUPPORTED_TRANSACTION = "unsupported_transaction"
    ALREADY_REVERSED = "already_reversed"  # the reversal came before this original
    DUPLICATE = "duplicate"  # the same key asks for something else
    FORMAT_ERROR = "format_error"
    VERIFICATION_UNAVAILABLE = "verification_unavailable"  # the HSM gave no answer
    SIGNED_OFF = "signed_off"
    OVERLOADED = "overloaded"
    LATE = "late"  # our deadline passed before the answer was durable


APPROVALS = frozenset({Reason.APPROVED, Reason.ACCEPTED})
