"""Peers that break the protocol: each loses its own link, with one masked line, and harms nobody else."""

import random
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from processor.iso8583.framing import VISA_FRAME
from processor.iso8583.header import BASE1
from processor.iso8583.message import Message

pytestmark = pytest.mark.slow

HEADER_BYTES = 22
PAN = "4000009999912345"
# A header of 26 bytes whose H13 announces no reject, and ten bytes behind it.
REJECTS_NOTHING = b"\0\x24\0\0" + bytes((26, 1, 2, 0, 36)) + bytes(31)


@pytest.fixture(scope="module")
def desk(launch_for_module: Any, hsm: Any, new_issuer: Any, tmp_path_factory: Any) -> Any:
    """A processor with little patience, and one card."""
    folder = tmp_path_factory.mktemp("bad_peers")
    issuer = new_issuer()
    card = issuer.card(10**9, pan=PAN)
    child = launch_for_module.serving(
        folder / "state",
        hsm,
        issuer.deck(folder),
        LIMITS__FIRST_FRAME_S="1",
        LIMITS__FRAME_S="1",
        LIMITS__SEND_S="1",
        LIMITS__CONNECTIONS_PER_PEER_MAX="64",
    )
    child.card = card
    return child


@pytest.fixture
def neighbour(desk: Any, connect: Any, till: Any) -> Callable[[], None]:
    """Someone else on another link; calling it sees that they are served."""
    link = connect(desk)

    def is_served() -> None:
        question = till.purchase(desk.card, 100, "stripe")
        reply = link.ask(question)
        assert (reply.elements[37], reply.elements[39]) == (question.elements[37], "00")

    is_served()
    return is_served


@pytest.fixture
def frame(desk: Any, till: Any, connect: Any) -> bytes:
    """A sound purchase, as it goes over the wire."""
    link = connect(desk)
    link.ask(till.signal("301"))
    return bytes(VISA_FRAME.frame(link.codec.encode(till.purchase(desk.card, 100, "stripe", "right"))))


def _ended(desk: Any, reason: str) -> float:
    """How many links have ended for this reason."""
    return _count(desk, "issuer_links_ended_total", reason=reason)


def _count(desk: Any, name: str, **labels: str) -> float:
    """What the processor's metrics say, a second later at most."""
    address = desk.out.wait_for("listening http ").split()[2]
    families = text_string_to_metric_families(httpx.get(f"http://{address}/metrics").text)
    samples = (sample for family in families for sample in family.samples if sample.name == name)
    return sum(s.value for s in samples if labels.items() <= s.labels.items())


def _broken(change: Callable[[bytearray], None], frame: bytes) -> bytes:
    data = bytearray(frame)
    change(data)
    return bytes(data)


def _set(at: int, value: int) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        data[at] = value

    return change


HANGS_UP: list[Any] = [
    pytest.param(
        "frame_too_long",
        [
            lambda _: b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            lambda frame: (60_000).to_bytes(2, "big") + b"\0\0" + frame[4:],
            lambda _: b"\xff" * 1_048_576,
            lambda _: PAN.encode() * 65_536,
        ],
        id="garbage, a length of 60 kB, or a megabyte without a frame",
    ),
    pytest.param(
        "frame_too_short",
        [lambda _: b"\0\x0a\0\0" + bytes.fromhex(PAN) + b"\0\0"],
        id="a frame too short for any message",
    ),
    pytest.param(
        "reserved_bytes",
        [lambda frame: _broken(_set(3, 1), frame)],
        id="reserved bytes that are not zero",
    ),
    pytest.param(
        "header_length",
        [lambda frame: _broken(_set(4, 21), frame), lambda frame: _broken(_set(4, 255), frame)],
        id="a header that says it has another length",
    ),
    pytest.param(
        "header_text_format",
        [lambda frame: _broken(_set(6, 1), frame)],
        id="a header with another text format",
    ),
    pytest.param(
        "header_total_length",
        [lambda frame: _broken(_set(8, frame[8] ^ 1), frame)],
        id="a header that disagrees with the frame's length",
    ),
]


