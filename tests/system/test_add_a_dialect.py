"""docs/how-to/add-a-dialect.md, followed to the letter: its own commands, files and output."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "how-to" / "add-a-dialect.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE, re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCKS if found == language]


def shell(command: str, folder: Path) -> None:
    subprocess.run(
        ["/bin/sh", "-e", "-c", command.replace(".venv/bin/python", sys.executable)], cwd=folder, check=True
    )


def test_a_stranger_who_follows_the_page_gets_the_answer_it_shows(launch: Any, tmp_path: Path) -> None:
    specification, deck, serve = blocks("sh")
    (profile,), (client,) = blocks("toml"), blocks("python")
    listening, _, answer = blocks("")
    shell(specification, tmp_path)
    shell(deck, tmp_path)
    (tmp_path / "mine" / "terminals.toml").write_text(profile)
    _, *arguments = serve.split()
    arguments = [
        text.replace("mine/", f"{tmp_path}/mine/")
        .replace("examples/", f"{ROOT}/examples/")
        .replace(":8583", ":0")
        for text in arguments
    ]

    child = launch.command(*arguments, STANDIN_JOURNAL__SEGMENT_MIB="1").ready()
    port = str(child.address[1])
    told = subprocess.run(
        [sys.executable, "-c", client.replace(" 8583)", f" {port})").replace("mine/", f"{tmp_path}/mine/")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert child.out.wait_for("listening") == listening.strip().replace(":8583", f":{port}")
    assert (told.stdout, told.stderr) == (answer, "")
    assert child.stop()["sequence"] > 0


def test_what_is_wrong_in_either_file_is_said_all_at_once(launch: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"t": {"len_type": 0}}')
    (tmp_path / "mine.toml").write_text(
        'base = "iso87-ascii"\nname = "mine"\ndialect = "mine.json"\nframing = "carrier pigeon"\n'
        '[mandatory]\n"0100" = [3, 4]\n'
    )

    child = launch.command(
        "serve", "--config", str(ROOT / "examples" / "lab.toml"), "--state", str(tmp_path / "state"),
        "--listen", f"{tmp_path}/mine.toml=127.0.0.1:0",
    )  # fmt: skip

    assert child.ended() == 2
    said = "\n".join(child.log.all())
    for problem in (
        "framing: must be one of",
        "mine.json.h: missing",
        "mandatory.0100: DE 11 cannot",
        "mandatory.0200",
    ):
        assert problem in said, said
    assert "Traceback" not in said
