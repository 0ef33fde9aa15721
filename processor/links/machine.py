"""The life of one link, without a socket: how it moves on, what falls due, what we say of our own accord.

    DISCONNECTED ─▶ CONNECTED ─▶ SIGNED_OFF ◀─▶ SIGNED_ON ◀─▶ ADVICE_RECOVERY

Events go in by the methods of ``Machine``, each with the moment it happened at (seconds of any clock that
never runs backwards); what is to be done comes out as an action. The state moves by ``TRANSITIONS`` and in no
other way. Being connected is not being signed on; sign-on is the member's, so one link's is every link's.
"""

import enum
import math

import msgspec

from processor.values.requests import Signal

POLL_S = 1.0
"""A keep-alive poll is answered this seldom."""


class State(enum.Enum):
    """Where a link is."""

    DISCONNECTED = "disconnected"
    CONNECTED = "connected"  # bytes may flow; nothing was said yet
    SIGNED_OFF = "signed_off"
    SIGNED_ON = "signed_on"
    ADVICE_RECOVERY = "advice_recovery"  # signed on, and the network sends what it has stored for us


class Event(enum.Enum):
    """What moves a link from one state to another."""

    OPENED = "opened"
    HEARD = "heard"  # the peer's first whole frame
    SIGNED_ON = "signed_on"
    SIGNED_OFF = "signed_off"
    RECOVERY_BEGAN = "recovery_began"
    RECOVERY_ENDED = "recovery_ended"
    LOST = "lost"


TRANSITIONS: dict[State, dict[Event, State]] = {
    State.DISCONNECTED: {
        Event.OPENED: State.CONNECTED,
    },
    State.CONNECTED: {
        Event.HEARD: State.SIGNED_OFF,
        Event.SIGNED_ON: State.SIGNED_ON,
        Event.SIGNED_OFF: State.SIGNED_OFF,
        Event.LOST: State.DISCONNECTED,
    },
    State.SIGNED_OFF: {
        Event.SIGNED_ON: State.SIGNED_ON,
        Event.LOST: State.DISCONNECTED,
    },
    State.SIGNED_ON: {
        Event.SIGNED_OFF: State.SIGNED_OFF,
        Event.RECOVERY_BEGAN: State.ADVICE_RECOVERY,
        Event.LOST: State.DISCONNECTED,
    },
    State.ADVICE_RECOVERY: {
        Event.RECOVERY_ENDED: State.SIGNED_ON,
        Event.SIGNED_OFF: State.SIGNED_OFF,
        Event.LOST: State.DISCONNECTED,
    },
}
"""Where each event leads. One that is not listed for a state leaves it as it is."""

_MOVED_BY = {
    Signal.SIGN_ON: Event.SIGNED_ON,
    Signal.SIGN_OFF: Event.SIGNED_OFF,
    Signal.RECOVERY_BEGIN: Event.RECOVERY_BEGAN,
    Signal.RECOVERY_END: Event.RECOVERY_ENDED,
}


class Patience(msgspec.Struct, frozen=True):
    """How long a peer may take, in seconds. ``echo_s``: how long a link is idle before we ask for an echo."""

    first_frame_s: float
    frame_s: float
    idle_s: float
    echo_s: float
    reply_s: float


class Ask(msgspec.Struct, frozen=True):
    """Send the peer a message of ours."""

    signal: Signal


class End(msgspec.Struct, frozen=True):
    """The link is over for this reason; ``stopped`` lets what is in flight be answered first."""

    reason: str


Action = Ask | End
STOPPED = "stopped"


