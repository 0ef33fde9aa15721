"""Other commands of this project as child processes, which never outlive the one that started them."""

import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from processor.values.errors import WorldError

COMMAND = (sys.executable, "-P", "-m", "processor.cli.main")
"""The command ``standin`` of the installation that runs now, whatever PATH says."""

_START_S = 60.0
_END_S = 15.0
_LOG_TAIL_LINES = 5


class Child:
    """One running command: its lines of output, and the file with its log."""

    def __init__(self, name: str, process: trio.Process, log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log

    async def lines(self) -> AsyncIterator[str]:
        """The lines it prints from now on, until it closes its output."""
        assert self._process.stdout is not None
        buffer = b""
        async for data in self._process.stdout:
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                yield line.decode()

    def terminate(self) -> None:
        """Ask it to end in good order."""
        self._process.send_signal(signal.SIGTERM)

    async def wait(self) -> int:
        """Its exit code, negative for a signal."""
        return await self._process.wait()

    def died(self) -> WorldError:
        """What to say when it ended although it was needed: the end of its log."""
        tail = self._log.read_text("utf-8", "replace").splitlines()[-_LOG_TAIL_LINES:]
        return WorldError(f"{self.name} ended unexpectedly; {self._log} says:\n" + "\n".join(tail))


@asynccontextmanager
async def started(name: str, arguments: Sequence[str], folder: Path) -> AsyncIterator[Child]:
    """Run ``standin`` with ``arguments``; what it logs goes to a file in ``folder``.

    It has a session of its own, so that Ctrl-C reaches nobody but us and children end in order: when the
    block is left, by whatever way, it gets SIGTERM, and SIGKILL after a while.
    """
    log = folder / f"{name}.log"
    with log.open("wb") as file:
        process = await trio.lowlevel.open_process(
            [*COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=file,
            start_new_session=True,
        )
    try:
        yield Child(name, process, log)
    finally:
        await _end(process)


async def listening(child: Child, lines: AsyncIterator[str], count: int) -> list[str]:
    """Wait for so many lines ``listening NAME HOST:PORT``; gives each HOST:PORT.

    Errors: WorldError when the child ends, or takes too long, instead.
    """
    addresses: list[str] = []
    with trio.move_on_after(_START_S):
        async for line in lines:
            if line.startswith("listening "):
                addresses.append(line.rpartition(" ")[2])
            if len(addresses) == count:
                return addresses
        await child.wait()
    raise child.died()


async def _end(process: trio.Process) -> None:
    with trio.CancelScope(shield=True):
        for ending in (signal.SIGTERM, signal.SIGKILL):
            if process.returncode is None:
                process.send_signal(ending)
            with trio.move_on_after(_END_S):
                await process.wait()
                break
        if process.stdout is not None:
            await process.stdout.aclose()
