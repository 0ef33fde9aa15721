"""M0 M2 M4 M6 M8 MY over data, KU for issuer messages, and the older key commands FA HC IA."""

import pytest

from hsm_emulator.emulator import Emulator
from hsm_emulator.emv import IssuerKey
from hsm_emulator.lmk import VariantLmk
from hsm_emulator.mac import hmac_sha256, pad, retail_mac, tdes_cmac
from hsm_emulator.tdes import Tdes, check_value
from processor.hsm.commands import Response, encode_request, parse_response

LMK = VariantLmk()
ONE = bytes.fromhex("C7152C20BC2C830EA7EC9E8334ABE3FE")
TWO = bytes.fromhex("13345779133457798664432086644320")
DATA = b"Now is the time for all good men"
HEX = DATA.hex().upper()
OLD_CRYPTOGRAPHY = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")


def key(key_type: str, clear: bytes = ONE) -> str:
    text = LMK.encrypt_key(key_type, clear, {8: "", 16: "U", 24: "T"}[len(clear)])
    assert isinstance(text, str)
    return text


def ask(code: str, fields: dict[str, str]) -> Response:
    reply = Emulator(LMK).reply(b"0001" + encode_request(code, fields))
    assert reply is not None
    return parse_response(code, reply[6:])


def characters(response: Response) -> bytes:
    """The characters that came back as data."""
    return bytes.fromhex(response.fields["data"])


CIPHER = {"mode": "00", "input_format": "0", "output_format": "0", "key_type": "00B", "key": key("00B")}


@pytest.mark.parametrize("key_type", ["00A", "00B", "30B"])
def test_data_is_encrypted_and_decrypted_block_by_block(key_type: str) -> None:
    fields = CIPHER | {"key_type": key_type, "key": key(key_type)}
    encrypted = characters(ask("M0", fields | {"data": HEX}))

    assert encrypted == Tdes(ONE).encrypt(DATA)
    assert characters(ask("M2", fields | {"data": encrypted.hex().upper()})) == DATA


def test_hex_goes_in_and_comes_out() -> None:
    fields = CIPHER | {"input_format": "1", "output_format": "1"}
    encrypted = characters(ask("M0", fields | {"data": HEX})).decode()

    assert encrypted == Tdes(ONE).encrypt(DATA).hex().upper()
    assert characters(ask("M2", fields | {"data": encrypted, "output_format": "2"})) == DATA


def test_data_moves_from_one_key_to_another() -> None:
    fields = CIPHER | {"new_mode": "00", "new_key_type": "00A", "new_key": key("00A", TWO)}
    moved = characters(ask("M4", fields | {"data": Tdes(ONE).encrypt(DATA).hex().upper()}))

    assert moved == Tdes(TWO).encrypt(DATA)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({"mode": "01"}, "02", id="another mode"),
        pytest.param({"input_format": "3"}, "03", id="another input format"),
        pytest.param({"output_format": "2"}, "04", id="text that would not be text"),
        pytest.param({"key_type": "001"}, "05", id="a PIN key type"),
        pytest.param({"data": HEX[2:]}, "06", id="half a block"),
        pytest.param({"data": ""}, "06", id="no data"),
        pytest.param({"key": key("001")}, "10", id="a PIN key"),
    ],
)
def test_data_that_is_not_encrypted(changed: dict[str, str], expected: str) -> None:
    assert ask("M0", CIPHER | {"data": HEX} | changed).error.value == expected


MAC = {"mode": "0", "input_format": "0", "mac_size": "1", "algorithm": "3", "padding": "1"}
MAC |= {"key_type": "003", "key": key("003")}


@pytest.mark.parametrize("algorithm", ["1", "3"])
@pytest.mark.parametrize("padding", ["0", "1", "2"])
def test_a_mac_of_blocks_in_turn_is_the_mac_of_the_whole(algorithm: str, padding: str) -> None:
    fields = MAC | {"algorithm": algorithm, "padding": padding}
    whole = ask("M6", fields | {"data": HEX}).fields["mac"]
    first = ask("M6", fields | {"mode": "1", "data": HEX[:16]}).fields["mac"]
    middle = ask("M6", fields | {"mode": "2", "iv": first, "data": HEX[16:48]}).fields["mac"]
    last = fields | {"mode": "3", "iv": middle, "data": HEX[48:]}

    assert ask("M6", last).fields["mac"] == whole
    assert ask("M8", last | {"mac": whole}).done