class Machine:
    """One link. ``says`` are the signals that we send in this link's role, by the profile.

    ``due_s`` is when ``fell_due`` must be called next, unless something happens before.
    """

    def __init__(self, patience: Patience, says: frozenset[Signal], *, signed_on: bool) -> None:
        self.state = State.DISCONNECTED
        self._patience = patience
        self._says = says
        self._signed_on = signed_on  # the member's state; this link's own once it is heard
        self._quiet_s = math.inf  # when the line's silence is too long, and why that would be
        self._why = ""
        self._unanswered: dict[Signal, float] = {}  # what we asked, and when its answer is due
        self._answered_poll_s = -math.inf
        self._echo_is_out = False  # our answer to a poll, which may come back
        self._stopping = False
        self.due_s = math.inf

    def opened(self, now_s: float, *, dialled: bool, signs: bool) -> Ask | None:
        """The connection is up; ``signs`` says that signing the member on and off is this link's task.

        Who connects to us must say something soon; whom we ``dialled`` may be silent until there is traffic.
        """
        self._move(Event.OPENED)
        if dialled:
            self._silent_from(now_s)
        else:
            self._wait(now_s + self._patience.first_frame_s, "no_first_frame")
        return self._ask(Signal.SIGN_ON, now_s) if signs and Signal.SIGN_ON in self._says else None

    def arrived(self, now_s: float, *, whole: bool, partial: bool) -> None:
        """Bytes came: whether they ended a frame, and whether they leave a begun one."""
        if whole and self.state is State.CONNECTED:
            self._move(Event.SIGNED_ON if self._signed_on else Event.HEARD)
        if not partial:
            self._silent_from(now_s)
        elif whole or self._why != "frame_not_finished":  # a new frame has begun: all of it is due together
            self._wait(now_s + self._patience.frame_s, "frame_not_finished")

    def held(self, seconds: float) -> None:
        """We did not read for so long: that is not the peer's silence."""
        self._wait(self._quiet_s + seconds, self._why)

    def fell_due(self, now_s: float) -> Action | None:
        """``due_s`` has passed, or seems to have: what to do about it."""
        for signal, due_s in self._unanswered.items():
            if due_s <= now_s:
                return End(STOPPED if self._stopping else f"{signal.value}_unanswered")
        if self._quiet_s > now_s:
            return None
        if self._why == "quiet":
            self._wait(now_s + self._patience.idle_s - self._patience.echo_s, "idle")
            return None if self._unanswered else self._ask(Signal.ECHO, now_s)
        return End(self._why)

    def replied(self, signal: Signal, now_s: float, *, accepted: bool) -> Action | None:
        """The peer answered a message of ours."""
        self._unanswered.pop(signal, None)
        self._reckon()
        if self._stopping and signal is Signal.SIGN_OFF:
            return End(STOPPED)
        if signal is Signal.ECHO:  # whatever it says, somebody is there
            return None
        if not accepted:
            return End("sign_on_refused") if signal is Signal.SIGN_ON else None
        self._move(_MOVED_BY[signal])
        if signal is Signal.SIGN_ON and Signal.RECOVERY_BEGIN in self._says:
            return self._ask(Signal.RECOVERY_BEGIN, now_s)
        return None

    def told(self, signal: Signal) -> Action | None:
        """The peer, or the member's other link, said this."""
        if signal in {Signal.SIGN_ON, Signal.SIGN_OFF}:
            self._signed_on = signal is Signal.SIGN_ON
        if self.state is not State.CONNECTED and signal in _MOVED_BY:
            self._move(_MOVED_BY[signal])
        signing_off = Signal.SIGN_OFF in self._unanswered
        return End(STOPPED) if self._stopping and signal is Signal.SIGN_OFF and not signing_off else None

    def poll(self, now_s: float) -> bool:
        """A keep-alive poll came: whether to answer it.

        After each answer, the first poll within ``reply_s`` may be its echo, and is not answered: two ends
        that echo everything would go on for ever.
        """
        since_s = now_s - self._answered_poll_s
        is_echo = self._echo_is_out and since_s < self._patience.reply_s
        self._echo_is_out = False
        if is_echo or since_s < POLL_S:
            return False
        self._answered_poll_s, self._echo_is_out = now_s, True
        return True

    def stop(self, now_s: float, *, signs: bool) -> Action | None:
        """We want to leave; where signing off is ours to do, after that. ``signs``: see ``opened``."""
        self._stopping = True
        signed_on = self.state in {State.SIGNED_ON, State.ADVICE_RECOVERY}
        if not signed_on or Signal.SIGN_OFF not in self._says:
            return End(STOPPED)
        if signs:
            return self._ask(Signal.SIGN_OFF, now_s)
        self._wait(now_s + self._patience.reply_s, STOPPED)
        return None

    def lost(self) -> None:
        """The connection is gone, whoever ended it."""
        self._unanswered.clear()
        self._wait(math.inf, "")
        self._move(Event.LOST)

    def _ask(self, signal: Signal, now_s: float) -> Ask:
        self._unanswered[signal] = now_s + self._patience.reply_s
        self._reckon()
        return Ask(signal)

    def _silent_from(self, now_s: float) -> None:
        patience = self._patience
        if Signal.ECHO in self._says and patience.echo_s < patience.idle_s:
            self._wait(now_s + patience.echo_s, "quiet")
        else:
            self._wait(now_s + patience.idle_s, "idle")

    def _wait(self, until_s: float, why: str) -> None:
        self._quiet_s, self._why = until_s, why
        self._reckon()

    def _reckon(self) -> None:
        self.due_s = min(self._quiet_s, *self._unanswered.values()) if self._unanswered else self._quiet_s

    def _move(self, event: Event) -> None:
        self.state = TRANSITIONS[self.state].get(event, self.state)
