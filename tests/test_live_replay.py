"""Frames sent to a host: their order, what waits for what, which reply answers which question, what ends it."""

import math
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import pytest
import trio

from processor.iso8583.codec import PyisoCodec
from processor.iso8583.framing import VISA_FRAME, Framer
from processor.iso8583.message import Message
from processor.networks.adapters import DIALECTS
from processor.networks.profile import load_profile
from processor.networks.respond import Responder
from processor.replay.compare import LIVE, FieldRules
from processor.replay.report import Run, as_object
from processor.replay.tally import Tally
from processor.services.live_replay.cues import Cue, hex_lines
from processor.services.live_replay.lane import TargetError
from processor.services.live_replay.peer import Peer
from processor.services.live_replay.replay import LiveReplay, Pace, Schedule, Target
from processor.values.errors import ConfigError
from processor.values.outcome import Reply
from processor.values.reasons import Reason

CODEC = PyisoCodec(DIALECTS["visa-like"])
RESPONDER = Responder(load_profile("visa-like"))
AT_ONCE = Pace(speed=math.inf)
PATIENCE_S = 20.0


def reply_to(asked: Message, reason: Reason = Reason.APPROVED, auth_code: str = "") -> Message:
    return RESPONDER.respond(asked, Reply(reason, auth_code))


def cue(number: int, asked: Message, expected: Message | None, link: int = 1, **more) -> Cue:
    frame = CODEC.encode(expected) if expected is not None else None
    return Cue(number, number, link, "visa-like", 0, CODEC.encode(asked), frame, **more)


def approved(*asked: Message) -> list[Cue]:
    """Each message once, in order, on one link, with the reply that approves it."""
    return [cue(number, message, reply_to(message)) for number, message in enumerate(asked, 1)]


class Host:
    """A card port that does what ``say`` does with each message it gets, and remembers them with their link."""

    def __init__(self, say: Callable[["Host", trio.SocketStream, Message], Iterable[Message]]) -> None:
        self.heard: list[tuple[int, Message]] = []
        self.links = 0
        self.closed = 0
        self._news = trio.Event()
        self._say = say

    async def has_heard(self, count: int) -> None:
        while len(self.heard) < count:
            self._news = trio.Event()
            await self._news.wait()

    async def serve(self, stream: trio.SocketStream) -> None:
        self.links += 1
        link = self.links
        framer = Framer(VISA_FRAME, 65_535)
        try:
            async for data in stream:
                framer.receive(bytes(data))
                while frames := framer.frames():
                    for frame in frames:
                        await self._take(link, stream, CODEC.decode(frame))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        self.closed += 1

    async def _take(self, link: int, stream: trio.SocketStream, message: Message) -> None:
        self.heard.append((link, message))
        self._news.set()
        for reply in self._say(self, stream, message):
            await stream.send_all(VISA_FRAME.frame(CODEC.encode(reply)))


@asynccontextmanager
async def running(say) -> AsyncIterator[tuple[Host, tuple[str, int]]]:
    host = Host(say)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, host.serve, [listener])
            yield host, listener.socket.getsockname()[:2]
            nursery.cancel_scope.cancel()


def approve(_host: Host, _stream: trio.SocketStream, asked: Message) -> list[Message]:
    return [reply_to(asked)]


async def replayed(
    say, cues: Iterable[Cue], pace: Pace = AT_ONCE, timeout_s: float = 5.0
) -> tuple[dict, Host]:
    """Replay to a host; the report and the host."""
    tally = new_tally()
    async with running(say) as (host, address):
        await LiveReplay(to(address), tally, pace, timeout_s).run(iter(cues))
    return as_object(Run("cues", "live"), tally), host


def to(address: tuple[str, int]) -> dict[str, Target]:
    return {"visa-like": Target(Peer(load_profile("visa-like")), address)}


def new_tally() -> Tally:
    return Tally({"visa-like": FieldRules(LIVE)}, {"visa-like": DIALECTS["visa-like"]}, 3)


def stans(host: Host, link: int | None = None) -> list[str]:
    return [message.elements[11] for number, message in host.heard if link in {None, number}]


