"""The lines to the HSMs: whatever goes wrong with them, the verdict is NO_ANSWER and never "right"."""

import contextlib
import io
from pathlib import Path

import pytest
import trio
import trio.testing

from processor.hsm.framing import HsmFramer, frame_message
from processor.hsm.keys import load_keys
from processor.links.hsm_client import HsmSettings
from processor.links.hsm_link import Endpoint, HsmLink
from processor.links.hsm_questions import HsmKeys
from processor.services.log import Log
from processor.services.meters import Meters
from processor.values.cards import Card
from processor.values.clock import SystemClock
from processor.values.facts import Check, Facts
from processor.values.sensitive import Evidence, Pan

KEYS = Path(__file__).resolve().parents[1] / "examples" / "keys.test.json"
PAN = Pan("4000001234567899")
CARD = Card("t", "400000******7899", "a", "2912", "201", "1234", "1", "01", 3, 3, version=7)
BOTH = Evidence(PAN, "190", "999", "2912", "0123456789ABCDEF", "01")
WELL = b"ND00" + b"26860ADC2D2D9B3C" + b"0000-TEST"
ANOTHER = b"ND00" + b"08D7B4FB629D0885" + b"0000-TEST"
SILENCE = b""
PATIENCE_S = 10.0
SETTINGS = HsmSettings(timeout_s=0.05, again_s=0.02, health_s=1000.0, in_flight_max=4)


