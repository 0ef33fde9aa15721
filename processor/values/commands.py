"""Everything that changes state is a command; the core executes them one after the other.

``received_ms`` is wall time at the edge: evidence, not what rules look at (the record's sequenced_ms).
"""

import msgspec

from processor.values.cards import Card
from processor.values.effects import Effect
from processor.values.facts import Facts
from processor.values.money import Money
from processor.values.outcome import Verdict
from processor.values.requests import Advice, Authorization, Reversal


class IssueCard(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """Open an account for a new card and fund it."""

    card: Card
    funds: Money
    received_ms: int


class Authorize(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """Decide a request with the facts that were gathered for it."""

    request: Authorization
    facts: Facts
    received_ms: int


class Reverse(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """Undo what the original did, or remember that it must do nothing."""

    request: Reversal
    received_ms: int


class Advise(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """Take in what the network decided or posted in our place."""

    request: Advice
    received_ms: int


class Sign(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """A network signs on or off."""

    network: str
    signed_on: bool
    received_ms: int


class Lapse(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """The deadline of a request passed before its answer was durable.

    ``transaction`` is the one whose decision is taken back, 0 when there was none yet.
    """

    request: Authorization
    transaction: int
    received_ms: int


class ExpireHolds(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """Release up to ``limit`` holds that are due."""

    limit: int
    received_ms: int


Command = IssueCard | Authorize | Advise | Reverse | Sign | Lapse | ExpireHolds


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One line of the journal: a command and what it did. ``logic`` is the version of the deciding code."""

    sequence: int
    sequenced_ms: int
    logic: int
    command: Command
    effects: tuple[Effect, ...]
    verdicts: tuple[Verdict, ...] = ()
