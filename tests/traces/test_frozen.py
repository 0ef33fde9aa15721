"""A replay gives every recorded answer again; under other rules it gives the others, and says why."""

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from processor.core import executor
from processor.replay import frozen
from processor.replay.frozen import Pair, replay
from processor.replay.trace import Arrived, Lapsed, Start, TraceError
from processor.replay.trace_file import Trace
from processor.values.clock import DAY_MS
from processor.values.errors import DecodeError
from processor.values.reasons import Reason
from rules.policy import Policy, parse_policy

Recorded = Callable[..., tuple[Path, Any]]

NETWORKS = ("visa-like", "mc-like", "iso87-ascii")


def _replay(path: Path, policy: Policy | None = None) -> list[Pair]:
    with Trace.open(path) as trace:
        return list(replay(trace, policy))


def _different(pairs: list[Pair]) -> list[Pair]:
    return [pair for pair in pairs if pair.expected != pair.got]


@pytest.mark.parametrize("raw", [False, True], ids=["scrubbed", "raw"])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("seed", range(3))
def test_every_answer_is_given_again(recorded: Recorded, network: str, seed: int, *, raw: bool) -> None:
    path, branch = recorded(seed, network, raw=raw)

    pairs = _replay(path)

    assert _different(pairs) == []
    assert len(pairs) == branch.answers


def test_the_traces_that_are_given_again_have_everything_in_them(recorded: Recorded) -> None:
    seen: Counter[str] = Counter()
    for seed, network in enumerate(NETWORKS * 2):
        path, _ = recorded(seed, network)
        with Trace.open(path) as trace:
            for _, item in trace.items():  # noqa: PERF102 - not a dict
                seen.update(_traits(item))
        seen.update(str(pair.got and pair.got.elements[39]) for pair in _replay(path))

    traits = {"lapse", "late", "shed", "silent", "refused", "transactions", "postings", "names", "answers"}
    codes = {"00", "05", "12", "13", "14", "30", "51", "55", "91", "94", "N0", "N7", "None"}
    assert (traits | codes) - set(seen) == set()


def _traits(item: object) -> list[str]:
    found = [
        name
        for name in ("late", "shed", "silent", "refused", "names", "answers")
        if getattr(item, name, None)
    ]
    found += ["lapse"] if isinstance(item, Lapsed) else []
    if isinstance(item, Start) and item.transactions:
        found.append("transactions")
        found += ["postings"] if any(t.postings for t in item.transactions.values()) else []
    return found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("max_minor = 200_000 ", "max_minor = 50_000 ", id="a lower limit"),
        pytest.param("max_minor = 200_000 ", "max_minor = 10_000 ", id="a much lower one"),
    ],
)
def test_under_another_policy_exactly_what_it_refuses_is_answered_otherwise(
    crowded: Callable[..., Any], tmp_path: Path, old: str, new: str
) -> None:
    branch, crowd = crowded(1)
    path = tmp_path / "trace"
    recorder = branch.record(path)
    for _ in range(60):
        crowd.buy()
    branch.finish()
    recorder.close()
    policy = parse_policy(branch.policy.replace(old, new), "changed")
    limit = int(new.split("=")[1])

    pairs = _replay(path, policy)

    # what follows from a refusal is another balance, so look at those that were approved
    approved = [pair for pair in pairs if pair.expected is not None and pair.expected.elements[39] == "00"]
    above = {pair.n for pair in approved if int(pair.asked.elements[4]) > limit}
    assert above
    assert {pair.n for pair in _different(approved)} == above
    for pair in approved:
        if pair.n in above:
            assert pair.got is not None
            assert pair.outcome is not None
            assert pair.got.elements[39] == "61"
            refusing = [v.rule for v in pair.outcome.verdicts if v.reason is Reason.AMOUNT_LIMIT]
            assert refusing == ["amount_limit"]
            assert pair.refused == ()


def test_the_verdicts_that_refused_are_in_the_trace(recorded: Recorded) -> None:
    path, _ = recorded(2)

    pairs = _replay(path)

    short = [p for p in pairs if p.expected is not None and p.expected.elements[39] == "51" and p.refused]
    assert short
    assert all("funds" in {verdict.rule for verdict in pair.refused} for pair in short)


