"""Every published vector: over the emulator where a command reaches it, otherwise as a test of its module.

The ledger at the end says which file has how many of each, and that they add up to the file.
"""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from hsm_emulator import dukpt
from hsm_emulator.aes import aes_check_value, aes_cmac
from hsm_emulator.cli import published_key_block_lmks
from hsm_emulator.dukpt import aes_derivation_key, aes_initial_key, aes_working_key
from hsm_emulator.dynamic_cvv import generate_cvc3, generate_dcvv, static_part
from hsm_emulator.emulator import Emulator
from hsm_emulator.emv import (
    IssuerKey,
    arpc_method_1,
    arpc_method_2,
    common_session_key,
    cryptogram,
    pan_psn_a,
    pan_psn_b,
)
from hsm_emulator.key_block import TR31, VENDOR, Opened, close_block, open_block
from hsm_emulator.key_block_lmk import TEST_AES, TEST_TDES
from hsm_emulator.key_scheme import decrypt_key, variant_context
from hsm_emulator.lmk import TEST_PAIRS, VariantLmk
from hsm_emulator.mac import cbc_mac, pad, retail_mac, xor
from hsm_emulator.pin_block import build_block, decrypt_iso4, encrypt_iso4, pan_field, read_block
from hsm_emulator.tdes import (
    cbc_encrypt,
    check_value,
    encryptor,
    has_odd_parity,
    has_weak_part,
    with_odd_parity,
)
from processor.hsm.commands import Response, encode_request, parse_response
from processor.hsm.errors import ErrorCode

Vector: TypeAlias = dict[str, Any]
LMK = VariantLmk()
PVK = bytes.fromhex("C8199237EA5857BC40EF9DA2B5E96BBF")
ZPK = "U1EF828AA8F6B80EB83E19FBC373F3A85"
ZPK_CLEAR = bytes.fromhex("C7152C20BC2C830EA7EC9E8334ABE3FE")
ATC_ZEROS = bytes(6)


def load(vectors: Path, name: str) -> list[Vector]:
    found = json.loads((vectors / "hsm" / f"{name}.json").read_text())["vectors"]
    assert found
    return list(found)


def ask(code: str, fields: dict[str, str]) -> Response:
    """What the emulator answers, with the published LMKs."""
    emulator = Emulator(LMK, authorised=True, others=published_key_block_lmks())
    reply = emulator.reply(b"0001" + encode_request(code, fields))
    assert reply is not None
    return parse_response(code, reply[6:])


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


def under_lmk(key_type: str, key: bytes) -> str:
    scheme = {8: "", 16: "U", 24: "T"}[len(key)]
    text = LMK.encrypt_key(key_type, key, scheme)
    assert isinstance(text, str)
    return text


def is_takable(key: bytes) -> bool:
    """Whether the HSM takes the key: odd parity and no weak part."""
    return has_odd_parity(key) and not has_weak_part(key)


# CVV, PVV, IBM 3624


def test_cvv(vectors: Path) -> None:
    for v in load(vectors, "cvv"):
        card = {"pan": v["pan"], "expiry": v["expiry_field"], "service_code": v["service_code"]}
        cvk = under_lmk("402", with_odd_parity(raw(v["cvk"])))  # parity bits do not count
        assert ask("CW", card | {"cvk": cvk}).fields == {"cvv": v["cvv"]}, v["id"]
        assert ask("CY", card | {"cvk": cvk, "cvv": v["cvv"]}).done, v["id"]


def test_pvv(vectors: Path) -> None:
    for v in load(vectors, "pvv"):
        fields = {"pvk": under_lmk("002", raw(v["pvk"])), "account": v["account12"], "pvki": v["pvki"]}
        assert ask("DG", fields | {"pin_under_lmk": "0" + v["pin"]}).fields == {"pvv": v["pvv"]}, v["id"]


