"""A cheap load generator: pre-encoded authorizations in, latencies out; for benchmarks.

    python -m simulators.load HOST:PORT FOLDER

reads deck.jsonl and pins.jsonl in the folder, signs on, prints ``ready``, and then runs what it is told: a
JSON line in (``closed``, ``load``, ``seconds``), a JSON line out with the result.

Frames are encoded before. STAN, DE 7 and DE 37 are patched in place, replies are read by fixed offsets, and
one in a thousand is decoded and checked. Everything has a CVV, and 40 cards of 100 send a PIN.
"""

import json
import random
import select
import socket
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from processor.iso8583.codec import PyisoCodec
from processor.iso8583.framing import VISA_FRAME
from processor.iso8583.header import Base1Header
from processor.iso8583.message import Message
from processor.iso8583.tables.visa_like import VISA_LIKE
from processor.values.clock import SystemClock
from simulators.examples import example
from simulators.keys import load_test_keys
from simulators.wallet import Wallet, read_wallets

_PIN_CARDS_OF_5 = 2

# Where things stand, in replies as well: length 4, header 22, MTI 2, bitmap 8, DE 2 of 16 digits, DE 3, DE 4.
_DE7, _DE11 = 54, 59
# The bitmap's byte with bits 33 to 40: DE 38 is there when the reply approves.
_BITMAP_33, _BIT_38 = 4 + 22 + 2 + 4, 0x04
_SAMPLED_EVERY = 1_000
_TO_EBCDIC = bytes.maketrans(b"0123456789", bytes(range(0xF0, 0xFA)))
_RRN_MARK = "999999999999"


class Template(NamedTuple):
    """One card's encoded 0100, and where its DE 37 stands."""

    frame: bytearray
    de37: int


