"""PIN blocks, PVVs and IBM 3624 offsets, step by step."""

from collections.abc import Iterator
from typing import NamedTuple

from hsm_emulator.explain.story import Place, Step, Story, Value, explained, swapped_halves
from hsm_emulator.ibm3624 import IbmKey, offset_of
from hsm_emulator.mac import xor
from hsm_emulator.pin_block import is_bound, is_known, read_block
from hsm_emulator.pvv import PvvKey
from hsm_emulator.tdes import KEY_LENGTHS, Tdes
from processor.hsm.errors import ErrorCode
from processor.values.errors import ConfigError
from processor.values.sensitive import Pan

_FORMATS = {
    "01": "ISO 0",
    "03": "Diebold",
    "05": "ISO 1",
    "35": "Mastercard",
    "47": "ISO 3",
}
_DEFAULT_TABLE = "0123456789012345"


class Block(NamedTuple):
    """An encrypted PIN block (8 bytes), its key, its format code and the card it was made for."""

    zpk: bytes
    encrypted: bytes
    format_code: str
    pan: str


def explain_block(block: Block) -> Story:
    """What is in a PIN block; when it is no PIN, how else the block could be read."""
    if block.format_code not in _FORMATS or not is_known(block.format_code):
        raise ConfigError([f"format: must be one of {' '.join(_FORMATS)}"])
    steps, pin = _opened(block)
    if not isinstance(pin, ErrorCode):
        return Story(tuple(steps), pin)
    others = tuple(f"{label}: PIN {other}" for label, other in _other_readings(block))
    return Story(tuple(steps), "", "no PIN", others)


def _opened(block: Block) -> tuple[list[Step], str | ErrorCode]:
    clear = Tdes(block.zpk).decrypt(block.encrypted)
    account = Pan(block.pan).account_12()
    steps = [Step("clear block", clear.hex().upper(), "the block decrypted under the ZPK")]
    if is_bound(block.format_code):
        field = bytes.fromhex(account.rjust(16, "0"))
        steps += [
            Step(
                "account",
                field.hex().upper(),
                "the twelve rightmost digits of the PAN before the check digit",
            ),
            Step("PIN field", xor(clear, field).hex().upper(), "clear block XOR account"),
        ]
    pin = read_block(block.format_code, clear, account)
    name = f"as format {block.format_code}, {_FORMATS[block.format_code]}, has it"
    shown = f"{pin.value}: {pin.meaning}" if isinstance(pin, ErrorCode) else pin
    return [*steps, Step("PIN", shown, name)], pin


def _other_readings(block: Block) -> Iterator[tuple[str, str]]:
    """Other formats, accounts and orders of the key's halves that give a PIN."""
    accounts = {
        "": Pan(block.pan).account_12(),
        ", with the check digit in the account": block.pan[-12:],
        ", with the first twelve digits as account": block.pan[:12],
    }
    keys = {"": block.zpk, ", with the halves of the ZPK the other way round": swapped_halves(block.zpk)}
    for key_label, key in keys.items():
        clear = Tdes(key).decrypt(block.encrypted)
        for code, name in _FORMATS.items():
            for account_label, account in accounts.items():
                if account_label and not is_bound(code):
                    continue
                pin = read_block(code, clear, account)
                if not isinstance(pin, ErrorCode):
                    yield f"format {code} ({name}){account_label}{key_label}", pin


def pin_of_block(block: Block) -> tuple[list[Step], str]:
    """The steps to the PIN of a block, and the PIN. Errors: ConfigError when there is none in it."""
    steps, pin = _opened(block)
    if isinstance(pin, ErrorCode):
        raise ConfigError([f"pin_block: {pin.value}: {pin.meaning}; explain pin-block tells more"])
    return steps, pin


