"""Whether a profile can be served: what its types cannot say, said before the first message comes."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from processor.iso8583.dialect import NUMBERS
from processor.iso8583.header import is_reject_code
from processor.networks.adapters import ADAPTERS, DIALECTS, FRAMINGS
from processor.networks.mti import first_of
from processor.values.errors import ConfigError
from processor.values.reasons import Reason

# Never echoed, whatever a profile says: tracks, PIN data, chip request data, merchant name.
_NEVER_ECHOED = frozenset({35, 36, 43, 45, 52, 53, 55})

if TYPE_CHECKING:  # that module calls this one
    from processor.networks.profile import Profile

# What is read without looking whether it is there.
_NEEDED = {
    "authorization": frozenset({3, 4, 11}),
    "financial": frozenset({3, 4, 11}),
    "stand_in_advice": frozenset({3, 4, 11, 39}),
    "financial_advice": frozenset({3, 4, 11}),
    "reversal": frozenset({3, 4, 11}),
    "network_management": frozenset({11}),
}
_HEXADECIMAL = re.compile("(?:[0-9A-Fa-f]{2})*")
_NAME = re.compile("[a-z0-9][a-z0-9-]{0,31}")
_ORIGINAL_PARTS = frozenset({"90.7", "90.11", "90.32"})


def problems_of(profile: "Profile") -> Iterator[str]:
    """Everything that is wrong, each beginning with its key."""
    if not _NAME.fullmatch(profile.name):
        yield "name: must be letters a to z, digits and hyphens"
    if profile.framing not in FRAMINGS:
        yield f"framing: must be one of {', '.join(FRAMINGS)}"
    if profile.adapter not in ADAPTERS:
        yield f"adapter: must be one of {', '.join(ADAPTERS)}"
    if not _HEXADECIMAL.fullmatch(profile.session.header):
        yield "session.header: is not hexadecimal"
    yield from _dialect_problems(profile)
    for reason in Reason:
        if reason not in profile.response_codes:
            yield f"response_codes.{reason.value} is missing"
    yield from _message_problems(profile)
    yield from _echo_problems(profile)
    yield from _key_problems(profile)


def _dialect_problems(profile: "Profile") -> Iterator[str]:
    try:
        dialect = DIALECTS[profile.dialect]
    except KeyError:
        yield f"dialect: must be one of {', '.join(DIALECTS)}, or the path of a .json file"
        return
    except ConfigError as error:
        yield from (f"dialect: {problem}" for problem in error.problems)
        return
    for mti in profile.messages:
        if mti not in dialect.mtis:
            yield f"messages.{mti}: the dialect has no such message type"
    yield from _reject_problems(profile, header_has_them=dialect.header.rejects)


def _message_problems(profile: "Profile") -> Iterator[str]:
    for mti, kind in profile.messages.items():
        first = first_of(mti) if len(mti) == 4 and mti.isdecimal() else mti
        missing = _NEEDED[kind].difference(profile.mandatory.get(first, ()))
        if first not in profile.mandatory:
            yield f"mandatory.{first} is missing"
        elif missing:
            yield f"mandatory.{first}: DE {', '.join(map(str, sorted(missing)))} cannot be left out"


def _reject_problems(profile: "Profile", *, header_has_them: bool) -> Iterator[str]:
    rejects = profile.rejects
    codes = {"header": rejects.header, "message_type": rejects.message_type, "message": rejects.message}
    used = {name: code for name, code in codes.items() if code}
    for name, code in used.items():
        if not is_reject_code(code):
            yield f"rejects.{name}: must be four digits"
    if used and not header_has_them:
        yield "rejects: the header of this dialect knows none; an empty table takes away those of the base"


def _echo_problems(profile: "Profile") -> Iterator[str]:
    if "other" not in profile.echo:
        yield "echo.other is missing"
    for mti, elements in profile.echo.items():
        for element in sorted(_NEVER_ECHOED.intersection(elements)):
            yield f"echo.{mti}: DE {element} must never be echoed"


def _key_problems(profile: "Profile") -> Iterator[str]:
    parts = ADAPTERS[profile.adapter].PARTS if profile.adapter in ADAPTERS else frozenset()
    for name in (*profile.keys.repeat, *profile.keys.content):
        if not _is_element(name) and (name != "day" or name in profile.keys.content):
            yield f"keys: {name} is no element"
    for row, link in enumerate(profile.keys.link):
        if len(link.original) != len(link.later):
            yield f"keys.link[{row}]: original and later have not the same number of parts"
        for name in (*link.original, *link.later):
            if not (_is_element(name) or name == "day" or name in _ORIGINAL_PARTS or name in parts):
                yield f"keys.link[{row}]: nothing is called {name}"


def _is_element(name: str) -> bool:
    return name.isdecimal() and name.isascii() and int(name) in NUMBERS
