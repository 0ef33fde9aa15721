"""Who may open a link: how many, how fast, and whose handshake comes next."""

import pytest
import trio
import trio.testing

from processor.config import LimitsSection
from processor.links.admission import PEERS_MAX, Admission, Pace

HERE, THERE = "192.0.2.1", "192.0.2.2"


def admission(**limits: float) -> Admission:
    return Admission(LimitsSection.model_validate(limits))


def connects(pace: Pace, peer: str, now_s: float, times: int) -> int:
    """How many of so many connections are let in at one moment."""
    return sum(pace.allows(peer, now_s) for _ in range(times))


def test_an_address_connects_so_often_at_once_and_then_at_its_pace() -> None:
    pace = Pace(per_s=10, burst=4)

    assert connects(pace, HERE, 0, 100) == 4
    assert connects(pace, HERE, 0.3, 100) == 3
    assert connects(pace, HERE, 1000, 100) == 4, "it does not save up more than its burst"


def test_one_that_knocks_all_the_time_still_has_its_pace() -> None:
    pace = Pace(per_s=10, burst=1)
    let_in = sum(pace.allows(HERE, knock / 1000) for knock in range(2001))

    assert 20 <= let_in <= 21


def test_another_address_has_a_pace_of_its_own() -> None:
    pace = Pace(per_s=10, burst=2)
    connects(pace, HERE, 0, 100)

    assert connects(pace, THERE, 0, 100) == 2


def test_of_very_many_addresses_the_one_that_was_away_longest_is_forgotten() -> None:
    pace = Pace(per_s=0.001, burst=1)
    for number in range(10 * PEERS_MAX):
        pace.allows(f"address {number}", 0)
        assert not pace.allows(HERE, 0) or not number

    assert len(pace._left) == PEERS_MAX


@pytest.mark.parametrize(
    ("limits", "up", "reason"),
    [
        pytest.param({}, [], None, id="the first"),
        pytest.param({"connections_per_peer_max": 2}, [HERE, THERE], None, id="one of two"),
        pytest.param(
            {"connections_per_peer_max": 2}, [HERE, HERE], "too_many_connections", id="too many of one"
        ),
        pytest.param({"connections_max": 2}, [THERE, THERE], "too_many_connections", id="too many in all"),
    ],
)
def test_a_connection_is_refused_when_there_are_too_many(
    limits: dict[str, int], up: list[str], reason: str | None
) -> None:
    door = admission(**limits)
    for peer in up:
        door.enter(peer)

    assert door.refusal(HERE, 0) == reason


def test_a_connection_that_ends_makes_room_but_does_not_turn_back_the_pace() -> None:
    door = admission(connections_per_peer_max=2, connects_per_peer_s=1)
    found = []
    for _ in range(5):
        found.append(door.refusal(HERE, 0))
        if found[-1] is None:
            door.enter(HERE)
            door.leave(HERE)

    assert found == [None] * 4 + ["connects_too_fast"], "all its links may break once, and come back"


async def test_handshakes_of_one_address_wait_for_each_other_and_keep_nobody_else_waiting() -> None:
    door = admission(handshakes_max=3, handshakes_per_peer_max=2)
    begun: list[str] = []

    async def shake(peer: str) -> None:
        async with door.handshaking(peer):
            begun.append(peer)
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(shake, HERE)
        await trio.testing.wait_all_tasks_blocked()
        assert begun == [HERE, HERE]
        nursery.start_soon(shake, THERE)
        await trio.testing.wait_all_tasks_blocked()
        assert begun == [HERE, HERE, THERE]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("per_peer", [4, 5])
def test_a_share_of_the_handshakes_that_leaves_none_to_others_is_wrong_input(per_peer: int) -> None:
    with pytest.raises(ValueError, match="must be less than handshakes_max"):
        admission(handshakes_max=4, handshakes_per_peer_max=per_peer)
