"""The committed reference page is what the rows make."""

from pathlib import Path

from processor.hsm.reference import page
from processor.hsm.table import COMMANDS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "hsm-commands.md"


def test_the_page_is_what_the_rows_make() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_command_has_a_section() -> None:
    assert all(f"\n## {code} → {command.response_code}: " in page() for code, command in COMMANDS.items())
