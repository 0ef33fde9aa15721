"""The recorder takes what it can get and harms nobody."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from processor.replay.frozen import replay
from processor.replay.trace import Arrived, Lost, Sent, Trace
from processor.services import recorder as module
from processor.services.recorder import TraceFile
from processor.values.errors import ConfigError

Recorded = Callable[..., tuple[Path, Any]]


def _items(path: Path) -> list[object]:
    with Trace.open(path) as trace:
        return [item for _, item in trace.items()]


def _all_equal(path: Path) -> int:
    with Trace.open(path) as trace:
        pairs = list(replay(trace))
    assert [pair for pair in pairs if pair.expected != pair.got] == []
    return len(pairs)


def test_only_the_owner_may_read_a_trace(recorded: Recorded) -> None:
    path, _ = recorded(0, steps=20)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_trace_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "yesterday").write_text("precious")

    with pytest.raises(ConfigError, match="exists already"):
        TraceFile(tmp_path / "yesterday")
    with pytest.raises(ConfigError, match="No such file"):
        TraceFile(tmp_path / "no folder" / "today")

    assert (tmp_path / "yesterday").read_text() == "precious"


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


def test_a_queue_that_is_full_ends_the_trace_and_says_so(
    crowded: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    branch, crowd = crowded(1)
    monkeypatch.setattr(module, "WAITING_MAX", 40)
    monkeypatch.setattr(module, "WRITE_EVERY_S", 60.0)
    recorder = branch.record(tmp_path / "trace")
    for _ in range(300):
        crowd.step()
    branch.finish()
    recorder.close()

    items = _items(tmp_path / "trace")
    assert isinstance(items[-1], Lost)
    assert "keep up" in items[-1].reason
    assert 0 < sum(isinstance(item, Arrived) for item in items) <= 41
    assert _all_equal(tmp_path / "trace") > 0
    assert branch.replies[-1] is not None


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
    real = module.io.FileIO
    monkeypatch.setattr(module.io, "FileIO", lambda *args: _FullDisk(real(*args), 100_000))


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
    assert 0 < _all_equal(tmp_path / "trace") < branch.answers


def test_a_fault_of_the_recorder_itself_ends_the_trace_only(
    crowded: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    branch, crowd = crowded(1)

    def fail(*_: object) -> None:
        raise KeyError(branch.pans[0])

    recorder = branch.record(tmp_path / "trace")
    monkeypatch.setattr(module.Teller, "_answer", fail)
    for _ in range(200):
        crowd.step()
    branch.finish()
    recorder.close()

    lost = _items(tmp_path / "trace")[-1]
    assert isinstance(lost, Lost)
    assert lost.reason == "the recorder failed: KeyError"