class Generator:
    """One connection and the cards' frames; every run goes on with the next STAN."""

    def __init__(self, target: str, wallets: list[Wallet]) -> None:
        host, _, port = target.rpartition(":")
        self._link = socket.create_connection((host, int(port)))
        self._link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._codec = PyisoCodec(VISA_LIKE)
        self._clock = SystemClock()
        self._templates = [self._template(number, wallet) for number, wallet in enumerate(wallets)]
        random.Random(1).shuffle(self._templates)
        self._stan = 0
        self._due_s = [0.0] * 1_000_000  # by STAN: when it was to be sent
        self._buffer = b""
        self._sign_on()

    def closed(self, in_flight: int, seconds: float) -> dict[str, Any]:
        """Keep so many in flight."""
        times: list[float] = []
        approved = answered = 0
        begin = now = time.perf_counter()
        self._send(in_flight, now, 0.0)
        sent = in_flight
        while answered < sent:
            found, accepted = self._receive(times)
            answered += found
            approved += accepted
            now = time.perf_counter()
            if now - begin < seconds:
                self._send(found, now, 0.0)
                sent += found
        return self._result(times, approved, time.perf_counter() - begin, [0.0])

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
            if select.select([self._link], [], [], wait_s)[0]:
                found, accepted = self._receive(times)
                answered += found
                approved += accepted
        return self._result(times, approved, time.perf_counter() - begin, lateness)

    def _template(self, number: int, wallet: Wallet) -> Template:
        card = wallet.card
        elements = {
            2: card.pan, 3: "000000", 4: "000000000100", 7: "0101000000", 11: "000000", 14: card.expiry,
            18: "5411", 19: "840", 22: "9010", 25: "00", 32: "400001", 35: wallet.stripe, 37: _RRN_MARK,
            41: "BENCH001", 42: "BENCHMARK000001", 43: f"{'BENCHMARK':<38}US", 49: "840", 63: "8000000002",
        }  # fmt: skip
        if number % 5 < _PIN_CARDS_OF_5:
            elements |= {26: "12", 52: wallet.pin_block, 53: "2001010100000000"}
        header = Base1Header("400001", "123456", round_trip=0).pack()
        frame = VISA_FRAME.frame(self._codec.encode(Message(header, "0100", elements)))
        mark = _RRN_MARK.encode("cp500")
        assert frame[_DE7:_DE11].hex() == elements[7], "DE 7 is not where it is patched"
        assert frame.count(mark) == 1, "DE 37 cannot be found"
        return Template(bytearray(frame), frame.index(mark))

    def _sign_on(self) -> None:
        header = Base1Header("400001", "123456", round_trip=0).pack()
        elements = {7: _moment(self._clock)[0], 11: "999999", 70: "071"}
        self._link.sendall(VISA_FRAME.frame(self._codec.encode(Message(header, "0800", elements))))
        self._link.settimeout(10)
        reply = self._codec.decode(self._link.recv(65536)[VISA_FRAME.prefix_bytes :])
        assert reply.elements[39] == "00", "not signed on"

    def _send(self, count: int, first_due_s: float, step_s: float) -> None:
        """Patch and send the next messages; they were due one after the other."""
        if not count:
            return
        transmitted, prefix = _moment(self._clock)
        de7, rrn = bytes.fromhex(transmitted), prefix.encode("cp500")
        templates, due_s, stan = self._templates, self._due_s, self._stan
        frames = []
        for n in range(count):
            stan = stan % 999_999 + 1
            digits = b"%06d" % stan
            frame, de37 = templates[stan % len(templates)]
            frame[_DE7:_DE11] = de7
            frame[_DE11 : _DE11 + 3] = bytes.fromhex(digits.decode())
            frame[de37 : de37 + 12] = rrn + digits.translate(_TO_EBCDIC)
            frames.append(bytes(frame))
            due_s[stan] = first_due_s + n * step_s
        self._stan = stan
        self._link.sendall(b"".join(frames))

    def _receive(self, times: list[float]) -> tuple[int, int]:
        """One read: how many replies came, and how many of them approve; their latencies go to ``times``."""
        data = self._buffer + self._link.recv(262_144)
        now, due_s = time.perf_counter(), self._due_s
        at = approved = found = 0
        arrived = len(data)
        while arrived - at >= 4:
            end = at + 4 + (data[at] << 8 | data[at + 1])
            if end > arrived:
                break
            stan = int(data[at + _DE11 : at + _DE11 + 3].hex())
            times.append(now - due_s[stan])
            if data[at + _BITMAP_33] & _BIT_38:
                approved += 1
            if stan % _SAMPLED_EVERY == 0:
                self._check(data[at + 4 : end], stan)
            found += 1
            at = end
        self._buffer = data[at:]
        return found, approved

    def _check(self, frame: bytes, stan: int) -> None:
        """Decode a reply and compare it with what was asked."""
        reply = self._codec.decode(frame)
        asked = self._codec.decode(bytes(self._templates[stan % len(self._templates)].frame[4:]))
        assert reply.mti == "0110", "not an authorization response"
        for number in (2, 3, 4, 32, 41, 42, 49):
            assert reply.elements[number] == asked.elements[number], f"DE {number} is not echoed"
        assert int(reply.elements[11]) == stan == int(reply.elements[37][6:]), "keys do not match"
        assert reply.elements[39] in ("00", "51"), "an unexpected answer"
        assert (reply.elements[39] == "00") == (38 in reply.elements), "DE 38 and DE 39 do not agree"

    def _result(
        self, times: list[float], approved: int, elapsed_s: float, lateness: list[float]
    ) -> dict[str, Any]:
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


def generate(target: str, folder: Path) -> None:
    """The generator's process: a JSON line in for each run, a JSON line out with its result."""
    keys = load_test_keys(example("keys.test.json"))
    generator = Generator(target, read_wallets(folder / "deck.jsonl", folder / "pins.jsonl", keys))
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        run = generator.closed if order["closed"] else generator.open
        print(json.dumps(run(order["load"], order["seconds"])), flush=True)


if __name__ == "__main__":
    generate(sys.argv[1], Path(sys.argv[2]))
