"""One question of the switch, from the moment it is made to its last answer."""

import enum
from collections import deque
from typing import NamedTuple, TypeAlias

from processor.iso8583.message import Message
from processor.values.sensitive import Pan

Key: TypeAlias = tuple[str, str, str, str, str]


class Fault(enum.Enum):
    """What is wrong about the cardholder's evidence, on purpose."""

    NONE = "none"
    WRONG_CVV = "wrong CVV"
    WRONG_CVV2 = "wrong CVV2"
    WRONG_PIN = "wrong PIN"


class Answer(NamedTuple):
    """What was said: DE 39, and DE 38 or empty."""

    code: str
    auth_code: str


class Question:
    """A message with its repeats, which share its key.

    ``pan`` is empty for network management; ``original`` is what a reversal takes back; ``reversed_first`` is
    set on an authorization whose reversal left before it. ``intended_s`` has one entry for each copy that is
    still unanswered: the time at which the schedule wanted it sent.
    """

    __slots__ = (
        "amount_minor",
        "answer",
        "fault",
        "given_up",
        "has_pin",
        "intended_s",
        "key",
        "message",
        "original",
        "pan",
        "reversed_first",
    )

    def __init__(
        self,
        message: Message,
        *,
        amount_minor: int = 0,
        fault: Fault = Fault.NONE,
        original: "Question | None" = None,
    ) -> None:
        self.message = message
        self.key = key_of(message)
        self.pan = message.elements.get(2, "")
        self.amount_minor = amount_minor
        self.fault = fault
        self.has_pin = 52 in message.elements
        self.original = original
        self.reversed_first = False
        self.intended_s: deque[float] = deque()
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
    """What a reply is matched by: message class, DE 7, 11, 32 and 37; never order, never DE 11 alone."""
    elements = message.elements
    return (
        message.mti[:2],
        elements.get(7, ""),
        elements.get(11, ""),
        elements.get(32, ""),
        elements.get(37, ""),
    )
