"""Every import contract is seen to break when it is violated."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("processor", "hsm_emulator", "rules", "simulators")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the contracts on the packages in ``folder``."""
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The packages and their contracts in a folder of their own."""
    folder = tmp_path_factory.mktemp("contracts")
    shutil.copy(ROOT / ".importlinter", folder)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.mark.slow
def test_the_contracts_hold(copy):
    run = lint(copy)

    assert run.returncode == 0, run.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "violation", "contract"),
    [
        pytest.param(
            "processor/values/money.py", "import processor.book.state", "floors", id="values import the book"
        ),
        pytest.param(
            "processor/core/desk.py", "import processor.links.outbox", "floors", id="the core imports links"
        ),
        pytest.param("processor/core/desk.py", "import trio", "Floors 0 to 5", id="the core imports trio"),
        pytest.param("rules/policy.py", "import socket", "Floors 0 to 5", id="a rule opens a socket"),
        pytest.param(
            "processor/app.py",
            "import hsm_emulator",
            "neither emulator",
            id="the processor imports the emulator",
        ),
        pytest.param(
            "processor/app.py", "import simulators", "neither emulator", id="the processor imports simulators"
        ),
        pytest.param(
            "rules/policy.py", "import processor.book.state", "Rules import", id="a rule looks into the book"
        ),
        pytest.param(
            "processor/links/hsm_link.py",
            "import cryptography",
            "journal's cipher alone",
            id="a link encrypts",
        ),
        pytest.param(
            "processor/journal/batch.py",
            "import cryptography",
            "only the cipher",
            id="a batch encrypts itself",
        ),
        pytest.param(
            "hsm_emulator/server.py",
            "import processor.book.state",
            "The emulator shares",
            id="the emulator reads the book",
        ),
        pytest.param(
            "simulators/cards.py",
            "import processor.core.desk",
            "Simulators speak",
            id="a simulator looks inside",
        ),
    ],
)
def test_a_violation_breaks_its_contract(copy, module, violation, contract):
    file = copy / module
    sound = file.read_text()
    file.write_text(f"{sound}\n{violation}\n")
    try:
        run = lint(copy)
    finally:
        file.write_text(sound)

    broken = [line for line in run.stdout.splitlines() if line.endswith("BROKEN")]
    assert run.returncode != 0
    assert any(contract in line for line in broken), run.stdout