def test_ibm3624(vectors: Path) -> None:
    for v in load(vectors, "ibm3624"):
        data, length = v["validation_data"], f"{len(v['pin']):02}"
        fields = {
            "pvk": under_lmk("002", raw(v["pvk"])),
            "check_length": length,
            "account": "0000000" + data[:5],
            "decimalisation_table": v["dectab"],
            "validation_data": "N" + data[5:],
        }
        made = ask("DE", fields | {"pin_under_lmk": "0" + v["pin"]})
        assert made.fields == {"offset": v["offset"].ljust(12, "F")}, v["id"]
        assert made.error.value == ("00" if len(v["pvk"]) == 16 else "02"), v["id"]
        derived = ask("EE", fields | made.fields)
        assert derived.fields == {"pin_under_lmk": "0" + v["pin"]}, v["id"]


# PIN blocks


def account_of(v: Vector) -> str:
    account = v.get("account12") or v.get("pan", "")[:-1][-12:].rjust(12, "0")
    return v["pan"][:-1].rjust(18, "0") if v.get("payshield_code") == "04" else account


def test_pin_blocks(vectors: Path) -> None:
    for v in load(vectors, "pin_blocks"):
        code = v.get("payshield_code")
        if "pan_field" in v:
            assert pan_field(v["pan"]) == raw(v["pan_field"]), v["id"]
        if code == "48":
            random = raw(v["pin_field"])[8:]
            assert encrypt_iso4(raw(v["aes_key"]), v["pin"], v["pan"], random) == raw(v["block"]), v["id"]
            assert decrypt_iso4(raw(v["aes_key"]), raw(v["block"]), v["pan"]) == v["pin"], v["id"]
        elif "pin" in v:
            fill = v["block"][2 + len(v["pin"]) :] if code == "05" else "F" * 16
            assert build_block(code, v["pin"], account_of(v), fill) == raw(v["block"]), v["id"]
            assert read_block(code, raw(v["block"]), account_of(v)) == v["pin"], v["id"]
        elif "reason" in v:
            result = read_block(code, raw(v["block"]), account_of(v))
            assert result in {ErrorCode.INVALID_PIN_BLOCK, ErrorCode.INVALID_PIN_LENGTH}, v["id"]


def test_pin_blocks_that_host_commands_carry(vectors: Path) -> None:
    """The formats of eight bytes, 34 excepted, as a block under a ZPK."""
    for v in load(vectors, "pin_blocks"):
        if not reached_pin_block(v):
            continue
        block = encryptor(ZPK_CLEAR)(raw(v["block"])).hex().upper()
        fields = {"zpk": ZPK, "pin_block": block, "pin_format": v["payshield_code"], "account": account_of(v)}
        if "pin" in v:
            assert ask("JE", fields).fields == {"pin_under_lmk": "0" + v["pin"]}, v["id"]
        else:
            assert ask("JE", fields).error.value in {"20", "24"}, v["id"]


def test_encrypted_pin_blocks(vectors: Path) -> None:
    for v in load(vectors, "encrypted_pin_blocks"):
        code, name = ("JE", "zpk") if v["key_type"] == "001" else ("JC", "tpk")
        fields = {name: v["key_under_test_lmk"], "pin_block": v["encrypted_block"]}
        fields |= {"pin_format": v["format_code"], "account": v["account12"]}
        assert ask(code, fields).fields == {"pin_under_lmk": "0" + v["pin"]}, v["id"]


# MACs and check values


def mac_key(v: Vector) -> bytes:
    return raw(v["key1"])[:8] + raw(v["key2"])[:8] if "key1" in v else raw(v["key"])


def mac_data(v: Vector) -> bytes:
    if "data_hex" in v or v.get("interpretation") == "hex decoded":
        return raw(v.get("data_hex") or v["data_ascii"])
    return bytes(v["data_ascii"].encode())


