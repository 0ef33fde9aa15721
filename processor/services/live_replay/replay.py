"""The live replay: the trace's pace, a lane for each of its links, deadlines, what becomes of the replies."""

import math
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator, Mapping

import msgspec
import trio

from processor.iso8583.message import Message
from processor.replay.tally import Exchange, Kind, Tally
from processor.services.live_replay.causality import Asked, Causality
from processor.services.live_replay.cues import Cue
from processor.services.live_replay.lane import Lane, TargetError
from processor.services.live_replay.peer import Peer, auth_code
from processor.values.errors import ConfigError, PeerError

_UNSETTLED_MAX = 1024  # frames on their way at once; a host's links hold as many
_OVERDUE_MAX = 10_000  # unanswered frames whose late replies are still recognised
_SILENT_MAX = 10  # questions without a reply in a row, after which the host has stopped answering


class Pace(msgspec.Struct, frozen=True):
    """When frames are sent: as recorded at ``speed`` (infinite: without pauses), or ``rate`` a second.

    ``max_gap_s`` shortens longer pauses of the recording. ``one_at_a_time`` waits for each reply.
    """

    speed: float = 1.0
    rate: float = 0.0
    one_at_a_time: bool = False
    max_gap_s: float = math.inf

    def words(self) -> str:
        """For the report."""
        if self.one_at_a_time:
            return "one at a time"
        if self.rate:
            return f"{self.rate:g} frames a second"
        if math.isinf(self.speed):
            return "without pauses"
        return "at the recorded pace" if self.speed == 1.0 else f"at {self.speed:g} times the recorded pace"


class Target(msgspec.Struct, frozen=True):
    """Where one network's frames go."""

    peer: Peer
    address: tuple[str, int]


