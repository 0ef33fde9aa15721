"""A trace: everything the processor was told from outside, in the order in which it was handled; JSON lines.

    trace     first line: where it began, under which policy and logic
    start     what the next command is about to touch for the first time, as it was before
    in        a frame arrived            ┐
    facts     the HSM spoke of a frame   │ events: each is told with the records that handling it made
    lapse     a frame's deadline passed  │ (``did``) and with the frames whose questions the HSM did not
    durable   records reached the disk   │ take at all (``silent``)
    command   nobody's message           ┘
    out       a frame was answered
    lost      the recorder could not keep up; nothing after it was recorded
    mark      how many lines came before, and their SHA-256
    end       the same, once, at the end

Decisions are a function of the state and these, so the same events give the same answers on any machine.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal, Self

import msgspec

from processor.networks.profile import Profile
from processor.values.cards import Card
from processor.values.commands import ExpireHolds, IssueCard, Sign
from processor.values.errors import ConfigError
from processor.values.facts import Check
from processor.values.money import Money
from processor.values.outcome import Reply, Verdict
from processor.values.reasons import Reason
from processor.values.requests import Direction

FORMAT = 1
MARK_EVERY = 256  # lines between marks
LINE_BYTES_MAX = 1 << 22

# One record that handling an event made: its sequence, its sequenced_ms, and its DE 38 ("": none).
Did = tuple[int, int, str]


class TraceError(ConfigError):
    """A trace that cannot be used; ``line`` is where, from 1, or 0 for the whole file."""

    def __init__(self, source: str, line: int, problem: str) -> None:
        where = f"{source}:{line}" if line else source
        super().__init__([f"{where}: {problem}"])
        self.line = line


class _Line(msgspec.Struct, frozen=True, tag_field="t", omit_defaults=True, gc=False):
    """One line."""


class AccountStart(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An account: its name in the trace, and its figures with all it holds, known to the trace or not."""

    name: str
    currency: str
    ledger_minor: int
    held_minor: int


