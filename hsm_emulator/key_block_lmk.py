"""Key block Local Master Keys: one TDES or AES key that all keys are wrapped under, whatever they are for."""

from collections.abc import Callable

from hsm_emulator.aes import aes_cmac
from hsm_emulator.key_block import VENDOR, Binding, Header, Opened, close_block, open_block
from hsm_emulator.tdes import check_value
from processor.hsm.errors import ErrorCode

TEST_TDES = bytes.fromhex("0123456789ABCDEF8080808080808080FEDCBA9876543210")
TEST_AES = bytes.fromhex("9B71333A13F9FAE72F9D0E2DAB4AD6784718012F9244033F3F26A2DE0C8AA11A")
"""The published test keys. Everybody knows them."""


class KeyBlockLmk:
    """A triple-length TDES key (blocks of version 0) or a 32-byte AES key (version 1).

    ``identifier``: two digits that its blocks carry.
    """

    __slots__ = ("_binding", "_key", "_version", "identifier")

    def __init__(self, key: bytes, identifier: str) -> None:
        assert len(key) in {24, 32}, "a key block LMK is 24 bytes of TDES or 32 of AES"
        self._key = key
        self._version = "0" if len(key) == 24 else "1"
        self._binding: Binding = VENDOR[self._version]
        self.identifier = identifier

    @property
    def check_value(self) -> str:
        """Sixteen hex digits: six, then zeros. TDES: of the zero block; AES: of the CMAC of nothing."""
        shown = check_value(self._key) if self._version == "0" else aes_cmac(self._key, b"").hex().upper()
        return shown[:6] + "0" * 10

    def open_key(self, text: str) -> Opened | ErrorCode:
        """The key of a field that begins with S, or A3 (a block of the other kind), 83, A4 or A5."""
        if text[1:2] != self._version:
            return ErrorCode.KEY_BLOCK_LMK
        return open_block({self._version: self._binding}, self._key, text[1:])

    def wrap_key(self, header: Header, key: bytes, random_bytes: Callable[[int], bytes]) -> str:
        """The key field for a clear key."""
        marked = header._replace(reserved=self.identifier)
        return "S" + close_block(self._version, self._binding, self._key, marked, key, random_bytes)


def published_key_block_lmks() -> dict[str, KeyBlockLmk]:
    """The published key block LMKs by their identifiers; 00 is the variant one."""
    return {"01": KeyBlockLmk(TEST_TDES, "01"), "02": KeyBlockLmk(TEST_AES, "02")}
