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
from processor.values.commands import (
    Advise,
    Authorize,
    ExpireHolds,
    IssueCard,
    Lapse,
    Record,
    Reverse,
)
from processor.values.facts import Facts
from processor.values.money import Money
from processor.values.reasons import Reason
from processor.values.requests import (
    AUTH_CODE,
    Advice,
    Authorization,
    CvvKind,
    Direction,
    Original,
    Reversal,
)
from rules.catalogue import CardKnown, Funds
from rules.policy import Policy

START_MS = 1_795_000_000_000
FUNDS = 10_000
CARDS = ("a", "b")
STANS = st.sampled_from([f"{n:06}" for n in range(8)])
AMOUNTS = st.integers(0, FUNDS)


def common(card: str, key: str, names: tuple[str, ...], minor: int) -> tuple[object, ...]:
    return (
        "visa-like", "", key, str(minor), names, card, "400000******7899", "000000", Money(minor, "840"),
        "", "", "", "", Direction.DEBIT,
    )  # fmt: skip


def purchase(card: str, stan: str, minor: int, *, single: bool) -> Authorization:
    names = (f"1|{card}|{stan}|{AUTH_CODE}", f"2|{card}|{stan}")
    return Authorization(
        *common(card, f"01|{card}|{stan}", names, minor),
        single, Money(minor, "840"), "", "", "", "", "01", "", "", False, CvvKind.NONE, 7, "card absent",
    )  # fmt: skip


class Purchase:
    """The model of one transaction, as a clerk would keep it on a slip of paper."""

    def __init__(self) -> None:
        self.asked = self.single = False
        self.ours: int | None = None
        self.networks: int | None = None
        self.ours_void = self.networks_void = self.posting_void = False
        self.cap: int | None = None
        self.network_posted: list[int] = []
        self.closed = False
        self.due_ms = 0

    @property
    def authorized(self) -> int:
        if self.networks is not None:
            part = 0 if self.networks_void else self.networks
        else:
            part = 0 if self.ours_void or self.ours is None else self.ours
        return part if self.cap is None else min(part, self.cap)

    @property
    def own_posted(self) -> int:
        return self.authorized if self.single and not self.network_posted else 0

    @property
    def posted(self) -> int:
        return self.own_posted + sum(self.network_posted)

    @property
    def held(self) -> int:
        return 0 if self.closed or self.single else self.authorized

    def take_back_postings(self) -> None:
        self.network_posted = [0 for _ in self.network_posted]


