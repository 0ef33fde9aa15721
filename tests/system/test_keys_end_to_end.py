"""Keys of one's own from beginning to end: an LMK, an issuer's keys under it, a deck, traffic."""

import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hsm_emulator.cli.keys import app as keys_command

pytestmark = pytest.mark.slow


def standin(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "processor.cli.main", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["aes-block", "tdes-block", "variant"])
def test_what_keys_init_makes_serves_a_deck_and_its_traffic(
    kind: str, launch: Any, tmp_path: Path, capsys: Any
) -> None:
    lmk, keys, clear = (tmp_path / f"{name}.json" for name in ("lmk", "keys", "clear"))
    more = ["--kind", kind, "--clear-for-simulators", str(clear)]
    keys_command(["init", "--lmk", str(lmk), "--keys", str(keys), *more], result_action="return_value")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (lmk, keys, clear)] == [0o600] * 3

    hsm = launch.command("hsm", "--port", "0", "--lmk", str(lmk), "--authorised").ready()
    address = "{}:{}".format(*hsm.address)
    cards = ["--deck", "deck.jsonl", "--pins", "pins.jsonl", "--keys", str(clear)]
    made = standin(
        tmp_path, "deck", "make", "--cards", "40", "--hsm", address,
        "--out", "deck.jsonl", "--pins", "pins.jsonl", "--keys", str(clear),
    )  # fmt: skip
    assert made.returncode == 0, made.stderr

    processor = launch.serving(tmp_path / "state", hsm, tmp_path / "deck.jsonl", HSM__KEYS=str(keys))
    target = "{}:{}".format(*processor.address)
    load = ["--rate", "200", "--seconds", "1", "--fresh", "--json"]
    result = standin(tmp_path, "simulate", "--target", target, *cards, *load)
    assert result.returncode == 0, result.stdout + result.stderr
    summary = msgspec.json.decode(result.stdout.splitlines()[-1])
    assert summary["sent"] == summary["answered"] > 200
    assert summary["answers"]["00"] > 50, summary["answers"]

    processor.stop()
    everything = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
    everything += "\n".join([*hsm.log.all(), *processor.log.all()]).encode()
    secret = [
        entry["clear"] for name, entry in msgspec.json.decode(clear.read_bytes()).items() if name != "note"
    ]
    assert not [key for key in secret if key.encode() in everything]