async def test_a_host_that_answers_as_recorded_has_no_differences(issuer, till):
    questions = [till.purchase(issuer.card()) for _ in range(50)]
    report, host = await replayed(approve, approved(*questions))
    assert (report["frames"], report["compared"], report["same"], report["findings"]) == (50, 50, 50, {})
    assert [message.elements for _, message in host.heard] == [question.elements for question in questions]


async def test_a_host_that_decides_otherwise_is_told_in_groups(issuer, till):
    def decline_every_third(host, _stream, asked):
        refused = len(host.heard) % 3 == 0
        return [
            reply_to(
                asked, Reason.INSUFFICIENT_FUNDS if refused else Reason.APPROVED, "" if refused else "NEW001"
            )
        ]

    questions = [till.purchase(issuer.card()) for _ in range(30)]
    cues = [cue(n, asked, reply_to(asked, auth_code="OLD001")) for n, asked in enumerate(questions, 1)]
    report, _ = await replayed(decline_every_third, cues)
    assert report["same"] == 20
    assert [(group["label"], group["count"], group["also"]) for group in report["groups"]] == [
        ("DE39 00→51", 10, {"DE38 given→absent": 10})
    ]
    assert report["first"]["number"] == 3


async def test_replies_are_matched_by_key_and_not_by_order(issuer, till):
    kept: list[Message] = []

    def answer_backwards(_host, _stream, asked):
        kept.append(asked)
        return [reply_to(kept.pop()) for _ in range(10)] if len(kept) == 10 else []

    questions = [till.purchase(issuer.card()) for _ in range(20)]
    report, _ = await replayed(answer_backwards, approved(*questions))
    assert (report["same"], report["findings"]) == (20, {})


async def test_each_recorded_link_has_a_connection_of_its_own_and_its_order(issuer, till):
    questions = [till.purchase(issuer.card()) for _ in range(40)]
    cues = [cue(n, asked, reply_to(asked), link=n % 4) for n, asked in enumerate(questions, 1)]
    report, host = await replayed(approve, cues)
    assert (report["same"], host.links) == (40, 4)
    for link in range(1, 5):
        assert stans(host, link) == sorted(stans(host, link))


async def test_a_link_is_closed_after_its_last_frame(issuer, till):
    first, second = till.purchase(issuer.card()), till.purchase(issuer.card())
    closed: list[int] = []

    def watch(host, _stream, asked):
        closed.append(host.closed)
        return [reply_to(asked)]

    cues = [cue(1, first, reply_to(first), link=1, last=True), cue(2, second, reply_to(second), link=2)]
    report, _ = await replayed(watch, cues, Pace(rate=2))
    assert report["same"] == 2
    assert closed == [0, 1]


WAITS = {
    "a reversal for its purchase": lambda till, first, _other: till.reversal(first),
    "a repeat for its first": lambda till, first, _other: till.repeat(first),
    "another purchase of the card, on another link": lambda till, _first, other: other,
}


@pytest.mark.parametrize("case", WAITS)
async def test_what_names_an_earlier_message_waits_for_its_reply(case, issuer, till):
    card = issuer.card()
    first = till.purchase(card)
    later = WAITS[case](till, first, till.purchase(card))
    stranger = till.purchase(issuer.card())
    held: list[tuple[trio.SocketStream, Message]] = []

    def hold_back_the_first(host, stream, asked):
        if len(host.heard) > 1:
            return [reply_to(asked)]
        held.append((stream, asked))
        return []

    tally = new_tally()
    cues = [
        cue(1, first, reply_to(first), link=1),
        cue(2, later, reply_to(later), link=2),
        cue(3, stranger, reply_to(stranger), link=3),
    ]
    async with running(hold_back_the_first) as (host, address), trio.open_nursery() as nursery:
        nursery.start_soon(LiveReplay(to(address), tally, AT_ONCE, 5.0).run, iter(cues))
        await host.has_heard(2)
        assert [message.elements[11] for _, message in host.heard] == [
            first.elements[11],
            stranger.elements[11],
        ]
        stream, asked = held[0]
        await stream.send_all(VISA_FRAME.frame(CODEC.encode(reply_to(asked))))
    assert host.heard[2][1].elements == later.elements
    assert tally.same == 3


