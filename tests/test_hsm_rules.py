"""What an HSM refuses: keys used for something else, weak keys, weaker PIN blocks; and key blocks end to end."""

from typing import Any

import pytest

from hsm_emulator.cli import published_key_block_lmks
from hsm_emulator.emulator import Emulator
from hsm_emulator.key_block import Header, Opened
from hsm_emulator.key_block_lmk import TEST_AES, TEST_TDES, KeyBlockLmk
from hsm_emulator.lmk import VariantLmk
from hsm_emulator.pin_block import PinKey, build_block, read_block
from hsm_emulator.state import Rules
from hsm_emulator.tdes import check_value, has_odd_parity, has_weak_part
from processor.hsm.commands import Response, encode_request, parse_response
from processor.hsm.errors import ErrorCode

LMK = VariantLmk()
BLOCKS = published_key_block_lmks()
KEY = bytes.fromhex("C7152C20BC2C830EA7EC9E8334ABE3FE")
OTHER = bytes.fromhex("13345779133457798664432086644320")
ZPK = "U1EF828AA8F6B80EB83E19FBC373F3A85"
TPK = "U8463435FC4B4DAA0C49025272C29B12C"
ACCOUNT = "550000025321"


def ask(code: str, fields: dict[str, str], **rules: bool) -> Response:
    settings: dict[str, Any] = {"authorised": True} | rules
    emulator = Emulator(LMK, rules=Rules(**settings), others=BLOCKS)
    reply = emulator.reply(b"0001" + encode_request(code, fields))
    assert reply is not None
    return parse_response(code, reply[6:])


def block(usage: str, mode: str, key: bytes = KEY, *, exportability: str = "E", lmk: str = "01") -> str:
    """A key in a block under one of the published LMKs."""
    header = Header(usage, "T", mode, "00", exportability, "", "00")
    return BLOCKS[lmk].wrap_key(header, key, bytes)


def under_lmk(key_type: str, key: bytes = KEY) -> str:
    text = LMK.encrypt_key(key_type, key, {8: "", 16: "U", 24: "T"}[len(key)])
    assert isinstance(text, str)
    return text


def opened(text: str, lmk: str = "01") -> Opened:
    found = BLOCKS[lmk].open_key(text)
    assert isinstance(found, Opened)
    return found


CVV = {"pan": "4123456789012345", "expiry": "8701", "service_code": "101", "lmk": "01"}


@pytest.mark.parametrize("lmk", ["01", "02"], ids=["TDES", "AES"])
def test_a_key_block_gives_the_same_cvv_as_a_variant_key(lmk: str) -> None:
    made = ask("CW", CVV | {"cvk": block("C0", "N", lmk=lmk), "lmk": lmk})

    assert made.fields == ask("CW", CVV | {"cvk": under_lmk("402"), "lmk": "00"}).fields
    assert made.done


@pytest.mark.parametrize(
    ("code", "usage", "mode", "expected"),
    [
        pytest.param("CW", "C0", "C", "00", id="a key for both"),
        pytest.param("CW", "C0", "G", "00", id="a key that makes may make"),
        pytest.param("CW", "C0", "V", "A8", id="a key that verifies may not make"),
        pytest.param("CY", "C0", "V", "01", id="a key that verifies may verify"),
        pytest.param("CY", "C0", "G", "A8", id="a key that makes may not verify"),
        pytest.param("CY", "P0", "N", "A6", id="a PIN key may not verify CVVs"),
        pytest.param("CY", "V2", "V", "A6", id="a PIN verification key may not verify CVVs"),
    ],
)
def test_usage_and_mode_separate_keys(code: str, usage: str, mode: str, expected: str) -> None:
    fields = CVV | {"cvk": block(usage, mode)} | ({"cvv": "000"} if code == "CY" else {})

    assert ask(code, fields).error.value == expected


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({"lmk": "02"}, "A3", id="a block of the other kind of LMK"),
        pytest.param({"lmk": "00"}, "26", id="a block under a variant LMK"),
        pytest.param({"lmk": "09"}, "13", id="an LMK that is not there"),
        pytest.param({"cvk": ZPK}, "26", id="a variant key under a block LMK"),
        pytest.param({"cvk": block("C0", "N")[:-1] + "0"}, "A4", id="a MAC that is not the block's"),
        pytest.param({"cvk": block("C0", "N").replace("C0TN", "C0TC", 1)}, "A4", id="a changed mode of use"),
        pytest.param({"cvk": block("C0", "N", KEY + KEY[:8])}, "27", id="a triple key"),
    ],
)
def test_key_blocks_that_are_refused(changed: dict[str, str], expected: str) -> None:
    assert ask("CW", CVV | {"cvk": block("C0", "N")} | changed).error.value == expected