def explain_pvv(pvk: bytes, pan: str, pvki: str, pin: str, pvv: str = "") -> Story:
    """How a PVV comes about, and what ``pvv`` would be right for if it is another.

    Shape: ``pvk`` 16 bytes, ``pan`` 12 to 19, ``pvki`` 1, ``pin`` 4 to 12, ``pvv`` 4 digits.
    """
    account = Pan(pan).account_12()
    places: list[Place] = [
        [Value("", pvk), Value("the halves of the PVK the other way round", swapped_halves(pvk))],
        [
            Value("", account),
            Value("the rightmost digits of the PAN with the check digit", pan[-12:]),
            Value("the leftmost digits of the PAN", f"0{pan[:11]}"),
        ],
        [Value("", pvki), *(Value(f"PVKI {digit}", digit) for digit in "0123456789")],
        [Value("", pin), Value("the last four digits of the PIN", pin[-4:])],
    ]
    return explained(_pvv_steps(pvk, account, pvki, pin), _pvv(pvk, account, pvki, pin), pvv, places, _pvv)


def _pvv(pvk: bytes, account: str, pvki: str, pin: str) -> str:
    return PvvKey(pvk).generate(account, pvki, pin)


def _pvv_steps(pvk: bytes, account: str, pvki: str, pin: str) -> list[Step]:
    data = account[1:] + pvki + pin[:4]
    encrypted = Tdes(pvk).encrypt(bytes.fromhex(data)).hex().upper()
    digits = "".join(filter(str.isdecimal, encrypted))
    letters = "".join(str(ord(letter) - ord("A")) for letter in encrypted if letter.isalpha())
    return [
        Step("data", data, "eleven digits of the PAN before the check digit, PVKI, first four of the PIN"),
        Step("encrypted", encrypted, "that under the PVK: encrypt left, decrypt right, encrypt left"),
        Step("digits", f"{digits} {letters}", "its decimal digits, then its letters less ten"),
        Step("value", (digits + letters)[:4], "the first four"),
    ]


class Ibm(NamedTuple):
    """What an IBM 3624 offset is made of: PVK, validation data (16 hex digits), table (16 digits)."""

    pvk: bytes
    validation_data: str
    table: str


def explain_offset(ibm: Ibm, pan: str, pin: str, offset: str = "") -> Story:
    """How an offset comes about; the check length is that of ``offset``, or of the PIN without one.

    Shape: ``pin`` 4 to 12 digits; ``offset`` 4 to 12 digits, without its padding.
    """
    length = len(offset) or len(pin)
    if length > len(pin):
        raise ConfigError(["offset: is longer than the PIN"])
    account = Pan(pan).account_12()
    keys = [Value("", ibm.pvk)]
    if len(ibm.pvk) == 16:
        keys += [
            Value("the halves of the PVK the other way round", swapped_halves(ibm.pvk)),
            Value("the left half of the PVK alone", ibm.pvk[:8]),
        ]
    assert all(len(key.value) in KEY_LENGTHS for key in keys), "only key lengths"
    places: list[Place] = [
        keys,
        [
            Value("", ibm.validation_data),
            Value("the account, filled with zeros, as validation data", account.ljust(16, "0")),
            Value("the account behind zeros as validation data", account.rjust(16, "0")),
            Value("the rightmost digits of the PAN as validation data", pan[-16:].rjust(16, "0")),
            Value("the leftmost digits of the PAN as validation data", pan[:16].ljust(16, "0")),
        ],
        [Value("", ibm.table), Value(f"decimalisation table {_DEFAULT_TABLE}", _DEFAULT_TABLE)],
    ]

    def make(pvk: bytes, data: str, table: str) -> str:
        return offset_of(pin, IbmKey(pvk).natural_pin(data, table), length)

    return explained(_ibm_steps(ibm, pin, length), make(*ibm), offset, places, make)


def _ibm_steps(ibm: Ibm, pin: str, length: int) -> list[Step]:
    encrypted = Tdes(ibm.pvk).encrypt(bytes.fromhex(ibm.validation_data)).hex().upper()
    natural = IbmKey(ibm.pvk).natural_pin(ibm.validation_data, ibm.table)
    return [
        Step(
            "validation data", ibm.validation_data, "16 hex digits, N replaced by five digits of the account"
        ),
        Step("encrypted", encrypted, "that under the PVK"),
        Step("decimalised", natural, f"each hex digit looked up in the table {ibm.table}"),
        Step("natural PIN", natural[: len(pin)], "as many digits as the PIN has"),
        Step("offset", offset_of(pin, natural, length), "PIN less natural PIN, digit by digit, modulo ten"),
    ]
