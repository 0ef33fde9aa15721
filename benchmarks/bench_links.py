"""Card links over loopback: the echo path on 1, 10 and 100 links, fairness, and a good link among bad ones.

The processor is a process on a core of its own; this generator and the bad peers share the other.

* echo: network management requests, answered without HSM and journal; one in flight on every link, so what is
  measured is framing, codec, the link's machine and the scheduler. Latency counts from sending.
* greedy: one link with as many in flight as it may have, beside one with one; what the second one waits for.
* bad peers: 200 links that send a frame byte by byte and never end it, and 100 that send garbage; each comes
  back a while after it was hung up on. A good link asks at a fixed rate, alone and among them in turns.

Usage: python benchmarks/bench_links.py [seconds per line, default 2]
"""

import os
import random
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter, sleep
from typing import NamedTuple

from processor.iso8583.codec import PyisoCodec
from processor.iso8583.framing import VISA_FRAME
from processor.iso8583.header import Base1Header
from processor.iso8583.message import Message
from processor.networks.adapters import DIALECTS

ROOT = Path(__file__).resolve().parents[1]
LORISES, GARBAGERS = 200, 100
RATE = 500  # of the good link among bad ones, messages a second
ROUNDS = 5
REPLY_BYTES = 4 + 22 + 2 + 8 + 8 + 5 + 3 + 2 + 2  # prefix, header, MTI, two bitmaps, DE 7, 11, 39, 70

Address = tuple[str, int]


class Figures(NamedTuple):
    """Latencies of one line, in ms."""

    count: int
    p50: float
    p99: float
    most: float


def figures(seconds: list[float]) -> Figures:
    """Of latencies in seconds."""
    seconds.sort()
    ms = [1000 * seconds[min(len(seconds) - 1, int(len(seconds) * share))] for share in (0.5, 0.99, 1.0)]
    return Figures(len(seconds), *ms)


def echo_frame() -> bytes:
    """An echo test as it goes over the wire."""
    header = Base1Header("400001", "123456", round_trip=1).pack()
    message = Message(header, "0800", {7: "1121101530", 11: "000001", 70: "301"})
    return VISA_FRAME.frame(PyisoCodec(DIALECTS["visa-like"]).encode(message))


def connect(address: Address) -> socket.socket:
    """A link without delay."""
    link = socket.create_connection(address, 10)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


class Reader:
    """Counts the replies that arrive on one link."""

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self._buffer = b""

    def replies(self) -> int:
        """How many came with one read."""
        data = self.link.recv(262_144)
        if not data:
            raise SystemExit("the processor hung up on a good link")
        data, found, at = self._buffer + data, 0, 0
        while len(data) - at >= 4 and len(data) - at >= (end := 4 + int.from_bytes(data[at : at + 2], "big")):
            at, found = at + end, found + 1
        self._buffer = data[at:]
        return found


def echo_closed(address: Address, links: int, seconds: float) -> tuple[Figures, float]:
    """One in flight on every link."""
    frame, times = echo_frame(), list[float]()
    with ExitStack() as stack:
        poller = stack.enter_context(selectors.DefaultSelector())
        sent: dict[socket.socket, float] = {}
        for _ in range(links):
            link = stack.enter_context(connect(address))
            poller.register(link, selectors.EVENT_READ, Reader(link))
            link.sendall(frame)
            sent[link] = perf_counter()
        began = perf_counter()
        while perf_counter() - began < seconds:
            for key, _ in poller.select(1):
                link, reader = key.fileobj, key.data
                assert isinstance(link, socket.socket)
                if reader.replies():
                    now = perf_counter()
                    times.append(now - sent[link])
                    sent[link] = now
                    link.sendall(frame)
        elapsed = perf_counter() - began
    return figures(times), len(times) / elapsed


def beside_a_greedy_one(address: Address, greedy: int, seconds: float) -> tuple[Figures, float]:
    """What a link with one in flight waits for while another has ``greedy`` in flight; the other's rate."""
    frame, times, others = echo_frame(), list[float](), 0
    with connect(address) as modest, connect(address) as hungry, selectors.DefaultSelector() as poller:
        readers = {modest: Reader(modest), hungry: Reader(hungry)}
        for link in readers:
            poller.register(link, selectors.EVENT_READ)
        hungry.sendall(frame * greedy)
        modest.sendall(frame)
        began = sent = perf_counter()
        while perf_counter() - began < seconds:
            for key, _ in poller.select(1):
                link = key.fileobj
                assert isinstance(link, socket.socket)
                replies = readers[link].replies()
                if link is hungry:
                    others += replies
                    link.sendall(frame * replies)
                elif replies:
                    now = perf_counter()
                    times.append(now - sent)
                    sent = now
                    link.sendall(frame)
        elapsed = perf_counter() - began
    return figures(times), others / elapsed


