"""Where card links come from: ports that peers connect to, and hosts that we connect to ourselves.

A link that is refused, or whose handshake fails, is counted and told in one line, and touches nobody else.
"""

import errno
import ipaddress
import itertools
import random
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import trio

from processor.config import Config, ConnectSection, ListenSection, parse_address
from processor.links.admission import Admission
from processor.links.card_link import CardLink, Stream
from processor.links.switchboard import Network, Origin, Switchboard
from processor.links.tls import Contexts, TlsRefused, handshake
from processor.values.errors import ConfigError, DecodeError

_STEADY_S = 10.0  # a dialled link that lasted this long was no failure: the next pause is short again

_BACKLOG = 512  # who waits to be accepted; that is done fast enough for it to be short, whoever knocks
_ACCEPTS_MAX = 4  # in one turn, of those that are refused: some 20 µs each
_NO_ROOM_S = 0.1

_chance = random.SystemRandom().random

Announce = Callable[[str], None]


class Port:
    """One card port that is bound."""

    def __init__(
        self, network: Network, section: ListenSection, listeners: list[trio.SocketListener]
    ) -> None:
        self.network = network
        self.listeners = listeners
        self.allowed = section.peers
        self.names = section.tls.names if section.tls is not None else ()

    def allows(self, peer: str) -> bool:
        """Whether this address may connect."""
        if not self.allowed:
            return True
        address = ipaddress.ip_address(peer.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self.allowed)


class Member:
    """The links to one host of the network: one of them signs us on, for all."""

    def __init__(self) -> None:
        self._signer: int | None = None

    def signs(self, number: int) -> bool:
        """Whether link ``number``, which is up now, is the one that signs on."""
        if self._signer is None:
            self._signer = number
        return self._signer == number

    def lost(self, number: int) -> None:
        """That link is gone."""
        if self._signer == number:
            self._signer = None


