"""What fuzzing has found, and a short run of it: see docs/fuzzing.md."""

import subprocess
import sys
from pathlib import Path

import pytest

from processor.iso8583.compiled import ELEMENTS_MAX, CompiledCodec
from processor.iso8583.framing import CATALOGUE, FRAMES_MAX, VISA_FRAME, Framer, FrameRule
from processor.iso8583.message import Message
from processor.iso8583.tables.iso87_ascii import ISO87_ASCII
from processor.networks.guess import guesses
from processor.values.errors import FrameError

ROOT = Path(__file__).resolve().parents[1]
PLAIN = [row for row in ISO87_ASCII.elements.values() if row.alphabet in ("n", "an", "ans") and not row.date]


@pytest.mark.slow
def test_no_input_of_a_short_run_brings_out_anything_but_a_peer_error(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "fuzz" / "fuzz_wire.py"), "--smoke", "--guided", "0"]
    ran = subprocess.run(
        [*command, "--inputs", "15000", "--seed", "8583", "--folder", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.endswith("problems    none\n")


def message_of(elements_count: int) -> Message:
    """So many elements, each as short as it can be."""
    rows = sorted(PLAIN)[:elements_count]
    assert len(rows) == elements_count
    return Message(b"", "0100", {r.number: "1" * (1 if r.prefix.length_bytes else r.length) for r in rows})


@pytest.mark.parametrize(
    ("elements_count", "compiled"),
    [
        pytest.param(ELEMENTS_MAX, 1, id="as many elements as a function may have"),
        pytest.param(ELEMENTS_MAX + 1, 0, id="one more, for which all links would wait"),
    ],
)
def test_only_a_bitmap_of_few_elements_is_compiled(elements_count: int, compiled: int) -> None:
    codec, message = CompiledCodec(ISO87_ASCII, worth_it=1), message_of(elements_count)
    data = codec.encode(message)

    assert [codec.decode(data), codec.decode(data)] == [message, message]
    assert codec.encode(message) == data
    assert (len(codec._decoders), len(codec._encoders)) == (compiled, compiled)


@pytest.mark.parametrize("rule", CATALOGUE.values(), ids=CATALOGUE)
def test_a_read_full_of_polls_is_given_out_in_turns(rule: FrameRule) -> None:
    polls = 65_536 // rule.prefix_bytes
    framer = Framer(rule, 2048)
    framer.receive(rule.frame(b"") * polls)
    turns = []
    while frames := framer.frames():
        assert set(frames) == {b""}
        turns.append(len(frames))

    assert turns == [FRAMES_MAX] * (polls // FRAMES_MAX) + [polls % FRAMES_MAX] * (polls % FRAMES_MAX > 0)
    assert not framer.partial


def test_a_fault_behind_a_turn_of_frames_is_raised_after_them() -> None:
    framer = Framer(VISA_FRAME, 2048)
    framer.receive(VISA_FRAME.frame(b"") * (FRAMES_MAX + 1) + b"\xff\xff\0\0")

    assert [len(framer.frames()), len(framer.frames())] == [FRAMES_MAX, 1]
    with pytest.raises(FrameError, match="frame_too_long"):
        framer.frames()


def test_nothing_at_all_has_no_explanation() -> None:
    assert guesses(b"") == []
