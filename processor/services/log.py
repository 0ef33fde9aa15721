"""Log lines for operations: on stderr, one event with its fields per line, nothing sensitive in any field.

The loop hands over values; a thread of the log's own makes lines of them. A reader of stderr who stalls or
leaves costs lines, never an answer, and every line that is left out is counted.

A transaction gets one line at most: a refusal and an alert always, an approval now and then, each kind within
a budget per second of its own. Any other warning or error that repeats faster than once a second is left out,
so that a broken peer or HSM cannot drown the others.
"""

import contextlib
import datetime
import queue
import sys
import threading
from typing import Any, Literal, Protocol

import structlog

from processor.core.desk import Question
from processor.services.second_net import second_net
from processor.services.tallies import Counters
from processor.values.clock import Clock
from processor.values.outcome import Outcome
from processor.values.reasons import APPROVALS

Value = str | int | float | bool | None
Level = Literal["info", "warning", "error"]
Form = Literal["json", "console"]

LINES_WAITING_MAX = 1000
LAST_LINES_S = 1.0  # how long the end of the process waits for its last lines
KINDS_MAX = 1000  # of warnings that are held back when they repeat


class Event:
    """One line before it is written: what happened when, and its fields or whatever gives them."""

    __slots__ = ("fields", "level", "name", "wall_ms")

    def __init__(self, level: Level, name: str, wall_ms: int, fields: "dict[str, Value] | Decided") -> None:
        self.level: Level = level
        self.name = name
        self.wall_ms = wall_ms
        self.fields = fields


class Decided:
    """What became of one question; its fields are made in the log's thread."""

    __slots__ = ("_code", "_latency_s", "_left_out", "_outcome", "_request")

    def __init__(
        self, request: Question, outcome: Outcome, code: str, latency_s: float, left_out: int
    ) -> None:
        self._request = request
        self._outcome = outcome
        self._code = code
        self._latency_s = latency_s
        self._left_out = left_out

    def fields(self) -> dict[str, Value]:
        """The line's fields; ``rule`` is the first that refused, ``record`` where the journal has it."""
        request, outcome = self._request, self._outcome
        fields: dict[str, Value] = {
            "network": request.network,
            "mti": request.mti,
            "stan": request.stan,
            "rrn": request.rrn,
            "pan": request.pan_masked,
            "amount": str(request.amount),
            "reason": outcome.reply.reason.value,
            "code": self._code,
            "latency_ms": round(1000 * self._latency_s, 2),
            "record": outcome.sequence,
        }
        if rule := next((verdict.rule for verdict in outcome.verdicts if verdict.reason is not None), ""):
            fields["rule"] = rule
        if outcome.alerts:
            fields["alert"] = ",".join(outcome.alerts)
        if self._left_out:
            fields["left_out"] = self._left_out
        return fields


class Lines(Protocol):
    """Where lines go."""

    def write(self, text: str) -> object:
        """Take a line."""
        ...

    def flush(self) -> None:
        """Nothing waits behind it."""
        ...


class Budget:
    """So many lines in each second; ``left_out`` are those that were one too many since the last line."""

    def __init__(self, lines_per_s: int) -> None:
        self._lines_per_s = lines_per_s
        self._ends_s = 0.0
        self._left = 0
        self.left_out = 0

    def take(self, now_s: float) -> bool:
        """Whether there is a line left in this second."""
        if now_s >= self._ends_s:
            self._ends_s, self._left = now_s + 1.0, self._lines_per_s
        if not self._left:
            self.left_out += 1
            return False
        self._left -= 1
        return True


