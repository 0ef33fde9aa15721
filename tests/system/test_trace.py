"""``standin serve --trace`` with real processes: what was recorded gives the same answers again, elsewhere."""

from pathlib import Path
from typing import Any

import pytest

from processor.replay.frozen import Pair, replay
from processor.replay.trace import Lapsed, TraceError, Verified
from processor.replay.trace_file import Trace
from rules.policy import Policy, parse_policy

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
TEST_BINS = '["400000"]'


def _pairs(path: Path, policy: Policy | None = None) -> list[Pair]:
    with Trace.open(path) as trace:
        return list(replay(trace, policy))


def _different(pairs: list[Pair]) -> list[Pair]:
    return [pair for pair in pairs if pair.expected != pair.got]


def _until_answered(link: Any, questions: list[Any]) -> list[Any]:
    link.send(*questions)
    return [link.receive() for _ in questions]


@pytest.fixture
def cards(issuer: Any, tmp_path: Path) -> tuple[list[Any], Path]:
    """Ten cards, and their deck."""
    cards = [issuer.card(balance_minor=60_000) for _ in range(10)]
    return cards, issuer.deck(tmp_path)


@pytest.mark.parametrize("how", ["--trace", "--trace-raw"])
def test_a_trace_of_everything_that_happens_replays_without_a_difference(
    launch: Any, hsm: Any, till: Any, cards: tuple[list[Any], Path], connect: Any, tmp_path: Path, how: str
) -> None:
    """Two links race for the same cards, with repeats, reversals also of what was before, and rubbish."""
    held, deck = cards
    state, trace = tmp_path / "state", tmp_path / "trace"
    before = launch.serving(state, hsm, deck)
    earlier = [till.purchase(card, 7_000, "chip", "right") for card in held]
    approved = _until_answered(connect(before), earlier)
    before.stop()
    serving = launch.processor(state, hsm.address, more=(how, str(trace)), TRACE__TEST_BINS=TEST_BINS).ready()
    serving.log.wait_for("hsm connected")
    links = [connect(serving) for _ in range(2)]

    for link in links:
        link.send(till.signal("071"))
    for number, card in enumerate(held):
        first = till.purchase(card, 9_000, "stripe", "right" if number % 2 else "wrong")
        second = till.purchase(card, 30_000 + number, "wrong web" if number % 3 else "web")
        links[0].send(first, second, till.repeat(first), till.repeat(earlier[number]))
        links[1].send(till.repeat(first), till.reversal(second), till.purchase(card, 20_000, "wrong chip"))
        links[1].send(till.reversal(earlier[number], approved[number].elements[38]))
    links[0].send(
        till.purchase(held[0], de49="999"), till.signal("072"), till.purchase(held[1]), till.signal("071")
    )
    links[1].send(till.purchase(held[2], de3="990000"))
    counts = (1 + 4 * len(held) + 4, 1 + 4 * len(held) + 1)
    for link, count in zip(links, counts, strict=True):
        for _ in range(count):
            link.receive()
    serving.stop()

    pairs = _pairs(trace)
    assert len(pairs) == sum(counts)
    assert _different(pairs) == []
    told = trace.read_text()
    pans = [card.card.pan for card in held]
    assert [pan in told for pan in pans] == [how == "--trace-raw"] * len(pans)


def test_a_silent_hsm_and_passed_deadlines_replay_without_a_difference(
    launch: Any, silent_hsm: Any, till: Any, cards: tuple[list[Any], Path], connect: Any, tmp_path: Path
) -> None:
    held, deck = cards
    trace = tmp_path / "trace"
    serving = launch.processor(
        tmp_path / "state", silent_hsm.address, deck, more=("--trace", str(trace)), HSM__TIMEOUT_MS="300"
    ).ready()
    serving.log.wait_for("hsm connected")
    link = connect(serving)

    replies = _until_answered(link, [till.purchase(card, 500, "chip", "right") for card in held])
    serving.stop()

    assert {reply.elements[39] for reply in replies} == {"91"}
    assert _different(_pairs(trace)) == []
    with Trace.open(trace) as items:
        kinds = {type(item) for _, item in items.items()}
    assert Verified in kinds or Lapsed in kinds


