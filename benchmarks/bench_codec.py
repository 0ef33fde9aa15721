"""The codec against pyiso8583, py8583 and iso8583sim, and what random bitmaps do to it, in one run.

    python benchmarks/bench_codec.py [messages.jsonl]

The first table is the 25-element requests below, one per dialect, then golden messages of ours; with an
argument also the 0100 and 0420 records of that file whose ids begin as ``RECORDS`` says. Each number is the
least of many short rounds, taken in turn, so that a noisy machine disturbs all alike.

* "bare" is pyiso8583 with our rows, which checks nothing of what ours checks;
* "checked" is pyiso8583 with our checks behind it (``PyisoCodec``), the reference of the tests;
* "ours" is the compiled codec with all its checks, as the links use it;
* py8583 and iso8583sim run in a process of their own (``codec_peers.py``), each over the messages that it
  reads and writes back to the same bytes; the others are named. For them there are parts of the requests.
"""

import gc
import json
import random
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import iso8583

from processor.iso8583.codec import PyisoCodec
from processor.iso8583.compiled import WORTH_IT, CompiledCodec
from processor.iso8583.dialect import Dialect
from processor.iso8583.framing import TWO_BYTE_FRAME, VISA_FRAME
from processor.iso8583.header import Base1Header
from processor.iso8583.message import Message
from processor.iso8583.tables.iso87_ascii import ISO87_ASCII
from processor.iso8583.tables.mc_like import MC_LIKE
from processor.iso8583.tables.visa_like import VISA_LIKE
from processor.values.errors import DecodeError

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "tests" / "golden"
GOLDEN_NAMES = (
    "visa_0100_ecommerce_cvv2",
    "visa_0100_chip_three_bitmaps",
    "visa_0420_reversal_advice",
    "mc_0100_magstripe_pin",
    "mc_0400_partial_reversal",
    "iso87_0100_bare",
    "iso87_0100_chip_pin",
)
DIALECTS = {
    "visa": (VISA_LIKE, VISA_FRAME.prefix_bytes),
    "mc": (MC_LIKE, TWO_BYTE_FRAME.prefix_bytes),
    "iso87": (ISO87_ASCII, TWO_BYTE_FRAME.prefix_bytes),
}
RECORDS = {"visa_base1/": VISA_LIKE, "mastercard_cis/": MC_LIKE, "nao1215_basei/": ISO87_ASCII}
ROUNDS, REPEATS = 40, 50
RANDOM_MESSAGES = 10_000

# A request at a terminal with magnetic stripe and PIN; each dialect adds what is its own.
REQUEST = {
    2: "4000001234567899",
    3: "000000",
    4: "000000002500",
    7: "1121101530",
    11: "000042",
    12: "101530",
    13: "1121",
    14: "3012",
    18: "5411",
    19: "840",
    22: "901",
    23: "001",
    25: "00",
    24: "001",
    32: "400001",
    35: "4000001234567899=30121010000",
    37: "632510000042",
    41: "TERM0001",
    42: "MERCHANT0000001",
    43: f"{'STANDIN TEST SHOP':<25}{'SPRINGFIELD':<13}US",
    49: "840",
    52: "0123456789ABCDEF",
    53: "2001010100000000",
}
OWN = {
    "visa-like": {22: "9010", 35: REQUEST[35].replace("=", "D"), 60: "0500000010", 63: "8000000002"},
    "mc-like": {48: "R", 61: "0000000000300840"},
    "iso87-ascii": {48: "ADDITIONAL DATA", 60: "0123456789"},
}
NOT_CARRIED = {"visa-like": (2, 22, 35, 49, 60, 63), "iso87-ascii": (35,)}


def requests() -> dict[str, tuple[Dialect, bytes]]:
    """The 25-element request of each dialect."""
    found = {}
    for dialect, _ in DIALECTS.values():
        header = Base1Header("400001", "123456", round_trip=7).pack() if dialect is VISA_LIKE else b""
        elements = dict(sorted((REQUEST | OWN[dialect.name]).items()))
        assert len(elements) == 25
        found[f"{dialect.name} 0100"] = dialect, PyisoCodec(dialect).encode(Message(header, "0100", elements))
    return found


