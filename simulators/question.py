"""One question of the switch, from the moment it is made to its last answer."""

import enum
from typing import NamedTuple, TypeAlias

from processor.iso8583.message import Message
from processor.values.sensitive import Pan
from simulators.slip import Slip
from simulators.ways import Reading

Key: TypeAlias = tuple[str, ...]

_KEY_ELEMENTS = (4, 7, 11, 32, 37)
KEY_PARTS = ("class", "function", *map(str, _KEY_ELEMENTS))
"""The parts of a key, by name."""


class Fault(enum.Enum):
    """What is wrong about a request, on purpose."""

    NONE = "none"
    WRONG_CVV = "wrong CVV"
    WRONG_CVV2 = "wrong CVV2"
    WRONG_PIN = "wrong PIN"
    OTHER_TRACK = "another card's track"
    CHANGED = "an earlier question's key with another amount"


class Kind(enum.Enum):
    """What a question wants of the issuer."""

    SIGNAL = "signal"  # sign on, sign off, are you there
    REQUEST = "request"  # may this card spend this?
    STAND_IN = "stand-in advice"  # we decided for you
    POSTING = "posting"  # this has been posted: a completion, or by force
    REVERSAL = "reversal"  # this did not happen, or only in part


class Answer(NamedTuple):
    """What was said: DE 39, and DE 38 or empty."""

    code: str
    auth_code: str


class Matter(NamedTuple):
    """What a question is about, in the judge's terms; amounts in minor units of the cardholder's currency.

    ``total_minor`` is the new total of a partial reversal, None for a full one. ``of_late_answer`` is a
    reversal that speaks only of the issuer's own answer; ``of_posting`` one of what the network posted.
    """

    kind: Kind
    slip: Slip | None = None
    amount_minor: int = 0
    is_credit: bool = False
    reading: Reading | None = None
    has_pin: bool = False
    fault: Fault = Fault.NONE
    approved: bool = True
    total_minor: int | None = None
    of_late_answer: bool = False
    of_posting: bool = False


SIGNAL = Matter(Kind.SIGNAL)


class Question:
    """A message with its repeats, which share its key. ``pan`` is empty for network management."""

    __slots__ = ("answer", "given_up", "key", "matter", "message", "pan")

    def __init__(self, message: Message, matter: Matter) -> None:
        self.message = message
        self.matter = matter
        self.key = key_of(message)
        self.pan = message.elements.get(2, "")
        self.answer: Answer | None = None
        self.given_up = False

    def __repr__(self) -> str:
        elements = self.message.elements
        card = f" card {Pan(self.pan)}" if self.pan else ""
        return f"{self.message.mti} DE7={elements[7]} DE11={elements[11]}{card}"

    __str__ = __repr__


class Transmission(NamedTuple):
    """A question as it leaves: under its own MTI, or under that of a repeat."""

    question: Question
    mti: str


def key_of(message: Message) -> Key:
    """What a reply is matched by: message class and function, DE 4, 7, 11, 32 and 37; never order.

    >>> key_of(Message(b"", "0421", {11: "000042"})) == key_of(Message(b"", "0430", {11: "000042"}))
    True
    """
    mti, get = message.mti, message.elements.get
    return (mti[:2], "advice" if mti[2] in "23" else "request", *[get(n, "") for n in _KEY_ELEMENTS])
