"""Commands that make keys and say what they are: A0, A4, BU, and the older HC and IA."""

from hsm_emulator.aes import aes_check_value
from hsm_emulator.key_block_lmk import KeyBlockLmk
from hsm_emulator.key_scheme import KEY_BYTES, Zmk
from hsm_emulator.key_transport import (
    CHECK_VALUE_DIGITS,
    SCHEMES,
    Carried,
    header_of,
    master_key,
    under_lmk,
    under_zmk,
)
from hsm_emulator.mac import xor
from hsm_emulator.roles import KEY_TYPES, NOT_TDES, WRAPPING_TMK, WRAPPING_ZMK, Role
from hsm_emulator.state import Result, State
from hsm_emulator.tdes import CheckedKey, check_value, has_weak_part, with_odd_parity
from processor.hsm.errors import ErrorCode
from processor.hsm.layout import Fields

_TMK_TYPE, _ZPK_TYPE = "002", "001"
_DRAWS_MOST = 8  # one draw in 2 to the 52 has a weak part
_ROLES: dict[str, Role] = {}


def generate_key(fields: Fields, state: State) -> Result:
    """A0: a random key with odd parity under the LMK, and in mode 1 under a ZMK or TMK too."""
    if fields["mode"] not in {"0", "1"}:
        return ErrorCode.INVALID_INPUT
    carried = _new_key(fields, state)
    if isinstance(carried, ErrorCode):
        return carried
    text = under_lmk(state, carried, fields["lmk_scheme"])
    if isinstance(text, ErrorCode):
        return text
    made = {"key_under_lmk": text, "check_value": check_value(carried.key)[:6]}
    if fields["mode"] == "0":
        return made
    zmk = master_key(state, fields, fields["zmk"])
    if isinstance(zmk, ErrorCode):
        return zmk
    exported = under_zmk(zmk, carried, fields["zmk_scheme"], state.random_bytes)
    return exported if isinstance(exported, ErrorCode) else made | {"key_under_zmk": exported}


def _new_key(fields: Fields, state: State) -> Carried | ErrorCode:
    """A new key for the type and scheme of the fields, or for what the # group says."""
    key_type = fields["key_type"]
    if isinstance(state.lmk, KeyBlockLmk):
        if key_type != "FFF" or "usage" not in fields:
            return ErrorCode.INVALID_KEY_TYPE
        attributes = header_of(fields)
        if isinstance(attributes, ErrorCode):
            return attributes
        return Carried(_random_key(state, attributes[1]), key_type, attributes[0])
    if key_type not in KEY_TYPES:
        return ErrorCode.FUNCTION_NOT_PERMITTED if key_type in NOT_TDES else ErrorCode.INVALID_KEY_TYPE
    scheme = SCHEMES.get(fields["lmk_scheme"])
    if scheme is None:
        return ErrorCode.INVALID_KEY_SCHEME
    return Carried(_random_key(state, KEY_BYTES[scheme]), key_type, None)


def _random_key(state: State, length: int) -> bytes:
    """A key with odd parity and no weak part."""
    for _ in range(_DRAWS_MOST):
        key = with_odd_parity(state.random_bytes(length))
        if not has_weak_part(key):
            return key
    raise AssertionError("the random bytes are not random")


def form_key(fields: Fields, state: State) -> Result:
    """A4: the exclusive or of components under the LMK, in the authorised state only (17)."""
    if not state.rules.authorised:
        return ErrorCode.NOT_AUTHORISED
    count = int(fields["count"])
    if count < 2:
        return ErrorCode.INVALID_COMPONENTS
    texts = [fields[f"component_{number}"] for number in range(1, count + 1)]
    components = [_component(fields, state, text) for text in texts]
    for component in components:
        if isinstance(component, ErrorCode):
            return component
    return _formed(fields, state, [component for component in components if isinstance(component, Carried)])


def _component(fields: Fields, state: State, text: str) -> Carried | ErrorCode:
    """One component, clear."""
    key_type = fields["key_type"]
    role = _role(key_type)
    if role is None:
        return ErrorCode.INVALID_KEY_TYPE
    clear = state.keyring.clear_key(role, text)
    if isinstance(clear, ErrorCode):
        return clear
    if not isinstance(state.lmk, KeyBlockLmk):
        return Carried(clear, key_type, None)
    opened = state.lmk.open_key(text)
    assert not isinstance(opened, ErrorCode), "it was opened before"
    version = fields.get("key_version", "00")
    return Carried(clear, key_type, opened.header._replace(key_version=version, reserved="00"))


