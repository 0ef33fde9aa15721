"""The base key of derived keys, as the keyring keeps it."""

from typing import ClassVar


class BaseKey:
    """A base derivation key of 16 bytes."""

    KEY_LENGTHS: ClassVar[frozenset[int]] = frozenset({16})
    __slots__ = ("key",)

    def __init__(self, key: bytes) -> None:
        self.key = key
