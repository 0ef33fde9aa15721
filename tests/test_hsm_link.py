"""The line to the HSM: whatever goes wrong with it, the verdict is NO_ANSWER and never "right"."""

import contextlib
import io
from pathlib import Path

import pytest
import trio
import trio.testing

from processor.hsm.framing import HsmFramer, frame_message
from processor.hsm.keys import load_keys
from processor.links.hsm_link import HsmKeys, HsmLink
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


class Puppet:
    """A server that records what it is asked and says what the test tells it to say."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.stream: trio.SocketStream | None = None
        self.arrived = trio.Event()

    async def converse(self, stream: trio.SocketStream) -> None:
        self.stream, framer = stream, HsmFramer()
        with contextlib.suppress(trio.ClosedResourceError, trio.BrokenResourceError):
            while data := await stream.receive_some(4096):
                framer.receive(data)
                self.asked += framer.frames()
                self.arrived.set()

    async def heard(self, count: int) -> None:
        while len(self.asked) < count:
            await self.arrived.wait()
            self.arrived = trio.Event()

    async def say(self, number: int, answer: bytes) -> None:
        assert self.stream is not None
        await self.stream.send_all(frame_message(self.asked[number][:4], answer))


class Line:
    """A link to a puppet, and what came back."""

    def __init__(self, link: HsmLink, puppet: Puppet, meters: Meters) -> None:
        self.link, self.puppet, self.meters = link, puppet, meters
        self.facts: list[Facts] = []
        self.answered = trio.Event()

    def ask(self, evidence: Evidence = BOTH, *, cvv: bool = True, pin: bool = True) -> Facts | None:
        return self.link.verify(evidence, CARD, cvv=cvv, pin=pin, done=self._done)

    def _done(self, facts: Facts) -> None:
        self.facts.append(facts)
        self.answered.set()

    async def next_facts(self) -> Facts:
        await self.answered.wait()
        self.answered = trio.Event()
        return self.facts[-1]

    def count(self, result: str) -> float:
        return self.meters.value("issuer_hsm", result=result)


@pytest.fixture
async def line(nursery):
    puppet, meters, clock = Puppet(), Meters(), SystemClock()
    listeners = await nursery.start(trio.serve_tcp, puppet.converse, 0)
    port = listeners[0].socket.getsockname()[1]
    keys = load_keys(KEYS)
    link = HsmLink(
        "127.0.0.1", port, HsmKeys(keys["zpk"], keys["pvk"], keys["cvk"]),
        timeout_s=0.05, in_flight_max=4, clock=clock, meters=meters, log=Log(clock, out=io.StringIO()),
    )  # fmt: skip
    nursery.start_soon(link.run)
    await link.reached.wait()
    return Line(link, puppet, meters)


@pytest.mark.parametrize(
    ("cvv_answer", "pin_answer", "expected"),
    [
        pytest.param(b"CZ00", b"ED00", (Check.PASSED, Check.PASSED), id="both are right"),
        pytest.param(b"CZ01", b"ED00", (Check.FAILED, Check.PASSED), id="the CVV is wrong"),
        pytest.param(b"CZ00", b"ED01", (Check.PASSED, Check.FAILED), id="the PIN is wrong"),
        pytest.param(b"CZ00", b"ED20", (Check.PASSED, Check.FAILED), id="no PIN block is a wrong PIN"),
        pytest.param(b"CZ10", b"ED13", (Check.NO_ANSWER, Check.NO_ANSWER), id="a key error is no verdict"),
        pytest.param(b"ED00", b"CZ00", (Check.NO_ANSWER, Check.NO_ANSWER), id="nor the other's reply"),
        pytest.param(b"CZ", b"ED", (Check.NO_ANSWER, Check.NO_ANSWER), id="nor a cut reply"),
    ],
)  # fmt: skip
async def test_only_two_replies_are_verdicts(line, cvv_answer, pin_answer, expected):
    line.ask()
    await line.puppet.heard(2)
    await line.puppet.say(1, pin_answer)  # in any order
    await line.puppet.say(0, cvv_answer)
    facts = await line.next_facts()

    assert (facts.cvv, facts.pin) == expected
    assert facts.card_version == CARD.version


async def test_a_silent_hsm_is_given_up_and_its_late_answer_is_nobody_elses(line):
    line.ask(pin=False)
    await line.puppet.heard(1)
    await trio.sleep(0.06)
    line.link.sweep()
    assert line.facts == [Facts(Check.NO_ANSWER, Check.NOT_ASKED, CARD.version)]

    await line.puppet.say(0, b"CZ00")
    line.ask(pin=False)
    await line.puppet.heard(2)
    assert line.puppet.asked[0][:4] != line.puppet.asked[1][:4]
    await line.puppet.say(1, b"CZ01")
    await trio.testing.wait_all_tasks_blocked(0.01)

    assert [facts.cvv for facts in line.facts] == [Check.NO_ANSWER, Check.FAILED]
    assert (line.count("timeout"), line.count("late")) == (1, 1)


async def test_an_answer_to_nothing_is_counted_and_ignored(line):
    line.ask(pin=False)
    await line.puppet.heard(1)
    await line.puppet.stream.send_all(frame_message(b"????", b"CZ00"))
    await line.puppet.say(0, b"CZ00")
    await line.next_facts()

    assert line.count("unmatched") == 1


async def test_a_lost_line_answers_what_was_asked_on_it_and_comes_back(line):
    line.ask()
    await line.puppet.heard(2)
    await line.puppet.stream.aclose()
    assert (await line.next_facts()).pin is Check.NO_ANSWER

    while not line.link.connected:  # noqa: ASYNC110 - the link has an event for its first line only
        await trio.sleep(0.005)
    line.ask(pin=False)
    await line.puppet.heard(3)
    await line.puppet.say(2, b"CZ00")
    assert (await line.next_facts()).cvv is Check.PASSED


async def test_a_reply_that_cannot_be_framed_costs_the_line_and_no_wrong_verdict(line):
    line.ask(pin=False)
    await line.puppet.heard(1)
    await line.puppet.stream.send_all(b"\x00\x01A")

    assert (await line.next_facts()).cvv is Check.NO_ANSWER


async def test_more_questions_than_allowed_are_not_asked(line):
    for _ in range(4):
        assert line.ask(pin=False) is None

    assert line.ask(pin=False) == Facts(Check.NO_ANSWER, Check.NOT_ASKED, CARD.version)
    assert line.count("unavailable") == 1


async def test_a_question_that_does_not_fit_its_command_is_no_verdict_and_asks_nothing(line):
    crooked = Evidence(PAN, "190", "999", "2912", "not a pin block!", "01")

    assert line.ask(crooked) == Facts(Check.NO_ANSWER, Check.NO_ANSWER, CARD.version)
    assert line.puppet.asked == []
