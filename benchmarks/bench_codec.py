"""Decode and encode of each dialect's messages against bare pyiso8583, in one run.

    python benchmarks/bench_codec.py [messages.jsonl]

Without an argument it takes golden messages of ours; with one, the 0100 and 0420 records of that file whose
ids begin as ``RECORDS`` says. Each number is the least of many short rounds, ours and theirs in turn, so that
a noisy machine disturbs both alike. "Bare" is pyiso8583 with our own rows, checking nothing.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import iso8583

from processor.iso8583.codec import PyisoCodec
from processor.iso8583.dialect import Dialect
from processor.iso8583.framing import TWO_BYTE_FRAME, VISA_FRAME
from processor.iso8583.message import Message
from processor.iso8583.tables.iso87_ascii import ISO87_ASCII
from processor.iso8583.tables.mc_like import MC_LIKE
from processor.iso8583.tables.visa_like import VISA_LIKE

GOLDEN = Path(__file__).parent.parent / "tests" / "golden"
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


def messages(arguments: list[str]) -> dict[str, tuple[Dialect, bytes]]:
    """Name, dialect and data (header and message) of what is measured."""
    if arguments:
        records = [json.loads(line) for line in Path(arguments[0]).read_text().splitlines()]
        return {
            record["id"]: (dialect, bytes.fromhex(record["frame_hex"])[record["message_offset"] :])
            for record in records
            for prefix, dialect in RECORDS.items()
            if record["id"].startswith(prefix)
            and record.get("pyiso8583_roundtrip")
            and record["decoded"]["t"] in ("0100", "0420")
        }
    found = {}
    for name in GOLDEN_NAMES:
        dialect, prefix_bytes = DIALECTS[name.partition("_")[0]]
        found[name] = dialect, golden(GOLDEN / f"{name}.hex")[prefix_bytes:]
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


def measure(dialect: Dialect, data: bytes) -> tuple[int, list[float]]:
    """Number of elements, and µs of bare decode, our decode, bare encode, our encode."""
    codec = PyisoCodec(dialect)
    spec = {**dialect.spec, "h": {**dialect.spec["h"], "max_len": dialect.header.length_bytes}}
    message: Message = codec.decode(data)
    document, _ = iso8583.decode(data, spec)
    assert codec.encode(message) == data == bytes(iso8583.encode(document, spec)[0])
    return len(message.elements), least_us(
        lambda: iso8583.decode(data, spec),
        lambda: codec.decode(data),
        lambda: iso8583.encode(document, spec),
        lambda: codec.encode(message),
    )


def main() -> None:
    """Print one line per message and direction."""
    print(f"{'message':<34} {'elements':>8} {'':<7} {'bare µs':>8} {'ours µs':>8} {'ours/bare':>9}")
    for name, (dialect, data) in messages(sys.argv[1:]).items():
        elements, (bare_decode, decode, bare_encode, encode) = measure(dialect, data)
        print(
            f"{name:<34} {elements:>8} decode  {bare_decode:8.1f} {decode:8.1f} {decode / bare_decode:9.2f}"
        )
        print(f"{'':<34} {'':>8} encode  {bare_encode:8.1f} {encode:8.1f} {encode / bare_encode:9.2f}")


if __name__ == "__main__":
    main()
