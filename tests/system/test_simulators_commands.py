"""The commands ``standin deck``, ``standin simulate`` and ``standin demo`` as somebody runs them."""

import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

pytestmark = pytest.mark.slow

STANDIN = [sys.executable, "-P", "-m", "processor.cli.main"]
PATIENCE_S = 120


def standin(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*STANDIN, *arguments],
        cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True,
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip


def deck_make(folder: Path, emulator: Any, name: str, **options: str) -> subprocess.CompletedProcess[str]:
    given = {"cards": "40", "seed": "5", "hsm": "{}:{}".format(*emulator.address)} | options
    arguments = [text for key, value in given.items() for text in (f"--{key}", value)]
    return standin(folder, "deck", "make", *arguments, "--out", f"{name}.jsonl", "--pins", f"{name}.pins")


def processes_in(folder: Path) -> list[str]:
    """The command lines of the processes that work in a folder."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and (process / "cwd").readlink() == folder:
                found.append((process / "cmdline").read_text())
        except OSError:  # it has ended meanwhile
            continue
    return found


def test_a_deck_is_the_same_for_the_same_seed(hsm: Any, tmp_path: Path) -> None:
    results = [deck_make(tmp_path, hsm, name) for name in ("one", "two")]
    assert [r.returncode for r in results] == [0, 0], results[0].stderr
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    assert (tmp_path / "one.pins").read_bytes() == (tmp_path / "two.pins").read_bytes()
    assert stat.S_IMODE((tmp_path / "one.pins").stat().st_mode) == 0o600
    lines = [msgspec.json.decode(line) for line in (tmp_path / "one.jsonl").read_bytes().splitlines()]
    assert len(lines) == 40
    assert all(re.fullmatch("[0-9]{4}", line["pvv"]) and "pin" not in line for line in lines)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        pytest.param({"hsm": "127.0.0.1"}, 2, "HOST:PORT", id="no port"),
        pytest.param({"hsm": "127.0.0.1:1"}, 1, "HSM 127.0.0.1:1", id="no HSM there"),
        pytest.param({"cards": "0"}, 2, "cards", id="no cards"),
        pytest.param({"keys": "absent.json"}, 2, r"absent\.json", id="no key file"),
    ],
)
def test_what_cannot_be_made_is_said_without_a_traceback(
    options: dict[str, str], code: int, words: str, hsm: Any, tmp_path: Path
) -> None:
    result = deck_make(tmp_path, hsm, "deck", **options)
    assert (result.returncode, "Traceback" in result.stderr) == (code, False)
    assert re.search(words, result.stderr)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def used(launch: Any, hsm: Any, tmp_path: Path) -> tuple[Any, dict[str, list[str]]]:
    """A processor with a deck, and how each network's simulator reaches it."""
    assert deck_make(tmp_path, hsm, "deck").returncode == 0
    more = ["--listen", "mc-like=127.0.0.1:0"]
    processor = launch.processor(tmp_path / "state", hsm.address, tmp_path / "deck.jsonl", more=more)
    processor.log.wait_for("hsm connected")
    targets = [processor.out.wait_for("listening ", count).split() for count in (1, 2)]
    cards = ["--deck", "deck.jsonl", "--pins", "deck.pins"]
    return processor, {network: ["--target", target, *cards] for _, network, target in targets}