class Printer:
    """Makes lines of events, and writes them: in a thread of its own, or at once to ``out``."""

    def __init__(self, form: Form, out: Lines | None) -> None:
        self.dropped = 0
        self._waiting: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._logger = _logger(form, out or sys.stderr)
        self._thread: threading.Thread | None = None
        if out is None:
            self._thread = threading.Thread(target=self._print_all, name="log", daemon=True)
            self._thread.start()

    def put(self, event: Event) -> None:
        """Take an event, or drop it because nobody reads the lines before it."""
        if self._thread is None:
            self._print(event)
        elif self._waiting.qsize() < LINES_WAITING_MAX:
            self._waiting.put(event)
        else:
            self.dropped += 1

    def close(self) -> None:
        """Write what waits, within a bound."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(LAST_LINES_S)

    def _print_all(self) -> None:
        while (event := self._waiting.get()) is not None:
            with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
                self._print(event)

    def _print(self, event: Event) -> None:
        fields = event.fields.fields() if isinstance(event.fields, Decided) else event.fields
        getattr(self._logger, event.level)(event.name, wall_ms=event.wall_ms, **fields)


class Log:
    """Writes events as JSON or for a console.

    One approval in ``approvals_one_in`` gets a line, none if it is 0; ``lines_per_s`` bounds the lines about
    transactions. ``left_out`` counts lines that were not written.
    """

    def __init__(
        self,
        clock: Clock,
        form: Form = "console",
        out: Lines | None = None,
        *,
        approvals_one_in: int = 100,
        lines_per_s: int = 100,
    ) -> None:
        self._clock = clock
        self._printer = Printer(form, out)
        self._approvals_one_in = self._until_sample = approvals_one_in
        self._refusals, self._approvals = Budget(lines_per_s), Budget(lines_per_s)
        self._alerts = Budget(lines_per_s)
        self._last_s: dict[tuple[str, str], float] = {}
        self._left_out: dict[tuple[str, str], int] = {}
        self.left_out = Counters("issuer_log_lines_left_out", "Log lines that were not written.", ("why",))
        for why in ("budget", "repeated"):
            self.left_out.count(why, by=0)

    @property
    def dropped(self) -> int:
        """Lines that nobody read in time."""
        return self._printer.dropped

    def info(self, event: str, **fields: Value) -> None:
        """Something worth knowing."""
        self._put("info", event, fields)

    def warning(self, event: str, **fields: Value) -> None:
        """Something to look at; at most one line a second per event and reason or rule."""
        if (left_out := self._due(event, fields)) is not None:
            self._put("warning", event, fields | left_out)

    def error(self, event: str, **fields: Value) -> None:
        """Something to act on; at most one line a second per event and reason or rule."""
        if (left_out := self._due(event, fields)) is not None:
            self._put("error", event, fields | left_out)

    def transaction(self, request: Question, outcome: Outcome, code: str, latency_s: float) -> None:
        """What became of one question: refusals and alerts are told, approvals sampled."""
        approved = outcome.reply.reason in APPROVALS
        if approved and not outcome.alerts:
            self._until_sample -= 1
            if self._until_sample:
                return
            self._until_sample = self._approvals_one_in
        budget = self._alerts if outcome.alerts else self._approvals if approved else self._refusals
        if not budget.take(self._clock.monotonic_s()):
            self.left_out.count("budget")
            return
        decided = Decided(request, outcome, code, latency_s, budget.left_out)
        budget.left_out = 0
        name = "approved" if approved else "declined"
        self._put("warning" if outcome.alerts else "info", name, decided)

    def refused(self, **fields: Value) -> None:
        """A message that could not be worked out at all: its line is of the refusals' budget."""
        if not self._refusals.take(self._clock.monotonic_s()):
            self.left_out.count("budget")
            return
        left_out = {"left_out": self._refusals.left_out} if self._refusals.left_out else {}
        self._refusals.left_out = 0
        self._put("warning", "message refused", fields | left_out)

    def close(self) -> None:
        """The process ends."""
        self._printer.close()

    def _put(self, level: Level, name: str, fields: dict[str, Value] | Decided) -> None:
        self._printer.put(Event(level, name, self._clock.wall_ms(), fields))

    def _due(self, event: str, fields: dict[str, Value]) -> dict[str, Value] | None:
        key = (event, str(fields.get("reason", fields.get("rule", ""))))
        now_s = self._clock.monotonic_s()
        if now_s - self._last_s.get(key, -1.0) < 1.0:
            self.left_out.count("repeated")
            self._left_out[key] = self._left_out.get(key, 0) + 1
            return None
        if len(self._last_s) >= KINDS_MAX:
            self._last_s.clear()
            self._left_out.clear()
        self._last_s[key] = now_s
        left_out = self._left_out.pop(key, 0)
        return {"left_out": left_out} if left_out else {}


def _logger(form: Form, out: Lines) -> Any:  # noqa: ANN401 - structlog's bound loggers have no type of their own
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    return structlog.wrap_logger(
        structlog.PrintLogger(out),  # type: ignore[arg-type]  # it writes and flushes, no more
        processors=[structlog.processors.add_log_level, _stamp, second_net, renderer],
    )


def _stamp(
    _logger: Any,  # noqa: ANN401 - structlog's signature
    _method: str,
    event: structlog.types.EventDict,
) -> structlog.types.EventDict:
    """The moment at which it happened, not that of the writing."""
    moment = datetime.datetime.fromtimestamp(event.pop("wall_ms") / 1000, datetime.UTC)
    event["timestamp"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return event
