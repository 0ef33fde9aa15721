"""``standin replay``: a recorded trace again, in process or against a live host, and what differs now."""

import math
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Protocol

import cyclopts
import msgspec

from processor.iso8583.dialect import Dialect
from processor.networks.adapters import DIALECTS
from processor.networks.profile import Profile
from processor.replay import frozen
from processor.replay.compare import EXACTLY, FieldRule, FieldRules, parse_rule, parse_rules
from processor.replay.report import Run, as_object, page, text
from processor.replay.tally import Exchange, Tally
from processor.replay.trace_file import Trace
from processor.services.live_replay.job import LiveJob
from processor.services.live_replay.lane import TargetError
from processor.services.live_replay.replay import Pace
from processor.values.clock import SystemClock
from processor.values.errors import ConfigError
from rules.policy import load_policy

_MORE = """
Without ``--target`` the trace runs again in process, frozen: clock, HSM verdicts and order of events are the
recorded ones, and every reply is compared exactly. With ``--target`` a raw trace
(``standin serve --trace-raw``) is sent to a host: one connection for each recorded link, in its order, at the
recorded pace. A reversal, advice or repeat waits for the reply to the message that it names, and a message
for those of its card on other links; a DE 38 that the recorded host gave is sent as the one that this host
gave. The host should begin as the recorded one did: the same cards, fresh books.

Replies are matched by the network's keys and compared under field rules: ``exact``, ``ignore``, ``echo``
(equal to the request's; anything where the request has none), ``present`` (there or absent as before, any
value) and ``shape:REGEX``. Live, DE 7, 12, 13, 15 and 37 are ``echo``, 38 is ``shape:[0-9A-Z]{6}``, 64 and
128 are ``ignore``; everything else, and everything frozen, is ``exact``. A rules file is TOML with one table,
``[rules]``, and lines such as ``44 = "present"`` or ``header = "ignore"``.

FILE may also be hex lines: a frame without its length prefix, then, if it is known, the reply in a second
column (``-``: none is expected). They are sent one at a time unless there is a ``--rate``; where no reply is
known the report counts what came.

A trace is whole when the processor that recorded it has stopped and nothing was lost. One that is not is
replayed up to where it is whole, and that is an error all the same, unless it may be ``--partial``.

Exit code 0 when there are no differences, 1 when there are, 2 when the file cannot be replayed or a host
cannot be reached, stops answering or closes; what was compared before that is still reported.
"""

app = cyclopts.App(name="replay", help_epilogue=_MORE)

INTERRUPTED = 130  # what a shell says of a command that Ctrl-C ended

_RATE_MIN, _RATE_MAX, _SPEED_MIN = 0.01, 1_000_000, 0.001  # slower is silence, not a replay

_HEX_BEGINS = {b"%c" % character for character in b"0123456789abcdefABCDEF#"}
Positive = Annotated[float, cyclopts.Parameter(validator=cyclopts.validators.Number(gt=0))]
Words = Annotated[tuple[str, ...], cyclopts.Parameter(negative="")]


@app.default
def replay(
    file: Path,
    *,
    policy: Path | None = None,
    allow_logic: Annotated[bool, cyclopts.Parameter(negative="")] = False,
    partial: Annotated[bool, cyclopts.Parameter(negative="")] = False,
    target: Words = (),
    network: str = "",
    speed: Positive | None = None,
    rate: Positive | None = None,
    one_at_a_time: Annotated[bool, cyclopts.Parameter(negative="")] = False,
    max_gap: Positive | None = None,
    timeout: Positive = 10.0,
    hex: Annotated[bool, cyclopts.Parameter(negative="")] = False,  # noqa: A002 - the option's name
    rule: Words = (),
    rules: Path | None = None,
    examples: Annotated[int, cyclopts.Parameter(validator=cyclopts.validators.Number(gte=1, lte=100))] = 3,
    json: bool = False,
    html: Path | None = None,
) -> None:
    """Replay FILE and report what is answered differently: first divergence first, then alike together.

    Example: standin replay yesterday.jsonl --html yesterday.html

    Example: standin replay yesterday.jsonl --policy examples/stand-in.toml

    Example: standin replay raw.jsonl --target 127.0.0.1:8583 --speed 10 --rule 44=ignore

    Args:
        file: The trace, or hex lines.
        policy: Frozen: decide under this policy in place of the recorded one.
        allow_logic: Frozen: also replay a trace of another version of the decision logic.
        partial: Also replay a trace that is not whole, up to where it is.
        target: HOST:PORT of a card port, or NETWORK=HOST:PORT; may be repeated, one for each network.
        network: Send only this network's frames; needed for hex lines.
        speed: So many times the recorded pace; inf sends without pauses.
        rate: Instead: frames a second, 0.01 to 1,000,000.
        one_at_a_time: Instead: each frame after the reply to the one before.
        max_gap: Shorten longer pauses of the recording to so many seconds.
        timeout: Seconds to wait for a reply.
        hex: FILE is hex lines, whatever it looks like.
        rule: ELEMENT=RULE, over the rules file; may be repeated. ELEMENT is a number, mti or header.
        rules: The rules file.
        examples: How many examples of each difference to keep.
        json: Print one JSON object in place of text.
        html: Also write the report as one HTML page, to this file.
    """
    given = _given_rules(rule, rules)
    _check_writable(html)
    job: _Job
    if target:
        if policy is not None or allow_logic:
            raise ConfigError(["--policy and --allow-logic: only for a replay without --target"])
        pace = _pace(speed, rate, max_gap, one_at_a_time=one_at_a_time)
        job = LiveJob(
            file, target, network, pace, timeout, as_hex=hex or _looks_like_hex(file), partial=partial
        )
    else:
        if network or speed or rate or one_at_a_time or max_gap or hex:
            raise ConfigError(
                ["--network, --speed, --rate, --one-at-a-time, --max-gap and --hex need a --target"]
            )
        job = _Frozen(file, policy, allow_logic=allow_logic, partial=partial)
    rules_of = {network: FieldRules(job.defaults, given) for network in job.dialects}
    tally = Tally(rules_of, job.dialects, examples)
    raise SystemExit(_replay(file, job, tally, as_json=json, html=html))


