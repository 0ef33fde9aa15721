"""EA, FW and JA: IBM 3624 offsets, PVVs from PIN blocks, random PINs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_emulator.emulator import Emulator
from hsm_emulator.ibm3624 import IbmKey, fill_validation_data, is_sound_table, offset_of
from hsm_emulator.lmk import VariantLmk
from hsm_emulator.pin_block import PinKey, build_block
from hsm_emulator.tdes import has_weak_part, with_odd_parity
from processor.hsm.commands import Response, encode_request, parse_response

PSEC_IS_OLD = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
LMK = VariantLmk()
ZPK_CLEAR = bytes.fromhex("C7152C20BC2C830EA7EC9E8334ABE3FE")
ZPK = "U1EF828AA8F6B80EB83E19FBC373F3A85"
TPK = "U8463435FC4B4DAA0C49025272C29B12C"
IBM_PVK = "9B395FB9FE5F07DA"
PVK = "X367930344805B1FAD6146EF4ED7502B3"
CVK = "U9B4934384B19946B040CD702B4D58145"
ACCOUNT = "923000000431"


def load(vectors: Path, name: str) -> list[dict[str, Any]]:
    found = json.loads((vectors / "hsm" / f"{name}.json").read_text())["vectors"]
    assert found
    return list(found)


def some_digits(least: int, most: int | None = None) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=least, max_size=most or least)


def keys_of(size: int) -> st.SearchStrategy[bytes]:
    """Keys that an HSM takes: odd parity, no weak part."""
    keys = st.binary(min_size=size, max_size=size).map(with_odd_parity)
    return keys.filter(lambda key: not has_weak_part(key))


def ask(code: str, fields: dict[str, str], random_bytes: Callable[[int], bytes] = bytes) -> Response:
    """What the emulator answers to a command."""
    emulator = Emulator(LMK, authorised=False, random_bytes=random_bytes)
    reply = emulator.reply(b"0001" + encode_request(code, fields))
    assert reply is not None
    return parse_response(code, reply[6:])


def block_of(pin: str, account: str = ACCOUNT, zpk: bytes = ZPK_CLEAR) -> str:
    return PinKey(zpk).encrypt(build_block("01", pin, account)).hex().upper()


def under_lmk(key_type: str, key: bytes, scheme: str) -> str:
    text = LMK.encrypt_key(key_type, key, scheme)
    assert isinstance(text, str)
    return text


EA = {
    "zpk": ZPK,
    "pvk": IBM_PVK,
    "pin_length_most": "12",
    "pin_block": block_of("123456"),
    "pin_format": "01",
    "check_length": "06",
    "account": ACCOUNT,
    "decimalisation_table": "3456789012345678",
    "validation_data": "9230000N0431",
    "offset": "330309FFFFFF",
}
FW = {
    "key_type": "001",
    "pin_key": ZPK,
    "pvk": PVK,
    "pin_block": "91DDDA0A7C12CFAA",
    "pin_format": "01",
    "account": "550000025321",
    "pvki": "1",
}


def test_published_natural_pins_and_offsets(vectors: Path) -> None:
    published = load(vectors, "ibm3624")

    assert len(published) == 11
    for v in published:
        natural = IbmKey(bytes.fromhex(v["pvk"])).natural_pin(v["validation_data"], v["dectab"])
        assert natural.startswith(v["natural_pin"]), v["id"]
        assert offset_of(v["pin"], natural, len(v["pin"])) == v["offset"], v["id"]


@PSEC_IS_OLD
@given(
    st.sampled_from([8, 16, 24]).flatmap(lambda size: st.binary(min_size=size, max_size=size)),
    some_digits(16),
    some_digits(16),
    some_digits(4, 12),
    st.integers(1, 16),
)
def test_ibm_pins_and_offsets_agree_with_psec(
    pvk: bytes, table: str, account: str, pin: str, length: int
) -> None:
    from psec.pin import generate_ibm3624_offset, generate_ibm3624_pin

    natural = IbmKey(pvk).natural_pin(account[:length].ljust(16, "F"), table)

    assert natural[: len(pin)] == generate_ibm3624_pin(pvk, table, "0" * len(pin), account, 0, length, "F")
    theirs = generate_ibm3624_offset(pvk, table, pin, account, 0, length, "F")
    assert offset_of(pin, natural, len(pin)) == theirs
    assert offset_of(pin, natural, 4) == theirs[-4:]


@PSEC_IS_OLD
@given(
    st.sampled_from([("", 8), ("U", 16), ("X", 16), ("T", 24)]).flatmap(
        lambda s: st.tuples(st.just(s[0]), keys_of(s[1]))
    ),
    some_digits(12),
    some_digits(4, 12),
    st.integers(0, 9),
)
def test_ea_agrees_with_psec(scheme_and_key: tuple[str, bytes], account: str, pin: str, step: int) -> None:
    """The validation data is the account's first eleven digits, where psec can follow."""
    from psec.pin import generate_ibm3624_offset

    scheme, key = scheme_and_key
    table, shown = "0123456789012345", account[:11]
    offset = generate_ibm3624_offset(key, table, pin, shown + account[-5:], 0, 16, "F")
    fields = EA | {
        "pvk": under_lmk("002", key, scheme),
        "pin_block": block_of(pin, account),
        "check_length": f"{len(pin):02}",
        "account": account,
        "decimalisation_table": table,
        "validation_data": shown + "N",
    }
    wrong = str((int(offset[-1]) + step) % 10)

    assert ask("EA", fields | {"offset": offset.ljust(12, "F")}).error.value == ("02" if scheme else "00")
    assert ask("EA", fields | {"offset": (offset[:-1] + wrong).ljust(12, "F")}).done == (step == 0)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({}, "00", id="a right PIN"),
        pytest.param({"pin_block": block_of("123457")}, "01", id="a wrong PIN"),
        pytest.param({"offset": "330308FFFFFF"}, "01", id="another offset"),
        pytest.param({"validation_data": "P9230000004310431"}, "00", id="validation data without an account"),
        pytest.param({"pin_block": block_of("12345")}, "01", id="a PIN shorter than the check length"),
        pytest.param({"check_length": "04", "offset": "0309FFFFFFFF"}, "00", id="the last four digits count"),
        pytest.param({"check_length": "04", "offset": "3303FFFFFFFF"}, "01", id="the first four do not"),
        pytest.param({"check_length": "04"}, "15", id="an offset longer than the check length"),
        pytest.param({"check_length": "03", "offset": "309FFFFFFFFF"}, "15", id="a check length of three"),
        pytest.param({"check_length": "13"}, "15", id="a check length of thirteen"),
        pytest.param({"offset": "33F309FFFFFF"}, "15", id="padding inside the offset"),
        pytest.param({"offset": "F" * 12}, "15", id="no offset"),
        pytest.param({"pin_length_most": "06"}, "15", id="another longest PIN than twelve"),
        pytest.param({"validation_data": "923000000431"}, "15", id="no place for the account"),
        pytest.param({"validation_data": "923000NN0431"}, "15", id="two places for the account"),
        pytest.param(
            {"decimalisation_table": "0000012345678123"}, "25", id="a digit five times in the table"
        ),
        pytest.param({"decimalisation_table": "0000111122223456"}, "25", id="seven digits in the table"),
        pytest.param({"decimalisation_table": "709F26B22464E96A"}, "25", id="an encrypted table"),
        pytest.param({"pin_format": "99"}, "23", id="an unknown format"),
        pytest.param({"pin_format": "05"}, "20", id="another format"),
        pytest.param({"account": "923000001431"}, "20", id="another account"),
        pytest.param({"zpk": PVK}, "10", id="a PVK used as a ZPK"),
        pytest.param({"pvk": ZPK}, "11", id="a ZPK used as a PVK"),
    ],
)
def test_ea(changed: dict[str, str], expected: str) -> None:
    assert ask("EA", EA | changed).error.value == expected


