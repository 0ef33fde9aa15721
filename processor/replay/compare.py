"""Two replies to one question, compared element by element under field rules.

A rule says what counts as the same for one element; without a rule it must be equal. Whatever leaves here is
masked. The header and the MTI have rules as well, under the names ``header`` and ``mti``.
"""

import enum
import re
import tomllib
from collections.abc import Mapping
from typing import Self

import msgspec

from processor.iso8583.describe import shown_header
from processor.iso8583.dialect import NUMBERS, Dialect
from processor.iso8583.message import Message
from processor.values.errors import ConfigError

HEADER, MTI = -1, 0
_NAMED = {"header": HEADER, "mti": MTI}
_NAMES = {number: name.upper() for name, number in _NAMED.items()}

# Elements with a few short values each, so that differences group by what they say: 00→51.
_CODES = frozenset((MTI, 3, 22, 25, 39, 49, 50, 51, 66, 70))
# What tells most about a differing reply comes first: another kind of answer, then another decision.
_TELLING = {MTI: 0, 39: 1, HEADER: 999}


class Mode(enum.Enum):
    """How one element is compared."""

    EXACT = "exact"  # equal
    IGNORE = "ignore"  # anything, also its absence
    ECHO = "echo"  # equal to the request's; whatever it is where the request has none
    PRESENT = "present"  # there or absent as before, with any value
    SHAPE = "shape"  # there or absent as before, with a value of the shape


