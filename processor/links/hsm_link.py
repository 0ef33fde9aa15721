"""The processor's connections to its HSMs: pipelined, several where configured, and never taken for granted.

Each endpoint has a circuit breaker. While it is open, one connection alone is tried, after a growing pause;
it closes when the HSM there has answered NC as it should. What is asked on which line is ``hsm_client``'s.
"""

import itertools
import math
import ssl
from collections.abc import Callable, Iterator, Sequence

import msgspec
import trio

from processor.config import Config, parse_address
from processor.links.hsm_client import HsmClient, HsmSettings
from processor.links.hsm_line import Breaker, Line
from processor.links.hsm_questions import HsmKeys, Messages
from processor.links.outbox import Outbox
from processor.links.tls import TlsRefused, TlsStream, handshake
from processor.services.hsm_meters import HsmMeters
from processor.services.log import Log
from processor.services.meters import Meters
from processor.values.cards import Card
from processor.values.clock import Clock
from processor.values.facts import Facts
from processor.values.sensitive import Evidence

READ_BYTES = 65_536
UNSENT_BYTES_MAX = 1 << 24
CONNECT_S = 2.0  # for the connection and its TLS handshake

_Stream = trio.SocketStream | TlsStream


class Endpoint(msgspec.Struct, frozen=True):
    """Where an HSM listens, and how many lines to it are kept; with TLS, whose certificate it must show."""

    host: str
    port: int
    lines: int = 1
    tls: ssl.SSLContext | None = None
    names: tuple[str, ...] = ()


def hsm_endpoints(config: Config, tls: ssl.SSLContext | None) -> list[Endpoint]:
    """The configured HSMs, in their order."""
    names = config.hsm.tls.names if config.hsm.tls is not None else ()
    return [
        Endpoint(*parse_address(address), config.hsm.lines, tls, names)
        for address in config.hsm.all_addresses
    ]


def hsm_settings(config: Config) -> HsmSettings:
    """The rest of the section."""
    hsm = config.hsm
    return HsmSettings(
        timeout_s=hsm.timeout_ms / 1000,
        again_s=hsm.again_ms / 1000,
        health_s=hsm.health_s,
        in_flight_max=hsm.in_flight_max,
        failures_max=hsm.failures_max,
        header_bytes=hsm.header_bytes,
        lmk=hsm.lmk,
        lmk_check_value=hsm.lmk_check_value,
    )