class Schedule:
    """Turns cues into moments, in seconds after the first."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._count = 0
        self._elapsed_s = 0.0
        self._before_ms = 0

    def due_s(self, at_ms: int) -> float:
        """When the next frame is due, which was recorded at ``at_ms``."""
        pace, count = self._pace, self._count
        gap_s = max(0, at_ms - self._before_ms) / 1000 if count else 0.0
        self._before_ms = at_ms
        self._count += 1
        if pace.rate:
            return count / pace.rate
        self._elapsed_s += min(gap_s, pace.max_gap_s) / pace.speed
        return self._elapsed_s


class LiveReplay:
    """Sends cues to the host of their network and hands what comes back to a tally."""

    def __init__(self, targets: Mapping[str, Target], tally: Tally, pace: Pace, timeout_s: float) -> None:
        self.behind_s_max = 0.0
        self.not_sent = 0  # frames that are no questions
        self.recoded = 0  # frames that were sent with the host's DE 38 in place of the recorded one
        self._targets = targets
        self._tally = tally
        self._pace = pace
        self._timeout_s = timeout_s
        self._causality = Causality()
        self._lanes: dict[int, Lane] = {}
        self._unsettled = 0
        self._sent: OrderedDict[int, Asked] = OrderedDict()  # those whose time is running
        self._overdue: deque[Asked] = deque()
        self._settled = trio.Event()  # something was
        self._talking: set[str] = set()  # networks whose host has said anything
        self._silent: Counter[str] = Counter()  # questions since then whose time was up
        self._start_s = 0.0

    async def run(self, cues: Iterator[Cue]) -> None:
        """Replay to the end.

        Raises:
            TargetError: the host cannot be used any more; the tally has what was compared before.
            ConfigError: a cue's recorded reply cannot be read.
        """
        failures: list[BaseException] = []
        try:
            async with trio.open_nursery() as lanes:
                async with trio.open_nursery() as watch:
                    watch.start_soon(self._watch)
                    await self._conduct(cues, lanes)
                    while self._unsettled:
                        await self._next_settled()
                    watch.cancel_scope.cancel()
                for lane in self._lanes.values():
                    lane.finish()
        except* (TargetError, ConfigError) as group:
            failures.append(_first(group))
        if failures:
            raise failures[0]
        while self._overdue:
            self._give_up(self._overdue.popleft())

    async def _conduct(self, cues: Iterator[Cue], nursery: trio.Nursery) -> None:
        """Hand each cue to its lane when it is due and there is room."""
        schedule = Schedule(self._pace)
        self._start_s = trio.current_time()
        room = 1 if self._pace.one_at_a_time else _UNSETTLED_MAX
        for cue in cues:
            peer = self._targets[cue.network].peer
            message = peer.message(cue.frame)
            if not peer.is_question(message):
                self.not_sent += 1
                continue
            due_s = self._start_s + (0.0 if self._pace.one_at_a_time else schedule.due_s(cue.at_ms))
            await trio.sleep_until(due_s)
            while self._unsettled >= room:
                await self._next_settled()
            if not self._pace.one_at_a_time and not math.isinf(self._pace.speed):
                self.behind_s_max = max(self.behind_s_max, trio.current_time() - due_s)
            self._enter(cue, peer, message, nursery)

    def _enter(self, cue: Cue, peer: Peer, message: Message, nursery: trio.Nursery) -> None:
        expected = _expected(cue, peer)
        names = peer.names(message, cue.at_ms, auth_code(expected))
        asked = Asked(cue, peer, message, expected, names)
        self._causality.enter(asked)
        self._unsettled += 1
        lane = self._lanes.get(cue.link)
        if lane is None:
            lane = self._lanes[cue.link] = Lane(
                peer, self._targets[cue.network].address, self, self._timeout_s
            )
            nursery.start_soon(lane.run)
        lane.queue(asked)
        if cue.last:
            self._lanes.pop(cue.link).finish()

    def sending(self, asked: Asked) -> bytes:
        """The frame as it leaves: with the DE 38 that the host itself gave, where it names an earlier one."""
        frame = asked.cue.frame
        code = self._causality.code_for(asked)
        if code and (changed := asked.peer.with_auth_code(asked.message, code)) is not None:
            frame, asked.message = changed, asked.peer.message(changed)
            self.recoded += 1
        asked.sent_s = trio.current_time()
        self._sent[asked.cue.number] = asked
        self._tally.frames += 1
        return frame

    def replied(self, asked: Asked, got: Message) -> None:
        """Compare, and let those go on that wait for it."""
        self._heard(asked.peer)
        if asked.overdue:
            self._overdue.remove(asked)
            self._tally.wrong(Kind.LATE, _exchange(asked, got))
        elif asked.cue.known:
            self._tally.replied(_exchange(asked, got))
        else:
            self._tally.came(_exchange(asked, got))
        self._causality.answered(asked, got)
        self._settle(asked)

    def stray(self, kind: Kind, lane: Lane, asked: Asked | None, got: Message | None, note: str) -> None:
        """Note a reply that nobody waits for."""
        self._heard(lane.peer)
        if asked is not None:
            self._tally.wrong(kind, _exchange(asked, got, note))
            return
        self._tally.wrong(kind, Exchange(lane.last_number, 0, lane.peer.name, None, None, got, note=note))

    async def _watch(self) -> None:
        """Stop waiting for what is overdue."""
        while True:
            await trio.sleep(self._timeout_s / 20)
            oldest_s = trio.current_time() - self._timeout_s
            late = []
            for asked in self._sent.values():
                if asked.sent_s > oldest_s:
                    break
                late.append(asked)
            for asked in late:
                self._lapse(asked)

    def _lapse(self, asked: Asked) -> None:
        """Its time is up. Where nothing was replied when it was recorded, that is as it should be."""
        if not asked.owed:
            self._settle(asked)
            self._forget(asked)
            return
        self._check_alive(asked)
        asked.overdue = True
        self._settle(asked)
        self._overdue.append(asked)
        if len(self._overdue) > _OVERDUE_MAX:
            self._give_up(self._overdue.popleft())

    def _check_alive(self, asked: Asked) -> None:
        """Too many in a row, or the very first, and the host has not just lost a reply."""
        network = asked.peer.name
        self._silent[network] += 1
        if network not in self._talking or self._silent[network] >= _SILENT_MAX:
            host, port = self._targets[network].address
            raise TargetError(
                f"{host}:{port}: does not answer: no reply within {self._timeout_s:g} s to"
                f" {self._silent[network]} in a row, the last is frame {asked.cue.number}"
            )

    def _heard(self, peer: Peer) -> None:
        self._talking.add(peer.name)
        self._silent[peer.name] = 0

    def _forget(self, asked: Asked) -> None:
        """Its reply will not be recognised any more. A lane that has ended has forgotten already."""
        if (lane := self._lanes.get(asked.cue.link)) is not None:
            lane.forget(asked)

    def _give_up(self, asked: Asked) -> None:
        """No reply has come, and none will be recognised."""
        self._forget(asked)
        self._tally.wrong(Kind.MISSING, _exchange(asked, None))

    def _settle(self, asked: Asked) -> None:
        if asked.settled.is_set():
            return
        self._sent.pop(asked.cue.number, None)
        self._causality.settle(asked)
        self._unsettled -= 1
        self._settled.set()

    async def _next_settled(self) -> None:
        self._settled = trio.Event()
        await self._settled.wait()


def _expected(cue: Cue, peer: Peer) -> Message | None:
    if cue.expected is None:
        return None
    try:
        return peer.reply(cue.expected)
    except PeerError as error:
        raise ConfigError([f"line {cue.line}: the recorded reply cannot be read: {error}"]) from None


def _exchange(asked: Asked, got: Message | None, note: str = "") -> Exchange:
    cue = asked.cue
    return Exchange(cue.number, cue.line, cue.network, asked.message, asked.expected, got, note=note)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error inside."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
