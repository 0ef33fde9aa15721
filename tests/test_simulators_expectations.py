"""What the switch takes for right, and what it notices."""

import itertools
from collections.abc import Callable
from typing import TypeAlias

import pytest

from processor.iso8583.header import BASE1, Base1Header
from processor.iso8583.message import Message
from simulators.expectations import Judge, form_faults
from simulators.question import Answer, Fault, Question

PAN = "4000001234567899"
OK = Answer("00", "A1B2C3")
_stans = itertools.count(1)


def purchase(amount_minor: int = 1_000, fault: Fault = Fault.NONE, *, pin: bool = False) -> Question:
    stan = f"{next(_stans):06}"
    elements = {
        2: PAN, 3: "000000", 4: f"{amount_minor:012}", 7: "1121101530", 11: stan, 22: "9010",
        32: "400001", 37: f"632510{stan}", 41: "TERM0001", 42: "MERCHANT0000001", 49: "840",
    }  # fmt: skip
    elements |= {52: "0123456789ABCDEF"} if pin or fault is Fault.WRONG_PIN else {}
    header = Base1Header("400001", "123456", round_trip=7).pack()
    return Question(Message(header, "0100", elements), amount_minor=amount_minor, fault=fault)


def reversal(original: Question) -> Question:
    elements = dict(original.message.elements) | {11: f"{next(_stans):06}", 90: "0" * 42}
    elements.pop(52, None)
    return Question(Message(original.message.header, "0420", elements), original=original)


def reversed_first() -> Question:
    question = purchase()
    question.reversed_first = True
    return question


# A story: questions in the order they leave, each with the response code it gets; the last one is judged.
Story: TypeAlias = list[tuple[Question, str]]


def judged(story: Story, balance_minor: int = 10_000, *, fresh: bool = True) -> list[str]:
    """The kinds of mismatch of the story's last answer; none of those before it may be one."""
    judge = Judge({PAN: balance_minor}, fresh=fresh)
    found: list[str] = []
    for question, code in story:
        assert not found
        judge.sent(question)
        answer = Answer(code, "A1B2C3" if code == "00" and question.original is None else "")
        found = [mismatch.kind for mismatch in judge.answered(question, answer)]
    return found


def wrong_pins(count: int) -> Story:
    return [(purchase(fault=Fault.WRONG_PIN), "55") for _ in range(count)]


@pytest.mark.parametrize(
    "story",
    [
        pytest.param([(purchase(10_000), "00")], id="the last cent may be spent"),
        pytest.param([(purchase(10_001), "51")], id="more than there is is refused"),
        pytest.param([(purchase(6_000), "00"), (purchase(6_000), "51")], id="a hold counts as spent"),
        pytest.param([(p := purchase(6_000), "00"), (reversal(p), "00"), (purchase(10_000), "00")],
                     id="a reversal gives it back"),
        pytest.param([(p := purchase(20_000), "51"), (reversal(p), "00"), (purchase(10_001), "51")],
                     id="reversing a refusal gives nothing back"),
        pytest.param([(purchase(fault=Fault.WRONG_CVV), "82")], id="a wrong CVV"),
        pytest.param([(purchase(fault=Fault.WRONG_CVV2), "N7")], id="a wrong CVV2"),
        pytest.param([(purchase(10_001, Fault.WRONG_CVV), "51")], id="two faults, either may be told"),
        pytest.param(wrong_pins(1), id="a wrong PIN"),
        pytest.param([*wrong_pins(3), (purchase(fault=Fault.WRONG_PIN), "75")], id="the tries are used up"),
        pytest.param([*wrong_pins(3), (purchase(pin=True), "75")], id="then the right PIN is too late"),
        pytest.param([*wrong_pins(1), (purchase(pin=True), "00")], id="a right PIN in time"),
        pytest.param([(reversed_first(), "12")], id="a purchase whose reversal came first"),
        pytest.param([(purchase(), "N0")], id="the issuer may be overloaded"),
        pytest.param([(purchase(fault=Fault.WRONG_CVV), "91")], id="the issuer may be unable to verify"),
    ],
)  # fmt: skip
def test_right_answers(story: Story) -> None:
    assert judged(story) == []


@pytest.mark.parametrize(
    "story",
    [
        pytest.param([(purchase(10_001), "00")], id="more than there is"),
        pytest.param([(purchase(6_000), "00"), (purchase(6_000), "00")], id="the same money twice"),
        pytest.param([(purchase(10_000), "51")], id="refused although there are funds"),
        pytest.param([(p := purchase(6_000), "00"), (reversal(p), "00"), (purchase(6_000), "51")],
                     id="a reversal that gave nothing back"),
        pytest.param([(purchase(), "05")], id="refused for no reason"),
        pytest.param([(purchase(), "")], id="no response code"),
        pytest.param([(purchase(fault=Fault.WRONG_CVV), "00")], id="a wrong CVV approved"),
        pytest.param([(purchase(fault=Fault.WRONG_CVV2), "82")], id="a wrong CVV2 told as a wrong CVV"),
        pytest.param([(purchase(fault=Fault.WRONG_PIN), "00")], id="a wrong PIN approved"),
        pytest.param([(purchase(pin=True), "55")], id="a right PIN called wrong"),
        pytest.param([(purchase(pin=True), "75")], id="no tries left although none was spent"),
        pytest.param([*wrong_pins(3), (purchase(pin=True), "75"), (purchase(pin=True), "00")],
                     id="tries that came back by themselves"),
        pytest.param([*wrong_pins(3), (purchase(pin=True), "75"), (purchase(fault=Fault.WRONG_PIN), "55")],
                     id="a PIN looked at after the tries were used up"),
        pytest.param([(reversed_first(), "00")], id="approved although its reversal came first"),
        pytest.param([(p := purchase(), "00"), (reversal(p), "12")], id="a reversal that is refused"),
    ],
)  # fmt: skip
def test_wrong_answers(story: Story) -> None:
    assert judged(story) == ["DE 39"]