def test_macs(vectors: Path) -> None:
    for v in load(vectors, "mac"):
        made = (retail_mac if v["algorithm"] == 3 else cbc_mac)(mac_key(v), pad(mac_data(v), v["padding"]))
        assert made.hex().upper().startswith(v["mac"]), v["id"]


def test_macs_with_paddings_that_host_commands_have(vectors: Path) -> None:
    for v in load(vectors, "mac"):
        if reached_mac(v):
            key = under_lmk("003", with_odd_parity(mac_key(v)))
            fields = {"mode": "0", "input_format": "0", "mac_size": "1", "algorithm": str(v["algorithm"])}
            fields |= {"padding": str(v["padding"]), "key_type": "003", "key": key}
            made = ask("M6", fields | {"data": mac_data(v).hex().upper()}).fields["mac"]
            assert made.startswith(v["mac"]), v["id"]
            fields |= {"data": mac_data(v).hex().upper(), "mac": made}
            assert ask("M8", fields).done, v["id"]
            assert ask("M8", fields | {"mac": "0" * 16}).error.value == "01", v["id"]


def test_check_values(vectors: Path) -> None:
    for v in load(vectors, "kcv"):
        if "components" in v:
            parts = [raw(part) for part in v["components"]]
            assert xor(xor(parts[0], parts[1]), parts[2]) == raw(v["combined"])
            assert check_value(raw(v["combined"])).startswith(v["kcv"])
        elif "EMPTY" in v["algorithm"]:
            assert aes_cmac(raw(v["key"]), b"").hex().upper().startswith(v["kcv"])
        elif v["algorithm"].startswith("AES"):
            assert aes_check_value(raw(v["key"])).startswith(v["kcv"])
        else:
            assert check_value(raw(v["key"])).startswith(v["kcv"]), v["id"]