def test_what_is_approved_only_now_gets_a_code_of_the_traces_own(
    crowded: Callable[..., Any], tmp_path: Path
) -> None:
    branch, crowd = crowded(1, policy={"max_minor = 200_000 ": "max_minor = 50_000 "})
    path = tmp_path / "trace"
    recorder = branch.record(path)
    for _ in range(60):
        crowd.buy()
    branch.finish()
    recorder.close()
    lenient = parse_policy(branch.policy.replace("max_minor = 50_000 ", "max_minor = 200_000 "), "lenient")

    codes, again = (
        [p.got.elements.get(38) for p in _different(_replay(path, lenient)) if p.got] for _ in "12"
    )

    given = [code for code in codes if code is not None]
    assert len(given) == len(set(given)) > 5
    assert codes == again


def test_a_hold_of_before_expires_first_in_a_replay_too(crowded: Callable[..., Any], tmp_path: Path) -> None:
    """What it held is spent by the first purchase of the trace."""
    branch, crowd = crowded(1)
    pan, balance_minor = next(
        (p, m) for p, m in zip(branch.pans, branch.balances, strict=False) if m < 200_000
    )
    crowd.buy(pan, balance_minor)
    branch.clock.advance(8 * DAY_MS)
    recorder = branch.record(tmp_path / "trace")
    crowd.buy(pan, balance_minor)
    branch.finish()
    recorder.close()

    (pair,) = _replay(tmp_path / "trace")

    assert pair.expected is not None
    assert pair.expected.elements[39] == "00"
    assert pair.got == pair.expected


def test_the_hsms_silence_is_part_of_what_happened(crowded: Callable[..., Any], tmp_path: Path) -> None:
    """A question that could not be asked was decided at once: before the one that came next for its card."""
    branch, crowd = crowded(1)
    recorder = branch.record(tmp_path / "trace")
    branch.hsm.reachable = False
    for _ in range(3):
        crowd.swipe(branch.pans[0])
    branch.finish()
    recorder.close()

    with Trace.open(tmp_path / "trace") as trace:
        silent = [item.silent for _, item in trace.items() if isinstance(item, Arrived)]
    assert silent == [(1,), (2,), (3,)]
    assert _different(_replay(tmp_path / "trace")) == []


@pytest.mark.parametrize(
    "value", ["TXX", "T9299919", "T92039A9", "T920", "T00", "T6315MCC0000011118  9", "ZZ", "T4203XXX"]
)
def test_an_element_with_broken_parts_is_answered_as_it_was(
    crowded: Callable[..., Any], tmp_path: Path, value: str
) -> None:
    branch, crowd = crowded(1, "mc-like")
    recorder = branch.record(tmp_path / "trace")
    crowd.buy()
    mti, elements = crowd.said[-1]
    for number, kind in enumerate((mti, "0120", "0400"), 1):
        branch.handle(branch.frame(kind, elements | {11: f"90000{number}", 37: f"RRN{number:09}", 48: value}))
    branch.finish()
    recorder.close()

    pairs = _replay(tmp_path / "trace")

    assert len(pairs) == branch.answers > 1
    assert _different(pairs) == []


def _forged(path: Path, to: Path, change: Callable[[dict[str, Any]], object], kind: str) -> None:
    """The trace with the first line of a kind changed, sealed anew."""
    lines = path.read_bytes().splitlines(keepends=True)
    at = next(at for at, line in enumerate(lines) if all(part in line for part in kind.encode().split()))
    told = msgspec.json.decode(lines[at])
    change(told)
    lines[at] = msgspec.json.encode(told) + b"\n"
    between = to.with_suffix(".unsealed")
    between.write_bytes(b"".join(lines))
    _rewrite(between, to, lambda _: True)


def test_a_message_that_no_codec_could_have_read_is_a_format_error(
    recorded: Recorded, tmp_path: Path
) -> None:
    path, branch = recorded(1)
    forged = tmp_path / "forged"
    _forged(
        path,
        forged,
        lambda item: item["elements"].update({"4": "12 dollars"}),
        '"t":"in" "did": "mti":"0100" "4":',
    )

    pairs = _replay(forged)

    assert len(pairs) == branch.answers
    codes = [pair.got.elements[39] for pair in _different(pairs) if pair.got]
    assert codes[0] == "30"


