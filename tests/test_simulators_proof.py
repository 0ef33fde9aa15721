"""The demo's proof: three books that must agree, and what the report makes of figures."""

from typing import Any

import pytest

from simulators.proof import compare
from simulators.report import Latency, Report, progress_line, summary_lines

LAST_WORD = {"sequence": 9, "digest": "ab" * 32, "holds_open": 2, "held_minor": {"840": 700}}
BOOK = {
    **LAST_WORD, "balanced": True, "violations": [], "transactions": 5, "ledger_sum_minor": {"840": 0},
    "cleared_minor": {"840": -50},
}  # fmt: skip
QUIET = {"clean": True, "sent": 7, "unanswered": 0, "mismatches": {}}
SWITCH = QUIET | {"open_holds": 1, "open_minor": 500, "posted_minor": 150}
OTHER_SWITCH = QUIET | {"open_holds": 1, "open_minor": 200, "posted_minor": -200}


def test_books_that_agree() -> None:
    findings = compare(LAST_WORD, BOOK, {"one": SWITCH, "other": OTHER_SWITCH})
    assert [finding.holds for finding in findings] == [True] * 6


@pytest.mark.parametrize(
    ("last_word", "book", "switch", "failed"),
    [
        pytest.param({}, {}, {"clean": False}, 0, id="a reply that was not as it must be"),
        pytest.param({}, {}, {"sent": 0}, 0, id="no traffic at all"),
        pytest.param({}, {"balanced": False}, {}, 2, id="books that do not balance"),
        pytest.param({}, {"violations": ["a hold without a transaction"]}, {}, 2, id="a violation"),
        pytest.param({}, {"ledger_sum_minor": {"840": 0, "978": 1}}, {}, 2, id="money from nowhere"),
        pytest.param({"digest": "cd" * 32}, {}, {}, 3, id="another digest"),
        pytest.param({"sequence": 10}, {}, {}, 3, id="a record that is not in the journal"),
        pytest.param({"held_minor": {"840": 701}}, {}, {}, 3, id="another sum held"),
        pytest.param({"holds_open": 3}, {}, {}, 3, id="another number of holds"),
        pytest.param({}, {}, {"open_minor": 499}, 4, id="a cent that the switch does not know of"),
        pytest.param({}, {}, {"open_holds": 0}, 4, id="a hold that the switch does not know of"),
        pytest.param({}, {}, {"posted_minor": 151}, 5, id="a cent that was posted once too often"),
        pytest.param({}, {"cleared_minor": {}}, {}, 5, id="nothing posted in the books"),
    ],
)
def test_a_difference_fails_its_comparison(
    last_word: dict[str, Any], book: dict[str, Any], switch: dict[str, Any], failed: int
) -> None:
    switches = {"one": SWITCH | switch, "other": OTHER_SWITCH}
    findings = compare(LAST_WORD | last_word, BOOK | book, switches)
    assert [number for number, finding in enumerate(findings) if not finding.holds] == [failed]


def test_no_holds_are_holds_of_nothing() -> None:
    nothing: dict[str, Any] = {"holds_open": 0, "held_minor": {}}
    none = {"open_holds": 0, "open_minor": 0, "posted_minor": 0}
    findings = compare(LAST_WORD | nothing, BOOK | nothing | {"cleared_minor": {}}, {"one": SWITCH | none})
    assert all(finding.holds for finding in findings)


def test_percentiles_are_in_microseconds_and_out_of_range_is_kept() -> None:
    latency = Latency()
    for milliseconds in range(1, 101):
        latency.record(milliseconds / 1000)
    latency.record(-1.0)
    latency.record(10_000.0)
    figures = latency.figures()
    assert figures["p50_us"] == pytest.approx(50_000, rel=0.02)
    assert figures["max_us"] == pytest.approx(60_000_000, rel=0.001)
    assert Latency().figures() == {"p50_us": 0, "p99_us": 0, "p99_9_us": 0, "max_us": 0}


def test_progress_is_of_the_last_second_and_the_summary_of_the_run() -> None:
    report = Report("open loop at 2/s", 100.0)
    report.note_sent("0100", 0.001)
    report.note_answer("0100", "00", 0.010)
    first = report.progress(101.0)
    report.note_sent("0420", 0.001)
    report.note_answer("0420", "00", 0.030)
    second = report.progress(102.0)
    report.ended_s = 102.0
    summary = report.summary({"open_holds": 1, "open_minor": 123_456, "posted_minor": -5})
    assert (first["p99_us"], second["p99_us"]) == pytest.approx((10_000, 30_000), rel=0.01)
    assert (first["rate"], second["rate"], summary["rate"]) == (1, 1, 1.0)
    assert summary["answers"] == {"00": 1}, "a reversal's answer is no approval"
    assert summary["messages"] == {"0100": 1, "0420": 1}
    assert "1 holds of USD 1,234.56, USD -0.05 posted" in "\n".join(summary_lines(summary))
    assert "00 1 " in progress_line(first)


@pytest.mark.parametrize("spoil", ["mismatch", "unanswered", "link"])
def test_a_run_is_clean_until_something_differs(spoil: str) -> None:
    report = Report("closed loop, 1 in flight", 0.0)
    assert report.is_clean
    if spoil == "mismatch":
        report.note_mismatch("DE 39", "…")
    elif spoil == "unanswered":
        report.unanswered = 1
    else:
        report.link = "closed by the issuer"
    assert not report.is_clean
    assert not report.summary({})["clean"]
