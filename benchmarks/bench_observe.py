"""What observing costs: the whole system with metrics, logs and a scrubbed trace against all of them off.

    python benchmarks/bench_observe.py [--pairs 6] [--seconds 3] [--network visa-like] [--in-flight 128]

Two processors serve the same deck with the same HSM emulator: one with the HTTP port open and scraped every
five seconds, JSON log lines into a file (one approval in a hundred) and ``--trace``; the other with no HTTP
port, no lines about approvals and no trace. They are loaded in turn, on-off, off-on, and so on, so that what
else the machine does falls on both; each pair gives one ratio, and the median of the pairs counts.

Counting cannot be turned off, so the bare processor counts as well. What the counting of one authorization
takes is measured apart and printed, and the ratio that it would leave if it were part of what is observed.
"CPU" is user and system time of a processor per authorization, all its threads, and "writer" that of the
process that writes the trace beside it: the firmer figures on a machine with other work. The first pair is
not counted: cards are told to a trace when first seen.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench_end_to_end import CARDS, NETWORKS, STANDIN, Watched, addresses_in, machine, running

from processor.core.desk import Flight
from processor.services.log import Log
from processor.services.meters import Meters
from processor.services.views import tell
from processor.values.clock import SystemClock
from processor.values.money import Money
from processor.values.outcome import Outcome, Reply
from processor.values.reasons import Reason
from processor.values.requests import Authorization, CvvKind, Direction
from simulators.examples import example

SCRAPE_S = 5.0  # as deploy/prometheus has it
OFF = {"HTTP__ADDRESS": "", "LOG__APPROVALS_ONE_IN": "0", "LOG__LINES_PER_S": "1"}
ON = {"HTTP__ADDRESS": "127.0.0.1:0", "LOG__FORM": "json"}
BAR = 0.85
WARM_UP_S = 5.0  # until nearly every card has been seen


class Side(NamedTuple):
    """One processor and its load generator."""

    processor: Watched
    generator: subprocess.Popen[str]

    def run(self, in_flight: int, seconds: float) -> "Run":
        """Load it for so long."""
        generator = self.generator
        assert generator.stdin is not None
        assert generator.stdout is not None
        used_s, writer_s = _cpu_s(self.processor.process.pid), self.writer_s()
        order = {"closed": True, "load": in_flight, "seconds": seconds}
        print(json.dumps(order), file=generator.stdin, flush=True)
        result = json.loads(generator.stdout.readline())
        used_s, writer_s = _cpu_s(self.processor.process.pid) - used_s, self.writer_s() - writer_s
        count = result["count"]
        return Run(count / result["seconds"], 1e6 * used_s / count, 1e6 * writer_s / count, result["p99_ms"])

    def writer_s(self) -> float:
        """Processor time of its child, which writes the trace; 0 where there is none."""
        pid = self.processor.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return sum(_cpu_s(int(child)) for child in children)


def _cpu_s(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Run(NamedTuple):
    """What one load came to."""

    rate: float
    cpu_us: float
    writer_us: float  # of the process that writes the trace
    p99_ms: float


@contextmanager
def serving(
    name: str, folder: Path, hsm: str, networks: tuple[str, ...], settings: dict[str, str], more: list[str]
) -> Iterator[tuple[Side, str]]:
    """A processor with its generator, and the last address that it listens on."""
    serve = ["env", *(f"STANDIN_{key}={value}" for key, value in settings.items()), *STANDIN, "serve"]
    serve += ["--config", str(example("standin.toml")), "--hsm", hsm, "--deck", str(folder / "deck.jsonl")]
    serve += [word for network in networks for word in ("--listen", f"{network}=127.0.0.1:0")]
    serve += ["--state", str(folder / name), *more]
    out, log = folder / f"{name}.out", folder / f"{name}.log"
    with ExitStack() as stack:
        process = stack.enter_context(running(["sh", "-c", 'exec "$@" 2>"$0"', str(log), *serve], out))
        addresses = addresses_in(out, process, len(networks) + bool(settings["HTTP__ADDRESS"]))
        load = [sys.executable, "-m", "simulators.load", str(folder)]
        load += [f"{network}={address}" for network, address in zip(networks, addresses, strict=False)]
        generator = stack.enter_context(running(load, subprocess.PIPE, subprocess.PIPE))
        assert generator.stdout is not None
        assert generator.stdout.readline() == "ready\n", "the generator did not start"
        yield Side(Watched(process, out), generator), addresses[-1]


def scrape(address: str, ended: threading.Event) -> None:
    """Be Prometheus."""
    while not ended.wait(SCRAPE_S):
        with urllib.request.urlopen(f"http://{address}/metrics") as response:
            response.read()


def counting_us() -> float:
    """What counting one approved authorization takes, in all places where it is counted."""
    meters, log = Meters(), Log(SystemClock(), approvals_one_in=0)
    meters.network("visa-like", ("0100",))
    amount = Money(100, "840")
    request = Authorization(
        *("visa-like", "0100", "", "", (), "", "", "000000", amount, "", "", "", "", Direction.DEBIT),
        *(False, amount, "", "", "", "", "", "", "", False, CvvKind.NONE, 0, ""),
    )
    outcome, times = Outcome(1, Reply(Reason.APPROVED)), 20_000
    began_s = time.thread_time()
    for _ in range(times):
        flight = Flight(request, None, None, 0, 0.0, 1.0)  # type: ignore[arg-type]  # nobody asks
        meters.asked("visa-like", "0100")
        meters.stages["decode"].observe(0.0001)
        for op in ("cvv", "pin"):
            meters.hsm(op, "answered")
            meters.hsm_latency[op].observe(0.001)
        latencies = meters.answered("visa-like", "0100", "00", Reason.APPROVED)
        tell(meters, log, request, outcome, flight, "00", 0.0, 0.01)
        meters.stages["encode"].observe(0.0001)
        latencies.observe(0.01)
    return 1e6 * (time.thread_time() - began_s) / times


def measure(arguments: argparse.Namespace, folder: Path, networks: tuple[str, ...]) -> None:
    """Start everything, load both in turn, and print each pair and what they come to."""
    hsm_out, deck, trace = folder / "hsm.out", folder / "deck.jsonl", folder / "trace.jsonl"
    ended = threading.Event()
    with ExitStack() as stack:
        emulator = stack.enter_context(running([*STANDIN, "hsm", "--port", "0", "--test-lmk"], hsm_out))
        hsm = addresses_in(hsm_out, emulator, 1)[0]
        cards = CARDS * len(NETWORKS) // len(networks)  # a deck has as many of each network
        make = ["deck", "make", "--cards", str(cards), "--seed", "1", "--out", str(deck)]
        make += ["--pins", str(folder / "pins.jsonl"), "--hsm", hsm]
        subprocess.run([*STANDIN, *make], check=True, stdout=subprocess.DEVNULL)
        off, _ = stack.enter_context(serving("off", folder, hsm, networks, OFF, []))
        on, http = stack.enter_context(serving("on", folder, hsm, networks, ON, ["--trace", str(trace)]))
        prometheus = threading.Thread(target=scrape, args=(http, ended))
        prometheus.start()
        stack.callback(ended.set)
        pairs = []
        print(f"{'':<8}{'off/s':>9}{'on/s':>9}{'ratio':>8}{'off CPU':>9}{'on CPU':>9}{'ratio':>8}", end="")
        print(f"{'writer':>8}{'off p99':>9}{'on p99':>9}")
        for number in range(arguments.pairs + 1):
            sides = (on, off) if number % 2 else (off, on)
            seconds = arguments.seconds if number else WARM_UP_S
            runs = {side: side.run(arguments.in_flight, seconds) for side in sides}
            pair = (runs[off], runs[on])
            print_pair(f"pair {number}" if number else "warm-up", pair)
            if number:
                pairs.append(pair)
        print_medians(pairs)
        print(f"trace: {trace.stat().st_size:,} bytes; ", end="")
        told = (folder / "on.log").read_text()
        print(f"log: {told.count('approved'):,} approvals; lost: {'yes' if 'trace lost' in told else 'no'}")


def print_pair(name: str, pair: tuple[Run, Run]) -> None:
    """One line."""
    off, on = pair
    print(
        f"{name:<8}{off.rate:>9,.0f}{on.rate:>9,.0f}{on.rate / off.rate:>8.3f}"
        f"{off.cpu_us:>9.0f}{on.cpu_us:>9.0f}{off.cpu_us / on.cpu_us:>8.3f}{on.writer_us:>8.0f}"
        f"{off.p99_ms:>9.1f}{on.p99_ms:>9.1f}",
        flush=True,
    )


def print_medians(pairs: list[tuple[Run, Run]]) -> None:
    """The medians, and what counting would change."""
    off, on = (Run(*map(statistics.median, zip(*runs, strict=True))) for runs in zip(*pairs, strict=True))
    rate = statistics.median(on.rate / off.rate for off, on in pairs)
    cpu = statistics.median(off.cpu_us / on.cpu_us for off, on in pairs)
    print(
        f"{'median':<8}{off.rate:>9,.0f}{on.rate:>9,.0f}{rate:>8.3f}{off.cpu_us:>9.0f}{on.cpu_us:>9.0f}"
        f"{cpu:>8.3f}{on.writer_us:>8.0f}{off.p99_ms:>9.1f}{on.p99_ms:>9.1f}\n"
    )
    least_off, least_on = (min(run.cpu_us for run in runs) for runs in zip(*pairs, strict=True))
    print(f"least CPU of a run: off {least_off:.0f}, on {least_on:.0f}, ratio {least_off / least_on:.3f}")
    counting = counting_us()
    left = 1 - counting / off.cpu_us
    print(f"throughput on against off: {rate:.3f}, CPU off against on: {cpu:.3f}; the bar is {BAR}")
    print(
        f"counting, in both, is {counting:.1f} µs of the {off.cpu_us:.0f}. If it could be turned off in the ",
        end="",
    )
    print(f"bare one:\nthroughput {rate * left:.3f}, CPU {cpu * left:.3f}")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=6, help="how many pairs count (default 6)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each load runs (default 3)")
    parser.add_argument("--in-flight", type=int, default=128, help="of the closed loop (default 128)")
    parser.add_argument("--network", choices=NETWORKS, help="this network alone (default both)")
    arguments = parser.parse_args()
    networks = (arguments.network,) if arguments.network else NETWORKS
    cores = sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(0, cores)
    room = Path(__file__).parent.parent / "var"  # a real disk, where state folders are
    room.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=room) as name:
        print(f"{machine()}, cores {cores}; {CARDS:,} cards of {' and '.join(networks)}, ", end="")
        print(f"{arguments.in_flight} in flight, {arguments.seconds:g} s each", flush=True)
        measure(arguments, Path(name), networks)


if __name__ == "__main__":
    main()
