"""Records a trace: notes what happens on the loop, and hands the notes to a process that writes them.

Recording never blocks: what that process cannot take in time, or the disk cannot hold, ends the trace and
nothing else. Notes are of values that do not change any more, so telling them later tells what was.
"""

import os
import re
import secrets
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

import msgspec

from processor.book.state import Answer, State
from processor.core.desk import Flight
from processor.core.executor import LOGIC
from processor.iso8583.message import Message
from processor.networks.profile import Profile
from processor.replay.notes import (
    AnswerNote,
    BeginNote,
    CommandNote,
    DidNote,
    FactsNote,
    Fate,
    FrameNote,
    LapseNote,
    LateNote,
    Note,
    ShedNote,
    SilentNote,
    SyncNote,
    TouchedNote,
)
from processor.replay.touched import SHARED, Reach, figures
from processor.replay.trace import FORMAT, AccountStart, Header, Refused
from processor.services.log import Log
from processor.services.trace_feed import Feed, Writer, start_writer
from processor.values.commands import Command, ExpireHolds, IssueCard, Sign
from processor.values.errors import ConfigError, DecodeError, Unsupported
from processor.values.facts import Facts
from processor.values.outcome import Outcome
from processor.values.reasons import Reason
from processor.values.requests import NetworkManagement, Request, Signal

_DIGITS = re.compile("[0-9]{12,19}")
_WITH_PAN = (2, 34, 35, 36, 45)  # elements that name a card
_SIGNS = frozenset((Signal.SIGN_ON, Signal.SIGN_OFF))
_ADMINISTERED = (Sign, ExpireHolds, IssueCard)
_NUMBERED_MAX = 9999
_NOTHING, _FRAME, _SYNC, _OTHER = range(4)  # the kind of event at hand; NOTHING is one that is not recorded


class TraceOrder(msgspec.Struct, frozen=True):
    """A trace to be made in ``path``: scrubbed, or raw with the frames of cards in ``test_bins``.

    Where there is such a file it is made in ``path.1``, or the next of these that is free. On the disk of
    ``journal_folder`` it ends before less than ``journal_bytes`` are left for the journal.
    """

    path: Path
    test_bins: tuple[str, ...] = ()
    journal_folder: Path | None = None
    journal_bytes: int = 0

    @property
    def raw(self) -> bool:
        """Whether frames are kept as they are."""
        return bool(self.test_bins)


