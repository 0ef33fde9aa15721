"""What belongs to what: replies to questions, repeats to originals, echoes to what was asked; by keys alone."""

import datetime
import itertools
import random

import pytest
import trio
import trio.testing

from processor.iso8583.framing import VISA_FRAME
from processor.iso8583.message import Message
from processor.links.asking import Asking, stans
from processor.networks.profile import load_profile
from processor.networks.recognise import Recogniser
from processor.networks.respond import Responder
from processor.values.outcome import Reply
from processor.values.reasons import APPROVALS, Reason
from processor.values.requests import Advice, Authorization, Reversal, Signal
from processor.values.sensitive import Tokens
from simulators.links import Link
from simulators.networks.catalogue import NETWORKS
from simulators.question import SIGNAL, Question, Transmission

NAMES = ("visa-like", "mc-like", "iso87-ascii")
PAN = "4000001234567899"
HEADER = bytes.fromhex("16010200000000001234560000000000000000000000")
NEW_YEAR_MS = int(datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC).timestamp() * 1000)
ASKED = {
    2: PAN, 3: "000000", 4: "000000001000", 7: "1231235959", 11: "000001", 14: "2912", 18: "5411", 19: "840",
    22: "9010", 32: "432109", 33: "400002", 35: f"{PAN}D29122011123456700000", 37: "632212000001",
    41: "TERM0001", 42: "MERCHANT0000001", 43: "NAME".ljust(40), 45: "B" + PAN, 48: "R", 49: "840",
    52: "0123456789ABCDEF", 53: "2001010100000000", 55: "9F2608" + "00" * 8, 62: "62", 63: "63",
}  # fmt: skip
NEVER = {35, 36, 43, 45, 52, 53, 55}


def recogniser(name: str) -> Recogniser:
    return Recogniser(load_profile(name), Tokens(bytes(32)))


def keys_of(name: str, message: Message, received_ms: int = NEW_YEAR_MS) -> tuple[str, tuple[str, ...]]:
    """A message's own key, and its match keys."""
    request = recogniser(name).recognise(message, received_ms).request
    assert isinstance(request, Authorization | Advice | Reversal)
    return request.key, request.match_keys


def request(mti: str = "0100", without: tuple[int, ...] = (), **changes: str) -> Message:
    elements = {n: v for n, v in ASKED.items() if n not in {35, 45, 48, 55, 62, 63, *without}}
    return Message(HEADER, mti, elements | {int(k.removeprefix("de")): v for k, v in changes.items()})


# C23


async def test_c23_replies_are_matched_by_their_keys_in_whatever_order_they_come() -> None:
    network = NETWORKS["visa-like"]
    ours, theirs = trio.testing.memory_stream_pair()
    link = Link(network, ours)
    asked = [
        Question(Message(network.header(stan), "0100", {4: "1" * 12, 7: "0101000000", 11: stan, 32: "1", 37: stan * 2}), SIGNAL)
        for stan in (f"{n:06}" for n in range(1, 51))
    ]  # fmt: skip
    await link.send([(Transmission(question, "0100"), 1.0 * n) for n, question in enumerate(asked)], 1)
    await theirs.receive_some(65_536)
    order = random.Random(1).sample(range(50), 50)
    for n in order:
        message = asked[n].message
        reply = Message(message.header, "0110", message.elements | {39: "00"})
        assert link.matched(reply) == (asked[n], 1.0 * n)

    assert not link.waiting


@pytest.mark.parametrize(
    ("mti", "changes", "says"),
    [
        pytest.param("0110", {32: "2"}, "acquirer differs", id="another acquirer, the same STAN"),
        pytest.param("0110", {7: "0101000001"}, "transmitted differs", id="another moment, the same STAN"),
        pytest.param("0110", {4: "2" * 12, 37: "2"}, "amount, rrn differ", id="two parts"),
        pytest.param("0410", {}, "class differs", id="another class"),
        pytest.param("0130", {}, "function differs", id="an advice's answer to a request"),
    ],
)
async def test_c23_an_unmatched_reply_says_which_part_of_its_key_differs(
    mti: str, changes: dict[int, str], says: str
) -> None:
    network = NETWORKS["visa-like"]
    ours, theirs = trio.testing.memory_stream_pair()
    link = Link(network, ours)
    elements = {4: "1" * 12, 7: "0101000000", 11: "000001", 32: "1", 37: "000001000001"}
    question = Question(Message(network.header("000001"), "0100", elements), SIGNAL)
    await link.send([(Transmission(question, "0100"), 0.0)], 1)
    reply = Message(b"", mti, elements | changes | {39: "00"})

    assert link.matched(reply) is None
    assert link.unlike(reply) == says
    assert question.key in link.waiting, "it still waits for its own"
    await theirs.aclose()


async def test_c23_a_reply_after_the_timer_matches_nothing_any_more() -> None:
    network = NETWORKS["visa-like"]
    ours, _theirs = trio.testing.memory_stream_pair()
    link = Link(network, ours)
    elements = {4: "1" * 12, 7: "0101000000", 11: "000001", 32: "1", 37: "000001000001"}
    question = Question(Message(network.header("000001"), "0100", elements), SIGNAL)
    await link.send([(Transmission(question, "0100"), 0.0)], 1)

    assert [waiting.question for waiting in link.overdue(1.0)] == [question]
    assert link.matched(Message(b"", "0110", elements | {39: "00"})) is None
    assert VISA_FRAME.frame(b"") == bytes(4)


# C36


