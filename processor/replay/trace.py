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

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

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

Hex = Annotated[str, Meta(pattern="^([0-9A-Fa-f]{2})*$")]
Ms = Annotated[int, Meta(ge=0, lt=253_402_300_800_000)]  # up to the year 9999
Number = Annotated[int, Meta(ge=1)]  # of a frame

# One record that handling an event made: its sequence, its sequenced_ms, and its DE 38 ("": none).
Did = tuple[int, Ms, str]


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
    held_minor: Annotated[int, Meta(ge=0)]


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
    began_ms: Ms
    sequence: Annotated[int, Meta(ge=0)]
    sequenced_ms: Ms
    signed_on: dict[str, bool]
    accounts: tuple[AccountStart, ...]
    secret: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    policy: str
    profiles: Annotated[tuple[Profile, ...], Meta(min_length=1)]


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

    n: Number
    link: int
    network: str
    ms: Ms
    hex: Hex = ""
    mti: str = ""
    header: Hex = ""
    elements: dict[int, str] = {}
    refused: Refused | None = None
    shed: bool = False


class Verified(_Event, frozen=True, kw_only=True, tag="facts"):
    """The HSM's verdicts for frame ``n``."""

    n: Number
    cvv: Check
    pin: Check
    card_version: int


class Lapsed(_Event, frozen=True, kw_only=True, tag="lapse"):
    """The deadline of frame ``n`` passed."""

    n: Number


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

    n: Number
    sequence: int = 0
    what: Literal["sent", "silence", "unwritable", "gone"] = "sent"
    hex: Hex = ""
    mti: str = ""
    header: Hex = ""
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
