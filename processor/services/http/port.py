"""The HTTP port itself: FastAPI on anycorn, where it can neither harm nor starve a card link.

A connection is accepted at a moderate pace, has a place in the anteroom until it has asked, and then one of
the few in which requests are answered, at a pace of their own. It carries one request: whoever goes on asking
comes again, and waits like everybody else. So neither a thousand idle clients nor some that ask all the time
cost more than the few that are served. Whatever goes wrong in one connection ends that one. Should the port
itself fail, it is opened again after a pause that grows; nothing of it ever reaches the card links.
"""

import itertools
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress

import anyio.abc
import trio
from anycorn import Config
from anycorn.events import RawData
from anycorn.protocol.h11 import H2CProtocolRequiredError, H2ProtocolAssumedError
from anycorn.tcp_server import TCPServer
from anycorn.typing import AppWrapper, ConnectionState
from anycorn.utils import wrap_app
from anycorn.worker_context import WorkerContext
from starlette.types import ASGIApp

from processor.services.http.anteroom import HEAD_BYTES_MAX, HEAD_S, Anteroom
from processor.services.http.bounds import Bounds
from processor.services.http.pace import Pace
from processor.services.log import Log
from processor.services.meters import Meters

LIFE_S = 60.0  # of a connection, from its request on: no answer takes longer
ACCEPT_S = 0.005  # between so many connections: those of a thousand peers are looked at within two seconds
ACCEPTED_AT_ONCE = 4
REQUESTS_PER_S = 40.0  # plenty for people and Prometheus
REQUESTS_AT_ONCE = 20
NO_ROOM_S = 0.1
BACKLOG = 1024
PAUSE_S_MAX = 30.0

_WHY_NOT = b'{"detail":"too many ask already; ask again in a moment"}'
_NO_PLACE = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(_WHY_NOT), _WHY_NOT)
)


class HttpPort:
    """One listening socket and its connections."""

    def __init__(
        self, app: ASGIApp, host: str, port: int, connections_max: int, meters: Meters, log: Log
    ) -> None:
        self._app: AppWrapper = wrap_app(Bounds(app), 0, "asgi")  # type: ignore[arg-type] # typed by its own words
        self._host = host
        self._port = port
        self._connections_max = connections_max
        self._log = log
        self._events = meters.counters(
            "issuer_http_connections", "HTTP connections, and failures of the port.", "event"
        )
        self._config = _server_config()
        self._context = WorkerContext(None)
        self._open = 0
        self._anteroom = Anteroom(connections_max, self._no_place)
        self._pace = Pace(REQUESTS_PER_S, REQUESTS_AT_ONCE)
        self._listeners: list[trio.SocketListener] = []

    @property
    def address(self) -> str:
        """``HOST:PORT``, with the port that was bound."""
        return f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"

    async def bind(self) -> None:
        """Open the port. Errors: OSError."""
        self._listeners = await trio.open_tcp_listeners(self._port, host=self._host, backlog=BACKLOG)
        self._port = int(self._listeners[0].socket.getsockname()[1])

    async def run(self) -> None:
        """Serve until cancelled, whatever happens."""
        pauses = _pauses()
        while True:
            try:
                if not self._listeners:
                    await self.bind()
                await self._serve()
            except* Exception as errors:  # noqa: BLE001 - that is what the guard is for
                self._listeners = []
                self._events.count("failed")
                self._log.error("http port failed", reason=_kind(errors))
            await trio.sleep(next(pauses))

    async def _serve(self) -> None:
        async with trio.open_nursery() as connections:
            for listener in self._listeners:
                connections.start_soon(self._accept, listener, connections)

    async def _accept(self, listener: trio.SocketListener, connections: trio.Nursery) -> None:
        """Accept one after the other at a moderate pace; the rest waits in the kernel and costs nothing."""
        async with listener:
            for number in itertools.count(1):
                try:
                    stream = await listener.accept()
                except OSError as error:  # no descriptor or no memory left, for the moment
                    self._events.count("not_accepted")
                    self._log.warning("http connection not accepted", reason=type(error).__name__)
                    await trio.sleep(NO_ROOM_S)
                else:
                    connections.start_soon(self._converse, stream)
                    if number % ACCEPTED_AT_ONCE == 0:
                        await trio.sleep(ACCEPT_S)

    async def _converse(self, stream: trio.SocketStream) -> None:
        """One connection, and nothing that goes wrong in it gets out."""
        try:
            async with stream:
                await self._receive(stream)
        except* Exception as errors:  # noqa: BLE001 - a fault in one connection ends that one
            self._events.count("broken")
            self._log.warning("http connection broken", reason=_kind(errors))

    async def _receive(self, stream: trio.SocketStream) -> None:
        """Serve it if it asks, and there is room for one more."""
        head = await self._anteroom.head_of(stream)
        if not head:
            return
        if self._open >= self._connections_max:
            self._no_place()
            with trio.move_on_after(NO_ROOM_S):
                await stream.send_all(_NO_PLACE)
            return
        await self._serve_in_turn(stream, head)

    def _no_place(self) -> None:
        self._events.count("refused")
        self._log.warning("http connection refused", reason="too_many_connections")

    async def _serve_in_turn(self, stream: trio.SocketStream, head: bytes) -> None:
        self._open += 1
        self._events.count("accepted")
        try:
            now_s = trio.current_time()
            wait_s = self._pace.wait_s(now_s)
            self._pace.take(now_s)
            await trio.sleep(wait_s)
            await self._hand_over(stream, head)
        finally:
            self._open -= 1

    async def _hand_over(self, stream: trio.SocketStream, head: bytes) -> None:
        """Let anycorn serve the connection, and close it under its hands when its time is over."""
        raw = socket.socket(fileno=stream.socket.detach())
        try:
            connection = await anyio.abc.SocketStream.from_socket(raw)
        except ValueError:  # the peer has gone already
            raw.close()
            return
        except BaseException:
            raw.close()
            raise
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_close_in_time, connection)
            over = nursery.cancel_scope.cancel
            await _Connection(over, head, self._app, self._config, self._context, connection).run()
            over()