def test_a_trace_under_load_replays_and_another_limit_changes_just_what_it_must(
    launch: Any, tmp_path: Path, hsm: Any
) -> None:
    deck, pins, trace = tmp_path / "deck.jsonl", tmp_path / "pins.jsonl", tmp_path / "trace"
    address = f"{hsm.address[0]}:{hsm.address[1]}"
    make = ("deck", "make", "--cards", "200", "--seed", "3", "--hsm", address)
    assert launch.command(*make, "--out", str(deck), "--pins", str(pins)).ended() == 0
    serving = launch.processor(tmp_path / "state", hsm.address, deck, more=("--trace", str(trace))).ready()
    serving.log.wait_for("hsm connected")
    target = f"{serving.address[0]}:{serving.address[1]}"
    load = ("--rate", "300", "--seconds", "4", "--seed", "3", "--links", "3")
    load += ("--deck", str(deck), "--pins", str(pins))
    said = launch.command("simulate", "--target", target, "--network", "visa-like", *load)
    assert said.ended() == 0, said.out.all()
    serving.stop()

    pairs = _pairs(trace)
    assert len(pairs) > 1000
    assert _different(pairs) == []

    policy = (ROOT / "examples" / "stand-in.toml").read_text()
    lower = parse_policy(policy.replace("max_minor = 200_000 ", "max_minor = 20_000 "), "lower")
    changed = _pairs(trace, lower)
    first = _different(changed)[0]
    assert first.outcome is not None
    assert "amount_limit" in {
        verdict.rule for verdict in first.outcome.verdicts if verdict.reason is not None
    }
    # what was approved above the limit is refused now, and nothing else that was approved is
    approved = [p for p in changed if p.asked.mti[:3] in {"010", "020"} and _code(p.expected) == "00"]
    above = {p.n for p in approved if int(p.asked.elements.get(6) or p.asked.elements[4]) > 20_000}
    assert above
    assert {p.n for p in _different(approved)} == above
    assert {_code(p.got) for p in approved if p.n in above} == {"61"}
    told = trace.read_bytes()
    pans = [line.split(b'"')[3] for line in deck.read_bytes().splitlines()]
    assert [pan for pan in pans if pan in told] == []


def _code(message: Any) -> str:
    return "" if message is None else str(message.elements[39])


def test_a_start_that_fails_leaves_no_trace(launch: Any, hsm: Any, tmp_path: Path) -> None:
    taken = launch.processor(tmp_path / "one", hsm.address).ready()
    port = f"mc-like={taken.address[0]}:{taken.address[1]}"

    child = launch.processor(
        tmp_path / "two", hsm.address, more=("--listen", port, "--trace", str(tmp_path / "trace"))
    )

    assert child.ended() == 1
    assert not (tmp_path / "trace").exists()


def test_a_killed_processor_leaves_a_trace_that_says_it_has_no_end(
    launch: Any, hsm: Any, till: Any, cards: tuple[list[Any], Path], connect: Any, tmp_path: Path
) -> None:
    held, deck = cards
    trace = tmp_path / "trace"
    serving = launch.processor(tmp_path / "state", hsm.address, deck, more=("--trace", str(trace))).ready()
    _until_answered(connect(serving), [till.purchase(card) for card in held])
    serving.kill()

    with pytest.raises(TraceError, match=r"without its end|cut inside"):
        _pairs(trace)


def test_a_processor_that_is_started_again_with_the_same_words_records_into_the_next_file(
    launch: Any, hsm: Any, till: Any, cards: tuple[list[Any], Path], connect: Any, tmp_path: Path
) -> None:
    held, deck = cards
    trace = tmp_path / "trace"
    first = launch.processor(tmp_path / "state", hsm.address, deck, more=("--trace", str(trace))).ready()
    _until_answered(connect(first), [till.purchase(card) for card in held])
    first.kill()
    kept = trace.read_bytes()

    again = launch.processor(tmp_path / "state", hsm.address, deck, more=("--trace", str(trace))).ready()
    _until_answered(connect(again), [till.purchase(card) for card in held])
    again.stop()

    assert trace.read_bytes() == kept
    assert len(_pairs(tmp_path / "trace.1")) == len(held)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        pytest.param(("--trace-raw", "{new}"), "trace.test_bins", id="raw without test BINs"),
        pytest.param(("--trace", "{new}", "--trace-raw", "{new}2"), "only one of them", id="both"),
        pytest.param(("--trace", "{new}/deeper/trace"), "No such file", id="in no folder"),
    ],
)
def test_a_trace_that_cannot_be_made_is_refused_before_anything_is_served(
    launch: Any, hsm: Any, tmp_path: Path, options: tuple[str, ...], problem: str
) -> None:
    (tmp_path / "old").write_text("precious")
    more = tuple(option.format(new=tmp_path / "new", old=tmp_path / "old") for option in options)

    child = launch.processor(tmp_path / "state", hsm.address, more=more)

    assert child.ended() == 2
    assert problem in "\n".join(child.log.all())
    assert (tmp_path / "old").read_text() == "precious"
    assert not (tmp_path / "new").exists()
