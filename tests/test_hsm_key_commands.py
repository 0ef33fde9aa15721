"""A0 and BU: keys made, written under the LMK and a ZMK, and checked."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_emulator.emulator import Emulator
from hsm_emulator.key_scheme import Zmk
from hsm_emulator.lmk import VariantLmk
from hsm_emulator.roles import KEY_TYPES
from hsm_emulator.tdes import check_value, has_odd_parity
from processor.hsm.commands import Response, encode_request, parse_response
from processor.hsm.errors import ErrorCode

LMK = VariantLmk()
ZMK_CLEAR = bytes.fromhex("851A0D9D0B2A1602622AD0B0E9E6B070")
ZMK = "U1457FF6ADF6250C66C368416B4C9D383"
SINGLE_ZMK = "4ED06495741C280C"
ZPK = "U1EF828AA8F6B80EB83E19FBC373F3A85"
SINGLE_TPK = "0406FBB23A5214DF"
TRIPLE_TPK = "TEFF270C330101C2D6B23DF72EA8FFEBD0E491D62E2E3D151"


def load(vectors: Path, name: str) -> list[dict[str, Any]]:
    found = json.loads((vectors / "hsm" / f"{name}.json").read_text())["vectors"]
    assert found
    return list(found)


def counting(start: int) -> Callable[[int], bytes]:
    """Random bytes that are not: start, start + 1, and so on."""
    return lambda count: bytes((start + n) % 256 for n in range(count))


def ask(code: str, fields: dict[str, str], start: int = 0x30) -> Response:
    """What the emulator answers to a command."""
    emulator = Emulator(LMK, authorised=False, random_bytes=counting(start))
    reply = emulator.reply(b"0001" + encode_request(code, fields))
    assert reply is not None
    return parse_response(code, reply[6:])


def clear_of(key_type: str, text: str) -> bytes:
    clear = LMK.decrypt_key(key_type, text)
    assert isinstance(clear, bytes)
    return clear


def test_a_key_is_the_random_bytes_with_odd_parity() -> None:
    response = ask("A0", {"mode": "0", "key_type": "001", "lmk_scheme": "U"})

    clear = clear_of("001", response.fields["key_under_lmk"])
    assert clear.hex() == "313132323434373738383b3b3d3d3e3e"
    assert response.fields["check_value"] == check_value(clear)[:6]
    assert "key_under_zmk" not in response.fields


@pytest.mark.parametrize("key_type", sorted(KEY_TYPES))
@pytest.mark.parametrize(("scheme", "size"), [("Z", 8), ("U", 16), ("X", 16), ("T", 24), ("Y", 24)])
def test_every_key_type_is_made_in_every_scheme(key_type: str, scheme: str, size: int) -> None:
    response = ask("A0", {"mode": "0", "key_type": key_type, "lmk_scheme": scheme})

    text = response.fields["key_under_lmk"]
    clear = clear_of(key_type, text)
    assert text.startswith(scheme) or scheme == "Z"
    assert len(clear) == size
    assert has_odd_parity(clear)


@pytest.mark.parametrize("flag", [{}, {"zmk_flag": "0"}], ids=["without the flag", "with the flag for a ZMK"])
@pytest.mark.parametrize("scheme", ["U", "X"])
def test_mode_1_writes_the_same_key_under_the_zmk_too(flag: dict[str, str], scheme: str) -> None:
    asked = {"mode": "1", "key_type": "001", "lmk_scheme": "U", "zmk": ZMK, "zmk_scheme": scheme}
    fields = ask("A0", asked | flag).fields

    under_zmk = Zmk(ZMK_CLEAR).encrypt_key(clear_of("001", fields["key_under_lmk"]), scheme)
    assert fields["key_under_zmk"] == under_zmk
    assert str(under_zmk).startswith(scheme)


def test_mode_1_with_flag_1_writes_the_key_under_a_tmk() -> None:
    tmk = bytes.fromhex("D3DCC7EA9BCB755D254620B376B3D007")
    asked = {"mode": "1", "key_type": "002", "lmk_scheme": "U", "zmk_flag": "1", "zmk_scheme": "X"}
    fields = ask("A0", asked | {"zmk": "U8463435FC4B4DAA0C49025272C29B12C"}).fields

    assert fields["key_under_zmk"] == Zmk(tmk).encrypt_key(clear_of("002", fields["key_under_lmk"]), "X")


def test_published_keys_under_double_length_zmks(vectors: Path) -> None:
    """Keys as units and simulators exported them, with every scheme that was published."""
    schemes = []
    for vector in load(vectors, "key_import"):
        zmk, exported = clear_of("000", vector["zmk"]), vector["key_under_zmk"]
        if len(zmk) != 16:
            continue
        scheme = exported[0] if exported[0] in "UXTY" else ""
        clear = clear_of(vector["key_type"], vector["key_under_lmk"])
        assert Zmk(zmk).encrypt_key(clear, scheme) == exported, vector["id"]
        schemes.append(scheme)
    assert sorted(schemes) == ["", "", "U", "X", "X", "X"]


A0 = {"mode": "1", "key_type": "001", "lmk_scheme": "U", "zmk": ZMK, "zmk_scheme": "U"}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({"key_type": "0FF"}, "28", id="a pair that does not exist"),
        pytest.param({"key_type": "A01"}, "28", id="a variant that does not exist"),
        pytest.param({"key_type": "101"}, "28", id="a variant that no key type has"),
        pytest.param({"key_type": "FFF"}, "28", id="a key block"),
        pytest.param({"key_type": "00C"}, "29", id="an RSA key"),
        pytest.param({"lmk_scheme": "S"}, "26", id="a key block under the LMK"),
        pytest.param({"lmk_scheme": "u"}, "26", id="a scheme in lower case"),
        pytest.param({"zmk_scheme": "R"}, "26", id="a key block under the ZMK"),
        pytest.param({"zmk_scheme": "T"}, "27", id="a triple key's scheme for a double key"),
        pytest.param({"zmk_scheme": "Z"}, "27", id="a single key's scheme for a double key"),
        pytest.param({"zmk": ZPK}, "10", id="a ZPK used as a ZMK"),
        pytest.param({"zmk": SINGLE_ZMK}, "27", id="a single-length ZMK"),
        pytest.param({"zmk_flag": "1"}, "10", id="a ZMK used as a TMK"),
        pytest.param({"zmk_flag": "2"}, "15", id="a flag that is neither"),
    ],
)
def test_keys_that_are_not_made(changed: dict[str, str], expected: str) -> None:
    assert ask("A0", A0 | changed).error.value == expected


def test_a_mode_that_is_not_there_is_refused() -> None:
    assert ask("A0", {"mode": "2", "key_type": "001", "lmk_scheme": "U"}).error is ErrorCode.INVALID_INPUT


def test_the_emulators_own_randomness_differs_from_key_to_key() -> None:
    emulator = Emulator(LMK, authorised=False)

    assert len({emulator.reply(b"0001A00001U") for _ in range(20)}) == 20


def test_published_keys_have_their_published_check_values(vectors: Path) -> None:
    for vector in load(vectors, "lmk_encrypted_keys"):
        text, key_type = vector["under_lmk"], vector["key_type"]
        flag = str(len(text.lstrip("UXTY")) // 16 - 1)
        request = {"key_type_code": "FF", "length_flag": flag, "key": text, "key_type": key_type}
        response = ask("BU", request)
        if vector["odd_parity"]:
            assert response.fields == {"check_value": vector["kcv"]}, vector["id"]
        else:
            assert response.error is ErrorCode.SOURCE_KEY_PARITY, vector["id"]


BU = {"key_type_code": "01", "length_flag": "1", "key": ZPK}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({}, "6F1E3F74F826B7EB", id="sixteen digits without a type"),
        pytest.param({"reserved": "00", "check_value_type": "0"}, "6F1E3F74F826B7EB", id="sixteen digits"),
        pytest.param({"reserved": "00", "check_value_type": "1"}, "6F1E3F", id="six digits"),
        pytest.param({"key_type_code": "FF", "key_type": "001"}, "6F1E3F74F826B7EB", id="the full key type"),
        pytest.param(
            {"length_flag": "0", "key_type_code": "02", "key": SINGLE_TPK}, "0035BBE340A4B763", id="single"
        ),
        pytest.param(
            {"length_flag": "2", "key_type_code": "02", "key": TRIPLE_TPK}, "26F2110E51EADD85", id="triple"
        ),
        pytest.param(
            {"key_type_code": "FF", "key_type": "402", "key": "0A61E674E88C6A7EEABC38C2B2BB492F"},
            "08D7B4FB629D0885",
            id="a double key without a letter",
        ),
    ],
)  # fmt: skip
def test_check_values(changed: dict[str, str], expected: str) -> None:
    assert ask("BU", BU | changed).fields == {"check_value": expected}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({"key_type_code": "00"}, "10", id="a ZPK read as a ZMK"),
        pytest.param({"key_type_code": "FE"}, "28", id="a pair that does not exist"),
        pytest.param({"key_type_code": "FF", "key_type": "FFF"}, "28", id="a key block's type"),
        pytest.param({"length_flag": "0"}, "05", id="a double key called single"),
        pytest.param({"length_flag": "2"}, "05", id="a double key called triple"),
        pytest.param({"length_flag": "1", "key": TRIPLE_TPK}, "05", id="a triple key called double"),
        pytest.param({"length_flag": "F"}, "05", id="a key called a key block"),
        pytest.param({"reserved": "00", "check_value_type": "2"}, "15", id="a type that does not exist"),
        pytest.param({"reserved": "01", "check_value_type": "1"}, "15", id="the reserved field used"),
    ],
)
def test_check_values_that_are_refused(changed: dict[str, str], expected: str) -> None:
    assert ask("BU", BU | changed).error.value == expected


@given(st.sampled_from(sorted(KEY_TYPES)), st.sampled_from("ZUXTY"), st.integers(0, 255))
def test_bu_confirms_what_a0_made(key_type: str, scheme: str, start: int) -> None:
    made = ask("A0", {"mode": "0", "key_type": key_type, "lmk_scheme": scheme}, start).fields
    flag = {"Z": "0", "U": "1", "X": "1", "T": "2", "Y": "2"}[scheme]
    request = {"key_type_code": "FF", "length_flag": flag, "key": made["key_under_lmk"], "key_type": key_type}
    shortened = request | {"reserved": "00", "check_value_type": "1"}

    assert ask("BU", shortened).fields == {"check_value": made["check_value"]}
