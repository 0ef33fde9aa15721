"""A calculation told step by step, and the nearest one that gives the value in question."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

CHANGES_MAX = 2
"""How many things at once may differ in what is looked for."""


class Step(msgspec.Struct, frozen=True):
    """One line: what it is, its value, how it came about."""

    name: str
    value: str
    how: str


class Story(msgspec.Struct, frozen=True):
    """The steps to a value. ``given`` is what was to be explained, empty where there was none.

    ``instead`` are the nearest calculations that give it; ``tries`` says how many were made, because short
    values come out right by chance, each with probability 1 in ``chance_one_in``.
    """

    steps: tuple[Step, ...]
    expected: str
    given: str = ""
    instead: tuple[str, ...] = ()
    tries: int = 0
    chance_one_in: int = 0

    @property
    def fits(self) -> bool:
        """Whether the value is the expected one, or none was given."""
        return self.given in {"", self.expected}


class Value(NamedTuple):
    """What may stand in one place of a calculation, and how to call it when it is not what was given."""

    label: str
    value: Any


Place = Sequence[Value]
"""The values of one place: first the given one, then those that people take for it."""


class Found(NamedTuple):
    """The nearest calculations, and how many were made to find them."""

    instead: tuple[str, ...]
    tries: int


def nearest(places: Sequence[Place], make: Callable[..., str], wanted: str) -> Found:
    """The calculations with the fewest changes that give ``wanted``: at most ``CHANGES_MAX`` places differ.

    ``make`` gets one value of each place, in their order.
    """
    tries = 0
    for changes in range(1, CHANGES_MAX + 1):
        found = []
        for changed in itertools.combinations(range(len(places)), changes):
            for others in itertools.product(*(_others(places[at]) for at in changed)):
                values = [place[0].value for place in places]
                for at, other in zip(changed, others, strict=True):
                    values[at] = other.value
                tries += 1
                if make(*values) == wanted:
                    found.append(", and ".join(other.label for other in others))
        if found:
            return Found(tuple(found), tries)
    return Found((), tries)


def _others(place: Place) -> list[Value]:
    """The values that differ from the given one."""
    return [value for value in place[1:] if value.value != place[0].value]


def explained(
    steps: Sequence[Step], expected: str, given: str, places: Sequence[Place], make: Callable[..., str]
) -> Story:
    """The story; when the given value is another than the expected one, with what it would be right for."""
    if given in {"", expected}:
        return Story(tuple(steps), expected, given)
    found = nearest(places, make, given)
    base = 10 if expected.isdecimal() and len(expected) < 16 else 16
    return Story(tuple(steps), expected, given, *found, base ** len(expected))


def swapped_halves(key: bytes) -> bytes:
    """A double-length key with its halves the other way round."""
    return key[8:16] + key[:8] + key[16:]
