"""What a reply must say: DE 39 from what the card's state allows, by the switch's own books.

Per card, replies are judged in the order in which the questions left, because the processor executes a card's
messages in the order of receipt. The books are the simulator's own: it knows a card's balance from the deck,
holds and postings from what it was answered and what it told, the wrong PINs from having sent them. Where it
cannot be certain it allows more, never less.
"""

from collections import deque
from collections.abc import Collection
from typing import NamedTuple

from simulators.form import APPROVED
from simulators.networks.network import Network, Refusal
from simulators.question import Answer, Fault, Kind, Matter, Question
from simulators.slip import Slip

PIN_TRIES = 3
"""Wrong PINs in a row before a card is refused: ``pin_tries`` of examples/stand-in.toml."""

_REFUSAL = {
    Fault.WRONG_CVV: Refusal.CVV_FAILED,
    Fault.WRONG_CVV2: Refusal.CVV2_FAILED,
}
# What is wrong with the message itself is told before anybody looks at the card.
_REFUSAL_AT_ONCE = {Fault.CHANGED: Refusal.DUPLICATE, Fault.OTHER_TRACK: Refusal.FORMAT_ERROR}


class Mismatch(NamedTuple):
    """A reply that is not what it must be: a short kind to count by, and words without card data."""

    kind: str
    words: str


class _Card:
    """What is known of one card. ``certain`` ends when an answer stays out: money and tries are open then.

    Money both ways: what stays out may have been a refund. ``available_minor`` is None for a card that the
    issuer does not know.
    """

    __slots__ = ("available_minor", "certain", "tries_left", "unjudged")

    def __init__(self, available_minor: int | None, *, certain: bool) -> None:
        self.available_minor = available_minor
        self.certain = certain
        self.tries_left = PIN_TRIES
        self.unjudged: deque[Question] = deque()

    def refusals(self, matter: Matter, slip: Slip) -> tuple[set[Refusal], set[Refusal]]:
        """The reasons of which one must be told, and those that may be told as well."""
        if matter.fault in _REFUSAL_AT_ONCE:
            return {_REFUSAL_AT_ONCE[matter.fault]}, set()
        musts, may = set[Refusal](), set[Refusal]()
        if slip.reversed_before:
            musts.add(Refusal.REVERSED_BEFORE)
        if self.available_minor is None:
            return {*musts, Refusal.UNKNOWN_CARD}, may
        if matter.fault in _REFUSAL:
            musts.add(_REFUSAL[matter.fault])
        if not matter.is_credit and matter.amount_minor > self.available_minor:
            # what the network holds or posted for this very purchase is not asked for a second time
            own_minor = slip.taken_minor
            beyond = self.certain and matter.amount_minor > self.available_minor + own_minor
            (musts if beyond else may).add(Refusal.INSUFFICIENT_FUNDS)
        if matter.has_pin and not self.tries_left:
            musts.add(Refusal.PIN_TRIES_EXCEEDED)
        elif matter.fault is Fault.WRONG_PIN:
            musts.add(Refusal.INCORRECT_PIN)
        if not self.certain:
            may |= {Refusal.INSUFFICIENT_FUNDS} | ({Refusal.PIN_TRIES_EXCEEDED} if matter.has_pin else set())
        return musts, may

    def learn_pin(self, matter: Matter, code: str, exceeded: str) -> None:
        """Take in what became of a PIN that was looked at."""
        if self.available_minor is None or not matter.has_pin or matter.fault in _REFUSAL_AT_ONCE:
            return
        if code == exceeded:
            self.tries_left = 0
        elif self.tries_left:
            self.tries_left = self.tries_left - 1 if matter.fault is Fault.WRONG_PIN else PIN_TRIES


