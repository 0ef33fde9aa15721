"""What a reply must be: its form from the question, its DE 39 from what the card's state allows.

Per card, replies are judged in the order in which the questions left, because the processor executes a card's
messages in the order of receipt. The state is the simulator's own: it knows the card's balance from the deck,
the holds from the approvals it was given, the wrong PINs from having sent them. Where it cannot be certain it
allows more, never less.
"""

import enum
import re
from collections import deque
from collections.abc import Collection
from typing import NamedTuple

from processor.iso8583.header import BASE1
from processor.iso8583.message import Message
from simulators.question import Answer, Fault, Question

_ECHOED = (2, 3, 4, 7, 11, 32, 37, 41, 42, 49, 70, 90)
_NEVER_RETURNED = frozenset((14, 35, 36, 43, 45, 52, 53, 55, 126))
_AUTH_CODE = re.compile("[0-9A-Z]{6}")
_HEADER_LENGTH = slice(3, 5)


class Code(enum.StrEnum):
    """DE 39 as this switch understands it."""

    APPROVED = "00"
    INVALID_TRANSACTION = "12"
    INSUFFICIENT_FUNDS = "51"
    INCORRECT_PIN = "55"
    PIN_TRIES_EXCEEDED = "75"
    CVV_FAILED = "82"
    ISSUER_INOPERATIVE = "91"
    CVV2_FAILED = "N7"
    STAND_IN_FOR_ISSUER = "N0"


# The issuer did not decide: allowed at any time, never an approval, and counted for everybody to see.
UNDECIDED = frozenset((Code.ISSUER_INOPERATIVE, Code.STAND_IN_FOR_ISSUER))

_REFUSAL = {
    Fault.WRONG_CVV: Code.CVV_FAILED,
    Fault.WRONG_CVV2: Code.CVV2_FAILED,
    Fault.WRONG_PIN: Code.INCORRECT_PIN,
}


class Mismatch(NamedTuple):
    """A reply that is not what it must be: a short kind to count by, and words without card data."""

    kind: str
    words: str


def form_faults(asked: Message, mti: str, reply: Message) -> list[str]:
    """Kinds of what is wrong with the reply's MTI, header and elements, whatever was decided."""
    expected_header = BASE1.reply(asked.header)
    faults = []
    if reply.mti != f"{mti[:2]}{int(mti[2]) + 1}0":
        faults.append("MTI")
    if reply.header[: _HEADER_LENGTH.start] + reply.header[_HEADER_LENGTH.stop :] != (
        expected_header[: _HEADER_LENGTH.start] + expected_header[_HEADER_LENGTH.stop :]
    ):
        faults.append("header")
    faults += [
        f"echo of DE {number}"
        for number in _ECHOED
        if number in asked.elements and reply.elements.get(number) != asked.elements[number]
    ]
    faults += [f"DE {number} returned" for number in sorted(_NEVER_RETURNED & reply.elements.keys())]
    if mti[:2] == "01" and not _auth_code_fits(reply):
        faults.append("DE 38")
    return faults


def _auth_code_fits(reply: Message) -> bool:
    """DE 38 is there exactly when approved: six characters, not all zeros."""
    code = reply.elements.get(38)
    if reply.elements.get(39) != Code.APPROVED:
        return code is None
    return code is not None and _AUTH_CODE.fullmatch(code) is not None and code != "000000"


class _Card:
    """What is known of one card. ``certain`` ends when an answer stays out: money and tries are open then."""

    __slots__ = ("available_minor", "certain", "exhausted", "unjudged", "wrong_pins")

    def __init__(self, available_minor: int, *, certain: bool) -> None:
        self.available_minor = available_minor
        self.certain = certain
        self.exhausted = False
        self.wrong_pins = 0  # since the last approved right one
        self.unjudged: deque[Question] = deque()

    def allowed(self, question: Question) -> frozenset[str]:
        """The response codes that an authorization may get."""
        musts = set[str]()
        if question.reversed_first:
            musts.add(Code.INVALID_TRANSACTION)
        if question.amount_minor > self.available_minor:
            musts.add(Code.INSUFFICIENT_FUNDS)
        if question.has_pin and self.exhausted:
            musts.add(Code.PIN_TRIES_EXCEEDED)
        if question.fault is not Fault.NONE and not (question.fault is Fault.WRONG_PIN and self.exhausted):
            musts.add(_REFUSAL[question.fault])
        may = musts or {Code.APPROVED}
        if not self.certain:
            may = may | {Code.INSUFFICIENT_FUNDS}
        if question.has_pin and (self.wrong_pins or question.fault is Fault.WRONG_PIN or not self.certain):
            may = may | {Code.PIN_TRIES_EXCEEDED}
        return frozenset(may | UNDECIDED)

    def learn(self, question: Question, code: str) -> None:
        """Take in what the answer to an authorization says about the card."""
        if question.fault is Fault.WRONG_PIN:
            self.wrong_pins += 1
        if code == Code.PIN_TRIES_EXCEEDED:
            self.exhausted = True
        if code == Code.APPROVED:
            self.available_minor -= question.amount_minor
            if question.has_pin:
                self.wrong_pins = 0


