"""A cheap load generator: pre-encoded authorizations in, latencies out; for benchmarks.

    python -m simulators.load FOLDER NETWORK=HOST:PORT [NETWORK=HOST:PORT ...]

reads deck.jsonl and pins.jsonl in the folder, signs on, prints ``ready``, and then runs what it is told: a
JSON line in (``closed``, ``load``, ``seconds``), a JSON line out with the result. The networks take turns.

Frames are encoded before. STAN, DE 7 and DE 37 are patched in place, replies are read by fixed offsets, and
one in a thousand is decoded and checked. Everything has a CVV, and 40 cards of 100 send a PIN.
"""

import json
import random
import select
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from processor.iso8583.compiled import CompiledCodec
from processor.iso8583.framing import FrameRule
from processor.iso8583.message import Message
from processor.values.clock import SystemClock
from simulators.examples import example
from simulators.keys import load_test_keys
from simulators.networks.catalogue import NETWORKS
from simulators.networks.network import Network
from simulators.wallet import Wallet, of_network, read_wallets
from simulators.ways import WAYS, Reading, Way

_PIN_CARDS_OF_5 = 2
_SAMPLED_EVERY = 1_000
_TO_EBCDIC = bytes.maketrans(b"0123456789", bytes(range(0xF0, 0xFA)))
_FROM_EBCDIC = bytes.maketrans(bytes(range(0xF0, 0xFA)), b"0123456789")
_RRN_MARK = "999999999999"
_BIT_38 = 0x04
_WAY = next(way for way in WAYS if way.reading is Reading.STRIPE and not way.posts)


class Layout(NamedTuple):
    """Where things stand in a frame, in replies as well: DE 7 and 11, and the bitmap's byte for 33 to 40.

    ``packed`` and ``digits`` turn digits into the network's bytes and back.
    """

    de7: int
    de11: int
    stan_bytes: int
    bitmap_33: int
    packed: Callable[[bytes], bytes]
    digits: Callable[[bytes], str]


def _ebcdic(digits: bytes) -> bytes:
    return digits.translate(_TO_EBCDIC)


def _from_ebcdic(data: bytes) -> str:
    return data.translate(_FROM_EBCDIC).decode()


def _bcd(digits: bytes) -> bytes:
    return bytes.fromhex(digits.decode())


LAYOUTS = {
    # length 4, header 22, MTI 2, bitmap 8, DE 2 of 16 digits in 9, DE 3 in 3, DE 4 in 6
    "visa-like": Layout(54, 59, 3, 4 + 22 + 2 + 4, _bcd, bytes.hex),
    # length 2, MTI 4, bitmap 8, DE 2 of 16 digits in 18, DE 3 in 6, DE 4 in 12
    "mc-like": Layout(50, 60, 6, 2 + 4 + 4, _ebcdic, _from_ebcdic),
}


class Template(NamedTuple):
    """One card's encoded 0100, and where its DE 37 stands."""

    frame: bytearray
    de37: int


class Replies(NamedTuple):
    """What one read came to: how many replies, and how many of them approve."""

    found: int
    approved: int


