"""What a replay found: counted in groups, the first divergence first, masked, as text, object and page."""

import json
import re

import msgspec
import pytest

from processor.iso8583.message import Message
from processor.networks.adapters import DIALECTS
from processor.replay.compare import EXACTLY, FieldRules
from processor.replay.report import Run, as_object, page, text
from processor.replay.tally import GROUPS_MAX, Exchange, Kind, Tally
from processor.values.outcome import Verdict
from processor.values.reasons import Reason

PAN, TRACK, BLOCK = "4000001234567899", "4000001234567899D40122011123400001230", "1234567890ABCDEF"
RUN = Run("trace.jsonl", "frozen, in process", "other.toml", 2.0)
REFUSED = Verdict("amount_limit", Reason.AMOUNT_LIMIT, (2600, 1000))
PASSED = Verdict("amount_limit", None, (2600, 2000))


def new_tally(examples_max: int = 2) -> Tally:
    return Tally({"visa-like": FieldRules(EXACTLY)}, {"visa-like": DIALECTS["visa-like"]}, examples_max)


def exchange(number: int, old: dict[int, str] | None, new: dict[int, str] | None, **more) -> Exchange:
    asked = Message(bytes(22), more.pop("mti", "0100"), {2: PAN, 11: f"{number:06}", 35: TRACK, 52: BLOCK})
    echo = {2: PAN, 11: f"{number:06}"}
    replies = [
        None if elements is None else Message(bytes(22), "0110", echo | elements) for elements in (old, new)
    ]
    return Exchange(number, number + 10, "visa-like", asked, *replies, **more)


APPROVED, DECLINED = {38: "ABC123", 39: "00"}, {39: "51"}


def report_of(tally: Tally, run: Run = RUN) -> dict:
    return as_object(run, tally)


def test_what_is_alike_is_one_group_and_the_largest_comes_first():
    tally = new_tally()
    for number in range(1, 6):
        tally.replied(exchange(number, APPROVED, DECLINED, mti="0200" if number == 5 else "0100"))
    tally.replied(exchange(6, {39: "51"}, {39: "05"}))
    tally.replied(exchange(7, APPROVED, APPROVED))
    report = report_of(tally)
    assert [(group["label"], group["count"]) for group in report["groups"]] == [
        ("DE39 00→51", 5),
        ("DE39 51→05", 1),
    ]
    assert report["groups"][0]["also"] == {"DE38 given→absent": 5}
    assert report["groups"][0]["mtis"] == {"0100": 4, "0200": 1}
    assert (report["compared"], report["same"], report["findings"]) == (7, 1, {"different": 6})


def test_the_text_says_how_often_each_difference_was_found():
    tally = new_tally()
    for number in range(1, 215):
        tally.replied(exchange(number, APPROVED, DECLINED))
    assert any("DE39 00→51 \N{MULTIPLICATION SIGN} 214" in line for line in text(report_of(tally)))


def test_the_first_divergence_is_that_of_the_smallest_frame_whenever_it_was_found():
    tally = new_tally(examples_max=1)
    for number in (9, 8, 3, 5):
        tally.replied(exchange(number, APPROVED, DECLINED))
    report = report_of(tally)
    assert report["first"]["number"] == 3
    assert [example["number"] for example in report["groups"][0]["examples"]] == [9]


def test_examples_are_kept_up_to_the_number_asked_for():
    tally = new_tally(examples_max=2)
    for number in range(1, 100):
        tally.replied(exchange(number, APPROVED, DECLINED))
    assert len(report_of(tally)["groups"][0]["examples"]) == 2


def test_groups_are_bounded():
    tally = new_tally(examples_max=1)
    for number in range(GROUPS_MAX + 50):
        tally.replied(
            exchange(number, {39: f"{number % 100:02}"}, {39: f"{number // 100:02}{number % 100:02}"[:3]})
        )
    groups = report_of(tally)["groups"]
    assert len(groups) <= GROUPS_MAX + 1
    assert sum(group["count"] for group in groups) == tally.findings


FINDINGS = {
    "no reply where one was recorded": (APPROVED, None, {"no reply": 1}),
    "a reply where none was recorded": (None, APPROVED, {"reply where none was recorded": 1}),
    "no reply as recorded": (None, None, {}),
}


@pytest.mark.parametrize("case", FINDINGS)
def test_a_reply_that_is_missing_or_too_much_is_a_finding(case):
    was, now, expected = FINDINGS[case]
    tally = new_tally()
    tally.replied(exchange(1, was, now))
    assert report_of(tally)["findings"] == expected


