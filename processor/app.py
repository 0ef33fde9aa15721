"""Wiring: every collaborator is made here and nowhere else, and the nursery tree is drawn in one function.

    services     journal writer · segment maker · HSM link · deadlines · housekeeping · status
      acceptors  one per card port
      links      one task per connection, each guarding itself

Stopping goes from the leaves inward: accept nothing new, let work in flight finish, then the journal, last.
"""

import gc
import os
import signal
import sys
from collections import Counter as Tally
from collections.abc import Callable
from typing import Any

import msgspec
import trio

from processor.book.invariants import digest
from processor.book.state import State
from processor.config import Config, ListenSection, parse_address
from processor.core.desk import Desk, Limits
from processor.core.executor import Core
from processor.core.identity import Identity
from processor.core.terms import Terms
from processor.deck import issue_commands, not_issued_yet
from processor.inputs import load_inputs
from processor.journal.cipher import Keyring
from processor.journal.file_journal import FileJournal
from processor.links.card_link import CardLink, LinkLimits, Network, Switchboard
from processor.links.hsm_link import HsmLink
from processor.networks.profile import load_profile
from processor.replay.recovery import recover
from processor.secrets import Secrets, load_secrets
from processor.services.journal_writer import JournalWriter
from processor.services.log import Log
from processor.services.meters import Meters
from processor.values.clock import Clock, SystemClock
from processor.values.commands import ExpireHolds
from processor.values.errors import JournalError
from processor.values.sensitive import Tokens

SHARD = 0
HSM_START_S = 1.0  # how long the card ports wait for the HSM at start
SWEEP_S = 0.01  # how late a deadline may be noticed
HOUSEKEEPING_S = 1.0
EXPIRE_AT_ONCE = 1000
ISSUE_AT_ONCE = 1000
SWITCH_INTERVAL_S = 0.0005  # the journal thread waits this long for the interpreter, not 5 ms


class Failure(Exception):  # noqa: N818 - what ended the process
    """The process must end: memory is ahead of the disk."""


def keyring(secrets: Secrets) -> Keyring:
    """The journal's keys."""
    return Keyring({1: bytes.fromhex(secrets.journal_key)}, current=1)