def test_check_values_of_keys_that_the_hsm_takes(vectors: Path) -> None:
    for v in load(vectors, "kcv"):
        if (
            reached_check_value(v)
            and "key" in v
            and v["id"] not in {"thales-kb-3des-lmk", "aes-lmk-payshield-check"}
        ):
            key = raw(v["key"])
            fields = {"key_type_code": "FF", "length_flag": str(len(key) // 8 - 1), "key_type": "001"}
            shown = ask("BU", fields | {"key": under_lmk("001", key)}).fields["check_value"]
            assert shown.startswith(v["kcv"]), v["id"]
        elif "components" in v:
            components = {
                f"component_{n}": under_lmk("000", raw(c)) for n, c in enumerate(v["components"], 1)
            }
            made = ask("A4", {"count": "3", "key_type": "000", "lmk_scheme": "U"} | components).fields
            assert made["check_value"] == v["kcv"]
    assert ask("NC", {"lmk": "01"}).fields["lmk_check_value"][:6] == "8E0EC0"
    assert ask("NC", {"lmk": "02"}).fields["lmk_check_value"][:6] == "9D04A0"


# keys under the LMK and under ZMKs


def test_keys_under_the_test_lmk(vectors: Path) -> None:
    for v in load(vectors, "lmk_encrypted_keys"):
        text = v["under_lmk"]
        fields = {"key_type_code": "FF", "length_flag": str(len(text.lstrip("UXTY")) // 16 - 1), "key": text}
        response = ask("BU", fields | {"key_type": v["key_type"]})
        assert LMK.decrypt_key(v["key_type"], text) == raw(v["clear"]), v["id"]
        if v["odd_parity"]:
            assert response.fields == {"check_value": v["kcv"]}, v["id"]
        else:
            assert response.error is ErrorCode.SOURCE_KEY_PARITY, v["id"]


def test_lmk_pairs(vectors: Path) -> None:
    ours = set(TEST_PAIRS.values())
    for v in load(vectors, "lmk_variant_test_set"):
        assert not v["verified"] or v["lmk"] in ours, v["id"]


def test_imported_keys(vectors: Path) -> None:
    for v in load(vectors, "key_import"):
        zmk, exported = LMK.decrypt_key("000", v["zmk"]), v["key_under_zmk"]
        assert isinstance(zmk, bytes)
        double = (zmk * 2)[:16]  # a single key works as a double one with equal halves
        clear = decrypt_key(exported, lambda mask, double=double: variant_context(double, mask))
        assert check_value(clear).startswith(v["kcv"]), v["id"]
        scheme = exported[0] if v["key_under_lmk"][0] not in "UXTY" and exported[0] in "UXTY" else ""
        own = v["key_under_lmk"][0] if v["key_under_lmk"][0] in "UXTY" else scheme
        assert LMK.encrypt_key(v["key_type"], clear, own) == v["key_under_lmk"], v["id"]


def test_imported_keys_over_a6(vectors: Path) -> None:
    for v in load(vectors, "key_import"):
        if reached_import(v):
            fields = {name: v[name] for name in ("key_type", "zmk", "key_under_zmk", "lmk_scheme")}
            made = ask("A6", fields)
            assert made.fields == {"key_under_lmk": v["key_under_lmk"], "check_value": v["kcv"]}, v["id"]
            assert made.error is ErrorCode.NO_ERROR, v["id"]
            again = {"key_type": v["key_type"], "zmk": v["zmk"], "key_under_lmk": v["key_under_lmk"]}
            scheme = v["key_under_zmk"][0] if v["key_under_zmk"][0] in "UXTY" else "Z"
            assert ask("A8", again | {"zmk_scheme": scheme}).fields["key_under_zmk"] == v["key_under_zmk"]


# key blocks


def test_vendor_key_blocks(vectors: Path) -> None:
    lmks = {TEST_TDES: "01", TEST_AES: "02"}
    for v in load(vectors, "thales_key_block"):
        opened = open_block(VENDOR, raw(v["lmk"]), v["key_block"][1:])
        assert isinstance(opened, Opened)
        assert opened.key == raw(v["clear_key"]), v["id"]
        expected = aes_check_value(opened.key) if opened.header.algorithm == "A" else check_value(opened.key)
        fields = {"key_type_code": "FF", "length_flag": "F", "key": v["key_block"], "key_type": "FFF"}
        fields |= {"reserved": "00", "check_value_type": "1", "lmk": lmks[raw(v["lmk"])]}
        assert ask("BU", fields).fields == {"check_value": expected[:6]}, v["id"]


def test_tr31_key_blocks(vectors: Path) -> None:
    for v in load(vectors, "tr31"):
        opened = open_block(TR31, raw(v["kbpk"]), v["key_block"])
        if not v["verified"]:
            assert opened is ErrorCode.KEY_BLOCK_FORMAT, v["id"]
            continue
        assert isinstance(opened, Opened), v["id"]
        assert opened.key == raw(v["clear_key"]), v["id"]
        version = v["key_block"][0]
        again = close_block(version, TR31[version], raw(v["kbpk"]), opened.header, opened.key, bytes)
        assert open_block(TR31, raw(v["kbpk"]), again) == opened, v["id"]
        for at in (5, 20, -1):
            changed = (
                v["key_block"][:at] + ("0" if v["key_block"][at] != "0" else "1") + v["key_block"][at:][1:]
            )
            assert isinstance(open_block(TR31, raw(v["kbpk"]), changed), ErrorCode), v["id"]


# derived keys


def test_dukpt_tdes(vectors: Path) -> None:
    for v in load(vectors, "dukpt_tdes"):
        bdk = raw(v["bdk"])
        if "ipek" in v:
            assert dukpt.initial_key(bdk, raw(v["iksn"])) == raw(v["ipek"])
            continue
        serial, data = raw(v["ksn"]), pad(v["mac_data_ascii"].encode(), 1)
        assert dukpt.transaction_key(bdk, serial) == raw(v["transaction_key"]), v["id"]
        response = retail_mac(dukpt.mac_key(bdk, serial, response=True), data)
        assert response[:4] == raw(v["mac_response"]), v["id"]
        encrypted = cbc_encrypt(dukpt.data_key(bdk, serial), bytes(8), data)
        assert encrypted == raw(v["data_request_cbc"]), v["id"]
        text = under_lmk("009", bdk)
        common = {"bdk": text, "ksn_descriptor": "A05", "ksn": v["ksn"]}
        moved = {"new_key": ZPK, "pin_block": v["encrypted_pin_block"], "pin_format": "01"}
        moved |= {"new_pin_format": "01", "account": "401234567890"}
        zone = encryptor(ZPK_CLEAR)(raw(v["clear_pin_block"])).hex().upper()
        assert ask("G0", common | moved).fields["pin_block"] == zone, v["id"]
        made = ask(
            "GW", common | {"mode": "4", "method": "1", "data": v["mac_data_ascii"].encode().hex().upper()}
        )
        assert made.fields["mac"].startswith(v["mac_request"]), v["id"]


def test_dukpt_aes(vectors: Path) -> None:
    usages = {"pin": dukpt.PIN_ENCRYPTION, "cmac": dukpt.MAC_GENERATION, "data": dukpt.DATA_ENCRYPTION}
    for v in load(vectors, "dukpt_aes"):
        bdk = raw(v["bdk"])
        if "initial_key" in v:
            assert aes_initial_key(bdk, raw(v["ikid"])) == raw(v["initial_key"])
            continue
        serial = raw(v["ksn"])
        assert aes_derivation_key(bdk, serial) == raw(v["derivation_key"]), v["id"]
        for name, usage in usages.items():
            for bits in (128, 256):
                if f"{name}_key_aes{bits}" in v:
                    expected = raw(v[f"{name}_key_aes{bits}"])
                    assert aes_working_key(bdk, serial, usage, bits // 8) == expected, v["id"]
        if "encrypted_pin_block_iso4" in v:
            block = raw(v["encrypted_pin_block_iso4"])
            assert decrypt_iso4(raw(v["pin_key_aes128"]), block, v["pan"]) == v["pin"], v["id"]


# chip cards


def emv_keys(v: Vector) -> tuple[bytes, bytes]:
    """The card's key and the session key."""
    option_b = v.get("mk_derivation") == "option B"
    pan_psn = pan_psn_b(v["pan"] + v["psn"]) if option_b else pan_psn_a(v["pan"], v["psn"])
    card_key, method = IssuerKey(raw(v["imk_ac"])).card_key(pan_psn), v["session_key_method"]
    if method == "VSDC" or method.startswith("none"):
        return card_key, card_key
    unique = bytes(2) + raw(v["un"]) if method == "MCHIP" or method.startswith("Mastercard") else ATC_ZEROS
    return card_key, common_session_key(card_key, raw(v["atc"]) + unique)


def padded_input(v: Vector) -> bytes:
    return pad(raw(v["ac_input"]), 2 if "80" in v["ac_padding"] else 1)


def test_cryptograms_and_answers(vectors: Path) -> None:
    for v in load(vectors, "emv_arqc_arpc"):
        if "arqc" not in v:
            continue
        card_key, session_key = emv_keys(v)
        assert card_key == raw(v["icc_mk_ac"]), v["id"]
        assert session_key == raw(v["session_key_ac"]), v["id"]
        arqc = cryptogram(session_key, padded_input(v))
        assert arqc == raw(v["arqc"]), v["id"]
        key = card_key if v.get("arpc_key") in {"ICC MK", "icc_mk"} else session_key
        if v["arpc_method"] == 1:
            assert arpc_method_1(key, arqc, raw(v.get("arpc_rc") or v["arc"])) == raw(v["arpc"]), v["id"]
        else:
            assert arpc_method_2(key, arqc, raw(v["csu"])) == raw(v["arpc"]), v["id"]


def test_cryptograms_over_kq_kw_and_k2(vectors: Path) -> None:
    for v in load(vectors, "emv_arqc_arpc"):
        code, fields, expected = chip_question(v)
        answer = ask(code, fields)
        assert (answer.error.value, answer.fields) == ("00", expected), v["id"]
        wrong = ask(code, fields | {"cryptogram": "0" * 16})
        assert wrong.error.value == "01", v["id"]
        assert wrong.fields == {"cryptogram": v.get("arqc") or v["ac"]}, v["id"]


def chip_question(v: Vector) -> tuple[str, dict[str, str], dict[str, str]]:
    """The command that asks for a vector, and what it should bring back."""
    if "arqc" not in v:
        fields = {"mode": "0", "scheme": "00", "card_key_method": "0", "session_key_method": "1"}
        fields |= {"mk_ac": v["mk_ac_under_test_lmk"], "pan_psn": v["pan_psn_block"], "atc": v["atc"]}
        fields |= {"unpredictable_number": v["un"], "data": v["ac_input"], "cryptogram": v["ac"]}
        return "K2", fields | {"cryptogram_bitmap": "00" * 8, "bitmap_mac": "00" * 4}, {}
    issuer = under_lmk("109", with_odd_parity(raw(v["imk_ac"])))
    fields = {"mk_ac": issuer, "pan_psn": pan_psn_a(v["pan"], v["psn"]).hex(), "atc": v["atc"]}
    fields |= {"data": padded_input(v).hex().upper(), "cryptogram": v["arqc"]}
    response_code = v.get("arpc_rc") or v.get("arc")
    if "common" in v["session_key_method"] or v["session_key_method"] == "CSKD":
        fields["scheme"] = "2"
        if v.get("mk_derivation") == "option B":
            fields |= {"scheme": "3", "pan_psn": "0" + v["pan"] + v["psn"]}
        if v["arpc_method"] == 2:
            fields |= {"mode": "3", "card_status_update": v["csu"], "proprietary_data": ""}
            return "KW", fields, {"arpc": v["arpc"] + "00" * 4}
        return "KW", fields | {"mode": "1", "response_code": response_code}, {"arpc": v["arpc"]}
    visa = v["session_key_method"] == "VSDC" or v["session_key_method"].startswith("none")
    fields |= {"scheme": "0" if visa else "1", "unpredictable_number": v["un"]}
    if v["id"].startswith("interac"):  # its answer is under the session key, which KQ does not do
        return "KQ", fields | {"mode": "0"}, {}
    return "KQ", fields | {"mode": "1", "response_code": response_code}, {"arpc": v["arpc"]}


def test_dynamic_values(vectors: Path) -> None:
    for v in load(vectors, "dcvv_cvc3"):
        if reached_dynamic(v):
            continue
        pan, psn = v["pan"], v.get("psn", "00")
        data = pan_psn_b(pan + psn) if v["mk_derivation"] == "B" else pan_psn_a(pan, psn)
        card_key = IssuerKey(raw(v.get("imk") or v["imk_cvc3"])).card_key(data)
        if v["kind"] == "dCVV":
            made = generate_dcvv(card_key, pan, v["expiry"], v["service_code"], v["atc"])
        else:
            track = v["track_or_ivcvc3"]
            whole = raw(track + "0" * (len(track) % 2))
            static = whole if len(track) == 4 else static_part(card_key, whole)
            made = generate_cvc3(card_key, static, raw(v["un"]), raw(v["atc"]))
        assert made == v["computed"], v["id"]


def test_dynamic_values_over_pm(vectors: Path) -> None:
    for v in load(vectors, "dcvv_cvc3"):
        if not reached_dynamic(v):
            continue
        fields = {"scheme": "1", "version": "2", "master_key": v["mk_under_test_lmk"], "derivation": "A"}
        fields |= {"pan": v["pan"], "psn": v["psn"], "track": v["track"], "unpredictable_number": v["un"]}
        fields |= {"atc": v["atc"], "dcvv": v["cvc3"].rjust(5, "X")}
        assert ask("PM", fields).done, v["id"]
        wrong = ask("PM", fields | {"dcvv": "00000"})
        assert (wrong.error.value, wrong.fields) == ("01", {"dcvv": v["computed"]}), v["id"]


# the ledger


def reached_pin_block(v: Vector) -> bool:
    return v.get("payshield_code") in {"01", "03", "04", "05", "35", "47"}


def reached_mac(v: Vector) -> bool:
    return v["padding"] in {1, 2} and not has_weak_part(with_odd_parity(mac_key(v)))


def reached_check_value(v: Vector) -> bool:
    if "components" in v:
        return all(is_takable(raw(component)) for component in v["components"])
    lmk = v["id"] in {"thales-kb-3des-lmk", "aes-lmk-payshield-check"}
    return lmk or (not v["algorithm"].startswith("AES") and is_takable(raw(v["key"])))


def reached_import(v: Vector) -> bool:
    double_zmk, plain = v["zmk"][0] in "UX", v["key_under_zmk"][0] not in "UXTY"
    return double_zmk and not plain and is_takable(imported_clear(v))


def imported_clear(v: Vector) -> bytes:
    clear = LMK.decrypt_key(v["key_type"], v["key_under_lmk"])
    assert isinstance(clear, bytes)
    return clear


def reached_dynamic(v: Vector) -> bool:
    return "mk_under_test_lmk" in v


def always(_: Vector) -> bool:
    return True


def never(_: Vector) -> bool:
    return False


REACHED: dict[str, Callable[[Vector], bool]] = {
    "cvv": always,
    "pvv": always,
    "ibm3624": always,
    "pin_blocks": reached_pin_block,
    "encrypted_pin_blocks": always,
    "mac": reached_mac,
    "kcv": reached_check_value,
    "key_import": reached_import,
    "lmk_encrypted_keys": always,
    "lmk_variant_test_set": never,
    "thales_key_block": always,
    "tr31": never,
    "dukpt_tdes": lambda v: "ipek" not in v,
    "dukpt_aes": never,
    "emv_arqc_arpc": always,
    "dcvv_cvc3": reached_dynamic,
    "host_command_frames": lambda v: v["id"] != "CM-1",
}
"""Which vectors of a file a command reaches; the others are tests of modules."""

LEDGER = {
    "cvv": (8, 0, 0),
    "pvv": (3, 0, 0),
    "ibm3624": (11, 0, 0),
    "pin_blocks": (12, 15, 0),
    "encrypted_pin_blocks": (9, 0, 0),
    "mac": (9, 3, 0),
    "kcv": (6, 1, 0),
    "key_import": (3, 4, 0),
    "lmk_encrypted_keys": (24, 0, 0),
    "lmk_variant_test_set": (0, 4, 10),
    "thales_key_block": (2, 0, 0),
    "tr31": (0, 20, 1),
    "dukpt_tdes": (27, 1, 0),
    "dukpt_aes": (0, 27, 0),
    "emv_arqc_arpc": (17, 0, 0),
    "dcvv_cvc3": (3, 7, 0),
    "host_command_frames": (28, 1, 0),
}
"""Per file: over the emulator, as a module test, unverified."""


@pytest.mark.parametrize("name", REACHED)
def test_the_counts_add_up(vectors: Path, name: str) -> None:
    read = load(vectors, name)
    verified = [v for v in read if v["verified"]]
    reached = Counter("emulator" if REACHED[name](v) else "module" for v in verified)

    counted = (reached["emulator"], reached["module"], len(read) - len(verified))
    assert counted == LEDGER[name]
    assert sum(counted) == len(read)


def test_no_file_is_forgotten(vectors: Path) -> None:
    files = {path.stem for path in (vectors / "hsm").glob("*.json")}

    assert files == REACHED.keys() | {"payshield_format_examples"}  # those are in test_hsm_examples
