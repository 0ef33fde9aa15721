"""Commands over data: M0 M2 M4 (encryption), M6 M8 MY (message authentication)."""

import hmac
from typing import ClassVar

from hsm_emulator.mac import cbc_mac, pad, retail_mac, tdes_cmac
from hsm_emulator.roles import DATA_DECRYPT, DATA_ENCRYPT, MAC_CHECK, MAC_MAKE, Role
from hsm_emulator.state import Result, State
from hsm_emulator.tdes import BLOCK_BYTES, KEY_LENGTHS, Tdes, cbc_encrypt
from processor.hsm.errors import ErrorCode
from processor.hsm.layout import Fields

_MODE_ECB = "00"
_BINARY, _HEX, _TEXT = "0", "1", "2"
_ONLY, _FIRST, _MIDDLE, _LAST = "0", "1", "2", "3"
_CBC, _RETAIL, _CMAC = "1", "3", "6"
_PADDINGS = {"0": 0, "1": 1, "2": 2}
_SIZES = {"0": 8, "1": 16}
_ZERO_IV = "00" * BLOCK_BYTES

_INVALID_MODE = ErrorCode.KEY_LENGTH_ADVICE  # 02, in the sense these commands give it
_INVALID_INPUT_FORMAT = ErrorCode.INVALID_COMPONENTS  # 03
_INVALID_OUTPUT_FORMAT = _INVALID_ALGORITHM = ErrorCode.INVALID_MODE  # 04
_INVALID_KEY_TYPE = ErrorCode.INVALID_KEY_LENGTH_FLAG  # 05


class MacKey:
    """A MAC key of 8, 16 or 24 bytes."""

    KEY_LENGTHS: ClassVar[frozenset[int]] = KEY_LENGTHS
    __slots__ = ("key",)

    def __init__(self, key: bytes) -> None:
        self.key = key


def _data(fields: Fields) -> bytes | ErrorCode:
    """The message's bytes, or 03 (input format) or 06 (half a byte)."""
    if fields["input_format"] not in {_BINARY, _HEX, _TEXT}:
        return _INVALID_INPUT_FORMAT
    return bytes.fromhex(fields["data"]) if len(fields["data"]) % 2 == 0 else ErrorCode.MAC_LENGTH


def _given(data: bytes, output_format: str) -> Fields:
    """The response's data as its characters: hex digits for output format 1, the bytes otherwise."""
    characters = data.hex().upper().encode("ascii") if output_format == _HEX else data
    return {"data": characters.hex().upper()}


def _blocks(fields: Fields, outputs: str) -> bytes | ErrorCode:
    """The whole blocks of a request whose modes and formats are right, or 02, 03, 04 or 06."""
    if fields["mode"] != _MODE_ECB or fields.get("new_mode", _MODE_ECB) != _MODE_ECB:
        return _INVALID_MODE
    data = _data(fields)
    if isinstance(data, ErrorCode):
        return data
    if fields["output_format"] not in outputs:
        return _INVALID_OUTPUT_FORMAT
    return ErrorCode.MAC_LENGTH if not data or len(data) % BLOCK_BYTES else data


def _cipher(
    state: State, roles: dict[str, Role], key_type: str, key: str, parity: ErrorCode
) -> Tdes | ErrorCode:
    role = roles.get(key_type)
    return _INVALID_KEY_TYPE if role is None else state.keyring.find(Tdes, role, key, parity)


def encrypt_data(fields: Fields, state: State) -> Result:
    """M0: whole blocks of data encrypted."""
    data = _blocks(fields, _BINARY + _HEX)
    if isinstance(data, ErrorCode):
        return data
    key = _cipher(state, DATA_ENCRYPT, fields["key_type"], fields["key"], ErrorCode.SOURCE_KEY_PARITY)
    return key if isinstance(key, ErrorCode) else _given(key.encrypt(data), fields["output_format"])


def decrypt_data(fields: Fields, state: State) -> Result:
    """M2: whole blocks of data decrypted."""
    data = _blocks(fields, _BINARY + _HEX + _TEXT)
    if isinstance(data, ErrorCode):
        return data
    key = _cipher(state, DATA_DECRYPT, fields["key_type"], fields["key"], ErrorCode.SOURCE_KEY_PARITY)
    return key if isinstance(key, ErrorCode) else _given(key.decrypt(data), fields["output_format"])


def translate_data(fields: Fields, state: State) -> Result:
    """M4: whole blocks of data from one key to another; parity errors: 10 the old key, 11 the new one."""
    data = _blocks(fields, _BINARY + _HEX)
    if isinstance(data, ErrorCode):
        return data
    old = _cipher(state, DATA_DECRYPT, fields["key_type"], fields["key"], ErrorCode.SOURCE_KEY_PARITY)
    if isinstance(old, ErrorCode):
        return old
    new = _cipher(
        state, DATA_ENCRYPT, fields["new_key_type"], fields["new_key"], ErrorCode.DESTINATION_KEY_PARITY
    )
    return (
        new if isinstance(new, ErrorCode) else _given(new.encrypt(old.decrypt(data)), fields["output_format"])
    )


