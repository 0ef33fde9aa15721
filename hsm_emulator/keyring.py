"""Keys that commands name by their text under the LMK, decrypted, checked and kept ready."""

from typing import ClassVar, Protocol, TypeAlias, TypeVar

from hsm_emulator.key_block_lmk import KeyBlockLmk
from hsm_emulator.lmk import VariantLmk
from hsm_emulator.roles import Role
from hsm_emulator.tdes import has_odd_parity, has_weak_part, is_shorter_than_it_looks
from processor.hsm.errors import ErrorCode

CACHED_KEYS_MAX = 4096
"""Keys kept ready; the oldest leaves first. An issuer uses a few dozen."""

Lmk: TypeAlias = VariantLmk | KeyBlockLmk


class ReadyKey(Protocol):
    """A key in a form that computes: made from its clear bytes, of one of the lengths it can have."""

    KEY_LENGTHS: ClassVar[frozenset[int]]

    def __init__(self, key: bytes) -> None: ...


K = TypeVar("K", bound=ReadyKey)

_TDES_LETTERS = {"T", "D"}


class Keyring:
    """Finds a key by its text under the LMK and the role it is needed in.

    ``pci_key_types``: terminal keys have types of their own. ``strict``: keys with equal parts are refused.
    """

    __slots__ = ("_limit", "_lmk", "_pci", "_ready", "_strict")

    def __init__(
        self,
        lmk: Lmk,
        limit: int = CACHED_KEYS_MAX,
        *,
        pci_key_types: bool = False,
        strict: bool = False,
    ) -> None:
        self._lmk = lmk
        self._limit = limit
        self._pci = pci_key_types
        self._strict = strict
        self._ready: dict[tuple[object, Role, str], object] = {}

    def find(
        self, make: type[K], role: Role, text: str, parity: ErrorCode = ErrorCode.SOURCE_KEY_PARITY
    ) -> K | ErrorCode:
        """The key ready to use as ``make``, or what is wrong: ``parity`` for parity, a weak part or zeros."""
        name = (make, role, text)
        ready = self._ready.get(name)
        if ready is None:
            clear = self.clear_key(role, text)
            if isinstance(clear, ErrorCode):
                return parity if clear is ErrorCode.SOURCE_KEY_PARITY else clear
            if len(clear) not in make.KEY_LENGTHS:
                return ErrorCode.INCOMPATIBLE_KEY_LENGTH
            ready = make(clear)
            self._keep(name, ready)
        assert isinstance(ready, make)
        return ready

    def clear_key(self, role: Role, text: str) -> bytes | ErrorCode:
        """The clear key, or 10 (parity), 12, 26 (scheme), 28, 75 or an error of the key block."""
        if text[0] == "K":
            return ErrorCode.USER_STORAGE_UNAVAILABLE
        if isinstance(self._lmk, KeyBlockLmk):
            return self._from_block(self._lmk, role, text)
        if text[0] in "SR":
            return ErrorCode.INVALID_KEY_SCHEME
        clear = self._lmk.decrypt_key(role.key_type(pci=self._pci), text)
        return clear if isinstance(clear, ErrorCode) else self.checked(clear)

    def checked(self, clear: bytes) -> bytes | ErrorCode:
        """A TDES key that may be used, or 10 (parity, or a weak part) or 75 (equal parts, if strict)."""
        if not has_odd_parity(clear) or has_weak_part(clear):
            return ErrorCode.SOURCE_KEY_PARITY
        if self._strict and is_shorter_than_it_looks(clear):
            return ErrorCode.SINGLE_LENGTH_MASQUERADE
        return clear

    def _from_block(self, lmk: KeyBlockLmk, role: Role, text: str) -> bytes | ErrorCode:
        if text[0] != "S":
            return ErrorCode.INVALID_KEY_SCHEME
        opened = lmk.open_key(text)
        if isinstance(opened, ErrorCode):
            return opened
        header, clear = opened
        if role.usages and header.usage not in role.usages:
            return ErrorCode.KEY_USAGE
        if role.modes and header.mode not in role.modes:
            return ErrorCode.MODE_OF_USE
        if header.algorithm not in _TDES_LETTERS:
            return ErrorCode.KEY_ALGORITHM
        return self.checked(clear)

    def _keep(self, name: tuple[object, Role, str], ready: object) -> None:
        if len(self._ready) >= self._limit:
            del self._ready[next(iter(self._ready))]
        self._ready[name] = ready
