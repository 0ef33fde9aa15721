"""Two replies compared under field rules: what counts as the same, what is told of what does not, masked."""

import pytest

from processor.iso8583.header import Base1Header
from processor.iso8583.message import Message
from processor.networks.adapters import DIALECTS
from processor.replay.compare import EXACTLY, LIVE, FieldRules, parse_rule, parse_rules
from processor.values.errors import ConfigError

PAN = "4000001234567899"
HEADER = Base1Header("400001", "123456", round_trip=7).pack()
VISA = DIALECTS["visa-like"]

ASKED = Message(HEADER, "0100", {2: PAN, 7: "1121101530", 11: "000042", 37: "632510000042", 42: "SHOP"})
REPLY = Message(
    HEADER,
    "0110",
    {2: PAN, 7: "1121101530", 11: "000042", 37: "632510000042", 38: "ABC123", 39: "00", 64: "A" * 16},
)


def changed(**changes: str | None) -> Message:
    """The reply with other elements: ``de39="51"``; None takes one out."""
    elements = REPLY.elements | {int(name.removeprefix("de")): value for name, value in changes.items()}
    return Message(HEADER, "0110", {n: value for n, value in elements.items() if value is not None})


def found(
    got: Message, *given: str, defaults=EXACTLY, expected: Message = REPLY, asked: Message = ASKED
) -> list[str]:
    rules = FieldRules(defaults, dict(map(parse_rule, given)))
    return [str(difference) for difference in rules.differences(asked, expected, got, VISA)]


SAME = {
    "exactly the same reply": (REPLY, (), EXACTLY),
    "another DE 38 of the shape, live": (changed(de38="XYZ789"), (), LIVE),
    "another MAC, live": (changed(de64="B" * 16), (), LIVE),
    "no MAC at all, live": (changed(de64=None), (), LIVE),
    "a settlement date of the host's own, live": (changed(de15="1122"), (), LIVE),
    "another DE 38 under present": (changed(de38="xyz"), ("38=present",), EXACTLY),
    "no DE 38 under ignore": (changed(de38=None), ("38=ignore",), EXACTLY),
    "another code of the shape": (changed(de39="05"), ("39=shape:0[0-9]",), EXACTLY),
    "another header under ignore": (
        Message(HEADER[:-1] + b"\1", "0110", REPLY.elements),
        ("header=ignore",),
        EXACTLY,
    ),
    "another MTI under ignore": (Message(HEADER, "0210", REPLY.elements), ("mti=ignore",), EXACTLY),
    "a header that counts another body": (
        Message(HEADER[:3] + b"\1\2" + HEADER[5:], "0110", REPLY.elements),
        (),
        EXACTLY,
    ),
}


@pytest.mark.parametrize("case", SAME)
def test_these_replies_are_the_same(case):
    got, rules, defaults = SAME[case]
    assert found(got, *rules, defaults=defaults) == []


DIFFERENT = {
    "another DE 39": (changed(de39="51"), (), LIVE, ["DE39 00→51"]),
    "another DE 38 exactly": (changed(de38="XYZ789"), (), EXACTLY, ["DE38 given→other"]),
    "a DE 38 out of shape": (changed(de38="abc123"), (), LIVE, ["DE38 given→other"]),
    "no DE 38 where the shape wants one": (changed(de38=None), (), LIVE, ["DE38 given→absent"]),
    "an element that was not there": (changed(de44="    2"), (), LIVE, ["DE44 absent→given"]),
    "an element that is not there any more under present": (changed(de37=None), ("37=present",), LIVE, ["DE37 given→absent"]),
    "an RRN that is not the request's": (changed(de37="632510000043"), (), LIVE, ["DE37 given→other"]),
    "an exact rule over a default": (changed(de64="B" * 16), ("64=exact",), LIVE, ["DE64 given→other"]),
    "a code that only begins with the shape": (changed(de39="05"), ("39=shape:0",), LIVE, ["DE39 00→05"]),
    "another MTI": (Message(HEADER, "0210", REPLY.elements), (), LIVE, ["MTI 0110→0210"]),
    "another header": (Message(HEADER[:-1] + b"\1", "0110", REPLY.elements), (), LIVE, ["HEADER given→other"]),
    "several, the decision first": (changed(de2=None, de38=None, de39="14"), (), LIVE, ["DE39 00→14", "DE2 given→absent", "DE38 given→absent"]),
}  # fmt: skip


@pytest.mark.parametrize("case", DIFFERENT)
def test_these_replies_are_not(case):
    got, rules, defaults, expected = DIFFERENT[case]
    assert found(got, *rules, defaults=defaults) == expected


def test_an_echo_may_be_another_than_the_recorded_one_if_it_is_the_requests():
    earlier = Message(HEADER, "0110", REPLY.elements | {7: "1120090000"})
    assert found(REPLY, defaults=LIVE, expected=earlier) == []


def test_differences_are_masked():
    other, secret = "4000009876543217", "1234567890ABCDEF"
    got = changed(de2=other, de52=secret)
    told = repr(FieldRules(EXACTLY).differences(ASKED, REPLY, got, VISA))
    assert "400000******7899" in told
    assert PAN not in told
    assert other not in told
    assert secret not in told


def test_rules_are_told_in_words():
    assert FieldRules(LIVE, {}).words() | {"x": ""} == {
        "DE7": "echo", "DE12": "echo", "DE13": "echo", "DE15": "echo", "DE37": "echo",
        "DE38": "shape:[0-9A-Z]{6}", "DE64": "ignore", "DE128": "ignore", "x": "",
    }  # fmt: skip


BAD = {
    "no equals sign": ("38", "must be ELEMENT=RULE"),
    "no such element": ("193=ignore", "no such element"),
    "a bitmap is no element": ("65=ignore", "no such element"),
    "not a number": ("rrn=ignore", "no such element"),
    "no such rule": ("38=maybe", "must be exact, ignore, echo, present or shape:REGEX"),
    "a shape without one": ("38=shape", "must be exact"),
    "a shape that is no expression": ("38=shape:[", "must be exact"),
    "a shape for a rule that has none": ("38=exact:1", "must be exact"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_rule_that_cannot_be_read_is_told(case):
    text, expected = BAD[case]
    with pytest.raises(ConfigError, match=expected):
        parse_rule(text)


def test_a_rules_file_is_read():
    rules = parse_rules('[rules]\n38 = "ignore"\nheader = "present"\n44 = "shape:[ ]{4}[12]"\n', "rules.toml")
    assert {number: str(rule) for number, rule in rules.items()} == {
        38: "ignore", -1: "present", 44: "shape:[ ]{4}[12]",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text", ["[rules", "", '38 = "ignore"', "rules = 1", '[rules]\n38 = "no"\n', "[rules]\n38 = 1\n"]
)
def test_a_rules_file_that_cannot_be_read_is_told_with_its_name(text):
    with pytest.raises(ConfigError, match=r"rules\.toml: "):
        parse_rules(text, "rules.toml")


def test_every_problem_of_a_rules_file_is_told_at_once():
    with pytest.raises(ConfigError) as caught:
        parse_rules('[rules]\n38 = "no"\n500 = "exact"\n', "rules.toml")
    assert len(caught.value.problems) == 2
