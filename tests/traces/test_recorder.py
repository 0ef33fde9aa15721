"""The recorder takes what it can get and harms nobody."""

import errno
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from processor.iso8583.message import Message
from processor.replay.frozen import replay
from processor.replay.trace import Lost, Sent, TraceError
from processor.replay.trace_file import Trace
from processor.services import recorder as services_recorder
from processor.services import trace_feed, trace_writer
from processor.services.log import Log
from processor.services.recorder import Recorder, TraceOrder
from processor.services.trace_feed import Writer, start_writer
from processor.services.trace_writer import TraceFile, write
from processor.values.clock import SystemClock
from processor.values.errors import ConfigError


class Lines:
    """What the log says."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        """Nothing waits."""


Recorded = Callable[..., tuple[Path, Any]]


def _items(path: Path, *, partial: bool = True) -> list[object]:
    with Trace.open(path, partial=partial) as trace:
        return [item for _, item in trace.items()]


def _all_equal(path: Path, *, partial: bool = False) -> int:
    with Trace.open(path, partial=partial) as trace:
        pairs = list(replay(trace))
    assert [pair for pair in pairs if pair.expected != pair.got] == []
    return len(pairs)


def _recorder_for(path: Path, log: Lines | None = None) -> Recorder:
    return Recorder(TraceOrder(path), bytes(32), Log(SystemClock(), out=log or Lines()))


def test_only_the_owner_may_read_a_trace(recorded: Recorded) -> None:
    path, _ = recorded(0, steps=20)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_trace_is_never_written_over_but_gets_the_next_free_number(tmp_path: Path) -> None:
    """What starts a processor again after a crash says the same as before."""
    (tmp_path / "day").write_text("precious")
    (tmp_path / "day.2").write_text("too")

    recorders = [_recorder_for(tmp_path / "day") for _ in range(2)]

    assert [recorder.path.name for recorder in recorders] == ["day.1", "day.3"]
    for recorder in recorders:
        recorder.close()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"day": "precious", "day.2": "too"}


def test_there_is_an_end_to_the_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services_recorder, "_NUMBERED_MAX", 2)
    for name in ("day", "day.1", "day.2"):
        (tmp_path / name).touch()

    with pytest.raises(ConfigError, match="exists already"):
        _recorder_for(tmp_path / "day")


def test_a_trace_in_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        _recorder_for(tmp_path / "no folder" / "today")


def test_a_trace_leaves_the_journal_its_room(crowded: Callable[..., Any], tmp_path: Path) -> None:
    """There never is as much as it must leave here, so it ends before its first event."""
    branch, crowd = crowded(1)
    lines = Lines()
    recorder = branch.record(tmp_path / "trace", log=lines, journal_bytes=1 << 60)
    for _ in range(200):
        crowd.step()
    branch.finish()
    recorder.close()

    (lost,) = _items(tmp_path / "trace")
    assert isinstance(lost, Lost)
    assert "MiB would be left free" in lost.reason
    assert "MiB would be left free" in lines.text
    assert len(branch.replies) > 50


def test_a_recorder_that_never_began_leaves_nothing(crowded: Callable[..., Any], tmp_path: Path) -> None:
    branch, _ = crowded(0)
    recorder = branch.recorder_for(tmp_path / "trace", ())

    recorder.close()

    assert list(tmp_path.iterdir()) == []


def test_frames_of_other_cards_are_not_in_a_raw_trace(crowded: Callable[..., Any], tmp_path: Path) -> None:
    """Half of the cards are of another BIN; what is left replays without a difference."""
    branch, crowd = crowded(5)
    test_bins = tuple(pan[:9] for pan in branch.pans[::2])
    for _ in range(300):
        crowd.step()
    branch.finish()
    recorder = branch.record(tmp_path / "trace", test_bins)
    for _ in range(900):
        crowd.step()
    branch.finish()
    recorder.close()

    written = (tmp_path / "trace").read_bytes()
    assert recorder.left_out > 50
    for pan in branch.pans:
        assert (pan.encode() in written) == (pan in branch.pans[::2])
    assert _all_equal(tmp_path / "trace") == branch.answers > 50
    with Trace.open(tmp_path / "trace") as trace:
        recorded = {item.n: item.sequence for _, item in trace.items() if isinstance(item, Sent)}
    with Trace.open(tmp_path / "trace") as trace:
        replayed = {pair.n: pair.outcome.sequence for pair in replay(trace) if pair.outcome is not None}
    assert replayed.items() <= recorded.items()  # under the numbers that the journal has


def test_a_writer_that_does_not_keep_up_ends_the_trace_and_says_so(
    crowded: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody reads the notes before the traffic is over: nothing waits for that."""
    branch, crowd = crowded(1)
    monkeypatch.setattr(trace_feed, "WAITING_BYTES_MAX", 100_000)
    monkeypatch.setattr(trace_feed, "PIPE_BYTES", 4096)
    branch.held_back = threading.Event()
    recorder = branch.record(tmp_path / "trace")
    for _ in range(1200):
        crowd.step()
    branch.finish()
    branch.held_back.set()
    recorder.close()

    items = _items(tmp_path / "trace")
    assert isinstance(items[-1], Lost)
    assert "keep up" in items[-1].reason
    assert 0 < _all_equal(tmp_path / "trace", partial=True) < branch.answers


