"""The process that writes a trace: reads notes from a pipe, tells, scrubs, hashes and writes them.

    python -m processor.services.trace_writer DESCRIPTOR

It has an interpreter of its own, so that a trace takes next to none of the processor's. It is given the file
already open, and its keys through the pipe, which is its stdin. Its last word, on stdout, is why the trace is
not whole, or nothing. When the pipe ends without an ``EndNote`` the processor has died, and the trace gets no
end either.
"""

import contextlib
import errno
import hashlib
import hmac
import io
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import msgspec

from processor.networks.profile import Profile
from processor.replay.notes import BeginNote, EndNote, Note
from processor.replay.pseudonyms import Names
from processor.replay.scrub import Scrubber
from processor.replay.teller import Teller
from processor.replay.trace import MARK_EVERY, End, Lost, Mark
from processor.values.sensitive import Tokens

NICE = 5  # where cores are short, answers come before their trace
PREFIX_BYTES = 4  # of a batch of notes: its length, big-endian


class TraceFile:
    """The file of one trace: lines, marks, end. It leaves its disk ``keep_free_bytes``, or ends."""

    keep_free_bytes = 0

    def __init__(self, descriptor: int) -> None:
        self._file = io.FileIO(descriptor, "wb")
        self._encode = msgspec.json.Encoder().encode
        self._hash = hashlib.sha256()
        self._lines = self._since_mark = self._hashed = 0  # of ``_pending``, so many are in the hash
        self._pending: list[bytes] = []
        self._good = (0, 0, 0, self._hash.copy())  # bytes, lines, lines since a mark, hash: what is written

    def add(self, line: msgspec.Struct) -> None:
        """Queue a line, and the mark that is due after it."""
        self._put(line)
        self._since_mark += 1
        if self._since_mark == MARK_EVERY:
            self._put(Mark(lines=self._lines, sha256=self._digest()))
            self._since_mark = 0

    def flush(self) -> None:
        """Write what is queued.

        Raises:
            OSError: the disk is full, or full enough, or fails; ``end`` can still be tried.
        """
        self._digest()
        data, self._pending, self._hashed = b"".join(self._pending), [], 0
        if self.keep_free_bytes:
            disk = os.fstatvfs(self._file.fileno())
            if disk.f_bavail * disk.f_frsize - len(data) < self.keep_free_bytes:
                raise OSError(
                    errno.ENOSPC, f"less than {self.keep_free_bytes >> 20:,} MiB would be left free"
                )
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._good = (self._good[0] + len(data), self._lines, self._since_mark, self._hash.copy())

    def end(self, lost: str = "") -> None:
        """Close the file with its last lines; ``lost`` is why not everything is in it. Never raises."""
        self.keep_free_bytes = 0  # a line or two more
        with contextlib.suppress(OSError):
            self._back_to_good()
            if lost:
                self.add(Lost(reason=lost))
            self._put(End(lines=self._lines, sha256=self._digest()))
            self.flush()
        self.close()

    def close(self) -> None:
        """Leave it as it is."""
        self._file.close()

    def _back_to_good(self) -> None:
        """Forget what could not be written whole."""
        size, self._lines, self._since_mark, self._hash = self._good
        self._pending, self._hashed = [], 0
        self._file.truncate(size)
        self._file.seek(size)

    def _put(self, line: msgspec.Struct) -> None:
        self._lines += 1
        self._pending.append(self._encode(line) + b"\n")

    def _digest(self) -> str:
        """The hash of all lines so far."""
        self._hash.update(b"".join(self._pending[self._hashed :]))
        self._hashed = len(self._pending)
        return self._hash.hexdigest()


def names_for(pan_token_key: bytes, profiles: Iterable[Profile], *, raw: bool) -> Names:
    """How a trace names cards and accounts: under a key of its own, made from the PAN-token key."""
    key = hmac.digest(pan_token_key, b"names in traces", hashlib.sha256)
    return Names(key) if raw else Scrubber(key, profiles)


def write(source: BinaryIO, file: TraceFile) -> str:
    """Write what comes; why it is not the whole trace, or empty. Never raises."""
    try:
        lost = _write_notes(source, file)
    except OSError as error:
        lost = f"the disk failed: {error.strerror}"
    except Exception as error:  # noqa: BLE001 - its text may quote what it was about
        lost = f"the recorder failed: {type(error).__name__}"
    if lost is None:
        file.close()
        return "the processor ended without ending the trace"
    file.end(lost)
    return lost


def _write_notes(source: BinaryIO, file: TraceFile) -> str | None:
    """Write up to the last note, which says what was lost; None where there is no last note."""
    batches = _batches(source)
    begin = next(batches, [None])[0]
    if not isinstance(begin, BeginNote):
        return None
    header, raw = begin.header, begin.header.kind == "raw"
    names = names_for(begin.pan_token_key, header.profiles, raw=raw)
    teller = Teller(names, Tokens(begin.pan_token_key), raw=raw)
    file.add(header)
    file.flush()
    file.keep_free_bytes = begin.keep_free_bytes
    for notes in batches:
        end = notes.pop() if isinstance(notes[-1], EndNote) else None
        for line in teller.tell(notes):
            file.add(line)
        if isinstance(end, EndNote):
            for line in teller.rest():
                file.add(line)
            file.flush()
            return end.lost
        file.flush()
    return None


def _batches(source: BinaryIO) -> Iterator[list[Note]]:
    """Every whole batch up to the pipe's end."""
    decode = msgspec.msgpack.Decoder(list[Note]).decode
    while len(prefix := source.read(PREFIX_BYTES)) == PREFIX_BYTES:
        length = int.from_bytes(prefix, "big")
        data = source.read(length)
        if len(data) < length:
            return
        yield decode(data)


def main() -> None:
    """Be that process. Signals are for the processor, which ends the pipe in its own time."""
    os.nice(NICE)
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    lost = write(sys.stdin.buffer, TraceFile(int(sys.argv[1])))
    sys.stdout.write(lost)


if __name__ == "__main__":
    main()