def parts() -> dict[str, tuple[Dialect, bytes]]:
    """The requests without what the other libraries cannot carry."""
    found = {}
    for name, (dialect, data) in requests().items():
        message = PyisoCodec(dialect).decode(data)
        without = NOT_CARRIED.get(dialect.name, ())
        rest = {n: value for n, value in message.elements.items() if n not in without}
        if without:
            found[f"{name} in part"] = (
                dialect,
                PyisoCodec(dialect).encode(Message(message.header, "0100", rest)),
            )
    return found


def messages(arguments: list[str]) -> dict[str, tuple[Dialect, bytes]]:
    """Name, dialect and data (header and message) of what is measured."""
    found = requests() | parts()
    for name in GOLDEN_NAMES:
        dialect, prefix_bytes = DIALECTS[name.partition("_")[0]]
        found[name] = dialect, golden(GOLDEN / f"{name}.hex")[prefix_bytes:]
    for path in arguments:
        records = [json.loads(line) for line in Path(path).read_text().splitlines()]
        found |= {
            record["id"]: (dialect, bytes.fromhex(record["frame_hex"])[record["message_offset"] :])
            for record in records
            for prefix, dialect in RECORDS.items()
            if record["id"].startswith(prefix)
            and record.get("pyiso8583_roundtrip")
            and record["decoded"]["t"] in ("0100", "0420")
        }
    return found


def golden(path: Path) -> bytes:
    """The bytes of an annotated hex file."""
    return bytes.fromhex("".join(line.partition("#")[0] for line in path.read_text().splitlines()))


def least_us(*actions: Callable[[], object]) -> list[float]:
    """Microseconds per call of each action, the least of ROUNDS rounds taken in turn."""
    least = [float("inf")] * len(actions)
    for _ in range(ROUNDS):
        for index, action in enumerate(actions):
            begin = time.perf_counter()
            for _ in range(REPEATS):
                action()
            least[index] = min(least[index], (time.perf_counter() - begin) / REPEATS * 1e6)
    return least


def warm(dialect: Dialect, data: bytes) -> CompiledCodec:
    """A codec that has compiled this message's bitmap."""
    codec = CompiledCodec(dialect)
    for _ in range(WORTH_IT + 1):
        assert codec.encode(codec.decode(data)) == data
    return codec


def measure(dialect: Dialect, data: bytes) -> tuple[int, list[float]]:
    """Number of elements; µs of decode, then of encode: bare, checked, ours."""
    ours, checked = warm(dialect, data), PyisoCodec(dialect)
    spec = {**dialect.spec, "h": {**dialect.spec["h"], "max_len": dialect.header.length_bytes}}
    message = checked.decode(data)
    document, _ = iso8583.decode(data, spec)
    assert ours.decode(data) == message
    assert checked.encode(message) == data == bytes(iso8583.encode(document, spec)[0])
    return len(message.elements), least_us(
        lambda: iso8583.decode(data, spec),
        lambda: checked.decode(data),
        lambda: ours.decode(data),
        lambda: iso8583.encode(document, spec),
        lambda: checked.encode(message),
        lambda: ours.encode(message),
    )


def peers(found: dict[str, tuple[Dialect, bytes]]) -> dict[str, dict[str, tuple[str, float, float]]]:
    """What the other libraries need for the messages they carry; empty for those they do not."""
    bodies = {name: data[dialect.header.length_bytes :].hex() for name, (dialect, data) in found.items()}
    done = subprocess.run(
        [sys.executable, HERE / "codec_peers.py"],
        input=json.dumps(bodies),
        capture_output=True,
        text=True,
        check=True,
    )
    times: dict[str, dict[str, tuple[str, float, float]]] = json.loads(done.stdout)
    return times