def test_a_pin_is_right_under_a_double_pvk_with_advice_and_wrong_without() -> None:
    """Under the wrong PVK the PIN of the block is wrong: 02 never stands for a wrong PIN."""
    wrong = ask("EA", EA | {"pvk": PVK})

    assert (wrong.error.value, wrong.done) == ("01", False)


@pytest.mark.parametrize(
    ("table", "sound"),
    [
        pytest.param("0123456789012345", True, id="the usual one"),
        pytest.param("0000111122234567", True, id="eight digits, none more than four times"),
        pytest.param("0000111122223456", False, id="seven digits"),
        pytest.param("0000012345678123", False, id="a digit five times"),
        pytest.param("012345678901234", False, id="fifteen digits"),
        pytest.param("01234567890123\uff14\uff15", False, id="digits that are not ASCII"),
    ],
)
def test_decimalisation_tables(table: str, sound: bool) -> None:
    assert is_sound_table(table) is sound


def test_published_validation_data_is_filled() -> None:
    assert fill_validation_data("1234567890NF", "000001000376") == "123456789000376F"
    assert fill_validation_data("N12345678901", "000001000376") == "0037612345678901"


def test_published_pvvs_come_from_pin_blocks_too(vectors: Path) -> None:
    for v in load(vectors, "pvv"):
        pvk, account = bytes.fromhex(v["pvk"]), v["account12"]
        fields = FW | {"pvk": under_lmk("002", pvk, "U"), "account": account, "pvki": v["pvki"]}
        fields["pin_block"] = block_of(v["pin"], account)
        assert ask("FW", fields).fields == {"pvv": v["pvv"]}, v["id"]