async def test_a_sign_off_waits_for_what_came_before_and_what_follows_for_it(issuer, till):
    before, sign_off, after = till.purchase(issuer.card()), till.signal("072"), till.purchase(issuer.card())
    cues = [cue(n, asked, reply_to(asked), link=n) for n, asked in enumerate((before, sign_off, after), 1)]
    report, host = await replayed(approve, cues)
    assert report["same"] == 3
    assert [message.mti for _, message in host.heard] == ["0100", "0800", "0100"]


async def test_a_sign_off_is_not_sent_before_all_is_answered(issuer, till):
    """The host answers the purchase when it hears the sign-off: too late, because that waits for its time to be up."""
    stranger, first, sign_off = till.purchase(issuer.card()), till.purchase(issuer.card()), till.signal("072")

    def answer_the_second_last(host, _stream, asked):
        if len(host.heard) == 2:
            return []
        return [reply_to(asked)] if len(host.heard) == 1 else [reply_to(asked), reply_to(first)]

    report, _ = await replayed(answer_the_second_last, approved(stranger, first, sign_off), timeout_s=0.2)
    assert report["findings"] == {"late reply": 1}


@pytest.mark.parametrize("named_by", [{}, {90}], ids=["by DE 90 and 38", "by DE 37 and 38 alone"])
async def test_a_reversal_names_its_original_by_the_hosts_own_auth_code(issuer, till, named_by):
    first = till.purchase(issuer.card())
    whole = till.reversal(first, auth_code="OLD001")
    left = {number: value for number, value in whole.elements.items() if number not in named_by}
    reversal = Message(whole.header, whole.mti, left)
    cues = [cue(1, first, reply_to(first, auth_code="OLD001")), cue(2, reversal, reply_to(reversal))]
    report, host = await replayed(
        lambda _h, _s, asked: [reply_to(asked, auth_code="NEW001" if asked.mti == "0100" else "")], cues
    )
    assert host.heard[1][1].elements[38] == "NEW001"
    assert report["findings"] == {}


async def test_a_repeat_with_another_amount_is_told_from_its_first(issuer, till):
    """The repeat waits for the first until its time is up; then only the echoes tell the two replies apart."""
    stranger, first = till.purchase(issuer.card()), till.purchase(issuer.card(), 1000)
    changed = Message(first.header, "0101", first.elements | {4: f"{2000:012}"})

    def answer_the_first_last(host, _stream, asked):
        if len(host.heard) == 2:
            return []
        return (
            [reply_to(asked)]
            if len(host.heard) == 1
            else [reply_to(asked, Reason.DUPLICATE), reply_to(first)]
        )

    cues = [*approved(stranger, first), cue(3, changed, reply_to(changed, Reason.DUPLICATE))]
    report, _ = await replayed(answer_the_first_last, cues, timeout_s=0.2)
    assert report["findings"] == {"late reply": 1}
    assert report["first"]["number"] == 2
    assert report["same"] == 2


