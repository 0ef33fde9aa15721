"""``standin simulate``: play the network's switch."""

import functools
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cyclopts
import msgspec
import trio

from processor.values.clock import SystemClock
from processor.values.errors import ConfigError, WorldError
from simulators.cli.arguments import INTERRUPTED, Address, explained
from simulators.examples import example
from simulators.judge import Judge
from simulators.keys import load_test_keys
from simulators.networks.catalogue import NETWORKS
from simulators.report import progress_line, summary_lines
from simulators.switch import Load, Switch
from simulators.traffic import Traffic
from simulators.wallet import of_network, read_wallets, strangers

app = cyclopts.App(name="simulate")

_RATE = 500.0
_LINKS_MAX = 16

Emit = Callable[[dict[str, Any]], None]


@app.default
def simulate(
    *,
    deck: Path,
    pins: Path,
    target: str | None = None,
    listen: str | None = None,
    network: Literal["visa-like", "mc-like"] = "visa-like",
    links: int = 1,
    rate: float | None = None,
    closed: int | None = None,
    seconds: float = 10.0,
    seed: int = 1,
    keys: Path | None = None,
    fresh: bool = False,
    json: bool = False,
) -> None:
    """Sign on, send seeded traffic, check every reply, sign off.

    Exit code 0 when every message was answered as it must be, 1 when something differed or stayed unanswered.

    Example: standin simulate --target 127.0.0.1:8583 --network visa-like --deck deck.jsonl --pins pins.jsonl
    --rate 500 --seconds 10 --seed 1

    Args:
        deck: The deck the processor was given.
        pins: The PINs of that deck.
        target: HOST:PORT of the processor's card port.
        listen: Instead: HOST:PORT to wait on for a processor that connects, signs on and off itself.
        network: The network to play; it uses its own cards of the deck.
        links: How many connections, used in turn.
        rate: Messages a second on a fixed schedule (open loop), from which latency counts; default 500.
        closed: Instead: how many messages to keep in flight (closed loop).
        seconds: How long.
        seed: Names the traffic.
        keys: Key file with the test keys in clear; default: examples/keys.test.json of this project.
        fresh: Nobody used these cards before: then what is said of funds and PIN tries must be explained by
            this very run.
        json: Print JSON objects, one a second and the summary as the last, in place of text.
    """
    with explained("simulate"):
        load = _load(rate, closed, seconds)
        if not 1 <= links <= _LINKS_MAX:
            raise ConfigError([f"--links: must be 1 to {_LINKS_MAX}"])
        if (target is None) == (listen is None):
            raise ConfigError(["--target and --listen: one of them"])
        peers = _connecting(target) if target is not None else _listening(listen or "", network)
        ready = load_test_keys(keys or example("keys.test.json"))
        whole_deck = read_wallets(deck, pins, ready)
        wallets = of_network(whole_deck, network)
        switch_network = NETWORKS[network]
        judge = Judge(switch_network, {w.card.pan: w.card.balance_minor for w in wallets}, fresh=fresh)
        unknown = strangers(whole_deck, network, ready)
        traffic = Traffic(switch_network, wallets, seed, SystemClock(), unknown)
        emit = _emit_json if json else functools.partial(_emit_text, network)
        raise SystemExit(trio.run(play, peers, links, traffic, judge, load, emit))


class _Peers(NamedTuple):
    """How the links come about, and whether signing on and off is ours to do."""

    open: Callable[[int], Awaitable[list[trio.SocketStream]]]
    signs: bool


async def play(peers: _Peers, links: int, traffic: Traffic, judge: Judge, load: Load, emit: Emit) -> int:
    """Open the links and run the traffic; the exit code. SIGINT and SIGTERM end it early, in good order.

    Errors: WorldError when the processor cannot be reached or refuses the sign-on.
    """
    async with AsyncExitStack() as stack:
        streams = await peers.open(links)
        for stream in streams:
            await stack.enter_async_context(stream)
        switch = Switch(streams, traffic, judge, load, signs=peers.signs)
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            interrupted = await _supervise(switch, signals, emit)
    emit(switch.report.summary(judge.figures()))
    if not switch.report.is_clean:
        return 1
    return INTERRUPTED if interrupted else 0


def _connecting(target: str) -> _Peers:
    """We connect to the processor."""
    address = Address.parse(target)

    async def connect(links: int) -> list[trio.SocketStream]:
        try:
            return [await trio.open_tcp_stream(address.host, address.port) for _ in range(links)]
        except OSError as error:
            raise WorldError(f"{address.host}:{address.port}: {error}") from None

    return _Peers(connect, signs=True)


def _listening(here: str, network: str) -> _Peers:
    """The processor connects to us."""
    address = Address.parse(here, least_port=0)

    async def accept(links: int) -> list[trio.SocketStream]:
        listener = (await trio.open_tcp_listeners(address.port, host=address.host))[0]
        async with listener:
            print(f"listening {network} {address.host}:{listener.socket.getsockname()[1]}", flush=True)
            return [await listener.accept() for _ in range(links)]

    return _Peers(accept, signs=False)


async def _supervise(switch: Switch, signals: Any, emit: Emit) -> bool:  # noqa: ANN401 - trio's iterator has no public name
    """Run the switch with a line a second; a first signal stops the traffic, a second one everything."""
    interrupted = False
    failure: WorldError | None = None
    async with trio.open_nursery() as nursery:

        async def heed() -> None:
            nonlocal interrupted
            await anext(signals)
            interrupted = True
            switch.stop()
            await anext(signals)
            nursery.cancel_scope.cancel()

        nursery.start_soon(heed)
        nursery.start_soon(_tick, switch, emit)
        try:
            await switch.run()
        except WorldError as error:
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return interrupted


async def _tick(switch: Switch, emit: Emit) -> None:
    due_s = trio.current_time()
    while True:
        due_s += 1.0
        await trio.sleep_until(due_s)
        emit(switch.report.progress(trio.current_time()))


def _load(rate: float | None, closed: int | None, seconds: float) -> Load:
    problems = []
    if rate is not None and closed is not None:
        problems.append("--rate and --closed: only one of them")
    if rate is not None and not 0 < rate <= 1_000_000:
        problems.append("--rate: must be above 0")
    if closed is not None and not 0 < closed <= 100_000:
        problems.append("--closed: must be 1 to 100000")
    if not 0 < seconds <= 1_000_000:
        problems.append("--seconds: must be above 0")
    if problems:
        raise ConfigError(problems)
    return Load(0.0, closed, seconds) if closed else Load(rate or _RATE, 0, seconds)


def _emit_json(figures: dict[str, Any]) -> None:
    print(msgspec.json.encode(figures).decode(), flush=True)


def _emit_text(network: str, figures: dict[str, Any]) -> None:
    if figures["event"] == "progress":
        print(progress_line(figures), flush=True)
    else:
        print(f"\n{network} switch\n" + "\n".join(summary_lines(figures)), flush=True)