@PSEC_IS_OLD
@given(keys_of(16), some_digits(13, 19), some_digits(1), some_digits(4, 12))
def test_fw_agrees_with_psec_and_ec_with_fw(pvk: bytes, pan: str, pvki: str, pin: str) -> None:
    from psec.pin import generate_visa_pvv

    key, account = pvk, pan[:-1][-12:]
    fields = FW | {"pvk": under_lmk("002", key, "U"), "account": account, "pvki": pvki}
    fields["pin_block"] = block_of(pin, account)
    pvv = ask("FW", fields).fields["pvv"]
    verified = {name: value for name, value in fields.items() if name not in {"key_type", "pin_key"}}

    assert pvv == generate_visa_pvv(key, pvki, pin[:4], pan)
    assert ask("EC", verified | {"zpk": ZPK, "pvv": pvv}).error.value == "00"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({"key_type": "402", "pin_key": CVK}, "28", id="a CVK named as the PIN key"),
        pytest.param({"key_type": "FFF"}, "28", id="a key block's type"),
        pytest.param({"key_type": "002"}, "10", id="a ZPK named as a TPK"),
        pytest.param({"pvk": ZPK}, "11", id="a ZPK used as a PVK"),
        pytest.param({"pvk": "TEFF270C330101C2D6B23DF72EA8FFEBD0E491D62E2E3D151"}, "27", id="a triple PVK"),
        pytest.param({"pin_format": "99"}, "23", id="an unknown format"),
        pytest.param({"pin_block": "91DDDA0A7C12CFAB"}, "20", id="a block of noise"),
    ],
)
def test_pvvs_that_are_not_made(changed: dict[str, str], expected: str) -> None:
    assert ask("FW", FW | changed).error.value == expected


@pytest.mark.parametrize("key_type", ["001", "002", "70D"])
def test_a_pvv_is_made_under_zone_and_terminal_pin_keys(key_type: str) -> None:
    fields = FW | {"key_type": key_type, "pin_key": under_lmk(key_type, ZPK_CLEAR, "U")}

    assert ask("FW", fields).fields == {"pvv": "4402"}


@pytest.mark.parametrize(
    ("number", "length", "expected"),
    [
        pytest.param(1234, 4, "01234", id="a PIN"),
        pytest.param(7, 4, "00007", id="a small number keeps its zeros"),
        pytest.param(10**12 - 1, 12, "0999999999999", id="a PIN of twelve"),
        pytest.param(10**12 - 1, 4, "09999", id="the last digits of a great number"),
    ],
)
def test_a_random_pin_follows_from_the_random_bytes(number: int, length: int, expected: str) -> None:
    response = ask(
        "JA", {"account": ACCOUNT, "pin_length": f"{length:02}"}, lambda n: number.to_bytes(n, "big")
    )

    assert response.fields == {"pin_under_lmk": expected}


@pytest.mark.parametrize("length", ["00", "03", "13", "99"])
def test_a_random_pin_has_four_to_twelve_digits(length: str) -> None:
    assert ask("JA", {"account": ACCOUNT, "pin_length": length}).error.value == "24"


def test_random_pins_differ() -> None:
    """Twenty PINs of twelve digits: two are the same once in five thousand million runs."""
    emulator = Emulator(LMK, authorised=False)

    assert len({emulator.reply(b"0001JA" + ACCOUNT.encode() + b"12") for _ in range(20)}) == 20


@given(some_digits(12), st.integers(4, 12), st.binary(min_size=16, max_size=16))
def test_a_random_pin_can_be_given_a_pvv(account: str, length: int, seed: bytes) -> None:
    made = ask("JA", {"account": account, "pin_length": f"{length:02}"}, lambda n: seed[:n])
    fields = {"pvk": PVK, "account": account, "pvki": "1"} | made.fields

    assert len(made.fields["pin_under_lmk"]) == length + 1
    assert ask("DG", fields).done
