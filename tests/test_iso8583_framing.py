"""Framing: the same frames however the bytes arrive, and a fault before anything is buffered."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.iso8583.framing import TWO_BYTE_FRAME, VISA_FRAME, Framer, FrameRule
from processor.values.errors import FrameError

LIMIT_BYTES = 100
RULES = [VISA_FRAME, TWO_BYTE_FRAME]

payloads = st.lists(
    st.one_of(st.just(b""), st.binary(min_size=VISA_FRAME.shortest_bytes, max_size=LIMIT_BYTES)), max_size=6
)


def all_frames(framer: Framer) -> list[bytes]:
    """What a link does after each read: ask until nothing comes."""
    found: list[bytes] = []
    while some := framer.frames():
        found += some
    return found


@given(payloads, st.lists(st.integers(0, 700), max_size=12), st.integers(0, 3), st.sampled_from(RULES))
def test_any_split_of_the_stream_gives_the_same_frames(
    sent: list[bytes], cuts: list[int], tail: int, rule: FrameRule
) -> None:
    stream = b"".join(rule.frame(payload) for payload in sent) + rule.frame(bytes(40))[:tail]
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    whole, split, single = (Framer(rule, LIMIT_BYTES) for _ in range(3))

    whole.receive(stream)
    in_parts: list[bytes] = []
    for begin, end in itertools.pairwise(edges):
        split.receive(stream[begin:end])
        in_parts += all_frames(split)
    byte_by_byte: list[bytes] = []
    for value in stream:
        single.receive(bytes((value,)))
        byte_by_byte += all_frames(single)

    assert all_frames(whole) == sent
    assert in_parts == sent
    assert byte_by_byte == sent


def test_one_call_gives_every_complete_frame() -> None:
    framer = Framer(VISA_FRAME, LIMIT_BYTES)
    framer.receive(VISA_FRAME.frame(bytes(40)) + VISA_FRAME.frame(b"") + VISA_FRAME.frame(b"\1" * 50) + b"\0")

    assert framer.frames() == [bytes(40), b"", b"\1" * 50]
    assert framer.frames() == []


@pytest.mark.parametrize(
    ("prefix", "reason"),
    [
        pytest.param("00650000", "frame_too_long", id="one byte over the limit"),
        pytest.param("FFFF0000", "frame_too_long", id="the longest length there is"),
        pytest.param("001F0000", "frame_too_short", id="too short for header, MTI and a bitmap"),
        pytest.param("00010000", "frame_too_short", id="a single byte"),
        pytest.param("00400001", "reserved_bytes", id="the last reserved byte is set"),
        pytest.param("00402000", "reserved_bytes", id="the first reserved byte is set"),
        pytest.param("00000020", "reserved_bytes", id="a poll whose reserved bytes are set"),
    ],
)
def test_a_prefix_that_cannot_be_right_is_refused_at_once(prefix: str, reason: str) -> None:
    framer = Framer(VISA_FRAME, LIMIT_BYTES)
    framer.receive(bytes.fromhex(prefix))

    with pytest.raises(FrameError) as refusal:
        framer.frames()

    assert refusal.value.reason == reason


def test_the_limit_itself_and_the_least_length_are_allowed() -> None:
    framer = Framer(VISA_FRAME, LIMIT_BYTES)
    framer.receive(VISA_FRAME.frame(bytes(LIMIT_BYTES)) + VISA_FRAME.frame(bytes(VISA_FRAME.shortest_bytes)))

    assert [len(frame) for frame in framer.frames()] == [LIMIT_BYTES, VISA_FRAME.shortest_bytes]


def test_frames_before_a_fault_are_given_out_and_the_fault_then_stays() -> None:
    framer = Framer(VISA_FRAME, LIMIT_BYTES)
    framer.receive(VISA_FRAME.frame(bytes(40)) + bytes.fromhex("FFFF0000"))

    assert framer.frames() == [bytes(40)]
    for _ in range(2):
        with pytest.raises(FrameError, match="frame_too_long"):
            framer.frames()
        framer.receive(VISA_FRAME.frame(bytes(40)))


def test_a_lost_stream_keeps_no_bytes() -> None:
    framer = Framer(VISA_FRAME, LIMIT_BYTES)
    framer.receive(bytes.fromhex("FFFF0000") + bytes(1000))
    with pytest.raises(FrameError):
        framer.frames()

    framer.receive(bytes(1000))

    assert not framer._buffer


def test_a_payload_that_the_prefix_cannot_count_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="65536 bytes do not fit"):
        VISA_FRAME.frame(bytes(65536))
