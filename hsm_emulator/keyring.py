"""Keys that commands name by their text under the LMK, decrypted, checked and kept ready."""

from typing import ClassVar, Protocol, TypeVar

from hsm_emulator.lmk import VariantLmk
from hsm_emulator.tdes import has_odd_parity
from processor.hsm.errors import ErrorCode

CACHED_KEYS_MAX = 4096
"""Keys kept ready; the oldest leaves first. An issuer uses a few dozen."""


class ReadyKey(Protocol):
    """A key in a form that computes: made from its clear bytes, of one of the lengths it can have."""

    KEY_LENGTHS: ClassVar[frozenset[int]]

    def __init__(self, key: bytes) -> None: ...


K = TypeVar("K", bound=ReadyKey)


class Keyring:
    """Finds a key by its text under the LMK. Types separate keys: a ZPK read as a CVK fails its parity."""

    __slots__ = ("_limit", "_lmk", "_ready")

    def __init__(self, lmk: VariantLmk, limit: int = CACHED_KEYS_MAX) -> None:
        self._lmk = lmk
        self._limit = limit
        self._ready: dict[tuple[object, str, str], object] = {}

    def find(self, make: type[K], key_type: str, text: str) -> K | ErrorCode:
        """The key ready to use as ``make``, or 10 (parity, or all zeros) or 27 (length)."""
        name = (make, key_type, text)
        ready = self._ready.get(name)
        if ready is None:
            clear = self._clear(key_type, text)
            if isinstance(clear, ErrorCode):
                return clear
            if len(clear) not in make.KEY_LENGTHS:
                return ErrorCode.INCOMPATIBLE_KEY_LENGTH
            ready = make(clear)
            self._keep(name, ready)
        assert isinstance(ready, make)
        return ready

    def _clear(self, key_type: str, text: str) -> bytes | ErrorCode:
        clear = self._lmk.decrypt_key(key_type, text)
        if isinstance(clear, bytes) and not has_odd_parity(clear):
            return ErrorCode.SOURCE_KEY_PARITY
        return clear

    def _keep(self, name: tuple[object, str, str], ready: object) -> None:
        if len(self._ready) >= self._limit:
            del self._ready[next(iter(self._ready))]
        self._ready[name] = ready
