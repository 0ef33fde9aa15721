"""What we ask on a link is matched by the profile's key, and what matches nothing says why."""

import itertools
from typing import Any

import pytest

from processor.iso8583.message import Message
from processor.links.asking import Asking, stans
from processor.networks.profile import load_profile
from processor.values.requests import Signal

NOW_MS = 1_798_761_599_000  # 2026-12-31 23:59:59 UTC
SESSION = load_profile("visa-like").session


@pytest.fixture
def asking() -> Asking:
    return Asking(SESSION, stans(), bytes(22), {"33": "400001"})


def reply_to(message: Message, mti: str = "0810", **changes: str) -> Message:
    elements = message.elements | {39: "00"} | {int(k.removeprefix("de")): v for k, v in changes.items()}
    return Message(b"", mti, elements)


def test_a_question_of_ours_has_its_code_its_time_its_number_and_who_we_are(asking: Asking) -> None:
    message = asking.ask(Signal.SIGN_ON, NOW_MS)

    assert message.mti == "0800"
    assert message.elements == {7: "1231235959", 11: "000001", 33: "400001", 70: "071"}


def test_answers_are_known_by_their_keys_in_any_order(asking: Asking) -> None:
    first, second = asking.ask(Signal.SIGN_ON, NOW_MS), asking.ask(Signal.ECHO, NOW_MS)

    assert asking.answered(reply_to(second)) == (Signal.ECHO, True)
    assert asking.answered(reply_to(first, de39="91")) == (Signal.SIGN_ON, False)
    assert asking.answered(reply_to(first)) is None, "once"


@pytest.mark.parametrize(
    ("mti", "changes", "differs"),
    [
        pytest.param("0810", {"de11": "000009"}, ("stan",), id="another STAN"),
        pytest.param("0810", {"de7": "1231235958"}, ("transmitted",), id="the same STAN, another moment"),
        pytest.param("0810", {"de70": "301"}, ("code",), id="the same STAN and moment, another code"),
        pytest.param("0830", {}, ("mti",), id="another kind of message"),
        pytest.param("0810", {"de11": "000009", "de70": "301"}, ("stan", "code"), id="two parts"),
        pytest.param("0110", {"de11": "9", "de7": "", "de70": ""}, (), id="nothing is near"),
    ],
)
def test_an_answer_that_matches_nothing_says_what_differs(
    asking: Asking, mti: str, changes: dict[str, str], differs: tuple[str, ...]
) -> None:
    reply = reply_to(asking.ask(Signal.SIGN_ON, NOW_MS), mti, **changes)

    assert asking.answered(reply) is None
    assert asking.unlike(reply) == differs


def test_a_question_that_comes_back_rejected_is_open_no_more(asking: Asking) -> None:
    question = asking.ask(Signal.SIGN_ON, NOW_MS)

    assert asking.rejected(reply_to(question)) is None, "that is no question"
    assert asking.rejected(question) is Signal.SIGN_ON
    assert asking.rejected(question) is None
    assert asking.answered(reply_to(question)) is None


def test_with_nothing_open_nothing_is_near(asking: Asking) -> None:
    assert asking.unlike(Message(b"", "0810", {7: "1231235959", 11: "000001", 70: "301"})) == ()


def test_an_answer_that_lacks_a_part_of_its_key_is_not_guessed_at(asking: Asking) -> None:
    reply = reply_to(asking.ask(Signal.ECHO, NOW_MS))
    del reply.elements[7]

    assert asking.answered(reply) is None
    assert asking.unlike(reply) == ("transmitted",)


def test_c38_numbers_wrap_and_the_moment_rolls_over_the_year_without_a_key_twice(asking: Any) -> None:
    numbers = itertools.islice(stans(), 999_998, 1_000_001)
    assert list(numbers) == ["999999", "000001", "000002"]
    asking._numbers = itertools.repeat("000001")
    before, after = asking.ask(Signal.ECHO, NOW_MS), asking.ask(Signal.ECHO, NOW_MS + 1000)

    assert (before.elements[7], after.elements[7]) == ("1231235959", "0101000000")
    assert asking.answered(reply_to(after)) == (Signal.ECHO, True)
    assert asking.answered(reply_to(before)) == (Signal.ECHO, True)