@pytest.mark.parametrize(("reason", "payloads"), HANGS_UP)
def test_an_unsound_stream_is_hung_up_on(
    desk: Any, connect: Any, neighbour: Any, frame: bytes, reason: str, payloads: list[Any]
) -> None:
    for payload in payloads:
        link = connect(desk)
        _send_all_it_takes(link, payload(frame))
        neighbour()
        _listen_to_the_end(link)

    desk.log.wait_for(reason)
    assert len(desk.log.containing(reason)) == 1, "one line; what follows within a second is counted"
    _assert_unharmed(desk, neighbour)


@pytest.mark.parametrize(
    ("reason", "bad"),
    [
        pytest.param("frame_too_long", lambda _: b"\xff" * 100, id="a length that is too long"),
        pytest.param("frame_too_short", lambda _: b"\0\x0a\0\0" + bytes(10), id="a frame too short"),
        pytest.param("closed_inside_frame", lambda frame: frame[:50], id="half a frame and no more"),
        pytest.param("frame_not_finished", lambda frame: frame[:50], id="half a frame and silence"),
        pytest.param("header_length", lambda frame: _broken(_set(4, 21), frame), id="a header of 21 bytes"),
        pytest.param("reject_header", lambda _: REJECTS_NOTHING, id="a reject that rejects nothing"),
    ],
)
@pytest.mark.parametrize("pieces", [1, 2], ids=["in one piece", "good and bad apart"])
def test_c35_what_came_before_a_broken_frame_is_answered_before_the_link_ends(
    desk: Any, connect: Any, neighbour: Any, till: Any, frame: bytes, reason: str, bad: Any, pieces: int
) -> None:
    link, before = connect(desk), _ended(desk, reason)
    asked = [till.purchase(desk.card, 100, "stripe") for _ in range(20)]
    good = b"".join(VISA_FRAME.frame(link.codec.encode(message)) for message in asked)
    for data in [good + bad(frame)] if pieces == 1 else [good, bad(frame)]:
        link.send_bytes(data)
    if reason == "closed_inside_frame":
        link.socket.shutdown(socket.SHUT_WR)
    replies = [link.receive() for _ in asked]

    assert {r.elements[11] for r in replies} == {a.elements[11] for a in asked}
    assert {r.elements[39] for r in replies} == {"00"}
    assert link.is_over()
    while _ended(desk, reason) == before:
        neighbour()
    _assert_unharmed(desk, neighbour)


def test_c35_an_answer_that_is_owed_arrives_though_its_peer_goes_on_sending(
    desk: Any, connect: Any, neighbour: Any, till: Any
) -> None:
    link, question = connect(desk), till.purchase(desk.card, 100, "stripe")
    _send_all_it_takes(link, VISA_FRAME.frame(link.codec.encode(question)) + b"\xff" * 1_048_576)

    assert link.receive().elements[11] == question.elements[11]
    assert link.is_over()
    _assert_unharmed(desk, neighbour)


def test_a_purchase_in_front_of_garbage_is_decided_once(
    desk: Any, connect: Any, neighbour: Any, till: Any
) -> None:
    link, question = connect(desk), till.purchase(desk.card, 100, "stripe")
    link.send_bytes(VISA_FRAME.frame(link.codec.encode(question)) + b"\xff" * 100)
    _listen_to_the_end(link)
    other = connect(desk)
    answers = {other.ask(till.repeat(question)).elements[38] for _ in range(2)}

    assert len(answers) == 1
    _assert_unharmed(desk, neighbour)


@pytest.mark.parametrize(
    ("reason", "share"),
    [
        pytest.param("frame_not_finished", 0.5, id="half a frame and then silence"),
        pytest.param("no_first_frame", 0.0, id="a connection that says nothing"),
    ],
)
def test_a_peer_that_falls_silent_is_hung_up_on(
    desk: Any, connect: Any, neighbour: Any, frame: bytes, reason: str, share: float
) -> None:
    link, before = connect(desk), len(desk.log.containing(reason))
    link.send_bytes(frame[: int(len(frame) * share)])
    neighbour()

    assert link.is_over()
    desk.log.wait_for(reason, count=before + 1)
    _assert_unharmed(desk, neighbour)


