"""What to send, in the order of the trace: from a raw trace's frames and replies, or from hex lines."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import msgspec

from processor.networks.profile import Profile
from processor.replay.trace import Arrived, Sent
from processor.replay.trace_file import Trace
from processor.values.errors import ConfigError

_SCRUBBED = (
    "a scrubbed trace has neither the cards nor their PIN blocks and cannot be sent; replay it without"
    " --target, or record with --trace-raw"
)
_NONE = "-"
_AHEAD_MAX = 16_384  # frames that may come between a frame and its reply


class Cue(msgspec.Struct, frozen=True):
    """One frame to send, and the reply it had; both without their length prefix.

    ``number`` is the frame's, ``line`` where it stands in the file, ``at_ms`` when it came, in wall
    milliseconds. ``expected`` is None where nothing was replied; ``known`` is false where nobody knows what
    was. ``last`` says that the recorded link has no frame after this one.
    """

    number: int
    line: int
    link: int
    network: str
    at_ms: int
    frame: bytes
    expected: bytes | None
    known: bool = True
    last: bool = False


class Survey(msgspec.Struct, frozen=True):
    """A trace read once from end to end, before anything of it is sent.

    ``profiles`` are the recorded networks', ``frames`` counts by network, ``last`` is each link's last frame,
    ``missing`` why there is no more of it, of one that may be partial.
    """

    profiles: dict[str, Profile]
    frames: dict[str, int]
    last: dict[int, int]
    missing: str


def survey(path: Path, *, partial: bool = False) -> Survey:
    """Check a whole trace, or what there is of it.

    Raises:
        TraceError: it is not as it was recorded, or not whole and may not be ``partial``.
        ConfigError: it is scrubbed.
    """
    frames: dict[str, int] = {}
    last: dict[int, int] = {}
    with Trace.open(path, partial=partial) as trace:
        if trace.header.kind != "raw":
            raise ConfigError([f"{path}: {_SCRUBBED}"])
        profiles = {profile.name: profile for profile in trace.header.profiles}
        for _, item in trace.items():  # noqa: PERF102 - no dictionary's
            if isinstance(item, Arrived):
                frames[item.network] = frames.get(item.network, 0) + 1
                last[item.link] = item.n
    return Survey(profiles, frames, last, trace.missing)


def trace_cues(path: Path, surveyed: Survey, networks: frozenset[str]) -> Iterator[Cue]:
    """The frames of these networks, each with its reply; reads ahead no further than to the replies."""
    ahead: deque[tuple[int, Arrived]] = deque()
    replies: dict[int, Sent] = {}
    awaited: set[int] = set()
    with Trace.open(path, partial=bool(surveyed.missing)) as trace:
        for line, item in trace.items():
            if isinstance(item, Arrived) and item.network in networks:
                ahead.append((line, item))
                awaited.add(item.n)
            elif isinstance(item, Sent) and item.n in awaited:
                replies[item.n] = item
            while ahead and (ahead[0][1].n in replies or len(ahead) > _AHEAD_MAX):
                yield _trace_cue(*ahead.popleft(), replies, awaited, surveyed)
    for line, arrived in ahead:
        yield _trace_cue(line, arrived, replies, awaited, surveyed)


def _trace_cue(
    line: int, arrived: Arrived, replies: dict[int, Sent], awaited: set[int], surveyed: Survey
) -> Cue:
    awaited.discard(arrived.n)
    reply = replies.pop(arrived.n, None)
    sent = bytes.fromhex(reply.hex) if reply is not None and reply.hex else None
    return Cue(
        arrived.n, line, arrived.link, arrived.network, arrived.ms, bytes.fromhex(arrived.hex), sent,
        known=not surveyed.missing if reply is None else reply.what != "gone",
        last=surveyed.last[arrived.link] == arrived.n,
    )  # fmt: skip


def hex_lines(path: Path, network: str) -> Iterator[Cue]:
    """The cues of a file of hex lines: ``FRAME``, or ``FRAME REPLY``, or ``FRAME -`` where none is expected.

    All are of one link. Blank lines and lines that begin with ``#`` are skipped.

    Raises:
        ConfigError: a line is something else, or there is none.
    """
    number = 0
    with path.open(encoding="ascii", errors="replace") as lines:
        for line, text in enumerate(lines, 1):
            words = text.split()
            if not words or words[0].startswith("#"):
                continue
            number += 1
            yield _hex_cue(words, number, network, f"{path}:{line}", line)
    if not number:
        raise ConfigError([f"{path}: no frames in it"])


def _hex_cue(words: list[str], number: int, network: str, where: str, line: int) -> Cue:
    if len(words) > 2:
        raise ConfigError([f"{where}: must be FRAME or FRAME REPLY, in hexadecimal"])
    frame, *reply = words
    expected = None if not reply or reply[0] == _NONE else _bytes(reply[0], where)
    return Cue(number, line, 1, network, 0, _bytes(frame, where), expected, known=bool(reply))


def _bytes(text: str, where: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ConfigError([f"{where}: not hexadecimal"]) from None
