"""The switch against a real processor, over a wire that tampers with the replies."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import trio
import trio.testing

from processor.iso8583.codec import PyisoCodec
from processor.iso8583.framing import VISA_FRAME, Framer
from processor.iso8583.message import Message
from processor.iso8583.tables.visa_like import VISA_LIKE
from processor.values.clock import SystemClock
from processor.values.errors import WorldError
from simulators.judge import Judge
from simulators.networks.visa_like import VisaLike
from simulators.report import Report
from simulators.switch import Load, Switch
from simulators.traffic import Traffic
from simulators.wallet import Wallet

pytestmark = pytest.mark.slow

NETWORK = VisaLike()
CODEC = PyisoCodec(VISA_LIKE)
CARDS_PER_TEST = 12
BRIEF = Load(0.0, 32, 0.4)

# What becomes of a reply on its way: the frames that arrive instead of it.
Tamper: TypeAlias = Callable[[Message], list[bytes]]


def frame(message: Message) -> bytes:
    return VISA_FRAME.frame(CODEC.encode(message))


class TamperingStream(trio.abc.Stream):
    """The switch's end of a link, on which replies pass through ``tamper``."""

    def __init__(self, stream: trio.SocketStream, tamper: Tamper) -> None:
        self._stream = stream
        self._tamper = tamper
        self._framer = Framer(VISA_FRAME, 4096)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = b""
        while not data:
            arrived = await self._stream.receive_some(max_bytes)
            if not arrived:
                return b""
            self._framer.receive(bytes(arrived))
            data = b"".join(part for f in self._framer.frames() for part in self._tamper(CODEC.decode(f)))
        return data

    async def aclose(self) -> None:
        await self._stream.aclose()


def honest(reply: Message) -> list[bytes]:
    return [frame(reply)]


class Once:
    """Tampers with the first reply that ``suits``, and says by ``done`` that there was one."""

    def __init__(self, suits: Callable[[Message], bool], instead: Callable[[Message], list[bytes]]) -> None:
        self.done = trio.Event()
        self._suits = suits
        self._instead = instead

    def __call__(self, reply: Message) -> list[bytes]:
        if self.done.is_set() or not self._suits(reply):
            return [frame(reply)]
        self.done.set()
        return self._instead(reply)


def with_elements(changed: dict[int, str | None]) -> Callable[[Message], list[bytes]]:
    """The reply with some elements changed, or taken out."""

    def instead(reply: Message) -> list[bytes]:
        elements = {**reply.elements, **changed}
        return [frame(Message(reply.header, reply.mti, {n: v for n, v in elements.items() if v is not None}))]

    return instead


def unswapped(reply: Message) -> list[bytes]:
    header = reply.header
    return [frame(Message(header[:5] + header[8:11] + header[5:8] + header[11:], reply.mti, reply.elements))]


def garbled(reply: Message) -> list[bytes]:
    data = bytearray(CODEC.encode(reply))
    data[22:24] = b"\xff\xff"  # no MTI
    return [VISA_FRAME.frame(bytes(data))]


def wrongly_counted(reply: Message) -> list[bytes]:
    data = bytearray(CODEC.encode(reply))
    data[4] ^= 1  # the header's total length
    return [VISA_FRAME.frame(bytes(data))]


def approved(reply: Message) -> bool:
    return reply.mti == "0110" and reply.elements[39] == "00"


def declined(reply: Message) -> bool:
    return reply.mti == "0110" and reply.elements[39] in ("82", "N7")


def reversed_(reply: Message) -> bool:
    return reply.mti == "0430" and 90 in reply.elements


class Seen:
    """Suits the second reply to the same question."""

    def __init__(self) -> None:
        self._keys: set[tuple[str, str]] = set()

    def __call__(self, reply: Message) -> bool:
        if not approved(reply):
            return False
        key = (reply.elements[7], reply.elements[11])
        known = key in self._keys
        self._keys.add(key)
        return known