class Processor:
    """The processor with everything it needs, made from a checked configuration."""

    def __init__(self, config: Config, announce: Callable[[str], None], clock: Clock | None = None) -> None:
        self._config = config
        self._announce = announce
        self._clock = clock or SystemClock()
        self._log = Log(self._clock, config.log.form)
        self._meters = Meters()
        self._failure: JournalError | None = None
        self._stop = trio.Event()
        self._links: set[CardLink] = set()
        self._peers: Tally[str] = Tally()
        inputs = load_inputs(config)
        self._policy, self._keys = inputs.policy, inputs.keys
        config.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._secrets = load_secrets(config.state, create=True)
        self._tokens = Tokens(bytes.fromhex(self._secrets.pan_token_key))
        self._networks = {s.network: Network(load_profile(s.network), self._tokens) for s in config.listen}
        self._deck = issue_commands(inputs.deck, self._tokens, self._policy.pin_tries, self._clock.wall_ms())
        self._journal = FileJournal(
            config.state / "journal", keyring(self._secrets), segment_bytes=config.journal.segment_mib << 20
        )
        self._open()

    def _open(self) -> None:
        """Become the journal's owner and bring the state back."""
        config, clock = self._config, self._clock
        lease = self._journal.acquire(SHARD, owner=f"pid {os.getpid()}")
        for notice in lease.notices:
            self._log.warning(
                "journal " + notice.event, file=notice.file, offset=notice.offset, bytes=notice.size
            )
        self.state: State = recover(self._journal, SHARD)
        assert self.state.sequence == lease.last_seq, "recovered up to the last durable record"
        self._writer = JournalWriter(self._journal, lease, self._journal_failed, self._journal.prepare_next)
        self._core = Core(
            self.state,
            Terms(
                self._policy,
                Identity(bytes.fromhex(self._secrets.instance_secret)),
                frozenset(n for n, w in self._networks.items() if w.profile.before_sign_on == "accept"),
            ),
            self._writer.append,
        )
        host, port = parse_address(config.hsm.address)
        self._hsm = HsmLink(
            host,
            port,
            self._keys,
            timeout_s=config.hsm.timeout_ms / 1000,
            in_flight_max=config.hsm.in_flight_max,
            clock=clock,
            meters=self._meters,
            log=self._log,
        )
        limits = config.limits
        self._desk = Desk(
            self._core, self._hsm, self._writer, clock, Limits(limits.in_flight_max, limits.transactions_max)
        )
        self._hsm.settle = self._desk.settle
        self._log.info("state recovered", records=self.state.sequence, policy=self._policy.hash[:16])
        self._board = Switchboard(
            self._core, self._desk, self._writer, clock, self._meters, self._log, _link_limits(config)
        )

    async def run(self, status_s: float = 0.0) -> None:
        """Serve until SIGTERM or SIGINT.

        Raises:
            Failure: the journal failed, in the words of the journal.
            OSError: a card port cannot be bound.
        """
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        ports = [await self._bind(section) for section in self._config.listen]
        async with trio.open_nursery() as outermost:
            outermost.start_soon(self._stop_on_signal)
            async with trio.open_nursery() as services:
                self._services = services
                services.start_soon(self._writer.run)
                services.start_soon(self._writer.make_room)
                services.start_soon(self._hsm.run)
                services.start_soon(self._sweep)
                await self._issue_deck()
                with trio.move_on_after(HSM_START_S):  # or the first questions would find no line
                    await self._hsm.reached.wait()
                gc.collect()
                gc.freeze()  # what was recovered stays: no collection has to look at it again
                services.start_soon(self._keep_house)
                if status_s:
                    services.start_soon(self._tell_status, status_s)
                await self._serve_links(ports)
                services.cancel_scope.cancel()
            outermost.cancel_scope.cancel()
        self._log.close()
        if self._failure is not None:
            raise Failure(f"journal failed: {self._failure}")

    async def _bind(self, section: ListenSection) -> tuple[Network, list[trio.SocketListener]]:
        host, port = parse_address(section.address)
        try:
            return self._networks[section.network], await trio.open_tcp_listeners(port, host=host)
        except OSError as error:
            raise OSError(f"cannot listen on {section.address}: {error.strerror or error}") from error

    async def _serve_links(self, ports: list[tuple[Network, list[trio.SocketListener]]]) -> None:
        """Accept and serve until told to stop; then let each link finish what it has read, within bounds."""
        async with trio.open_nursery() as links:
            async with trio.open_nursery() as acceptors:
                for network, listeners in ports:
                    acceptors.start_soon(self._accept, network, listeners, links)
                    for listener in listeners:
                        host, port = listener.socket.getsockname()[:2]
                        shown = f"[{host}]" if ":" in host else host
                        self._announce(f"listening {network.profile.name} {shown}:{port}")
                await self._stop.wait()
                acceptors.cancel_scope.cancel()
            links.cancel_scope.deadline = trio.current_time() + self._config.limits.drain_s
            for link in self._links:
                link.stop_reading()

    async def _accept(
        self, network: Network, listeners: list[trio.SocketListener], links: trio.Nursery
    ) -> None:
        async def converse(stream: trio.SocketStream) -> None:
            await self._converse(network, stream)

        await trio.serve_listeners(converse, listeners, handler_nursery=links)

    async def _converse(self, network: Network, stream: trio.SocketStream) -> None:
        """One connection, within the limits of how many there may be."""
        limits = self._config.limits
        try:
            peer = str(stream.socket.getpeername()[0])
        except OSError:
            peer = "gone"
        if len(self._links) >= limits.connections_max or self._peers[peer] >= limits.connections_per_peer_max:
            self._meters.link_ended(network.profile.name, "too_many_connections")
            self._log.warning("link refused", peer=peer, reason="too_many_connections")
            await trio.aclose_forcefully(stream)
            return
        link = CardLink(network, self._board, stream, peer)
        self._links.add(link)
        self._peers[peer] += 1
        try:
            await link.run()
        finally:
            self._links.remove(link)
            self._peers[peer] -= 1
            if not self._peers[peer]:
                del self._peers[peer]

    async def _issue_deck(self) -> None:
        """Issue the deck's new cards and wait until they are on disk."""
        new = not_issued_yet(self._deck, self.state)
        self._deck = []
        for start in range(0, len(new), ISSUE_AT_ONCE):
            for command in new[start : start + ISSUE_AT_ONCE]:
                self._core.execute(command, self._clock.wall_ms())
            durable = trio.Event()
            self._writer.when_durable(self.state.sequence, durable.set)
            self._writer.flush()
            await durable.wait()
        if new:
            self._log.info("cards issued", cards=len(new))

    async def _sweep(self) -> None:
        """Deadlines: questions to the HSM, and questions to us."""
        while True:
            await trio.sleep(SWEEP_S)
            self._hsm.sweep()
            self._desk.sweep()

    async def _keep_house(self) -> None:
        """Release holds that nobody asked about in time."""
        while True:
            await trio.sleep(HOUSEKEEPING_S)
            now_ms = self._clock.wall_ms()
            if self.state.due_holds(now_ms, 1):
                self._core.execute(ExpireHolds(EXPIRE_AT_ONCE, now_ms), now_ms)
                self._desk.settle()

    async def _tell_status(self, every_s: float) -> None:
        while True:
            await trio.sleep(every_s)
            self._announce("status " + msgspec.json.encode(self.status()).decode())

    async def _stop_on_signal(self) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                self._stop.set()

    def _journal_failed(self, error: JournalError) -> None:
        """Nothing said from now on would be true: no answer leaves, links are closed, the process ends."""
        self._failure = error
        self._log.error("journal failed", reason=str(error))
        self._services.cancel_scope.cancel()

    def status(self) -> dict[str, Any]:
        """The processor's figures, for the status line."""
        held: Tally[str] = Tally()
        for account in self.state.accounts.values():
            held[account.currency] += account.held_minor
        journal = self._writer.figures
        return {
            "sequence": self.state.sequence,
            "answers": dict(self._meters.codes),
            "in_flight": self._desk.in_flight,
            "links": len(self._links),
            "hsm": self._hsm.connected,
            "holds_open": len(self.state.holds),
            "held_minor": dict(held),
            "cards": len(self.state.cards),
            "journal": {
                "batches": journal.batches,
                "records": journal.records,
                "bytes": journal.payload_bytes,
                "low_space": journal.low_space,
            },
            "stages": {
                name: {"count": stage.count, "mean_us": round(1e6 * stage.total_s / max(stage.count, 1), 1)}
                for name, stage in self._meters.stages.items()
            },
        }

    def last_word(self) -> dict[str, Any]:
        """The figures at the end, with the state's digest."""
        return {**self.status(), "digest": digest(self.state)}


def _link_limits(config: Config) -> LinkLimits:
    limits = config.limits
    return LinkLimits(
        frame_bytes_max=limits.frame_bytes_max,
        in_flight_max=limits.link_in_flight_max,
        unsent_bytes_max=limits.unsent_bytes_max,
        first_frame_s=limits.first_frame_s,
        frame_s=limits.frame_s,
        idle_s=limits.idle_s,
        send_s=limits.send_s,
    )
