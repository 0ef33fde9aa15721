"""Commands about keys: A0 and BU."""

from hsm_emulator.key_scheme import KEY_BYTES, Zmk
from hsm_emulator.state import Result, State
from hsm_emulator.tdes import CheckedKey, check_value, with_odd_parity
from processor.hsm.errors import ErrorCode
from processor.hsm.layout import Fields

# fmt: off
KEY_TYPES = frozenset({
    "000",  # ZMK
    "001",  # ZPK
    "002",  # PVK; TPK and TMK without PCI HSM key types
    "70D", "80D",  # TPK and TMK with them
    "003", "008",  # TAK, ZAK
    "00A", "00B", "30B",  # ZEK, DEK, TEK
    "009", "609", "809",  # BDK-1 to BDK-3
    "109", "209", "309", "409", "509", "709",  # issuer master keys: AC, SMI, SMC, DAC, DN, dCVV and CVC3
    "402",  # CVK, CSCK
})
# fmt: on
"""Key types of TDES keys: what A0 makes."""

_NOT_TDES = frozenset({"00C", "00D", "10C"})
"""RSA and HMAC keys: types that exist, but not for A0."""

_MASTER_KEY_TYPES = {"0": "000", "1": "002"}
"""Type of the key that a new key is exported under, by the flag: ZMK or TMK."""

_SCHEMES = {"Z": ""} | {scheme: scheme for scheme in KEY_BYTES if scheme}
"""How a key is written by the scheme of a request: Z is a single-length key without a letter."""

_CHECK_VALUE_DIGITS = {"0": 16, "1": 6}


def generate_key(fields: Fields, state: State) -> Result:
    """A0: a random key with odd parity under the LMK, and in mode 1 under a ZMK or TMK too."""
    key_type = fields["key_type"]
    if key_type not in KEY_TYPES:
        return ErrorCode.FUNCTION_NOT_PERMITTED if key_type in _NOT_TDES else ErrorCode.INVALID_KEY_TYPE
    if fields["mode"] not in {"0", "1"}:
        return ErrorCode.INVALID_INPUT
    scheme = _SCHEMES.get(fields["lmk_scheme"])
    if scheme is None:
        return ErrorCode.INVALID_KEY_SCHEME
    key = with_odd_parity(state.random_bytes(KEY_BYTES[scheme]))
    under_lmk = state.lmk.encrypt_key(key_type, key, scheme)
    assert isinstance(under_lmk, str), "a key of a known type and its scheme's length"
    made = {"key_under_lmk": under_lmk, "check_value": check_value(key)[:6]}
    if fields["mode"] == "0":
        return made
    under_zmk = _under_zmk(key, fields, state)
    return under_zmk if isinstance(under_zmk, ErrorCode) else made | {"key_under_zmk": under_zmk}


def _under_zmk(key: bytes, fields: Fields, state: State) -> str | ErrorCode:
    """The new key under the ZMK or TMK of the fields."""
    master_key_type = _MASTER_KEY_TYPES.get(fields.get("zmk_flag", "0"))
    if master_key_type is None:
        return ErrorCode.INVALID_INPUT
    zmk = state.keyring.find(Zmk, master_key_type, fields["zmk"])
    if isinstance(zmk, ErrorCode):
        return zmk
    scheme = _SCHEMES.get(fields["zmk_scheme"])
    if scheme is None:
        return ErrorCode.INVALID_KEY_SCHEME
    if len(key) != KEY_BYTES[scheme]:
        return ErrorCode.INCOMPATIBLE_KEY_LENGTH
    return zmk.encrypt_key(key, scheme)


def make_check_value(fields: Fields, state: State) -> Result:
    """BU: the check value of a key: 16 digits, or six for check value type 1; 05 for another length."""
    key_type = fields.get("key_type") or "0" + fields["key_type_code"]
    shown = _CHECK_VALUE_DIGITS.get(fields.get("check_value_type", "0"))
    if shown is None or fields.get("reserved", "00") != "00":
        return ErrorCode.INVALID_INPUT
    key = fields["key"]
    if fields["length_flag"] != str(len(key.lstrip("UXTY")) // 16 - 1):
        return ErrorCode.INVALID_KEY_LENGTH_FLAG
    checked = state.keyring.find(CheckedKey, key_type, key)
    return checked if isinstance(checked, ErrorCode) else {"check_value": checked.check_value[:shown]}