@pytest.fixture(scope="module")
def served(
    launch_for_module: Any, hsm: Any, new_issuer: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[tuple[str, int], list[Wallet]]:
    """A processor's card port, and cards that nobody has used; each test takes its own."""
    folder: Path = tmp_path_factory.mktemp("switch")
    issuer = new_issuer()
    wallets = [issuer.card(150_000) for _ in range(CARDS_PER_TEST * 30)]
    processor = launch_for_module.serving(folder / "state", hsm, issuer.deck(folder))
    return processor.address, wallets


async def played(
    served: tuple[tuple[str, int], list[Wallet]],
    tamper: Tamper = honest,
    load: Load = BRIEF,
    seed: int = 1,
    deadline_s: float = 0.5,
) -> tuple[Report, Judge]:
    """A short run with fresh cards."""
    address, wallets = served
    mine = [wallets.pop() for _ in range(CARDS_PER_TEST)]
    judge = Judge(NETWORK, {wallet.card.pan: wallet.card.balance_minor for wallet in mine}, fresh=True)
    async with TamperingStream(await trio.open_tcp_stream(*address), tamper) as stream:
        switch = Switch(
            [stream], Traffic(NETWORK, mine, seed, SystemClock()), judge, load, deadline_s=deadline_s
        )
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                if isinstance(tamper, Once):
                    nursery.start_soon(stop_after, tamper, switch)
                await switch.run()
                nursery.cancel_scope.cancel()
    return switch.report, judge


async def stop_after(tamper: Once, switch: Switch) -> None:
    await tamper.done.wait()
    switch.stop()


async def test_an_honest_link_has_nothing_to_complain_about(served: Any) -> None:
    report, judge = await played(served, load=Load(0.0, 32, 1.0), deadline_s=10)
    assert report.is_clean, report.described
    assert report.sent == report.answered > 200
    assert report.answers.keys() >= {"00", "51", "82", "55"}
    assert judge.open_holds > 0


async def test_the_open_loop_sends_what_the_schedule_wants(served: Any) -> None:
    report, _ = await played(served, load=Load(300.0, 0, 1.0), deadline_s=10)
    assert report.is_clean, report.described
    assert report.sent == 300 + 2  # signed on and off
    assert report.messages["0800"] >= 2


@pytest.mark.parametrize(
    ("suits", "instead", "kind"),
    [
        pytest.param(approved, with_elements({39: "51", 38: None}), "DE 39", id="an approval refused"),
        pytest.param(declined, with_elements({39: "00", 38: "A1B2C3"}), "DE 39", id="a refusal approved"),
        pytest.param(declined, with_elements({39: "05"}), "DE 39", id="a refusal for another reason"),
        pytest.param(reversed_, with_elements({39: "12"}), "DE 39", id="a reversal refused"),
        pytest.param(approved, with_elements({38: None}), "DE 38", id="an approval without DE 38"),
        pytest.param(declined, with_elements({38: "A1B2C3"}), "DE 38", id="a refusal with DE 38"),
        pytest.param(Seen(), with_elements({38: "ZZZZZ9"}), "repeat", id="a repeat with another DE 38"),
        pytest.param(approved, with_elements({4: "000000000001"}), "unmatched", id="another amount"),
        pytest.param(approved, with_elements({44: None}), "verification result", id="no result of the CVV"),
        pytest.param(declined, with_elements({44: "    2"}), "verification result", id="a wrong CVV called right"),
        pytest.param(approved, with_elements({41: None}), "echo of DE 41", id="an echo left out"),
        pytest.param(approved, with_elements({49: "978"}), "echo of DE 49", id="another currency"),
        pytest.param(reversed_, with_elements({90: None}), "echo of DE 90", id="a reversal without DE 90"),
        pytest.param(approved, with_elements({14: "4012"}), "DE 14 returned", id="an expiry that comes back"),
        pytest.param(approved, lambda r: [frame(Message(r.header, "0111", r.elements))], "MTI",
                     id="another MTI"),
        pytest.param(approved, unswapped, "header", id="stations not swapped"),
        pytest.param(approved, lambda r: [frame(r), frame(r)], "unmatched", id="a reply that comes twice"),
        pytest.param(approved, with_elements({37: "000000000000"}), "unmatched", id="another DE 37"),
        pytest.param(approved, garbled, "undecodable", id="a reply that cannot be read"),
        pytest.param(approved, wrongly_counted, "undecodable", id="a header with another total length"),
    ],
)  # fmt: skip
async def test_a_wrong_reply_is_noticed(
    suits: Callable[[Message], bool], instead: Callable[[Message], list[bytes]], kind: str, served: Any
) -> None:
    tamper = Once(suits, instead)
    report, _ = await played(served, tamper, load=Load(0.0, 32, 10.0))
    assert tamper.done.is_set(), "the traffic had no such reply"
    assert kind in report.mismatches, (report.mismatches, report.described)
    assert not report.is_clean


async def test_a_reply_that_never_comes_is_unanswered(served: Any) -> None:
    report, _ = await played(served, Once(approved, lambda _: []))
    assert report.unanswered >= 1
    assert not report.is_clean


async def test_what_is_described_names_no_card(served: Any) -> None:
    report, _ = await played(
        served, lambda r: with_elements({39: "05", 38: None})(r) if approved(r) else [frame(r)]
    )
    assert report.described
    assert all("400000******" in line for line in report.described if line.startswith("DE 39"))
    assert len(report.described) <= 10 < sum(report.mismatches.values())


@pytest.mark.parametrize(
    ("instead", "link"),
    [
        pytest.param(lambda _: [b"\xff\xff\0\0"], "frame_too_long", id="a length that cannot be right"),
        pytest.param(
            lambda _: [b"\x00\x40\x01\x00"], "reserved_bytes", id="reserved bytes that are not zero"
        ),
    ],
)
async def test_a_lost_stream_ends_the_run(
    instead: Callable[[Message], list[bytes]], link: str, served: Any
) -> None:
    report, _ = await played(served, Once(approved, instead))
    assert link in report.link
    assert not report.is_clean
    assert report.unanswered >= 1


async def test_latency_counts_from_the_schedule_and_lateness_is_told(
    served: Any, autojump_clock: trio.testing.MockClock
) -> None:
    """An issuer that reads nothing for five seconds: every message was due long before it could leave."""
    ours, theirs = trio.testing.lockstep_stream_pair()
    _, wallets = served
    mine = wallets[:20]
    judge = Judge(NETWORK, {wallet.card.pan: wallet.card.balance_minor for wallet in mine}, fresh=True)
    switch = Switch(
        [ours], Traffic(NETWORK, mine, 1, SystemClock()), judge, Load(10.0, 0, 1.0), deadline_s=30
    )

    async def issuer() -> None:
        framer = Framer(VISA_FRAME, 4096)
        while data := await theirs.receive_some():
            framer.receive(bytes(data))
            for asked in map(CODEC.decode, framer.frames()):
                if asked.mti == "0100" and autojump_clock.current_time() < 5:
                    await trio.sleep(5)
                mti = f"{asked.mti[:2]}{int(asked.mti[2]) + 1}0"
                elements = {n: v for n, v in asked.elements.items() if n in (2, 3, 4, 7, 11, 32, 37, 70)}
                await theirs.send_all(frame(Message(asked.header, mti, elements | {39: "00"})))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(issuer)
        await switch.run()
        await ours.aclose()
    assert switch.report.sent == 12
    assert switch.report.latency.at(50) == pytest.approx(4_500_000, rel=0.05)
    assert switch.report.lateness.at(99) == pytest.approx(4_900_000, rel=0.05)


async def test_keep_alive_polls_are_not_replies(served: Any) -> None:
    report, _ = await played(served, lambda r: [VISA_FRAME.frame(b""), frame(r)], deadline_s=10)
    assert report.is_clean, report.described


async def test_an_issuer_that_refuses_the_sign_on_gets_no_traffic(served: Any) -> None:
    refuse = Once(lambda r: r.mti == "0810", with_elements({39: "91"}))
    with pytest.RaisesGroup(pytest.RaisesExc(WorldError, match="sign-on")):
        await played(served, refuse)


async def test_an_issuer_that_closes_the_link_ends_the_run(served: Any) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    _, wallets = served
    judge = Judge(NETWORK, {wallets[0].card.pan: 1}, fresh=True)
    switch = Switch([ours], Traffic(NETWORK, wallets[:1], 1, SystemClock()), judge, Load(10.0, 0, 1.0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(switch.run)
        await theirs.receive_some(1)
        await theirs.aclose()
    assert switch.report.link == "closed by the issuer"
    assert switch.report.unanswered == 1


async def test_stopping_early_waits_for_the_answers_and_signs_off(served: Any) -> None:
    address, wallets = served
    mine = [wallets.pop() for _ in range(CARDS_PER_TEST)]
    judge = Judge(NETWORK, {wallet.card.pan: wallet.card.balance_minor for wallet in mine}, fresh=True)
    some_replies = trio.Event()

    def watch(reply: Message) -> list[bytes]:
        if reply.mti == "0110":
            some_replies.set()
        return [frame(reply)]

    async with TamperingStream(await trio.open_tcp_stream(*address), watch) as stream:
        switch = Switch([stream], Traffic(NETWORK, mine, 1, SystemClock()), judge, Load(200.0, 0, 3_600.0))
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(switch.run)
                await some_replies.wait()
                switch.stop()
    assert switch.report.is_clean, switch.report.described
    assert switch.report.messages["0800"] == 2