def test_a_frame_that_trickles_in_byte_by_byte_does_not_win_time(
    desk: Any, connect: Any, neighbour: Any, frame: bytes
) -> None:
    link = connect(desk)
    link.socket.settimeout(0.2)

    with pytest.raises(EOFError):
        _trickle(link, frame * 2)
    _assert_unharmed(desk, neighbour)


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
def test_a_peer_that_leaves_in_the_middle_of_a_frame_leaves_one_line(
    desk: Any, connect: Any, neighbour: Any, frame: bytes, reset: bool
) -> None:
    before = len(desk.log.containing("link ended"))
    link = connect(desk)
    link.send_bytes(frame + frame[: len(frame) // 2])
    link.receive()
    if reset:
        link.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    link.socket.close()
    neighbour()

    desk.log.wait_for("link ended", count=before + 1)
    _assert_unharmed(desk, neighbour)


def test_a_peer_that_resets_with_answers_on_their_way_harms_nobody(
    desk: Any, connect: Any, neighbour: Any, till: Any
) -> None:
    for _ in range(20):
        link = connect(desk)
        link.send(*[till.purchase(desk.card, 100, "stripe") for _ in range(20)])
        link.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        link.socket.close()

    _assert_unharmed(desk, neighbour)


def test_a_peer_that_never_reads_its_answers_is_hung_up_on(
    desk: Any, connect: Any, neighbour: Any, till: Any
) -> None:
    link = connect(desk)
    link.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    with pytest.raises(EOFError):
        _send_without_end(link, till, neighbour)
    desk.log.wait_for("peer_does_not_read")
    _assert_unharmed(desk, neighbour)


def test_keep_alive_polls_are_answered_once_a_second_at_most(
    desk: Any, connect: Any, neighbour: Any, till: Any
) -> None:
    link = connect(desk)
    link.send_bytes(bytes(4) * 10_000)
    link.send(till.signal("301"))
    polls = 0
    while not (frame := link.receive_bytes()):
        polls += 1

    assert link.codec.decode(frame).mti == "0810"
    assert polls == 1
    _assert_unharmed(desk, neighbour)


@pytest.mark.parametrize("step", [1, 3, 7, 100_000], ids=lambda step: f"{step} bytes at a time")
def test_c35_however_the_bytes_arrive_every_message_is_answered_by_its_key(
    desk: Any, connect: Any, till: Any, step: int
) -> None:
    link = connect(desk)
    asked = [till.purchase(desk.card, 100) for _ in range(5)]
    data = b"".join(VISA_FRAME.frame(link.codec.encode(message)) for message in asked)
    for at in range(0, len(data), step):
        link.send_bytes(data[at : at + step])
    replies = [link.receive() for _ in asked]

    assert {r.elements[11] for r in replies} == {a.elements[11] for a in asked}
    assert {r.elements[39] for r in replies} == {"00"}


def test_c35_a_frame_that_is_too_long_is_refused_by_its_length_alone(
    desk: Any, connect: Any, neighbour: Any
) -> None:
    link = connect(desk)
    link.send_bytes((4097).to_bytes(2, "big") + b"\0\0")

    assert link.is_over(), "without a byte of it"
    _assert_unharmed(desk, neighbour)


def test_a_sound_frame_with_an_unreadable_message_gets_30_with_its_stan_and_rrn(
    desk: Any, connect: Any, neighbour: Any, till: Any
) -> None:
    link, question = connect(desk), till.purchase(desk.card, 100, "stripe", "right")
    data = bytearray(link.codec.encode(question))
    at = data.index(bytes.fromhex("0840"), data.index("SPRINGFIELD".encode("cp500")))
    data[at : at + 2] = b"\x08\x4a"  # DE 49 with a nibble that is no digit
    link.send_bytes(VISA_FRAME.frame(bytes(data)))
    reply = link.receive()

    assert (reply.mti, reply.elements[39]) == ("0110", "30")
    assert (reply.elements[11], reply.elements[37]) == (question.elements[11], question.elements[37])
    assert not {35, 43, 49, 52, 53, 55} & set(reply.elements)
    assert "element=49" in desk.log.wait_for("message refused")
    assert link.ask(till.signal("301")).elements[39] == "00", "the link goes on"
    _assert_unharmed(desk, neighbour)


@pytest.mark.parametrize(
    "missing", [2, 3, 4, 7, 11, 22, 32, 37, 41, 42, 49], ids=lambda number: f"without DE {number}"
)
def test_a_request_that_lacks_a_mandatory_element_gets_30(
    desk: Any, connect: Any, till: Any, missing: int
) -> None:
    question = till.purchase(desk.card, 100)
    del question.elements[missing]
    reply = connect(desk).ask(question)

    assert (reply.mti, reply.elements[39]) == ("0110", "30")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param(lambda body: body[:-5], "", id="a message that ends inside its last element"),
        pytest.param(lambda body: body + b"\0" * 7, "", id="bytes behind the last element"),
        pytest.param(lambda body: _broken(_set(32, 0xFF), body), "0003", id="a length that is no length"),
        pytest.param(lambda body: body[:24] + b"\xff" * 8 + body[32:], "0003", id="every bit set"),
        pytest.param(lambda body: body[:45], "0003", id="a message that ends before its STAN"),
        pytest.param(lambda body: body[:22] + b"\x91\x00" + body[24:], "0002", id="an unknown type"),
        pytest.param(lambda body: body[:22] + b"\x0a\xbc" + body[24:], "0002", id="a type not in digits"),
    ],
)
def test_c35_a_malformed_message_in_a_sound_frame_gets_30_or_a_header_reject_and_the_link_goes_on(
    desk: Any, connect: Any, neighbour: Any, till: Any, change: Any, code: str
) -> None:
    link, question = connect(desk), till.purchase(desk.card, 100)
    body = bytearray(change(link.codec.encode(question)))
    body[3:5] = len(body).to_bytes(2, "big")
    before = _count(desk, "issuer_rejections_total", what="sent", code=code)
    link.send_bytes(VISA_FRAME.frame(bytes(body)))
    answer = link.receive_bytes()

    if code:
        rejection = BASE1.rejection(answer)
        assert rejection is not None
        assert (rejection.code, rejection.frame) == (code, bytes(body)), "our code, and what they had sent"
        assert answer[5:11] == body[8:11] + body[5:8], "to whom it came from"
        while _count(desk, "issuer_rejections_total", what="sent", code=code) == before:
            neighbour()
    else:
        reply = link.codec.decode(answer)
        assert (reply.elements[39], reply.elements[11]) == ("30", question.elements[11])
    assert link.ask(till.signal("301")).elements[39] == "00"
    _assert_unharmed(desk, neighbour)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(_set(6, 1), "header_text_format", id="another text format"),
        pytest.param(_set(8, 255), "header_total_length", id="another length than the frame's"),
    ],
)
def test_c35_a_frame_that_its_header_contradicts_gets_a_header_reject_before_the_link_ends(
    desk: Any, connect: Any, neighbour: Any, frame: bytes, change: Any, reason: str
) -> None:
    link, before = connect(desk), _ended(desk, reason)
    data = _broken(change, frame)
    link.send_bytes(data)
    rejection = BASE1.rejection(link.receive_bytes())

    assert rejection is not None
    assert (rejection.code, rejection.frame) == ("0001", data[4:])
    assert link.is_over()
    while _ended(desk, reason) == before:
        neighbour()
    _assert_unharmed(desk, neighbour)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda frame: bytes.fromhex("1a") + frame[1:22] + bytes.fromhex("80000123"), id="bare"),
        pytest.param(lambda frame: BASE1.reject(frame, "0123"), id="with the frame that it is about"),
    ],
)
def test_a_reject_is_never_answered_and_one_of_what_we_never_sent_is_counted_as_such(
    desk: Any, connect: Any, neighbour: Any, till: Any, frame: bytes, change: Any
) -> None:
    link, before = connect(desk), _count(desk, "issuer_rejections_total", what="stray")
    reject = bytearray(change(frame[4:]) + bytes(8))
    reject[3:5] = len(reject).to_bytes(2, "big")
    link.send_bytes(VISA_FRAME.frame(bytes(reject)))

    assert link.ask(till.signal("301")).mti == "0810", "and nothing before it"
    while _count(desk, "issuer_rejections_total", what="stray") == before:
        neighbour()
    _assert_unharmed(desk, neighbour)


