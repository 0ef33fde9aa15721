"""``standin doctor``: look for what keeps a processor from running well."""

from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec

from processor.cli.asking import ask_running, print_lines
from processor.cli.examination import checks
from processor.cli.overrides import hsm_table, listen_tables
from processor.config import Config, load_config
from processor.services.findings import Finding, worst
from processor.values.clock import SystemClock
from processor.values.errors import ConfigError

app = cyclopts.App(name="doctor")

_EXIT = {"ok": 0, "warn": 1, "bad": 2}
_SIGN = {"ok": "ok  ", "warn": "WARN", "bad": "BAD "}


@app.default
def doctor(
    *,
    config: Path,
    listen: Annotated[tuple[str, ...] | None, cyclopts.Parameter(negative="")] = None,
    hsm: Annotated[tuple[str, ...] | None, cyclopts.Parameter(negative="")] = None,
    state: Path | None = None,
    json: bool = False,
) -> None:
    """Check configuration, ports, state folder, journal, HSM and its keys, core dumps, clock; change nothing.

    It may run before a processor starts and beside one that runs, which is then asked as well.
    Exit code 0 when everything is well, 1 when there is something to look at, 2 when something must be put
    right.

    Example: standin doctor --config examples/standin.toml

    Args:
        config: The configuration file.
        listen: NETWORK=HOST:PORT, as ``standin serve`` has it.
        hsm: HOST:PORT of the HSM, as ``standin serve`` has it.
        state: The state folder, in place of the configuration's.
        json: Print one JSON object.
    """
    findings = _examine(config, state, listen, hsm)
    level = worst(findings)
    if json:
        print_lines(msgspec.json.encode({"level": level, "findings": findings}).decode())
    else:
        print_lines(*(line for finding in findings for line in _lines(finding)))
    raise SystemExit(_EXIT[level])


def _examine(
    path: Path,
    state: Path | None = None,
    listen: tuple[str, ...] | None = None,
    hsm: tuple[str, ...] | None = None,
) -> list[Finding]:
    try:
        config = load_config(path, state=state, listen=listen_tables(listen), hsm=hsm_table(hsm))
    except ConfigError as error:
        todo = "correct it: the processor does not start so"
        return [Finding("configuration", "bad", problem, todo) for problem in error.problems]
    findings = [finding for check in checks(config, SystemClock()) for finding in check()]
    return findings + _running(config)


def _running(config: Config) -> list[Finding]:
    """What the processor that runs in the state folder finds wrong with itself."""
    try:
        found = ask_running(config.state, "doctor", "", list[Finding]) or []
    except ConfigError as error:
        return [Finding("running processor", "warn", "; ".join(error.problems), "see its log")]
    return [Finding(f"running processor: {f.about}", f.level, f.said, f.todo) for f in found]


def _lines(finding: Finding) -> list[str]:
    said = f"{_SIGN[finding.level]}  {finding.about}: {finding.said}"
    return [said, f"      → {finding.todo}"] if finding.todo else [said]