def test_an_aes_key_is_no_tdes_key() -> None:
    header = Header("C0", "A", "N", "00", "E", "", "00")
    text = BLOCKS["01"].wrap_key(header, KEY, bytes)

    assert ask("CW", CVV | {"cvk": text}).error is ErrorCode.KEY_ALGORITHM


NEW = {"usage": "P0", "algorithm": "T2", "mode_of_use": "B", "key_version": "00", "exportability": "E"}
NEW |= {"optional_blocks": "00"}
A0 = {"mode": "0", "key_type": "FFF", "lmk_scheme": "S", "lmk": "01"} | NEW


@pytest.mark.parametrize(("lmk", "parts"), [("01", "T2"), ("01", "T3"), ("02", "T2")])
def test_a_key_is_made_in_a_block(lmk: str, parts: str) -> None:
    made = ask("A0", A0 | {"lmk": lmk, "algorithm": parts}).fields

    header, key = opened(made["key_under_lmk"], lmk)
    assert (header.usage, header.mode, header.exportability, header.reserved) == ("P0", "B", "E", lmk)
    assert len(key) == int(parts[1]) * 8
    assert has_odd_parity(key)
    assert made["check_value"] == check_value(key)[:6]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({"algorithm": "A1"}, "A7", id="an AES key"),
        pytest.param({"optional_blocks": "01"}, "AB", id="optional blocks"),
        pytest.param({"usage": "P;"}, "83", id="a usage that is none"),
        pytest.param({"lmk_scheme": "U"}, "26", id="a variant scheme"),
        pytest.param({"key_type": "001"}, "28", id="a variant key type"),
    ],
)
def test_blocks_that_are_not_made(changed: dict[str, str], expected: str) -> None:
    assert ask("A0", A0 | changed).error.value == expected


@pytest.mark.parametrize("scheme", ["S", "R"])
def test_a_key_leaves_in_a_block_and_comes_back(scheme: str) -> None:
    """A0 makes and exports, A8 exports again, A6 takes both in: the same key with the same header."""
    zmk = block("K0", "B", OTHER)
    made = ask("A0", A0 | {"mode": "1", "zmk": zmk, "zmk_scheme": scheme}).fields
    exported = ask(
        "A8",
        {
            "key_type": "FFF",
            "zmk": zmk,
            "key_under_lmk": made["key_under_lmk"],
            "zmk_scheme": scheme,
            "lmk": "01",
        },
    )

    key = opened(made["key_under_lmk"]).key
    for text in (made["key_under_zmk"], exported.fields["key_under_zmk"]):
        back = ask(
            "A6", {"key_type": "FFF", "zmk": zmk, "key_under_zmk": text, "lmk_scheme": "S", "lmk": "01"}
        )
        assert opened(back.fields["key_under_lmk"]).key == key
        assert opened(back.fields["key_under_lmk"]).header.usage == "P0"
        assert back.fields["check_value"] == made["check_value"]


@pytest.mark.parametrize(
    ("own", "asked", "expected"),
    [
        ("E", "", "E"),
        ("E", "N", "N"),
        ("S", "", "S"),
        ("S", "E", None),
        ("N", "", None),
        ("N", "E", None),
        ("E", "X", None),
    ],
)
def test_exportability_may_be_narrowed_and_never_widened(own: str, asked: str, expected: str | None) -> None:
    fields = {"key_type": "FFF", "zmk": block("K0", "B", OTHER), "zmk_scheme": "S", "lmk": "01"}
    fields["key_under_lmk"] = block("P0", "B", exportability=own)
    response = ask("A8", fields | ({"exportability": asked} if asked else {}))

    if expected is None:
        assert response.error is ErrorCode.KEY_EXPORTABILITY
    else:
        assert response.fields["key_under_zmk"][12] == expected


def test_a_variant_key_gets_into_a_block_by_attributes() -> None:
    exported = ask(
        "A8", {"key_type": "001", "zmk": under_lmk("000", OTHER), "key_under_lmk": ZPK, "zmk_scheme": "X"}
    )
    fields = {"key_type": "FFF", "zmk": block("K0", "B", OTHER), "lmk_scheme": "S", "lmk": "01"} | NEW
    back = ask("A6", fields | {"key_under_zmk": exported.fields["key_under_zmk"]})

    assert opened(back.fields["key_under_lmk"]).key == KEY