def test_every_message_type_gets_an_answer_that_fits_or_none(
    desk: Any, connect: Any, neighbour: Any, till: Any
) -> None:
    link = connect(desk)
    for mti in sorted(f"{number:04}" for number in range(10_000)):
        question = till.purchase(desk.card, 0)
        body = link.codec.encode(question)
        at = HEADER_BYTES
        link.send_bytes(VISA_FRAME.frame(body[:at] + bytes.fromhex(mti) + body[at + 2 :]))
        if int(mti) % 500 == 0:
            _drain(link, till)

    _drain(link, till)
    _assert_unharmed(desk, neighbour)


@pytest.mark.parametrize("seed", range(3))
def test_damaged_messages_in_sound_frames_harm_nobody(
    desk: Any, connect: Any, neighbour: Any, till: Any, seed: int
) -> None:
    chance = random.Random(seed)
    link = connect(desk)
    for turn in range(1, 601):
        link.send_bytes(_damaged(link, till, desk.card, chance))
        if turn % 100 == 0:
            _drain(link, till)

    _assert_unharmed(desk, neighbour)


def _damaged(link: Any, till: Any, card: Any, chance: random.Random) -> bytes:
    """A message of some kind with a few bytes changed, cut or added, in a frame and a header that fit it."""
    purchase = till.purchase(card, 1, chance.choice(("stripe", "chip", "web")), chance.choice(("", "right")))
    message = chance.choice((purchase, purchase, till.reversal(purchase), till.signal("301")))
    body = bytearray(link.codec.encode(message)[HEADER_BYTES:])
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(body))
        what = chance.randrange(4)
        if what == 0 and len(body) > 20:
            del body[at : at + chance.randint(1, 8)]
        elif what == 1:
            body[at:at] = chance.randbytes(chance.randint(1, 8))
        else:
            body[at] = chance.choice((0x00, 0xFF, chance.randrange(256)))
    body += bytes(max(0, 10 - len(body)))
    head = bytearray(message.header)
    head[3:5] = (len(head) + len(body)).to_bytes(2, "big")
    return bytes(VISA_FRAME.frame(bytes(head + body)))