class Line:
    """One connection and its cards' frames; every run goes on with the next STAN."""

    def __init__(self, network: Network, target: str, wallets: Sequence[Wallet]) -> None:
        host, _, port = target.rpartition(":")
        self.link = socket.create_connection((host, int(port)))
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._network = network
        self._rule: FrameRule = network.frame
        self._layout = LAYOUTS[network.name]
        self._codec = CompiledCodec(network.dialect)
        self._clock = SystemClock()
        self._templates = [self._template(number, wallet) for number, wallet in enumerate(wallets)]
        random.Random(1).shuffle(self._templates)
        self._stan = 0
        self._due_s = [0.0] * 1_000_000  # by STAN: when it was to be sent
        self._buffer = b""
        self._sign_on()

    def send(self, count: int, first_due_s: float, step_s: float) -> None:
        """Patch and send the next messages; they were due one after the other."""
        if not count:
            return
        transmitted, prefix = _moment(self._clock)
        packed, at7, at11, stan_bytes = (
            self._layout.packed, self._layout.de7, self._layout.de11, self._layout.stan_bytes
        )  # fmt: skip
        de7, rrn = packed(transmitted.encode()), prefix.encode("cp500")
        templates, due_s, stan = self._templates, self._due_s, self._stan
        frames = []
        for n in range(count):
            stan = stan % 999_999 + 1
            digits = b"%06d" % stan
            frame, de37 = templates[stan % len(templates)]
            frame[at7:at11] = de7
            frame[at11 : at11 + stan_bytes] = packed(digits)
            frame[de37 : de37 + 12] = rrn + digits.translate(_TO_EBCDIC)
            frames.append(bytes(frame))
            due_s[stan] = first_due_s + n * step_s
        self._stan = stan
        self.link.sendall(b"".join(frames))

    def receive(self, times: list[float]) -> Replies:
        """One read; the latencies of its replies go to ``times``."""
        data = self._buffer + self.link.recv(262_144)
        now, due_s, layout = time.perf_counter(), self._due_s, self._layout
        prefix_bytes = self._rule.prefix_bytes
        at = approved = found = 0
        arrived = len(data)
        while arrived - at >= prefix_bytes:
            end = at + prefix_bytes + (data[at] << 8 | data[at + 1])
            if end > arrived:
                break
            stan = int(layout.digits(data[at + layout.de11 : at + layout.de11 + layout.stan_bytes]))
            times.append(now - due_s[stan])
            if data[at + layout.bitmap_33] & _BIT_38:
                approved += 1
            if stan % _SAMPLED_EVERY == 0:
                self._check(data[at + prefix_bytes : end], stan)
            found += 1
            at = end
        self._buffer = data[at:]
        return Replies(found, approved)

    def _template(self, number: int, wallet: Wallet) -> Template:
        network, way = self._network, _way(with_pin=number % 5 < _PIN_CARDS_OF_5)
        elements = {
            2: wallet.card.pan, 3: "000000", 4: "000000000100", 7: "0101000000", 11: "000000",
            14: wallet.card.expiry, 18: way.till.merchant_category, 19: "840", 32: network.acquirer,
            35: wallet.stripe, 37: _RRN_MARK, 41: way.till.terminal, 42: way.till.merchant,
            43: way.till.place, 49: "840", **network.opening(way, wallet, number, "0101"),
        }  # fmt: skip
        if way.with_pin:
            elements |= {26: "12", 52: wallet.pin_block, 53: network.pin_security()}
        frame = self._rule.frame(self._codec.encode(Message(network.header("0"), "0100", elements)))
        mark, layout = _RRN_MARK.encode("cp500"), self._layout
        assert layout.digits(frame[layout.de7 : layout.de11]) == elements[7], (
            "DE 7 is not where it is patched"
        )
        assert frame.count(mark) == 1, "DE 37 cannot be found"
        return Template(bytearray(frame), frame.index(mark))

    def _sign_on(self) -> None:
        network = self._network
        elements = {7: _moment(self._clock)[0], 11: "999999", 70: network.sign_on, **network.signal()}
        message = Message(network.header("999999"), "0800", elements)
        self.link.sendall(self._rule.frame(self._codec.encode(message)))
        self.link.settimeout(10)
        reply = self._codec.decode(self.link.recv(65536)[self._rule.prefix_bytes :])
        assert reply.elements[39] == "00", "not signed on"

    def _check(self, frame: bytes, stan: int) -> None:
        """Decode a reply and compare it with what was asked."""
        reply = self._codec.decode(frame)
        template = self._templates[stan % len(self._templates)].frame
        asked = self._codec.decode(bytes(template[self._rule.prefix_bytes :]))
        assert reply.mti == "0110", "not an authorization response"
        for number in (2, 3, 4, 32, 41, 42, 49):
            assert reply.elements[number] == asked.elements[number], f"DE {number} is not echoed"
        assert int(reply.elements[11]) == stan == int(reply.elements[37][6:]), "keys do not match"
        assert reply.elements[39] in ("00", "51"), "an unexpected answer"
        assert (reply.elements[39] == "00") == (38 in reply.elements), "DE 38 and DE 39 do not agree"


