"""What an examination found: one line each, with what to do about it."""

from collections.abc import Iterable
from typing import Literal

import msgspec

Level = Literal["ok", "warn", "bad"]

_RANK: dict[Level, int] = {"ok": 0, "warn": 1, "bad": 2}


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. ``todo`` is empty where nothing has to be done."""

    about: str
    level: Level
    said: str
    todo: str = ""


def worst(findings: Iterable[Finding]) -> Level:
    """The level of the worst of them.

    >>> worst([Finding("clock", "ok", ""), Finding("hsm", "warn", "slow")])
    'warn'
    """
    return max((finding.level for finding in findings), key=_RANK.__getitem__, default="ok")