def test_a_used_deck_may_be_poorer_but_never_richer() -> None:
    assert judged([(purchase(1), "51")], fresh=False) == []
    assert judged([(purchase(pin=True), "75")], fresh=False) == []
    assert judged([(purchase(10_001), "00")], fresh=False) == ["DE 39"]


def test_answers_are_judged_in_the_order_the_questions_left() -> None:
    judge = Judge({PAN: 10_000}, fresh=True)
    first, second = purchase(6_000), purchase(6_000)
    judge.sent(first)
    judge.sent(second)
    assert judge.answered(second, Answer("51", "")) == []
    assert judge.answered(first, OK) == []
    assert (judge.open_holds, judge.open_minor) == (1, 6_000)


def test_a_question_that_stays_out_does_not_hold_up_the_others() -> None:
    judge = Judge({PAN: 10_000}, fresh=True)
    first, second = purchase(6_000), purchase(6_000)
    judge.sent(first)
    judge.sent(second)
    assert judge.answered(second, OK) == []
    assert judge.open_holds == 0
    assert judge.given_up(first) == []
    assert judge.open_minor == 6_000


def test_the_ledger_counts_each_approval_once_until_it_is_reversed() -> None:
    judge = Judge({PAN: 10_000}, fresh=True)
    bought = purchase(2_500)
    judge.sent(bought)
    judge.answered(bought, OK)
    judge.answered(bought, OK)
    assert (judge.open_holds, judge.open_minor) == (1, 2_500)
    back = reversal(bought)
    judge.sent(back)
    judge.answered(back, Answer("00", ""))
    judge.answered(back, Answer("00", ""))
    assert (judge.open_holds, judge.open_minor) == (0, 0)


@pytest.mark.parametrize(
    ("first", "again", "kinds"),
    [
        pytest.param(OK, OK, [], id="the same answer"),
        pytest.param(OK, Answer("00", "ZZZZZ9"), ["repeat"], id="another DE 38"),
        pytest.param(OK, Answer("51", ""), ["repeat"], id="another DE 39"),
        pytest.param(Answer("51", ""), OK, ["DE 39", "repeat"], id="approved at the second try"),
        pytest.param(Answer("N0", ""), OK, [], id="decided after it was shed"),
        pytest.param(OK, Answer("N0", ""), ["repeat"], id="shed after it was decided"),
    ],
)
def test_a_repeat_gets_the_first_answer(first: Answer, again: Answer, kinds: list[str]) -> None:
    judge, question = Judge({PAN: 10_000}, fresh=True), purchase()
    judge.sent(question)
    found = judge.answered(question, first) + judge.answered(question, again)
    assert [mismatch.kind for mismatch in found] == kinds
    assert all(PAN not in mismatch.words for mismatch in found)
    assert judge.open_holds == ("00" in (first.code, again.code) and first.code != "51")


def reply_to(question: Question) -> Message:
    asked = question.message
    elements = {n: v for n, v in asked.elements.items() if n not in (22, 52)} | {38: "A1B2C3", 39: "00"}
    return Message(BASE1.reply(asked.header, 100), "0110", elements)


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        pytest.param(lambda m: m, [], id="nothing"),
        pytest.param(lambda m: Message(m.header, "0130", m.elements), ["MTI"], id="another message type"),
        pytest.param(lambda m: Message(BASE1.reply(m.header), m.mti, m.elements), ["header"],
                     id="stations that are not swapped"),
        pytest.param(lambda m: Message(m.header[:11] + b"\x09" + m.header[12:], m.mti, m.elements),
                     ["header"], id="another round trip's header"),
        pytest.param(lambda m: Message(m.header, m.mti, m.elements | {52: "00"}), ["DE 52 returned"],
                     id="a PIN block that comes back"),
        pytest.param(lambda m: Message(m.header, m.mti, m.elements | {35: "00"}), ["DE 35 returned"],
                     id="a track that comes back"),
        *(
            pytest.param(lambda m, code=code: Message(m.header, m.mti, m.elements | {38: code}), ["DE 38"],
                         id=f"DE 38 {code!r}")
            for code in ("000000", "A1B2C", "A1B2C ", "a1b2c3", "      ")
        ),
        pytest.param(lambda m: Message(m.header, m.mti, m.elements | {39: "51"}), ["DE 38"],
                     id="DE 38 on a refusal"),
    ],
)  # fmt: skip
def test_the_form_of_a_reply(change: Callable[[Message], Message], faults: list[str]) -> None:
    question = purchase()
    assert form_faults(question.message, "0100", change(reply_to(question))) == faults


@pytest.mark.parametrize("number", [2, 3, 4, 7, 11, 32, 37, 41, 42, 49])
def test_what_is_echoed_is_unchanged(number: int) -> None:
    question = purchase()
    for change in ({number: "1"}, None):
        reply = reply_to(question)
        reply.elements.update(change or {})
        if change is None:
            del reply.elements[number]
        assert form_faults(question.message, "0100", reply) == [f"echo of DE {number}"]


def test_an_approval_needs_its_de_38() -> None:
    question = purchase()
    reply = reply_to(question)
    del reply.elements[38]
    assert form_faults(question.message, "0101", reply) == ["DE 38"]
