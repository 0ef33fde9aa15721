"""A trace that is not what was recorded is refused, and says where."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from processor.replay.trace import MARK_EVERY, Header, Trace, TraceError
from processor.values.errors import ConfigError

Lines = list[bytes]


@pytest.fixture
def lines(recorded: Callable[..., Any]) -> Lines:
    """A trace of several marks, line by line."""
    path, _ = recorded(0, steps=900)
    found: Lines = path.read_bytes().splitlines(keepends=True)
    assert len(found) > 2 * MARK_EVERY
    return found


def _read(path: Path) -> int:
    with Trace.open(path) as trace:
        return sum(1 for _ in trace.items())


def _swap(lines: Lines) -> Lines:
    return [*lines[:300], lines[301], lines[300], *lines[302:]]


DAMAGE: list[Any] = [
    pytest.param(lambda _: [], 1, "empty", id="empty"),
    pytest.param(lambda ls: ls[1:], 1, "no header", id="without its header"),
    pytest.param(lambda _: [b"hello\n"], 1, "not JSON", id="a text file"),
    pytest.param(lambda _: [b'{"name":"x"}\n'], 1, "not a line of a trace", id="another program's JSON"),
    pytest.param(lambda ls: [*ls[:300], ls[300][:-9]], 301, "cut inside this line", id="cut inside a line"),
    pytest.param(lambda ls: ls[:300], 300, "without its end", id="cut behind a line"),
    pytest.param(lambda ls: ls[:-1], None, "without its end", id="without its end"),
    pytest.param(_swap, 258, "not as they were recorded", id="two lines swapped"),
    pytest.param(lambda ls: ls[:300] + ls[301:], 258, "not as they were recorded", id="a line left out"),
    pytest.param(lambda ls: [*ls[:300], *ls[299:]], 258, "not as they were recorded", id="a line twice"),
    pytest.param(
        lambda ls: [*ls[:300], ls[300].replace(b"1", b"2"), *ls[301:]], 258, "recorded", id="a digit changed"
    ),
    pytest.param(lambda ls: [*ls[:300], b"{}\n", *ls[301:]], 301, "not a line of", id="a line overwritten"),
    pytest.param(lambda ls: [*ls[:300], ls[0], *ls[301:]], 301, "no place here", id="a header in the middle"),
    pytest.param(lambda ls: ls[:256] + ls[257:], 2, "not as they were recorded", id="a mark left out"),
    pytest.param(lambda ls: [*ls, ls[-2]], None, "lines after the end", id="something after the end"),
    pytest.param(lambda ls: [b"\xff\xfe" * 9 + b"\n", *ls[1:]], 1, "not JSON", id="binary"),
    pytest.param(
        lambda ls: [ls[0].replace(b'"format":1', b'"format":9'), *ls[1:]], 1, "format 9", id="another format"
    ),
]


@pytest.mark.parametrize(("damage", "line", "problem"), DAMAGE)
def test_damage_is_refused_with_its_line(
    lines: Lines, tmp_path: Path, damage: Callable[[Lines], Lines], line: int | None, problem: str
) -> None:
    path = tmp_path / "damaged"
    damaged = damage(lines)
    path.write_bytes(b"".join(damaged))

    with pytest.raises(TraceError, match=problem) as refused:
        _read(path)

    if line is not None:
        assert refused.value.line == line
        assert f"{path}:{line}: " in str(refused.value)
    assert isinstance(refused.value, ConfigError)


def test_nothing_is_handed_out_before_it_is_proved(lines: Lines, tmp_path: Path) -> None:
    path = tmp_path / "damaged"
    path.write_bytes(b"".join([*lines[:300], lines[300].replace(b"1", b"2"), *lines[301:]]))

    handed_out: list[int] = []
    with Trace.open(path) as trace, pytest.raises(TraceError):
        handed_out.extend(number for number, _ in trace.items())

    assert handed_out[-1] == MARK_EVERY


def test_a_sound_trace_is_read_to_its_end(lines: Lines, tmp_path: Path) -> None:
    path = tmp_path / "sound"
    path.write_bytes(b"".join(lines))
    marks = sum(line.startswith(b'{"t":"mark') for line in lines)

    with Trace.open(path) as trace:
        assert isinstance(trace.header, Header)
        assert sum(1 for _ in trace.items()) == len(lines) - marks - 2  # header and end


@pytest.mark.parametrize("name", ["absent", "."], ids=["no such file", "a folder"])
def test_what_cannot_be_read_is_a_trace_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(TraceError):
        Trace.open(tmp_path / name)