class Books(RuleBasedStateMachine):
    """``slips`` is the model: (card, stan) -> Purchase."""

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
        self.slips: dict[tuple[str, str], Purchase] = {}
        self.lapsed: set[tuple[str, str]] = set()

    def expire(self, card: str) -> None:
        for (owner, _), slip in self.slips.items():
            if owner == card and slip.held and slip.due_ms <= self.now_ms:
                slip.closed = True

    def free(self, card: str) -> int:
        slips = [slip for (owner, _), slip in self.slips.items() if owner == card]
        return FUNDS - sum(slip.posted + slip.held for slip in slips)

    @rule(card=st.sampled_from(CARDS), stan=STANS, minor=AMOUNTS, single=st.booleans())
    def buy(self, card: str, stan: str, minor: int, single: bool) -> None:
        request, key = purchase(card, stan, minor, single=single), (card, stan)
        if self.core.stored_answer(request) is not None:
            return
        self.expire(card)
        slip = self.slips.get(key)
        own = slip.held + slip.posted if slip is not None and not slip.asked else 0
        expected = Reason.APPROVED if minor <= self.free(card) + own else Reason.INSUFFICIENT_FUNDS
        if slip is not None and slip.ours_void:
            expected = Reason.ALREADY_REVERSED
        outcome = self.core.execute(Authorize(request, Facts(card_version=1), self.now_ms), self.now_ms)
        assert outcome.reply.reason is expected
        assert bool(outcome.reply.auth_code) == (expected is Reason.APPROVED)
        if slip is None:
            slip = self.slips[key] = Purchase()
            slip.single = single
        slip.asked = True
        if expected is Reason.APPROVED:
            slip.ours = minor
            slip.single = slip.single or single
            if slip.networks is None:
                slip.due_ms = self.now_ms + 7 * DAY_MS

    @rule(card=st.sampled_from(CARDS), stan=STANS, minor=AMOUNTS, approved=st.booleans())
    def stand_in(self, card: str, stan: str, minor: int, approved: bool) -> None:
        names = (f"2|{card}|{stan}",)
        request = Advice(
            *common(card, f"012|{card}|{stan}|{len(self.records)}", names, minor),
            names, True, False, approved, "STIP01", "9020", 7, "card absent",
        )  # fmt: skip
        assert self.core.execute(Advise(request, self.now_ms), self.now_ms).reply.reason is Reason.ACCEPTED
        slip = self.slips.setdefault((card, stan), Purchase())
        slip.networks = minor if approved else 0
        slip.closed = slip.closed and bool(slip.network_posted)
        slip.due_ms = self.now_ms + 7 * DAY_MS

    @rule(card=st.sampled_from(CARDS), stan=STANS, minor=AMOUNTS)
    def complete(self, card: str, stan: str, minor: int) -> None:
        names = (f"2|{card}|{stan}",)
        request = Advice(
            *common(card, f"022|{card}|{stan}|{len(self.records)}", names, minor),
            names, True, True, True, "", "", 7, "card absent",
        )  # fmt: skip
        assert self.core.execute(Advise(request, self.now_ms), self.now_ms).reply.reason is Reason.ACCEPTED
        slip = self.slips.setdefault((card, stan), Purchase())
        if slip.single and slip.cap is not None:
            minor = min(minor, slip.cap)
        slip.network_posted.append(0 if slip.posting_void else minor)
        slip.posting_void = slip.posting_void and slip.single
        slip.closed = True

    @rule(card=st.sampled_from(CARDS), stan=STANS, late=st.booleans(), original=st.sampled_from(Original))
    def reverse(self, card: str, stan: str, late: bool, original: Original) -> None:
        request = Reversal(
            *common(card, f"042|{card}|{stan}|{len(self.records)}", (f"2|{card}|{stan}",), 0),
            None, late, original,
        )  # fmt: skip
        assert self.core.execute(Reverse(request, self.now_ms), self.now_ms).reply.reason is Reason.ACCEPTED
        slip = self.slips.setdefault((card, stan), Purchase())
        slip.single = slip.single or original is Original.SINGLE_MESSAGE
        if original is Original.POSTING and not late:
            slip.posting_void = slip.posting_void or not slip.network_posted
            slip.take_back_postings()
            return
        slip.ours_void = True
        if not late:
            slip.networks_void = True
            if slip.single:
                slip.take_back_postings()
                slip.posting_void = True

    @rule(
        card=st.sampled_from(CARDS),
        stan=STANS,
        minor=st.integers(1, FUNDS),
        original=st.sampled_from(Original),
    )
    def reverse_in_part(self, card: str, stan: str, minor: int, original: Original) -> None:
        request = Reversal(
            *common(card, f"042|{card}|{stan}|{len(self.records)}", (f"2|{card}|{stan}",), 0),
            Money(minor, "840"), False, original,
        )  # fmt: skip
        reason = self.core.execute(Reverse(request, self.now_ms), self.now_ms).reply.reason
        slip = self.slips.setdefault((card, stan), Purchase())
        known = slip.asked or slip.networks is not None or bool(slip.network_posted)
        fits = not known or minor <= max(slip.authorized, slip.own_posted, *slip.network_posted, 0)
        assert (reason is Reason.ACCEPTED) == fits
        if not fits:
            return
        slip.single = slip.single or original is Original.SINGLE_MESSAGE
        if original is not Original.POSTING:
            slip.cap = minor
        if original is Original.POSTING or slip.single:
            slip.network_posted = [min(minor, posted) for posted in slip.network_posted]

    @rule(card=st.sampled_from(CARDS), stan=STANS)
    def lapse(self, card: str, stan: str) -> None:
        key = (card, stan)
        answer = self.state.answers.get(f"01|{card}|{stan}")
        if answer is None or answer.reply.reason is Reason.LATE:
            return
        number = self.state.by_key[f"2|{card}|{stan}"]
        slip = self.slips[key]
        request = purchase(card, stan, self.state.transactions[number].amount.minor, single=slip.single)
        self.core.execute(Lapse(request, number, self.now_ms), self.now_ms)
        slip.ours_void = True

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
            (slip.due_ms, self.state.by_key[f"2|{card}|{stan}"], (card, stan))
            for (card, stan), slip in self.slips.items()
            if slip.held
        )
        self.core.execute(ExpireHolds(limit, self.now_ms), self.now_ms)
        for due_ms, _, key in due[:limit]:
            if due_ms <= self.now_ms:
                self.slips[key].closed = True

    @invariant()
    def the_books_balance_and_agree_with_the_model(self) -> None:
        assert violations(self.state) == []
        for card in CARDS:
            account = self.state.accounts[f"account:{card}"]
            slips = [slip for (owner, _), slip in self.slips.items() if owner == card]
            assert account.held_minor == sum(slip.held for slip in slips)
            assert account.ledger_minor == FUNDS - sum(slip.posted for slip in slips)

    def teardown(self) -> None:
        """Applying the journaled effects again gives the same state, to the last byte."""
        if not hasattr(self, "records"):
            return
        again = State()
        decode = msgspec.msgpack.Decoder(Record).decode
        for raw in self.records:
            redo(again, decode(raw))
        assert digest(again) == digest(self.state)


Books.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestBooks = Books.TestCase