class FieldRule(msgspec.Struct, frozen=True):
    """One rule; ``shape`` is the regular expression of a SHAPE, matched against the whole value."""

    mode: Mode
    shape: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``exact``, ``ignore``, ``echo``, ``present`` or ``shape:REGEX``.

        Raises:
            ValueError: it is none of these, or not a regular expression.

        >>> str(FieldRule.parse("shape:[0-9A-Z]{6}"))
        'shape:[0-9A-Z]{6}'
        """
        word, _, shape = text.partition(":")
        try:
            mode = Mode(word)
            re.compile(shape)
        except (ValueError, re.error):
            mode = None
        if mode is None or (mode is Mode.SHAPE) != bool(shape):
            raise ValueError("must be exact, ignore, echo, present or shape:REGEX")
        return cls(mode, shape)

    def __str__(self) -> str:
        return f"{self.mode.value}:{self.shape}" if self.shape else self.mode.value


_EXACT = FieldRule(Mode.EXACT)
_ECHO = FieldRule(Mode.ECHO)
_IGNORE = FieldRule(Mode.IGNORE)

EXACTLY: Mapping[int, FieldRule] = {}
"""For a frozen replay: nothing is different but what was decided."""

LIVE: Mapping[int, FieldRule] = {
    **dict.fromkeys(
        (7, 12, 13, 15, 37), _ECHO
    ),  # the host's own clock and counter where the request has none
    38: FieldRule(Mode.SHAPE, "[0-9A-Z]{6}"),  # made from the host's own secret
    **dict.fromkeys((64, 128), _IGNORE),  # a MAC under the host's own session key
}
"""For another host than the one that was recorded."""


class Difference(msgspec.Struct, frozen=True):
    """One element of two replies that is not the same; masked values, None where it is absent."""

    element: int
    expected: str | None
    got: str | None

    def __str__(self) -> str:
        """For grouping: codes by value, everything else by whether it is there.

        >>> str(Difference(39, "00", "51")), str(Difference(38, "ABC123", None))
        ('DE39 00→51', 'DE38 given→absent')
        """
        return f"{element_name(self.element)} {self._side(self.expected)}→{self._side(self.got, 'other')}"

    def _side(self, value: str | None, other: str = "given") -> str:
        if value is None:
            return "absent"
        if self.element in _CODES:
            return value
        return other if self.expected is not None else "given"


def element_name(number: int) -> str:
    """``DE39``, ``MTI`` or ``HEADER``."""
    return _NAMES.get(number) or f"DE{number}"


# An element's number with its value in the question and in both replies.
_Side = tuple[int, str | None, str | None, str | None]


class FieldRules:
    """The rules of one network: ``given`` over ``defaults``, and exact for every other element."""

    def __init__(
        self, defaults: Mapping[int, FieldRule], given: Mapping[int, FieldRule] | None = None
    ) -> None:
        self._rules = {**defaults, **(given or {})}
        self._shapes = {number: re.compile(rule.shape) for number, rule in self._rules.items()}

    def words(self) -> dict[str, str]:
        """Each element that has a rule, with it."""
        return {element_name(number): str(rule) for number, rule in sorted(self._rules.items())}

    def differences(
        self, asked: Message, expected: Message, got: Message, dialect: Dialect
    ) -> tuple[Difference, ...]:
        """What is not the same in two replies to ``asked``, the most telling first."""
        sized = dialect.header.sized  # the header's own length field says nothing that the body does not
        sides: list[_Side] = [
            (HEADER, _hex(asked.header), _hex(sized(expected.header, 0)), _hex(sized(got.header, 0))),
            (MTI, asked.mti, expected.mti, got.mti),
        ]
        if expected.elements != got.elements:
            numbers = sorted(expected.elements.keys() | got.elements.keys())
            question, was, now = asked.elements.get, expected.elements.get, got.elements.get
            sides += [(n, question(n), was(n), now(n)) for n in numbers]
        found = [
            Difference(number, shown(number, old, dialect), shown(number, new, dialect))
            for number, asked_for, old, new in sides
            if old != new and not self._accepts(number, asked_for, old, new)
        ]
        return tuple(sorted(found, key=lambda d: (_TELLING.get(d.element, 2), d.element)))

    def _accepts(self, number: int, asked: str | None, was: str | None, now: str | None) -> bool:
        """Whether two values that are not equal count as the same."""
        rule = self._rules.get(number, _EXACT)
        match rule.mode:
            case Mode.EXACT:
                return False
            case Mode.IGNORE:
                return True
            case Mode.ECHO:
                return asked is None or now == asked
            case Mode.PRESENT:
                return was is not None and now is not None
            case Mode.SHAPE:
                return was is not None and now is not None and bool(self._shapes[number].fullmatch(now))


def shown(number: int, value: str | None, dialect: Dialect) -> str | None:
    """One value for people; None stays None."""
    if value is None or number == MTI:
        return value
    if number == HEADER:
        return shown_header(bytes.fromhex(value), dialect)
    return dialect.masked(number, value)


def parse_rule(text: str) -> tuple[int, FieldRule]:
    """``ELEMENT=RULE`` of a command line, such as ``38=ignore``.

    Raises:
        ConfigError: no such element, or no such rule.

    >>> parse_rule("mti=exact")[0], str(parse_rule("44=present")[1])
    (0, 'present')
    """
    name, equals, rule = text.partition("=")
    if not equals:
        raise ConfigError([f"rule {text!r}: must be ELEMENT=RULE, such as 38=ignore"])
    return _row(name, rule, f"rule {text!r}")


def parse_rules(text: str, source: str) -> dict[int, FieldRule]:
    """The rules of a TOML file with one table ``[rules]``: ``38 = "ignore"``, ``header = "exact"``.

    Raises:
        ConfigError: every problem at once, with ``source`` in it.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{source}: {error}"]) from None
    table = document.get("rules")
    if set(document) != {"rules"} or not isinstance(table, dict):
        raise ConfigError([f"{source}: must have one table, [rules]"])
    rules: dict[int, FieldRule] = {}
    problems: list[str] = []
    for name, rule in table.items():
        try:
            number, rules_of = _row(name, str(rule), f"{source}: rules.{name}")
            rules[number] = rules_of
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return rules


def _row(name: str, rule: str, where: str) -> tuple[int, FieldRule]:
    number = _NAMED.get(name, int(name) if name.isascii() and name.isdigit() and len(name) < 4 else None)
    if number is None or (number not in NUMBERS and name not in _NAMED):
        raise ConfigError([f"{where}: no such element; a data element's number, mti or header"])
    try:
        return number, FieldRule.parse(rule)
    except ValueError as error:
        raise ConfigError([f"{where}: {error}"]) from None


def _hex(data: bytes) -> str:
    return data.hex().upper()
