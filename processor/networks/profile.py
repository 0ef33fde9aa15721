"""A network profile: every value that differs between networks, from a TOML file beside this module."""

import tomllib
from importlib import resources
from typing import Literal

import msgspec

from processor.values.errors import ConfigError
from processor.values.reasons import Reason
from processor.values.requests import CvvKind, Signal

# Never echoed, whatever a profile says: tracks, PIN data, chip request data, merchant name.
_NEVER_ECHOED = frozenset({35, 36, 43, 45, 52, 53, 55})


Kind = Literal[
    "authorization", "financial", "stand_in_advice", "financial_advice", "reversal", "network_management"
]


class Timers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``answer_ms`` is our own deadline, well inside the network's."""

    answer_ms: int
    late: Literal["answer", "silence"]


class Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way in which a later message names an earlier one."""

    original: tuple[str, ...]
    later: tuple[str, ...]


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What identifies a question, what must be equal in its repeats, and how messages are linked."""

    repeat: tuple[str, ...]
    content: tuple[str, ...]
    link: tuple[Link, ...]


class Directions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What DE 3, positions 1-2, does to the cardholder's money. A type that is not listed is not served."""

    debit: frozenset[str]
    credit: frozenset[str]
    none: frozenset[str]


class Holds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a hold lives, by entry mode."""

    present_entry_modes: frozenset[str]
    present_days: int
    absent_days: int


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One network, as data. The file's own comments say what each table means."""

    name: str
    dialect: str
    framing: str
    adapter: str
    luhn: Literal["check", "ignore"]
    pin_format_default: str
    pin_formats: dict[str, str]
    error_element: int
    before_sign_on: Literal["accept", "refuse"]
    timers: Timers
    currency_default: str
    messages: dict[str, Kind]
    mandatory: dict[str, tuple[int, ...]]
    echo: dict[str, tuple[int, ...]]
    keys: Keys
    directions: Directions
    approving_codes: frozenset[str]
    late_answer_reasons: frozenset[str]
    entry_modes: dict[str, CvvKind]
    holds: Holds
    network_management: dict[str, Signal]
    response_codes: dict[Reason, str]

    def response_code(self, reason: Reason) -> str:
        """DE 39 for a reason."""
        return self.response_codes[reason]


def parse_profile(text: str, source: str) -> Profile:
    """Read a profile; ``source`` names it in errors.

    Raises:
        ConfigError: it is not TOML, a key is unknown or of a wrong type, a reason has no code, or an element
            that must never leave is on an echo list.
    """
    try:
        profile = msgspec.convert(tomllib.loads(text), Profile, strict=True)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError([f"{source}: {error}"]) from None
    problems = [
        f"{source}: response_codes.{r.value} is missing" for r in Reason if r not in profile.response_codes
    ]
    problems += [
        f"{source}: echo.{mti}: DE {element} must never be echoed"
        for mti, elements in profile.echo.items()
        for element in sorted(_NEVER_ECHOED.intersection(elements))
    ]
    if problems:
        raise ConfigError(problems)
    return profile


def load_profile(name: str) -> Profile:
    """One of the profiles that come with the processor, such as ``visa-like``."""
    file = resources.files("processor.networks") / f"{name.replace('-', '_')}.toml"
    if not name.replace("-", "").isalnum() or not file.is_file():
        raise ConfigError([f"network {name!r}: no such profile"])
    return parse_profile(file.read_text("utf-8"), file.name)