class PostingStart(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One posting of a transaction."""

    names: tuple[str, ...]
    minor: int


class TransactionStart(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A transaction as ``processor.book.state.Transaction`` has it, without the names it is known by."""

    network: str
    card: str
    account: str
    amount: Money
    direction: Direction
    auth_code: str
    rrn: str
    asked: bool
    single_message: bool
    day: int
    postings: dict[int, PostingStart]
    issuer_minor: int | None
    network_minor: int | None
    issuer_void: bool
    network_void: bool
    cap_minor: int | None
    posting_void: bool
    closed: bool
    expires_ms: int
    hold_class: str


class AnswerStart(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A stored answer and the content its question had."""

    content: str
    reply: Reply


class Header(_Line, frozen=True, kw_only=True, tag="trace"):
    """The first line. ``secret`` is the trace's own, in hex: DE 38 of what is approved only in a replay.

    ``sequence``, ``sequenced_ms``, ``signed_on`` and ``accounts`` (those that are no cardholder's) are the
    state when recording began. ``policy`` is the TOML text of the rules, ``profiles`` are the networks'.
    """

    format: int
    kind: Literal["scrubbed", "raw"]
    standin: str
    logic: int
    began_ms: int
    sequence: int
    sequenced_ms: int
    signed_on: dict[str, bool]
    accounts: tuple[AccountStart, ...]
    secret: str
    policy: str
    profiles: tuple[Profile, ...]


class Start(_Line, frozen=True, kw_only=True, tag="start"):
    """State that is touched for the first time, as it was before; each part by its name in the trace.

    ``pans`` are card tokens by the PAN that stands for the card in this trace; ``usage`` is
    (day, count, minor) by card; ``names`` are transactions by one of the keys they are found by.
    """

    pans: dict[str, str] = {}
    cards: tuple[Card, ...] = ()
    accounts: tuple[AccountStart, ...] = ()
    usage: dict[str, tuple[int, int, int]] = {}
    transactions: dict[int, TransactionStart] = {}
    names: dict[str, int] = {}
    answers: dict[str, AnswerStart] = {}


class Refused(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Why a frame was not served; of a format error the element, the byte where reading stopped, the rule."""

    reason: Reason
    element: int
    offset: int
    rule: str


class _Event(_Line, frozen=True, kw_only=True):
    """Something from outside, and what handling it made: see ``Did``. ``silent`` are frame numbers."""

    did: tuple[Did, ...] = ()
    silent: tuple[int, ...] = ()


class Arrived(_Event, frozen=True, kw_only=True, tag="in"):
    """A frame. ``n`` numbers frames from 1, ``link`` the connections; ``ms`` is wall time.

    Raw: ``hex`` is the frame without its length. Scrubbed: ``mti``, ``header`` (hex) and ``elements``; of a
    frame that was ``refused`` as far as it could be read. ``shed`` tells that it was refused for overload.
    """

    n: int
    link: int
    network: str
    ms: int
    hex: str = ""
    mti: str = ""
    header: str = ""
    elements: dict[int, str] = {}
    refused: Refused | None = None
    shed: bool = False


class Verified(_Event, frozen=True, kw_only=True, tag="facts"):
    """The HSM's verdicts for frame ``n``."""

    n: int
    cvv: Check
    pin: Check
    card_version: int


class Lapsed(_Event, frozen=True, kw_only=True, tag="lapse"):
    """The deadline of frame ``n`` passed."""

    n: int


class Durable(_Event, frozen=True, kw_only=True, tag="durable"):
    """All records up to ``sequence`` are on disk, too late for the answers to the ``late`` frames."""

    sequence: int
    late: tuple[int, ...] = ()


class Administered(_Event, frozen=True, kw_only=True, tag="command"):
    """A command that no frame brought."""

    command: ExpireHolds | IssueCard | Sign


class Sent(_Line, frozen=True, kw_only=True, tag="out"):
    """Frame ``n`` was answered. ``sequence`` is the decision's record, 0 for an answer given again.

    ``what``: a reply was "sent"; "silence" is the profile's answer; the reply was "unwritable"; the link was
    "gone" by then. Raw: ``hex`` as for a frame. Scrubbed: ``echo`` are the elements that are equal to the
    frame's, ``elements`` the others. ``refusals`` are the verdicts that declined.
    """

    n: int
    sequence: int = 0
    what: Literal["sent", "silence", "unwritable", "gone"] = "sent"
    hex: str = ""
    mti: str = ""
    header: str = ""
    echo: tuple[int, ...] = ()
    elements: dict[int, str] = {}
    refusals: tuple[Verdict, ...] = ()


class Lost(_Line, frozen=True, kw_only=True, tag="lost"):
    """Recording stopped here, and why."""

    reason: str


class Mark(_Line, frozen=True, kw_only=True, tag="mark"):
    """``lines`` lines came before this one; ``sha256`` is over all their bytes."""

    lines: int
    sha256: str


class End(_Line, frozen=True, kw_only=True, tag="end"):
    """The last line; as ``Mark``."""

    lines: int
    sha256: str


Event = Arrived | Verified | Lapsed | Durable | Administered
Item = Event | Start | Sent | Lost
Line = Header | Item | Mark | End

_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


class Trace:
    """A trace file being read, once: ``header``, then the items with their line numbers.

    Nothing is handed out before the mark behind it has proved it, so whoever uses an item needs no doubt.
    """

    def __init__(self, file: IO[bytes], source: str) -> None:
        self._file = file
        self._source = source
        self._hash = hashlib.sha256()
        self._read = 0  # lines so far
        first = self._next_line()
        self._hash.update(first)
        header = self._parsed(1, first) if first else None
        if not isinstance(header, Header):
            raise self.error(1, "not a trace: its first line is no header" if first else "empty")
        if header.format != FORMAT:
            raise self.error(1, f"format {header.format}; this version reads {FORMAT}")
        self.header = header

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open ``path`` and read its header.

        Raises:
            TraceError: it cannot be read, is empty, is no trace, or is of another format.
        """
        try:
            file = path.open("rb")
        except OSError as error:
            raise TraceError(str(path), 0, error.strerror or str(error)) from None
        try:
            return cls(file, str(path))
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
            TraceError: lines were changed, moved, added or left out since the mark before, or the end is not
                there.
        """
        while True:
            first = self._read + 1
            lines, mark = self._up_to_mark(first)
            for number, raw in enumerate(lines, first):
                yield number, self._item(number, raw)
            if isinstance(mark, End):
                if self._file.read(1):
                    raise self.error(self._read + 1, "lines after the end")
                return

    def _up_to_mark(self, first: int) -> tuple[list[bytes], Mark | End]:
        """The lines before the next mark, proved by it."""
        lines: list[bytes] = []
        while line := self._next_line():
            if line.startswith((b'{"t":"mark"', b'{"t":"end"')):
                mark = self._parsed(self._read, line)
                assert isinstance(mark, Mark | End), "its tag says so"
                self._hash.update(b"".join(lines))
                if mark.sha256 != self._hash.hexdigest() or mark.lines != self._read - 1:
                    raise self._changed(first, lines)
                self._hash.update(line)
                return lines, mark
            lines.append(line)
            if len(lines) > MARK_EVERY:
                raise self._changed(first, lines)
        raise self.error(self._read, "the trace stops without its end: cut, or its processor was killed")

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
            if not line.endswith(b"\n"):
                problem = "too long" if len(line) == LINE_BYTES_MAX else "the trace is cut inside this line"
                raise self.error(self._read, problem)
        return line

    def _parsed(self, number: int, raw: bytes) -> Line:
        try:
            return _decoder.decode(raw)
        except msgspec.ValidationError as error:
            raise self.error(number, f"not a line of a trace: {error}") from None
        except msgspec.DecodeError:
            raise self.error(number, "not JSON") from None

    def error(self, line: int, problem: str) -> TraceError:
        """What is wrong in a line of this trace."""
        return TraceError(self._source, line, problem)
