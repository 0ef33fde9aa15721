"""The core without sockets: a clock that stands still, an HSM and a disk that answer when a test says so."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from processor.book.state import State
from processor.core.desk import Desk, Flight, Limits
from processor.core.executor import Core
from processor.core.identity import Identity
from processor.core.terms import Terms
from processor.values.cards import Card
from processor.values.commands import IssueCard, Record
from processor.values.facts import Check, Facts
from processor.values.money import Money
from processor.values.outcome import Outcome
from processor.values.requests import AUTH_CODE, Advice, Authorization, CvvKind, Direction, Original, Reversal
from processor.values.sensitive import Evidence, Pan
from rules.policy import Policy, parse_policy

NOW_MS = 1_795_000_000_000  # 2026-11-18
PAN = Pan("4000001234567899")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


class StillClock:
    """Time as the test sets it."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS
        self.now_s = 1000.0

    def wall_ms(self) -> int:
        return self.now_ms

    def monotonic_s(self) -> float:
        return self.now_s


class Hsm:
    """Keeps the questions; a test answers them in any order, or not at all."""

    def __init__(self) -> None:
        self.questions: list[tuple[Evidence, Card, Callable[[Facts], None]]] = []
        self.reachable = True

    def verify(
        self, evidence: Evidence, card: Card, *, cvv: bool, pin: bool, done: Callable[[Facts], None]
    ) -> Facts | None:
        if not self.reachable:
            silent = Check.NO_ANSWER
            return Facts(silent if cvv else Check.NOT_ASKED, silent if pin else Check.NOT_ASKED, card.version)
        self.questions.append((evidence, card, done))
        return None

    def answer(self, number: int = 0, cvv: Check = Check.NOT_ASKED, pin: Check = Check.NOT_ASKED) -> None:
        _, card, done = self.questions.pop(number)
        done(Facts(cvv, pin, card.version))


