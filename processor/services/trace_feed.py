"""Feeds the process that writes a trace, through a pipe, without ever waiting for it."""

import contextlib
import fcntl
import os
import select
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from processor.replay.notes import EndNote, Note
from processor.services.trace_writer import PREFIX_BYTES

WAITING_BYTES_MAX = 64 << 20  # encoded notes that the pipe has not taken
BATCH_BYTES = 1 << 15
PIPE_BYTES = 1 << 20
LAST_LINES_S = 30.0  # how long the end of the process waits while nothing moves
_ARRAY_BYTES = 5  # of msgpack's prefix of an array


class Writer(NamedTuple):
    """The other side: where its notes go, where its last word comes from, and its end.

    ``wait`` raises subprocess.TimeoutExpired after so many seconds.
    """

    notes: int
    word: int
    wait: Callable[[float], int]
    kill: Callable[[], None]


def start_writer(file: int) -> Writer:
    """Start the process, in a session of its own; it has the open ``file``, which can be closed here.

    Raises:
        OSError: it cannot be started.
    """
    source, notes = os.pipe()
    word, sink = os.pipe()
    try:
        process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-P", "-m", "processor.services.trace_writer", str(file)],
            stdin=source,
            stdout=sink,
            pass_fds=(file,),
            start_new_session=True,
        )
    finally:
        os.close(source)
        os.close(sink)
    return Writer(notes, word, process.wait, process.kill)


class Feed:
    """Takes notes and hands them over as the pipe takes them. ``lost`` is why it takes no more."""

    def __init__(self, writer: Writer) -> None:
        self.lost = ""
        self._writer = writer
        self._encode_into = msgspec.msgpack.Encoder().encode_into
        self._batch = bytearray()
        self._notes = 0  # in the batch
        self._waiting: deque[memoryview] = deque()
        self._waiting_bytes = 0
        os.set_blocking(writer.notes, False)
        with contextlib.suppress(OSError):  # a smaller one does, too
            fcntl.fcntl(writer.notes, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def add(self, note: Note) -> None:
        """Take a note. It is encoded at once, while what it is of is still at hand; never raises."""
        if self.lost:
            return
        try:
            self._encode_into(note, self._batch, -1)
        except Exception as error:  # noqa: BLE001 - a trace is never worth more than what it is of
            self.lost = f"the recorder failed: {type(error).__name__}"  # its text may quote what it was about
            self._batch.clear()
            self._notes = 0
        else:
            self._notes += 1

    @property
    def is_due(self) -> bool:
        """Whether there are notes enough to be worth handing over, or no more will be."""
        return len(self._batch) >= BATCH_BYTES or self.lost != ""

    def hand_over(self) -> None:
        """End the batch; what the pipe does not take at once waits here, within a bound."""
        self._queue_batch()
        self.push()
        if self._waiting_bytes > WAITING_BYTES_MAX and not self.lost:
            self.lost = "the disk or the machine's other work did not let the recorder keep up"

    def end(self) -> None:
        """End the trace; nothing that is added after this gets into it."""
        self._encode_into(EndNote(self.lost), self._batch, -1)
        self._notes += 1
        self._queue_batch()
        self.push()

    def _queue_batch(self) -> None:
        if self._notes:
            size = _ARRAY_BYTES + len(self._batch)
            array = b"\xdd" + self._notes.to_bytes(4, "big")  # of msgpack
            whole = b"".join((size.to_bytes(PREFIX_BYTES, "big"), array, self._batch))
            self._waiting.append(memoryview(whole))
            self._waiting_bytes += len(whole)
            self._batch.clear()
            self._notes = 0

    def push(self) -> None:
        """Hand over as much as the pipe takes now."""
        waiting = self._waiting
        try:
            while waiting:
                written = os.write(self._writer.notes, waiting[0])
                self._waiting_bytes -= written
                if written < len(waiting[0]):
                    waiting[0] = waiting[0][written:]
                else:
                    waiting.popleft()
        except BlockingIOError:
            return
        except OSError:  # nobody reads: it has ended, and has said why
            waiting.clear()
            self.lost = self.lost or self._last_word(0) or "the process that writes it has ended"

    def finish(self) -> str:
        """Wait until all is written; why it is not, or empty. Nothing can be put any more."""
        writer = self._writer
        while self._waiting and select.select([], [writer.notes], [], LAST_LINES_S)[1]:
            self.push()
        os.close(writer.notes)
        self.lost = self.lost or self._last_word(LAST_LINES_S)
        try:
            code = writer.wait(LAST_LINES_S)
        except subprocess.TimeoutExpired:
            writer.kill()
            code = writer.wait(LAST_LINES_S)
        os.close(writer.word)
        if code and not self.lost:
            self.lost = f"the process that writes it has ended with {code}"
        return self.lost

    def _last_word(self, within_s: float) -> str:
        """What the process said when it ended, if it does within that time."""
        word = self._writer.word
        ready = select.select([word], [], [], within_s)[0]
        return os.read(word, 4096).decode(errors="replace") if ready else ""
