"""Log lines: one a transaction at most, bounded, and free of anything sensitive."""

import io
import json
import random
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.services import log as log_module
from processor.services.log import Log
from processor.services.second_net import luhn_fits, second_net, withheld
from processor.values.money import Money
from processor.values.outcome import Outcome, Reply, Verdict
from processor.values.reasons import Reason
from processor.values.requests import Authorization, CvvKind, Direction
from processor.values.sensitive import Pan
from simulators.cards import luhn_digit

PAN = "4000001234567899"
REQUEST = Authorization(
    network="visa-like", mti="0100", key="k", content="c", match_keys=(), card="token",
    pan_masked="400000******7899", processing_code="000000", amount=Money(123456, "840"), transmitted="",
    stan="000042", rrn="632510000042", acquirer="1", direction=Direction.DEBIT, single_message=False,
    transaction_amount=Money(123456, "840"), terminal="", merchant="", merchant_category="", country="",
    entry_mode="01", condition="00", expiry="", pin_present=False, cvv_kind=CvvKind.NONE, hold_days=7,
    hold_class="",
)  # fmt: skip
DECLINED = Outcome(
    7, Reply(Reason.INSUFFICIENT_FUNDS),
    verdicts=(Verdict("card_known", None), Verdict("funds", Reason.INSUFFICIENT_FUNDS, (1,))),
)  # fmt: skip
APPROVED = Outcome(8, Reply(Reason.APPROVED))


class StillClock:
    """Time as the test sets it."""

    now_s = 100.0

    def wall_ms(self) -> int:
        return 1_795_000_000_000

    def monotonic_s(self) -> float:
        return self.now_s


class Paper:
    """A log and what it wrote."""

    def __init__(self, **settings: Any) -> None:
        self.clock, self.out = StillClock(), io.StringIO()
        self.log = Log(self.clock, "json", self.out, **settings)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.getvalue().splitlines()]

    def declined(self) -> None:
        self.log.transaction(REQUEST, DECLINED, "51", 0.00321)

    def approved(self) -> None:
        self.log.transaction(REQUEST, APPROVED, "00", 0.002)


@pytest.fixture
def paper() -> Paper:
    return Paper(approvals_one_in=10, lines_per_s=3)


def test_a_decline_says_what_was_asked_what_was_answered_and_which_rule_decided(paper):
    paper.declined()

    assert paper.lines() == [
        {
            "event": "declined", "level": "info", "timestamp": "2026-11-18T11:06:40.000Z",
            "network": "visa-like", "mti": "0100", "stan": "000042", "rrn": "632510000042",
            "pan": "400000******7899", "amount": "1234.56 840", "reason": "insufficient_funds", "code": "51",
            "rule": "funds", "latency_ms": 3.21, "record": 7,
        }
    ]  # fmt: skip


def test_one_approval_in_so_many_gets_a_line(paper):
    for _ in range(25):
        paper.approved()

    assert [line["event"] for line in paper.lines()] == ["approved", "approved"]


@pytest.mark.parametrize(("one_in", "lines"), [pytest.param(0, 0, id="none"), pytest.param(1, 3, id="each")])
def test_approvals_may_all_be_told_or_none(one_in, lines):
    paper = Paper(approvals_one_in=one_in)
    for _ in range(3):
        paper.approved()

    assert len(paper.lines()) == lines


def test_an_approval_that_somebody_should_look_at_is_always_told(paper):
    paper.log.transaction(REQUEST, msgspec.structs.replace(APPROVED, alerts=("suspense",)), "00", 0.002)

    assert [(line["level"], line["alert"]) for line in paper.lines()] == [("warning", "suspense")]


def test_alerts_are_told_however_many_other_lines_there_are():
    paper = Paper(approvals_one_in=1, lines_per_s=3)
    for _ in range(10):
        paper.declined()
        paper.approved()
    paper.log.transaction(REQUEST, msgspec.structs.replace(APPROVED, alerts=("suspense",)), "00", 0.002)

    assert paper.lines()[-1]["alert"] == "suspense"
    assert "left_out" not in paper.lines()[-1], "what is missing are no alerts"


def test_refusals_have_a_budget_and_the_next_line_says_how_many_are_missing(paper):
    for _ in range(10):
        paper.declined()
    paper.log.refused(element=2, rule="odd length")
    paper.clock.now_s += 1
    paper.declined()
    paper.declined()

    assert [line.get("left_out") for line in paper.lines()] == [None, None, None, 8, None]
    assert paper.log.left_out.children["budget",] == 8


def test_refusals_do_not_use_up_the_samples_of_approvals():
    paper = Paper(approvals_one_in=1, lines_per_s=2)
    for _ in range(5):
        paper.declined()
    paper.approved()

    assert [line["event"] for line in paper.lines()] == ["declined", "declined", "approved"]


def test_a_warning_that_repeats_within_a_second_is_left_out_and_counted(paper):
    for _ in range(5):
        paper.log.warning("link ended", reason="broken")
    paper.log.warning("link ended", reason="idle")
    paper.clock.now_s += 1
    paper.log.warning("link ended", reason="broken")

    assert [(line["reason"], line.get("left_out")) for line in paper.lines()] == [
        ("broken", None), ("idle", None), ("broken", 4),
    ]  # fmt: skip
    assert paper.log.left_out.children["repeated",] == 4


def test_warnings_of_ever_new_kinds_do_not_fill_the_memory(paper):
    for number in range(3 * log_module.KINDS_MAX):
        paper.log.warning("odd", reason=str(number))

    assert len(paper.log._last_s) <= log_module.KINDS_MAX


