"""A bounded store of what is worth making only for keys that recur.

It is a dictionary so that a hit costs one lookup. Entries live in two generations: when the young one is full
it becomes the old one and what was old is dropped; an old entry that is asked for is young again. So what is
in use stays whatever passes by, and nothing is counted on a hit.
"""

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recurring(dict[K, V | None]):
    """Values by key: at most ``twice entries_max`` of them. A missing key is None.

    A key is worth a value when it was ``missed`` ``worth_it`` times among the last ``candidates_max``
    different ones, more or less: at that many all counts begin again.
    """

    def __init__(self, entries_max: int, candidates_max: int, worth_it: int) -> None:
        super().__init__()
        self._entries_max = entries_max
        self._candidates_max = candidates_max
        self._worth_it = worth_it
        self._old: dict[K, V | None] = {}
        self._misses: dict[K, int] = {}

    def __missing__(self, key: K) -> V | None:
        value = self._old.pop(key, None)
        if value is not None:
            self.store(key, value)
        return value

    def missed(self, key: K) -> bool:
        """Count a key that has no value yet; whether it now is worth one."""
        count = self._misses.get(key, 0) + 1
        if count >= self._worth_it:
            self._misses.pop(key, None)
            return True
        if len(self._misses) >= self._candidates_max:
            self._misses.clear()
        self._misses[key] = count
        return False

    def store(self, key: K, value: V) -> None:
        """Keep a value; the least used may go."""
        if len(self) >= self._entries_max:
            self._old = dict(self)
            self.clear()
        self[key] = value
