"""Reading a trace's file: every line proved by the mark behind it, and by what the lines before it said."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self

import msgspec

from processor.replay.bearings import Bearings
from processor.replay.trace import (
    FORMAT,
    LINE_BYTES_MAX,
    MARK_EVERY,
    End,
    Header,
    Item,
    Line,
    Lost,
    Mark,
    TraceError,
)

_TAKE_IT = "--partial replays what there is"

_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


class Trace:
    """A trace file being read, once: ``header``, then the items with their line numbers.

    Nothing is handed out before the mark behind it has proved it, so whoever uses an item needs no doubt: it
    is as it was written, and speaks of nothing that the trace has not told. ``partial`` takes a trace that
    is not whole up to where it is; ``missing`` then says, once it is read, why there is no more.
    """

    def __init__(self, file: IO[bytes], source: str, *, partial: bool = False) -> None:
        self.missing = ""
        self._partial = partial
        self._file = file
        self._source = source
        self._hash = hashlib.sha256()
        self._read = 0  # lines so far
        first = self._next_line()
        if first and not first.endswith(b"\n"):
            raise self.error(1, "the trace is cut inside this line")
        self._hash.update(first)
        header = self._parsed(1, first) if first else None
        if not isinstance(header, Header):
            raise self.error(1, "not a trace: its first line is no header" if first else "empty")
        if header.format != FORMAT:
            raise self.error(1, f"format {header.format}; this version reads {FORMAT}")
        self.header = header

    @classmethod
    def open(cls, path: Path, *, partial: bool = False) -> Self:
        """Open ``path`` and read its header.

        Raises:
            TraceError: it cannot be read, is empty, is no trace, or is of another format.
        """
        try:
            file = path.open("rb")
        except OSError as error:
            raise TraceError(str(path), 0, error.strerror or str(error)) from None
        try:
            return cls(file, str(path), partial=partial)
        except TraceError:
            file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def items(self) -> Iterator[tuple[int, Item]]:
        """Every item with its line number, in order.

        Raises:
            TraceError: lines were changed, moved, added or left out since the mark before, or do not belong
                together; or, after the last item and unless it may be ``partial``, something is missing:
                recording stopped before the processor did, or the end is not there.
        """
        bearings = self._bearings()
        number, lost = 1, 0
        while True:
            first = self._read + 1
            lines, mark = self._up_to_mark(first)
            for number, raw in enumerate(lines, first):
                item = self._item(number, raw)
                if problem := bearings.problem(item):
                    raise self.error(number, problem)
                if isinstance(item, Lost):
                    lost, self.missing = (
                        number,
                        f"recording stopped here, before the processor did: {item.reason}",
                    )
                yield number, item
            if mark is None:
                return
            if isinstance(mark, End):
                break
        if self._file.read(1):
            raise self.error(self._read + 1, "lines after the end")
        if lost and not self._partial:
            raise self.error(lost, f"{self.missing}; {_TAKE_IT}")

    def _bearings(self) -> Bearings:
        try:
            return Bearings(self.header)
        except ValueError as error:
            raise self.error(1, str(error)) from None

    def _up_to_mark(self, first: int) -> tuple[list[bytes], Mark | End | None]:
        """The lines before the next mark, proved by it; none where the trace stops without one."""
        lines: list[bytes] = []
        while line := self._next_line():
            if not line.endswith(b"\n"):
                break
            if line.startswith((b'{"t":"mark"', b'{"t":"end"')):
                return lines, self._proved(first, lines, line)
            lines.append(line)
            if len(lines) > MARK_EVERY:
                raise self._changed(first, lines)
        where = (
            "is cut inside this line" if line else "stops without its end: cut, or its processor was killed"
        )
        if not self._partial:
            raise self.error(
                self._read, f"the trace {where}; what is proved ends with line {first - 1}; {_TAKE_IT}"
            )
        self.missing = f"it {where}; lines {first} to {self._read} are not proved and were left out"
        return [], None

    def _proved(self, first: int, lines: list[bytes], line: bytes) -> Mark | End:
        mark = self._parsed(self._read, line)
        assert isinstance(mark, Mark | End), "its tag says so"
        self._hash.update(b"".join(lines))
        if mark.sha256 != self._hash.hexdigest() or mark.lines != self._read - 1:
            raise self._changed(first, lines)
        self._hash.update(line)
        return mark

    def _changed(self, first: int, lines: list[bytes]) -> TraceError:
        """Which lines are not as they were recorded, as closely as can be told."""
        for number, raw in enumerate(lines, first):
            self._item(number, raw)
        return self.error(first, f"lines {first} to {self._read} are not as they were recorded")

    def _item(self, number: int, raw: bytes) -> Item:
        item = self._parsed(number, raw)
        if isinstance(item, Header | Mark | End):
            raise self.error(number, "a line that has no place here")
        return item

    def _next_line(self) -> bytes:
        line = self._file.readline(LINE_BYTES_MAX)
        if line:
            self._read += 1
            if len(line) == LINE_BYTES_MAX and not line.endswith(b"\n"):
                raise self.error(self._read, "too long")
        return line

    def _parsed(self, number: int, raw: bytes) -> Line:
        try:
            return _decoder.decode(raw)
        except msgspec.ValidationError as error:
            raise self.error(number, f"not a line of a trace: {error}") from None
        except (msgspec.DecodeError, RecursionError):
            raise self.error(number, "not JSON") from None

    def error(self, line: int, problem: str) -> TraceError:
        """What is wrong in a line of this trace."""
        return TraceError(self._source, line, problem)
