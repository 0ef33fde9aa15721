"""What HTTP clients cost the card links: p99 of authorizations alone, and while HTTP clients do their worst.

    python benchmarks/bench_http.py [--seconds 3] [--rounds 3]

Authorizations with CVV and PIN come in an open loop at 500/s, every answer durable before it is sent. They
are measured alone, and in turns with that while another process
* holds 1,000 HTTP connections open, and opens those that are closed again, once a second;
* opens connections as fast as they are closed, 1,000 at a time;
* scrapes /metrics ten times a second;
* asks why, over and over, for a name that nothing bears: that searches the whole journal.

The ratios are of medians over the rounds, of one run. The first has to stay under 2.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
from bench_end_to_end import STANDIN, addresses_in, machine, running

from simulators.examples import example

CARDS = 2_000
RATE = 500
CONNECTIONS = 1_000


def hold(address: tuple[str, int], pause_s: float) -> None:
    """Have as many connections open as there are; look for those that were closed after each pause."""
    held: list[socket.socket | None] = [None] * CONNECTIONS
    while True:
        for number, peer in enumerate(held):
            if peer is None or _is_closed(peer):
                if peer is not None:
                    peer.close()
                with suppress(OSError):
                    held[number] = socket.create_connection(address, 5)
        time.sleep(pause_s)


def _is_closed(peer: socket.socket) -> bool:
    peer.setblocking(False)
    try:
        return peer.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def scrape(address: tuple[str, int], _: str) -> None:
    """Read the metrics ten times a second."""
    while True:
        with suppress(httpx.TransportError):
            httpx.get(f"http://{address[0]}:{address[1]}/metrics", trust_env=False, timeout=10)
        time.sleep(0.1)


def ask(address: tuple[str, int], token: str) -> None:
    """Ask for what is not there."""
    headers = {"Authorization": f"Bearer {token}"}
    url = f"http://{address[0]}:{address[1]}/v1/why/NOBODYHASTHIS"
    while True:
        with suppress(httpx.TransportError):
            httpx.get(url, headers=headers, trust_env=False, timeout=30)


CLIENTS = {
    "1,000 held": lambda address, _: hold(address, 1.0),
    "1,000 storming": lambda address, _: hold(address, 0.0),
    "10 scrapes/s": scrape,
    "why, over and over": ask,
}


def measure(folder: Path, seconds: float, rounds: int) -> None:
    """Start everything, take turns, print a line for each kind of client."""
    hsm_out, out = folder / "hsm.out", folder / "processor.out"
    with ExitStack() as stack:
        hsm = stack.enter_context(running([*STANDIN, "hsm", "--port", "0", "--test-lmk"], hsm_out))
        at_hsm = ["--hsm", addresses_in(hsm_out, hsm, 1)[0]]
        deck = folder / "deck.jsonl"
        make = ["deck", "make", "--cards", str(CARDS), "--seed", "1", "--out", str(deck), *at_hsm]
        make += ["--pins", str(folder / "pins.jsonl")]
        subprocess.run([*STANDIN, *make], check=True, stdout=subprocess.DEVNULL)
        serve = ["serve", "--config", str(example("standin.toml")), "--listen", "visa-like=127.0.0.1:0"]
        serve += ["--deck", str(deck), "--state", str(folder / "state"), *at_hsm]
        process = stack.enter_context(running([*STANDIN, *serve], out))
        cards, http = addresses_in(out, process, 2)
        load = [sys.executable, "-m", "simulators.load", str(folder), f"visa-like={cards}"]
        generator = stack.enter_context(running(load, subprocess.PIPE, subprocess.PIPE))
        assert generator.stdout is not None
        assert generator.stdout.readline() == "ready\n", "the generator did not start"
        one_load(generator, 1.0)  # warm
        token = (folder / "state" / "admin.token").read_text().strip()
        for name in CLIENTS:
            alone, beside = [], []
            for _ in range(rounds):
                alone.append(one_load(generator, seconds))
                client = [sys.executable, __file__, "client", name, http, token]
                with running(client, folder / "client.out"):
                    time.sleep(1.5)
                    beside.append(one_load(generator, seconds))
            print_line(name, alone, beside)


def one_load(generator: subprocess.Popen[str], seconds: float) -> dict[str, float]:
    """Run the open loop once."""
    assert generator.stdin is not None
    assert generator.stdout is not None
    print(json.dumps({"closed": False, "load": RATE, "seconds": seconds}), file=generator.stdin, flush=True)
    result: dict[str, float] = json.loads(generator.stdout.readline())
    return result


def print_line(name: str, alone: list[dict[str, float]], beside: list[dict[str, float]]) -> None:
    """The medians and their ratio."""
    figures = []
    for quantile in ("p50_ms", "p99_ms"):
        medians = [statistics.median(run[quantile] for run in runs) for runs in (alone, beside)]
        figures.append(f"{medians[0]:>9.2f}{medians[1]:>9.2f}{medians[1] / medians[0]:>8.2f}")
    print(f"{name:<22}{figures[0]}    {figures[1]}", flush=True)


def main() -> None:
    """Measure, or be one of the clients."""
    if sys.argv[1:2] == ["client"]:
        host, _, port = sys.argv[3].rpartition(":")
        CLIENTS[sys.argv[2]]((host, int(port)), sys.argv[4])
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each load runs (default 3)")
    parser.add_argument("--rounds", type=int, default=3, help="turns for each client (default 3)")
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(0, cores)
    room = Path(__file__).parent.parent / "var"
    room.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=room) as name:
        print(f"{machine()}, cores {cores}; {CARDS:,} cards, open loop at {RATE}/s, before_reply")
        print(f"{'':<22}{'p50 ms':>9}{'beside':>9}{'ratio':>8}    {'p99 ms':>9}{'beside':>9}{'ratio':>8}")
        measure(Path(name), arguments.seconds, arguments.rounds)


if __name__ == "__main__":
    main()
