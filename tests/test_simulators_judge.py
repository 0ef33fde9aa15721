"""What the switch takes for right, and what it notices."""

import itertools
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from processor.iso8583.header import BASE1, Base1Header
from processor.iso8583.message import Message
from simulators.form import form_faults
from simulators.judge import Judge
from simulators.networks.mc_like import McLike
from simulators.networks.visa_like import VisaLike
from simulators.question import Answer, Fault, Kind, Matter, Question
from simulators.slip import Slip
from simulators.ways import Reading

NETWORK = VisaLike()
PAN = "4000001234567899"
STRANGER = "4000009999999993"
OK = Answer("00", "A1B2C3")
_stans = itertools.count(1)


def purchase(
    amount_minor: int = 1_000,
    fault: Fault = Fault.NONE,
    *,
    pin: bool = False,
    posts: bool = False,
    is_credit: bool = False,
    pan: str = PAN,
) -> Question:
    reading = Reading.WEB if fault is Fault.WRONG_CVV2 else Reading.STRIPE
    stan = f"{next(_stans):06}"
    elements = {
        2: pan, 3: "000000", 4: f"{amount_minor:012}", 7: "1121101530", 11: stan, 22: "9010",
        32: "400001", 37: f"632510{stan}", 41: "TERM0001", 42: "MERCHANT0000001", 49: "840",
    }  # fmt: skip
    has_pin = pin or fault is Fault.WRONG_PIN
    elements |= {52: "0123456789ABCDEF"} if has_pin else {}
    header = Base1Header("400001", "123456", round_trip=7).pack()
    matter = Matter(
        Kind.REQUEST, Slip(posts=posts, is_credit=is_credit), amount_minor, is_credit=is_credit, reading=reading,
        has_pin=has_pin, fault=fault,
    )  # fmt: skip
    return Question(Message(header, "0200" if posts else "0100", elements), matter)


def about(original: Question, mti: str, kind: Kind, amount_minor: int = 0, **more: Any) -> Question:
    """A later message about it, or one that comes before it."""
    elements = dict(original.message.elements) | {11: f"{next(_stans):06}", 90: "0" * 42}
    elements.pop(52, None)
    matter = Matter(kind, original.matter.slip, amount_minor, **more)
    return Question(Message(original.message.header, mti, elements), matter)


def reversal(original: Question) -> Question:
    return about(original, "0420", Kind.REVERSAL)


def reduction(original: Question, total_minor: int) -> Question:
    return about(original, "0420", Kind.REVERSAL, total_minor=total_minor)


def late(original: Question) -> Question:
    return about(original, "0420", Kind.REVERSAL, of_late_answer=True)


def stand_in(original: Question, amount_minor: int) -> Question:
    return about(original, "0120", Kind.STAND_IN, amount_minor)


def refused(original: Question) -> Question:
    return about(original, "0120", Kind.STAND_IN, 1_000, approved=False)


def posting(original: Question, amount_minor: int) -> Question:
    return about(original, "0220", Kind.POSTING, amount_minor)


# A story: questions in the order they leave, each with the response code it gets; the last one is judged.
Story: TypeAlias = list[tuple[Question, str]]


