"""House rules that no linter knows."""

import ast
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(
    f for p in ("processor", "hsm_emulator", "rules", "simulators") for f in (ROOT / p).rglob("*.py")
)
MONEY = [*(ROOT / "processor" / "book").glob("*.py"), ROOT / "processor" / "values" / "money.py"]
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_room_is_small_enough_to_read(path):
    assert len(path.read_text().splitlines()) <= FILE_LINES_MAX
    for function in functions(path):
        assert (function.end_lineno or 0) - function.lineno < FUNCTION_LINES_MAX, function.name


@pytest.mark.parametrize("path", MONEY, ids=name)
def test_money_is_never_a_fraction(path):
    for node in ast.walk(ast.parse(path.read_text())):
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), node.lineno
        assert not isinstance(node, ast.Div), "use // and say where the rest goes"
        assert not (isinstance(node, ast.Name) and node.id == "float"), node.lineno


def test_nothing_is_global():
    for path in SOURCES:
        assert not any(isinstance(node, ast.Global) for node in ast.walk(ast.parse(path.read_text()))), path


def test_our_import_names_are_ours():
    owners = packages_distributions()
    for package in ("processor", "hsm_emulator", "rules", "simulators"):
        assert set(owners.get(package, ["standin"])) == {"standin"}
