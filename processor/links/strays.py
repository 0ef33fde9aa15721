"""Telling of what matches nothing: which part of its key differs, in a metric and a log line."""

import math
from collections.abc import Sequence
from typing import Protocol

from processor.core.executor import Core
from processor.core.unmatched import unlike_original
from processor.iso8583.header import Rejection
from processor.iso8583.message import Message
from processor.networks.nearest import in_words
from processor.networks.profile import Profile
from processor.services.log import Log
from processor.services.meters import Meters
from processor.values.clock import Clock
from processor.values.outcome import Outcome
from processor.values.requests import Advice, Reversal

_DECISIONS = frozenset({"11", "21"})  # an MTI's second and third digit: answers to requests for money

LOOKED_UP_S = 0.1
"""How seldom it is looked up what an advice or a reversal without original is unlike."""


class Board(Protocol):
    """What is needed of the switchboard."""

    @property
    def core(self) -> Core:
        """Where the originals are."""

    @property
    def clock(self) -> Clock:
        """Its monotonic time."""

    @property
    def meters(self) -> Meters:
        """Where strays are counted."""

    @property
    def log(self) -> Log:
        """Where they are told."""


class Strays:
    """One network's advices and reversals without original; ``rows`` are how a later message names one."""

    def __init__(self, rows: Sequence[Sequence[str]]) -> None:
        self._rows = rows
        self._looked_up_s = -math.inf

    def tell(self, board: Board, request: Advice | Reversal, outcome: Outcome) -> None:
        """Say what it is unlike, unless another one was looked up just now."""
        now_s = board.clock.monotonic_s()
        if now_s - self._looked_up_s < LOOKED_UP_S:
            return
        self._looked_up_s = now_s
        differs = unlike_original(board.core.state, request, outcome.transaction, self._rows)
        board.meters.unmatched(request.network, differs[0] if differs else "all")
        board.log.warning(
            "original not found",
            network=request.network,
            mti=request.mti,
            stan=request.stan,
            rrn=request.rrn,
            reason=in_words(differs),
        )


def tell_response(board: Board, network: str, peer: str, response: Message, differs: Sequence[str]) -> None:
    """A response answers nothing that was asked on its link."""
    board.meters.unmatched(network, differs[0] if differs else "all")
    board.log.warning(
        "response unmatched", network=network, peer=peer, mti=response.mti, reason=in_words(differs)
    )


def tell_rejection(
    board: Board, profile: Profile, peer: str, rejection: Rejection, ours: Message | None
) -> None:
    """The network sent a message back; ``ours`` is None where we had not sent it.

    The book stays as it is: an approval that is not delivered is the network's to reverse (0420) or to
    replace by a decision of its own (0120), and until then the hold is on the safe side.
    """
    network = profile.name
    board.meters.refused(network, "rejected_by_network")
    if ours is None:
        board.meters.rejection(network, "stray", "")
        board.log.warning("reject of what we had not sent", network=network, peer=peer, code=rejection.code)
        return
    board.meters.rejection(network, "received", rejection.code)
    code = ours.elements.get(39, "")
    if ours.mti[1:3] in _DECISIONS and code in profile.approving_codes:
        board.meters.alert(network, "approval_rejected")
    board.log.warning(
        "our message was rejected",
        network=network,
        peer=peer,
        reason=rejection.code,
        mti=ours.mti,
        stan=ours.elements.get(11, ""),
        rrn=ours.elements.get(37, ""),
        code=code,
    )