def judged(story: Story, balance_minor: int = 10_000, *, fresh: bool = True) -> list[str]:
    """The kinds of mismatch of the story's last answer; none of those before it may be one."""
    judge = Judge(NETWORK, {PAN: balance_minor}, fresh=fresh)
    found: list[str] = []
    for question, code in story:
        assert not found
        judge.sent(question)
        is_request = question.matter.kind is Kind.REQUEST
        answer = Answer(code, "A1B2C3" if code == "00" and is_request else "")
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
        pytest.param([(reversal(p := purchase()), "00"), (p, "12")], id="a purchase whose reversal came first"),
        pytest.param([(late(p := purchase()), "00"), (p, "12")], id="a purchase that was taken back before"),
        pytest.param([(purchase(20_000, posts=True, is_credit=True), "00"), (purchase(30_000), "00")],
                     id="a refund that is posted at once can be spent"),
        pytest.param([(purchase(20_000, is_credit=True), "00"), (purchase(10_001), "51")],
                     id="a refund that is not posted cannot"),
        pytest.param([(stand_in(p := purchase(6_000), 6_000), "00"), (p, "00")],
                     id="a late original that the network approved before"),
        pytest.param([(stand_in(p := purchase(6_000), 6_000), "00"), (p, "51")],
                     id="or that can be paid only once"),
        pytest.param([(reduction(purchase(), 1), "00")], id="a part of something not seen yet"),
        pytest.param([(p := purchase(20_000), "51"), (reduction(p, 1), "13")], id="a part of a refusal"),
        pytest.param([(p := purchase(500), "00"), (reduction(p, 501), "13")], id="a part above the whole"),
        pytest.param([(p := purchase(500), "00"), (reduction(p, 500), "00")], id="a part that is the whole"),
        pytest.param([(posting(purchase(), 99_999), "00"), (purchase(1), "51")],
                     id="what is posted by force counts, even below zero"),
        pytest.param([(purchase(pan=STRANGER), "14")], id="a card that nobody knows"),
        pytest.param([(posting(purchase(pan=STRANGER), 500), "00")], id="a posting for such a card"),
        pytest.param([(purchase(fault=Fault.CHANGED), "94")], id="a key with another amount"),
        pytest.param([(purchase(fault=Fault.OTHER_TRACK), "30")], id="another card's track"),
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
        pytest.param([(reversal(p := purchase()), "00"), (p, "00")],
                     id="approved although its reversal came first"),
        pytest.param([(late(p := purchase()), "00"), (p, "00")], id="approved although it was taken back"),
        pytest.param([(purchase(pan=STRANGER), "00")], id="an unknown card approved"),
        pytest.param([(purchase(fault=Fault.CHANGED), "00")], id="a key with another amount approved"),
        pytest.param([(posting(purchase(), 1), "51")], id="a posting refused"),
        pytest.param([(stand_in(purchase(), 1), "N0")], id="an advice shed"),
        pytest.param([(p := purchase(500), "00"), (reduction(p, 501), "00")],
                     id="a part above the whole accepted"),
        pytest.param([(stand_in(p := purchase(9_000), 9_000), "00"), (purchase(1_001), "00")],
                     id="what the network holds spent again"),
        pytest.param([*wrong_pins(3), (purchase(fault=Fault.WRONG_PIN), "55")], id="a fourth try"),
        pytest.param([(p := purchase(), "00"), (reversal(p), "12")], id="a reversal that is refused"),
    ],
)  # fmt: skip
def test_wrong_answers(story: Story) -> None:
    assert judged(story) == ["DE 39"]


def test_nothing_is_certain_about_the_funds_and_tries_of_a_used_deck() -> None:
    assert judged([(purchase(1), "51")], fresh=False) == []
    assert judged([(purchase(pin=True), "75")], fresh=False) == []
    assert judged([(purchase(10_001), "00")], fresh=False) == []
    assert judged([(purchase(fault=Fault.WRONG_CVV), "00")], fresh=False) == ["DE 39"]


def test_answers_are_judged_in_the_order_the_questions_left() -> None:
    judge = Judge(NETWORK, {PAN: 10_000}, fresh=True)
    first, second = purchase(6_000), purchase(6_000)
    judge.sent(first)
    judge.sent(second)
    assert judge.answered(second, Answer("51", "")) == []
    assert judge.answered(first, OK) == []
    assert (judge.open_holds, judge.open_minor) == (1, 6_000)


def test_a_question_that_stays_out_does_not_hold_up_the_others() -> None:
    judge = Judge(NETWORK, {PAN: 10_000}, fresh=True)
    first, second = purchase(6_000), purchase(6_000)
    judge.sent(first)
    judge.sent(second)
    assert judge.answered(second, OK) == []
    assert judge.open_holds == 0
    assert judge.given_up(first) == []
    assert judge.open_minor == 6_000


