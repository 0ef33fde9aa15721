"""Records a trace: notes what happens on the loop, and lets a thread tell, hash and write it.

Recording never blocks: what the thread cannot take in time, or the disk cannot hold, ends the trace and
nothing else. Notes are of values that do not change any more, so telling them later tells what was.
"""

import contextlib
import hashlib
import hmac
import io
import os
import re
import secrets
import threading
from collections import deque
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import msgspec

from processor.book.state import Answer, State
from processor.core.desk import Flight
from processor.core.executor import LOGIC
from processor.iso8583.message import Message
from processor.networks.profile import Profile
from processor.replay.scrub import Names, Scrubber
from processor.replay.teller import (
    Fate,
    Noted,
    NotedAnswer,
    NotedCommand,
    NotedFacts,
    NotedFrame,
    NotedLapse,
    NotedSync,
    Teller,
    card_of,
)
from processor.replay.touched import SHARED, Reach, figures
from processor.replay.trace import FORMAT, MARK_EVERY, End, Header, Lost, Mark, Refused
from processor.services.log import Log
from processor.values.commands import Command, ExpireHolds, IssueCard, Sign
from processor.values.errors import ConfigError, DecodeError, Unsupported
from processor.values.facts import Facts
from processor.values.outcome import Outcome
from processor.values.reasons import Reason
from processor.values.requests import NetworkManagement, Signal
from processor.values.sensitive import Tokens

WAITING_MAX = 32_768  # events noted and not yet written
WRITE_EVERY_S = 0.02
LAST_LINES_S = 30.0  # how long the end of the process waits for the trace to be whole

_DIGITS = re.compile("[0-9]{12,19}")
_WITH_PAN = (2, 34, 35, 36, 45)  # elements that name a card
_SIGNS = frozenset((Signal.SIGN_ON, Signal.SIGN_OFF))


class TraceFile:
    """The file of one trace: lines, marks, end. Used by one thread."""

    def __init__(self, path: Path) -> None:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise ConfigError([f"{path}: exists already; a trace is never written over"]) from None
        except OSError as error:
            raise ConfigError([f"{path}: {error.strerror}"]) from None
        self._file = io.FileIO(descriptor, "wb")
        self._path = path
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
            OSError: the disk is full or fails; ``end`` can still be tried.
        """
        self._digest()
        data, self._pending, self._hashed = b"".join(self._pending), [], 0
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._good = (self._good[0] + len(data), self._lines, self._since_mark, self._hash.copy())

    def flush_when_large(self) -> None:
        """Write what is queued once it is worth a write."""
        if len(self._pending) >= MARK_EVERY:
            self.flush()

    def discard(self) -> None:
        """Leave no file."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def end(self, lost: str = "") -> None:
        """Close the file with its last lines; ``lost`` is why not everything is in it. Never raises."""
        with contextlib.suppress(OSError):
            self._back_to_good()
            if lost:
                self.add(Lost(reason=lost))
            self._put(End(lines=self._lines, sha256=self._digest()))
            self.flush()
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
        """The hash of all lines so far: many at once, which leaves the interpreter to others meanwhile."""
        self._hash.update(b"".join(self._pending[self._hashed :]))
        self._hashed = len(self._pending)
        return self._hash.hexdigest()


class TraceOrder(msgspec.Struct, frozen=True):
    """A trace to be made in ``path``: scrubbed, or raw with the frames of cards in ``test_bins``."""

    path: Path
    test_bins: tuple[str, ...] = ()

    @property
    def raw(self) -> bool:
        """Whether frames are kept as they are."""
        return bool(self.test_bins)


def names_for(order: TraceOrder, pan_token_key: bytes, profiles: Iterable[Profile]) -> Names:
    """How the trace names cards and accounts: under a key of its own, made from the PAN-token key."""
    key = hmac.digest(pan_token_key, b"names in traces", hashlib.sha256)
    return Names(key) if order.raw else Scrubber(key, profiles)


