"""The book against a naive model: whatever happens in whatever order, both hold the same money."""

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from processor.book.invariants import digest, violations
from processor.book.state import State
from processor.core.executor import Core, redo
from processor.core.identity import Identity
from processor.core.terms import Terms
from processor.values.cards import Card
from processor.values.clock import DAY_MS
from processor.values.commands import Authorize, ExpireHolds, IssueCard, Lapse, Record, Reverse
from processor.values.facts import Facts
from processor.values.money import Money
from processor.values.reasons import Reason
from processor.values.requests import AUTH_CODE, Authorization, CvvKind, Reversal
from rules.catalogue import CardKnown, Funds
from rules.policy import Policy

START_MS = 1_795_000_000_000
FUNDS = 10_000
CARDS = ("a", "b")
STANS = st.sampled_from([f"{n:06}" for n in range(12)])


def purchase(card: str, stan: str, minor: int) -> Authorization:
    amount = Money(minor, "840")
    return Authorization(
        "visa-like", "0100", f"01|{card}|{stan}", str(minor), (f"1|{card}|{stan}|{AUTH_CODE}", f"2|{card}|{stan}"),
        card, "400000******7899", "000000", amount, amount, "", stan, "", "", "", "", "", "", "01", "", "",
        False, CvvKind.NONE, 7, "card absent",
    )  # fmt: skip


class Books(RuleBasedStateMachine):
    """``held`` is the model: (card, stan) -> (amount, day it was held)."""

    @initialize()
    def open(self) -> None:
        self.now_ms = START_MS
        self.records: list[bytes] = []
        self.state = State()
        terms = Terms(
            Policy((CardKnown(), Funds()), pin_tries=3), Identity(bytes(32)), frozenset({"visa-like"})
        )
        self.core = Core(self.state, terms, lambda r: self.records.append(msgspec.msgpack.encode(r)))
        for token in CARDS:
            card = Card(token, "400000******7899", f"account:{token}", "9912", "201", "1", "1", "1", 3, 3)
            self.core.execute(IssueCard(card, Money(FUNDS, "840"), self.now_ms), self.now_ms)
        self.held: dict[tuple[str, str], tuple[int, int]] = {}
        self.reversed_first: set[tuple[str, str]] = set()
        self.asked: set[tuple[str, str]] = set()

    def expire(self, card: str | None) -> None:
        due = [
            k
            for k, (_, since) in self.held.items()
            if since + 7 * DAY_MS <= self.now_ms and card in (k[0], None)
        ]
        for key in due:
            del self.held[key]

    @rule(card=st.sampled_from(CARDS), stan=STANS, minor=st.integers(0, FUNDS))
    def buy(self, card: str, stan: str, minor: int) -> None:
        request, key = purchase(card, stan, minor), (card, stan)
        if self.core.stored_answer(request) is not None:
            assert key in self.asked
            return
        self.expire(card)
        free = FUNDS - sum(amount for (c, _), (amount, _) in self.held.items() if c == card)
        expected = Reason.APPROVED if minor <= free else Reason.INSUFFICIENT_FUNDS
        if key in self.reversed_first:
            expected = Reason.ALREADY_REVERSED
        outcome = self.core.execute(Authorize(request, Facts(card_version=1), self.now_ms), self.now_ms)
        assert outcome.reply.reason is expected
        assert bool(outcome.reply.auth_code) == (expected is Reason.APPROVED)
        self.asked.add(key)
        if expected is Reason.APPROVED and minor:
            self.held[key] = (minor, self.now_ms)

    @rule(card=st.sampled_from(CARDS), stan=STANS)
    def reverse(self, card: str, stan: str) -> None:
        number = len(self.records)
        request = Reversal(
            "visa-like", "0420", f"04|{card}|{stan}|{number}", "", (f"2|{card}|{stan}",), card, "", "000000",
            Money(0, "840"), "", stan, "", "",
        )  # fmt: skip
        assert self.core.execute(Reverse(request, self.now_ms), self.now_ms).reply.reason is Reason.ACCEPTED
        self.held.pop((card, stan), None)
        if (card, stan) not in self.asked:
            self.reversed_first.add((card, stan))

    @rule(card=st.sampled_from(CARDS), stan=STANS)
    def lapse(self, card: str, stan: str) -> None:
        key = (card, stan)
        decided = self.state.by_key.get(f"2|{card}|{stan}", 0)
        answer = self.state.answers.get(f"01|{card}|{stan}")
        if not decided or answer is None or answer.reply.reason is Reason.LATE:
            return
        minor = self.state.transactions[decided].amount.minor
        self.core.execute(Lapse(purchase(card, stan, minor), decided, self.now_ms), self.now_ms)
        self.held.pop(key, None)

    @rule(days=st.integers(0, 9))
    def wait(self, days: int) -> None:
        self.now_ms += days * DAY_MS

    @rule()
    def clock_runs_backwards(self) -> None:
        before = self.state.sequenced_ms
        self.core.execute(ExpireHolds(0, self.now_ms), self.now_ms - DAY_MS)
        assert self.state.sequenced_ms >= before

    @rule(limit=st.integers(1, 3))
    def housekeeping(self, limit: int) -> None:
        due = sorted(
            (since + 7 * DAY_MS, self.state.by_key[f"2|{c}|{s}"], (c, s))
            for (c, s), (_, since) in self.held.items()
        )
        self.core.execute(ExpireHolds(limit, self.now_ms), self.now_ms)
        for expires_ms, _, key in due[:limit]:
            if expires_ms <= self.now_ms:
                del self.held[key]

    @invariant()
    def the_books_balance_and_agree_with_the_model(self) -> None:
        assert violations(self.state) == []
        held = {
            (t.card, key.rsplit("|", 1)[1]): self.state.holds[n].amount.minor
            for n, t in self.state.transactions.items()
            if n in self.state.holds
            for key in t.keys
            if key.startswith("2|")
        }
        assert held == {key: amount for key, (amount, _) in self.held.items()}

    def teardown(self) -> None:
        """Applying the journaled effects again gives the same state, to the last byte."""
        if not hasattr(self, "records"):
            return
        again = State()
        decode = msgspec.msgpack.Decoder(Record).decode
        for raw in self.records:
            redo(again, decode(raw))
        assert digest(again) == digest(self.state)


Books.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestBooks = Books.TestCase