def _replay(file: Path, job: "_Job", tally: Tally, *, as_json: bool, html: Path | None) -> int:
    """Run the job and report, also when it ends early; the exit code."""
    clock = SystemClock()
    began_s = clock.monotonic_s()
    error, code = "", 0
    try:
        job.run(tally)
    except (ConfigError, TargetError) as failure:
        error, code = str(failure), 2
    except KeyboardInterrupt:
        error, code = "interrupted", INTERRUPTED
    if not (tally.frames or error):
        error, code = f"{file}: no frame in it that was answered: nothing was compared", 2
    seconds = clock.monotonic_s() - began_s
    run = Run(str(file), job.mode, job.policy, seconds, tuple(job.notes()), error)
    report = as_object(run, tally)
    if tally.frames or not error:
        _tell(report, as_json=as_json, html=html)
    if error:
        print(f"standin replay: {error}", file=sys.stderr)
    return code or int(bool(tally.findings))


def _tell(report: dict[str, Any], *, as_json: bool, html: Path | None) -> None:
    try:
        if html is not None:
            html.write_text(page(report), "utf-8")
        print(msgspec.json.encode(report).decode() if as_json else "\n".join(text(report)), flush=True)
    except BrokenPipeError:  # the reader has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise ConfigError([f"--html {html}: {error.strerror}"]) from None


class _Job(Protocol):
    """One way to replay a file: what it compares, and under which rules unless others are given."""

    dialects: Mapping[str, Dialect]
    defaults: Mapping[int, FieldRule]
    mode: str
    policy: str

    def run(self, tally: Tally) -> None:
        """Replay into the tally. Errors: ConfigError, TargetError."""
        ...

    def notes(self) -> Iterator[str]:
        """What a reader should know besides the findings."""
        ...


class _Frozen:
    """In process, every event as it was recorded."""

    defaults = EXACTLY
    mode = "frozen, in process"

    def __init__(self, file: Path, policy: Path | None, *, allow_logic: bool, partial: bool) -> None:
        if _looks_like_hex(file):
            raise ConfigError([f"{file}: not a trace; hex lines can only be sent to a --target"])
        with Trace.open(file) as trace:
            profiles = trace.header.profiles
        self.dialects: Mapping[str, Dialect] = {p.name: _dialect(p, file) for p in profiles}
        self.policy = str(policy) if policy else "the recorded policy"
        self._file = file
        self._policy = load_policy(policy) if policy else None
        self._allow_logic = allow_logic
        self._partial = partial
        self._missing = ""

    def run(self, tally: Tally) -> None:
        with Trace.open(self._file, partial=self._partial) as trace:
            for pair in frozen.replay(trace, self._policy, other_logic=self._allow_logic):
                tally.frames += 1
                tally.replied(_exchange(pair))
            self._missing = trace.missing

    def notes(self) -> Iterator[str]:
        if self._missing:
            yield f"the trace is not whole: {self._missing}"


def _dialect(profile: Profile, file: Path) -> Dialect:
    try:
        return DIALECTS[profile.dialect]
    except KeyError:
        raise ConfigError([f"{file}: {profile.name}: no dialect {profile.dialect!r} here"]) from None


def _exchange(pair: frozen.Pair) -> Exchange:
    now = pair.outcome.verdicts if pair.outcome is not None else ()
    return Exchange(
        pair.n, pair.line, pair.network, pair.asked, pair.expected, pair.got, before=pair.refused, now=now
    )


def _pace(speed: float | None, rate: float | None, max_gap: float | None, *, one_at_a_time: bool) -> Pace:
    if sum(map(bool, (speed, rate, one_at_a_time))) > 1:
        raise ConfigError(["--speed, --rate and --one-at-a-time: only one of them"])
    if rate is not None and not _RATE_MIN <= rate <= _RATE_MAX:
        raise ConfigError([f"--rate {rate:g}: must be from {_RATE_MIN} to {_RATE_MAX:,}"])
    if speed is not None and not speed >= _SPEED_MIN:
        raise ConfigError([f"--speed {speed:g}: must be {_SPEED_MIN} or more"])
    return Pace(speed or 1.0, rate or 0.0, one_at_a_time, max_gap or math.inf)


def _given_rules(texts: tuple[str, ...], file: Path | None) -> dict[int, FieldRule]:
    try:
        rules = parse_rules(file.read_text("utf-8"), str(file)) if file is not None else {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"--rules {file}: {error}"]) from None
    return rules | dict(map(parse_rule, texts))


def _looks_like_hex(file: Path) -> bool:
    """Whether the file begins as anything but an object of JSON."""
    try:
        with file.open("rb") as content:
            return content.read(64).lstrip()[:1] in _HEX_BEGINS
    except OSError as error:
        raise ConfigError([f"{file}: {error.strerror}"]) from None


def _check_writable(html: Path | None) -> None:
    """Better now than after an hour."""
    if html is not None and not html.parent.is_dir():
        raise ConfigError([f"--html {html}: the folder {html.parent} does not exist"])
