"""The desk's doors, frozen: what comes through them is what a trace says came through."""

from collections import deque
from collections.abc import Callable

from processor.book.state import State
from processor.core.identity import Identity
from processor.replay.trace import Did, Event
from processor.values.cards import Card
from processor.values.facts import Check, Facts
from processor.values.sensitive import Evidence, Pan, Tokens


class FrozenTokens(Tokens):
    """Cards by the PANs of the trace. A PAN that the trace does not name is a card nobody knows."""

    def __init__(self, secret: bytes) -> None:
        super().__init__(secret)
        self.by_pan: dict[str, str] = {}

    def token(self, pan: Pan) -> str:
        """The trace's name for the card."""
        return self.by_pan.get(pan.reveal()) or super().token(pan)


class FrozenIdentity(Identity):
    """DE 38 as it was given; of what was not approved then, one of the trace's own."""

    def __init__(self, secret: bytes) -> None:
        super().__init__(secret)
        self.recorded = ""

    def auth_code(self, sequence: int) -> str:
        """DE 38."""
        return self.recorded or super().auth_code(sequence)


class Doors:
    """Clock, HSM and journal of a replay, as the event at hand has them.

    Each record of the event is met by one reading of the wall clock: that is when the next of ``did`` is
    taken, and the state's sequence brought to where it was.
    """

    low_space = False  # set while a frame is admitted that was refused for overload

    def __init__(self, state: State, identity: FrozenIdentity) -> None:
        self._state = state
        self._identity = identity
        self._did: deque[Did] = deque()
        self._silent: tuple[int, ...] = ()
        self._frames: dict[int, int] = {}  # id of the evidence -> frame, and back
        self._evidence: dict[int, int] = {}
        self._asked: dict[int, tuple[Callable[[Facts], None], Facts]] = {}
        self._facts: dict[int, Facts] = {}
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._sequence, self._ms = state.sequence, state.sequenced_ms  # of the last record, as recorded

    def begin(self, event: Event) -> None:
        """The event at hand."""
        self._did = deque(event.did)
        self._silent = event.silent

    # Clock.

    def wall_ms(self) -> int:
        """When the next record was made."""
        self._identity.recorded = ""
        if self._did:
            self._sequence, self._ms, self._identity.recorded = self._did.popleft()
            self._state.sequence = max(self._state.sequence, self._sequence - 1)
        return self._ms

    def monotonic_s(self) -> float:
        """Deadlines pass when the trace says so."""
        return 0.0

    # Verifier.

    def expect(self, number: int, evidence: Evidence) -> None:
        """This is the evidence of frame ``number``, should it be verified."""
        self._frames[id(evidence)] = number
        self._evidence[number] = id(evidence)

    def verify(
        self,
        evidence: Evidence,
        card: Card,
        *,
        cvv: bool,
        pin: bool,
        done: Callable[[Facts], None],
    ) -> Facts | None:
        """Wait for the trace's verdicts, unless they came before or the HSM could not be asked."""
        number = self._frames[id(evidence)]
        silent = Facts(
            Check.NO_ANSWER if cvv else Check.NOT_ASKED,
            Check.NO_ANSWER if pin else Check.NOT_ASKED,
            card.version,
        )
        if number in self._silent:
            return silent
        if (facts := self._facts.pop(number, None)) is not None:
            return _fitting(silent, facts)
        self._asked[number] = (done, silent)
        return None

    def verified(self, number: int, facts: Facts) -> None:
        """The HSM's verdicts for frame ``number``."""
        if (asked := self._asked.pop(number, None)) is not None:
            done, silent = asked
            done(_fitting(silent, facts))
        else:
            self._facts[number] = facts

    def give_up(self, number: int) -> None:
        """Frame ``number`` was answered when recorded, so what this replay still waits for never comes."""
        if (asked := self._asked.pop(number, None)) is not None:
            done, silent = asked
            done(silent)
        self.release()

    def forget(self, number: int) -> None:
        """Frame ``number`` is answered."""
        self._facts.pop(number, None)
        evidence = self._evidence.pop(number, 0)
        if self._frames.get(evidence) == number:  # and not a later one's, at the same place in memory
            del self._frames[evidence]

    # Durability.

    def when_durable(self, _sequence: int, done: Callable[[], None]) -> None:
        """Wait for the record, by its number in the trace."""
        self._waiting.append((self._sequence, done))

    def flush(self) -> None:
        """Nothing is written."""

    def release(self, sequence: int | None = None) -> None:
        """Records up to ``sequence`` (all, if None) are on disk."""
        while self._waiting and (sequence is None or self._waiting[0][0] <= sequence):
            self._waiting.popleft()[1]()


def _fitting(asked: Facts, said: Facts) -> Facts:
    """What was said to what is asked now; to what was not asked then nobody knows the answer."""
    return Facts(_verdict(asked.cvv, said.cvv), _verdict(asked.pin, said.pin), said.card_version)


def _verdict(asked: Check, said: Check) -> Check:
    if asked is Check.NOT_ASKED:
        return Check.NOT_ASKED
    return Check.NO_ANSWER if said is Check.NOT_ASKED else said
