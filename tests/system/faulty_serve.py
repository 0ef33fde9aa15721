"""A script: `standin` on a disk that fails as soon as the file that STANDIN_TEST_FAULT names exists.

The file's content is the errno; from then on every fdatasync fails with it.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from processor.cli.main import main

FAULT = Path(os.environ.get("STANDIN_TEST_FAULT", "no fault"))

_fdatasync: Callable[[Any], None] = os.fdatasync


def _failing(fd: Any) -> None:
    """What the journal's disk calls in place of the real one."""
    if FAULT.exists():
        number = int(FAULT.read_text("ascii"))
        raise OSError(number, os.strerror(number))
    _fdatasync(fd)


if __name__ == "__main__":
    vars(os)["fdatasync"] = _failing
    main()