def test_the_ledger_counts_each_approval_once_until_it_is_reversed() -> None:
    judge = Judge(NETWORK, {PAN: 10_000}, fresh=True)
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
    judge, question = Judge(NETWORK, {PAN: 10_000}, fresh=True), purchase()
    judge.sent(question)
    found = judge.answered(question, first) + judge.answered(question, again)
    assert [mismatch.kind for mismatch in found] == kinds
    assert all(PAN not in mismatch.words for mismatch in found)
    assert judge.open_holds == ("00" in (first.code, again.code) and first.code != "51")


# What is held and what is posted after a story; the purchase is of 1,000.
EFFECTS = [
    pytest.param(lambda p: [p], 1_000, 0, id="approved"),
    pytest.param(lambda p: [p, reduction(p, 400)], 400, 0, id="a part is the new total"),
    pytest.param(lambda p: [p, reduction(p, 400), reduction(p, 300)], 300, 0, id="and again"),
    pytest.param(lambda p: [p, reduction(p, 400), reversal(p)], 0, 0, id="then the whole"),
    pytest.param(lambda p: [reduction(p, 400), p], 400, 0, id="also when it was told before"),
    pytest.param(lambda p: [p, posting(p, 700)], 0, 700, id="completed for less: the rest is free"),
    pytest.param(lambda p: [p, posting(p, 1_200)], 0, 1_200, id="completed for more"),
    pytest.param(lambda p: [p, posting(p, 700), reversal(p)], 0, 700, id="a completion is not undone by it"),
    pytest.param(lambda p: [posting(p, 700), p], 0, 700, id="completed before it was asked"),
    pytest.param(lambda p: [p, stand_in(p, 800)], 800, 0, id="the network's amount counts"),
    pytest.param(lambda p: [stand_in(p, 800), p], 800, 0, id="in whatever order"),
    pytest.param(lambda p: [p, refused(p)], 0, 0, id="so does its refusal"),
    pytest.param(lambda p: [refused(p), p], 0, 0, id="also before"),
    pytest.param(lambda p: [p, late(p)], 0, 0, id="our late answer is void"),
    pytest.param(lambda p: [p, late(p), stand_in(p, 800)], 800, 0, id="but the network's decision holds"),
    pytest.param(lambda p: [p, stand_in(p, 800), late(p)], 800, 0, id="in this order as well"),
    pytest.param(lambda p: [p, stand_in(p, 800), reversal(p)], 0, 0, id="until the acquirer reverses it"),
    pytest.param(lambda p: [reversal(p), stand_in(p, 800)], 0, 0, id="even before it was told"),
    pytest.param(lambda p: [p, stand_in(p, 800), posting(p, 800)], 0, 800, id="stood in for, then completed"),
]
EFFECTS_OF_SINGLE = [
    pytest.param(lambda p: [p], 0, 1_000, id="posted as it is asked"),
    pytest.param(lambda p: [p, reversal(p)], 0, 0, id="given back"),
    pytest.param(lambda p: [p, reversal(p), reversal(p)], 0, 0, id="once"),
    pytest.param(lambda p: [p, reduction(p, 400)], 0, 400, id="a part given back"),
    pytest.param(lambda p: [p, reduction(p, 400), reversal(p)], 0, 0, id="then the rest"),
    pytest.param(lambda p: [p, posting(p, 700)], 0, 700, id="the network's posting replaces ours"),
    pytest.param(lambda p: [p, posting(p, 700), reversal(p)], 0, 0, id="and is given back with it"),
    pytest.param(lambda p: [reversal(p), posting(p, 700)], 0, 0, id="also when it comes after"),
    pytest.param(lambda p: [posting(p, 700), p], 0, 700, id="also when it comes first"),
    pytest.param(lambda p: [p, late(p)], 0, 0, id="our late answer did not happen"),
    pytest.param(lambda p: [p, late(p), posting(p, 700)], 0, 700, id="but the network's posting did"),
    pytest.param(lambda p: [p, posting(p, 700), late(p)], 0, 700, id="in this order as well"),
]
EFFECTS_OF_REFUND = [
    pytest.param(lambda p: [p], 0, -1_000, id="given"),
    pytest.param(lambda p: [p, reversal(p)], 0, 0, id="taken back"),
    pytest.param(lambda p: [p, reduction(p, 300)], 0, -300, id="a part taken back, and nothing held for it"),
]


