"""Emulator throughput over loopback: CY, EC and cryptograms with answers at several depths, from one client.

KQ is Visa CVN 10 (no session key), KW is CVN 18 (common session key, answer by method 2); both ask for 64
cards in turn, whose keys the emulator keeps. The server is a process of its own, pinned to one core beside
the client's. Prints requests per second by the wall clock, and by the server's own CPU time, which a busy
machine disturbs less.
Usage: python benchmarks/bench_hsm.py [seconds per line, default 3]
"""

import os
import socket
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from hsm_emulator.emv import IssuerKey, common_session_key, cryptogram, pan_psn_a
from hsm_emulator.lmk import VariantLmk
from hsm_emulator.mac import pad
from processor.hsm.commands import encode_request, request_writer
from processor.hsm.framing import frame_message

ZPK = "U1EF828AA8F6B80EB83E19FBC373F3A85"
PVK = "X367930344805B1FAD6146EF4ED7502B3"
CVK = "U9B4934384B19946B040CD702B4D58145"
IMK = "0123456789ABCDEFFEDCBA9876543210"
ATC = "001C"
CARDS = 64
HEAD_BYTES = 10  # length 2, header 4, response code 2, error code 2
ARPC_BYTES = 8
CVN_10_DATA = "0000000040000000000000000124800004800001241911050152BF45851800001C03A0601000000000"
CVN_18_DATA = "0000000040000000000000000124800004800001241911050152BF45851800001C06011203A0B80080" + "00" * 7


class Question(NamedTuple):
    """Requests to send in turn, each answered by as many bytes."""

    requests: list[bytes]
    reply_bytes: int


def questions() -> dict[str, Question]:
    """What is asked, by the name it is printed under; every answer is 00."""
    cvv = request_writer("CY")(CVK, "561", "4123456789012345", "8701", "101")
    pin = request_writer("EC")(ZPK, PVK, "91DDDA0A7C12CFAA", "01", "550000025321", "1", "4402")
    mk_ac = VariantLmk().encrypt_key("109", bytes.fromhex(IMK), "U")
    assert isinstance(mk_ac, str)
    issuer = IssuerKey(bytes.fromhex(IMK))
    visa, common = [], []
    for number in range(CARDS):
        pan_psn = pan_psn_a(f"4000001{number:09}", "00")
        fields = {"mk_ac": mk_ac, "pan_psn": pan_psn.hex().upper(), "atc": ATC}
        card_key = issuer.card_key(pan_psn)
        session_key = common_session_key(card_key, bytes.fromhex(ATC) + bytes(6))
        arqc = cryptogram(card_key, pad(bytes.fromhex(CVN_10_DATA), 1)).hex().upper()
        unique = {"mode": "1", "scheme": "0", "unpredictable_number": "52BF4585", "response_code": "3030"}
        visa.append(encode_request("KQ", fields | unique | {"data": CVN_10_DATA, "cryptogram": arqc}))
        arqc = cryptogram(session_key, pad(bytes.fromhex(CVN_18_DATA), 1)).hex().upper()
        update = {"mode": "3", "scheme": "2", "card_status_update": "00000000", "proprietary_data": ""}
        common.append(encode_request("KW", fields | update | {"data": CVN_18_DATA, "cryptogram": arqc}))
    return {
        "CY": Question([cvv], HEAD_BYTES),
        "EC": Question([pin], HEAD_BYTES),
        "KQ+ARPC": Question(visa, HEAD_BYTES + ARPC_BYTES),
        "KW+ARPC": Question(common, HEAD_BYTES + ARPC_BYTES),
    }


DEPTHS = (1, 16, 64)


def cpu_s(pid: int) -> float:
    """User and system time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def drive(link: socket.socket, question: Question, depth: int, seconds: float) -> tuple[int, float]:
    """Keep ``depth`` requests in flight: every read is followed by as many requests as it had replies."""
    asked, reply_bytes = question.requests, question.reply_bytes
    frames = [frame_message(f"{n:04}".encode(), asked[n % len(asked)]) for n in range(depth)]
    batches = [b"".join(frames[:n]) for n in range(depth + 1)]
    sent = answered_bytes = 0
    started = perf_counter()
    due = depth
    while True:
        link.sendall(batches[due])
        sent += due
        before = answered_bytes // reply_bytes
        answered_bytes += len(link.recv(65536))
        due = answered_bytes // reply_bytes - before
        if perf_counter() - started >= seconds:
            break
    while answered_bytes < sent * reply_bytes:
        answered_bytes += len(link.recv(65536))
    return sent, perf_counter() - started


def check(link: socket.socket, question: Question) -> None:
    """Every request is answered 00 and with as many bytes as expected, or the figures would mean nothing."""
    for request in question.requests:
        link.sendall(frame_message(b"0000", request))
        reply = link.recv(65536)
        assert len(reply) == question.reply_bytes, "another length"
        assert reply[8:10] == b"00", "not answered 00"


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
            for code, question in questions().items():
                check(link, question)
                for depth in DEPTHS:
                    used = cpu_s(server.pid)
                    sent, elapsed = drive(link, question, depth, seconds)
                    used = cpu_s(server.pid) - used
                    rates = f"{sent / elapsed:>10,.0f}{sent / max(used, 0.01):>11,.0f}"
                    print(f"{code:8}{depth:>10}{sent:>10,}{elapsed:>9.2f}{rates}")
        server.terminate()


if __name__ == "__main__":
    main()