FINDINGS = {
    "no reply": (lambda host, asked: [] if len(host.heard) == 2 else [reply_to(asked)], {"no reply": 1}),
    "second reply": (lambda host, asked: [reply_to(asked)] * (1 + (len(host.heard) == 2)), {"second reply": 1}),
    "reply to nothing that was asked": (
        lambda host, asked: [reply_to(asked), *([reply_to(Message(asked.header, "0100", asked.elements | {11: "999999"}))] if len(host.heard) == 2 else [])],
        {"reply to nothing that was asked": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FINDINGS)
async def test_a_reply_that_is_missing_or_too_much_is_a_finding(case, issuer, till):
    say, expected = FINDINGS[case]
    questions = [till.purchase(issuer.card()) for _ in range(4)]
    report, _ = await replayed(
        lambda host, _stream, asked: say(host, asked),
        approved(*questions),
        Pace(one_at_a_time=True),
        timeout_s=0.3,
    )
    assert report["findings"] == expected


async def test_silence_where_silence_was_recorded_is_the_same(issuer, till):
    first, second = till.purchase(issuer.card()), till.purchase(issuer.card())
    cues = [cue(1, first, reply_to(first)), cue(2, second, None)]
    report, _ = await replayed(
        lambda host, _s, asked: [reply_to(asked)] if len(host.heard) == 1 else [], cues, timeout_s=0.2
    )
    assert (report["compared"], report["findings"]) == (1, {})


async def test_a_reply_where_silence_was_recorded_is_a_finding(issuer, till):
    asked = till.purchase(issuer.card())
    report, _ = await replayed(approve, [cue(1, asked, None)])
    assert report["findings"] == {"reply where none was recorded": 1}


async def test_where_no_reply_is_known_what_comes_is_counted(issuer, till):
    asked = till.purchase(issuer.card())
    report, _ = await replayed(approve, [cue(1, asked, None, known=False)])
    assert (report["compared"], report["answers"]) == (0, [{"mti": "0100", "code": "00", "count": 1}])


async def test_what_answers_the_recorded_host_is_not_sent(issuer, till):
    asked = till.purchase(issuer.card())
    answer = reply_to(till.signal("301"), Reason.ACCEPTED)
    report, host = await replayed(approve, [cue(1, answer, None), cue(2, asked, reply_to(asked))])
    assert (report["frames"], len(host.heard)) == (1, 1)


async def test_an_echo_test_of_the_hosts_is_answered(issuer, till):
    def ask_first(host, _stream, asked):
        if asked.mti == "0810":
            return [reply_to(host.heard[0][1])]
        return [till.signal("301")]

    report, host = await replayed(ask_first, approved(till.purchase(issuer.card())))
    assert [message.mti for _, message in host.heard] == ["0100", "0810"]
    assert host.heard[1][1].elements[39] == "00"
    assert (report["same"], report["findings"]) == (1, {})


async def test_a_reply_that_cannot_be_read_is_a_finding(issuer, till):
    tally = new_tally()
    questions = [till.purchase(issuer.card()) for _ in range(2)]

    async def serve(stream: trio.SocketStream) -> None:
        framer = Framer(VISA_FRAME, 65_535)
        async for data in stream:
            framer.receive(bytes(data))
            for frame in framer.frames():
                answer = CODEC.encode(reply_to(CODEC.decode(frame)))
                broken = answer[:24] + b"\xff" * 8 + answer[32:]
                await stream.send_all(VISA_FRAME.frame(broken) + VISA_FRAME.frame(answer))

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        address = listener.socket.getsockname()[:2]
        await LiveReplay(to(address), tally, AT_ONCE, 5.0).run(iter(approved(*questions)))
        nursery.cancel_scope.cancel()
    report = as_object(Run("cues", "live"), tally)
    assert (report["same"], report["findings"]) == (2, {"reply that cannot be read": 2})


async def test_a_host_that_loses_replies_now_and_then_has_not_stopped_answering(issuer, till):
    questions = [till.purchase(issuer.card()) for _ in range(24)]
    report, _ = await replayed(
        lambda host, _stream, asked: [reply_to(asked)] if len(host.heard) % 2 else [],
        approved(*questions),
        Pace(one_at_a_time=True),
        timeout_s=0.05,
    )
    assert (report["same"], report["findings"]) == (12, {"no reply": 12})


ENDS = {
    "never answers": (lambda _host, _stream, _asked: [], r"does not answer: no reply within 0\.2 s to 1 in a row", 0),
    "stops answering": (lambda host, _s, asked: [reply_to(asked)] if len(host.heard) <= 5 else [], r"does not answer: .* to 10 in a row", 5),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDS)
async def test_a_host_that_does_not_answer_ends_the_replay_and_what_was_compared_stays(case, issuer, till):
    say, expected, same = ENDS[case]
    tally = new_tally()
    questions = [till.purchase(issuer.card()) for _ in range(40)]
    async with running(say) as (_, address):
        with pytest.raises(TargetError, match=expected):
            await LiveReplay(to(address), tally, AT_ONCE, 0.2).run(iter(approved(*questions)))
    assert tally.same == same


async def test_a_host_that_closes_ends_the_replay_and_what_was_compared_stays(issuer, till):
    def close_at_the_third(host, stream, asked):
        if len(host.heard) == 3:
            stream.socket.shutdown(trio.socket.SHUT_RDWR)
            return []
        return [reply_to(asked)]

    tally = new_tally()
    cues = approved(*[till.purchase(issuer.card()) for _ in range(5)])
    async with running(close_at_the_third) as (_, address):
        with pytest.raises(TargetError, match="closed the connection with frame 3 unanswered"):
            await LiveReplay(to(address), tally, Pace(one_at_a_time=True), 5.0).run(iter(cues))
    assert (tally.same, tally.findings) == (2, 0)


async def test_a_host_that_closes_an_idle_link_is_connected_again(issuer, till):
    def close_after_the_reply(_host, stream, asked):
        yield reply_to(asked)
        stream.socket.shutdown(trio.socket.SHUT_WR)

    cues = approved(*[till.purchase(issuer.card()) for _ in range(3)])
    report, host = await replayed(close_after_the_reply, cues, Pace(rate=10))
    assert (report["same"], host.links) == (3, 3)


async def test_a_host_that_refuses_is_told(issuer, till, unused_port):
    tally = new_tally()
    cues = approved(till.purchase(issuer.card()))
    with pytest.raises(TargetError, match=r"cannot connect: .*refused"):
        await LiveReplay(to(("127.0.0.1", unused_port)), tally, AT_ONCE, 5.0).run(iter(cues))


@pytest.fixture
def unused_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


async def test_a_host_that_speaks_another_framing_is_told(issuer, till):
    tally = new_tally()

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        address = listener.socket.getsockname()[:2]
        with pytest.raises(TargetError, match="its frames are not visa-like's"):
            await LiveReplay(to(address), tally, AT_ONCE, 5.0).run(
                iter(approved(till.purchase(issuer.card())))
            )
        nursery.cancel_scope.cancel()


PACES = {
    "as recorded": (Pace(), [0.0, 1.0, 11.0, 11.5]),
    "twice as fast": (Pace(speed=2.0), [0.0, 0.5, 5.5, 5.75]),
    "without pauses": (Pace(speed=math.inf), [0.0, 0.0, 0.0, 0.0]),
    "at a rate": (Pace(rate=10.0), [0.0, 0.1, 0.2, 0.3]),
    "with the long pause shortened": (Pace(max_gap_s=2.0), [0.0, 1.0, 3.0, 3.5]),
}


@pytest.mark.parametrize("case", PACES)
def test_frames_are_due_as_the_pace_says(case):
    pace, expected = PACES[case]
    schedule = Schedule(pace)
    assert [schedule.due_s(at_ms) for at_ms in (5_000, 6_000, 16_000, 16_500)] == expected


def test_a_clock_that_ran_backwards_makes_no_pause():
    schedule = Schedule(Pace())
    assert [schedule.due_s(at_ms) for at_ms in (5_000, 4_000, 4_500)] == [0.0, 0.0, 0.5]


def test_hex_lines_are_read_with_and_without_replies(tmp_path):
    file = tmp_path / "frames.txt"
    file.write_text("# two frames\n\n16010200\n1601 0203\n  1602\t-\n")
    cues = list(hex_lines(file, "visa-like"))
    assert [(c.number, c.line, c.frame.hex(), c.expected, c.known) for c in cues] == [
        (1, 3, "16010200", None, False),
        (2, 4, "1601", b"\x02\x03", True),
        (3, 5, "1602", None, True),
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [("16zz\n", ":1: not hexadecimal"), ("16 16 16", ":1: must be FRAME"), ("\n# nothing\n", "no frames")],
)
def test_lines_that_are_something_else_are_told(tmp_path, content, problem):
    file = tmp_path / "frames.txt"
    file.write_text(content)
    with pytest.raises(ConfigError, match=problem):
        list(hex_lines(file, "visa-like"))
