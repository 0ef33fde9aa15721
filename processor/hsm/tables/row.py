"""What a row of the command table says, and the short ways to say it."""

from collections.abc import Sequence

import msgspec

from processor.hsm.errors import ErrorCode
from processor.hsm.fields import Field, digits, hexadecimal, padded_digits, unless, when
from processor.hsm.layout import Layout

NICK = "nickntg/thalessimulatorlibrary"
UT = "softwaregroup-bg/ut-codec-payshield"
LEACH = "leachbj/hsm-emulator"
DYMAR = "dymarjaya/payshield-verification-pin-python3"
PRESS = "mszeu/PayShieldPressureTest"
SARU = "saruman1972/hsm-simu"
PROXY = "J8k3/aws-payment-cryptography-hsm-proxy"

HIGH, MIDDLE, LOW = "H", "M", "L"
"""How sure the layout is: several sources or a transcript, one good source, one weak one."""

FORMAT_04 = ("04",)
"""PIN block formats whose account field has 18 digits."""


def _codes(codes: str) -> frozenset[ErrorCode]:
    return frozenset(code for code in ErrorCode if code.value in codes.split())


COMMON_ERRORS = _codes("13 15 41 80")
"""Answers that any command may give: no such LMK, a request that cannot be read, a fault of the emulator."""
KEY_ERRORS = _codes("10 12 26 27 28 75 83 A1 A3 A4 A5 A6 A7 A8 AA AB")
"""Answers that any command with a key may give about it."""


class Command(msgspec.Struct, frozen=True):
    """A host command: its code, what it does, the fields both ways and where they are described.

    ``advice`` are the errors that only warn: the command did its work and its response fields come with them.
    ``diagnosis`` are fields that may come with a failed verification, in the authorised state.
    ``errors`` are those of the command itself; ``COMMON_ERRORS`` and, with keys, ``KEY_ERRORS`` come on top.
    """

    code: str
    meaning: str
    request: Layout
    response: Layout
    source: str
    confidence: str
    advice: frozenset[ErrorCode]
    diagnosis: Layout
    errors: frozenset[ErrorCode]

    @property
    def response_code(self) -> str:
        """The code with its second character raised by one: CY is answered CZ."""
        return self.code[0] + chr(ord(self.code[1]) + 1)


def row(
    code: str,
    meaning: str,
    request: Sequence[Field],
    response: Sequence[Field],
    source: tuple[str, ...],
    confidence: str,
    *,
    errors: str = "",
    advice: Sequence[ErrorCode] = (),
    diagnosis: Sequence[Field] = (),
) -> Command:
    """A command; any request may end with an LMK identifier and a trailer."""
    return Command(
        code,
        meaning,
        Layout(tuple(request), has_tail=True),
        Layout(tuple(response)),
        ", ".join(source),
        confidence,
        frozenset(advice),
        Layout(tuple(diagnosis)),
        _codes(errors) | frozenset(advice),
    )


def account() -> list[Field]:
    """The account number: 12 digits, or 18 with PIN block format 04."""
    return [
        *when("pin_format", FORMAT_04, digits("account", 18)),
        *unless("pin_format", FORMAT_04, digits("account", 12)),
    ]


def pin_block() -> list[Field]:
    """A PIN block, its format and the account number."""
    return [hexadecimal("pin_block", 16), digits("pin_format", 2), *account()]


def pin_under_lmk() -> Field:
    """A PIN under the LMK: one digit more than the PIN."""
    return digits("pin_under_lmk", 5, 13)


def offset(name: str = "offset") -> Field:
    """An IBM 3624 offset, left-justified in 12 characters and padded with F."""
    return padded_digits(name, 12, 12)
