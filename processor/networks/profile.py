"""A network profile: every value that differs between networks, from a TOML file.

Those that come with the processor stand beside this module; a user's own is named by its path.
"""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import msgspec

from processor.networks.dialect_file import SUFFIX as DIALECT_SUFFIX
from processor.networks.profile_check import problems_of
from processor.values.errors import ConfigError
from processor.values.reasons import Reason
from processor.values.requests import CvvKind, Signal

SUFFIX = ".toml"
SHIPPED = (
    "visa-like",
    "mc-like",
    "iso87-ascii",
    "iso87-ascii-binary-bitmap",
    "iso87-binary",
    "iso93-ascii",
    "iso93-binary",
    "iso93-ebcdic",
)

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


class Saying(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One message of ours about the link: its elements, and the roles in which we send it."""

    elements: dict[str, str]
    roles: frozenset[Literal["server", "client"]]


class Session(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What we say about a link, besides DE 7 and 11, and by which elements its answer is known.

    ``header`` is in hex, for networks that have one. What is not among ``says`` is never said.
    """

    mti: str = "0800"
    key: tuple[str, ...] = ("7", "11", "70")
    accepted: frozenset[str] = frozenset({"00"})
    header: str = ""
    elements: dict[str, str] = {}
    says: dict[Signal, Saying] = {}


class Rejects(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Codes of the header-level rejects that we send, for networks that have them; empty: none for that.

    ``header`` is for a header that contradicts its frame (the link ends as well), ``message_type`` for one
    that is not the dialect's, ``message`` for what cannot be read as far as an answer ``needs`` it.
    """

    header: str = ""
    message_type: str = ""
    message: str = ""
    needs: tuple[int, ...] = (11,)


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """Characters ``start`` to ``end`` of an element."""

    element: int
    start: int
    end: int

    def of(self, elements: dict[int, str]) -> str:
        """Them, or empty where the element is absent."""
        return elements.get(self.element, "")[self.start : self.end]


class Places(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where this network has what moves between versions of the standard; as given, ISO 8583:1987.

    ``original_mti`` is of the message that a reversal is about, ``local_day`` MMDD, ``entry_mode`` how a card
    was read; the rest are elements, 0 for one the network has not.
    """

    original_mti: Piece = Piece(90, 0, 4)
    local_day: Piece = Piece(13, 0, 4)
    entry_mode: Piece = Piece(22, 0, 2)
    merchant_category: int = 18
    condition: int = 25
    network_management: int = 70
    replacement: int = 95


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
    session: Session = Session()
    rejects: Rejects = Rejects()
    places: Places = Places()
    accepted_codes: dict[str, str] = {}

    def response_code(self, reason: Reason, mti: str = "") -> str:
        """DE 39 for a reason, in the answer to ``mti`` where that makes a difference."""
        if reason is Reason.ACCEPTED and (code := self.accepted_codes.get(mti[:2])):
            return code
        return self.response_codes[reason]


def load_profile(name: str) -> Profile:
    """A profile that comes with the processor, such as ``visa-like``, or the one in a ``.toml`` file.

    Raises:
        ConfigError: there is no such profile, or ``parse_profile`` refuses it.
    """
    if not name.endswith(SUFFIX):
        return parse_profile(_shipped(name, f"network {name!r}"), _file_name(name))
    path = Path(name)
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: {error}"]) from None
    return parse_profile(text, str(path), path.parent)


def parse_profile(text: str, source: str, folder: Path = Path()) -> Profile:
    """Read a profile; ``source`` names it in errors, ``folder`` is where a dialect's file is looked for.

    A profile may begin with another: ``base`` names one that comes with the processor, and whatever stands at
    the top of this file, a table too, replaces the base's whole.

    Raises:
        ConfigError: it is not TOML, a key is unknown, missing or of a wrong type, or it cannot be served.
    """
    try:
        profile = msgspec.convert(_content(text, source, folder), Profile, strict=True)
    except (
        ValueError,
        RecursionError,
    ) as error:  # not TOML, too long a number, too deep, a wrong type
        raise ConfigError([f"{source}: {error}"]) from None
    if problems := [f"{source}: {problem}" for problem in problems_of(profile)]:
        raise ConfigError(problems)
    return profile


def _content(text: str, source: str, folder: Path) -> dict[str, Any]:
    """The file's keys over those of its base, and of that one's base."""
    content = tomllib.loads(text)
    dialect = content.get("dialect")
    if isinstance(dialect, str) and dialect.endswith(DIALECT_SUFFIX):
        content["dialect"] = str(folder / dialect)
    base = content.pop("base", None)
    if base is None:
        return content
    if not isinstance(base, str):
        raise ConfigError([f"{source}: base: must name a profile"])
    return {**_content(_shipped(base, f"{source}: base {base!r}"), _file_name(base), Path()), **content}


def _shipped(name: str, what: str) -> str:
    if name not in SHIPPED:
        raise ConfigError(
            [f"{what}: no such profile; there are {', '.join(SHIPPED)}, or a path with {SUFFIX}"]
        )
    return (resources.files("processor.networks") / _file_name(name)).read_text("utf-8")


def _file_name(name: str) -> str:
    return f"{name.replace('-', '_')}{SUFFIX}"