class _Connection(TCPServer):
    """anycorn's server of one connection: of HTTP/1.1 alone, and over as soon as the peer has gone.

    By itself it would wait for the idle time, and take up one of few places. One read of HTTP/2 frames would
    keep the loop busy for 200 ms.
    """

    def __init__(
        self,
        over: Callable[[], None],
        head: bytes,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        connection: anyio.abc.SocketStream,
    ) -> None:
        super().__init__(app, config, context, ConnectionState({}), connection)
        self._over = over
        self._head = head

    async def _read_data(self) -> None:
        self.protocol = self.protocol.protocol  # type: ignore[assignment]  # without what would change to HTTP/2
        with suppress(H2CProtocolRequiredError, H2ProtocolAssumedError):
            await self.protocol.handle(RawData(self._head))
            await super()._read_data()
        self._over()


async def _close_in_time(connection: anyio.abc.SocketStream) -> None:
    """Close it at the end of its life, or when we are stopped.

    anycorn shields its writes from being cancelled: only closing the socket ends one that nobody reads.
    """
    try:
        await trio.sleep(LIFE_S)
    finally:
        with trio.CancelScope(shield=True):
            await connection.aclose()


def _server_config() -> Config:
    config = Config()
    config.accesslog = config.errorlog = None
    config.include_server_header = False
    config.h11_max_incomplete_size = HEAD_BYTES_MAX
    config.keep_alive_timeout = HEAD_S
    config.keep_alive_max_requests = 1
    config.max_app_queue_size = 2
    config.websocket_max_message_size = 1
    return config


def _kind(errors: ExceptionGroup) -> str:
    """The first error's type; its text could hold what a peer sent."""
    first = errors.exceptions[0]
    return _kind(first) if isinstance(first, ExceptionGroup) else type(first).__name__


def _pauses() -> Iterator[float]:
    """Seconds between attempts to open the port: doubling up to half a minute."""
    pause_s = 0.05
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, PAUSE_S_MAX)