class Generator:
    """Runs loads over its lines, which take turns."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines
        self._turn = 0

    def closed(self, in_flight: int, seconds: float) -> dict[str, Any]:
        """Keep so many in flight."""
        times: list[float] = []
        approved = answered = 0
        begin = now = time.perf_counter()
        self._send(in_flight, now, 0.0)
        sent = in_flight
        while answered < sent:
            replies = self._receive(times, 1.0)
            answered += replies.found
            approved += replies.approved
            now = time.perf_counter()
            if now - begin < seconds:
                self._send(replies.found, now, 0.0)
                sent += replies.found
        return _result(times, approved, time.perf_counter() - begin, [0.0])

    def open(self, rate: float, seconds: float) -> dict[str, Any]:
        """Send by the clock, whatever comes back."""
        times: list[float] = []
        lateness: list[float] = []
        approved = answered = sent = 0
        total = int(rate * seconds)
        begin = time.perf_counter()
        while answered < total:
            now = time.perf_counter()
            due = min(total, int((now - begin) * rate) + 1) - sent
            if due > 0:
                self._send(due, begin + sent / rate, 1 / rate)
                lateness += [now - begin - n / rate for n in range(sent, sent + due)]
                sent += due
            wait_s = max(0.0, begin + sent / rate - time.perf_counter()) if sent < total else 1.0
            replies = self._receive(times, wait_s)
            answered += replies.found
            approved += replies.approved
        return _result(times, approved, time.perf_counter() - begin, lateness)

    def _send(self, count: int, first_due_s: float, step_s: float) -> None:
        """Deal the next messages to the lines in turn."""
        lines = len(self._lines)
        for place in range(min(count, lines)):
            share = (count - place + lines - 1) // lines
            line = self._lines[(self._turn + place) % lines]
            line.send(share, first_due_s + place * step_s, step_s * lines)
        self._turn = (self._turn + count) % lines

    def _receive(self, times: list[float], wait_s: float) -> Replies:
        """One read of each line that has something, if any has within ``wait_s``."""
        ready = select.select([line.link for line in self._lines], [], [], wait_s)[0]
        found = [line.receive(times) for line in self._lines if line.link in ready]
        return Replies(sum(r.found for r in found), sum(r.approved for r in found))


def _way(*, with_pin: bool) -> Way:
    return _WAY._replace(with_pin=with_pin)


def _result(times: list[float], approved: int, elapsed_s: float, lateness: list[float]) -> dict[str, Any]:
    times.sort()
    lateness.sort()
    return {
        "count": len(times),
        "approved": approved,
        "seconds": elapsed_s,
        "p50_ms": _percentile_ms(times, 0.5),
        "p99_ms": _percentile_ms(times, 0.99),
        "max_ms": times[-1] * 1000,
        "late_p99_ms": _percentile_ms(lateness, 0.99),
    }


def _moment(clock: SystemClock) -> tuple[str, str]:
    """DE 7, and the first six characters of DE 37, now."""
    moment = time.gmtime(clock.wall_ms() // 1000)
    return time.strftime("%m%d%H%M%S", moment), f"{moment.tm_year % 10}{moment.tm_yday:03}{moment.tm_hour:02}"


def _percentile_ms(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


def generate(folder: Path, targets: Sequence[str]) -> None:
    """The generator's process: a JSON line in for each run, a JSON line out with its result."""
    keys = load_test_keys(example("keys.test.json"))
    wallets = read_wallets(folder / "deck.jsonl", folder / "pins.jsonl", keys)
    lines = []
    for name, _, target in (text.partition("=") for text in targets):
        lines.append(Line(NETWORKS[name], target, of_network(wallets, name)))
    generator = Generator(lines)
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        run = generator.closed if order["closed"] else generator.open
        print(json.dumps(run(order["load"], order["seconds"])), flush=True)


if __name__ == "__main__":
    generate(Path(sys.argv[1]), sys.argv[2:])