class Stream:
    """A normal stream of one dialect: its request, decoded and encoded."""

    def __init__(self) -> None:
        self.dialect, self.data = requests()["iso87-ascii 0100"]
        self.codec = warm(self.dialect, self.data)

    def seconds(self, count: int) -> float:
        """How long ``count`` messages take."""
        codec, data = self.codec, self.data
        begin = time.perf_counter()
        for _ in range(count):
            codec.encode(codec.decode(data))
        return time.perf_counter() - begin

    def random_messages(self) -> list[bytes]:
        """Half are sound messages of random elements, half random bitmaps before the same bytes."""
        dice = random.Random(1)
        spare = {n: "0" * 8 if n == 96 else self.dialect.elements[n].length * "0" for n in range(74, 90)}
        values = REQUEST | OWN["iso87-ascii"] | spare
        sound = []
        for _ in range(RANDOM_MESSAGES // 2):
            chosen = sorted(dice.sample(sorted(values), 20))
            sound.append(self.codec.encode(Message(b"", "0100", {n: values[n] for n in chosen})))
        wrong = [
            self.data[:4] + f"{dice.getrandbits(63):016X}".encode() + self.data[20:]
            for _ in range(RANDOM_MESSAGES // 2)
        ]
        mixed = sound + wrong
        dice.shuffle(mixed)
        return mixed

    def handle(self, data: bytes) -> bool:
        """A random message, in and out; whether it was one."""
        try:
            self.codec.encode(self.codec.decode(data))
        except DecodeError:
            return False
        return True


def random_bitmaps() -> str:
    """What 10,000 of them do to the throughput of a normal stream, and to memory."""
    stream = Stream()
    others = stream.random_messages()
    stream.codec = warm(stream.dialect, stream.data)
    alone = among = float("inf")
    taken = sum(map(stream.handle, others[:100]))
    chunk = 100
    for at in range(100, RANDOM_MESSAGES, chunk):  # in turn: a part alone, a part right behind random ones
        alone = min(alone, stream.seconds(chunk))
        taken += sum(map(stream.handle, others[at : at + chunk]))
        among = min(among, stream.seconds(chunk))
    fresh = Stream()
    before_s = min(fresh.seconds(chunk) for _ in range(50))
    gc.collect()
    tracemalloc.start()
    began_bytes = tracemalloc.get_traced_memory()[0]
    for data in others:
        fresh.handle(data)
    gc.collect()
    grown_mb = (tracemalloc.get_traced_memory()[0] - began_bytes) / 1e6
    tracemalloc.stop()
    after_s = min(fresh.seconds(chunk) for _ in range(50))
    return (
        f"{RANDOM_MESSAGES:,} messages with random bitmaps ({taken:,} sound, the rest refused): "
        f"a normal message takes {among / alone - 1:+.1%} among them, {after_s / before_s - 1:+.1%} after "
        f"them; memory {grown_mb:+.2f} MB"
    )


def main() -> None:
    """Print one line per message, the peers, and the random bitmaps."""
    found = messages(sys.argv[1:])
    print(
        f"{'decode + encode, µs':<34} {'elements':>8} {'bare':>7} {'checked':>8} {'ours':>7}"
        f" {'bare/ours':>10} {'checks':>7} {'ns/element':>11}   decode and encode alone: bare, ours"
    )
    ours_us = {}
    for name, (dialect, data) in found.items():
        elements, (bare_in, checked_in, ours_in, bare_out, checked_out, ours_out) = measure(dialect, data)
        bare, checked, ours = bare_in + bare_out, checked_in + checked_out, ours_in + ours_out
        ours_us[name] = ours
        print(
            f"{name:<34} {elements:>8} {bare:7.1f} {checked:8.1f} {ours:7.1f} {bare / ours:9.1f}x"
            f" {checked / bare:6.2f}x {ours / elements * 1000:11.0f}"
            f"   {bare_in:.1f} {ours_in:.2f}, {bare_out:.1f} {ours_out:.2f}"
        )
    print("\nother libraries, over the messages they carry")
    carried = peers(found)
    for peer in ("py8583", "iso8583sim"):
        for name, times in carried.items():
            if peer in times:
                setting, decode_us, encode_us = times[peer]
                total = decode_us + encode_us
                print(
                    f"{peer:<11} {name:<34} {total:7.1f} µs {total / ours_us[name]:6.1f}x ours   ({setting})"
                )
        without = [name for name, times in carried.items() if peer not in times]
        print(f"{peer:<11} does not carry: {', '.join(without) or 'none'}")
    print(f"\n{random_bitmaps()}")


if __name__ == "__main__":
    main()