def books_after(questions: list[Question]) -> dict[str, int]:
    """The books when everything is approved but a request that was reversed before."""
    judge = Judge(NETWORK, {PAN: 10_000}, fresh=True)
    for question in questions:
        slip = question.matter.slip
        assert slip is not None
        too_late = question.matter.kind is Kind.REQUEST and slip.reversed_before
        judge.sent(question)
        assert judge.answered(question, Answer("12" if too_late else "00", "")) == []
    return judge.figures()


@pytest.mark.parametrize(("story", "held", "posted"), EFFECTS)
def test_what_a_story_leaves(story: Callable[[Question], list[Question]], held: int, posted: int) -> None:
    books = books_after(story(purchase()))
    assert books == {"open_holds": bool(held), "open_minor": held, "posted_minor": posted}


@pytest.mark.parametrize(("story", "held", "posted"), EFFECTS_OF_SINGLE)
def test_what_a_single_message_leaves(
    story: Callable[[Question], list[Question]], held: int, posted: int
) -> None:
    books = books_after(story(purchase(posts=True)))
    assert books == {"open_holds": 0, "open_minor": held, "posted_minor": posted}


@pytest.mark.parametrize(("story", "held", "posted"), EFFECTS_OF_REFUND)
def test_what_a_refund_leaves(story: Callable[[Question], list[Question]], held: int, posted: int) -> None:
    books = books_after(story(purchase(posts=True, is_credit=True)))
    assert books == {"open_holds": 0, "open_minor": held, "posted_minor": posted}


def reply_to(question: Question) -> Message:
    asked = question.message
    elements = {n: v for n, v in asked.elements.items() if n not in (22, 52)}
    elements |= {38: "A1B2C3", 39: "00", 44: "    2"}
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
        pytest.param(lambda m: Message(m.header, m.mti, m.elements | {44: "    1"}), ["verification result"],
                     id="a right CVV called wrong"),
        pytest.param(lambda m: Message(m.header, m.mti, {n: v for n, v in m.elements.items() if n != 44}),
                     ["verification result"], id="a CVV without a result"),
    ],
)  # fmt: skip
def test_the_form_of_a_reply(change: Callable[[Message], Message], faults: list[str]) -> None:
    question = purchase()
    assert form_faults(NETWORK, question, change(reply_to(question))) == faults


@pytest.mark.parametrize("number", [2, 3, 4, 7, 11, 32, 37, 41, 42, 49])
def test_what_is_echoed_is_unchanged(number: int) -> None:
    question = purchase()
    for change in ({number: "1"}, None):
        reply = reply_to(question)
        reply.elements.update(change or {})
        if change is None:
            del reply.elements[number]
        assert form_faults(NETWORK, question, reply) == [f"echo of DE {number}"]


def test_an_approval_needs_its_de_38() -> None:
    question = purchase()
    reply = reply_to(question)
    del reply.elements[38]
    assert form_faults(NETWORK, question, reply) == ["DE 38"]


@pytest.mark.parametrize(
    ("reading", "fault", "additional", "fits"),
    [
        pytest.param(Reading.STRIPE, Fault.NONE, "R", True, id="a right CVC 1 has no result"),
        pytest.param(Reading.STRIPE, Fault.WRONG_CVV, "R8701Y", True, id="a wrong one has Y"),
        pytest.param(Reading.CHIP, Fault.WRONG_CVV, "R", False, id="a wrong one without result"),
        pytest.param(Reading.WEB, Fault.NONE, "T8701M", True, id="CVC 2 matches"),
        pytest.param(Reading.WEB, Fault.WRONG_CVV2, "T8701N", True, id="CVC 2 does not match"),
        pytest.param(Reading.WEB, Fault.WRONG_CVV2, "T8701M", False, id="a wrong CVC 2 called right"),
        pytest.param(Reading.WEB, Fault.NONE, "8701M", False, id="no category"),
    ],
)
def test_results_in_additional_data(reading: Reading, fault: Fault, additional: str, fits: bool) -> None:
    matter = Matter(Kind.REQUEST, reading=reading, fault=fault)
    assert McLike().result_fits(matter, Message(b"", "0110", {48: additional}), known=True) is fits