class Judge:
    """Judges answers and keeps the simulator's own books.

    ``balances_minor`` are the deck's, by PAN; other cards are not known to the issuer. ``fresh`` says that
    nobody used these cards before; otherwise nothing is certain about their funds and PIN tries.
    """

    def __init__(self, network: Network, balances_minor: dict[str, int], *, fresh: bool) -> None:
        self._network = network
        self._code = network.codes
        self._cards = {pan: _Card(minor, certain=fresh) for pan, minor in balances_minor.items()}
        self.open_holds = self.open_minor = self.posted_minor = 0

    def knows(self, pan: str) -> bool:
        """Whether the issuer has this card on file."""
        card = self._cards.get(pan)
        return card is not None and card.available_minor is not None

    def sent(self, question: Question) -> None:
        """Note a question at its first transmission; repeats are not noted."""
        if question.pan:
            self._card(question).unjudged.append(question)

    def answered(self, question: Question, answer: Answer) -> list[Mismatch]:
        """What is wrong with an answer, and with those that waited for it."""
        if question.answer is not None:
            return self._repeated(question, question.answer, answer)
        question.answer = answer
        if not question.pan:
            return _unless(question, answer, {APPROVED}, ())
        return self._judge_ready(self._card(question))

    def given_up(self, question: Question) -> list[Mismatch]:
        """Stop waiting for a question; what it did to its card is unknown from now on."""
        question.given_up = True
        if not question.pan:
            return []
        card = self._card(question)
        card.certain = False
        return self._judge_ready(card)

    def figures(self) -> dict[str, int]:
        """The books: holds that are open, what they hold, and everything posted, net."""
        return {
            "open_holds": self.open_holds,
            "open_minor": self.open_minor,
            "posted_minor": self.posted_minor,
        }

    def _card(self, question: Question) -> _Card:
        card = self._cards.get(question.pan)
        if card is None:
            card = self._cards[question.pan] = _Card(None, certain=True)
        return card

    def _judge_ready(self, card: _Card) -> list[Mismatch]:
        """Judge the card's questions in the order they left, as far as there are answers."""
        found: list[Mismatch] = []
        while card.unjudged and (card.unjudged[0].answer is not None or card.unjudged[0].given_up):
            question = card.unjudged.popleft()
            if question.answer is not None:
                found += self._judge(card, question, question.answer)
        return found

    def _judge(self, card: _Card, question: Question, answer: Answer) -> list[Mismatch]:
        matter = question.matter
        assert matter.slip is not None, "what is about a card is about a purchase"
        if matter.kind is Kind.REQUEST:
            musts, may = card.refusals(matter, matter.slip)
            allowed = {self._code[refusal] for refusal in musts} or {APPROVED}
            allowed |= {self._code[refusal] for refusal in may}
            self._decided(card, matter, answer.code)
            return _unless(question, answer, allowed, self._network.undecided)
        refused = matter.total_minor is not None and not matter.slip.can_be(matter.total_minor)
        allowed = {self._code[Refusal.INVALID_AMOUNT] if refused else APPROVED}
        if answer.code == APPROVED:
            self._enter(card, matter, approved=matter.approved)
        elif answer.code not in allowed:
            card.certain = False
        return _unless(question, answer, allowed, ())

    def _decided(self, card: _Card, matter: Matter, code: str) -> None:
        """Take in what the answer to a request says."""
        if code in self._network.undecided:
            card.certain = False
            return
        card.learn_pin(matter, code, self._code[Refusal.PIN_TRIES_EXCEEDED])
        if code == APPROVED or matter.fault not in _REFUSAL_AT_ONCE:
            self._enter(card, matter, approved=code == APPROVED)

    def _repeated(self, question: Question, first: Answer, answer: Answer) -> list[Mismatch]:
        """The same question gets the same answer; only what was shed may still be decided when repeated."""
        if answer == first:
            return []
        if first.code not in self._network.shed:
            return [Mismatch("repeat", f"{question}: first {_said(first)}, then {_said(answer)}")]
        question.answer = answer
        self._decided(self._card(question), question.matter, answer.code)
        return []

    def _enter(self, card: _Card, matter: Matter, *, approved: bool) -> None:
        """Write on the slip what happened, and carry the difference to the books."""
        slip = matter.slip
        assert slip is not None, "money moves for a purchase"
        held, posted = slip.held_minor, slip.posted_minor
        _write(slip, matter, matter.amount_minor if approved else 0)
        self.open_holds += bool(slip.held_minor) - bool(held)
        self.open_minor += slip.held_minor - held
        self.posted_minor += slip.posted_minor - posted
        if card.available_minor is not None:
            card.available_minor -= slip.held_minor - held + slip.posted_minor - posted


def _write(slip: Slip, matter: Matter, minor: int) -> None:
    """``minor`` is what was approved or posted."""
    match matter.kind:
        case Kind.REQUEST:
            slip.decide(minor)
        case Kind.STAND_IN:
            slip.stand_in(minor)
        case Kind.POSTING:
            slip.post(minor)
        case Kind.REVERSAL if matter.total_minor is not None:
            slip.reduce(matter.total_minor)
        case Kind.REVERSAL if matter.of_posting:
            slip.undo_posting()
        case Kind.REVERSAL:
            slip.reverse(of_late_answer=matter.of_late_answer)
        case Kind.SIGNAL:
            raise AssertionError("a signal moves no money")


def _unless(
    question: Question, answer: Answer, allowed: Collection[str], undecided: Collection[str]
) -> list[Mismatch]:
    """A mismatch, unless the answer is one of these."""
    if answer.code in allowed or answer.code in undecided:
        return []
    expected = " or ".join(sorted(allowed))
    return [Mismatch("DE 39", f"{question}: {answer.code or 'absent'}, expected {expected}")]


def _said(answer: Answer) -> str:
    return f"DE 39 {answer.code or 'absent'} and DE 38 {answer.auth_code or 'absent'}"
