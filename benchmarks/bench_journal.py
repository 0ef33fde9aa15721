"""What the file journal costs, beside the bare fdatasync of the same disk in the same run.

    python benchmarks/bench_journal.py [--seconds 2] [--folder DIR]

One writer, one batch in flight, records of 600 bytes, encryption on; segments are prepared in another thread.
"""

import argparse
import os
import statistics
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns, process_time_ns

from processor.journal.batch import batch_hash, encode_batch, pack_records
from processor.journal.cipher import Cipher, Keyring
from processor.journal.file_journal import SEGMENT_BYTES, FileJournal
from processor.journal.header import NO_HASH, TAG_BYTES, Header, Kind

RECORD = os.urandom(600)
BATCH_SIZES = (1, 10, 100)
KEYS = Keyring({1: os.urandom(32)}, 1)


def sample(action: Callable[[], object], seconds: float) -> list[float]:
    """Repeat for a while; each call's duration in microseconds."""
    durations, end = [], perf_counter_ns() + int(seconds * 1e9)
    while (start := perf_counter_ns()) < end:
        action()
        durations.append((perf_counter_ns() - start) / 1000)
    return durations


def line(name: str, durations: list[float], records: int = 1) -> None:
    """Print rate and percentiles."""
    rate = len(durations) / (sum(durations) / 1e6)
    cuts = statistics.quantiles(durations, n=1000)
    print(
        f"{name:44} {rate:9,.0f} batches/s {rate * records:10,.0f} records/s "
        f"p50 {cuts[499]:7.1f}  p99 {cuts[989]:8.1f}  p99.9 {cuts[998]:8.1f} us"
    )


def fill(path: Path, size: int, how: str) -> int:
    """A file of this size: ``zeros`` written and synced, ``fallocate`` or ``empty``."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    if how == "zeros":
        for at in range(0, size, 1 << 20):
            os.pwrite(fd, bytes(1 << 20), at)
    elif how == "fallocate":
        os.posix_fallocate(fd, 0, size)
    os.fsync(fd)
    return fd


def bench_disk(folder: Path, seconds: float) -> None:
    """Write and fdatasync with nothing else, 716 bytes (a batch of one record) at a time."""
    data = os.urandom(716)
    for how in ("zeros", "fallocate", "empty"):
        fd, at = fill(folder / how, SEGMENT_BYTES, how), 0

        def write(fd: int = fd) -> None:
            nonlocal at
            os.pwrite(fd, data, at)
            os.fdatasync(fd)
            at += len(data)

        line(f"bare pwrite + fdatasync, file of {how}", sample(write, seconds))
        os.close(fd)


def bench_append(folder: Path, seconds: float) -> None:
    """Appends of each batch size, durable when they return."""
    for size in BATCH_SIZES:
        journal = FileJournal(folder / f"journal{size}", KEYS)
        lease = journal.acquire(1, "benchmark")
        stop, done = threading.Event(), lease.last_seq

        def prepare(journal: FileJournal = journal, stop: threading.Event = stop) -> None:
            while not stop.wait(0.002):
                journal.prepare_next()

        def append(size: int = size) -> None:
            nonlocal done
            done = journal.append(lease, done + 1, [RECORD] * size)  # noqa: B023 - called in this round only

        thread = threading.Thread(target=prepare)
        thread.start()
        cpu = process_time_ns()
        durations = sample(append, seconds)
        cpu_us = (process_time_ns() - cpu) / 1000 / len(durations)
        stop.set()
        thread.join()
        journal.release(lease)
        line(f"append, {size} records a batch", durations, size)
        print(f"{'':44} {cpu_us:9.1f} us of CPU a batch, system calls and preparing included")


def bench_codec(seconds: float) -> None:
    """Packing, encrypting, CRC and hash of a batch, without a disk."""
    cipher = Cipher(KEYS)
    for size in BATCH_SIZES:
        records = [RECORD] * size

        def encode(records: list[bytes] = records, size: int = size) -> None:
            plaintext = pack_records(records)
            length = len(plaintext) + TAG_BYTES
            header = Header(Kind.RECORDS, 1, 1, 1, size, 1, 1, length, 1, bytes(16), NO_HASH)
            batch_hash(encode_batch(header, plaintext, cipher))

        line(f"header + AES-GCM + CRC + SHA-256, {size} records", sample(encode, seconds), size)


def bench_read(folder: Path) -> None:
    """Reading what the appends left: start-up check and records."""
    for size in BATCH_SIZES:
        journal = FileJournal(folder / f"journal{size}", KEYS)
        start = perf_counter_ns()
        records = sum(len(batch.records) for batch in journal.read(1))
        seconds = (perf_counter_ns() - start) / 1e9
        print(
            f"read, {size} records a batch{'':26} {records / seconds:12,.0f} records/s ({records:,} records)"
        )


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        print(f"records of {len(RECORD)} bytes, {options.seconds} s a line, 1 in flight, 1 fdatasync a batch")
        bench_disk(folder, options.seconds)
        bench_append(folder, options.seconds)
        bench_codec(options.seconds)
        bench_read(folder)


if __name__ == "__main__":
    main()