@pytest.mark.parametrize(
    ("network", "links"),
    [
        pytest.param("visa-like", "1", id="visa-like on one link"),
        pytest.param("mc-like", "1", id="mc-like on one link"),
        pytest.param("visa-like", "3", id="visa-like on three links"),
        pytest.param("mc-like", "3", id="mc-like on three links"),
    ],
)
def test_simulate_agrees_with_the_processor_and_its_books(
    network: str, links: str, used: tuple[Any, dict[str, list[str]]], launch: Any, tmp_path: Path
) -> None:
    processor, reach = used
    load = ["--network", network, "--rate", "200", "--seconds", "2", "--seed", "9", "--links", links]
    result = standin(tmp_path, "simulate", *reach[network], *load, "--fresh", "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    *progress, summary = [msgspec.json.decode(line) for line in result.stdout.splitlines()]
    assert [figures["event"] for figures in progress] == ["progress"] * len(progress)
    assert progress
    assert summary["event"] == "summary"
    assert summary["sent"] == summary["answered"] == 402
    last_word = processor.stop()
    book = launch.book_check(tmp_path / "state")
    assert (summary["open_holds"], summary["open_minor"]) == (book["holds_open"], book["held_minor"]["840"])
    assert summary["posted_minor"] == book["cleared_minor"]["840"] != 0
    assert last_word["digest"] == book["digest"]


def test_simulate_says_what_differs(used: tuple[Any, dict[str, list[str]]], tmp_path: Path) -> None:
    _, reach = used
    deck = tmp_path / "deck.jsonl"
    deck.write_bytes(re.sub(rb'"balance_minor":[0-9]+', b'"balance_minor":1', deck.read_bytes()))
    load = ["--closed", "8", "--seconds", "0.5", "--fresh"]
    result = standin(tmp_path, "simulate", *reach["visa-like"], *load)
    assert result.returncode == 1
    assert re.search(r"DE 39: 0[12]00 .* card 400000\*{6}[0-9]{4}: 00, expected 51", result.stdout)
    assert not re.search("400000[0-9]{10}", result.stdout)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        pytest.param(["--rate", "5", "--closed", "5"], 2, "only one", id="two kinds of load"),
        pytest.param(["--rate", "0"], 2, "--rate", id="no rate"),
        pytest.param(["--seconds", "0"], 2, "--seconds", id="no time"),
        pytest.param(["--links", "0"], 2, "--links", id="no link"),
        pytest.param(["--deck", "half.jsonl"], 2, "no cards of visa-like", id="a deck of another network"),
        pytest.param(["--target", "127.0.0.1:1"], 1, "127.0.0.1:1", id="no processor there"),
        pytest.param(["--pins", "deck.jsonl"], 2, "line 1 is not", id="a deck for a PIN file"),
        pytest.param(["--network", "other-like"], 2, "network", id="an unknown network"),
    ],
)
def test_simulate_refuses_what_makes_no_sense(
    options: list[str], code: int, words: str, hsm: Any, tmp_path: Path
) -> None:
    assert deck_make(tmp_path, hsm, "deck").returncode == 0
    lines = (tmp_path / "deck.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "half.jsonl").write_text("".join(line for line in lines if '"pan":"52' in line))
    given = {"--target": "127.0.0.1:1", "--deck": "deck.jsonl", "--pins": "deck.pins"}
    given |= dict(zip(options[::2], options[1::2], strict=True))
    result = standin(tmp_path, "simulate", *[text for pair in given.items() for text in pair])
    assert (result.returncode, "Traceback" in result.stderr) == (code, False), result.stderr
    assert words in result.stderr + result.stdout


def test_simulate_signs_off_when_interrupted(used: tuple[Any, dict[str, list[str]]], tmp_path: Path) -> None:
    _, reach = used
    command = [*STANDIN, "simulate", *reach["visa-like"], "--rate", "50", "--seconds", "600", "--json"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=PATIENCE_S)
    summary = msgspec.json.decode(out.splitlines()[-1])
    assert (child.returncode, err) == (130, "")
    assert summary["clean"]
    assert summary["messages"]["0800"] == 2


def test_the_demo_proves_its_books_and_leaves_nothing_but_var(tmp_path: Path) -> None:
    (tmp_path / "var" / "demo").mkdir(parents=True)
    (tmp_path / "var" / "demo" / "old").write_text("of an earlier run")
    result = standin(tmp_path, "demo", DEMO_SECONDS="2", DEMO_RATE="200")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    assert result.stdout.count("  yes  ") == 6
    second = (
        r"   1 s +visa-like [0-9]+/s p50 .* p99 .* mc-like [0-9]+/s p50 .* p99 .* 00 [0-9]+ .* holds of USD"
    )
    assert re.search(second, result.stdout)
    assert [path.name for path in tmp_path.iterdir()] == ["var"]
    assert [path.name for path in (tmp_path / "var").iterdir()] == ["demo"]
    assert not (tmp_path / "var" / "demo" / "old").exists()
    assert processes_in(tmp_path) == []


@pytest.mark.parametrize("moment", ["Standin demo", "hsm emulator", "deck", "processor", "   1 s"])
def test_ctrl_c_ends_the_demo_at_any_moment(moment: str, tmp_path: Path) -> None:
    command = [*STANDIN, "demo"]
    environment = {**os.environ, "DEMO_SECONDS": "600", "DEMO_RATE": "100"}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert any(moment in line for line in child.stdout)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=PATIENCE_S)
    assert (child.returncode, err) == (130, "")
    assert "interrupted" in out
    assert processes_in(tmp_path) == []


@pytest.mark.parametrize("seconds", ["soon", "0", "-1", "nan"])
def test_the_demo_refuses_a_time_that_is_none(seconds: str, tmp_path: Path) -> None:
    result = standin(tmp_path, "demo", DEMO_SECONDS=seconds)
    assert result.returncode == 2
    assert "DEMO_SECONDS" in result.stderr
    assert list(tmp_path.iterdir()) == []
