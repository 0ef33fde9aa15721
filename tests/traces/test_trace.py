"""A trace that is not what was recorded is refused, and says where."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from processor.replay.trace import MARK_EVERY, Header, TraceError
from processor.replay.trace_file import Trace
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


@pytest.mark.parametrize("cut", [300, 511, 513], ids=["behind a line", "before a mark", "behind a mark"])
@pytest.mark.parametrize("torn", [0, 9], ids=["between lines", "inside a line"])
def test_a_trace_without_its_end_is_taken_up_to_its_last_mark_if_it_may_be_partial(
    lines: Lines, tmp_path: Path, cut: int, torn: int
) -> None:
    path = tmp_path / "cut"
    path.write_bytes(b"".join(lines[:cut])[: -torn or None])
    marks = [at for at in range(cut) if lines[at].startswith(b'{"t":"mark')]
    proved = [at for at in marks if at < cut - (torn > 0)][-1]

    with Trace.open(path, partial=True) as trace:
        taken = [number for number, _ in trace.items()]

    assert taken[-1] == proved  # the mark itself is no item, and lines are numbered from 1
    assert len(taken) == proved - marks.index(proved) - 1
    assert f"lines {proved + 2} to" in trace.missing or cut == proved + 1


def _lost(lines: Lines) -> Lines:
    return _sealed([*lines[:300], b'{"t":"lost","reason":"the disk failed"}\n'])


def _sealed(lines: Lines) -> Lines:
    """The lines with marks and an end that prove them: what anybody can write."""
    told: Lines = []
    digest = hashlib.sha256()
    body = [line for line in lines if not line.startswith((b'{"t":"mark"', b'{"t":"end"'))]
    for number, line in enumerate([*body, b""], 1):
        last = not line
        told += [] if last else [line]
        digest.update(line)
        if last or number % MARK_EVERY == 0:
            seal = {"t": "end" if last else "mark", "lines": len(told), "sha256": digest.hexdigest()}
            told.append(msgspec.json.encode(seal) + b"\n")
            digest.update(told[-1])
    return told


def test_a_trace_whose_recording_stopped_is_not_whole(lines: Lines, tmp_path: Path) -> None:
    path, taken = tmp_path / "lost", []
    path.write_bytes(b"".join(_lost(lines)))

    with (
        Trace.open(path) as trace,
        pytest.raises(TraceError, match="the disk failed") as refused,
    ):
        taken.extend(number for number, _ in trace.items())

    assert taken[-1] == refused.value.line == 301
    with Trace.open(path, partial=True) as trace:
        assert [number for number, _ in trace.items()] == taken
        assert "the disk failed" in trace.missing


def _change(kind: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Lines], Lines]:
    """The first line of a kind, changed, and everything sealed anew."""

    def damage(lines: Lines) -> Lines:
        key, _, member = kind.partition(" ")
        at = next(
            at
            for at, line in enumerate(lines)
            if msgspec.json.decode(line)["t"] == key and member.encode() in line
        )
        told = msgspec.json.decode(lines[at])
        change(told)
        return _sealed([*lines[:at], msgspec.json.encode(told) + b"\n", *lines[at + 1 :]])

    return damage


def _without(kind: str) -> Callable[[Lines], Lines]:
    def damage(lines: Lines) -> Lines:
        at = next(at for at, line in enumerate(lines) if line.startswith(b'{"t":"%s"' % kind.encode()))
        return _sealed(lines[:at] + lines[at + 1 :])

    return damage


FORGED: list[Any] = [
    pytest.param(_change("trace", lambda h: h.update(secret="zz")), "secret", id="a secret that is no key"),
    pytest.param(_change("trace", lambda h: h.update(secret="")), "secret", id="no secret"),
    pytest.param(_change("trace", lambda h: h.update(secret="ab")), "secret", id="a short secret"),
    pytest.param(_change("trace", lambda h: h.update(profiles=[])), "profiles", id="no networks"),
    pytest.param(
        _change("trace", lambda h: h.update(profiles=h["profiles"] * 2)), "two networks", id="a network twice"
    ),
    pytest.param(_change("trace", lambda h: h.update(kind="raw")), "not a frame of a raw", id="raw, it says"),
    pytest.param(
        _change("trace", lambda h: h.update(sequence=10**9)), "after record", id="records of before"
    ),
    pytest.param(_without("in"), "frame 2 after frame 0", id="without its first frame"),
    pytest.param(_change("in", lambda i: i.update(n=0)), "frame|n`", id="a frame 0"),
    pytest.param(_change("in", lambda i: i.update(n=2)), "frame 2 after frame 0", id="a frame too soon"),
    pytest.param(_change("in", lambda i: i.update(network="x")), "not in the header", id="a strange network"),
    pytest.param(_change("in", lambda i: i.update(header="xyz")), "header", id="a header that is no hex"),
    pytest.param(_change("in", lambda i: i.update(silent=[999])), "frame 999", id="silence about nothing"),
    pytest.param(_change("facts", lambda f: f.update(n=99999)), "frame 99999", id="a verdict about nothing"),
    pytest.param(_change("durable", lambda d: d.update(late=[99999])), "frame 99999", id="late for nothing"),
    pytest.param(_change("in", lambda i: i.update(ms=10**18)), "ms", id="a time beyond all calendars"),
    pytest.param(_change("out", lambda o: o.update(n=99999)), "not waiting", id="an answer to nothing"),
    pytest.param(_change("out echo", lambda o: o["echo"].append(120)), "element 120", id="a strange echo"),
    pytest.param(_change("out", lambda o: o.update(header="zz")), "header", id="a reply's header"),
    pytest.param(
        _change(
            "start transactions",
            lambda s: [t.__setitem__(2, "account:x") for t in s["transactions"].values()],
        ),
        "another account|an account",
        id="a transaction on a strange account",
    ),
    pytest.param(
        _change("start accounts", lambda s: s["accounts"][0].__setitem__(3, -1)),
        "accounts",
        id="less than no holds",
    ),
    pytest.param(_change("start accounts", lambda s: s.pop("accounts")), "an account", id="a card's account"),
    pytest.param(
        _change("start transactions", lambda s: s.pop("transactions")), "a transaction", id="what a key names"
    ),
]


@pytest.mark.parametrize(("damage", "problem"), FORGED)
def test_a_sealed_trace_that_contradicts_itself_is_refused(
    lines: Lines, tmp_path: Path, damage: Callable[[Lines], Lines], problem: str
) -> None:
    path = tmp_path / "forged"
    path.write_bytes(b"".join(damage(lines)))

    with pytest.raises(TraceError, match=problem) as refused:
        _read(path)

    assert refused.value.line > 0


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
