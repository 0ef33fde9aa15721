"""Framing: the same frames however the bytes arrive, and a fault before anything is buffered."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.iso8583.framing import CATALOGUE, VISA_FRAME, Framer, FrameRule
from processor.values.errors import FrameError

LIMIT_BYTES = 100
RULES = list(CATALOGUE.values())

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


PAYLOAD = bytes(28) + b"0800"

# The same thirty-two bytes in every framing of the catalogue: what stands before them, what behind, and the poll.
ON_THE_WIRE = {
    "visa": ("00200000", "", "00000000"),
    "two-byte": ("0020", "", "0000"),
    "two-byte-inclusive": ("0022", "", "0002"),
    "two-byte-little": ("2000", "", "0000"),
    "two-byte-bcd": ("0032", "", "0000"),
    "three-byte": ("000020", "", "000000"),
    "four-byte": ("00000020", "", "00000000"),
    "four-byte-inclusive": ("00000024", "", "00000004"),
    "four-byte-little": ("20000000", "", "00000000"),
    "ascii-4": ("30303332", "", "30303030"),
    "ascii-4-inclusive": ("30303336", "", "30303034"),
    "ascii-6": ("303030303332", "", "303030303030"),
    "hex-4": ("30303230", "", "30303030"),
    "base24": ("0021", "03", "0000"),
    "gicc": ("00000020", "", "00000000"),
}


def test_every_row_of_the_catalogue_has_its_bytes_here() -> None:
    assert ON_THE_WIRE.keys() == CATALOGUE.keys()


@pytest.mark.parametrize("name", ON_THE_WIRE)
def test_every_framing_writes_and_reads_its_own_prefix(name: str) -> None:
    before, behind, poll = (bytes.fromhex(part) for part in ON_THE_WIRE[name])
    rule = CATALOGUE[name]

    assert rule.frame(PAYLOAD) == before + PAYLOAD + behind
    assert rule.frame(b"") == poll

    framer = Framer(rule, LIMIT_BYTES)
    framer.receive(poll + rule.frame(PAYLOAD) + poll)

    assert framer.frames() == [b"", PAYLOAD, b""]
    assert not framer.partial


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_framing_refuses_one_byte_too_many_from_its_prefix_alone(rule: FrameRule) -> None:
    framer = Framer(rule, LIMIT_BYTES)
    framer.receive(rule.frame(bytes(LIMIT_BYTES)))
    assert framer.frames() == [bytes(LIMIT_BYTES)]

    framer.receive(rule.frame(bytes(LIMIT_BYTES + 1))[: rule.prefix_bytes])

    with pytest.raises(FrameError, match="frame_too_long"):
        framer.frames()
    assert not framer._buffer


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_framing_refuses_a_frame_that_cannot_hold_a_message(rule: FrameRule) -> None:
    framer = Framer(rule, LIMIT_BYTES)
    framer.receive(rule.frame(bytes(rule.shortest_bytes - 1)))

    with pytest.raises(FrameError, match="frame_too_short"):
        framer.frames()


@pytest.mark.parametrize("rule", [r for r in RULES if r.longest_bytes < 1 << 20], ids=lambda rule: rule.name)
def test_what_a_prefix_cannot_count_is_our_mistake_in_every_framing(rule: FrameRule) -> None:
    assert len(rule.frame(bytes(rule.longest_bytes))) > rule.longest_bytes

    with pytest.raises(ValueError, match="do not fit"):
        rule.frame(bytes(rule.longest_bytes + 1))


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        pytest.param("two-byte-bcd", b"\x00\x2a", "length_digits", id="a nibble that is no digit"),
        pytest.param("ascii-4", b"+020", "length_digits", id="a sign"),
        pytest.param("ascii-4", b" 020", "length_digits", id="a blank"),
        pytest.param("ascii-4", b"0_20", "length_digits", id="an underscore"),
        pytest.param("hex-4", b"0x14", "length_digits", id="a prefix of C"),
        pytest.param("two-byte-inclusive", b"\x00\x01", "frame_too_short", id="less than the length itself"),
        pytest.param(
            "four-byte-inclusive", b"\x00" * 4, "frame_too_short", id="a length that forgets itself"
        ),
        pytest.param("base24", b"\x00\x01\x03", "frame_too_short", id="a trailer alone"),
        pytest.param("base24", b"\x00\x21" + PAYLOAD + b"\x00", "trailer", id="another trailer"),
        pytest.param("gicc", b"\x01\x00\x00\x14", "reserved_bytes", id="reserved bytes before the length"),
    ],
)
def test_a_length_is_digits_and_a_frame_ends_as_it_must(name: str, data: bytes, reason: str) -> None:
    framer = Framer(CATALOGUE[name], LIMIT_BYTES)
    framer.receive(data)

    with pytest.raises(FrameError) as refusal:
        framer.frames()

    assert refusal.value.reason == reason