def test_a_recorded_reply_that_cannot_be_read_is_another_than_todays(
    recorded: Recorded, tmp_path: Path
) -> None:
    path, branch = recorded(1, raw=True)
    forged = tmp_path / "forged"
    _forged(path, forged, lambda item: item.update(hex=item["hex"][:-2]), '"t":"out" "hex":')

    pairs = _replay(forged)

    assert len(pairs) == branch.answers
    assert len(_different(pairs)) == 1


def test_holds_that_an_account_has_not_are_refused(recorded: Recorded, tmp_path: Path) -> None:
    path, _ = recorded(1)
    forged = tmp_path / "forged"

    def change(item: dict[str, Any]) -> None:
        for transaction in item["transactions"].values():
            transaction[8], transaction[10] = False, {}
            transaction[11:18] = [10**12, None, False, False, None, False, False]  # approved by us, and open

    _forged(path, forged, change, '"t":"start" "transactions":')

    with pytest.raises(TraceError, match="more holds of an account"):
        _replay(forged)


def test_a_fault_of_our_own_is_not_blamed_on_the_trace(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = recorded(1, steps=50)
    monkeypatch.setattr(frozen.Desk, "admit", lambda *_: {}["ours"])

    with pytest.raises(KeyError) as raised:
        _replay(path)

    assert any("line " in note for note in raised.value.__notes__)


def test_todays_code_may_read_less_and_answer_less(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the recorded reply echoes is in the trace, whatever is made of the frame now."""
    path, branch = recorded(1, steps=100)
    monkeypatch.setattr(frozen.Recogniser, "recognise", _unreadable)

    pairs = _replay(path)

    assert len(pairs) == branch.answers
    assert all(pair.expected is None or pair.expected.elements for pair in pairs)
    assert sum(pair.got is None for pair in pairs) > len(pairs) / 2


def _unreadable(*_: object) -> None:
    raise DecodeError(0, "not today")


def test_replaying_twice_gives_the_same(recorded: Recorded) -> None:
    path, _ = recorded(3, "mc-like")

    first, second = _replay(path), _replay(path)

    assert first == second


def test_another_version_of_the_logic_is_refused_unless_it_is_asked_for(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, branch = recorded(0, steps=50)
    monkeypatch.setattr(frozen, "LOGIC", executor.LOGIC + 1)

    with Trace.open(path) as trace, pytest.raises(TraceError, match="logic version 1, and this is 2"):
        list(replay(trace))
    with Trace.open(path) as trace:
        assert len(list(replay(trace, other_logic=True))) == branch.answers


def test_code_that_asks_the_hsm_for_more_is_told_that_nobody_knows(
    recorded: Recorded, tmp_path: Path
) -> None:
    """The verdicts of a frame are taken out of the trace: the replay ends, and answers 91 where it matters."""
    path, branch = recorded(4)
    cut = tmp_path / "cut"
    _rewrite(path, cut, lambda item: b'"t":"facts"' not in item)

    pairs = _replay(cut)

    assert len(pairs) == branch.answers
    assert {pair.got.elements[39] for pair in _different(pairs) if pair.got is not None} >= {"91"}


def test_what_waits_for_a_lost_disk_is_answered_when_it_was(recorded: Recorded, tmp_path: Path) -> None:
    path, branch = recorded(4, steps=300)
    cut = tmp_path / "cut"
    _rewrite(path, cut, lambda item: b'"t":"durable"' not in item or b'"late"' in item)

    pairs = _replay(cut)

    assert len(pairs) == branch.answers
    assert all(pair.got is not None or pair.expected is None for pair in pairs)


def _rewrite(path: Path, to: Path, keep: Callable[[bytes], bool]) -> None:
    """The trace without some of its items, sealed anew."""
    digest, lines = hashlib.sha256(), []
    body = [
        raw
        for raw in path.read_bytes().splitlines(keepends=True)
        if not raw.startswith((b'{"t":"mark', b'{"t":"end'))
    ]
    for number, raw in enumerate(filter(keep, body), 1):
        lines.append(raw)
        digest.update(raw)
        if number % 256 == 0:
            mark = (
                msgspec.json.encode({"t": "mark", "lines": len(lines), "sha256": digest.hexdigest()}) + b"\n"
            )
            lines.append(mark)
            digest.update(mark)
    lines.append(msgspec.json.encode({"t": "end", "lines": len(lines), "sha256": digest.hexdigest()}) + b"\n")
    to.write_bytes(b"".join(lines))