def echo_open(address: Address, rate: float, seconds: float) -> Figures:
    """One link at a fixed rate; latency counts from when each was due."""
    frame, times = echo_frame(), list[float]()
    total, sent = int(rate * seconds), 0
    with connect(address) as link, selectors.DefaultSelector() as poller:
        reader = Reader(link)
        poller.register(link, selectors.EVENT_READ)
        began = perf_counter()
        while len(times) < total:
            due = min(total, int((perf_counter() - began) * rate) + 1)
            if due > sent:
                link.sendall(frame * (due - sent))
                sent = due
            wait_s = max(0.0, began + sent / rate - perf_counter()) if sent < total else 1.0
            if poller.select(wait_s):
                replies = reader.replies()
                now = perf_counter()
                times += [now - began - (len(times) + n) / rate for n in range(replies)]
    return figures(times)


def torment(address: Address, lorises: int, garbagers: int) -> None:
    """Be the bad peers, until killed: a process of its own."""
    chance, frame = random.Random(1), echo_frame()
    links: list[tuple[socket.socket | None, float, int]] = [(None, 0.0, 0)] * (lorises + garbagers)
    while True:
        now = perf_counter()
        for n, (link, due, step) in enumerate(links):
            if now >= due:
                links[n] = _misbehave(address, link, step, n < lorises, chance, frame)
        sleep(0.01)


def _misbehave(
    address: Address, link: socket.socket | None, step: int, slow: bool, chance: random.Random, frame: bytes
) -> tuple[socket.socket | None, float, int]:
    """One step of one bad peer: its link, when its next step is due, and which that is."""
    now = perf_counter()
    try:
        if link is None:
            link = socket.create_connection(address, 1)
            link.setblocking(False)
            return link, now + chance.random(), 0
        link.send(frame[step : step + 1] if slow else chance.randbytes(chance.randint(1, 4096)))
        if step % 8 == 7 and not link.recv(4096):
            raise ConnectionResetError
        return link, now + 0.1 + 0.1 * chance.random(), min(step + 1, len(frame) - 2)
    except BlockingIOError:
        return link, now + 0.2, step + 1
    except OSError:
        if link is not None:
            link.close()
        return None, now + 0.5 + chance.random(), 0


@contextmanager
def processor(folder: str) -> Iterator[Address]:
    """A processor without cards and without HSM, on the first core."""
    command = [sys.executable, "-m", "processor.cli.main", "serve", "--config", "examples/standin.toml"]
    command += ["--listen", "visa-like=127.0.0.1:0", "--hsm", "127.0.0.1:9", "--state", f"{folder}/state"]
    limits = {"CONNECTIONS_MAX": "1000", "CONNECTIONS_PER_PEER_MAX": "1000", "FIRST_FRAME_S": "10"}
    environment = os.environ | {f"STANDIN_LIMITS__{name}": value for name, value in limits.items()}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        _pin(child.pid, 0)
        assert child.stdout is not None
        try:
            host, _, port = child.stdout.readline().split()[2].rpartition(":")
            yield host, int(port)
        finally:
            child.terminate()


@contextmanager
def bad_peers(address: Address) -> Iterator[None]:
    """All of them, on the second core, once they have connected."""
    command = [sys.executable, __file__, "torment", address[0], str(address[1])]
    with subprocess.Popen(command) as child:
        _pin(child.pid, 1)
        sleep(1.5)
        try:
            yield
        finally:
            child.kill()


def _pin(pid: int, core: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(pid, {cores[core % len(cores)]})


def main() -> None:
    """Print every line."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    with tempfile.TemporaryDirectory() as folder, processor(folder) as address:
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {max(cores)})
        echo_closed(address, 1, 0.5)  # warm
        print(f"{'echo path':<34}{'echoes/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}")
        for links in (1, 10, 100):
            found, rate = echo_closed(address, links, seconds)
            _print(f"{links} links, one in flight on each", found, rate)
        found, rate = beside_a_greedy_one(address, 2000, seconds)
        _print("1 in flight beside a greedy link", found, found.count / seconds)
        print(f"    the greedy one, 2,000 in flight, had {rate:,.0f}/s")
        print(f"\na good link at {RATE}/s, alone and among {LORISES} slow and {GARBAGERS} garbage links")
        alone, among = [], []
        for _ in range(ROUNDS):
            alone.append(echo_open(address, RATE, seconds))
            with bad_peers(address):
                among.append(echo_open(address, RATE, seconds))
            sleep(0.5)
        for name, found_list in (("alone", alone), ("among bad peers", among)):
            for found in found_list:
                _print(name, found, RATE)
        ratio = statistics.median(f.p99 for f in among) / statistics.median(f.p99 for f in alone)
        print(f"p99 among / alone, medians of {ROUNDS}: {ratio:.2f}")


def _print(name: str, found: Figures, rate: float) -> None:
    print(f"{name:<34}{rate:>10,.0f}{found.p50:>9.2f}{found.p99:>9.2f}{found.most:>9.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["torment"]:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        torment((sys.argv[2], int(sys.argv[3])), LORISES, GARBAGERS)
    else:
        main()
