"""Commands about what proves a card: static and dynamic verification values."""

from processor.hsm.fields import counted_bytes, digits, hexadecimal, key_pair, text, when
from processor.hsm.tables.row import HIGH, MIDDLE, NICK, UT, row

ROWS = (
    row(
        "CW",
        "make a card verification value",
        request=[
            key_pair("cvk"),
            digits("pan", 12, 19, until=";"),
            digits("expiry", 4),
            digits("service_code", 3),
        ],
        response=[digits("cvv", 3)],
        source=(NICK, UT),
        confidence=HIGH,
    ),
    row(
        "CY",
        "verify a card verification value",
        request=[
            key_pair("cvk"),
            digits("cvv", 3),
            digits("pan", 12, 19, until=";"),
            digits("expiry", 4),
            digits("service_code", 3),
        ],
        response=[],
        source=(NICK, UT),
        confidence=HIGH,
        errors="01",
    ),
    row(
        "PM",
        "verify a dynamic card verification value (CVC3 over track 2: scheme 1, version 2)",
        request=[
            digits("scheme", 1),
            digits("version", 1),
            key_pair("master_key"),
            text("derivation", 1),
            digits("pan", 12, 19, until=";"),
            digits("psn", 2),
            *when("version", "2", counted_bytes("track", 3, base=10)),
            hexadecimal("unpredictable_number", 8),
            digits("atc", 5),
            text("dcvv", 5),
        ],
        response=[],
        source=(NICK,),
        confidence=MIDDLE,
        errors="01",
        diagnosis=[digits("dcvv", 5)],
    ),
)