class SetClock(SystemClock):
    """Monotonic time that passes when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic_s(self) -> float:
        return self.now_s


class Puppet:
    """A server that says how it is by itself, and answers questions as the test tells it to."""

    def __init__(self, health: bytes = WELL, header_bytes: int = 4) -> None:
        self.health = health
        self.header_bytes = header_bytes
        self.asked: list[bytes] = []
        self.checked: list[bytes] = []
        self.streams: list[trio.SocketStream] = []
        self._asked_on: list[trio.SocketStream] = []
        self.ended = 0
        self._news = trio.Event()

    async def converse(self, stream: trio.SocketStream) -> None:
        framer = HsmFramer(header_bytes=self.header_bytes)
        self.streams.append(stream)
        with contextlib.suppress(trio.ClosedResourceError, trio.BrokenResourceError):
            while data := await stream.receive_some(4096):
                framer.receive(data)
                for frame in framer.frames():
                    await self._take(stream, frame)
                self._tell()
        self.ended += 1
        self._tell()

    async def heard(self, count: int) -> None:
        await self.until(lambda: len(self.asked) >= count)

    async def until(self, holds) -> None:
        with trio.fail_after(PATIENCE_S):
            while not holds():
                await self._news.wait()

    async def say(self, number: int, answer: bytes) -> None:
        """Answer the question of this number on its line."""
        header = self.asked[number][: self.header_bytes]
        await self._asked_on[number].send_all(frame_message(header, answer))

    async def send(self, data: bytes) -> None:
        await self.streams[-1].send_all(data)

    async def _take(self, stream: trio.SocketStream, frame: bytes) -> None:
        if frame[self.header_bytes :].startswith(b"NC"):
            self.checked.append(frame)
            if self.health:
                await stream.send_all(frame_message(frame[: self.header_bytes], self.health))
            return
        self.asked.append(frame)
        self._asked_on.append(stream)

    def _tell(self) -> None:
        news, self._news = self._news, trio.Event()
        news.set()


class Bench:
    """A link to puppets, and what came back."""

    def __init__(self, link: HsmLink, puppets: list[Puppet], meters: Meters, clock: SetClock) -> None:
        self.link, self.puppets, self.puppet, self.meters = link, puppets, puppets[0], meters
        self.clock = clock
        self.facts: list[Facts] = []
        self._answered = trio.Event()

    def ask(self, evidence: Evidence = BOTH, *, cvv: bool = True, pin: bool = True) -> Facts | None:
        return self.link.verify(evidence, CARD, cvv=cvv, pin=pin, done=self._done)

    def _done(self, facts: Facts) -> None:
        self.facts.append(facts)
        self._answered.set()

    async def told(self, count: int) -> Facts:
        """Wait for so many verdicts in all; the last one."""
        with trio.fail_after(PATIENCE_S):
            while len(self.facts) < count:
                await self._answered.wait()
                self._answered = trio.Event()
        return self.facts[-1]

    def pass_s(self, seconds: float) -> None:
        self.clock.now_s += seconds
        self.link.sweep()

    async def ready(self, lines: int) -> None:
        """Wait until so many lines can be asked."""
        with trio.fail_after(PATIENCE_S):
            while sum(self.lines().values()) != lines:  # noqa: ASYNC110 - an event is for the first line only
                await trio.sleep(0.001)

    def lines(self) -> dict[str, float]:
        return self.readings("issuer_hsm_lines")

    def readings(self, name: str) -> dict[str, float]:
        numbers = map(str, range(len(self.puppets)))
        return {n: self.meters.registry.get_sample_value(name, {"endpoint": n}) or 0.0 for n in numbers}

    def count(self, result: str) -> float:
        return sum(self.meters.value("issuer_hsm_requests", op=op, result=result) for op in ("cvv", "pin"))

    def again(self, why: str) -> float:
        return sum(self.meters.value("issuer_hsm_asked_again", op=op, why=why) for op in ("cvv", "pin"))

    def ended(self, reason: str, endpoint: int = 0) -> float:
        return self.meters.value("issuer_hsm_lines_ended", endpoint=str(endpoint), reason=reason)


@pytest.fixture
async def bench(nursery):
    """Makes a link to puppets; not waited for."""

    async def make(*puppets: Puppet, lines: int = 1, settings: HsmSettings = SETTINGS) -> Bench:
        meters, clock, keys, endpoints = Meters(), SetClock(), load_keys(KEYS), []
        for puppet in puppets:
            listeners = await nursery.start(trio.serve_tcp, puppet.converse, 0)
            endpoints.append(Endpoint("127.0.0.1", listeners[0].socket.getsockname()[1], lines))
        link = HsmLink(
            endpoints, HsmKeys(keys["zpk"], keys["pvk"], keys["cvk"]), settings,
            clock=clock, meters=meters, log=Log(clock, out=io.StringIO()),
        )  # fmt: skip
        nursery.start_soon(link.run)
        return Bench(link, list(puppets), meters, clock)

    return make


@pytest.fixture
async def line(bench):
    made = await bench(Puppet())
    await made.ready(1)
    return made


@pytest.fixture
async def pair(bench):
    made = await bench(Puppet(), Puppet())
    await made.ready(2)
    return made


@pytest.mark.parametrize(
    ("cvv_answer", "pin_answer", "expected"),
    [
        pytest.param(b"CZ00", b"ED00", (Check.PASSED, Check.PASSED), id="both are right"),
        pytest.param(b"CZ01", b"ED00", (Check.FAILED, Check.PASSED), id="the CVV is wrong"),
        pytest.param(b"CZ00", b"ED01", (Check.PASSED, Check.FAILED), id="the PIN is wrong"),
        pytest.param(b"CZ00", b"ED20", (Check.PASSED, Check.FAILED), id="no PIN block is a wrong PIN"),
        pytest.param(b"CZ10", b"ED13", (Check.NO_ANSWER, Check.NO_ANSWER), id="a key error is no verdict"),
    ],
)  # fmt: skip
async def test_only_two_replies_are_verdicts(line, cvv_answer, pin_answer, expected):
    line.ask()
    await line.puppet.heard(2)
    await line.puppet.say(1, pin_answer)
    await line.puppet.say(0, cvv_answer)
    facts = await line.told(1)

    assert (facts.cvv, facts.pin) == expected
    assert facts.card_version == CARD.version


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        pytest.param(frame_message(b"????", b"CZ00"), "unmatched_reply", id="to nothing that was asked"),
        pytest.param(frame_message(b"0001", b"ED00"), "wrong_reply", id="to another command"),
        pytest.param(frame_message(b"0001", b"CZ"), "wrong_reply", id="without an error code"),
        pytest.param(b"\x00\x01A", "frame_too_short", id="too short to be one"),
        pytest.param(b"\xff\xff" + bytes(8), "frame_too_long", id="longer than any"),
    ],
)  # fmt: skip
async def test_a_reply_that_cannot_be_true_costs_the_line_and_is_no_verdict(line, reply, reason):
    line.ask(pin=False)
    line.ask(pin=False)
    await line.puppet.heard(2)
    assert line.puppet.asked[0].startswith(b"0001")
    await line.puppet.send(reply + frame_message(b"0002", b"CZ00"))
    await line.told(2)

    assert [facts.cvv for facts in line.facts] == [Check.NO_ANSWER] * 2
    assert line.ended(reason) == 1
    await line.ready(1)


async def test_an_answer_before_the_line_is_in_doubt_counts_and_one_after_it_does_not(line):
    for _ in range(3):
        line.ask(pin=False)
    await line.puppet.heard(3)
    await line.puppet.send(
        frame_message(b"0001", b"CZ01") + frame_message(b"????", b"CZ00") + frame_message(b"0002", b"CZ01")
    )
    await line.told(3)

    assert [facts.cvv for facts in line.facts] == [Check.FAILED, Check.NO_ANSWER, Check.NO_ANSWER]


async def test_a_silent_hsm_is_given_up_and_its_late_answer_is_nobody_elses(line):
    line.ask(pin=False)
    await line.puppet.heard(1)
    line.pass_s(0.04)
    assert line.facts == []
    line.pass_s(0.02)
    assert line.facts == [Facts(Check.NO_ANSWER, Check.NOT_ASKED, CARD.version)]

    await line.puppet.say(0, b"CZ00")
    line.ask(pin=False)
    await line.puppet.heard(2)
    await line.puppet.say(1, b"CZ01")
    await line.told(2)

    assert [facts.cvv for facts in line.facts] == [Check.NO_ANSWER, Check.FAILED]
    assert (line.count("timeout"), line.count("late"), line.count("answered")) == (1, 1, 1)


async def test_an_id_whose_answer_is_owed_is_not_used_again_and_the_next_line_goes_on_after_it(bench):
    settings = HsmSettings(timeout_s=0.05, health_s=1000.0, header_bytes=1, failures_max=1000)
    line = await bench(Puppet(header_bytes=1), settings=settings)
    await line.ready(1)
    line.ask(pin=False)
    line.pass_s(0.06)
    for number in range(1, 40):
        line.ask(pin=False)
        await line.puppet.heard(number + 1)
        await line.puppet.say(number, b"CZ00")
        await line.told(number + 1)
    used = [frame[:1] for frame in line.puppet.asked]
    assert used.count(used[0]) == 1
    assert set(used[1:]) == {b"%c" % c for c in b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"} - {used[0]}

    line.ask(pin=False)
    await line.puppet.heard(41)
    await line.puppet.streams[0].aclose()
    await line.told(41)
    await line.ready(1)
    line.ask(pin=False)
    await line.puppet.heard(42)
    assert line.puppet.asked[41][:1] not in {line.puppet.asked[40][:1], line.puppet.checked[1][:1]}


async def test_a_line_that_owes_too_many_answers_is_replaced(bench):
    settings = HsmSettings(timeout_s=0.05, health_s=1000.0, header_bytes=1, failures_max=1000)
    line = await bench(Puppet(header_bytes=1), settings=settings)
    await line.ready(1)
    for _ in range(19):
        line.ask(pin=False)
    line.pass_s(0.06)
    await line.puppet.until(lambda: line.puppet.ended == 1)
    await line.ready(1)

    assert line.ended("owes_too_many_answers") == 1
    assert line.count("timeout") == 19
    assert line.ask() is None


async def test_a_lost_line_answers_what_was_asked_on_it_and_comes_back(line):
    line.ask()
    await line.puppet.heard(2)
    await line.puppet.streams[0].aclose()
    assert (await line.told(1)).pin is Check.NO_ANSWER
    assert line.count("line_lost") == 2

    await line.ready(1)
    line.ask(pin=False)
    await line.puppet.heard(3)
    await line.puppet.say(2, b"CZ00")
    assert (await line.told(2)).cvv is Check.PASSED


async def test_more_questions_than_allowed_are_not_asked(line):
    for _ in range(4):
        assert line.ask(pin=False) is None

    assert line.ask(pin=False) == Facts(Check.NO_ANSWER, Check.NOT_ASKED, CARD.version)
    assert line.count("unavailable") == 1


async def test_a_question_that_does_not_fit_its_command_is_no_verdict_and_asks_nothing(line):
    crooked = Evidence(PAN, "190", "999", "2912", "not a pin block!", "01")

    assert line.ask(crooked) == Facts(Check.NO_ANSWER, Check.NO_ANSWER, CARD.version)
    assert line.count("unaskable") == 2
    assert line.puppet.asked == []


@pytest.mark.parametrize(
    ("settings", "health", "suffix"),
    [
        pytest.param({}, b"0000NC", b"", id="four characters, the default LMK"),
        pytest.param({"header_bytes": 1}, b"0NC", b"", id="one character"),
        pytest.param({"header_bytes": 12}, b"0000--------NC", b"", id="twelve characters"),
        pytest.param({"lmk": "01"}, b"0000NC%01", b"%01", id="an LMK by its identifier"),
    ],
)  # fmt: skip
async def test_header_and_lmk_are_as_the_unit_is_set(bench, settings, health, suffix):
    header_bytes = settings.get("header_bytes", 4)
    line = await bench(Puppet(header_bytes=header_bytes), settings=HsmSettings(**settings))
    await line.ready(1)
    line.ask()
    await line.puppet.heard(2)
    await line.puppet.say(0, b"CZ00")
    await line.puppet.say(1, b"ED00")

    assert (await line.told(1)).pin is Check.PASSED
    assert line.puppet.checked == [health]
    assert [asked[header_bytes : header_bytes + 2] for asked in line.puppet.asked] == [b"CY", b"EC"]
    assert [asked.endswith(suffix) for asked in line.puppet.asked] == [True, True]


@pytest.mark.parametrize(
    ("health", "reason"),
    [
        pytest.param(SILENCE, "silent", id="that says nothing"),
        pytest.param(b"ND13", "not_well", id="that says what is wrong with it"),
        pytest.param(b"ND00", "wrong_reply", id="whose words cannot be read"),
        pytest.param(b"CZ00", "wrong_reply", id="that answers something else"),
        pytest.param(ANOTHER, "another_lmk", id="with another LMK"),
    ],
)  # fmt: skip
async def test_an_hsm_is_not_asked(bench, health, reason):
    settings = HsmSettings(timeout_s=0.05, lmk_check_value="26860ADC2D2D9B3C")
    line = await bench(Puppet(health), settings=settings)
    await line.puppet.until(lambda: line.puppet.checked)
    line.pass_s(0.06)
    await line.puppet.until(lambda: line.puppet.ended)

    assert line.ended(reason) == 1
    assert not line.link.connected
    assert line.ask() == Facts(Check.NO_ANSWER, Check.NO_ANSWER, CARD.version)
    assert line.count("unavailable") == 2
    assert line.puppet.asked == []


async def test_without_a_configured_check_value_all_hsms_must_have_the_lmk_of_the_first(bench):
    other = Puppet(SILENCE)
    both = await bench(Puppet(), other)
    await both.ready(1)
    other.health = ANOTHER
    await other.streams[0].aclose()
    await other.until(lambda: other.ended == 2)

    assert both.ended("another_lmk", 1) == 1
    assert both.lines() == {"0": 1, "1": 0}


async def test_an_idle_line_is_asked_how_it_is_and_replaced_when_it_does_not_say(bench):
    line = await bench(Puppet(), settings=HsmSettings(timeout_s=0.05, health_s=5.0))
    await line.ready(1)
    line.pass_s(4.9)
    line.pass_s(0.2)
    await line.puppet.until(lambda: len(line.puppet.checked) == 2)
    line.pass_s(4.0)
    assert line.link.connected

    line.puppet.health = SILENCE
    line.pass_s(5.0)
    await line.puppet.until(lambda: len(line.puppet.checked) == 3)
    line.pass_s(0.06)
    assert not line.link.connected
    assert line.ended("silent") == 1


async def test_an_hsm_that_only_says_that_it_is_well_is_left_alone_sooner_each_time(bench):
    settings = HsmSettings(timeout_s=0.05, health_s=1000.0, failures_max=3)
    line = await bench(Puppet(), lines=2, settings=settings)
    await line.ready(2)
    for _ in range(3):
        line.ask(pin=False)
    line.pass_s(0.06)
    assert line.readings("issuer_hsm_breaker_open") == {"0": 1}
    assert line.ask(pin=False) is not None, "nobody is asked while it is open"
    await line.puppet.until(lambda: line.puppet.ended == 2)
    assert line.ended("breaker_open") == 2

    await line.ready(2)
    line.ask(pin=False)
    line.pass_s(0.06)
    assert line.readings("issuer_hsm_breaker_open") == {"0": 1}
    await line.puppet.until(lambda: line.puppet.ended == 4)

    await line.ready(2)
    asked = len(line.puppet.asked)
    line.ask(pin=False)
    await line.puppet.heard(asked + 1)
    await line.puppet.say(asked, b"CZ00")
    await line.told(5)
    line.ask(pin=False)
    line.pass_s(0.06)
    assert line.readings("issuer_hsm_breaker_open") == {"0": 0}, "an answer has closed it for good"


async def test_while_the_breaker_is_open_one_line_alone_is_tried(bench):
    line = await bench(Puppet(SILENCE), lines=3)
    await line.puppet.until(lambda: line.puppet.checked)
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert len(line.puppet.streams) == 1

    line.puppet.health = WELL
    line.pass_s(0.06)
    await line.ready(3)


async def test_questions_go_to_the_line_with_the_fewest_open_ones(pair):
    for _ in range(8):
        assert pair.ask(pin=False) is None
    assert pair.ask(pin=False) is not None
    for puppet in pair.puppets:
        await puppet.heard(4)
    await pair.puppets[1].say(0, b"CZ00")
    await pair.told(1)
    pair.ask(pin=False)
    await pair.puppets[1].heard(5)

    assert [len(puppet.asked) for puppet in pair.puppets] == [4, 5]


async def test_what_a_lost_line_was_asked_is_asked_elsewhere_and_both_questions_of_a_card_stay_together(pair):
    pair.ask()
    await trio.testing.wait_all_tasks_blocked(0.01)
    first, second = sorted(pair.puppets, key=lambda puppet: -len(puppet.asked))
    assert (len(first.asked), len(second.asked)) == (2, 0)
    await first.streams[0].aclose()
    await second.heard(2)
    await second.say(0, b"CZ01")
    await second.say(1, b"ED00")
    facts = await pair.told(1)

    assert [asked[4:] for asked in second.asked] == [asked[4:] for asked in first.asked]
    assert (facts.cvv, facts.pin) == (Check.FAILED, Check.PASSED)
    assert (pair.again("line_lost"), pair.count("answered"), pair.count("line_lost")) == (2, 2, 0)


async def test_a_question_that_breaks_lines_breaks_two_of_them_at_most(bench):
    three = await bench(Puppet(), Puppet(), Puppet())
    await three.ready(3)
    three.ask(pin=False)
    for _ in range(2):
        await trio.testing.wait_all_tasks_blocked(0.01)
        (asked,) = [puppet for puppet in three.puppets if puppet.asked and not puppet.ended]
        await asked.streams[0].aclose()
        await asked.until(lambda asked=asked: asked.ended == 1)
    await three.told(1)

    assert [len(puppet.asked) for puppet in three.puppets].count(1) == 2
    assert three.facts == [Facts(Check.NO_ANSWER, Check.NOT_ASKED, CARD.version)]
    assert three.count("line_lost") == 1


async def test_a_silent_endpoint_is_passed_by_while_there_is_time_and_its_late_answer_is_dropped(pair):
    pair.ask(pin=False)
    await trio.testing.wait_all_tasks_blocked(0.01)
    first, second = sorted(pair.puppets, key=lambda puppet: -len(puppet.asked))
    pair.pass_s(0.03)
    await second.heard(1)
    await first.say(0, b"CZ00")
    await second.say(0, b"CZ01")
    assert (await pair.told(1)).cvv is Check.FAILED
    await trio.testing.wait_all_tasks_blocked(0.01)

    assert [facts.cvv for facts in pair.facts] == [Check.FAILED]
    assert (pair.again("silence"), pair.count("late")) == (1, 1)


async def test_a_question_is_of_no_use_after_its_deadline_wherever_it_was_asked(pair):
    pair.ask(pin=False)
    pair.pass_s(0.03)
    pair.pass_s(0.015)
    assert pair.facts == []
    pair.pass_s(0.015)

    assert pair.facts == [Facts(Check.NO_ANSWER, Check.NOT_ASKED, CARD.version)]
    assert (pair.again("silence"), pair.count("timeout")) == (1, 1)


async def test_a_line_lost_after_the_deadline_asks_nobody_else(pair):
    pair.ask(pin=False)
    await trio.testing.wait_all_tasks_blocked(0.01)
    first, second = sorted(pair.puppets, key=lambda puppet: -len(puppet.asked))
    pair.clock.now_s += 0.06
    await first.streams[0].aclose()
    await pair.told(1)

    assert second.asked == []
    assert (pair.again("line_lost"), pair.count("timeout")) == (0, 1)


async def test_a_silent_endpoint_is_waited_for_when_the_others_are_full(pair):
    for _ in range(8):
        pair.ask(pin=False)
    pair.pass_s(0.03)
    assert pair.again("silence") == 0
    assert pair.facts == []


async def test_an_hsm_that_loses_all_its_lines_costs_no_answer_while_there_is_another(bench):
    pair = await bench(Puppet(), Puppet(), lines=2, settings=HsmSettings(timeout_s=0.05, health_s=1000.0))
    await pair.ready(4)
    for _ in range(8):
        pair.ask(pin=False)
    first, second = pair.puppets
    await first.heard(4)
    for stream in first.streams:
        await stream.aclose()
    await second.heard(8)
    for number in range(8):
        await second.say(number, b"CZ00")
    await pair.told(8)

    assert {facts.cvv for facts in pair.facts} == {Check.PASSED}
    assert pair.again("line_lost") == 4


async def test_an_hsm_that_is_left_alone_is_tried_on_one_line_alone(bench):
    settings = HsmSettings(timeout_s=0.05, health_s=1000.0, failures_max=1)
    line = await bench(Puppet(), lines=3, settings=settings)
    await line.ready(3)
    line.puppet.health = SILENCE
    line.ask(pin=False)
    line.pass_s(0.06)
    await line.puppet.until(lambda: line.puppet.ended == 3 and len(line.puppet.checked) == 4)
    await trio.testing.wait_all_tasks_blocked(0.1)  # twice the pause after which the others would try

    assert len(line.puppet.streams) == 4


async def test_an_idle_hsm_that_says_it_is_well_is_forgiven(bench):
    settings = HsmSettings(timeout_s=0.05, health_s=5.0, failures_max=2)
    line = await bench(Puppet(), settings=settings)
    await line.ready(1)
    for checks in (2, 3):
        line.ask(pin=False)
        line.pass_s(0.06)
        line.pass_s(5.0)
        await line.puppet.until(lambda checks=checks: len(line.puppet.checked) == checks)
        await trio.testing.wait_all_tasks_blocked(0.01)

    assert line.count("timeout") == 2
    assert line.puppet.ended == 0


async def test_an_answer_about_health_may_take_as_long_as_any_other(bench):
    settings = HsmSettings(timeout_s=0.05, again_s=0.02, health_s=5.0)
    pair = await bench(Puppet(), Puppet(), settings=settings)
    await pair.ready(2)
    for puppet in pair.puppets:
        puppet.health = SILENCE
    pair.pass_s(5.0)
    pair.pass_s(0.04)
    assert pair.lines() == {"0": 1, "1": 1}
    pair.pass_s(0.02)
    assert pair.lines() == {"0": 0, "1": 0}


async def test_one_id_is_kept_for_the_question_of_health(bench):
    line = await bench(
        Puppet(header_bytes=1), settings=HsmSettings(header_bytes=1, timeout_s=1.0, health_s=5.0)
    )
    await line.ready(1)
    asked = [line.ask(pin=False) for _ in range(36)]

    assert asked == [None] * 35 + [Facts(Check.NO_ANSWER, Check.NOT_ASKED, CARD.version)]
