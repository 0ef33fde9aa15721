"""Wiring: every collaborator is made here and nowhere else, and the nursery tree is drawn in one function.

    services     journal writer · segment maker · HSM link · deadlines · housekeeping · status
      acceptors  one per card port
      links      one task per connection, each guarding itself

Stopping goes from the leaves inward: accept nothing new, let work in flight finish, then the journal, last.
"""

import gc
import os
import platform
import signal
import sys
from collections.abc import Callable
from importlib import metadata
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from processor.book.invariants import digest
from processor.book.state import State
from processor.config import Config
from processor.core.desk import Desk, Limits
from processor.core.executor import LOGIC, Core
from processor.core.identity import Identity
from processor.core.terms import Terms
from processor.deck import issue_commands, not_issued_yet
from processor.inputs import load_inputs
from processor.journal.cipher import Keyring
from processor.journal.file_journal import FileJournal
from processor.journal.lookup import Lookup
from processor.links.hsm_link import HsmLink, hsm_endpoints, hsm_settings
from processor.links.machine import Patience
from processor.links.peers import Peers, Port
from processor.links.switchboard import LinkLimits, Network, Shares, Switchboard
from processor.networks.profile import load_profile
from processor.replay.recovery import recover
from processor.secrets import Secrets, load_secrets
from processor.services.gauges import watch_book, watch_journal, watch_networks, watch_process, watch_trace
from processor.services.http.health import Vitals, readiness
from processor.services.http.questions import Questions
from processor.services.journal_writer import JournalWriter
from processor.services.log import Log
from processor.services.loop_lag import Heartbeat
from processor.services.meters import Meters
from processor.services.recorder import Recorder, TraceOrder
from processor.values.clock import Clock, SystemClock
from processor.values.commands import ExpireHolds
from processor.values.errors import JournalError
from processor.values.sensitive import Tokens

if TYPE_CHECKING:
    from processor.services.http.front import Front

SHARD = 0
HSM_START_S = 1.0  # how long the card ports wait for the HSM at start
SWEEP_S = 0.01  # how late a deadline may be noticed
HOUSEKEEPING_S = 1.0
EXPIRE_AT_ONCE = 1000
ISSUE_AT_ONCE = 1000
TRACE_LEAVES_SEGMENTS = 4  # that a trace leaves the journal's disk room for
SWITCH_INTERVAL_S = 0.0005  # the journal thread waits this long for the interpreter, not 5 ms


class Failure(Exception):  # noqa: N818 - what ended the process
    """The process must end: memory is ahead of the disk."""


def keyring(secrets: Secrets) -> Keyring:
    """The journal's keys."""
    return Keyring({1: bytes.fromhex(secrets.journal_key)}, current=1)