def _drain(link: Any, till: Any) -> None:
    """Read answers and rejects until the answer of an echo test sent now."""
    echo: Message = till.signal("301")
    link.send(echo)
    while True:
        frame = link.receive_bytes()
        if BASE1.rejection(frame) is None:
            reply = link.codec.decode(frame)
            if (reply.mti, reply.elements.get(11)) == ("0810", echo.elements[11]):
                return


def _trickle(link: Any, data: bytes) -> None:
    """Send byte by byte, with a moment between them in which the other side may hang up."""
    for byte in data:
        link.send_bytes(bytes([byte]))
        with suppress(TimeoutError):
            link.receive_bytes()


def _send_without_end(link: Any, till: Any, neighbour: Callable[[], None]) -> None:
    """Send echo tests, each of which is answered, and read none of the answers."""
    for _ in range(1000):
        link.send(*[till.signal("301") for _ in range(500)])
        neighbour()


def _listen_to_the_end(link: Any) -> None:
    while not link.is_over():
        pass


def _send_all_it_takes(link: Any, data: bytes) -> None:
    """Send; the other side may well hang up before it has everything."""
    try:
        link.send_bytes(data)
    except EOFError:
        return


def _assert_unharmed(desk: Any, neighbour: Callable[[], None]) -> None:
    neighbour()
    assert desk.running
    log = "\n".join(desk.log.all())
    assert "Traceback" not in log
    for digits in (PAN, PAN[6:12], desk.card.pin_block, desk.card.pin_block.lower()):
        assert digits not in log