@pytest.mark.parametrize(
    ("name", "mti"), list(itertools.product(NAMES, ("0100", "0120", "0200", "0220", "0420")))
)
def test_c36_what_is_echoed_is_identical_and_what_authenticates_never_comes_back(name: str, mti: str) -> None:
    original = {90: "0100" + "000001" + "1231235959" + "00000432109" + "00000400002", 95: "0" * 42}
    asked = Message(HEADER, mti, ASKED | (original if mti == "0420" else {}))
    header = asked.header if name == "visa-like" else b""
    reply = Responder(load_profile(name)).respond(
        Message(header, mti, asked.elements), Reply(Reason.ACCEPTED)
    )

    echoed = {7, 11, 32, 33, 37, 41, 42, 62, 63} | ({90, 95} if mti == "0420" else set())
    assert {n: reply.elements.get(n) for n in echoed} == {n: asked.elements[n] for n in echoed}
    assert not NEVER & set(reply.elements)
    assert ASKED[52] not in str(reply.elements.values())
    assert PAN not in repr(reply)


@pytest.mark.parametrize("name", NAMES)
def test_c36_no_profile_can_have_on_an_echo_list_what_authenticates(name: str) -> None:
    assert all(not NEVER & set(elements) for elements in load_profile(name).echo.values())


# C37


@pytest.mark.parametrize(("name", "reason"), list(itertools.product(NAMES, Reason)))
def test_c37_every_reason_has_a_code_and_only_approvals_have_an_approving_one(
    name: str, reason: Reason
) -> None:
    profile = load_profile(name)
    code = profile.response_code(reason)

    assert len(code) == 2
    assert (code in profile.approving_codes) is (reason in APPROVALS)


def test_c37_the_same_reason_has_each_networks_own_code() -> None:
    visa, mc = load_profile("visa-like").response_codes, load_profile("mc-like").response_codes
    reasons = (Reason.PIN_MISSING, Reason.INACTIVE_CARD, Reason.CVV_FAILED, Reason.CVV2_FAILED)

    assert [visa[r] for r in reasons] == ["70", "78", "82", "N7"]
    assert [mc[r] for r in reasons] == ["55", "62", "05", "05"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("code", ["00", "85", "87", "70", "76", "Z9", "7X"])
def test_c37_a_code_we_do_not_know_is_accepted_and_is_no_approval(name: str, code: str) -> None:
    told = recogniser(name).recognise(request("0120", de39=code, de48="R"), NEW_YEAR_MS).request

    assert isinstance(told, Advice)
    assert told.approved is (code in load_profile(name).approving_codes)


@pytest.mark.parametrize("name", NAMES)
def test_c37_a_reversal_for_a_reason_we_do_not_know_is_a_whole_reversal(name: str) -> None:
    original = "0100" + "000001" + "1231235959" + "00000432109" + "00000000000"
    told = recogniser(name).recognise(request("0420", de39="Z9", de90=original), NEW_YEAR_MS).request

    assert isinstance(told, Reversal)
    assert (told.total, told.of_late_answer) == (None, False)


# C38


@pytest.mark.parametrize("name", NAMES)
def test_c38_the_same_stan_a_moment_or_a_year_apart_is_another_question(name: str) -> None:
    moments = ["1231235959", "0101000000", "0102000000"]
    keys = {keys_of(name, request(de7=moment, de48="R"))[0] for moment in moments}

    assert len(keys) == len(moments)


@pytest.mark.parametrize("name", NAMES)
def test_c38_a_repeat_keeps_its_key_over_midnight_and_over_the_years_end(name: str) -> None:
    asked, repeated = request(de48="R"), request("0101", de48="R")
    day_ms = 86_400_000

    assert keys_of(name, asked, NEW_YEAR_MS - 1)[0] == keys_of(name, repeated, NEW_YEAR_MS + day_ms)[0]


def test_c38_without_any_date_of_its_own_a_stan_is_good_for_the_utc_day_it_arrives_on() -> None:
    bare = request(without=(7, 32, 33, 37, 41))
    days = [keys_of("iso87-ascii", bare, NEW_YEAR_MS + ms)[0] for ms in (-1, 0, 86_399_999, 86_400_000)]

    assert days[1] == days[2]
    assert len(set(days)) == 3


def test_c38_a_local_date_dates_a_message_whatever_utc_says() -> None:
    """12/13 are the acceptor's and unchanged through the life of a transaction; an hour may come twice."""
    twice = request(without=(7,), de12="023000", de13="1025")
    keys = {keys_of("iso87-ascii", twice, NEW_YEAR_MS + hour * 3_600_000)[0] for hour in range(3)}

    assert len(keys) == 1


@pytest.mark.parametrize("name", NAMES)
def test_c38_a_reversal_in_the_new_year_finds_its_original_of_the_old_one(name: str) -> None:
    original = "0100" + "000001" + "1231235959" + "00000432109" + "00000000000"
    _, names = keys_of(name, request(de48="R"), NEW_YEAR_MS - 1)
    reversal = request("0420", de7="0101000001", de11="999999", de90=original)
    _, wanted = keys_of(name, reversal, NEW_YEAR_MS)

    assert set(names) & set(wanted)


def test_c38_our_own_numbers_wrap_without_a_key_that_is_open_twice() -> None:
    numbers = itertools.islice(stans(), 999_998, None)
    asking = Asking(load_profile("visa-like").session, numbers, HEADER, {})
    asked = [asking.ask(Signal.ECHO, NEW_YEAR_MS - 1), asking.ask(Signal.ECHO, NEW_YEAR_MS)]

    assert [(m.elements[11], m.elements[7]) for m in asked] == [
        ("999999", "1231235959"),
        ("000001", "0101000000"),
    ]
    for message in reversed(asked):
        reply = Message(b"", "0810", message.elements | {39: "00"})
        assert asking.answered(reply) == (Signal.ECHO, True)