class HsmLink:
    """Every line to every HSM, kept up for as long as it runs."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        keys: HsmKeys,
        settings: HsmSettings,
        *,
        clock: Clock,
        meters: Meters,
        log: Log,
    ) -> None:
        counted = HsmMeters(meters)
        self._client = HsmClient(Messages(keys, settings.lmk), settings, clock, counted, log)
        self.reached = trio.Event()  # set once there has been a line
        self._endpoints = [
            _Connections(
                endpoint, Breaker(number, settings.failures_max), self._client, self.reached.set, log
            )
            for number, endpoint in enumerate(endpoints)
        ]
        meters.gauges(
            "issuer_hsm_lines",
            "Lines to an HSM that can be asked.",
            ("endpoint",),
            lambda: {(str(b.number),): self._client.ready_lines(b) for b in self._breakers()},
        )
        meters.gauges(
            "issuer_hsm_breaker_open",
            "1 while an HSM is not asked, because it failed too often or has not been reached yet.",
            ("endpoint",),
            lambda: {(str(b.number),): float(b.is_open) for b in self._breakers()},
        )

    @property
    def connected(self) -> bool:
        """Whether there is a line to an HSM that can be asked."""
        return self._client.connected

    def verify(
        self, evidence: Evidence, card: Card, *, cvv: bool, pin: bool, done: Callable[[Facts], None]
    ) -> Facts | None:
        """See ``HsmClient.verify``."""
        return self._client.verify(evidence, card, cvv=cvv, pin=pin, done=done)

    def sweep(self) -> None:
        """Give up questions whose time is over; called every few milliseconds."""
        self._client.sweep()

    def settle_with(self, settle: Callable[[], None]) -> None:
        """Call ``settle`` after each batch of verdicts."""
        self._client.settle = settle

    async def run(self) -> None:
        """Keep the lines up until cancelled."""
        async with trio.open_nursery() as nursery:
            for endpoint in self._endpoints:
                endpoint.begin(nursery)

    def _breakers(self) -> list[Breaker]:
        return [endpoint.breaker for endpoint in self._endpoints]


class _Connections:
    """The lines to one endpoint."""

    def __init__(
        self, endpoint: Endpoint, breaker: Breaker, client: HsmClient, reached: Callable[[], None], log: Log
    ) -> None:
        self.breaker = breaker
        self._at = endpoint
        self._client = client
        self._reached = reached
        self._log = log
        self._closed = trio.Event()  # set while the breaker is closed
        self._unreachable = 0  # attempts in a row

    def begin(self, nursery: trio.Nursery) -> None:
        """Keep up each line in a task of its own."""
        for number in range(self._at.lines):
            nursery.start_soon(self._keep_up, number)

    def healthy(self) -> None:
        """One of the lines has found the HSM in health."""
        self._log.info("hsm connected", host=self._at.host, port=self._at.port)
        self._closed.set()
        self._reached()

    async def _keep_up(self, number: int) -> None:
        """One line after the other. While the breaker is open only the first one tries."""
        pauses = _pauses()
        while True:
            if number:
                await self._closed.wait()
            stream = await self._connect()
            if stream is None:
                self._client.failed(self.breaker)
            else:
                reason = await _Connection(self, stream).converse(self._client)
                self._log.warning("hsm line lost", host=self._at.host, port=self._at.port, reason=reason)
            if self.breaker.is_open and self._closed.is_set():
                self._closed = trio.Event()
            if not self.breaker.failures:
                pauses = _pauses()
            await trio.sleep(next(pauses))

    async def _connect(self) -> _Stream | None:
        """A connection, or None and a line in the log."""
        at, reason = self._at, "too slow"
        with trio.move_on_after(CONNECT_S):
            try:
                stream = await trio.open_tcp_stream(at.host, at.port)
                secured: _Stream = stream if at.tls is None else await _secured(stream, at.tls, at)
            except (OSError, TlsRefused) as error:
                reason = str(error)
            else:
                self._unreachable = 0
                return secured
        self._unreachable += 1
        if _is_told(self._unreachable):
            self._log.warning(
                "hsm unreachable", host=at.host, port=at.port, error=reason, attempts=self._unreachable
            )
        return None


class _Connection:
    """One connection, from the first NC to its end: the ``Wire`` of one line."""

    def __init__(self, connections: _Connections, stream: _Stream) -> None:
        self._connections = connections
        self._stream = stream
        self._outbox = Outbox(UNSENT_BYTES_MAX)
        self._scope = trio.CancelScope()

    def push(self, data: bytes) -> None:
        """Send; never waits."""
        if not self._outbox.push(data):
            self._scope.cancel()

    def healthy(self) -> None:
        """The HSM may be asked."""
        self._connections.healthy()

    def close(self) -> None:
        """End the connection at the next opportunity."""
        self._scope.cancel()

    async def converse(self, client: HsmClient) -> str:
        """Use the connection until it ends; says why it did."""
        line = client.open(self._connections.breaker, self)
        try:
            with self._scope:
                async with self._stream, trio.open_nursery() as nursery:
                    nursery.start_soon(self._outbox.run, self._stream)
                    await self._read(client, line)
                    nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the line's questions are told below, as for any other end
        finally:
            client.lost(line)
        return line.ended

    async def _read(self, client: HsmClient, line: Line) -> None:
        while data := await self._stream.receive_some(READ_BYTES):
            client.receive(line, data)


async def _secured(stream: trio.SocketStream, tls: ssl.SSLContext, at: Endpoint) -> TlsStream:
    """The stream after its handshake; closed if there is none."""
    secured = trio.SSLStream(stream, tls, server_hostname=at.host, https_compatible=True)
    try:
        await handshake(secured, at.names)
    except BaseException:
        await trio.aclose_forcefully(secured)
        raise
    return secured


def _is_told(attempts: int) -> bool:
    """Whether so many attempts in a row are worth a line: fewer and fewer, about one a minute in the end.

    >>> [attempts for attempts in range(70) if _is_told(attempts)]
    [1, 2, 4, 8, 16, 32, 64]
    >>> _is_told(96), _is_told(100)
    (True, False)
    """
    return attempts % 32 == 0 if attempts > 32 else attempts.bit_count() == 1


def _pauses() -> Iterator[float]:
    """Seconds between attempts to connect: doubling up to two."""
    for attempt in itertools.count():
        yield min(0.05 * math.pow(2, attempt), 2.0)
