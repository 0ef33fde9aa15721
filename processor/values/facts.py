"""What was learned outside the core before a decision."""

import enum

import msgspec


class Check(enum.Enum):
    """A verification's result. Silence is a value of its own: an outage cannot pass for a right PIN."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_ASKED = "not_asked"
    NO_ANSWER = "no_answer"


class Facts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The HSM's verdicts for one request, and the version of the card they are about (0: no such card)."""

    cvv: Check = Check.NOT_ASKED
    pin: Check = Check.NOT_ASKED
    card_version: int = 0


NOTHING_ASKED = Facts()
