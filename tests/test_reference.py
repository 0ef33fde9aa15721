"""The reference pages are what the code says now."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def pages(folder):
    return {file.relative_to(folder).as_posix(): file.read_text("utf-8") for file in folder.rglob("*.md")}


@pytest.mark.slow
def test_what_is_committed_is_what_the_code_says(tmp_path):
    # A process of its own: cyclopts writes into usage lines how it was started.
    subprocess.run(
        [sys.executable, ROOT / "docs" / "make_reference.py", tmp_path], check=True, capture_output=True
    )

    assert pages(ROOT / "docs" / "reference") == pages(tmp_path), "run `make docs`"


def test_every_page_of_a_network_says_that_it_is_a_model():
    networks = {
        path: text
        for path, text in pages(ROOT / "docs" / "reference").items()
        if path.startswith(("dialects/", "profiles/"))
    }

    assert len(networks) >= 16
    assert [path for path, text in networks.items() if "It is not certified by any network" not in text] == []
