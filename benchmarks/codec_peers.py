"""Other ISO 8583 libraries over the messages they can carry, in a process that imports nothing of ours.

    python benchmarks/codec_peers.py < messages.json

Standard input has ``{name: hex}``: messages without header. Output is ``{name: {peer: [setting, decode_us,
encode_us]}}``. A peer carries a message if in one of its settings it reads it and writes the same bytes
again, but for the case of letters in hexadecimal.
"""

import importlib.util
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

ROUNDS, REPEATS = 30, 30
Attempt = tuple[str, Callable[[bytes], Any], Callable[[Any], bytes]]


def py8583_attempts() -> Iterator[Attempt]:
    """Its two specifications, ASCII and BCD; both are ISO 8583:1987."""
    from py8583.py8583 import Iso8583  # noqa: PLC0415 - perhaps not installed
    from py8583.py8583spec import IsoSpec1987ASCII, IsoSpec1987BCD  # noqa: PLC0415 - perhaps not installed

    for kind in (IsoSpec1987ASCII, IsoSpec1987BCD):
        spec = kind()
        yield kind.__name__, lambda data, spec=spec: Iso8583(data, spec), lambda message: message.BuildIso()


def iso8583sim_attempts() -> Iterator[Attempt]:
    """Text messages by its fast path, then every layout of bytes that it offers."""
    from iso8583sim.core.builder import ISO8583Builder  # noqa: PLC0415 - perhaps not installed
    from iso8583sim.core.parser import ISO8583Parser  # noqa: PLC0415 - perhaps not installed
    from iso8583sim.wire import Encoding, WireFormat  # noqa: PLC0415 - perhaps not installed

    parser, builder = ISO8583Parser(), ISO8583Builder()
    yield "text", lambda data: parser.parse(data.decode("ascii")), lambda m: builder.build(m).encode("ascii")
    for numeric, text, lengths, bitmap in product(
        (Encoding.ASCII, Encoding.EBCDIC, Encoding.BCD),
        (Encoding.ASCII, Encoding.EBCDIC),
        Encoding,
        ("binary", "hex"),
    ):
        layout = WireFormat(
            mti=numeric,
            bitmap=bitmap,
            length_prefix=lengths,
            numeric=numeric,
            text=text,
            binary_fields="raw" if bitmap == "binary" else "hex",
        )
        name = f"{numeric.value} numbers, {text.value} text, {lengths.value} lengths, {bitmap} bitmap"
        yield (
            name,
            lambda data, layout=layout: parser.parse_bytes(data, layout),
            lambda message, layout=layout: builder.build_bytes(message, layout),
        )


PEERS = {"py8583": py8583_attempts, "iso8583sim": iso8583sim_attempts}


def carried(attempts: Iterator[Attempt], data: bytes) -> Attempt | None:
    """The first setting in which the message makes the round trip."""
    for name, decode, encode in attempts:
        try:
            if encode(decode(data)).upper() == data.upper():
                return name, decode, encode
        except Exception:  # noqa: BLE001, S112 - whatever it raises, it does not carry the message
            continue
    return None


def least_us(action: Callable[[], object]) -> float:
    """Microseconds per call, the least of ROUNDS rounds."""
    least = float("inf")
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for _ in range(REPEATS):
            action()
        least = min(least, (time.perf_counter() - begin) / REPEATS * 1e6)
    return least


def main() -> None:
    """Measure each peer that is installed over each message."""
    logging.disable(logging.CRITICAL)
    found: dict[str, dict[str, list[Any]]] = {}
    for name, text in json.load(sys.stdin).items():
        data = bytes.fromhex(text)
        found[name] = {}
        for peer, attempts in PEERS.items():
            if importlib.util.find_spec(peer) is None:
                continue
            attempt = carried(attempts(), data)
            if attempt is not None:
                setting, decode, encode = attempt
                message = decode(data)
                times = [least_us(lambda: decode(data)), least_us(lambda: encode(message))]  # noqa: B023 - now
                found[name][peer] = [setting, *times]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
