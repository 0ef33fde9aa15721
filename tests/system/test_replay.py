"""`standin replay` of traces that real processors recorded under load: frozen, and against live processors."""

import hashlib
import os
import re
import signal
import socket
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
BINS = '["400000", "520000"]'


def addresses(child: Any) -> dict[str, str]:
    """Where each network is served."""
    child.log.wait_for("hsm connected")
    return dict(line.split()[1:3] for line in child.out.containing("listening ") if "-like " in line)


def serving(launch: Any, hsm: Any, deck: Path, state: Path, *more: str, **settings: str) -> Any:
    child = launch.processor(
        state, hsm.address, deck, more=("--listen", "mc-like=127.0.0.1:0", *more), **settings
    )
    child.out.wait_for("mc-like ")
    return child.ready()


def replay(launch: Any, *arguments: str | Path) -> tuple[int, Any, list[str]]:
    """Exit code, the report, what stderr says."""
    child = launch.command("replay", *map(str, arguments), "--json")
    code = child.ended()
    out = child.out.all()
    return code, msgspec.json.decode(out[0]) if out else None, child.log.all()


def targets(child: Any) -> list[str]:
    return [text for name, address in addresses(child).items() for text in ("--target", f"{name}={address}")]


def policy(folder: Path, *, max_minor: int) -> Path:
    """The example policy with another limit for one transaction."""
    text = (ROOT / "examples" / "stand-in.toml").read_text()
    changed = re.sub(r"max_minor = 200_000\b", f"max_minor = {max_minor}", text)
    assert changed != text
    path = folder / "other.toml"
    path.write_text(changed)
    return path