@pytest.mark.parametrize(
    ("clear", "expected"),
    [
        pytest.param(bytes(16), "11", id="zeros"),
        pytest.param(bytes.fromhex("01" * 8) + KEY[:8], "11", id="a weak half"),
        pytest.param(bytes([KEY[0] ^ 1]) + KEY[1:], "01", id="a bit of parity is set right, with advice"),
        pytest.param(KEY, "00", id="a sound key"),
    ],
)
def test_keys_that_are_imported(clear: bytes, expected: str) -> None:
    zmk = PinKey(OTHER)
    fields = {"key_type": "001", "zmk": under_lmk("000", OTHER), "lmk_scheme": "U"}
    response = ask("A6", fields | {"key_under_zmk": "X" + zmk.encrypt(clear).hex().upper()})

    assert response.error.value == expected
    if response.done:
        assert response.fields == {"key_under_lmk": ZPK, "check_value": check_value(KEY)[:6]}


@pytest.mark.parametrize("count", [2, 3, 9])
def test_components_form_a_key(count: int) -> None:
    parts = [bytes([n * 16 + 2] * 15 + [n]) for n in range(1, count + 1)]
    sound = [bytes(b if b.bit_count() % 2 else b ^ 1 for b in part) for part in parts]
    fields = {f"component_{n}": under_lmk("402", part) for n, part in enumerate(sound, 1)}
    made = ask("A4", {"count": str(count), "key_type": "402", "lmk_scheme": "U"} | fields).fields

    combined = 0
    for part in sound:
        combined ^= int.from_bytes(part, "big")
    key = LMK.decrypt_key("402", made["key_under_lmk"])
    assert isinstance(key, bytes)
    assert bytes(b & 0xFE for b in key) == bytes(b & 0xFE for b in combined.to_bytes(16, "big"))
    assert has_odd_parity(key)
    assert made["check_value"] == check_value(key)[:6]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({"count": "1"}, "03", id="one component"),
        pytest.param({"component_2": under_lmk("402", KEY)}, "10", id="components that cancel out"),
        pytest.param({"component_2": under_lmk("402", KEY[:8])}, "27", id="components of two lengths"),
        pytest.param({"component_2": ZPK}, "10", id="a component of another type"),
        pytest.param({"key_type": "0FF"}, "28", id="a type that does not exist"),
    ],
)
def test_components_that_form_no_key(changed: dict[str, str], expected: str) -> None:
    fields = {"count": "2", "key_type": "402", "lmk_scheme": "U", "component_1": under_lmk("402")}

    assert ask("A4", fields | {"component_2": under_lmk("402", OTHER)} | changed).error.value == expected


def test_weak_keys_are_not_used() -> None:
    weak = bytes.fromhex("1F1F1F1F0E0E0E0E") + KEY[:8]

    assert has_weak_part(weak)
    assert ask("CW", CVV | {"cvk": under_lmk("402", weak), "lmk": "00"}).error.value == "10"


def test_a_key_with_equal_halves_is_refused_when_keys_are_strict() -> None:
    fields = CVV | {"cvk": under_lmk("402", KEY[:8] * 2), "lmk": "00"}

    assert ask("CW", fields).error.value == "00"
    assert ask("CW", fields, strict_keys=True).error.value == "75"


def test_terminal_keys_have_types_of_their_own_with_pci_key_types() -> None:
    fields = {"pin_block": zone_block("01"), "pin_format": "01", "account": ACCOUNT}

    assert ask("JC", fields | {"tpk": under_lmk("002")}).error.value == "00"
    assert ask("JC", fields | {"tpk": under_lmk("70D")}).error.value == "10"
    assert ask("JC", fields | {"tpk": under_lmk("70D")}, pci_key_types=True).error.value == "00"
    assert ask("JC", fields | {"tpk": under_lmk("002")}, pci_key_types=True).error.value == "10"


def zone_block(code: str, account: str = ACCOUNT) -> str:
    fill = {"05": "0123456789", "47": "ABCDEFABCD"}.get(code, "F" * 16)
    return PinKey(KEY).encrypt(build_block(code, "1234", account, fill)).hex().upper()


MOVES = [
    *(("01", to, "00") for to in ("01", "35", "47")),
    *(("01", to, "69") for to in ("03", "05")),
    *(("05", to, "00") for to in ("01", "05", "47")),
    ("05", "03", "69"),
    *(("03", to, "00") for to in ("01", "03", "05", "47")),
    *(("47", to, "69") for to in ("03", "05")),
    ("01", "34", "23"),
    ("34", "01", "23"),
    ("01", "99", "23"),
]


