"""The emulator over real sockets: published frames byte for byte, and links that misbehave."""

import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from hsm_emulator.commands import HANDLERS
from hsm_emulator.emulator import Emulator
from hsm_emulator.lmk import VariantLmk
from hsm_emulator.server import HsmServer
from processor.hsm.framing import HsmFramer, frame_message
from processor.hsm.table import COMMANDS

CVK = b"U9B4934384B19946B040CD702B4D58145"
PVK = b"X367930344805B1FAD6146EF4ED7502B3"
ZPK = b"U1EF828AA8F6B80EB83E19FBC373F3A85"
TRIPLE_KEY = bytes.fromhex("0123456789ABCDEFFEDCBA98765432100123456789ABCDEF")
TRIPLE_CVK = str(VariantLmk().encrypt_key("402", TRIPLE_KEY, "T")).encode()
BLOCK = b"91DDDA0A7C12CFAA"
PIN_1234 = b"0155000002532114402"  # after the block: format 01, account, key index, PVV
IBM_OFFSET = b"9141FFFFFFFF"  # of 1234 under PVK, with a block of zeros as validation data
ECHO = frame_message(b"0009", b"B20002OK")
ECHOED = frame_message(b"0009", b"B300OK")

Connect = Callable[[], Awaitable[trio.SocketStream]]


def emulator(*, authorised: bool = True) -> Emulator:
    return Emulator(VariantLmk(), authorised=authorised)


def ask(message: bytes, *, authorised: bool = True) -> bytes:
    """The response to one message, without length and header."""
    reply = emulator(authorised=authorised).reply(b"0001" + message)
    assert reply is not None
    return reply[6:]


@pytest.fixture
def server() -> HsmServer:
    return HsmServer(emulator())


@pytest.fixture
async def connect(server: HsmServer, nursery: trio.Nursery) -> Connect:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(server.serve, listeners)
    port = listeners[0].socket.getsockname()[1]
    return partial(trio.open_tcp_stream, "127.0.0.1", port)


async def receive_frames(stream: trio.abc.ReceiveStream, count: int) -> list[bytes]:
    """The next frames without their length, or fewer when the link ends."""
    framer, found = HsmFramer(), list[bytes]()
    with trio.fail_after(5):
        while len(found) < count and (data := await stream.receive_some()):
            framer.receive(data)
            found += framer.frames()
    return found


async def test_published_frames_are_answered_byte_for_byte(connect: Connect, vectors: Path) -> None:
    published = json.loads((vectors / "hsm" / "host_command_frames.json").read_text())["vectors"]
    ours = [vector for vector in published if vector["command"] in COMMANDS]
    assert {vector["command"] for vector in ours} >= {"BU", "CW", "CY", "DG", "EA", "EC"}

    async with await connect() as link:
        await link.send_all(b"".join(bytes.fromhex(vector["request_frame_hex"]) for vector in ours))
        replies = await receive_frames(link, len(ours))

    expected = [bytes.fromhex(vector["response_frame_hex"])[2:] for vector in ours]
    named = [vector["id"] for vector in ours]
    assert dict(zip(named, replies, strict=True)) == dict(zip(named, expected, strict=True))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(b"B20003abc", b"B300abc", id="echo gives the data back"),
        pytest.param(b"B20000", b"B300", id="echo of nothing"),
        pytest.param(b"B2FFFFabc", b"B380", id="echo of less than counted"),
        pytest.param(b"BA1234F550000025321", b"BB0001234", id="a clear PIN comes under the LMK"),
        pytest.param(b"BA123456789012F550000025321", b"BB000123456789012", id="a PIN of twelve"),
        pytest.param(b"BA123FF550000025321", b"BB24", id="a PIN of three"),
        pytest.param(b"BA12F4F550000025321", b"BB15", id="padding inside a PIN"),
        pytest.param(b"CY" + CVK + b"5614123456789012345;8701101", b"CZ00", id="a right CVV"),
        pytest.param(b"CY" + CVK + b"5624123456789012345;8701101", b"CZ01", id="a wrong CVV"),
        pytest.param(b"CY" + CVK + b"5614123456789012345;8702101", b"CZ01", id="another expiry"),
        pytest.param(b"CY" + ZPK + b"5614123456789012345;8701101", b"CZ10", id="a ZPK used as a CVK"),
        pytest.param(b"CY" + TRIPLE_CVK + b"5614123456789012345;8701101", b"CZ27", id="a triple CVK"),
        pytest.param(b"CYS" + CVK + b"5614123456789012345;8701101", b"CZ26", id="a key block"),
        pytest.param(b"CY" + CVK, b"CZ15", id="a request cut short"),
        pytest.param(b"DG" + PVK + b"012345500000253211", b"DH004402", id="a PVV"),
        pytest.param(b"DG" + PVK + b"112345500000253211", b"DH14", id="no PIN under this LMK"),
        pytest.param(b"DG" + ZPK + b"012345500000253211", b"DH10", id="a ZPK used as a PVK"),
        pytest.param(b"EC" + ZPK + PVK + BLOCK + PIN_1234, b"ED00", id="a right PIN"),
        pytest.param(b"EC" + ZPK + PVK + BLOCK + b"0155000002532114403", b"ED01", id="a wrong PIN"),
        pytest.param(b"EC" + ZPK + PVK + BLOCK + b"9955000002532114402", b"ED23", id="an unknown format"),
        pytest.param(b"EC" + ZPK + PVK + BLOCK + b"0155000002532214402", b"ED20", id="another account"),
        pytest.param(b"EC" + PVK + PVK + BLOCK + PIN_1234, b"ED10", id="a PVK used as a ZPK"),
        pytest.param(b"EC" + ZPK + ZPK + BLOCK + PIN_1234, b"ED11", id="a ZPK used as a PVK"),
        pytest.param(b"ZZ", b"Z[68", id="a command nobody knows"),
        pytest.param(b"ZA0001U", b"ZB68", id="a command nobody knows, with fields"),
        pytest.param(b"NC", b"ND00124AAB00000000000000-TEST", id="diagnostics"),
        pytest.param(b"NC%00", b"ND15", id="diagnostics of an LMK by its number"),
        pytest.param(b"CW" + CVK + b"4123456789012345;8701101", b"CX00561", id="a CVV to print"),
        pytest.param(b"CW" + ZPK + b"4123456789012345;8701101", b"CX10", id="a CVV under a ZPK"),
        pytest.param(b"CW" + TRIPLE_CVK + b"4123456789012345;8701101", b"CX27", id="a CVV by a triple CVK"),
    ],
)  # fmt: skip
def test_answers(message: bytes, expected: bytes) -> None:
    assert ask(message) == expected