def test_macs_are_cut_to_their_size_and_read_from_hex() -> None:
    full = retail_mac(ONE, pad(DATA, 1)).hex().upper()

    assert ask("M6", MAC | {"data": HEX}).fields["mac"] == full
    assert ask("M6", MAC | {"data": HEX, "mac_size": "0"}).fields["mac"] == full[:8]
    assert ask("M6", MAC | {"data": HEX, "input_format": "1"}).fields["mac"] == full
    cmac = tdes_cmac(ONE, DATA).hex().upper()
    assert ask("M6", MAC | {"data": HEX, "algorithm": "6"}).fields["mac"] == cmac


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({"mode": "4"}, "02", id="another mode"),
        pytest.param({"algorithm": "6", "mode": "1"}, "02", id="a CMAC of the first block alone"),
        pytest.param({"input_format": "3"}, "03", id="another input format"),
        pytest.param({"algorithm": "2"}, "04", id="another algorithm"),
        pytest.param({"key_type": "001"}, "05", id="a PIN key type"),
        pytest.param({"padding": "0", "data": HEX[2:]}, "06", id="half a block and no padding"),
        pytest.param({"mode": "1", "data": HEX[2:]}, "06", id="a first block that is none"),
        pytest.param({"padding": "3"}, "09", id="another padding"),
        pytest.param({"mac_size": "2"}, "15", id="another size"),
        pytest.param({"key": key("008")}, "10", id="a ZAK called a TAK"),
        pytest.param({"key": key("003", ONE[:8])}, "27", id="a single key where a double one belongs"),
    ],
)
def test_macs_that_are_not_made(changed: dict[str, str], expected: str) -> None:
    assert ask("M6", MAC | {"data": HEX} | changed).error.value == expected


def test_a_mac_is_verified_and_made_again_under_another_key() -> None:
    own = retail_mac(ONE, pad(DATA, 1)).hex().upper()
    fields = MAC | {"new_mac_size": "0", "new_algorithm": "3", "new_padding": "2", "new_key_type": "008"}
    fields |= {"new_key": key("008", TWO), "data": HEX}

    made = ask("MY", fields | {"mac": own})
    assert made.fields == {"mac": retail_mac(TWO, pad(DATA, 2)).hex().upper()[:8]}
    assert ask("MY", fields | {"mac": "0" * 16}).error.value == "01"
    assert ask("MY", fields | {"mac": own, "new_key": key("003")}).error.value == "11"


def test_hmac_is_that_of_rfc_4231() -> None:
    mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?").hex()

    assert mac == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"


@OLD_CRYPTOGRAPHY
@pytest.mark.parametrize(("scheme", "session"), [("0", "000000000000001C"), ("1", "29CCA15AE665FA2E")])
def test_issuer_messages_agree_with_pyemv(scheme: str, session: str) -> None:
    from pyemv import kd, sm

    pan_psn = bytes.fromhex("3456789012345600")
    card_key = IssuerKey(ONE).card_key(pan_psn)
    data = bytes.fromhex(session)
    own = kd.derive_visa_sm_sk(card_key, data[-2:]) if scheme == "0" else kd.derive_common_sk(card_key, data)
    message = bytes.fromhex("8424000008001C29CCA15AE665FA2E")
    fields = {"mode": "0", "scheme": scheme, "mk_smi": key("209"), "pan_psn": pan_psn.hex().upper()}
    fields |= {"session_data": session, "data": message.hex().upper()}

    assert ask("KU", fields).fields == {"mac": sm.generate_command_mac(own, message).hex().upper()}


ZMK = key("000", TWO)


@pytest.mark.parametrize(
    ("schemes", "size"), [({}, 8), ({"zmk_scheme": "X", "lmk_scheme": "U", "check_value_type": "1"}, 16)]
)
def test_a_new_zpk_is_written_twice_and_taken_in_again(schemes: dict[str, str], size: int) -> None:
    made = ask("IA", {"zmk": ZMK} | schemes).fields
    clear = LMK.decrypt_key("001", made["key_under_lmk"])
    renamed = {("reserved" if name == "zmk_scheme" else name): value for name, value in schemes.items()}
    back = ask("FA", {"zmk": ZMK, "key_under_zmk": made["key_under_zmk"]} | renamed).fields

    assert isinstance(clear, bytes)
    assert len(clear) == size
    assert made["check_value"] == check_value(clear)[: 6 if schemes else 16]
    assert back == {"key_under_lmk": made["key_under_lmk"], "check_value": made["check_value"]}


def test_a_terminal_gets_a_new_key_under_its_present_one() -> None:
    fields = {"tmk": key("002", TWO), "tmk_scheme": "X", "lmk_scheme": "U", "reserved": "0"}
    made = ask("HC", fields).fields

    assert LMK.decrypt_key("002", made["key_under_lmk"]) == Tdes(TWO).decrypt(
        bytes.fromhex(made["key_under_tmk"][1:])
    )
