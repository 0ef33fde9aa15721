"""What a recorder notes while it serves: small, in order, and told to the trace by another process.

An event is a frame, the HSM's word, a deadline, a sync or a command. What handling it made follows it as
notes of its own, up to the next event: so noting is making one value and appending it to a list. The names
in notes are the processor's own and their elements are in clear; they go through a pipe, never onto a disk.
"""

from typing import Literal

import msgspec

from processor.replay.touched import Touched
from processor.replay.trace import Header, Refused
from processor.values.commands import ExpireHolds, IssueCard, Sign
from processor.values.facts import Facts
from processor.values.outcome import Verdict

Fate = Literal["sent", "silence", "unwritable", "gone"]


class _Note(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One note."""


class BeginNote(_Note, frozen=True, tag=1):
    """The first: the trace's header, and the key that cards' tokens and their names in traces come from.

    The trace must leave its disk ``keep_free_bytes``.
    """

    header: Header
    pan_token_key: bytes
    keep_free_bytes: int = 0


class FrameNote(_Note, frozen=True, tag=2):
    """A frame: ``card`` is the token of its card, if it was recognised; ``frame`` is for raw traces only."""

    number: int
    link: int
    network: str
    ms: int
    mti: str
    header: bytes
    elements: dict[int, str]
    card: str
    refused: Refused | None
    frame: bytes


class FactsNote(_Note, frozen=True, tag=3):
    """The HSM spoke."""

    number: int
    facts: Facts


class LapseNote(_Note, frozen=True, tag=4):
    """A deadline passed."""

    number: int


class SyncNote(_Note, frozen=True, tag=5):
    """Records reached the disk."""

    sequence: int


class CommandNote(_Note, frozen=True, tag=6):
    """A command that no frame brought."""

    command: ExpireHolds | IssueCard | Sign


class DidNote(_Note, frozen=True, tag=7):
    """Handling the event made a record, with this DE 38 ("": none)."""

    sequence: int
    sequenced_ms: int
    code: str


class TouchedNote(_Note, frozen=True, tag=8):
    """Handling the event touched this for the first time."""

    touched: Touched


class SilentNote(_Note, frozen=True, tag=9):
    """Handling the event asked the HSM about a frame, in vain."""

    number: int


class LateNote(_Note, frozen=True, tag=10):
    """The sync was too late for the answer to a frame."""

    number: int


class ShedNote(_Note, frozen=True, tag=11):
    """The frame was refused for overload."""


class AnswerNote(_Note, frozen=True, tag=12):
    """What became of a frame: its reply, if one was written; of a raw trace only ``data``, the reply's bytes.

    ``asked`` are the frame's elements. A frame that was recognised with a card is answered once, whatever
    happens, so its elements are known from its own note: None.
    """

    number: int
    network: str
    fate: Fate
    sequence: int
    refusals: tuple[Verdict, ...]
    data: bytes
    mti: str = ""
    header: bytes = b""
    elements: dict[int, str] = {}
    asked: dict[int, str] | None = None


class EndNote(_Note, frozen=True, tag=13):
    """The last: ``lost`` is why not everything was noted, or empty."""

    lost: str


Event = FrameNote | FactsNote | LapseNote | SyncNote | CommandNote
Note = BeginNote | Event | DidNote | TouchedNote | SilentNote | LateNote | ShedNote | AnswerNote | EndNote