def test_a_late_reply_is_a_late_reply_and_its_differences_are_told():
    tally = new_tally()
    tally.wrong(Kind.LATE, exchange(1, APPROVED, DECLINED))
    (group,) = report_of(tally)["groups"]
    assert (group["label"], group["also"]) == ("late reply", {"DE39 00→51": 1, "DE38 given→absent": 1})


def test_a_reply_to_nothing_needs_no_question():
    tally = new_tally()
    reply = Message(bytes(22), "0110", {2: PAN, 39: "00"})
    tally.wrong(Kind.UNMATCHED, Exchange(4, 0, "visa-like", None, None, reply))
    (group,) = report_of(tally)["groups"]
    assert (group["label"], group["mtis"]) == ("reply to nothing that was asked", {"unknown": 1})
    assert "\n".join(text(report_of(tally)))


VERDICTS = {
    "a rule that refuses now": ((), (REFUSED,), "amount_limit refuses now", "now:    amount_limit: refused, amount_limit; saw 2600, 1000"),
    "a rule that passes now": ((REFUSED,), (PASSED,), "amount_limit passes now", "before: amount_limit: refused, amount_limit; saw 2600, 1000"),
    "a rule that is no more": ((REFUSED,), (), "amount_limit is not asked now", "now:    not asked"),
    "one of two of a kind": ((), (REFUSED, PASSED), "amount_limit refuses now", "now:    amount_limit: refused, amount_limit; saw 2600, 1000"),
}  # fmt: skip


@pytest.mark.parametrize("case", VERDICTS)
def test_the_verdicts_that_changed_are_told_in_words(case):
    before, now, rule, words = VERDICTS[case]
    tally = new_tally()
    tally.replied(exchange(1, APPROVED, DECLINED, before=before, now=now))
    report = report_of(tally)
    assert report["groups"][0]["rules"] == {rule: 1}
    assert words in report["first"]["why"]
    assert any(words in line for line in text(report))


def test_verdicts_that_say_the_same_are_not_told():
    tally = new_tally()
    tally.replied(exchange(1, DECLINED, {39: "05"}, before=(REFUSED,), now=(REFUSED,)))
    assert not report_of(tally)["first"]["why"]


def full_report() -> dict:
    tally = new_tally()
    tally.frames = 12_345
    tally.replied(exchange(1, APPROVED, DECLINED, now=(REFUSED,)))
    tally.replied(exchange(2, APPROVED, None, note="<script>alert(1)</script>"))
    tally.wrong(Kind.DUPLICATE, exchange(3, APPROVED, APPROVED))
    return report_of(tally, msgspec.structs.replace(RUN, notes=("a note",), error="the host is gone"))


@pytest.mark.parametrize("form", ["text", "object", "page"])
def test_nothing_sensitive_is_in_any_form(form):
    report = full_report()
    told = {"text": "\n".join(text(report)), "object": json.dumps(report), "page": page(report)}[form]
    assert "400000******7899" in told
    for secret in (PAN, TRACK, BLOCK):
        assert secret not in told


def test_the_page_needs_nothing_else_and_runs_nothing():
    told = page(full_report())
    assert not re.search(r"<script|src=|href=|url\(|@import|https?:", told)
    assert "&lt;script&gt;" in told
    assert told.count("<details") == 3


@pytest.mark.parametrize("form", ["text", "page"])
def test_a_person_is_told_what_ran_what_was_found_and_why_it_ended(form):
    report = full_report()
    told = "\n".join(text(report)) if form == "text" else page(report)
    for words in (
        "trace.jsonl",
        "frozen, in process",
        "other.toml",
        "12,345",
        "DE39 00→51",
        "second reply",
        "a note",
        "the host is gone",
        "amount_limit",
    ):
        assert words in told


def test_a_replay_without_differences_says_so():
    tally = new_tally()
    tally.replied(exchange(1, APPROVED, APPROVED))
    report = report_of(tally)
    assert "No differences" in page(report)
    assert report["first"] is None
    assert report["groups"] == []


def test_answers_are_counted_by_what_was_asked():
    tally = new_tally()
    tally.came(exchange(1, None, APPROVED))
    tally.came(exchange(2, None, DECLINED, mti="0200"))
    report = report_of(tally)
    assert report["answers"] == [
        {"mti": "0100", "code": "00", "count": 1},
        {"mti": "0200", "code": "51", "count": 1},
    ]
    assert report["compared"] == 0
