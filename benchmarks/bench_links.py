"""Card links over loopback: the echo path on 1, 10 and 100 links, fairness, and a good link among bad ones.

The processor is a process on a core of its own; this generator and the bad peers share the other.

* echo: network management requests, answered without HSM and journal; one in flight on every link, so what is
  measured is framing, codec, the link's machine and the scheduler. Latency counts from sending.
* greedy: one link with as many in flight as it may have, beside one with one; what the second one waits for.
* bad peers, all from one address: 200 links that send a frame byte by byte and never end it, and 100 that
  send garbage, each back a while after it was hung up on; 100 that send garbage and are back at once; and one
  that connects and leaves as fast as it can. A good link from another address asks at a fixed rate, alone and
  among them in turns; another opens a new link every 50 ms, and counts until its first answer.
  The bad peers have the lowest priority on the core that they share with the good ones: what is measured is
  the processor, not who gets that core.

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
GOOD = "127.0.0.2"  # where the good link among bad ones comes from
RATE = 500  # of the good link among bad ones, messages a second
ROUNDS = 5
KINDS = {
    "bad": f"{LORISES} slow and {GARBAGERS} garbage links",
    "garbage": f"{GARBAGERS} garbage links that are back at once",
    "storm": "a storm of connections",
}
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


def connect(address: Address, source: str = "127.0.0.1") -> socket.socket:
    """A link without delay."""
    link = socket.create_connection(address, 10, (source, 0))
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
    with connect(address, GOOD) as link, selectors.DefaultSelector() as poller:
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


def new_links(address: Address, seconds: float) -> Figures:
    """A new link, from connecting to its first answer, every 50 ms."""
    frame, times, began = echo_frame(), list[float](), perf_counter()
    while perf_counter() - began < seconds:
        sent = perf_counter()
        with connect(address, GOOD) as link:
            link.sendall(frame)
            reader = Reader(link)
            while not reader.replies():
                pass
        times.append(perf_counter() - sent)
        sleep(0.05)
    return figures(times)


def torment(address: Address, kind: str) -> None:
    """Be the bad peers, until killed: a process of its own, which gives way to whoever measures."""
    os.nice(19)
    if kind == "storm":
        _storm(address)
    chance, frame = random.Random(1), echo_frame()
    lorises, bad = (LORISES, LORISES + GARBAGERS) if kind == "bad" else (0, GARBAGERS)
    pause_s = 0.5 if kind == "bad" else 0.0  # until one that was hung up on is back
    links: list[tuple[socket.socket | None, float, int]] = [(None, 0.0, 0)] * bad
    while True:
        now = perf_counter()
        for n, (link, due, step) in enumerate(links):
            if now >= due:
                links[n] = _misbehave(address, link, step, n < lorises, chance, frame, pause_s)
        sleep(0.01 if pause_s else 0.001)


def _storm(address: Address) -> None:
    """Connect, say something that is no frame, leave; as fast as can be."""
    while True:
        try:
            with socket.create_connection(address, 1) as link:
                link.send(b"\xff\xff")
        except OSError:
            sleep(0.001)


def _misbehave(
    address: Address,
    link: socket.socket | None,
    step: int,
    slow: bool,
    chance: random.Random,
    frame: bytes,
    pause_s: float,
) -> tuple[socket.socket | None, float, int]:
    """One step of one bad peer: its link, when its next step is due, and which that is."""
    now = perf_counter()
    try:
        if link is None:
            link = socket.create_connection(address, 1)
            link.setblocking(False)
            return link, now + 2 * pause_s * chance.random(), 0
        link.send(frame[step : step + 1] if slow else chance.randbytes(chance.randint(1, 4096)))
        if step % 8 == 7 and not link.recv(4096):
            raise ConnectionResetError
        return link, now + 0.1 + 0.1 * chance.random(), min(step + 1, len(frame) - 2)
    except BlockingIOError:
        return link, now + 0.2, step + 1
    except OSError:
        if link is not None:
            link.close()
        return None, now + pause_s * (1 + 2 * chance.random()), 0


@contextmanager
def processor(folder: str) -> Iterator[Address]:
    """A processor without cards and without HSM, on the first core."""
    command = [sys.executable, "-m", "processor.cli.main", "serve", "--config", "examples/standin.toml"]
    command += ["--listen", "visa-like=127.0.0.1:0", "--hsm", "127.0.0.1:9", "--state", f"{folder}/state"]
    limits = {"CONNECTIONS_MAX": "1000", "CONNECTIONS_PER_PEER_MAX": "300", "FIRST_FRAME_S": "10"}
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
def bad_peers(address: Address, kind: str) -> Iterator[None]:
    """All of one kind, on the second core, once they have connected."""
    command = [sys.executable, __file__, "torment", address[0], str(address[1]), kind]
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
        for kind, text in KINDS.items():
            print(f"\na good link at {RATE}/s, and new good links, alone and among {text}")
            _among(address, kind, seconds)


def _among(address: Address, kind: str, seconds: float) -> None:
    """Alone and among one kind of bad peers, in turns."""
    found: dict[str, list[Figures]] = {name: [] for name in ("alone", "among", "new, alone", "new, among")}
    for _ in range(ROUNDS):
        found["alone"].append(echo_open(address, RATE, seconds))
        found["new, alone"].append(new_links(address, seconds / 2))
        with bad_peers(address, kind):
            found["among"].append(echo_open(address, RATE, seconds))
            found["new, among"].append(new_links(address, seconds / 2))
        sleep(0.5)
    for name, rounds in found.items():
        for figure in rounds:
            _print(name, figure, RATE if "new" not in name else 2 * figure.count / seconds)
    for name, share in (("", "p99"), ("new, ", "p50")):
        one, other = (
            statistics.median(getattr(figure, share) for figure in found[name + where])
            for where in ("among", "alone")
        )
        print(f"{name}{share} among / alone, medians of {ROUNDS}: {one / other:.2f}")


def _print(name: str, found: Figures, rate: float) -> None:
    print(f"{name:<34}{rate:>10,.0f}{found.p50:>9.2f}{found.p99:>9.2f}{found.most:>9.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["torment"]:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        torment((sys.argv[2], int(sys.argv[3])), sys.argv[4])
    else:
        main()