class Processor:
    """The processor with everything it needs, made from a checked configuration."""

    def __init__(
        self,
        config: Config,
        announce: Callable[[str], None],
        clock: Clock | None = None,
        trace: TraceOrder | None = None,
    ) -> None:
        self._config = config
        self._trace = trace
        self._announce = announce
        self._clock = clock or SystemClock()
        self._log = Log(
            self._clock,
            config.log.form,
            approvals_one_in=config.log.approvals_one_in,
            lines_per_s=config.log.lines_per_s,
        )
        self._meters = Meters()
        self._heartbeat = Heartbeat(self._clock, self._meters.loop_lag)
        self._failure: JournalError | None = None
        self._stop = trio.Event()
        self._serving = False
        inputs = load_inputs(config)
        self._policy, self._keys, self._tls = inputs.policy, inputs.keys, inputs.tls
        config.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._secrets = load_secrets(config.state, create=True)
        self._tokens = Tokens(bytes.fromhex(self._secrets.pan_token_key))
        names = {s.network for s in config.listen} | {s.network for s in config.connect}
        self._networks = {name: Network(load_profile(name), self._tokens) for name in names}
        self._deck = issue_commands(inputs.deck, self._tokens, self._policy.pin_tries, self._clock.wall_ms())
        self._journal = FileJournal(
            config.state / "journal", keyring(self._secrets), segment_bytes=config.journal.segment_mib << 20
        )
        self._open()
        self._watch()
        self._http = self._front() if config.http.address else None

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
        self._writer = JournalWriter(
            self._journal, lease, self._journal_failed, self._journal.prepare_next, clock
        )
        self._writer.space_changed = self._space_changed
        self._core = Core(
            self.state,
            Terms(
                self._policy,
                Identity(bytes.fromhex(self._secrets.instance_secret)),
                frozenset(
                    w.profile.name for w in self._networks.values() if w.profile.before_sign_on == "accept"
                ),
            ),
            self._writer.append,
        )
        self._hsm = HsmLink(
            hsm_endpoints(config, self._tls.hsm),
            self._keys,
            hsm_settings(config),
            clock=clock,
            meters=self._meters,
            log=self._log,
        )
        limits = config.limits
        self._desk = Desk(
            self._core, self._hsm, self._writer, clock, Limits(limits.in_flight_max, limits.transactions_max)
        )
        self._hsm.settle_with(self._desk.settle)
        self._log.info("state recovered", records=self.state.sequence, policy=self._policy.hash[:16])
        self._recorder = self._make_recorder()
        self._board = Switchboard(
            self._core,
            self._desk,
            self._writer,
            clock,
            self._meters,
            self._log,
            _link_limits(config),
            Shares(limits.in_flight_max),
            self._recorder,
        )
        self._peers = Peers(config, self._networks, self._board, self._tls)

    def _make_recorder(self) -> Recorder | None:
        """Its file is made now, so that what is wrong with it is told before anything is served."""
        if self._trace is None:
            return None
        order = msgspec.structs.replace(
            self._trace,
            journal_folder=self._config.state,
            journal_bytes=TRACE_LEAVES_SEGMENTS * (self._config.journal.segment_mib << 20),
        )
        return Recorder(order, bytes.fromhex(self._secrets.pan_token_key), self._log)

    def _begin_trace(self, recorder: Recorder) -> None:
        """Record from here on."""
        recorder.begin(
            self.state,
            began_ms=self._clock.wall_ms(),
            policy=self._config.beside(self._config.policy).read_text("utf-8"),
            profiles=[network.profile for network in self._networks.values()],
        )
        self._core.witness = self._desk.witness = recorder
        self._writer.witness = recorder.durable

    def _watch(self) -> None:
        """Show what is kept anyway among the metrics."""
        meters = self._meters
        watch_networks(meters, self._core, [network.profile for network in self._networks.values()])
        watch_book(meters, self.state, self._desk)
        watch_journal(meters, self._writer.figures)
        watch_trace(meters, self._recorder)
        watch_process(meters, self._log, lambda: self._hsm.connected, self._clock.wall_ms())
        meters.build(
            version=metadata.version("standin"),
            python=platform.python_version(),
            logic=str(LOGIC),
            policy=self._policy.hash[:16],
        )

    async def run(self, status_s: float = 0.0) -> None:
        """Serve until SIGTERM or SIGINT.

        Raises:
            Failure: the journal failed, in the words of the journal.
            OSError: a card port cannot be bound.
        """
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        if self._http is not None:
            await self._http.bind()
        ports = await self._peers.bind()
        async with trio.open_nursery() as outermost:
            outermost.start_soon(self._stop_on_signal)
            async with trio.open_nursery() as services:
                self._services = services
                services.start_soon(self._writer.run)
                services.start_soon(self._writer.make_room)
                services.start_soon(self._hsm.run)
                services.start_soon(self._sweep)
                services.start_soon(self._heartbeat.run)
                if self._http is not None:
                    services.start_soon(self._http.run)
                await self._issue_deck()
                with trio.move_on_after(HSM_START_S):  # or the first questions would find no line
                    await self._hsm.reached.wait()
                gc.collect()
                gc.freeze()  # what was recovered stays: no collection has to look at it again
                if self._recorder is not None:
                    self._begin_trace(self._recorder)
                services.start_soon(self._keep_house)
                if status_s:
                    services.start_soon(self._tell_status, status_s)
                await self._serve_links(ports)
                services.cancel_scope.cancel()
            outermost.cancel_scope.cancel()
        self.close()
        self._log.close()
        if self._failure is not None:
            raise Failure(f"journal failed: {self._failure}")

    def close(self) -> None:
        """End the trace, however ``run`` ended."""
        if self._recorder is not None:
            self._recorder.close()

    async def _serve_links(self, ports: list[Port]) -> None:
        """Accept and serve until told to stop; then let each link finish what it has read, within bounds."""
        async with trio.open_nursery() as links:
            async with trio.open_nursery() as acceptors:
                self._peers.begin(ports, acceptors, links, self._announce)
                self._serving = True
                if self._http is not None:
                    self._announce(f"listening http {self._http.address}")
                await self._stop.wait()
                acceptors.cancel_scope.cancel()
            links.cancel_scope.deadline = trio.current_time() + self._config.limits.drain_s
            self._peers.stop()

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
            if self._recorder is not None:
                self._recorder.hand_over()
            now_ms = self._clock.wall_ms()
            if self.state.due_holds(now_ms, 1):
                outcome = self._core.execute(ExpireHolds(EXPIRE_AT_ONCE, now_ms), now_ms)
                self._meters.expired(outcome.effects)
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

    def _space_changed(self, low: bool) -> None:
        """The journal has begun to write into its reserve, or has room again."""
        if low:
            self._log.warning("journal low on space", reason="only the reserve is left: requests are refused")
        else:
            self._log.warning("journal has space again", reason="requests are taken again")

    def _front(self) -> "Front":
        """The HTTP port and what it shows."""
        from processor.services.http.api import Views  # noqa: PLC0415 - FastAPI: half a second, only to serve
        from processor.services.http.front import Front  # noqa: PLC0415

        folder, keys = self._config.state / "journal", keyring(self._secrets)
        views = Views(
            loop_age_s=lambda: self._clock.monotonic_s() - self._heartbeat.last_s,
            metrics=lambda: trio.to_thread.run_sync(self._meters.expose),
            readiness=lambda: readiness(self._vitals()),
            status=self.status,
            questions=Questions(
                self.state,
                lambda: Lookup(folder, keys, SHARD),
                lambda: self._writer.durable_seq,
                self._clock,
            ),
        )
        return Front(self._config, views, self._meters, self._log)

    def _vitals(self) -> Vitals:
        """What decides whether this processor is ready."""
        return Vitals(
            stopping=self._stop.is_set(),
            journal_failure=str(self._failure or ""),
            low_space=self._writer.low_space,
            hsm_needed=self._policy.needs_hsm,
            hsm_connected=self._hsm.connected,
            ports_open=self._serving,
            networks={
                p.name: self.state.signed_on.get(p.name, p.before_sign_on == "accept")
                for p in (network.profile for network in self._networks.values())
            },
        )

    def status(self) -> dict[str, Any]:
        """The processor's figures, for the status line."""
        journal = self._writer.figures
        return {
            "sequence": self.state.sequence,
            "answers": dict(self._meters.codes),
            "in_flight": self._desk.in_flight,
            "links": len(self._peers.links),
            "hsm": self._hsm.connected,
            "holds_open": len(self.state.holds),
            "held_minor": dict(self.state.held_minor),
            "cards": len(self.state.cards),
            "journal": {
                "batches": journal.batches,
                "records": journal.records,
                "bytes": journal.payload_bytes,
                "low_space": journal.low_space,
            },
            "stages": {
                name: {"count": stage.count, "mean_us": round(1e6 * stage.total / max(stage.count, 1), 1)}
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
        send_s=limits.send_s,
        patience=Patience(
            first_frame_s=limits.first_frame_s,
            frame_s=limits.frame_s,
            idle_s=limits.idle_s,
            echo_s=limits.echo_s,
            reply_s=limits.reply_s,
        ),
    )
