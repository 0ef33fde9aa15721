"""Emulator throughput over loopback: CY and EC at several depths, from one client on one connection.

The server is a process of its own, pinned to one core beside the client's. Prints requests per second by the
wall clock, and by the server's own CPU time, which a busy machine disturbs less.
Usage: python benchmarks/bench_hsm.py [seconds per line, default 3]
"""

import os
import socket
import subprocess
import sys
from pathlib import Path
from time import perf_counter

from processor.hsm.commands import request_writer
from processor.hsm.framing import frame_message

ZPK = "U1EF828AA8F6B80EB83E19FBC373F3A85"
PVK = "X367930344805B1FAD6146EF4ED7502B3"
CVK = "U9B4934384B19946B040CD702B4D58145"
REQUESTS = {
    "CY": request_writer("CY")(CVK, "561", "4123456789012345", "8701", "101"),
    "EC": request_writer("EC")(ZPK, PVK, "91DDDA0A7C12CFAA", "01", "550000025321", "1", "4402"),
}
REPLY_BYTES = 10  # length 2, header 4, response code 2, error code 2
DEPTHS = (1, 16, 64)


def cpu_s(pid: int) -> float:
    """User and system time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def drive(link: socket.socket, request: bytes, depth: int, seconds: float) -> tuple[int, float]:
    """Keep ``depth`` requests in flight: every read is followed by as many requests as it had replies."""
    frames = [frame_message(f"{n:04}".encode(), request) for n in range(depth)]
    batches = [b"".join(frames[:n]) for n in range(depth + 1)]
    sent = answered_bytes = 0
    started = perf_counter()
    due = depth
    while True:
        link.sendall(batches[due])
        sent += due
        before = answered_bytes // REPLY_BYTES
        answered_bytes += len(link.recv(65536))
        due = answered_bytes // REPLY_BYTES - before
        if perf_counter() - started >= seconds:
            break
    while answered_bytes < sent * REPLY_BYTES:
        answered_bytes += len(link.recv(65536))
    return sent, perf_counter() - started


def main() -> None:
    """Start the server, run every line, stop the server."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    command = [sys.executable, "-m", "hsm_emulator", "--port", "0", "--test-lmk"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(server.pid, cores[-1:])
        os.sched_setaffinity(0, cores[:1])
        port = int(server.stdout.readline().rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            print(
                f"{'command':8}{'in flight':>10}{'requests':>10}{'seconds':>9}{'per s':>10}{'per CPU s':>11}"
            )
            for code, request in REQUESTS.items():
                for depth in DEPTHS:
                    used = cpu_s(server.pid)
                    sent, elapsed = drive(link, request, depth, seconds)
                    used = cpu_s(server.pid) - used
                    rates = f"{sent / elapsed:>10,.0f}{sent / max(used, 0.01):>11,.0f}"
                    print(f"{code:8}{depth:>10}{sent:>10,}{elapsed:>9.2f}{rates}")
        server.terminate()


if __name__ == "__main__":
    main()
