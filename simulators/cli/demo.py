"""``standin demo``: emulator, processor and two networks' switches here; the proof that the books balance."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import cyclopts
import msgspec
import trio

from processor.values.errors import ConfigError, WorldError
from simulators.cards import CURRENCY
from simulators.children import Child, listening, started
from simulators.cli.arguments import INTERRUPTED, Address, explained
from simulators.cli.deck import make_deck
from simulators.examples import example
from simulators.keys import load_test_keys
from simulators.networks.catalogue import NETWORKS
from simulators.proof import compare
from simulators.report import codes, dollars, milliseconds, summary_lines

app = cyclopts.App(name="demo")

FOLDER = Path("var/demo")
_CARDS = 2_000
_SEED = 1
_LINKS = 2  # of each network
_LAST_WORD_S = 15.0


@app.default
def demo() -> None:
    """Drive both networks' traffic through a processor on free loopback ports; prove that its books balance.

    Everything it writes is in ./var/demo, which it clears first. DEMO_SECONDS (20) and DEMO_RATE (1000
    messages a second, half of them from each network) in the environment say how long and how fast. Exit
    code 0 when everything agrees.

    Example: standin demo
    """
    seconds, rate = _setting("DEMO_SECONDS", "20"), _setting("DEMO_RATE", "1000")
    with explained("demo"):
        raise SystemExit(trio.run(_until_interrupted, seconds, rate))


def _setting(name: str, default: str) -> str:
    """A number above zero from the environment, as it is written there."""
    text = os.environ.get(name) or default
    try:
        usable = 0 < float(text) <= 1_000_000
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError([f"{name}: must be a number above 0"])
    return text


async def _until_interrupted(seconds: str, rate: str) -> int:
    """The exit code of the show, or that of an interruption; children end from the last to the first."""
    code = INTERRUPTED
    failure: Exception | None = None
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:

            async def heed() -> None:
                await anext(signals)
                print("\ninterrupted: ending everything", flush=True)
                nursery.cancel_scope.cancel()

            nursery.start_soon(heed)
            try:
                code = await _show(seconds, rate)
            except* (WorldError, ConfigError, OSError) as group:
                failure = _first(group)
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return code


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    """The first error of a group, however deep."""
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found


async def _show(seconds: str, rate: str) -> int:
    """Start everything, drive the traffic, compare the books; the exit code."""
    deck, pins, state = _cleared(FOLDER)
    say(f"Standin demo: {seconds} s of {' and '.join(NETWORKS)} traffic, {rate} messages a second in all; "
        f"files are in {FOLDER}")  # fmt: skip
    async with started("hsm", ["hsm", "--host", "127.0.0.1", "--port", "0", "--test-lmk"], FOLDER) as hsm:
        hsm_address = (await listening(hsm, hsm.lines(), 1))[0]
        say(f"  hsm emulator  {hsm_address}, public test keys")
        keys = load_test_keys(example("keys.test.json"))
        cards = await make_deck(_CARDS, _SEED, Address.parse(hsm_address), keys, deck, pins)
        funds = dollars(sum(card.balance_minor for card in cards))
        say(f"  deck          {len(cards):,} test cards with {funds} in all; PVVs by the HSM")
        serve = ["serve", "--config", str(example("standin.toml"))]
        serve += [word for network in NETWORKS for word in ("--listen", f"{network}=127.0.0.1:0")]
        serve += ["--hsm", hsm_address, "--deck", str(deck), "--state", str(state), "--status-seconds", "1"]
        async with started("processor", serve, FOLDER) as processor:
            watch = ProcessorWatch(processor)
            targets = dict(zip(NETWORKS, await watch.listening(), strict=True))
            say(f"  processor     {', '.join(targets.values())}; every answer durable before it is sent")
            simulate = ["--deck", str(deck), "--pins", str(pins), "--fresh", "--links", str(_LINKS)]
            simulate += ["--rate", str(float(rate) / len(NETWORKS)), "--seconds", seconds, "--json"]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch.run)
                switches = Switches(watch)
                async with trio.open_nursery() as playing:
                    for network, target in targets.items():
                        playing.start_soon(switches.run, network, ["--target", target, *simulate])
                processor.terminate()
                nursery.cancel_scope.deadline = trio.current_time() + _LAST_WORD_S
    for network, summary in switches.summaries.items():
        say(f"\n{network}")
        for line in summary_lines(summary):
            say(f"  {line}")
    return _prove(watch.last_word(), await _book(state), switches.summaries)


class ProcessorWatch:
    """Reads what the processor prints: where it listens, its status every second, its last word."""

    def __init__(self, processor: Child) -> None:
        self.status: dict[str, Any] = {}
        self._processor = processor
        self._lines = processor.lines()
        self._last_word: dict[str, Any] | None = None

    async def listening(self) -> list[str]:
        """HOST:PORT of its card ports in the order of the networks, once it is ready."""
        return await listening(self._processor, self._lines, len(NETWORKS))

    async def run(self) -> None:
        """Read until it ends."""
        async for line in self._lines:
            word, _, rest = line.partition(" ")
            if word == "status":
                self.status = msgspec.json.decode(rest)
            elif word == "stopped":
                self._last_word = msgspec.json.decode(rest)

    def last_word(self) -> dict[str, Any]:
        """What it said at its end. Errors: WorldError when it ended without a word."""
        if self._last_word is None:
            raise self._processor.died()
        return self._last_word


class Switches:
    """Both switches, each a process of its own; prints a line a second when both have said theirs."""

    def __init__(self, watch: ProcessorWatch) -> None:
        self.summaries: dict[str, dict[str, Any]] = {}
        self._watch = watch
        self._seconds: dict[int, dict[str, dict[str, Any]]] = {}

    async def run(self, network: str, options: list[str]) -> None:
        """Play one network to its end. Errors: WorldError when it ends without a summary."""
        figures: dict[str, Any] = {}
        simulate = ["simulate", "--network", network, "--seed", str(_SEED), *options]
        async with started(f"switch-{network}", simulate, FOLDER) as switch:
            async for line in switch.lines():
                figures = msgspec.json.decode(line)
                if figures["event"] == "progress":
                    self._progressed(network, figures)
            await switch.wait()
            if figures.get("event") != "summary":
                raise switch.died()
        self.summaries[network] = figures

    def _progressed(self, network: str, figures: dict[str, Any]) -> None:
        told = self._seconds.setdefault(figures["second"], {})
        told[network] = figures
        if len(told) == len(NETWORKS):
            say(_second(self._seconds.pop(figures["second"]), self._watch.status))


def _second(told: dict[str, dict[str, Any]], status: dict[str, Any]) -> str:
    """One second: each switch's rate and latency, the processor's answers and holds."""
    held = dollars(status.get("held_minor", {}).get(CURRENCY, 0))
    rates = "   ".join(
        f"{network} {told[network]['rate']:,}/s p50 {milliseconds(told[network]['p50_us'])} "
        f"p99 {milliseconds(told[network]['p99_us'])}"
        for network in NETWORKS
    )
    second = next(iter(told.values()))["second"]
    return (
        f"{second:>4} s   {rates}   {codes(status.get('answers', {}))}   "
        f"{status.get('holds_open', 0):,} holds of {held}"
    )


async def _book(state: Path) -> dict[str, Any]:
    """What a separate process finds in the journal. Errors: WorldError when it finds nothing it can read."""
    async with started("book", ["book", "check", "--state", str(state), "--json"], FOLDER) as book:
        lines = [line async for line in book.lines()]
        await book.wait()
    if not lines:
        raise book.died()
    found: dict[str, Any] = msgspec.json.decode(lines[-1])
    return found


def _prove(last_word: dict[str, Any], book: dict[str, Any], summaries: dict[str, dict[str, Any]]) -> int:
    """Print the comparison; 0 when everything agrees."""
    findings = compare(last_word, book, {network: summaries[network] for network in NETWORKS})
    say("\nproof, from the journal, by a process of its own")
    for finding in findings:
        say(f"  {'yes' if finding.holds else 'NO '}  {finding.words}")
    agreed = all(finding.holds for finding in findings)
    say("\nThe books balance, and all agree." if agreed else "\nThey do NOT agree.")
    return 0 if agreed else 1


def _cleared(folder: Path) -> tuple[Path, Path, Path]:
    """An empty folder; the paths of deck, PIN file and state in it."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder / "deck.jsonl", folder / "pins.jsonl", folder / "state"


def say(line: str) -> None:
    """Print a line now, also into a pipe."""
    print(line, flush=True)
