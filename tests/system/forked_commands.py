"""A script: runs `standin` once per line of input, each time in a forked process of its own.

A line is {"arguments": [...], "environment": {...}, "out": FILE, "err": FILE}; the answer is a line with the
exit code. Importing the processor takes a second, and a table of broken inputs has dozens of starts.
"""

import json
import os
import signal
import sys
from typing import Any

import processor.cli.serve  # noqa: F401 - imported once, for every fork
from processor.cli.main import main

TIME_LIMIT_S = 30  # for a command that should have refused to start, and did not


def run(job: dict[str, Any]) -> int:
    """Run one command; its exit code, or minus the signal that ended it."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(job[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    signal.alarm(TIME_LIMIT_S)
    sys.argv = ["standin", *job["arguments"]]
    os.environ.update(job["environment"])
    main()
    sys.exit(0)


if __name__ == "__main__":
    for line in sys.stdin:
        print(run(json.loads(line)), flush=True)
