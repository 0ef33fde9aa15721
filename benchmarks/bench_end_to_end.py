"""Authorizations of both networks end to end: load generator, processor and HSM emulator on two cores.

    python benchmarks/bench_end_to_end.py [--seconds 10] [--network visa-like]

10,000 cards, half of each network (or all of the one that is named), whose messages take turns; a CVV in each
message and a PIN in 40 of 100; every answer durable before it is sent; the journal encrypted. Closed loops of
1, 32 and 128 in flight, then open loops at 1,000/s and 4,000/s, whose latency counts from the moment at which
the schedule wanted each message sent. The machine's own floors, a bare fdatasync and a bare loopback echo,
are of the same run.
The generator is ``simulators.load``.

Under each load stand the mean time of each stage and its share of the way through the processor. Decode,
execute and encode are work; the others are waiting as well: turn for the card, hsm and journal for others.
"""

import argparse
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from simulators.examples import example

CARDS = 10_000
CLOSED = (1, 32, 128)
OPEN = (1_000, 4_000)
NETWORKS = ("visa-like", "mc-like")
STATUS_S = 1.0
JOURNAL = ("batches", "records", "bytes")
HEADLINE = (
    f"{'load':<20}{'s':>6}{'auth/s':>10}{'approved':>10}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}"
    f"{'late p99':>9}{'CPU µs':>9}{'fdatasyncs':>11}{'rec/sync':>9}{'B/rec':>9}"
)
STANDIN = (sys.executable, "-P", "-m", "processor.cli.main")


