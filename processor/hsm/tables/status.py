"""Commands about the unit itself."""

from processor.hsm.fields import counted_bytes, digits, hexadecimal, remaining_bytes, text
from processor.hsm.tables.row import HIGH, MIDDLE, NICK, PRESS, UT, row

ROWS = (
    row(
        "B2",
        "echo the data",
        request=[counted_bytes("data", 4)],
        response=[remaining_bytes("data")],
        source=(NICK, UT),
        confidence=HIGH,
    ),
    row(
        "N0",
        "give random bytes",
        request=[digits("length", 3)],
        response=[remaining_bytes("random")],
        source=(PRESS,),
        confidence=MIDDLE,
    ),
    row(
        "NC",
        "diagnostics: the LMK's check value and the firmware",
        request=[],
        response=[hexadecimal("lmk_check_value", 16), text("firmware", 9)],
        source=(PRESS, NICK),
        confidence=HIGH,
    ),
    row(
        "NO",
        "status: buffer size, kind of network, number of sockets and the firmware (mode 00)",
        request=[digits("mode", 2)],
        response=[
            digits("buffer_size", 1),
            digits("network", 1),
            digits("sockets", 2),
            text("firmware", 9),
            text("reserved", 1),
            text("other_firmware", 4),
        ],
        source=(NICK, PRESS),
        confidence=MIDDLE,
    ),
)