def _mac_terms(fields: Fields, prefix: str = "") -> ErrorCode | None:
    """What is wrong with how a MAC is to be made: 04 (algorithm), 09 (padding), 15 (size)."""
    if fields[f"{prefix}algorithm"] not in {_CBC, _RETAIL, _CMAC}:
        return _INVALID_ALGORITHM
    if fields[f"{prefix}padding"] not in _PADDINGS:
        return ErrorCode.INVALID_PADDING
    return None if fields[f"{prefix}mac_size"] in _SIZES else ErrorCode.INVALID_INPUT


def _mac(
    state: State, roles: dict[str, Role], fields: Fields, data: bytes, prefix: str = ""
) -> str | ErrorCode:
    """The MAC's sixteen digits under the key of the fields, or 05, 06, 27 or what is wrong with the key."""
    role = roles.get(fields[f"{prefix}key_type"])
    if role is None:
        return _INVALID_KEY_TYPE
    parity = ErrorCode.DESTINATION_KEY_PARITY if prefix else ErrorCode.SOURCE_KEY_PARITY
    found = state.keyring.find(MacKey, role, fields[f"{prefix}key"], parity)
    if isinstance(found, ErrorCode):
        return found
    return _calculate(found.key, fields, data, prefix)


def _calculate(key: bytes, fields: Fields, data: bytes, prefix: str) -> str | ErrorCode:
    algorithm, iv = fields[f"{prefix}algorithm"], bytes.fromhex(fields.get("iv", _ZERO_IV))
    if algorithm == _RETAIL and len(key) != 2 * BLOCK_BYTES:
        return ErrorCode.INCOMPATIBLE_KEY_LENGTH
    if algorithm == _CMAC:
        return tdes_cmac(key, data).hex().upper() if fields["mode"] == _ONLY else _INVALID_MODE
    if fields["mode"] in {_ONLY, _LAST}:
        data = pad(data, _PADDINGS[fields[f"{prefix}padding"]])
    if not data or len(data) % BLOCK_BYTES:
        return ErrorCode.MAC_LENGTH
    if fields["mode"] in {_FIRST, _MIDDLE}:
        chained = key[:BLOCK_BYTES] if algorithm == _RETAIL else key
        return cbc_encrypt(chained, iv, data)[-BLOCK_BYTES:].hex().upper()
    return (retail_mac if algorithm == _RETAIL else cbc_mac)(key, data, iv).hex().upper()


def make_mac(fields: Fields, state: State) -> Result:
    """M6: a MAC; in modes 1 and 2 (first and middle block) all sixteen digits, to go on from."""
    if fields["mode"] not in {_ONLY, _FIRST, _MIDDLE, _LAST}:
        return _INVALID_MODE
    data = _data(fields)
    if isinstance(data, ErrorCode):
        return data
    wrong = _mac_terms(fields)
    if wrong is not None:
        return wrong
    made = _mac(state, MAC_MAKE, fields, data)
    if isinstance(made, ErrorCode):
        return made
    return {"mac": made if fields["mode"] in {_FIRST, _MIDDLE} else made[: _SIZES[fields["mac_size"]]]}


def verify_mac(fields: Fields, state: State) -> Result:
    """M8: 00 when the MAC is right, 01 when it is not; of a message or its last block (02 otherwise)."""
    if fields["mode"] not in {_ONLY, _LAST}:
        return _INVALID_MODE
    data = _data(fields)
    if isinstance(data, ErrorCode):
        return data
    wrong = _mac_terms(fields)
    if wrong is not None:
        return wrong
    made = _mac(state, MAC_CHECK, fields, data)
    if isinstance(made, ErrorCode):
        return made
    right = hmac.compare_digest(made[: _SIZES[fields["mac_size"]]], fields["mac"])
    return {} if right else ErrorCode.VERIFICATION_FAILED


def translate_mac(fields: Fields, state: State) -> Result:
    """MY: another MAC over a message whose MAC is right (01); parity errors: 10 old key, 11 new one."""
    if fields["mode"] != _ONLY:
        return _INVALID_MODE
    verified = verify_mac(fields, state)
    if verified != {}:
        return verified
    data, wrong = _data(fields), _mac_terms(fields, "new_")
    if wrong is not None or isinstance(data, ErrorCode):
        return wrong or ErrorCode.INVALID_INPUT
    made = _mac(state, MAC_MAKE, fields, data, "new_")
    return made if isinstance(made, ErrorCode) else {"mac": made[: _SIZES[fields["new_mac_size"]]]}
