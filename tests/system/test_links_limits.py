"""What one link may use, and that its neighbours do not notice when it uses all of it."""

import random
import select
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from processor.iso8583.framing import VISA_FRAME

pytestmark = pytest.mark.slow

STATUS = ("--status-seconds", "0.05")


@pytest.fixture
def silent_desk(launch: Any, silent_hsm: Any, issuer: Any, tmp_path: Path) -> Any:
    """Starts a processor whose HSM says nothing for half a second a question; it has 60 cards."""

    def start(**limits: str) -> Any:
        cards = [issuer.card() for _ in range(60)]
        settings = {f"LIMITS__{name}": value for name, value in limits.items()}
        child = launch.processor(
            tmp_path / "state", silent_hsm.address, issuer.deck(tmp_path), more=STATUS, **settings
        ).ready()
        child.cards = cards
        return child

    return start


def test_what_one_link_has_in_flight_is_bounded_and_the_rest_waits_its_turn(
    silent_desk: Any, connect: Any, till: Any
) -> None:
    desk = silent_desk(LINK_IN_FLIGHT_MAX="5")
    link = connect(desk)
    asked = [till.purchase(card, 100, "stripe") for card in desk.cards[:12]]
    link.send(*asked)
    replies = [link.receive() for _ in asked]
    seen = {
        int(line.partition('"in_flight":')[2].partition(",")[0]) for line in desk.out.containing("status")
    }

    assert {r.elements[11] for r in replies} == {a.elements[11] for a in asked}
    assert max(seen) == 5


def test_a_link_that_sends_without_end_leaves_room_for_others(
    silent_desk: Any, connect: Any, till: Any
) -> None:
    desk = silent_desk(IN_FLIGHT_MAX="20", LINK_IN_FLIGHT_MAX="1000")
    greedy, modest = connect(desk), connect(desk)
    modest.ask(till.signal("301"))
    greedy.send(*[till.purchase(card, 100, "stripe") for card in desk.cards])
    desk.out.wait_for('"in_flight":10')
    question = till.purchase(desk.cards[0], 100, "stripe")
    code = modest.ask(question).elements[39]
    codes = {greedy.receive().elements[39] for _ in desk.cards}

    assert code == "91", "asked of the HSM, which is silent; not shed"
    assert codes == {"91"}, "held back, not refused"


def test_two_hundred_slow_and_a_hundred_garbage_links_harm_nobody(
    launch: Any, hsm: Any, issuer: Any, connect: Any, till: Any, tmp_path: Path
) -> None:
    card = issuer.card(10**9)
    desk = launch.serving(
        tmp_path / "state", hsm, issuer.deck(tmp_path),
        LIMITS__CONNECTIONS_MAX="400", LIMITS__CONNECTIONS_PER_PEER_MAX="400", LIMITS__FIRST_FRAME_S="3",
    )  # fmt: skip
    good, chance = connect(desk), random.Random(1)
    frame = VISA_FRAME.frame(good.codec.encode(till.purchase(card, 1)))
    bad = [connect(desk).socket for _ in range(300)]
    slow = set(bad[:200])
    for stream in bad:
        stream.setblocking(False)
    step = 0
    while bad:
        for stream in bad:
            with suppress(OSError):
                stream.send(frame[step : step + 1] if stream in slow else chance.randbytes(3000))
        step = min(step + 1, len(frame) - 2)
        assert good.ask(till.purchase(card, 1, "stripe")).elements[39] == "00"
        readable = select.select(bad, [], [], 0.02)[0]
        bad = [stream for stream in bad if stream not in readable or not _is_over(stream)]

    assert good.ask(till.purchase(card, 1)).elements[39] == "00"
    for reason in ("frame_not_finished", "frame_too_long"):
        desk.log.wait_for(reason)
    assert desk.running
    assert not desk.log.containing("Traceback")


def test_a_storm_of_connections_from_one_address_is_turned_away_and_others_are_served(
    launch: Any, hsm: Any, issuer: Any, connect: Any, switch_link: Any, till: Any, tmp_path: Path
) -> None:
    card = issuer.card(10**9)
    desk = launch.serving(
        tmp_path / "state", hsm, issuer.deck(tmp_path),
        LIMITS__CONNECTS_PER_PEER_S="0.001", LIMITS__CONNECTIONS_PER_PEER_MAX="5",
    )  # fmt: skip
    good, stop = connect(desk), threading.Event()
    good.ask(till.signal("301"))

    def storm() -> None:
        while not stop.is_set():
            with suppress(OSError), socket.create_connection(desk.address, 20) as stream:
                stream.send(b"\xff\xff")

    stormers = [threading.Thread(target=storm) for _ in range(4)]
    for thread in stormers:
        thread.start()
    try:
        desk.log.wait_for("connects_too_fast")
        for _ in range(10):
            new = switch_link.over(socket.create_connection(desk.address, 20, ("127.0.0.2", 0)))
            assert new.ask(till.purchase(card, 1)).elements[39] == "00"
            assert good.ask(till.purchase(card, 1)).elements[39] == "00"
            new.socket.close()
    finally:
        stop.set()
        for thread in stormers:
            thread.join()

    assert connect(desk).is_over(), "and stays away"
    assert not desk.log.containing("Traceback")


def _is_over(stream: Any) -> bool:
    try:
        return not stream.recv(65_536)
    except BlockingIOError:
        return False
    except OSError:
        return True
