"""A decision and its explanation."""

from typing import TYPE_CHECKING

import msgspec

from processor.values.facts import Check
from processor.values.reasons import Reason
from processor.values.requests import CvvKind

if TYPE_CHECKING:
    from processor.values.effects import Effect


class Reply(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The business answer, as stored. Echoes, header and MAC come from the frame that is answered.

    ``auth_code`` is DE 38, empty unless approved; the check results fill the network's result element.
    """

    reason: Reason
    auth_code: str = ""
    cvv: Check = Check.NOT_ASKED
    cvv_kind: CvvKind = CvvKind.NONE


class Verdict(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One rule's word, with what it saw: a line of the explanation. ``reason`` is None when it passed."""

    rule: str
    reason: Reason | None
    saw: tuple[str | int, ...] = ()


class Outcome(msgspec.Struct, frozen=True):
    """What a command came to. ``sequence`` is 0 when nothing was recorded (an answer given again).

    ``transaction`` is the one it is about, 0 for none. ``alerts`` are constants for what somebody should look
    at, such as money in suspense.
    """

    sequence: int
    reply: Reply
    effects: "tuple[Effect, ...]" = ()
    verdicts: tuple[Verdict, ...] = ()
    alerts: tuple[str, ...] = ()
    transaction: int = 0
