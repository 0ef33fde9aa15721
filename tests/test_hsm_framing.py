"""Two length bytes, however the bytes arrive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.hsm.framing import HsmFramer, frame_message
from processor.values.errors import FrameError

frames_strategy = st.lists(st.binary(min_size=6, max_size=60), max_size=6)


def feed(framer: HsmFramer, stream: bytes, sizes: list[int]) -> tuple[list[bytes], str]:
    """Everything that comes out when the stream arrives in pieces, and the reason the framing was lost."""
    found: list[bytes] = []
    at = 0
    for size in [*sizes, len(stream)]:
        framer.receive(stream[at : at + size])
        at += size
        try:
            while frames := framer.frames():
                found += frames
        except FrameError as error:
            return found, error.reason
    return found, ""


@given(frames_strategy, st.lists(st.integers(1, 9), max_size=60))
def test_frames_split_anywhere_equal_the_whole(frames: list[bytes], sizes: list[int]) -> None:
    stream = b"".join(frame_message(frame[:4], frame[4:]) for frame in frames)

    assert feed(HsmFramer(limit_bytes=60), stream, sizes) == (frames, "")


@given(st.binary(max_size=200), st.lists(st.integers(1, 9), max_size=60))
def test_any_bytes_split_anywhere_equal_the_whole(stream: bytes, sizes: list[int]) -> None:
    assert feed(HsmFramer(limit_bytes=40), stream, sizes) == feed(HsmFramer(limit_bytes=40), stream, [])


def test_one_call_returns_every_complete_frame() -> None:
    framer = HsmFramer()
    framer.receive(frame_message(b"0001", b"NC") + frame_message(b"0002", b"NC") + b"\x00")

    assert framer.frames() == [b"0001NC", b"0002NC"]
    assert framer.partial
    assert framer.frames() == []


@pytest.mark.parametrize(
    ("length", "reason"),
    [
        pytest.param(0, "frame_too_short", id="nothing at all is announced"),
        pytest.param(5, "frame_too_short", id="no room for header and command code"),
        pytest.param(101, "frame_too_long", id="one byte over the limit"),
        pytest.param(0xFFFF, "frame_too_long", id="the longest length there is"),
    ],
)
def test_an_impossible_length_is_refused_before_its_bytes_are_held(length: int, reason: str) -> None:
    framer = HsmFramer(limit_bytes=100)
    framer.receive(length.to_bytes(2, "big"))

    with pytest.raises(FrameError) as caught:
        framer.frames()

    assert caught.value.reason == reason
    framer.receive(b"x" * 1000)
    assert not framer.partial


@pytest.mark.parametrize("length", [6, 100])
def test_the_shortest_and_the_longest_frame_are_accepted(length: int) -> None:
    framer = HsmFramer(limit_bytes=100)
    framer.receive(length.to_bytes(2, "big") + b"x" * length)

    assert framer.frames() == [b"x" * length]


def test_sound_frames_before_a_bad_length_are_returned_first() -> None:
    framer = HsmFramer()
    framer.receive(frame_message(b"0001", b"NC") + b"\xff\xff")

    assert framer.frames() == [b"0001NC"]
    with pytest.raises(FrameError):
        framer.frames()


def test_a_longer_header_raises_the_least_length() -> None:
    framer = HsmFramer(header_bytes=8)
    framer.receive(frame_message(b"0001", b"NC"))

    with pytest.raises(FrameError):
        framer.frames()