class Stuck:
    """A reader of stderr who has stopped reading."""

    def __init__(self) -> None:
        self.reads = threading.Event()
        self.written: list[str] = []

    def write(self, text: str) -> None:
        self.reads.wait(10)
        self.written.append(text)

    def flush(self) -> None:
        pass


def test_a_reader_who_stalls_costs_lines_and_no_waiting(monkeypatch):
    stuck = Stuck()
    monkeypatch.setattr(log_module.sys, "stderr", stuck)
    log = Log(StillClock(), "json")
    for number in range(3 * log_module.LINES_WAITING_MAX):
        log.info("hello", number=number)
    dropped = log.dropped
    stuck.reads.set()
    log.close()

    assert log_module.LINES_WAITING_MAX <= dropped < 3 * log_module.LINES_WAITING_MAX
    assert json.loads(stuck.written[0])["number"] == 0


def test_a_reader_who_has_gone_ends_nothing(monkeypatch):
    class Gone(Stuck):
        def write(self, text: str) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(log_module.sys, "stderr", Gone())
    log = Log(StillClock(), "console")
    log.info("hello")
    log.info("again")
    log.close()

    assert not log._printer._thread.is_alive()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(PAN, id="a card number"),
        pytest.param(f"card {PAN}, please", id="one in a sentence"),
        pytest.param(f"x{PAN}y", id="one between letters"),
        pytest.param("4000 0012 3456 7899", id="one in groups"),
        pytest.param("4000-0012-3456-7899", id="one with dashes"),
        pytest.param(f"{PAN}=29122010000012345678", id="track 2"),
        pytest.param(f"{PAN}D29122010000012345678F", id="track 2 as hexadecimal"),
        pytest.param(f"%B{PAN}^CARDHOLDER/TEST^29122010000012345678?", id="track 1"),
        pytest.param("400000123456=2912201", id="track 2 of a card number too short to be caught alone"),
        pytest.param("%B400000123456^CARDHOLDER/TEST^2912201?", id="and track 1"),
        pytest.param(f"02{PAN}000000000000001000", id="one in a row of digits"),
        pytest.param(f"0100{PAN}", id="a row of twenty digits"),
        pytest.param("٤٠٠٠٠٠١٢٣٤٥٦٧٨٩٩", id="digits of another script"),
    ],
)
def test_the_second_net_catches(text):
    caught = withheld(text)

    assert PAN not in caught
    assert "567899" not in caught
    assert "4567899" not in "".join(filter(str.isdigit, caught))
    assert "withheld" in caught


@given(
    prefix=st.text(max_size=5),
    digits=st.integers(0, 10**18 - 1),
    length=st.integers(12, 18),
    end=st.text(max_size=5),
)
def test_no_card_number_passes_wherever_it_stands(prefix, digits, length, end):
    number = str(digits)[:length].rjust(length, "4")
    pan = number + luhn_digit(number)

    assert pan not in withheld(prefix + pan + end)


@given(rrn=st.integers(0, 10**12 - 1), stan=st.integers(0, 10**6 - 1))
def test_rrn_and_stan_survive(rrn, stan):
    event = {"rrn": f"{rrn:012}", "stan": f"{stan:06}", "record": rrn, "event": "declined"}

    assert second_net(None, "info", dict(event)) == event


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("2026-11-21T10:15:30.123Z", id="a moment"),
        pytest.param("127.0.0.1:40404", id="an address"),
        pytest.param("/var/lib/standin/journal/00000001.seg", id="a file"),
        pytest.param("400000******7899", id="a masked card number"),
        pytest.param("4000001234567890", id="sixteen digits that are no card number"),
    ],
)
def test_the_second_net_lets_pass(text):
    assert withheld(text) == text


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(Pan(PAN), id="a value of a type of its own"),
        pytest.param(PAN.encode(), id="bytes"),
        pytest.param([PAN], id="a list"),
        pytest.param({"pan": PAN}, id="a mapping"),
        pytest.param(int(PAN), id="a number"),
        pytest.param("9" * 5000 + PAN, id="an endless text"),
    ],
)
def test_what_is_no_plain_value_is_withheld(value, paper):
    paper.log.info("odd", value=value)

    assert "withheld" in paper.lines()[0]["value"]
    assert PAN not in paper.out.getvalue()


def test_a_net_that_tears_lets_nothing_through(paper):
    class Torn(str):
        __slots__ = ()

        def __len__(self) -> int:
            raise RuntimeError(PAN)

    paper.log.info("odd", value=Torn(PAN))

    assert paper.lines()[0]["event"] == "line withheld"
    assert PAN not in paper.out.getvalue()


def test_canaries_of_all_lengths_never_reach_the_paper():
    """Three thousand card numbers in all kinds of fields."""
    draw, paper = random.Random(8583), Paper(lines_per_s=1_000_000)
    shapes: list[Callable[[str], str]] = [
        str, lambda p: f"DE 2 {p}", lambda p: f"{p}=2912201123", lambda p: f"({p})", " ".join,
    ]  # fmt: skip
    canaries = []
    for number in range(3_000):
        digits = f"{draw.randrange(10 ** draw.randrange(11, 18)):012}"
        canaries.append(digits + luhn_digit(digits))
        paper.log.info("canary", number=number, value=shapes[number % 5](canaries[-1]))
    written = paper.out.getvalue().replace(" ", "")

    assert all(luhn_fits(canary) for canary in canaries)
    assert [canary for canary in canaries if canary in written] == []