class Disk:
    """Keeps records; ``sync`` makes durable all that was flushed."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.waiting: list[tuple[int, Callable[[], None]]] = []
        self.flushed = 0
        self.low_space = False

    def append(self, record: Record) -> None:
        self.records.append(record)

    def flush(self) -> None:
        self.flushed = len(self.records)

    def when_durable(self, sequence: int, done: Callable[[], None]) -> None:
        self.waiting.append((sequence, done))

    def sync(self) -> None:
        last = self.records[self.flushed - 1].sequence if self.flushed else 0
        due = [done for sequence, done in self.waiting if sequence <= last]
        self.waiting = [(sequence, done) for sequence, done in self.waiting if sequence > last]
        for done in due:
            done()


class Asker:
    """Remembers the answers it got."""

    def __init__(self) -> None:
        self.answers: list[Outcome] = []

    def answer(self, outcome: Outcome, flight: Flight | None) -> None:
        self.answers.append(outcome)


class Office:
    """A desk with everything around it, one funded card, and short ways to ask."""

    def __init__(self, policy: Policy, *, limits: Limits, issued: tuple[IssueCard, ...]) -> None:
        self.clock, self.hsm, self.disk = StillClock(), Hsm(), Disk()
        self.state = State()
        terms = Terms(policy, Identity(bytes(32)), frozenset({"visa-like"}))
        self.core = Core(self.state, terms, self.disk.append)
        for command in issued:
            self.core.execute(command, NOW_MS)
        self.desk = Desk(self.core, self.hsm, self.disk, self.clock, limits)

    def ask(self, request: Authorization | Advice | Reversal, evidence: Evidence | None = None) -> Asker:
        """Admit and end the batch."""
        asker = Asker()
        budget_s = 6.0 if isinstance(request, Authorization) else None
        self.desk.admit(request, evidence or Evidence(PAN), asker, self.clock.now_ms, budget_s)
        self.desk.settle()
        return asker

    def settle(self) -> None:
        """End a batch and let the disk catch up."""
        self.desk.settle()
        self.disk.sync()


def card(token: str = "card", **changes: object) -> Card:
    values = {
        "token": token,
        "pan_masked": "400000******7899",
        "account": f"account:{token}",
        "expiry": "2912",
        "service_code": "201",
        "pvv": "1234",
        "pvki": "1",
        "psn": "01",
        "pin_tries_max": 3,
        "pin_tries_left": 3,
    }
    return Card(**{**values, **changes})


@pytest.fixture
def policy() -> Policy:
    """The policy of the examples."""
    return parse_policy((EXAMPLES / "stand-in.toml").read_text(), "stand-in.toml")


@pytest.fixture
def issue() -> Callable[..., IssueCard]:
    """Makes a command that issues a card with 1,000.00 on its account."""

    def make(token: str = "card", minor: int = 100_000, **changes: object) -> IssueCard:
        return IssueCard(card(token, **changes), Money(minor, "840"), NOW_MS)

    return make


@pytest.fixture
def office(policy: Policy, issue: Callable[..., IssueCard]) -> Office:
    """An office that knows the cards ``card`` and ``other``."""
    return Office(
        policy, limits=Limits(in_flight_max=100, transactions_max=1000), issued=(issue(), issue("other"))
    )


@pytest.fixture
def purchase() -> Callable[..., Authorization]:
    """Makes a purchase of 10.00 without PIN or CVV; equal STANs make equal questions."""

    def make(
        stan: str = "000001", minor: int = 1000, token: str = "card", **changes: object
    ) -> Authorization:
        request = Authorization(
            network="visa-like",
            mti="0100",
            key=f"01|{token}|{stan}",
            content=f"000000|{minor}|840",
            match_keys=(f"1|{token}|rrn{stan}|{AUTH_CODE}", f"2|{token}|{stan}"),
            card=token,
            pan_masked="400000******7899",
            processing_code="000000",
            amount=Money(minor, "840"),
            transmitted="1118120000",
            stan=stan,
            rrn=f"rrn{stan}",
            acquirer="432109",
            direction=Direction.DEBIT,
            single_message=False,
            transaction_amount=Money(minor, "840"),
            terminal="TERM0001",
            merchant="MERCHANT0000001",
            merchant_category="5411",
            country="840",
            entry_mode="01",
            condition="00",
            expiry="",
            pin_present=False,
            cvv_kind=CvvKind.NONE,
            hold_days=7,
            hold_class="card absent",
        )
        return msgspec.structs.replace(request, **changes)

    return make


@pytest.fixture
def reversal() -> Callable[..., Reversal]:
    """Makes the full reversal of the purchase with the same STAN."""

    def make(stan: str = "000001", token: str = "card", **changes: object) -> Reversal:
        request = Reversal(
            network="visa-like",
            mti="0420",
            key=f"04|{token}|{stan}",
            content="000000|1000|840",
            match_keys=(f"2|{token}|{stan}",),
            card=token,
            pan_masked="400000******7899",
            processing_code="000000",
            amount=Money(1000, "840"),
            transmitted="1118120001",
            stan=stan,
            rrn=f"rrn{stan}",
            acquirer="432109",
            direction=Direction.DEBIT,
            total=None,
            of_late_answer=False,
            original=Original.AUTHORIZATION,
        )
        return msgspec.structs.replace(request, **changes)

    return make


@pytest.fixture
def advice() -> Callable[..., Advice]:
    """Makes the stand-in approval of the purchase with the same STAN."""

    def make(stan: str = "000001", minor: int = 1000, token: str = "card", **changes: object) -> Advice:
        financial = bool(changes.get("financial"))
        request = Advice(
            network="visa-like",
            mti="0220" if financial else "0120",
            key=f"{'02' if financial else '012'}|{token}|{stan}",
            content=f"000000|{minor}|840",
            match_keys=(f"2|{token}|{stan}",),
            card=token,
            pan_masked="400000******7899",
            processing_code="000000",
            amount=Money(minor, "840"),
            transmitted="1118120002",
            stan=stan,
            rrn=f"rrn{stan}",
            acquirer="432109",
            direction=Direction.DEBIT,
            known_by=(f"2|{token}|{stan}",),
            known_type=True,
            financial=financial,
            approved=True,
            auth_code="STIP01",
            reason="9020",
            hold_days=7,
            hold_class="card absent",
        )
        return msgspec.structs.replace(request, **changes)

    return make
