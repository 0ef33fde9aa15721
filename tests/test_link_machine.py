"""The life of a link as scripts: what happens, and what the machine wants done about it."""

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.links.machine import POLL_S, STOPPED, TRANSITIONS, Ask, End, Event, Machine, Patience, State
from processor.values.requests import Signal

PATIENCE = Patience(first_frame_s=10, frame_s=2, idle_s=300, echo_s=60, reply_s=5)
SAYS = frozenset({Signal.SIGN_ON, Signal.SIGN_OFF, Signal.ECHO})
SAYS_ALL = SAYS | {Signal.RECOVERY_BEGIN}


def machine(says: frozenset[Signal] = frozenset(), *, signed_on: bool = False) -> Machine:
    return Machine(PATIENCE, says, signed_on=signed_on)


def listening(says: frozenset[Signal] = frozenset(), *, signed_on: bool = False) -> Machine:
    """A link somebody opened to us at 0 s."""
    made = machine(says, signed_on=signed_on)
    assert made.opened(0, dialled=False, signs=False) is None
    return made


def dialled(says: frozenset[Signal] = SAYS) -> Machine:
    """A link we opened at 0 s, which signs us on."""
    made = machine(says)
    assert made.opened(0, dialled=True, signs=True) == Ask(Signal.SIGN_ON)
    return made


def signed_on(says: frozenset[Signal] = SAYS) -> Machine:
    """One on which the network has taken our sign-on, at 1 s."""
    made = dialled(says)
    made.replied(Signal.SIGN_ON, 1, accepted=True)
    made.arrived(1, whole=True, partial=False)
    return made


PICTURE = """
                opened    heard      signed_on  signed_off recovery_began  recovery_ended lost
disconnected    connected .          .          .          .               .              .
connected       .         signed_off signed_on  signed_off .               .              disconnected
signed_off      .         .          signed_on  .          .               .              disconnected
signed_on       .         .          .          signed_off advice_recovery .              disconnected
advice_recovery .         .          .          signed_off .               signed_on      disconnected
"""


def test_every_event_in_every_state_leads_where_the_picture_says() -> None:
    head, *rows = [line.split() for line in PICTURE.strip().splitlines()]
    led = {}
    for name, event in itertools.product(State, Event):
        link = machine()
        link.state = name
        link._move(event)
        led[name.value, event.value] = link.state.value

    assert led == {
        (state, event): state if target == "." else target
        for state, *targets in rows
        for event, target in zip(head, targets, strict=True)
    }


def test_from_every_state_a_lost_line_leads_to_disconnected_and_from_there_only_a_connection_leads_out() -> (
    None
):
    assert all(TRANSITIONS[s][Event.LOST] is State.DISCONNECTED for s in State if s is not State.DISCONNECTED)
    assert list(TRANSITIONS[State.DISCONNECTED]) == [Event.OPENED]


def test_being_connected_is_not_being_signed_on() -> None:
    link = listening()
    assert link.state is State.CONNECTED
    link.arrived(1, whole=True, partial=False)
    assert link.state is State.SIGNED_OFF
    link.told(Signal.SIGN_ON)
    assert link.state is State.SIGNED_ON
    link.told(Signal.SIGN_OFF)
    assert link.state is State.SIGNED_OFF


def test_sign_on_is_the_members_so_a_second_link_has_it_once_it_is_heard() -> None:
    link = listening(signed_on=True)
    assert link.state is State.CONNECTED
    link.arrived(1, whole=True, partial=False)
    assert link.state is State.SIGNED_ON


def test_advices_are_asked_for_after_sign_on_where_the_profile_says_so() -> None:
    link = dialled(SAYS_ALL)
    assert link.replied(Signal.SIGN_ON, 1, accepted=True) == Ask(Signal.RECOVERY_BEGIN)
    assert link.replied(Signal.RECOVERY_BEGIN, 2, accepted=True) is None
    assert link.state is State.ADVICE_RECOVERY
    link.told(Signal.RECOVERY_END)
    assert link.state is State.SIGNED_ON


def test_a_refused_sign_on_ends_the_link_and_a_refused_recovery_does_not() -> None:
    assert dialled().replied(Signal.SIGN_ON, 1, accepted=False) == End("sign_on_refused")
    link = dialled(SAYS_ALL)
    link.replied(Signal.SIGN_ON, 1, accepted=True)
    assert link.replied(Signal.RECOVERY_BEGIN, 2, accepted=False) is None
    assert link.state is State.SIGNED_ON


@pytest.mark.parametrize(
    ("link", "due_s", "action"),
    [
        pytest.param(listening(), 10, End("no_first_frame"), id="who connects and says nothing"),
        pytest.param(dialled(), 5, End("sign_on_unanswered"), id="a sign-on without an answer"),
        pytest.param(signed_on(), 61, Ask(Signal.ECHO), id="an idle link is asked for an echo"),
    ],
)
def test_what_falls_due_and_when(link: Machine, due_s: float, action: Any) -> None:
    assert link.due_s == due_s
    assert link.fell_due(due_s - 0.001) is None
    assert link.fell_due(due_s) == action


def test_a_link_whose_profile_asks_for_no_echo_just_ends_when_idle() -> None:
    link = listening()
    link.arrived(1, whole=True, partial=False)

    assert (link.due_s, link.fell_due(301)) == (301, End("idle"))


