"""Log lines for operations: on stderr, one event with its fields per line, nothing sensitive in any field.

A line that repeats faster than once a second is left out and counted, so that a broken peer or HSM cannot
drown the others; and a reader of stderr who stalls or leaves costs lines, never an answer.
"""

import contextlib
import queue
import sys
import threading
from typing import Literal, Protocol

import structlog

from processor.values.clock import Clock

Value = str | int | float | bool | None

LINES_WAITING_MAX = 1000
LAST_LINES_S = 1.0  # how long the end of the process waits for its last lines


class Lines(Protocol):
    """Where lines go."""

    def write(self, text: str) -> object:
        """Take a line."""
        ...

    def flush(self) -> None:
        """Nothing waits behind it."""
        ...


class Stderr:
    """stderr, written by a thread of its own; what it cannot take in time is dropped."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[str | None] = queue.Queue(LINES_WAITING_MAX)
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        """Queue a line, or drop it."""
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(text)

    def flush(self) -> None:
        """Lines leave as they come."""

    def close(self) -> None:
        """Write what waits, within a bound."""
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)
        self._thread.join(LAST_LINES_S)

    def _write_all(self) -> None:
        while (text := self._waiting.get()) is not None:
            with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
                sys.stderr.write(text)
                sys.stderr.flush()


class Log:
    """Writes events as JSON or for a console."""

    def __init__(
        self, clock: Clock, form: Literal["json", "console"] = "console", out: Lines | None = None
    ) -> None:
        self._clock = clock
        self._out = out if out is not None else Stderr()
        self._last_s: dict[tuple[str, str], float] = {}
        self._left_out: dict[tuple[str, str], int] = {}
        renderer: structlog.types.Processor = (
            structlog.processors.JSONRenderer()
            if form == "json"
            else structlog.dev.ConsoleRenderer(colors=False)
        )
        self._logger = structlog.wrap_logger(
            structlog.PrintLogger(self._out),  # type: ignore[arg-type]  # it writes and flushes, no more
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                renderer,
            ],
        )

    def info(self, event: str, **fields: Value) -> None:
        """Something worth knowing."""
        self._logger.info(event, **fields)

    def warning(self, event: str, **fields: Value) -> None:
        """Something to look at; at most one line a second per event and reason or rule."""
        if (left_out := self._due(event, fields)) is not None:
            self._logger.warning(event, **fields, **left_out)

    def error(self, event: str, **fields: Value) -> None:
        """Something to act on; at most one line a second per event and reason or rule."""
        if (left_out := self._due(event, fields)) is not None:
            self._logger.error(event, **fields, **left_out)

    def close(self) -> None:
        """The process ends."""
        if isinstance(self._out, Stderr):
            self._out.close()

    def _due(self, event: str, fields: dict[str, Value]) -> dict[str, int] | None:
        key = (event, str(fields.get("reason", fields.get("rule", ""))))
        now_s = self._clock.monotonic_s()
        if now_s - self._last_s.get(key, -1.0) < 1.0:
            self._left_out[key] = self._left_out.get(key, 0) + 1
            return None
        self._last_s[key] = now_s
        left_out = self._left_out.pop(key, 0)
        return {"left_out": left_out} if left_out else {}