class Peers:
    """All card links of the processor.

    Raises:
        ConfigError: from the constructor: elements of ours that no message can bear.
    """

    def __init__(
        self, config: Config, networks: Mapping[str, Network], board: Switchboard, tls: Contexts
    ) -> None:
        self._config = config
        self._networks = networks
        self._board = board
        self._admission = Admission(config.limits)
        self._stop = trio.Event()
        self._unready: set[trio.CancelScope] = set()  # of what is on its way to become a link
        self.links: set[CardLink] = set()
        self._tls = tls
        for port in config.listen:
            _check_says(networks[port.network], Origin(port.address))
        for host in config.connect:
            _check_says(networks[host.network], _origin(host, signs=True))

    async def bind(self) -> list[Port]:
        """Take the card ports.

        Raises:
            OSError: one cannot be had.
        """
        ports = []
        for section in self._config.listen:
            host, port = parse_address(section.address)
            try:
                listeners = await trio.open_tcp_listeners(port, host=host, backlog=_BACKLOG)
            except OSError as error:
                raise OSError(f"cannot listen on {section.address}: {error.strerror or error}") from error
            ports.append(Port(self._networks[section.network], section, listeners))
        return ports

    def begin(
        self, ports: list[Port], acceptors: trio.Nursery, links: trio.Nursery, announce: Announce
    ) -> None:
        """Accept in one nursery, serve in the other; dialled links live in the second from the start."""
        for port, tls in zip(ports, self._tls.listen, strict=True):
            for listener in port.listeners:
                acceptors.start_soon(self._accept, port, tls, listener, links)
                host, number = listener.socket.getsockname()[:2]
                announce(f"listening {port.network.profile.name} {_shown(host, number)}")
        for section, tls in zip(self._config.connect, self._tls.connect, strict=True):
            member = Member()
            for number in range(section.links):
                links.start_soon(self._keep_up, section, tls, member, number)
            announce(f"connecting {section.network} {section.address}")

    def stop(self) -> None:
        """No link any more: each signs off where it must, and ends once what it was asked is answered."""
        self._stop.set()
        for scope in self._unready:
            scope.cancel()
        for link in self.links:
            link.stop()

    async def _accept(
        self, port: Port, tls: ssl.SSLContext | None, listener: trio.SocketListener, links: trio.Nursery
    ) -> None:
        """Let in who may connect, until cancelled."""
        theirs = listener.socket
        async with listener:
            with socket.fromfd(theirs.fileno(), theirs.family, theirs.type) as door:
                door.setblocking(False)
                while True:
                    await trio.lowlevel.wait_readable(door)
                    try:
                        self._let_in(port, tls, door, links)
                    except OSError as error:  # no file descriptor, or no memory, for one more
                        name = errno.errorcode.get(error.errno or 0, "OSError")
                        self._refused(port.network, "", name.lower())
                        await trio.sleep(_NO_ROOM_S)

    def _let_in(
        self, port: Port, tls: ssl.SSLContext | None, door: socket.socket, links: trio.Nursery
    ) -> None:
        """Refuse who is to be refused, and begin one link; before the next begins, the others have a turn.

        The address is the one that ``accept`` tells: a connection that was reset meanwhile has it as well.
        """
        for _ in range(_ACCEPTS_MAX):
            try:
                stream, address = door.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            peer = str(address[0]) if address else ""
            reason = self._refusal(port, peer)
            if reason is None:
                self._admission.enter(peer)
                links.start_soon(self._converse, port, tls, stream, peer)
                return
            stream.close()
            self._refused(port.network, peer, reason)

    def _refusal(self, port: Port, peer: str) -> str | None:
        if not peer or not port.allows(peer):  # nobody is nobody's peer
            return "peer_not_allowed"
        return self._admission.refusal(peer, trio.current_time())

    async def _converse(
        self, port: Port, tls: ssl.SSLContext | None, accepted: socket.socket, peer: str
    ) -> None:
        """One connection that is let in: its handshake, if there is one, and its life."""
        try:
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(accepted))
            secured = await self._secured(stream, tls, port.names, port.network, peer)
            if secured is not None:
                await self._serve(CardLink(port.network, self._board, secured, Origin(peer)))
        finally:
            self._admission.leave(peer)

    def _refused(self, network: Network, peer: str, reason: str) -> None:
        self._board.meters.link_ended(network.profile.name, reason)
        self._board.log.warning("link refused", network=network.profile.name, peer=peer, reason=reason)

    async def _secured(
        self,
        stream: trio.SocketStream,
        tls: ssl.SSLContext | None,
        names: tuple[str, ...],
        network: Network,
        peer: str,
        host: str | None = None,
    ) -> Stream | None:
        """The stream to speak on, after its handshake; None if there was none in time, or with a stranger.

        ``host`` is whom we dialled; without it we are the server.
        """
        if tls is None:
            return stream
        secured = trio.SSLStream(
            stream, tls, server_hostname=host, server_side=host is None, https_compatible=True
        )
        reason = "tls_too_slow"
        with self._hurried(self._config.limits.handshake_s):
            try:
                async with self._admission.handshaking(peer):
                    await handshake(secured, names)
            except TlsRefused as refused:
                reason = refused.reason
            else:
                return secured
        self._refused(network, peer, "stopped" if self._stop.is_set() else reason)
        await trio.aclose_forcefully(secured)
        return None

    @contextmanager
    def _hurried(self, seconds: float) -> Iterator[None]:
        """What is done inside, before there is a link, ends in time, and at once when we are to stop."""
        with trio.move_on_after(seconds) as scope:
            self._unready.add(scope)
            try:
                if self._stop.is_set():
                    scope.cancel()
                yield
            finally:
                self._unready.remove(scope)

    async def _serve(self, link: CardLink) -> None:
        self.links.add(link)
        try:
            if self._stop.is_set():
                link.stop()
            await link.run()
        finally:
            self.links.remove(link)

    async def _keep_up(
        self, section: ConnectSection, tls: ssl.SSLContext | None, member: Member, number: int
    ) -> None:
        """Keep one link to a host of the network up; reconnect with a growing pause, not all at once."""
        limits = self._config.limits
        waits = pauses(limits.reconnect_s, limits.reconnect_max_s)
        while not self._stop.is_set():
            began_s = trio.current_time()
            stream = await self._dialled(section, tls)
            if stream is not None:
                origin = _origin(section, signs=member.signs(number))
                try:
                    await self._serve(CardLink(self._networks[section.network], self._board, stream, origin))
                finally:
                    member.lost(number)
            if trio.current_time() - began_s >= _STEADY_S:
                waits = pauses(limits.reconnect_s, limits.reconnect_max_s)
            await self._sleep(next(waits))

    async def _dialled(self, section: ConnectSection, tls: ssl.SSLContext | None) -> Stream | None:
        """A connection to the host, secured where that is asked for."""
        host, port = parse_address(section.address)
        network, reason = self._networks[section.network], "connect_too_slow"
        stream: trio.SocketStream | None = None
        with self._hurried(self._config.limits.connect_s):
            try:
                stream = await trio.open_tcp_stream(host, port)
            except OSError:
                reason = "unreachable"
        if stream is None:
            self._refused(network, section.address, "stopped" if self._stop.is_set() else reason)
            return None
        names = section.tls.names if section.tls is not None else ()
        return await self._secured(stream, tls, (), network, section.address, names[0] if names else host)

    async def _sleep(self, seconds: float) -> None:
        """Pause, unless we are to stop."""
        with trio.move_on_after(seconds):
            await self._stop.wait()


def pauses(first_s: float, most_s: float, chance: Callable[[], float] = _chance) -> Iterator[float]:
    """Seconds between attempts to connect: doubling, and each between half of that and all of it.

    >>> [round(pause, 2) for _, pause in zip(range(4), pauses(1, 4, lambda: 0.5))]
    [0.75, 1.5, 3.0, 3.0]
    """
    for attempt in itertools.count():
        whole_s = min(first_s * 2.0 ** min(attempt, 60), most_s)
        yield whole_s * (0.5 + 0.5 * chance())


def _origin(section: ConnectSection, *, signs: bool) -> Origin:
    return Origin(section.address, "client", signs, section.elements, section.header)


def _check_says(network: Network, origin: Origin) -> None:
    """Write everything that we would say on such a link, before there is one."""
    for signal in network.says(origin.role):
        try:
            network.codec.encode(network.asking(origin).ask(signal, 0))
        except (DecodeError, ValueError, KeyError) as error:
            where = f"{network.profile.name} {origin.peer}: {signal.value}"
            raise ConfigError([f"{where} cannot be written: {error}"]) from None


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
