"""Emulator throughput over loopback: CY, EC and cryptograms with answers at several depths, from one client.

KQ is Visa CVN 10 (no session key), KW is CVN 18 (common session key, answer by method 2); both ask for 64
cards in turn, whose keys the emulator keeps. The server is a process of its own, pinned to one core beside
the client's. Prints, in one run:

* requests per second by the wall clock, and by the server's own CPU time, which a busy machine disturbs less;
* the median round trip with one request in flight, beside a bare loopback echo of as many bytes;
* where the CPU time of a request goes: the command itself (cryptography, finding its keys), reading the
  request and writing the reply, and the rest, which is the transport. The first two are timed in this
  process, the whole is what the server used with 64 in flight;
* psec and pyemv doing the cryptography alone, without parsing, caching or a socket.

Usage: python benchmarks/bench_hsm.py [seconds per line, default 3]
"""

import os
import socket
import statistics
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, thread_time
from typing import NamedTuple

import psec.cvv
import psec.des
import psec.pin
import psec.pinblock
from cryptography.utils import CryptographyDeprecationWarning
from pyemv import ac, kd

from hsm_emulator.commands import HANDLERS
from hsm_emulator.emulator import Emulator
from hsm_emulator.emv import IssuerKey, common_session_key, cryptogram, pan_psn_a
from hsm_emulator.keyring import Keyring
from hsm_emulator.lmk import VariantLmk
from hsm_emulator.mac import pad
from hsm_emulator.state import Rules, State
from processor.hsm.commands import CODE_CHARACTERS, encode_request, parse_request, request_writer
from processor.hsm.errors import ErrorCode
from processor.hsm.framing import frame_message

ZPK = "U1EF828AA8F6B80EB83E19FBC373F3A85"
PVK = "X367930344805B1FAD6146EF4ED7502B3"
CVK = "U9B4934384B19946B040CD702B4D58145"
IMK = "0123456789ABCDEFFEDCBA9876543210"
ZPK_CLEAR = "C7152C20BC2C830EA7EC9E8334ABE3FE"
PVK_CLEAR = "C8199237EA5857BC40EF9DA2B5E96BBF"
CVK_CLEAR = "0123456789ABCDEFFEDCBA9876543210"
ATC = "001C"
PAN = "5555000000253210"  # its account field is that of the published PIN block
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


def echo() -> None:
    """The other end of the loopback floor: answers as many bytes as it is told to."""
    reply = bytes(int(sys.argv[2]))
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        link = server.accept()[0]
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while link.recv(4096):
            link.sendall(reply)


def round_trip_us(link: socket.socket, frames: list[bytes], seconds: float) -> float:
    """The median of asking and being answered, one at a time."""
    times: list[float] = []
    begin = perf_counter()
    while (started := perf_counter()) - begin < seconds:
        link.sendall(frames[len(times) % len(frames)])
        link.recv(4096)
        times.append(perf_counter() - started)
    return statistics.median(times) * 1e6


