"""What may be explained: published test keys, keys under the published test LMKs, and test cards."""

from collections.abc import Collection

from hsm_emulator.key_block_lmk import published_key_block_lmks
from hsm_emulator.keyring import Keyring, Lmk
from hsm_emulator.lmk import VariantLmk
from hsm_emulator.roles import CVK_CHECK, IBM_CHECK, MK_AC, PVV_CHECK, ZPK_FROM, Role
from processor.hsm.errors import ErrorCode
from processor.values.errors import ConfigError

# fmt: off
TEST_KEYS = frozenset({
    "0123456789ABCDEF", "FEDCBA9876543210", "4C9BE09E681A19DC",
    "0123456789ABCDEFFEDCBA9876543210", "FEDCBA98765432100123456789ABCDEF",
    "89ABCDEF0123456776543210FEDCBA98", "C7152C20BC2C830EA7EC9E8334ABE3FE",
    "C8199237EA5857BC40EF9DA2B5E96BBF", "86190176866EC17FB32685ADB6ADA83B",
    "138ACBAD577A57867AEA7FAD583BC8EA1C0183AE01FDFE08",
})
# fmt: on
"""Clear keys that projects and manuals publish with their examples."""

TEST_BINS = ("400000", "520000")
"""How the cards of ``standin deck make`` begin."""

TEST_PANS = frozenset({"1234567890123456", "4123456789012345", "4111111111111111", "5555555555554444"})
"""Card numbers of published examples."""

_ROLES: dict[str, Role] = {
    "cvk": CVK_CHECK,
    "pvk": PVV_CHECK,
    "ibm_pvk": IBM_CHECK,
    "zpk": ZPK_FROM,
    "imk_ac": MK_AC,
}
_LENGTHS = frozenset({16, 32, 48})
NOT_TEST_KEY = "is not a published test key: give it under a test LMK, or say --these-are-test-keys"
NOT_TEST_CARD = "is not a test card: its number must begin with a test BIN (--test-bin)"


def option_key(name: str, text: str, *, trusted: bool) -> bytes:
    """The clear key of an option: 16, 32 or 48 hex digits in clear, or a key under a published test LMK.

    ``trusted``: whoever asks says that it is a test key. Errors: ConfigError, which never quotes the key.
    """
    upper = text.upper()
    if upper[:1] in {"U", "X", "T", "Y"}:
        return _opened(name, VariantLmk(), upper)
    if upper[:1] == "S":
        return _opened(name, published_key_block_lmks()["01" if text[1:2] == "0" else "02"], text)
    try:
        key = bytes.fromhex(upper)
    except ValueError:
        key = b""
    if len(upper) not in _LENGTHS or len(upper) != 2 * len(key):
        raise ConfigError([f"{name}: must be 16, 32 or 48 hex digits, or U, X, T, Y or S and a key"])
    if not trusted and upper not in TEST_KEYS:
        raise ConfigError([f"{name}: {NOT_TEST_KEY}"])
    return key


def _opened(name: str, lmk: Lmk, text: str) -> bytes:
    try:
        key = Keyring(lmk).clear_key(_ROLES[name], text)
    except ValueError:
        key = ErrorCode.INVALID_INPUT
    if isinstance(key, ErrorCode):
        raise ConfigError([f"{name}: under the test LMK it is no such key ({key.value}: {key.meaning})"])
    return key


def option_pan(pan: str, bins: Collection[str]) -> str:
    """The PAN of a test card. ``bins`` are more test BINs, of six digits or more. Errors: ConfigError."""
    if not all(b.isascii() and b.isdecimal() and 6 <= len(b) <= 11 for b in bins):
        raise ConfigError(["--test-bin: must be 6 to 11 digits"])
    if not (pan.isascii() and pan.isdecimal() and 12 <= len(pan) <= 19):
        raise ConfigError(["pan: must be 12 to 19 digits"])
    if pan not in TEST_PANS and not pan.startswith((*TEST_BINS, *bins)):
        raise ConfigError([f"pan: {NOT_TEST_CARD}"])
    return pan