class Recorder:
    """Notes what the desk, the core, the journal and the links are told, in order.

    Made before anything is served; nothing is noted before ``begin``. A method of the loop never waits.
    """

    def __init__(self, order: TraceOrder, names: Names, tokens: Tokens, log: Log) -> None:
        self._order = order
        self._names = names
        self._tokens = tokens
        self._log = log
        self._file = TraceFile(order.path)
        self._noted: deque[Noted] = deque()
        self._at: Noted | None = None  # the event at hand; None where it is not recorded
        self._on = self._closed = False
        self._signing = False  # the frame at hand is a sign-on or sign-off that was not decided yet
        self._lost = ""  # why nothing more can be recorded
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write, name="trace", daemon=True)
        self._frames = self._links = 0
        self.left_out = 0  # frames that a raw trace must not have

    def begin(self, state: State, *, began_ms: int, policy: str, profiles: Iterable[Profile]) -> None:
        """Begin with the state as it is; ``policy`` is the text of the rules.

        Raises:
            OSError: not even the header can be written.
        """
        self._teller = Teller(self._names, self._tokens, raw=self._order.raw)
        self._reach = Reach(state)
        shared = [a for a in state.accounts.values() if a.name.startswith(SHARED)]
        header = Header(
            format=FORMAT,
            kind="raw" if self._order.raw else "scrubbed",
            standin=metadata.version("standin"),
            logic=LOGIC,
            began_ms=began_ms,
            sequence=state.sequence,
            sequenced_ms=state.sequenced_ms,
            signed_on=dict(state.signed_on),
            accounts=tuple(self._teller.account(figures(account)) for account in shared),
            secret=secrets.token_hex(32),
            policy=policy,
            profiles=tuple(profiles),
        )
        self._file.add(header)
        self._file.flush()
        self._on = True
        self._thread.start()

    def close(self) -> None:
        """Write what is noted, and the end; where nothing was begun, leave nothing. Once is enough."""
        if self._closed:
            return
        self._closed = True
        if self._thread.ident is None:
            self._file.discard()
            return
        self._next(None)
        self._on = False
        self._stopping.set()
        self._thread.join(LAST_LINES_S)
        self._log.info(
            "trace ended",
            file=str(self._order.path),
            frames=self._frames,
            left_out=self.left_out,
            reason=self._lost or "stopped",
        )

    def link(self) -> int:
        """A number for a new link."""
        self._links += 1
        return self._links

    # What links tell.

    def arrived(
        self, link: int, network: str, ms: int, frame: bytes, message: Message, request: object
    ) -> int:
        """A frame was recognised; its number, 0 if it is not recorded."""
        if not self._may_be_told(message, whole=True):
            return self._leave_out(network)
        number = self._begin_frame(link, network, ms, frame, message, card_of(request))
        self._signing = isinstance(request, NetworkManagement) and request.signal in _SIGNS
        return number

    def refused(
        self,
        link: int,
        network: str,
        ms: int,
        frame: bytes,
        message: Message,
        error: DecodeError | Unsupported,
    ) -> int:
        """A frame was not; ``message`` is as much of it as could be read."""
        if isinstance(error, DecodeError):
            why = Refused(Reason.FORMAT_ERROR, error.element, error.offset, error.rule)
        else:
            why = Refused(Reason.UNSUPPORTED_TRANSACTION, 0, -1, str(error))
        if not self._may_be_told(message, whole=why.offset < 0):
            return self._leave_out(network)
        return self._begin_frame(link, network, ms, frame, message, "", why)

    def answered(
        self,
        number: int,
        network: str,
        asked: Message,
        outcome: Outcome,
        fate: Fate,
        reply: Message | None = None,
        data: bytes = b"",
    ) -> None:
        """A frame was answered, or will not be."""
        if not (number and self._on):
            return
        if (at := self._at) is None:
            at = self._at = Noted()
        if outcome.reply.reason is Reason.OVERLOADED and isinstance(at, NotedFrame):
            at.shed = True
        at.sent.append(
            NotedAnswer(number, network, asked, fate, reply, data, outcome.sequence, outcome.verdicts)
        )

    # What the journal's writer tells.

    def durable(self, sequence: int) -> None:
        """Records are on disk, and their answers are about to be released."""
        self._next(NotedSync(sequence))

    # What the desk tells: see DeskWitness.

    def admitted(self, flight: Flight) -> None:
        """The frame at hand is worked out."""
        if isinstance(self._at, NotedFrame):
            flight.number = self._at.number
            self._reach.card(flight.request.card)

    def unasked(self, flight: Flight) -> None:
        """The HSM could not be asked."""
        if self._at is not None and flight.number:
            self._at.silent.append(flight.number)

    def verified(self, flight: Flight, facts: Facts) -> None:
        """The HSM spoke."""
        self._next(NotedFacts(flight.number, facts) if flight.number else None)

    def lapsed(self, flight: Flight) -> None:
        """A deadline passed; where that is found while answers are released, it belongs before them."""
        if isinstance(self._at, NotedSync) and flight.number:
            self._at.late.append(flight.number)
        else:
            self._next(NotedLapse(flight.number) if flight.number else None)

    # What the core tells: see CoreWitness.

    def decided(self, command: Command, outcome: Outcome, sequenced_ms: int) -> None:
        """A command was decided."""
        if isinstance(command, Sign | ExpireHolds | IssueCard):
            if not (self._signing and isinstance(command, Sign)):
                self._next(NotedCommand(command))
            self._signing = False
        at = self._at
        if at is None or type(at) is Noted:
            return
        self._reach.of(command, sequenced_ms)
        at.did.append((outcome.sequence, sequenced_ms, outcome.reply.auth_code))

    def answered_before(self, key: str, answer: Answer) -> None:
        """A stored answer was looked at."""
        if self._at is not None:
            self._reach.answered(key, answer)

    def _may_be_told(self, message: Message, *, whole: bool) -> bool:
        """Whether a raw trace may have this frame: it is of a test card, or of none and read to its end."""
        if not self._order.raw:
            return True
        named = [message.elements[number] for number in _WITH_PAN if number in message.elements]
        runs = [_DIGITS.search(value) for value in named]
        return (whole or bool(named)) and all(
            run is not None and run[0].startswith(self._order.test_bins) for run in runs
        )

    def _leave_out(self, network: str) -> int:
        if self._on:
            self.left_out += 1
            self._log.warning("frame not recorded", network=network, reason="not of a test card")
        self._next(None)
        return 0

    def _begin_frame(
        self,
        link: int,
        network: str,
        ms: int,
        frame: bytes,
        message: Message,
        card: str,
        refused: Refused | None = None,
    ) -> int:
        if not self._on:
            return 0
        self._frames += 1
        self._next(NotedFrame(self._frames, link, network, ms, frame, message, card, refused))
        return self._frames

    def _next(self, noted: Noted | None) -> None:
        """The event at hand is over; another begins, None for one that is not recorded."""
        at, self._at = self._at, None
        self._signing = False
        if not self._on:
            return
        if at is not None:
            at.touched = self._reach.take()
            self._noted.append(at)
            if len(self._noted) > WAITING_MAX:
                self._lost = "the disk or the processor's other work did not let the recorder keep up"
                self._stopping.set()
        if self._lost:
            self._on = False
            self._log.error("trace lost", file=str(self._order.path), reason=self._lost)
            return
        self._at = noted

    # The thread.

    def _write(self) -> None:
        try:
            while not self._stopping.wait(WRITE_EVERY_S):
                self._write_noted()
            self._write_noted()
        except OSError as error:
            self._lost = f"the disk failed: {error.strerror}"
        except Exception as error:  # noqa: BLE001 - a trace is never worth more than what it is of
            self._lost = (
                f"the recorder failed: {type(error).__name__}"  # its text may quote what it was about
            )
        self._file.end(self._lost)

    def _write_noted(self) -> None:
        noted, add, tell = self._noted, self._file.add, self._teller.tell
        while noted:
            for line in tell(noted.popleft()):
                add(line)
            self._file.flush_when_large()
        self._file.flush()