def echo_us(question: Question, seconds: float, core: int) -> float:
    """The same with a process that does nothing but send as many bytes back."""
    command = [sys.executable, __file__, "echo", str(question.reply_bytes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as peer:
        os.sched_setaffinity(peer.pid, [core])
        assert peer.stdout is not None
        with socket.create_connection(("127.0.0.1", int(peer.stdout.readline()))) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return round_trip_us(link, framed(question), seconds)


def framed(question: Question) -> list[bytes]:
    """The requests as they go over the wire, all under one header."""
    return [frame_message(b"0000", request) for request in question.requests]


def each_us(work: Callable[[int], object], seconds: float) -> float:
    """What one call takes of this thread's CPU time; ``work`` gets the number of the call."""
    calls, started, until = 0, thread_time(), perf_counter() + seconds
    while perf_counter() < until:
        for number in range(CARDS):
            work(number)
        calls += CARDS
    return (thread_time() - started) / calls * 1e6


class Inside(NamedTuple):
    """Microseconds of a request within the emulator: all of it, and the command alone."""

    reply_us: float
    command_us: float


def inside(question: Question, seconds: float) -> Inside:
    """Time the emulator's parts in this process."""
    lmk = VariantLmk()
    emulator = Emulator(lmk)
    frames = [b"0000" + request for request in question.requests]
    code = question.requests[0][:CODE_CHARACTERS].decode()
    bodies = [parse_request(code, request[CODE_CHARACTERS:]) for request in question.requests]
    fields = [body for body in bodies if not isinstance(body, ErrorCode)]
    handler, state = HANDLERS[code], State(lmk, Keyring(lmk), Rules(), os.urandom)
    reply_us = each_us(lambda n: emulator.reply(frames[n % len(frames)]), seconds)
    return Inside(reply_us, each_us(lambda n: handler(fields[n % len(fields)], state), seconds))


def _psec_cvv(_number: int) -> None:
    psec.cvv.generate_cvv(bytes.fromhex(CVK_CLEAR), "4123456789012345", "8701", "101")


def _psec_pin(_number: int) -> None:
    clear = psec.des.decrypt_tdes_ecb(bytes.fromhex(ZPK_CLEAR), bytes.fromhex("91DDDA0A7C12CFAA"))
    pin = psec.pinblock.decode_pinblock_iso_0(clear, PAN)
    psec.pin.generate_visa_pvv(bytes.fromhex(PVK_CLEAR), "1", pin, PAN)


def _pyemv(scheme: str, number: int) -> None:
    card_key = kd.derive_icc_mk_a(bytes.fromhex(IMK), f"4000001{number:09}", "00")
    if scheme == "KQ+ARPC":
        arqc = ac.generate_ac(card_key, bytes.fromhex(CVN_10_DATA), ac.PaddingType.VISA)
        ac.generate_arpc_1(card_key, arqc, b"00")
        return
    session_key = kd.derive_common_sk(card_key, bytes.fromhex(ATC) + bytes(6))
    arqc = ac.generate_ac(session_key, bytes.fromhex(CVN_18_DATA), ac.PaddingType.VISA)
    ac.generate_arpc_2(session_key, arqc, bytes(4))


def libraries(seconds: float) -> dict[str, float]:
    """Microseconds of the cryptography of each question, by psec and pyemv; keys and cards are not kept."""
    warnings.simplefilter("ignore", CryptographyDeprecationWarning)  # both take TripleDES from its old place
    return {
        "CY": each_us(_psec_cvv, seconds),
        "EC": each_us(_psec_pin, seconds),
        "KQ+ARPC": each_us(lambda number: _pyemv("KQ+ARPC", number), seconds),
        "KW+ARPC": each_us(lambda number: _pyemv("KW+ARPC", number), seconds),
    }


def throughput(link: socket.socket, pid: int, name: str, question: Question, seconds: float) -> float:
    """Print a line for each depth; the server's CPU microseconds a request at the greatest."""
    used_us = 0.0
    for depth in DEPTHS:
        used = cpu_s(pid)
        sent, elapsed = drive(link, question, depth, seconds)
        used = max(cpu_s(pid) - used, 0.01)
        rates = f"{sent / elapsed:>10,.0f}{sent / used:>11,.0f}"
        print(f"{name:8}{depth:>10}{sent:>10,}{elapsed:>9.2f}{rates}", flush=True)
        used_us = used / sent * 1e6
    return used_us


def shares(name: str, total_us: float, part: Inside, library_us: float) -> str:
    """A line of where the CPU time of a request goes."""
    parts = (part.command_us, part.reply_us - part.command_us, total_us - part.reply_us)
    shown = "".join(f"{us:>10.1f} {us / total_us:>4.0%}" for us in parts)
    return f"{name:8}{total_us:>8.1f}{shown}{library_us:>18.1f}"


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
        try:
            with socket.create_connection(("127.0.0.1", port)) as link:
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                measure(link, server.pid, seconds, cores[-1])
        finally:
            server.terminate()


def measure(link: socket.socket, pid: int, seconds: float, core: int) -> None:
    """Print the three tables; ``pid`` is the server's, ``core`` where it runs."""
    asked = questions()
    print(f"{'command':8}{'in flight':>10}{'requests':>10}{'seconds':>9}{'per s':>10}{'per CPU s':>11}")
    totals = {}
    for name, question in asked.items():
        check(link, question)
        totals[name] = throughput(link, pid, name, question, seconds)
    print("\none in flight, median of the round trip in us, beside a bare loopback echo of as many bytes")
    for name, question in asked.items():
        bare = echo_us(question, seconds / 2, core)
        print(f"{name:8}{round_trip_us(link, framed(question), seconds):>8.1f}{bare:>8.1f}")
    print("\nCPU us of a request with 64 in flight, and of the cryptography alone by psec or pyemv")
    heads = "".join(f"{head:>15}" for head in ("command", "read, write", "transport"))
    print(f"{'command':8}{'all':>8}{heads}{'psec or pyemv':>18}")
    theirs = libraries(seconds / 2)
    for name, question in asked.items():
        print(shares(name, totals[name], inside(question, seconds / 2), theirs[name]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["echo"]:
        echo()
    else:
        main()