class Judge:
    """Judges answers and keeps the simulator's own ledger of what is approved and not reversed.

    ``balances_minor`` are the deck's, by PAN. ``fresh`` says that nobody used these cards before; otherwise a
    refusal for lack of funds or PIN tries is allowed at any time (an approval beyond the balance never is).
    """

    def __init__(self, balances_minor: dict[str, int], *, fresh: bool) -> None:
        self._cards = {pan: _Card(minor, certain=fresh) for pan, minor in balances_minor.items()}
        self._open: dict[Question, int] = {}
        self.open_minor = 0

    @property
    def open_holds(self) -> int:
        """How many approvals above zero are not reversed."""
        return len(self._open)

    def sent(self, question: Question) -> None:
        """Note a question at its first transmission; repeats are not noted."""
        if question.pan:
            self._cards[question.pan].unjudged.append(question)

    def answered(self, question: Question, answer: Answer) -> list[Mismatch]:
        """What is wrong with an answer, and with those that waited for it."""
        if question.answer is not None:
            return self._repeated(question, question.answer, answer)
        question.answer = answer
        if not question.pan:
            return [] if answer.code == Code.APPROVED else [_differs(question, answer, {Code.APPROVED})]
        return self._judge_ready(self._cards[question.pan])

    def given_up(self, question: Question) -> list[Mismatch]:
        """Stop waiting for a question; what it did to its card is unknown from now on."""
        question.given_up = True
        if not question.pan:
            return []
        card = self._cards[question.pan]
        card.certain = False
        return self._judge_ready(card)

    def _judge_ready(self, card: _Card) -> list[Mismatch]:
        """Judge the card's questions in the order they left, as far as there are answers."""
        found: list[Mismatch] = []
        while card.unjudged and (card.unjudged[0].answer is not None or card.unjudged[0].given_up):
            question = card.unjudged.popleft()
            if question.answer is not None:
                found += self._judge(card, question, question.answer)
        return found

    def _judge(self, card: _Card, question: Question, answer: Answer) -> list[Mismatch]:
        if question.original is not None:
            if answer.code != Code.APPROVED:
                card.certain = False
                return [_differs(question, answer, {Code.APPROVED})]
            self._release(card, question.original)
            return []
        allowed = card.allowed(question)
        card.learn(question, answer.code)
        if answer.code == Code.APPROVED:
            self._hold(question)
        return [] if answer.code in allowed else [_differs(question, answer, allowed)]

    def _repeated(self, question: Question, first: Answer, answer: Answer) -> list[Mismatch]:
        """The same question gets the same answer; only what was shed may still be decided when repeated."""
        if answer == first:
            return []
        if first.code != Code.STAND_IN_FOR_ISSUER:
            return [Mismatch("repeat", f"{question}: first {_said(first)}, then {_said(answer)}")]
        question.answer = answer
        card = self._cards[question.pan]
        card.certain = False
        card.learn(question, answer.code)
        if answer.code == Code.APPROVED:
            self._hold(question)
        return []

    def _hold(self, question: Question) -> None:
        if question.amount_minor:
            self._open[question] = question.amount_minor
            self.open_minor += question.amount_minor

    def _release(self, card: _Card, original: Question) -> None:
        minor = self._open.pop(original, 0)
        self.open_minor -= minor
        card.available_minor += minor


def _differs(question: Question, answer: Answer, allowed: Collection[str]) -> Mismatch:
    expected = " or ".join(sorted(set(allowed) - UNDECIDED))
    return Mismatch("DE 39", f"{question}: {answer.code or 'absent'}, expected {expected}")


def _said(answer: Answer) -> str:
    return f"DE 39 {answer.code or 'absent'} and DE 38 {answer.auth_code or 'absent'}"
