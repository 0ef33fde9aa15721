"""The reference pages are what the code says now."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_committed_is_what_the_code_says(reference):
    committed = {
        file.relative_to(reference.OUT).as_posix(): file.read_text("utf-8")
        for file in reference.OUT.rglob("*.md")
    }

    assert committed == reference.pages(), "run `make docs`"


def test_every_page_of_a_network_says_that_it_is_a_model(reference):
    pages = {
        path: text for path, text in reference.pages().items() if path.startswith(("dialects/", "profiles/"))
    }

    assert len(pages) >= 16
    assert [path for path, text in pages.items() if reference.MODEL not in text] == []
