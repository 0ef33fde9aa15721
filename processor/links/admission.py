"""Who may open a link: how many there are, how fast one address makes new ones, whose handshake is next.

Nothing here waits but the handshakes: a connection that is too many is closed before it costs anything.
"""

from collections import Counter as Tally
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from processor.config import LimitsSection

PEERS_MAX = 4096
"""So many addresses are remembered; of more, the one that has been away longest is forgotten."""


class Pace:
    """How fast one address may connect: ``burst`` at once, and then ``per_s`` a second."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._left: dict[str, tuple[float, float]] = {}  # by address: how many, and when that was reckoned

    def allows(self, peer: str, now_s: float) -> bool:
        """Whether it may connect now; if so, it has."""
        left, then_s = self._left.pop(peer, (self._burst, now_s))
        left = min(self._burst, left + (now_s - then_s) * self._per_s)
        may = left >= 1
        self._left[peer] = (left - may, now_s)
        if len(self._left) > PEERS_MAX:
            del self._left[next(iter(self._left))]
        return may


class Admission:
    """The connections of all card ports. ``refusal`` asks, ``enter`` and ``leave`` keep count."""

    def __init__(self, limits: LimitsSection) -> None:
        self._limits = limits
        self._per_peer: Tally[str] = Tally()
        # Twice: all links of a peer may break and come back at once.
        self._pace = Pace(limits.connects_per_peer_s, 2 * limits.connections_per_peer_max)
        self._handshakes = trio.CapacityLimiter(limits.handshakes_max)
        self._turns: dict[str, trio.CapacityLimiter] = {}

    def refusal(self, peer: str, now_s: float) -> str | None:
        """Why another connection from this address is too many, as a constant; None if it is not."""
        limits = self._limits
        if (
            self._per_peer.total() >= limits.connections_max
            or self._per_peer[peer] >= limits.connections_per_peer_max
        ):
            return "too_many_connections"
        return None if self._pace.allows(peer, now_s) else "connects_too_fast"

    def enter(self, peer: str) -> None:
        """There is one connection more."""
        self._per_peer[peer] += 1

    def leave(self, peer: str) -> None:
        """There is one less."""
        self._per_peer[peer] -= 1
        if not self._per_peer[peer]:
            del self._per_peer[peer]
            self._turns.pop(peer, None)

    @asynccontextmanager
    async def handshaking(self, peer: str) -> AsyncIterator[None]:
        """Wait for a turn: an address waits for its own first, so that it keeps nobody else out."""
        turns = self._turns.get(peer)
        if turns is None:
            turns = self._turns[peer] = trio.CapacityLimiter(self._limits.handshakes_per_peer_max)
        async with turns, self._handshakes:
            yield
