"""Log lines for operations: on stderr, one event with its fields per line, nothing sensitive in any field.

A line that repeats faster than once a second is left out and counted, so that a broken peer or HSM cannot
drown the others.
"""

import sys
from typing import Literal, TextIO

import structlog

from processor.values.clock import Clock

Value = str | int | float | bool | None


class Log:
    """Writes events as JSON or for a console."""

    def __init__(
        self, clock: Clock, form: Literal["json", "console"] = "console", out: TextIO | None = None
    ) -> None:
        self._clock = clock
        self._last_s: dict[tuple[str, str], float] = {}
        self._left_out: dict[tuple[str, str], int] = {}
        renderer: structlog.types.Processor = (
            structlog.processors.JSONRenderer()
            if form == "json"
            else structlog.dev.ConsoleRenderer(colors=False)
        )
        self._logger = structlog.wrap_logger(
            structlog.PrintLogger(out or sys.stderr),
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
        """Something to look at; at most one line a second per event and reason."""
        if (left_out := self._due(event, str(fields.get("reason", "")))) is not None:
            self._logger.warning(event, **fields, **left_out)

    def error(self, event: str, **fields: Value) -> None:
        """Something to act on; at most one line a second per event and reason."""
        if (left_out := self._due(event, str(fields.get("reason", "")))) is not None:
            self._logger.error(event, **fields, **left_out)

    def _due(self, event: str, reason: str) -> dict[str, int] | None:
        key, now_s = (event, reason), self._clock.monotonic_s()
        if now_s - self._last_s.get(key, -1.0) < 1.0:
            self._left_out[key] = self._left_out.get(key, 0) + 1
            return None
        self._last_s[key] = now_s
        left_out = self._left_out.pop(key, 0)
        return {"left_out": left_out} if left_out else {}
