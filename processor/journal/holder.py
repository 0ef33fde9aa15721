"""Who holds a journal folder, found out without touching its lock: to try it could keep an owner out."""

import re
from pathlib import Path

LOCKS = Path("/proc/locks")
_FLOCK = re.compile(r"^\d+: FLOCK +ADVISORY +WRITE +(\d+) +[0-9a-f]+:[0-9a-f]+:(\d+) ", re.MULTILINE)


def holder(folder: Path) -> int:
    """The process id of the journal's owner, 0 if it has none (or none that this machine can see).

    Linux lists every ``flock`` with the inode and the process; an owner in another container is not seen.
    """
    try:
        inode = (folder / "lock").stat().st_ino
        held = _FLOCK.findall(LOCKS.read_text("ascii", errors="replace"))
    except OSError:
        return 0
    return next((int(pid) for pid, number in held if int(number) == inode), 0)