def echo() -> None:
    """The other end of the loopback floor."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        link = server.accept()[0]
        while data := link.recv(4096):
            link.sendall(data)


def fdatasync_us(folder: Path, seconds: float = 1.0) -> float:
    """Median of writing 4096 bytes into a pre-filled file and syncing its data."""
    block, size = os.urandom(4096), 4096 * 1024
    times: list[float] = []
    descriptor = os.open(folder / "floor", os.O_RDWR | os.O_CREAT)
    os.write(descriptor, bytes(size))
    os.fsync(descriptor)
    begin = time.perf_counter()
    while (started := time.perf_counter()) - begin < seconds:
        os.pwrite(descriptor, block, len(times) * 4096 % size)
        os.fdatasync(descriptor)
        times.append(time.perf_counter() - started)
    os.close(descriptor)
    return sorted(times)[len(times) // 2] * 1e6


def loopback_us(seconds: float = 1.0) -> float:
    """Median of one round trip of 300 bytes to another process."""
    with subprocess.Popen([sys.executable, __file__, "echo"], stdout=subprocess.PIPE, text=True) as peer:
        assert peer.stdout is not None
        with socket.create_connection(("127.0.0.1", int(peer.stdout.readline()))) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            payload, times = bytes(300), []
            begin = time.perf_counter()
            while (started := time.perf_counter()) - begin < seconds:
                link.sendall(payload)
                left = 300
                while left:
                    left -= len(link.recv(left))
                times.append(time.perf_counter() - started)
    return sorted(times)[len(times) // 2] * 1e6


@contextmanager
def running(
    command: list[str], output: Path | int, given: int | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A process that ends with the block; ``output`` is a file or PIPE, ``given`` its input: None or PIPE."""
    quiet = subprocess.DEVNULL
    with output.open("w") if isinstance(output, Path) else nullcontext(output) as out:
        process = subprocess.Popen(command, stdin=given, stdout=out, stderr=quiet, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def addresses_in(output: Path, process: subprocess.Popen[str], count: int) -> list[str]:
    """HOST:PORT of the first ``listening`` lines."""
    while process.poll() is None:
        lines = [line for line in output.read_text().splitlines() if line.startswith("listening ")]
        if len(lines) >= count:
            return [line.rpartition(" ")[2] for line in lines[:count]]
        time.sleep(0.05)
    raise SystemExit(f"{output} has no address: the process ended")


class Watched(NamedTuple):
    """The processor: its process and the file with its status lines."""

    process: subprocess.Popen[str]
    output: Path

    def status(self) -> dict[str, Any]:
        """A status line written from now on."""
        time.sleep(3 * STATUS_S)
        *lines, _ = self.output.read_text().split("\n")
        told = [line for line in lines if line.startswith("status ")]
        found: dict[str, Any] = json.loads(told[-1].partition(" ")[2])
        return found

    def cpu_s(self) -> float:
        """User and system time it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(seconds: float, folder: Path, networks: tuple[str, ...]) -> None:
    """Start everything, run every load, print two lines for each."""
    hsm_out, deck = folder / "hsm.out", folder / "deck.jsonl"
    with running([*STANDIN, "hsm", "--port", "0", "--test-lmk"], hsm_out) as hsm:
        at_hsm = ["--hsm", addresses_in(hsm_out, hsm, 1)[0]]
        cards = CARDS * len(NETWORKS) // len(networks)  # a deck has as many of each network
        make = ["deck", "make", "--cards", str(cards), "--seed", "1", "--out", str(deck)]
        make += ["--pins", str(folder / "pins.jsonl"), *at_hsm]
        subprocess.run([*STANDIN, *make], check=True, stdout=subprocess.DEVNULL)
        serve = ["serve", "--config", str(example("standin.toml"))]
        serve += [word for network in networks for word in ("--listen", f"{network}=127.0.0.1:0")]
        serve += ["--deck", str(deck), "--state", str(folder / "state"), *at_hsm]
        serve += ["--status-seconds", str(STATUS_S)]
        with running([*STANDIN, *serve], folder / "processor.out") as process:
            processor = Watched(process, folder / "processor.out")
            targets = zip(networks, addresses_in(processor.output, process, len(networks)), strict=True)
            load = [sys.executable, "-m", "simulators.load", str(folder)]
            load += [f"{network}={target}" for network, target in targets]
            with running(load, subprocess.PIPE, subprocess.PIPE) as generator:
                assert generator.stdout is not None
                assert generator.stdout.readline() == "ready\n", "the generator did not start"
                for amount in CLOSED:
                    one_load(generator, processor, closed=True, amount=amount, seconds=seconds)
                for amount in OPEN:
                    one_load(generator, processor, closed=False, amount=amount, seconds=seconds)


def one_load(
    generator: subprocess.Popen[str], processor: Watched, *, closed: bool, amount: int, seconds: float
) -> None:
    """Run one load and print what it came to."""
    assert generator.stdin is not None
    assert generator.stdout is not None
    before, used_s = processor.status(), processor.cpu_s()
    print(
        json.dumps({"closed": closed, "load": amount, "seconds": seconds}), file=generator.stdin, flush=True
    )
    result = json.loads(generator.stdout.readline())
    used_s = processor.cpu_s() - used_s
    after = processor.status()
    written = {name: after["journal"][name] - before["journal"][name] for name in JOURNAL}
    count, name = result["count"], f"{amount} in flight" if closed else f"{amount:,}/s, open loop"
    print(
        f"{name:<20}{result['seconds']:>6.1f}{count / result['seconds']:>10,.0f}"
        f"{result['approved'] / count:>10.1%}{result['p50_ms']:>9.2f}{result['p99_ms']:>9.2f}"
        f"{result['max_ms']:>9.2f}{result['late_p99_ms']:>9.2f}{used_s / count * 1e6:>9.0f}"
        f"{written['batches']:>11,}{written['records'] / max(written['batches'], 1):>9.1f}"
        f"{written['bytes'] / max(written['records'], 1):>9.0f}"
    )
    print(f"    stages, mean µs and share: {stages(before['stages'], after['stages'])}", flush=True)


def stages(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Mean time of each stage between two status lines, and its share of all of them."""
    means = {}
    for name, now in after.items():
        count = now["count"] - before[name]["count"]
        total_us = now["count"] * now["mean_us"] - before[name]["count"] * before[name]["mean_us"]
        means[name] = total_us / count if count else 0.0
    whole = sum(means.values()) or 1.0
    return ", ".join(f"{name} {mean:,.0f} ({mean / whole:.0%})" for name, mean in means.items())


def machine() -> str:
    """The machine, its system and the date."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    system = f"Linux {platform.release()}, Python {platform.python_version()}"
    return f"{time.strftime('%Y-%m-%d')}, {names[0] if names else platform.machine()}, {system}"


def main() -> None:
    """Measure, or be the other end of the loopback floor."""
    if sys.argv[1:] == ["echo"]:
        echo()
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each load runs (default 10)")
    parser.add_argument("--network", choices=NETWORKS, help="this network alone (default both)")
    arguments = parser.parse_args()
    networks = (arguments.network,) if arguments.network else NETWORKS
    cores = sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(0, cores)
    room = Path(__file__).parent.parent / "var"  # a real disk, where state folders are
    room.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=room) as name:
        folder = Path(name)
        print(f"{machine()}, cores {cores}; {CARDS:,} cards of {' and '.join(networks)}, ", end="")
        print("CVV in all, PIN in 40 of 100, before_reply")
        print(f"floors: fdatasync of 4096 bytes {fdatasync_us(folder):.0f} µs, ", end="")
        print(f"loopback echo of 300 bytes {loopback_us():.0f} µs (medians)\n")
        print(HEADLINE, flush=True)
        measure(arguments.seconds, folder, networks)


if __name__ == "__main__":
    main()
