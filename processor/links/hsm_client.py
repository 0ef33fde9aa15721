"""Who is asked what, and what becomes of it: every HSM, all lines, without a socket.

A question goes to the line with the fewest unanswered ones. It may be asked once more, while there is time:
when its line is lost, or, where there is another endpoint, when its own has been silent for a while. That is
safe because these questions change nothing in an HSM: wrong PINs are counted in the book, by the verdict.
Whatever keeps an answer away, the verdict is NO_ANSWER and the policy decides what that is worth.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter

import msgspec

from processor.hsm.commands import parse_response
from processor.links.hsm_line import Breaker, Line, Wire, header_ids
from processor.links.hsm_questions import CVV, HEALTH, PIN, Messages, Question, Verification
from processor.services.hsm_meters import HsmMeters
from processor.services.log import Log
from processor.services.tallies import OTHER
from processor.values.cards import Card
from processor.values.clock import Clock
from processor.values.errors import FrameError, HsmError
from processor.values.facts import Check, Facts
from processor.values.sensitive import Evidence

TIMES_MAX = 2  # how often one question is asked, so that one that breaks lines cannot break them all

_OPS = {op.response: op.name for op in (CVV, PIN, HEALTH)}
_load = attrgetter("load")


class HsmSettings(msgspec.Struct, frozen=True):
    """How an HSM is spoken to, and how long it may take.

    After ``timeout_s`` nobody needs the answer any more; after ``again_s`` of silence another endpoint is
    asked. ``lmk`` is the LMK's identifier, two digits, empty for the default one; ``lmk_check_value`` is what
    NC must tell, empty for whatever the first one tells.
    """

    timeout_s: float = 0.5
    again_s: float = 0.2
    health_s: float = 5.0
    in_flight_max: int = 4096
    failures_max: int = 10
    header_bytes: int = 4
    lmk: str = ""
    lmk_check_value: str = ""


class HsmClient:
    """Asks and matches. ``settle`` is called after each batch of verdicts."""

    def __init__(
        self, messages: Messages, settings: HsmSettings, clock: Clock, meters: HsmMeters, log: Log
    ) -> None:
        self._messages = messages
        self._settings = settings
        self._clock = clock
        self._meters = meters
        self._log = log
        self._ids: Iterator[bytes] = header_ids(settings.header_bytes)
        self._lmk_check_value = settings.lmk_check_value
        self._lines: list[Line] = []
        self._ready: deque[Line] = deque()  # those that may be asked
        self.settle: Callable[[], None] = lambda: None

    @property
    def connected(self) -> bool:
        """Whether anybody can be asked."""
        return bool(self._ready)

    def ready_lines(self, breaker: Breaker) -> int:
        """How many lines of one endpoint can be asked."""
        return sum(line.breaker is breaker for line in tuple(self._ready))

    # Questions.

    def verify(
        self, evidence: Evidence, card: Card, *, cvv: bool, pin: bool, done: Callable[[Facts], None]
    ) -> Facts | None:
        """Send the questions; ``done`` is called with the verdicts, or facts are returned at once.

        At once means NO_ANSWER: there is no line that has room, or the question does not fit its command.
        """
        line = self._choose(self._ready)
        if line is None or not line.has_room(cvv + pin, self._settings.in_flight_max):
            return self._unasked("unavailable", card, cvv=cvv, pin=pin)
        try:
            cvv_message = self._messages.cvv(evidence, card) if cvv else b""
            pin_message = self._messages.pin(evidence, card) if pin else b""
        except ValueError as error:  # names the field that does not fit, never its value
            self._log.error("hsm question does not fit its command", reason=str(error))
            return self._unasked("unaskable", card, cvv=cvv, pin=pin)
        now_s = self._clock.monotonic_s()
        deadline_s = now_s + self._settings.timeout_s
        verification = Verification(card.version, cvv + pin, done)
        if cvv_message:
            line.ask(Question(CVV, cvv_message, deadline_s, verification), now_s)
        if pin_message:
            line.ask(Question(PIN, pin_message, deadline_s, verification), now_s)
        return None

    def sweep(self) -> None:
        """Give up what took too long, and ask idle lines how they are; called every few milliseconds."""
        now_s = self._clock.monotonic_s()
        gone = False
        for line in tuple(self._lines):
            gone |= self._give_up_overdue(line, now_s)
            if line.owes_too_much:
                self._end(line, "owes_too_many_answers")
            elif now_s - line.heard_s >= self._settings.health_s and line in self._ready:
                line.heard_s = now_s
                self._ask_health(line, now_s)
        if gone:
            self.settle()

    # What lines tell.

    def open(self, breaker: Breaker, wire: Wire) -> Line:
        """A connection is there: it carries questions once the HSM at its end has said that it is well."""
        now_s = self._clock.monotonic_s()
        line = Line(breaker, wire, self._ids, self._settings.header_bytes, now_s)
        self._lines.append(line)
        self._ask_health(line, now_s)
        return line

    def receive(self, line: Line, data: bytes | bytearray) -> None:
        """What a read gave. A line that says what cannot be true is ended."""
        now_s = line.heard_s = self._clock.monotonic_s()
        line.framer.receive(data)
        try:
            while not line.ended and (frames := line.framer.frames()):
                for frame in frames:
                    self._reply(line, frame, now_s)
                    if line.ended:
                        break
        except FrameError as error:
            self._end(line, error.reason)
        finally:
            self.settle()

    def lost(self, line: Line) -> None:
        """The connection is over: what was asked on it is asked elsewhere, or gets no answer."""
        self._end(line, "lost")
        self._lines.remove(line)
        self.failed(line.breaker)
        asked, line.asked = line.asked, {}
        now_s = self._clock.monotonic_s()
        elsewhere = self._elsewhere(line) or self._ready  # what ended one line of an HSM may end its others
        for question in asked.values():
            if question.op is not HEALTH:
                self._ask_again(question, "line_lost", elsewhere, now_s)
        self.settle()

    def failed(self, breaker: Breaker) -> None:
        """An endpoint did not do what it is for."""
        if breaker.failed():
            self._log.error("hsm breaker open", endpoint=breaker.number)
            for line in tuple(self._lines):
                if line.breaker is breaker:
                    self._end(line, "breaker_open")

    # Inside.

    def _choose(self, lines: Sequence[Line]) -> Line | None:
        """The line with the fewest unanswered questions; among equals each in turn."""
        if len(lines) < 2:
            return lines[0] if lines else None
        self._ready.rotate()
        return min(lines, key=_load)

    def _unasked(self, result: str, card: Card, *, cvv: bool, pin: bool) -> Facts:
        for op, wanted in ((CVV, cvv), (PIN, pin)):
            if wanted:
                self._meters.requests(op.name, result)
        return Facts(
            Check.NO_ANSWER if cvv else Check.NOT_ASKED,
            Check.NO_ANSWER if pin else Check.NOT_ASKED,
            card.version,
        )

    def _reply(self, line: Line, frame: bytes, now_s: float) -> None:
        header, reply = frame[: line.header_bytes], frame[line.header_bytes :]
        question = line.asked.pop(header, None)
        if question is None:
            self._stray(line, header, reply)
            return
        op = question.op
        if reply[:2] != op.response or len(reply) < 4:
            self._end(line, "wrong_reply")
            line.asked[header] = question  # as good as unanswered
            return
        if op is HEALTH:
            self._told_health(line, reply)
            return
        self._meters.latency[op.name].observe(now_s - question.sent_s)
        verdict = op.verdicts.get(reply[:4])
        if verdict is None:  # not counted against the endpoint: it may be about this question alone
            self._log.error("hsm refused", answer=reply[:4].decode("ascii", "replace"))
            self._meters.requests(op.name, "error")
            self._tell(question, Check.NO_ANSWER)
            return
        line.breaker.failures = 0
        self._meters.requests(op.name, "answered")
        self._tell(question, verdict)

    def _stray(self, line: Line, header: bytes, reply: bytes) -> None:
        """A reply that nobody waits for: to a question that was given up, or to none at all."""
        op = _OPS.get(reply[:2], OTHER)
        if header in line.late:
            line.late.remove(header)
            self._meters.requests(op, "late")
            return
        self._meters.requests(op, "unmatched")
        self._end(line, "unmatched_reply")

    def _told_health(self, line: Line, reply: bytes) -> None:
        reason = self._illness(reply)
        self._meters.checks(line.breaker.number, reason or "well")
        if reason:
            self._end(line, reason)
        elif line in self._ready:
            line.breaker.failures = 0
        elif not line.ended:
            line.breaker.is_open = False
            self._ready.append(line)
            line.wire.healthy()

    def _illness(self, reply: bytes) -> str:
        """Why the HSM is not fit to be asked; empty if it is."""
        try:
            response = parse_response("NC", reply)
        except HsmError:
            return "wrong_reply"
        if not response.done:
            self._log.error("hsm not well", answer=response.error.value)
            return "not_well"
        check_value = response.fields["lmk_check_value"]
        if self._lmk_check_value and check_value != self._lmk_check_value:
            self._log.error("hsm has another LMK", told=check_value, expected=self._lmk_check_value)
            return "another_lmk"
        self._lmk_check_value = check_value
        return ""

    def _ask_health(self, line: Line, now_s: float) -> None:
        line.ask(Question(HEALTH, self._messages.health, now_s + self._settings.timeout_s, None), now_s)

    def _give_up_overdue(self, line: Line, now_s: float) -> bool:
        """Whether there were questions that took too long."""
        others = self._elsewhere(line)
        slow_s = now_s - self._settings.again_s if others else 0.0
        overdue = [
            header
            for header, question in line.asked.items()
            if question.deadline_s <= now_s
            or (question.sent_s <= slow_s and question.times < TIMES_MAX and question.op is not HEALTH)
        ]
        for header in overdue:
            if line.asked[header].deadline_s > now_s and self._usable(others) is None:
                continue  # it may yet be answered here
            question = line.give_up(header)
            if question.op is HEALTH:
                self._meters.checks(line.breaker.number, "silent")
                self._end(line, "silent")
                continue
            self.failed(line.breaker)
            self._ask_again(question, "silence", others, now_s)
        return bool(overdue)

    def _ask_again(self, question: Question, why: str, lines: Sequence[Line], now_s: float) -> None:
        """Ask one of these lines if that is of use; else there is no answer."""
        line = None
        if question.deadline_s > now_s and question.times < TIMES_MAX:
            line = self._usable(lines)
        if line is not None:
            self._meters.again(question.op.name, why)
            line.ask(question, now_s)
            return
        result = "timeout" if question.deadline_s <= now_s else "line_lost"
        self._meters.requests(question.op.name, result)
        self._tell(question, Check.NO_ANSWER)

    def _elsewhere(self, line: Line) -> list[Line]:
        """The lines to other HSMs that can be asked."""
        return [other for other in self._ready if other.breaker is not line.breaker]

    def _usable(self, lines: Sequence[Line]) -> Line | None:
        """The best of these lines, if it can take a question."""
        line = self._choose([line for line in lines if not line.ended])
        return line if line is not None and line.has_room(1, self._settings.in_flight_max) else None

    def _tell(self, question: Question, verdict: Check) -> None:
        assert question.verification is not None, "only a question about the HSM has none"
        question.verification.settle(question.op, verdict)

    def _end(self, line: Line, reason: str) -> None:
        """Ask nothing more on this line; its connection will be closed."""
        if line.ended:
            return
        line.ended = reason
        if line in self._ready:
            self._ready.remove(line)
        self._meters.line_ended(line.breaker.number, reason)
        line.wire.close()
