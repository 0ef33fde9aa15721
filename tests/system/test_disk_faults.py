"""The disk fails or fills up under a running processor."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

FAULTY = str(Path(__file__).with_name("faulty_serve.py"))
IN_FLIGHT = 64


@pytest.mark.parametrize(
    "error", [errno.EIO, errno.ENOSPC], ids=["an input/output error", "no space, as late as the sync"]
)
def test_a_failing_sync_ends_the_process_and_nothing_of_that_batch_is_answered(
    launch: Any, hsm: Any, issuer: Any, till: Any, connect: Any, tmp_path: Path, error: int
) -> None:
    cards, state, fault = [issuer.card() for _ in range(IN_FLIGHT)], tmp_path / "state", tmp_path / "fault"
    child = launch.processor(
        state, hsm.address, issuer.deck(tmp_path), script=FAULTY, TEST_FAULT=str(fault)
    ).ready()
    child.log.wait_for("hsm connected")
    link, idle = connect(child), connect(child)
    before = [till.purchase(card, 100, "stripe") for card in cards]
    link.send(*before)
    answers = {r.elements[37]: r.elements[38] for r in (link.receive() for _ in before)}
    fault.write_text(str(error), "ascii")
    lost = [till.purchase(card, 200, reading) for card in cards for reading in ("keyed", "stripe")]
    link.send(*lost, till.reversal(before[0]), till.signal("072"))

    assert link.is_over(), "not one answer leaves"
    assert idle.is_over()
    assert child.ended() == 1
    said = "\n".join(child.log.all())
    assert str(state / "journal" / "00000001.seg") in said
    assert os.strerror(error) in said
    assert "Traceback" not in said
    assert not [line for line in child.out.all() if line.startswith("stopped")]
    _assert_goes_on(launch, hsm, till, connect, state, answers, before, lost)


def _assert_goes_on(
    launch: Any, hsm: Any, till: Any, connect: Any, state: Path, answers: Any, before: Any, lost: Any
) -> None:
    """After a restart on a sound disk: the same answers, and everything unanswered decided once."""
    child = launch.serving(state, hsm)
    link = connect(child)
    link.ask(till.signal("071"))
    assert {q.elements[37]: link.ask(till.repeat(q)).elements[38] for q in before} == answers
    codes = {link.ask(till.repeat(q)).elements[39] for q in lost}
    link.ask(till.repeat(till.reversal(before[0])))
    child.stop()
    found = launch.book_check(state)
    assert codes <= {"00", "91"}, "91: it was decided behind the sign-off"
    assert found["balanced"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MiB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_on_a_full_disk_requests_are_refused_and_reversals_are_taken(
    launch: Any, hsm: Any, issuer: Any, till: Any, connect: Any, tmp_path: Path, small_disk: Path
) -> None:
    cards, state = [issuer.card(10**12) for _ in range(IN_FLIGHT)], small_disk / "state"
    child = launch.serving(state, hsm, issuer.deck(tmp_path))
    link = connect(child)
    first = till.purchase(cards[0], 100)
    assert link.ask(first).elements[39] == "00"
    _fill(small_disk)
    codes = {"00"}
    for _ in range(100):
        link.send(*[till.purchase(card, 1) for card in cards])
        codes |= {link.receive().elements[39] for _ in cards}
        if codes != {"00"}:
            break

    assert codes == {"00", "N0"}
    assert link.ask(till.reversal(first)).elements[39] == "00"
    assert child.running
    (small_disk / "filler").unlink()
    child.stop()
    assert launch.book_check(state)["balanced"]


def _fill(folder: Path) -> None:
    """Take every byte that is left."""
    with (folder / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    assert os.statvfs(folder).f_bavail == 0
