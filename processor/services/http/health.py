"""Whether the processor is ready to serve, and why not."""

from collections.abc import Iterable

import msgspec

from processor.services.findings import Finding


class Vitals(msgspec.Struct, frozen=True):
    """What decides whether the processor is ready. ``networks`` are signed on, off, or do not need to be.

    ``hsm_needed`` tells whether a rule of the policy looks at what only an HSM can verify.
    """

    stopping: bool
    journal_failure: str
    low_space: bool
    hsm_needed: bool
    hsm_connected: bool
    ports_open: bool
    networks: dict[str, bool]


def readiness(vitals: Vitals) -> list[Finding]:
    """Every condition, met or not. It is ready when none of them is bad."""
    return [
        _when(not vitals.stopping, "process", "running", "stopping", "wait for the next start"),
        _when(
            not vitals.journal_failure,
            "journal",
            "recovered and written",
            vitals.journal_failure,
            "see the log",
        ),
        _when(
            not vitals.low_space,
            "space",
            "there is room for the next segments",
            "the disk is full: requests are refused, advices and reversals go into the reserve",
            "make room on the journal's disk",
        ),
        _when(
            vitals.hsm_connected or not vitals.hsm_needed,
            "hsm",
            "connected" if vitals.hsm_connected else "not connected, and no rule of the policy needs it",
            "there is no line to the HSM",
            "start the HSM, or see hsm.address in the configuration",
        ),
        _when(vitals.ports_open, "ports", "open", "no card port is open yet", "wait; else see the log"),
        _signed_on(vitals.networks),
    ]


def _when(met: bool, about: str, good: str, bad: str, todo: str) -> Finding:
    return Finding(about, "ok", good) if met else Finding(about, "bad", bad, todo)


def _signed_on(networks: dict[str, bool]) -> Finding:
    """One network that may ask is enough to be ready; the others are named."""
    off = _names(name for name, on in networks.items() if not on)
    if not off:
        return Finding("networks", "ok", f"may ask: {_names(networks)}")
    waiting = f"not signed on: {off}"
    todo = "the network signs on by an 0800; see the log for its links"
    return Finding("networks", "warn" if any(networks.values()) else "bad", waiting, todo)


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