def test_a_trace_that_is_lost_ends_behind_a_whole_event(
    crowded: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the last question touched is told, too: here an answer that was given before."""
    branch, crowd = crowded(1)
    crowd.buy(branch.pans[0], 100)
    recorder = branch.record(tmp_path / "trace")
    monkeypatch.setattr(trace_feed, "WAITING_BYTES_MAX", -1)
    branch.handle(branch.frame(*crowd.said[-1]))
    recorder.hand_over()
    recorder.close()

    assert isinstance(_items(tmp_path / "trace")[-1], Lost)
    assert _all_equal(tmp_path / "trace", partial=True) == 1


def test_a_writer_that_dies_ends_the_trace_and_nothing_else(
    crowded: Callable[..., Any], tmp_path: Path
) -> None:
    """The real process, killed amid the traffic."""
    branch, crowd = crowded(1)
    writers: list[Writer] = []

    def start(file: int) -> Writer:
        writers.append(start_writer(file))
        return writers[0]

    branch.start, lines = start, Lines()
    recorder = branch.record(tmp_path / "trace", log=lines)
    for _ in range(100):
        crowd.step()
    writers[0].kill()
    writers[0].wait(10)
    for _ in range(600):
        crowd.step()
    branch.finish()
    recorder.close()

    assert "trace lost" in lines.text
    assert recorder.lost
    assert "the process that writes it has ended" in lines.text
    assert len(branch.replies) > 200
    with pytest.raises(TraceError):
        _items(tmp_path / "trace", partial=False)


def test_a_note_that_cannot_be_made_ends_the_trace_and_nothing_else(
    crowded: Callable[..., Any], tmp_path: Path
) -> None:
    """No codec gives half a surrogate pair; if one did, the frame would still be served."""
    branch, crowd = crowded(1)
    lines = Lines()
    recorder = branch.record(tmp_path / "trace", log=lines)
    for _ in range(300):
        crowd.step()
    recorder.hand_over()
    number = recorder.arrived(1, "visa-like", 0, b"", Message(b"", "0800", {43: "\ud800"}), None)
    for _ in range(300):
        crowd.step()
    branch.finish()
    recorder.close()

    assert number > 0
    assert "trace lost" in lines.text
    lost = _items(tmp_path / "trace")[-1]
    assert isinstance(lost, Lost)
    assert lost.reason == "the recorder failed: UnicodeEncodeError"
    assert 0 < _all_equal(tmp_path / "trace", partial=True) < branch.answers


def test_what_was_noted_is_written_though_nothing_happens(
    crowded: Callable[..., Any], tmp_path: Path
) -> None:
    """A handful of notes is no batch; whoever keeps house hands them over."""
    branch, crowd = crowded(1)
    recorder = branch.record(tmp_path / "trace")
    crowd.buy()
    recorder.hand_over()
    recorder.close()

    assert _all_equal(tmp_path / "trace") == 1


def test_the_process_that_writes_does_what_its_thread_does_here(
    crowded: Callable[..., Any], tmp_path: Path
) -> None:
    branch, crowd = crowded(2)
    branch.start = start_writer
    recorder = branch.record(tmp_path / "trace")
    for _ in range(900):
        crowd.step()
    branch.finish()
    recorder.close()

    assert _all_equal(tmp_path / "trace") == branch.answers > 50
    assert stat.S_IMODE((tmp_path / "trace").stat().st_mode) == 0o600


def test_a_pipe_that_ends_without_a_last_note_leaves_a_trace_without_end(tmp_path: Path) -> None:
    source, notes = os.pipe()
    os.write(notes, b"\0\0\1\0 cut")
    os.close(notes)
    with os.fdopen(source, "rb") as reader, (tmp_path / "trace").open("wb") as file:
        said = write(reader, TraceFile(os.dup(file.fileno())))

    assert said == "the processor ended without ending the trace"
    assert (tmp_path / "trace").read_bytes() == b""


class _FullDisk:
    """A file that takes so many bytes, and then only what is written after something was given back."""

    def __init__(self, file: Any, room: int) -> None:
        self._file, self._room = file, room

    def write(self, data: memoryview) -> int:
        if self._room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self._file.write(data[: self._room])
        self._room -= written
        return int(written)

    def truncate(self, size: int) -> None:
        self._room = 4096
        self._file.truncate(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traces that fit into 100,000 bytes."""
    real = trace_writer.io.FileIO
    monkeypatch.setattr(trace_writer.io, "FileIO", lambda *args: _FullDisk(real(*args), 100_000))


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_ends_the_trace_and_leaves_it_whole(crowded: Callable[..., Any], tmp_path: Path) -> None:
    branch, crowd = crowded(1)
    recorder = branch.record(tmp_path / "trace")
    for _ in range(1200):
        crowd.step()
    branch.finish()
    recorder.close()

    items = _items(tmp_path / "trace")
    assert isinstance(items[-1], Lost)
    assert "No space left" in items[-1].reason
    assert 0 < _all_equal(tmp_path / "trace", partial=True) < branch.answers


def test_a_fault_of_the_recorder_itself_ends_the_trace_only(
    crowded: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    branch, crowd = crowded(1)

    def fail(*_: object) -> None:
        raise KeyError(branch.pans[0])

    recorder = branch.record(tmp_path / "trace")
    monkeypatch.setattr(trace_writer.Teller, "_answer", fail)
    for _ in range(200):
        crowd.step()
    branch.finish()
    recorder.close()

    lost = _items(tmp_path / "trace")[-1]
    assert isinstance(lost, Lost)
    assert lost.reason == "the recorder failed: KeyError"