def test_an_echo_that_is_answered_leaves_the_link_as_it_was_and_one_that_is_not_ends_it() -> None:
    link = signed_on()
    assert link.fell_due(61) == Ask(Signal.ECHO)
    link.arrived(62, whole=True, partial=False)
    assert link.replied(Signal.ECHO, 62, accepted=False) is None, "whatever it says, somebody is there"
    assert link.state is State.SIGNED_ON
    assert link.fell_due(122) == Ask(Signal.ECHO)
    assert link.due_s == 127
    assert link.fell_due(127) == End("echo_unanswered")


def test_who_has_not_answered_our_sign_on_is_not_asked_for_an_echo_as_well() -> None:
    patience = Patience(first_frame_s=10, frame_s=2, idle_s=300, echo_s=1, reply_s=5)
    link = Machine(patience, SAYS, signed_on=False)
    link.opened(0, dialled=True, signs=True)

    assert (link.due_s, link.fell_due(1)) == (1, None)
    assert (link.due_s, link.fell_due(5)) == (5, End("sign_on_unanswered"))


def test_traffic_alone_does_not_answer_an_echo() -> None:
    link = signed_on()
    link.fell_due(61)
    link.arrived(64, whole=True, partial=False)

    assert (link.due_s, link.fell_due(66)) == (66, End("echo_unanswered"))


def test_all_of_a_frame_is_due_together_however_slowly_it_trickles() -> None:
    link = listening()
    link.arrived(1, whole=False, partial=True)
    link.arrived(2.5, whole=False, partial=True)

    assert (link.due_s, link.fell_due(3)) == (3, End("frame_not_finished"))


def test_a_frame_that_begins_where_another_ended_has_its_own_time() -> None:
    link = listening()
    link.arrived(1, whole=False, partial=True)
    link.arrived(2.5, whole=True, partial=True)

    assert link.due_s == 4.5


def test_time_in_which_we_did_not_read_is_not_the_peers_silence() -> None:
    link = listening()
    link.arrived(1, whole=False, partial=True)
    link.held(7)

    assert (link.due_s, link.fell_due(3)) == (10, None)


def test_a_poll_is_answered_but_never_the_echo_of_an_answer() -> None:
    """Two machines that echo whatever poll comes to them: the ping-pong ends with the first return."""
    ours, theirs = listening(), listening()
    returns = 0
    for turn in range(1000):
        link = (ours, theirs)[turn % 2]
        if not link.poll(turn * 0.001):
            break
        returns += 1

    assert returns == 2, "theirs is answered; the answer is answered once; that is all"
    assert ours.poll(2 * POLL_S), "a peer that polls at a decent rate is always answered"


def test_a_poll_is_never_echoed_for_ever_however_long_the_way_is() -> None:
    """The same two machines, 1.5 s apart."""
    ours, theirs = listening(), listening()
    returns = 0
    for turn in range(1000):
        if not (ours, theirs)[turn % 2].poll(turn * 1.5):
            break
        returns += 1

    assert returns == 2


def test_who_polls_seldom_is_answered_each_time_whether_or_not_our_answer_comes_back() -> None:
    link = listening()
    for began_s in range(0, 300, 30):
        assert link.poll(began_s)
        if began_s % 60:
            assert not link.poll(began_s + 1.5), "the echo of our answer"


def test_leaving_signs_off_first_and_waits_for_the_answer() -> None:
    link = signed_on()
    assert link.stop(50, signs=True) == Ask(Signal.SIGN_OFF)
    assert link.replied(Signal.SIGN_OFF, 51, accepted=True) == End(STOPPED)


def test_a_sign_off_that_is_not_answered_does_not_keep_us() -> None:
    link = signed_on()
    link.stop(50, signs=True)

    assert (link.due_s, link.fell_due(55)) == (55, End(STOPPED))


def test_a_members_other_link_goes_on_until_the_member_is_signed_off() -> None:
    link = machine(SAYS, signed_on=True)
    link.opened(0, dialled=True, signs=False)
    link.arrived(1, whole=True, partial=False)
    assert link.stop(50, signs=False) is None
    assert link.told(Signal.SIGN_OFF) == End(STOPPED)


def test_who_does_not_sign_just_stops() -> None:
    assert listening(signed_on=True).stop(1, signs=False) == End(STOPPED)
    assert dialled().stop(0.5, signs=True) == End(STOPPED), "not signed on yet"


def test_nothing_falls_due_on_a_lost_line() -> None:
    link = signed_on()
    link.fell_due(61)
    link.lost()

    assert (link.state, link.due_s, link.fell_due(10_000)) == (State.DISCONNECTED, math.inf, None)


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["arrived", "due", "replied", "told", "poll", "stop", "held"]),
        st.sampled_from(Signal),
        st.booleans(),
        st.booleans(),
        st.floats(0, 100),
    ),
    max_size=60,
)


@given(_STEPS, st.sampled_from([frozenset[Signal](), SAYS, SAYS_ALL]), st.booleans())
def test_whatever_happens_a_live_link_always_has_a_due_moment_and_few_open_questions(
    steps: list[Any], says: frozenset[Signal], is_ours: bool
) -> None:
    link = machine(says)
    now_s = 0.0
    link.opened(now_s, dialled=is_ours, signs=is_ours)
    for what, signal, yes, other, pause_s in steps:
        now_s += pause_s
        match what:
            case "arrived":
                link.arrived(now_s, whole=yes, partial=other)
            case "due" if isinstance(link.fell_due(now_s), End):
                return
            case "replied":
                link.replied(signal, now_s, accepted=yes)
            case "told":
                link.told(signal)
            case "poll":
                link.poll(now_s)
            case "held":
                link.held(pause_s)
            case "stop":
                link.stop(now_s, signs=is_ours)
        assert link.due_s < math.inf
        assert link.state is not State.DISCONNECTED
        assert len(link._unanswered) <= len(Signal)