class Recorder:
    """Notes what the desk, the core, the journal and the links are told, in order.

    Made before anything is served; nothing is noted before ``begin``. A method of the loop never waits.
    """

    def __init__(
        self,
        order: TraceOrder,
        pan_token_key: bytes,
        log: Log,
        start: Callable[[int], Writer] = start_writer,
    ) -> None:
        self._order = order
        self._raw = order.raw
        self._key = pan_token_key
        self._log = log
        self._start = start
        self.path, self._file = _create(order.path)
        folder = order.journal_folder
        shared = folder is not None and folder.stat().st_dev == os.fstat(self._file).st_dev
        self._keep_free_bytes = order.journal_bytes if shared else 0
        self.lost = False  # it has ended before the processor
        self._feed: Feed | None = None
        self._at = _NOTHING
        self._on = self._closed = False
        self._signing = False  # the frame at hand is a sign-on or sign-off that was not decided yet
        self._frames = self._links = 0
        self._open: set[int] = set()  # frames whose elements the writer keeps until they are answered
        self.left_out = 0  # frames that a raw trace must not have

    def begin(self, state: State, *, began_ms: int, policy: str, profiles: Iterable[Profile]) -> None:
        """Begin with the state as it is; ``policy`` is the text of the rules.

        Raises:
            OSError: the process that writes it cannot be started.
        """
        self._reach = Reach(state)
        shared = [a for a in state.accounts.values() if a.name.startswith(SHARED)]
        header = Header(
            format=FORMAT,
            kind="raw" if self._raw else "scrubbed",
            standin=metadata.version("standin"),
            logic=LOGIC,
            began_ms=began_ms,
            sequence=state.sequence,
            sequenced_ms=state.sequenced_ms,
            signed_on=dict(state.signed_on),
            accounts=tuple(AccountStart(*figures(account)) for account in shared),
            secret=secrets.token_hex(32),
            policy=policy,
            profiles=tuple(profiles),
        )
        self._feed = Feed(self._start(self._file))
        os.close(self._file)
        self._add = self._feed.add
        self._add(BeginNote(header, self._key, self._keep_free_bytes))
        self._feed.hand_over()
        self._on = True
        self._log.info("trace began", file=str(self.path), kind=header.kind)

    def close(self) -> None:
        """Write what is noted, and the end; where nothing was begun, leave nothing. Once is enough."""
        if self._closed:
            return
        self._closed = True
        if self._feed is None:
            os.close(self._file)
            self.path.unlink(missing_ok=True)
            return
        self._over()
        if self._on:
            self._feed.end()
        self._on = False
        self._log.info(
            "trace ended",
            file=str(self.path),
            frames=self._frames,
            left_out=self.left_out,
            reason=self._feed.finish() or "stopped",
        )

    def hand_over(self) -> None:
        """Give what is noted so far to the process that writes it; no event is at hand any more."""
        feed = self._feed
        if feed is None or self._closed:
            return
        self._over()  # so that what ends here ends whole
        feed.hand_over()
        if feed.lost and self._on:
            self._on, self.lost = False, True
            feed.end()
            self._log.error("trace lost", file=str(self.path), reason=feed.lost)

    def link(self) -> int:
        """A number for a new link."""
        self._links += 1
        return self._links

    # What links tell.

    def arrived(
        self, link: int, network: str, ms: int, frame: bytes, message: Message, request: object
    ) -> int:
        """A frame was recognised; its number, 0 if it is not recorded."""
        if self._raw and not self._may_be_told(message, whole=True):
            return self._leave_out(network)
        card = request.card if isinstance(request, Request) else ""
        number = self._begin_frame(link, network, ms, frame, message, card)
        if card and number:
            self._open.add(number)
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
        if self._raw and not self._may_be_told(message, whole=why.offset < 0):
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
        if outcome.reply.reason is Reason.OVERLOADED and self._at is _FRAME:
            self._add(ShedNote())
        refusals = tuple([verdict for verdict in outcome.verdicts if verdict.reason is not None])
        kept, sequence = number in self._open, outcome.sequence
        self._open.discard(number)
        if reply is None or self._raw:
            self._add(AnswerNote(number, network, fate, sequence, refusals, data))
            return
        mti, header, elements = reply.mti, reply.header, reply.elements
        known = None if kept else asked.elements
        self._add(AnswerNote(number, network, fate, sequence, refusals, b"", mti, header, elements, known))

    # What the journal's writer tells.

    def durable(self, sequence: int) -> None:
        """Records are on disk, and their answers are about to be released."""
        if self._feed is not None and self._feed.is_due:
            self.hand_over()
        self._next(SyncNote(sequence), _SYNC)

    # What the desk tells: see DeskWitness.

    def admitted(self, flight: Flight) -> None:
        """The frame at hand is worked out."""
        if self._at is _FRAME:
            flight.number = self._frames
            self._reach.card(flight.request.card)

    def unasked(self, flight: Flight) -> None:
        """The HSM could not be asked."""
        if self._at is not _NOTHING and flight.number:
            self._add(SilentNote(flight.number))

    def verified(self, flight: Flight, facts: Facts) -> None:
        """The HSM spoke."""
        if flight.number:
            self._next(FactsNote(flight.number, facts))
        else:
            self._over()

    def lapsed(self, flight: Flight) -> None:
        """A deadline passed; where that is found while answers are released, it belongs before them."""
        if not flight.number:
            self._over()
        elif self._at is _SYNC:
            self._add(LateNote(flight.number))
        else:
            self._next(LapseNote(flight.number))

    # What the core tells: see CoreWitness.

    def decided(self, command: Command, outcome: Outcome, sequenced_ms: int) -> None:
        """A command was decided."""
        if isinstance(command, _ADMINISTERED):
            if not (self._signing and isinstance(command, Sign)):
                self._next(CommandNote(command))
            self._signing = False
        if self._at is not _NOTHING:
            self._reach.of(command, sequenced_ms)
            self._add(DidNote(outcome.sequence, sequenced_ms, outcome.reply.auth_code))

    def answered_before(self, key: str, answer: Answer) -> None:
        """A stored answer was looked at."""
        if self._at is not _NOTHING:
            self._reach.answered(key, answer)

    def _may_be_told(self, message: Message, *, whole: bool) -> bool:
        """Whether a raw trace may have this frame: it is of a test card, or of none and read to its end."""
        named = [message.elements[number] for number in _WITH_PAN if number in message.elements]
        runs = [_DIGITS.search(value) for value in named]
        return (whole or bool(named)) and all(
            run is not None and run[0].startswith(self._order.test_bins) for run in runs
        )

    def _leave_out(self, network: str) -> int:
        if self._on:
            self.left_out += 1
            self._log.warning("frame not recorded", network=network, reason="not of a test card")
        self._over()
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
        self._next(
            FrameNote(
                self._frames,
                link,
                network,
                ms,
                message.mti,
                message.header,
                message.elements,
                card,
                refused,
                frame if self._raw else b"",
            ),
            _FRAME,
        )
        return self._frames

    def _next(self, event: Note, at: int = _OTHER) -> None:
        """The event at hand is over; another begins."""
        self._over()
        if self._on:
            self._add(event)
            self._at = at

    def _over(self) -> None:
        """The event at hand is over; what follows is not recorded until another begins."""
        if self._at is not _NOTHING and (touched := self._reach.take()) is not None:
            self._add(TouchedNote(touched))
        self._at = _NOTHING
        self._signing = False


def _create(path: Path) -> tuple[Path, int]:
    """The trace's file, new and open: a processor that is started again must not be kept from serving.

    Raises:
        ConfigError: it cannot be made, or there are ``_NUMBERED_MAX`` already.
    """
    for name in (path, *(path.with_name(f"{path.name}.{number}") for number in range(1, _NUMBERED_MAX + 1))):
        try:
            return name, os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
        except OSError as error:
            raise ConfigError([f"{name}: {error.strerror}"]) from None
    raise ConfigError([f"{path}: exists already, and so does every {path.name}.NUMBER up to {_NUMBERED_MAX}"])