def test_clear_pins_are_taken_in_the_authorised_state_only() -> None:
    assert ask(b"BA1234F550000025321", authorised=False) == b"BB17"


def test_every_command_of_the_table_has_a_handler() -> None:
    assert HANDLERS.keys() == COMMANDS.keys()


def test_a_handler_that_fails_answers_41_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> dict[str, str]:
        raise ArithmeticError("0123456789ABCDEF")

    monkeypatch.setitem(HANDLERS, "CY", fail)
    broken = emulator()

    assert broken.reply(b"0001CY" + CVK + b"5614123456789012345;8701101") == frame_message(b"0001", b"CZ41")
    assert broken.errors == {"CY ArithmeticError": 1, "CY 41": 1}


def test_errors_are_counted_by_command_and_code() -> None:
    counted = emulator()
    right_pin = b"EA" + ZPK + PVK + b"12" + BLOCK + b"0104550000025321" + b"0123456789012345P" + b"0" * 16
    for message in (b"CY", b"CY", b"NO00", ECHO[6:], right_pin + IBM_OFFSET):
        counted.reply(b"0001" + message)

    assert counted.errors == {"CY 15": 2, "unknown 68": 1, "EA 02": 1}


DOCUMENTED = {
    "A0": {"00", "10", "15", "26", "27", "28", "29"},
    "B2": {"00", "15", "80"},
    "BA": {"00", "15", "17", "24"},
    "BU": {"00", "05", "10", "15", "26", "28"},
    "CW": {"00", "10", "15", "26", "27"},
    "CY": {"00", "01", "10", "15", "26", "27"},
    "DG": {"00", "10", "14", "15", "26", "27"},
    "EA": {"00", "01", "02", "10", "11", "15", "20", "23", "24", "25", "26"},
    "EC": {"00", "01", "10", "11", "15", "20", "23", "24", "26", "27"},
    "FW": {"00", "10", "11", "15", "20", "23", "24", "26", "27", "28"},
    "JA": {"00", "15", "24"},
    "NC": {"00", "15"},
}
SHARED = emulator()


@pytest.mark.parametrize("code", COMMANDS)
@given(
    body=st.one_of(st.binary(max_size=150), st.text("0123456789ABCDEFUXTY;", max_size=150).map(str.encode))
)
def test_any_body_is_answered_with_a_documented_error(code: str, body: bytes) -> None:
    reply = SHARED.reply(b"\x00\xff;%" + code.encode() + body)

    assert reply is not None
    assert reply[2:8] == b"\x00\xff;%" + COMMANDS[code].response_code.encode()
    assert reply[8:10].decode() in DOCUMENTED[code]


SOUND = {
    "A0": b"1001U;0U1457FF6ADF6250C66C368416B4C9D383X",
    "B2": b"0002OK",
    "BA": b"1234F550000025321",
    "BU": b"FF1" + ZPK + b";001;001",
    "CW": CVK + b"4123456789012345;8701101",
    "CY": CVK + b"5614123456789012345;8701101",
    "DG": PVK + b"012345500000253211",
    "EA": ZPK + PVK + b"12" + BLOCK + b"010455000002532101234567890123455500000N25321234FFFFFFFF",
    "EC": ZPK + PVK + BLOCK + PIN_1234,
    "FW": b"001" + ZPK + PVK + BLOCK + b"015500000253211",
    "JA": b"55000002532104",
    "NC": b"",
}