@pytest.fixture(scope="module")
def recorded(launch_for_module: Any, hsm: Any, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A raw trace of two networks' simulators at work, and the deck that was issued."""
    folder, launch = tmp_path_factory.mktemp("recorded"), launch_for_module
    deck, pins, trace = folder / "deck.jsonl", folder / "pins.jsonl", folder / "raw.jsonl"
    made = launch.command(
        "deck",
        "make",
        "--cards",
        "200",
        "--seed",
        "3",
        "--hsm",
        "{}:{}".format(*hsm.address),
        "--out",
        str(deck),
        "--pins",
        str(pins),
    )
    assert made.ended() == 0, made.log.all()
    processor = serving(launch, hsm, deck, folder / "state", "--trace-raw", str(trace), TRACE__TEST_BINS=BINS)
    switches = [
        launch.command("simulate", "--target", address, "--network", network, "--deck", str(deck), "--pins", str(pins), "--rate", "250", "--seconds", "3", "--links", "2")
        for network, address in addresses(processor).items()
    ]  # fmt: skip
    assert [switch.ended() for switch in switches] == [0, 0]
    processor.stop()
    frames = sum(line.startswith('{"t":"in"') for line in trace.read_text().splitlines())
    assert frames > 1400
    return SimpleNamespace(trace=trace, deck=deck, frames=frames)


def test_a_raw_trace_is_for_its_owner_alone(recorded):
    assert stat.S_IMODE(recorded.trace.stat().st_mode) == 0o600


def test_a_trace_replayed_frozen_has_no_differences(recorded, launch):
    code, report, log = replay(launch, recorded.trace)
    assert (code, report["frames"], report["same"], report["groups"]) == (
        0,
        recorded.frames,
        recorded.frames,
        [],
    ), log


def test_a_trace_replayed_frozen_under_another_limit_says_which_answers_changed_and_why(
    recorded, launch, tmp_path
):
    page = tmp_path / "report.html"
    code, report, _ = replay(
        launch, recorded.trace, "--policy", policy(tmp_path, max_minor=10_000), "--html", page
    )
    assert code == 1
    first = report["first"]
    assert first["title"].startswith("DE39 00→61")
    assert any(why.startswith("now:    amount_limit: refused, amount_limit; saw ") for why in first["why"])
    group = next(group for group in report["groups"] if group["label"] == "DE39 00→61")
    assert group["also"] == {"DE38 given→absent": group["count"]}
    assert report["same"] + report["findings"]["different"] == recorded.frames
    pans = [msgspec.json.decode(line)["pan"] for line in recorded.deck.read_text().splitlines()]
    told = page.read_text() + msgspec.json.encode(report).decode()
    assert not any(pan in told for pan in pans)


PACES = {
    "at the recorded pace": (),
    "without pauses": ("--speed", "inf"),
    "at a rate": ("--rate", "400"),
}


@pytest.mark.parametrize("pace", PACES)
def test_a_trace_sent_to_another_processor_has_no_differences(pace, recorded, launch, hsm, tmp_path):
    other = serving(launch, hsm, recorded.deck, tmp_path / "state")
    code, report, log = replay(launch, recorded.trace, *targets(other), *PACES[pace])
    assert (code, report["frames"], report["same"], report["groups"]) == (
        0,
        recorded.frames,
        recorded.frames,
        [],
    ), log


def test_a_trace_sent_to_a_processor_under_another_limit_says_which_answers_changed(
    recorded, launch, hsm, tmp_path
):
    other = serving(
        launch, hsm, recorded.deck, tmp_path / "state", POLICY=str(policy(tmp_path, max_minor=10_000))
    )
    live, frozen = (
        replay(launch, recorded.trace, *arguments)
        for arguments in ((*targets(other), "--speed", "3"), ("--policy", policy(tmp_path, max_minor=10_000)))
    )
    assert (live[0], frozen[0]) == (1, 1)
    for what in ("same", "findings", "answers"):
        assert live[1][what] == frozen[1][what]
    assert [(g["label"], g["count"], g["also"]) for g in live[1]["groups"]] == [
        (g["label"], g["count"], g["also"]) for g in frozen[1]["groups"]
    ]


def test_one_network_of_two_can_be_sent_alone(recorded, launch, hsm, tmp_path):
    other = serving(launch, hsm, recorded.deck, tmp_path / "state")
    address = addresses(other)["visa-like"]
    code, report, _ = replay(
        launch, recorded.trace, "--target", address, "--network", "visa-like", "--speed", "3"
    )
    assert (code, report["same"]) == (0, report["frames"])
    assert 0 < report["frames"] < recorded.frames
    assert report["notes"][0].endswith("frames of mc-like were not sent: no target")


def test_a_black_hole_is_told_and_the_exit_code_is_2(recorded, launch, silent_hsm):
    hole = "{}:{}".format(*silent_hsm.address)
    code, report, log = replay(launch, recorded.trace, "--target", f"visa-like={hole}", "--timeout", "0.3")
    assert (code, report["compared"]) == (2, 0)
    assert "does not answer" in log[-1]


def test_a_processor_that_dies_on_the_way_is_told_with_what_was_compared(recorded, launch, hsm, tmp_path):
    other = serving(launch, hsm, recorded.deck, tmp_path / "state")
    child = launch.command("replay", str(recorded.trace), *targets(other), "--timeout", "2", "--json")
    other.log.wait_for("signed on")
    other.kill()
    assert child.ended() == 2
    report = msgspec.json.decode(child.out.all()[0])
    assert re.search("closed the connection|cannot connect", report["error"])
    assert report["compared"] == report["same"] <= recorded.frames


def test_ctrl_c_ends_it_with_what_was_compared(recorded, launch, hsm, tmp_path):
    other = serving(launch, hsm, recorded.deck, tmp_path / "state")
    child = launch.command("replay", str(recorded.trace), *targets(other), "--rate", "20", "--json")
    other.log.wait_for("signed on")
    os.kill(child.process.pid, signal.SIGINT)
    assert child.ended() == 130
    report = msgspec.json.decode(child.out.all()[0])
    assert report["error"] == "interrupted"
    assert 0 < report["frames"] < recorded.frames


def test_a_page_that_cannot_be_written_is_told_and_the_exit_code_is_2(recorded, launch, tmp_path):
    code, _, log = replay(launch, recorded.trace, "--html", tmp_path)
    assert code == 2
    assert f"--html {tmp_path}: Is a directory" in log[-1]


def cut(lines: list[bytes]) -> bytes:
    return b"".join(lines[: len(lines) // 2])


def edit(lines: list[bytes]) -> bytes:
    """Another last digit in a frame."""
    number = next(n for n in range(300, len(lines)) if lines[n].startswith(b'{"t":"in"'))
    at = lines[number].index(b'"', lines[number].index(b'"hex":"') + 7) - 1
    digit = b"1" if lines[number][at : at + 1] == b"0" else b"0"
    return b"".join(
        [*lines[:number], lines[number][:at] + digit + lines[number][at + 1 :], *lines[number + 1 :]]
    )


def swap(lines: list[bytes]) -> bytes:
    return b"".join([*lines[:300], lines[301], lines[300], *lines[302:]])


DAMAGE = {"cut": cut, "edited": edit, "with two lines swapped": swap}


@pytest.mark.parametrize("live", [False, True], ids=["frozen", "live"])
@pytest.mark.parametrize("case", DAMAGE)
def test_a_trace_that_is_not_as_it_was_recorded_is_told_with_the_line(case, live, recorded, launch, tmp_path):
    damaged = tmp_path / "damaged.jsonl"
    damaged.write_bytes(DAMAGE[case](recorded.trace.read_bytes().splitlines(keepends=True)))
    with socket.create_server(("127.0.0.1", 0)) as host:
        port = host.getsockname()[1]
        code, report, log = replay(
            launch, damaged, *(("--target", f"visa-like=127.0.0.1:{port}") if live else ())
        )
        host.setblocking(False)
        with pytest.raises(BlockingIOError):  # nothing was sent of a trace that cannot be trusted
            host.accept()
    assert code == 2
    assert re.search(r"damaged\.jsonl:\d+: ", log[-1]), log
    assert report is None or not report["groups"]


def lost(lines: list[bytes]) -> bytes:
    """As a recorder ends that could not go on, behind a quarter of everything."""
    told = b"".join([*lines[: len(lines) // 4], b'{"t":"lost","reason":"the disk failed"}\n'])
    kept = [line for line in told.splitlines(keepends=True) if not line.startswith(b'{"t":"mark"')]
    return sealed(kept)


def sealed(lines: list[bytes]) -> bytes:
    whole: list[bytes] = []
    digest = hashlib.sha256()
    for number in range(0, len(lines), 256):
        whole += lines[number : number + 256]
        digest.update(b"".join(lines[number : number + 256]))
        kind = "end" if number + 256 >= len(lines) else "mark"
        seal = msgspec.json.encode({"t": kind, "lines": len(whole), "sha256": digest.hexdigest()}) + b"\n"
        digest.update(seal)
        whole.append(seal)
    return b"".join(whole)


@pytest.mark.parametrize(("make", "why"), [(cut, "without its end"), (lost, "the disk failed")])
def test_a_trace_that_is_not_whole_is_an_error_after_its_report_unless_it_may_be(
    make, why, recorded, launch, tmp_path
):
    part = tmp_path / "part.jsonl"
    part.write_bytes(make(recorded.trace.read_bytes().splitlines(keepends=True)))

    code, report, log = replay(launch, part)
    assert code == 2
    assert why in report["error"]
    assert re.search(r"part\.jsonl:\d+: ", log[-1])
    assert 0 < report["frames"] == report["same"] < recorded.frames

    code, partial, log = replay(launch, part, "--partial")
    assert (code, partial["error"], partial["same"]) == (0, "", report["same"]), log
    assert why in partial["notes"][0]


def test_a_trace_that_is_lost_can_be_sent_if_it_may_be_partial(recorded, launch, hsm, tmp_path):
    part = tmp_path / "part.jsonl"
    part.write_bytes(lost(recorded.trace.read_bytes().splitlines(keepends=True)))
    assert replay(launch, part, "--target", "visa-like=127.0.0.1:1")[0] == 2
    other = serving(launch, hsm, recorded.deck, tmp_path / "state")

    code, report, log = replay(launch, part, *targets(other), "--partial", "--speed", "inf")

    assert "the disk failed" in report["notes"][0]
    assert code == 0, log
    assert 0 < report["same"] <= report["frames"]  # what was in flight has no reply in the trace


def test_a_trace_of_nothing_is_an_error(recorded, launch, tmp_path):
    nothing = tmp_path / "nothing.jsonl"
    nothing.write_bytes(sealed(recorded.trace.read_bytes().splitlines(keepends=True)[:1]))

    for options in ((), ("--partial",)):
        code, report, log = replay(launch, nothing, *options)
        assert (code, report) == (2, None)
        assert "nothing was compared" in log[-1]


@pytest.mark.parametrize(
    "pace", [("--rate", "1e-300"), ("--rate", "nan"), ("--rate", "1e9"), ("--speed", "1e-300")]
)
def test_a_pace_that_would_never_end_is_refused(pace, recorded, launch):
    code, report, log = replay(launch, recorded.trace, "--target", "visa-like=127.0.0.1:1", *pace)
    assert (code, report) == (2, None)
    assert "ust be" in "".join(log)


def test_two_networks_need_two_targets_or_a_choice(recorded, launch):
    code, report, log = replay(launch, recorded.trace, "--target", "127.0.0.1:1")
    assert (code, report) == (2, None)
    assert "the trace has mc-like, visa-like; say NETWORK=HOST:PORT" in log[-1]


def test_a_scrubbed_trace_is_replayed_frozen_and_never_sent(launch, hsm, issuer, till, connect, tmp_path):
    card = issuer.card()
    deck, trace = issuer.deck(tmp_path), tmp_path / "scrubbed.jsonl"
    processor = launch.processor(tmp_path / "state", hsm.address, deck, more=("--trace", str(trace))).ready()
    processor.log.wait_for("hsm connected")
    link = connect(processor)
    purchase = till.purchase(card, 1000, "stripe", pin="right")
    for question in (purchase, till.repeat(purchase), till.reversal(purchase)):
        link.ask(question)
    link.socket.close()
    processor.stop()
    code, report, log = replay(launch, trace)
    assert (code, report["frames"], report["same"]) == (0, 3, 3), log
    code, report, log = replay(launch, trace, "--target", "127.0.0.1:1")
    assert (code, report) == (2, None)
    assert "a scrubbed trace has neither the cards nor their PIN blocks and cannot be sent" in log[-1]