def _formed(fields: Fields, state: State, components: list[Carried]) -> Result:
    """The key of the components; 27 and A6 when they differ in length or purpose, 10 when it is weak."""
    first, *others = components
    key = first.key
    for other in others:
        if len(other.key) != len(key):
            return ErrorCode.INCOMPATIBLE_KEY_LENGTH
        if other.header != first.header:
            return ErrorCode.KEY_USAGE
        key = xor(key, other.key)
    key = with_odd_parity(key)
    if has_weak_part(key):  # so are zeros with their parity set right
        return ErrorCode.SOURCE_KEY_PARITY
    text = under_lmk(state, first._replace(key=key), fields["lmk_scheme"])
    if isinstance(text, ErrorCode):
        return text
    return {"key_under_lmk": text, "check_value": check_value(key)[:6]}


def make_check_value(fields: Fields, state: State) -> Result:
    """BU: the check value of a key: 16 digits, or six for check value type 1; 05 for another length."""
    shown = CHECK_VALUE_DIGITS.get(fields.get("check_value_type", "0"))
    if shown is None or fields.get("reserved", "00") != "00":
        return ErrorCode.INVALID_INPUT
    key, flag = fields["key"], fields["length_flag"]
    if isinstance(state.lmk, KeyBlockLmk):
        return _block_check_value(state.lmk, key, flag)
    if key[0] not in "SRK" and flag != str(len(key.lstrip("UXTY")) // 16 - 1):
        return ErrorCode.INVALID_KEY_LENGTH_FLAG
    role = _role(fields.get("key_type") or "0" + fields["key_type_code"], any_pair=True)
    if role is None:
        return ErrorCode.INVALID_KEY_TYPE
    checked = state.keyring.find(CheckedKey, role, key)
    return checked if isinstance(checked, ErrorCode) else {"check_value": checked.check_value[:shown]}


def _block_check_value(lmk: KeyBlockLmk, text: str, flag: str) -> Result:
    """The six digits for a key block, of whatever algorithm its key is."""
    if flag != "F":
        return ErrorCode.INVALID_KEY_LENGTH_FLAG
    if text[0] != "S":
        return ErrorCode.INVALID_KEY_SCHEME
    opened = lmk.open_key(text)
    if isinstance(opened, ErrorCode):
        return opened
    if opened.header.algorithm == "A" and len(opened.key) in {16, 24, 32}:
        return {"check_value": aes_check_value(opened.key)[:6]}
    if opened.header.algorithm in {"T", "D"} and len(opened.key) in {8, 16, 24}:
        return {"check_value": check_value(opened.key)[:6]}
    return ErrorCode.KEY_ALGORITHM


def generate_terminal_key(fields: Fields, state: State) -> Result:
    """HC: a new key under the terminal's present one and under the LMK."""
    master = state.keyring.find(Zmk, WRAPPING_TMK, fields["tmk"])
    if isinstance(master, ErrorCode):
        return master
    made = _written_twice(
        state, master, _TMK_TYPE, fields.get("tmk_scheme", "Z"), fields.get("lmk_scheme", "Z")
    )
    if isinstance(made, ErrorCode):
        return made
    return {"key_under_tmk": made[0], "key_under_lmk": made[1]}


def generate_zpk(fields: Fields, state: State) -> Result:
    """IA: a new ZPK under a ZMK and under the LMK."""
    shown = CHECK_VALUE_DIGITS.get(fields.get("check_value_type", "0"))
    if shown is None:
        return ErrorCode.INVALID_INPUT
    master = state.keyring.find(Zmk, WRAPPING_ZMK, fields["zmk"])
    if isinstance(master, ErrorCode):
        return master
    made = _written_twice(
        state, master, _ZPK_TYPE, fields.get("zmk_scheme", "Z"), fields.get("lmk_scheme", "Z")
    )
    if isinstance(made, ErrorCode):
        return made
    return {"key_under_zmk": made[0], "key_under_lmk": made[1], "check_value": made[2][:shown]}


def _written_twice(
    state: State, master: Zmk, key_type: str, master_scheme: str, lmk_scheme: str
) -> tuple[str, str, str] | ErrorCode:
    """A new key under another and under the LMK, and its check value."""
    written = SCHEMES.get(lmk_scheme)
    if written is None or isinstance(state.lmk, KeyBlockLmk):
        return ErrorCode.INVALID_KEY_SCHEME
    carried = Carried(_random_key(state, KEY_BYTES[written]), key_type, None)
    outside = under_zmk(master, carried, master_scheme, state.random_bytes)
    inside = under_lmk(state, carried, lmk_scheme)
    if isinstance(outside, ErrorCode):
        return outside
    return inside if isinstance(inside, ErrorCode) else (outside, inside, check_value(carried.key))


def _role(key_type: str, *, any_pair: bool = False) -> Role | None:
    """The role of keys of a type that a request names, for commands that take any; None for no such type."""
    if key_type not in KEY_TYPES and key_type != "FFF" and not (any_pair and key_type[0].isdecimal()):
        return None
    if key_type not in _ROLES:
        _ROLES[key_type] = Role([key_type], (), "")
    return _ROLES[key_type]
