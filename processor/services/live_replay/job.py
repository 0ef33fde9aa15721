"""A file of frames, the hosts they go to, and the words for the report."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import trio

from processor.config import parse_address
from processor.iso8583.dialect import Dialect
from processor.networks.profile import load_profile
from processor.replay.compare import LIVE
from processor.replay.tally import Tally
from processor.services.live_replay.cues import Survey, hex_lines, survey, trace_cues
from processor.services.live_replay.peer import Peer
from processor.services.live_replay.replay import LiveReplay, Pace, Target
from processor.values.errors import ConfigError

_BEHIND_S = 0.1  # less is nothing to tell


class LiveJob:
    """Frames of ``file`` to the hosts that ``targets`` name, ``[NETWORK=]HOST:PORT`` each.

    Raises:
        ConfigError: the file is no sound raw trace and no hex lines, or it is not clear what goes where.
    """

    defaults = LIVE
    policy = ""

    def __init__(
        self,
        file: Path,
        targets: tuple[str, ...],
        network: str,
        pace: Pace,
        timeout_s: float,
        *,
        as_hex: bool,
        partial: bool = False,
    ) -> None:
        if as_hex and not network:
            raise ConfigError([f"{file}: hex lines: --network must say whose they are"])
        self._surveyed = _of_hex(network) if as_hex else survey(file, partial=partial)
        self._hosts = _hosts(targets, network, self._surveyed)
        self.dialects: Mapping[str, Dialect] = {n: host.peer.dialect for n, host in self._hosts.items()}
        self._timed = not as_hex or pace.rate > 0
        pace = pace if self._timed else Pace(one_at_a_time=True)
        where = ", ".join(f"{n} {host.address[0]}:{host.address[1]}" for n, host in self._hosts.items())
        self.mode = f"live to {where}, {pace.words()}"
        self._cues = (
            hex_lines(file, network) if as_hex else trace_cues(file, self._surveyed, frozenset(self._hosts))
        )
        self._pace, self._timeout_s = pace, timeout_s
        self._replay: LiveReplay | None = None

    def run(self, tally: Tally) -> None:
        """Send it all.

        Raises:
            ConfigError: the file cannot be used to its end.
            TargetError: a host cannot be used to its end.
        """
        self._replay = LiveReplay(self._hosts, tally, self._pace, self._timeout_s)
        interrupted = False
        try:
            trio.run(self._replay.run, self._cues)
        except* KeyboardInterrupt:
            interrupted = True
        if interrupted:
            raise KeyboardInterrupt

    def notes(self) -> Iterator[str]:
        """What a reader should know besides the findings."""
        replay, surveyed = self._replay, self._surveyed
        assert replay is not None, "notes are taken after the replay"
        others = {n: count for n, count in surveyed.frames.items() if n not in self._hosts}
        yield from (f"{count:,} frames of {name} were not sent: no target" for name, count in others.items())
        if surveyed.missing:
            yield f"the trace is not whole: {surveyed.missing}"
        if replay.not_sent:
            yield f"{replay.not_sent:,} frames were not sent: they answer questions of the recorded host"
        if replay.recoded:
            yield f"{replay.recoded:,} frames were sent with this host's DE 38 in place of the recorded one"
        if replay.behind_s_max > _BEHIND_S:
            yield f"sending fell up to {replay.behind_s_max:.1f} s behind its pace"


def _of_hex(network: str) -> Survey:
    return Survey({network: load_profile(network)}, {network: 0}, {}, "")


def _hosts(targets: tuple[str, ...], network: str, surveyed: Survey) -> dict[str, Target]:
    """Each network's host."""
    recorded = sorted(surveyed.frames)
    hosts: dict[str, Target] = {}
    for given in targets:
        named, _, address = given.rpartition("=")
        name = named or network or (recorded[0] if len(recorded) == 1 else "")
        if not name:
            raise ConfigError(
                [f"--target {given}: the trace has {', '.join(recorded)}; say NETWORK=HOST:PORT"]
            )
        if name not in recorded or name in hosts or (named and network not in {"", named}):
            raise ConfigError([f"--target {given}: the trace has nothing for {name} to send there"])
        try:
            hosts[name] = Target(Peer(surveyed.profiles[name]), parse_address(address))
        except ValueError as error:
            raise ConfigError([f"--target {given}: {error}"]) from None
    return hosts
