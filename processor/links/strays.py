"""Telling of what matches nothing: which part of its key differs, in a metric and a log line."""

import math
from collections.abc import Sequence
from typing import Protocol

from processor.core.executor import Core
from processor.core.unmatched import unlike_original
from processor.iso8583.header import Rejection
from processor.iso8583.message import Message
from processor.networks.nearest import in_words
from processor.services.log import Log
from processor.services.meters import Meters
from processor.values.clock import Clock
from processor.values.outcome import Outcome
from processor.values.requests import Advice, Reversal

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


def tell_rejection(board: Board, network: str, peer: str, rejection: Rejection) -> None:
    """The network sent a message of ours back: it counts as never sent, and the network acts on that."""
    board.meters.refused(network, "rejected_by_network")
    board.log.warning("our message was rejected", network=network, peer=peer, reason=rejection.code)