@pytest.mark.parametrize("code", COMMANDS)
@given(data=st.data())
def test_a_damaged_request_is_answered_with_a_documented_error(code: str, data: st.DataObject) -> None:
    """A few characters are replaced, so that most requests reach the command with odd values."""
    body = bytearray(SOUND[code])
    for _ in range(data.draw(st.integers(0, 3)) if body else 0):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.sampled_from(b"0123456789ABCDEFUXTYZNP;"))
    reply = SHARED.reply(b"0001" + code.encode() + body)

    assert reply is not None
    assert reply[8:10].decode() in DOCUMENTED[code]


@pytest.mark.parametrize("code", COMMANDS)
def test_the_undamaged_requests_reach_their_commands(code: str) -> None:
    assert ask(code.encode() + SOUND[code])[2:4] in {b"00", b"01"}


async def test_pipelined_requests_are_answered_in_order(connect: Connect) -> None:
    requests = [frame_message(f"{n:04}".encode(), b"B20004%04d" % n) for n in range(500)]

    async with await connect() as link, trio.open_nursery() as nursery:
        nursery.start_soon(link.send_all, b"".join(requests))
        replies = await receive_frames(link, 500)

    assert replies == [f"{n:04}B300{n:04}".encode() for n in range(500)]


async def test_a_request_that_arrives_byte_by_byte_is_answered(connect: Connect) -> None:
    async with await connect() as link:
        for byte in ECHO:
            await link.send_all(bytes([byte]))

        assert await receive_frames(link, 1) == [ECHOED[2:]]


@pytest.mark.parametrize(
    ("garbage", "reason"),
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", "not_a_command", id="a browser"),
        pytest.param(b"\xff\xff", "frame_too_long", id="a length over the limit"),
        pytest.param(b"\x00\x00", "frame_too_short", id="a length of zero"),
        pytest.param(frame_message(b"0001", b"\xff\xff"), "not_a_command", id="a command code of raw bytes"),
    ],
)
async def test_garbage_ends_its_link_after_the_sound_frames_and_no_other(
    connect: Connect, server: HsmServer, garbage: bytes, reason: str
) -> None:
    if reason == "not_a_command" and garbage.startswith(b"GET"):
        garbage = len(garbage).to_bytes(2, "big") + garbage
    async with await connect() as other, await connect() as link:
        await other.send_all(ECHO[:5])
        await link.send_all(ECHO + garbage)

        assert await receive_frames(link, 2) == [ECHOED[2:]]
        await other.send_all(ECHO[5:])
        assert await receive_frames(other, 1) == [ECHOED[2:]]
    assert server.ended[reason] == 1


async def test_a_link_that_is_cut_harms_no_other(connect: Connect) -> None:
    async with await connect() as other:
        link = await connect()
        link.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        await link.send_all(ECHO[:7])
        await link.aclose()
        await other.send_all(ECHO)

        assert await receive_frames(other, 1) == [ECHOED[2:]]


async def test_a_link_over_the_limit_is_refused_until_one_ends(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server = HsmServer(emulator(), connections_max=1)
    first, first_end = trio.testing.memory_stream_pair()
    second, second_end = trio.testing.memory_stream_pair()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.converse, first_end)
        await trio.testing.wait_all_tasks_blocked()
        await server.converse(second_end)
        assert await second.receive_some() == b""
        await first.aclose()

    assert server.ended == {"refused": 1, "closed": 1}
    assert autojump_clock.current_time() >= 0


@pytest.mark.parametrize(
    ("sent", "idle_s", "ended"),
    [
        pytest.param(ECHO[:7], 11, {"stalled": 1}, id="half a frame is waited for, then the link ends"),
        pytest.param(b"", 86_400, {}, id="a link between frames may idle all day"),
    ],
)
async def test_patience(
    autojump_clock: trio.testing.MockClock, sent: bytes, idle_s: float, ended: dict[str, int]
) -> None:
    server = HsmServer(emulator(), stall_s=10)
    link, end = trio.testing.memory_stream_pair()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.converse, end)
        if sent:
            await link.send_all(sent)
        await trio.sleep(idle_s)
        assert server.ended == ended
        await link.aclose()
    assert autojump_clock.current_time() >= idle_s


async def test_a_peer_that_does_not_read_is_let_go(autojump_clock: trio.testing.MockClock) -> None:
    server = HsmServer(emulator(), stall_s=10)
    link, end = trio.testing.lockstep_stream_pair()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.converse, end)
        await link.send_all(ECHO)

    assert server.ended == {"stalled": 1}
    assert autojump_clock.current_time() >= 10
