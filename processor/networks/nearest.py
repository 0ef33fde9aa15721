"""Why a message matches nothing: which part of the key differs from the nearest thing it could have meant."""

from collections.abc import Iterable, Sequence

_NAMES = {
    "2": "card",
    "4": "amount",
    "7": "transmitted",
    "11": "stan",
    "12": "local_time",
    "13": "local_date",
    "32": "acquirer",
    "33": "forwarder",
    "37": "rrn",
    "38": "auth_code",
    "41": "terminal",
    "42": "merchant",
    "70": "code",
}


def part_name(name: str) -> str:
    """A part of a key for people, by its name in a profile.

    >>> part_name("11"), part_name("90.32"), part_name("62.2")
    ('stan', 'acquirer', '62.2')
    """
    return _NAMES.get(name.removeprefix("90."), name)


def differing(
    key: Sequence[str], candidates: Iterable[Sequence[str]], names: Sequence[str]
) -> tuple[str, ...] | None:
    """Which parts of ``key`` differ from the candidate that has most of them; None if none has any.

    Keys are as long as ``names``.

    >>> differing(("000001", "301"), [("000002", "071"), ("000001", "071")], ("11", "70"))
    ('code',)
    """
    best: tuple[str, ...] | None = None
    for candidate in candidates:
        parts = zip(names, key, candidate, strict=True)
        differ = tuple([part_name(name) for name, ours, theirs in parts if ours != theirs])
        if len(differ) < (len(names) if best is None else len(best)):
            best = differ
    return best


def in_words(parts: Sequence[str] | None) -> str:
    """What differs, for people.

    >>> in_words(["acquirer"]), in_words(["stan", "rrn"]), in_words(None)
    ('acquirer differs', 'stan, rrn differ', 'nothing is near')
    """
    if not parts:
        return "nothing is near"
    return f"{', '.join(parts)} {'differs' if len(parts) == 1 else 'differ'}"