@pytest.mark.parametrize(("old", "new", "expected"), MOVES, ids=lambda value: value)
def test_a_pin_never_moves_to_a_weaker_block(old: str, new: str, expected: str) -> None:
    block_text = zone_block(old)
    fields = {"zpk": ZPK, "new_key": ZPK, "pin_length_most": "12", "pin_block": block_text}
    fields |= {"pin_format": old, "new_pin_format": new, "account": ACCOUNT}
    response = ask("CC", fields)

    assert response.error.value == expected
    if expected == "69":
        response = ask("CC", fields, weaker_pin_blocks=True)
    if response.done:
        assert (response.fields["pin_length"], response.fields["pin_format"]) == ("04", new)
        clear = PinKey(KEY).decrypt(bytes.fromhex(response.fields["pin_block"]))
        assert read_block(new, clear, ACCOUNT) == "1234"
    else:
        assert expected == "23"


@pytest.mark.parametrize(
    ("format_code", "expected"), [("01", "00"), ("47", "00"), ("03", "69"), ("05", "69"), ("34", "23")]
)
def test_a_pin_leaves_the_lmk_in_a_block_bound_to_its_account(format_code: str, expected: str) -> None:
    fields = {"zpk": ZPK, "pin_format": format_code, "account": ACCOUNT, "pin_under_lmk": "01234"}

    assert ask("JG", fields).error.value == expected
    if expected == "69":
        assert ask("JG", fields, weaker_pin_blocks=True).done


def test_a_plus_block_moves_by_its_long_account() -> None:
    account = "000228340000012345"  # PLUS uses the leftmost twelve digits of the PAN, ISO 0 the rightmost
    fields = {"zpk": ZPK, "new_key": ZPK, "pin_length_most": "12", "pin_block": zone_block("04", account)}
    moved = ask("CC", fields | {"pin_format": "04", "new_pin_format": "01", "account": account}).fields

    clear = PinKey(KEY).decrypt(bytes.fromhex(moved["pin_block"]))
    assert read_block("01", clear, account[-12:]) == "1234"
    short = fields | {
        "pin_format": "01",
        "new_pin_format": "04",
        "account": ACCOUNT,
        "pin_block": zone_block("01"),
    }
    assert ask("CC", short).error.value == "23"


def test_ec_takes_the_account_of_the_pvv_apart_from_the_blocks() -> None:
    """A block for a token, a PVV for the card behind it."""
    card = "999988887777"
    pvk = under_lmk("002", OTHER)
    pvv = ask("DG", {"pvk": pvk, "pin_under_lmk": "01234", "account": card, "pvki": "1"}).fields["pvv"]
    fields = {"zpk": ZPK, "pvk": pvk, "pin_block": zone_block("01"), "pin_format": "01", "account": ACCOUNT}
    fields |= {"pvki": "1", "pvv": pvv}

    assert ask("EC", fields).error.value == "01"
    assert ask("EC", fields | {"verification_account": card}).error.value == "00"


def test_a_block_moves_to_a_base_key_of_a_key_block() -> None:
    """CA to a BDK, and G0 back from it: the PIN is the same."""
    base, zone = block("B0", "N", OTHER), block("P0", "B")
    serial = {"ksn_descriptor": "A05", "ksn": "FFFF000001315240003A"}
    common = {"account": ACCOUNT, "pin_format": "01", "new_pin_format": "01", "lmk": "01"}
    to_base = {f"new_{name}": value for name, value in serial.items()} | {"new_key": base}
    first = {"tpk": block("71", "N"), "pin_length_most": "12", "pin_block": zone_block("01")}
    moved = ask("CA", common | to_base | first).fields
    back = ask("G0", common | serial | {"bdk": base, "new_key": zone, "pin_block": moved["pin_block"]}).fields

    assert moved["pin_block"] != zone_block("01")
    assert back["pin_block"] == zone_block("01")


def test_lmk_check_values_are_the_published_ones() -> None:
    assert KeyBlockLmk(TEST_TDES, "01").check_value == "8E0EC0" + "0" * 10
    assert KeyBlockLmk(TEST_AES, "02").check_value == "9D04A0" + "0" * 10


def test_random_bytes_that_are_not_random_end_in_an_error() -> None:
    """Zeros with odd parity are a weak key; the emulator answers 41 and does not draw for ever."""
    emulator = Emulator(LMK, authorised=True, random_bytes=bytes)

    assert emulator.reply(b"0001A00001U") == b"\x00\x080001A141"
