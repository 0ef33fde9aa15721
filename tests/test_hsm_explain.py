"""``standin hsm explain``: published values come out, each likely mistake is named, nothing else is explained."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyemv import cvn as oracle

from hsm_emulator.cli.explain import app
from hsm_emulator.cvv import generate_cvv
from hsm_emulator.explain.chip import VERSIONS
from hsm_emulator.explain.published import TEST_KEYS
from hsm_emulator.explain.story import CHANGES_MAX, Value, nearest
from hsm_emulator.key_block import Header
from hsm_emulator.key_block_lmk import published_key_block_lmks
from hsm_emulator.lmk import VariantLmk
from hsm_emulator.pin_block import encrypt_iso0
from hsm_emulator.pvv import generate_pvv
from processor.values.errors import ConfigError
from processor.values.sensitive import Pan

pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")  # pyemv

KEY = "0123456789ABCDEFFEDCBA9876543210"
SWAPPED = "FEDCBA98765432100123456789ABCDEF"
PAN, LONG_PAN = "4000001234567899", "4000001234567890123"
MC_PAN = "5200001234567897"
ZPK = "C7152C20BC2C830EA7EC9E8334ABE3FE"
OTHER_KEY = "0D1E2F3B4C5D6E7F8091A2B3C4D5E6F7"  # of nobody

Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def run(capsys: Any) -> Run:
    """Run one explanation; its exit code and what it says as JSON."""

    def run(what: str, *more: str, **options: str) -> tuple[int, dict[str, Any]]:
        given = [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", value)]
        try:
            app([what, *given, *more, "--json"])
        except SystemExit as ended:
            return int(str(ended.code)), json.loads(capsys.readouterr().out)
        raise AssertionError("it always ends with an exit code")

    return run


def instead(run: Run, what: str, **options: str) -> list[str]:
    """What a wrong value would be right with."""
    code, story = run(what, **options)
    assert code == 1
    return list(story["instead"])


CARD = {"cvk": KEY, "pan": PAN, "expiry": "3012", "service_code": "201"}


def cvv(key: str = KEY, pan: str = PAN, expiry: str = "3012", code: str = "201") -> str:
    return generate_cvv(bytes.fromhex(key), pan, expiry, code)


def test_a_published_cvv_is_right_and_its_last_step_is_the_value(run: Run) -> None:
    code, story = run("cvv", cvk=KEY, pan="4123456789012345", expiry="8701", service_code="101", cvv="561")
    assert (code, story["expected"], story["steps"][-1]["value"]) == (0, "561", "561")


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        pytest.param({"code": "999"}, "service code 999 (the iCVV's)", id="the iCVV"),
        pytest.param({"code": "000"}, "service code 000 (the CVV2's)", id="the CVV2"),
        pytest.param({"code": "101"}, "service code 101", id="another service code"),
        pytest.param({"expiry": "1230"}, "month and year of the expiry the other way round", id="MMYY"),
        pytest.param({"key": SWAPPED}, "the halves of the CVK the other way round", id="halves of the key"),
        pytest.param({"pan": PAN[:-1]}, "the PAN without its check digit", id="a PAN cut short"),
        pytest.param(
            {"expiry": "1230", "code": "000"},
            "month and year of the expiry the other way round, and service code 000 (the CVV2's)",
            id="two mistakes at once",
        ),
    ],
)
def test_each_mistake_about_a_cvv_is_named(wrong: dict[str, str], expected: str, run: Run) -> None:
    assert expected in instead(run, "cvv", **CARD, cvv=cvv(**wrong))


def test_a_value_that_nothing_explains_is_said(run: Run, capsys: Any) -> None:
    wanted = next(str(n) for n in range(100, 1000) if not instead(run, "cvv", **CARD, cvv=str(n)))
    with pytest.raises(SystemExit):
        app(["cvv", "--cvk", KEY, "--pan", PAN, "--expiry", "3012", "--service-code", "201", "--cvv", wanted])
    assert "likely mistakes gives it" in capsys.readouterr().out


def test_short_values_come_with_their_chance(run: Run) -> None:
    _, story = run("cvv", **CARD, cvv=cvv(code="000"))
    assert story["chance_one_in"] == 1000
    assert story["tries"] >= 10


PIN = {"pvk": "C8199237EA5857BC40EF9DA2B5E96BBF", "pan": PAN}


def pvv(account: str = "", pvki: str = "1", pin: str = "123456") -> str:
    return generate_pvv(bytes.fromhex(PIN["pvk"]), account or Pan(PAN).account_12(), pvki, pin)


def test_a_pvv_of_a_pin_in_a_block_is_explained_from_the_block_on(run: Run) -> None:
    block = encrypt_iso0(bytes.fromhex(ZPK), "1234", Pan(PAN).account_12())
    code, story = run("pvv", **PIN, zpk=ZPK, pin_block=block, pvv=pvv(pin="1234"))
    assert code == 0
    assert [step["name"] for step in story["steps"]][:4] == ["clear block", "account", "PIN field", "PIN"]


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        pytest.param({"pvki": "2"}, "PVKI 2", id="another key index"),
        pytest.param(
            {"account": PAN[-12:]}, "the rightmost digits of the PAN with the check digit", id="check digit"
        ),
        pytest.param({"account": f"0{PAN[:11]}"}, "the leftmost digits of the PAN", id="leftmost digits"),
        pytest.param({"pin": "3456"}, "the last four digits of the PIN", id="the last digits of the PIN"),
    ],
)
def test_each_mistake_about_a_pvv_is_named(wrong: dict[str, str], expected: str, run: Run) -> None:
    assert expected in instead(run, "pvv", **PIN, pin="123456", pvv=pvv(**wrong))


IBM = {
    "pvk": "4C9BE09E681A19DC",
    "pan": PAN,
    "validation_data": "9230000N0431",
    "table": "3456789012345678",
}


def test_a_published_offset_comes_out(run: Run) -> None:
    code, story = run(
        "offset", **{**IBM, "validation_data": "P9230000004310431"}, pin="111111", offset="328064FFFFFF"
    )
    assert (code, story["expected"]) == (0, "328064")
    assert story["steps"][2]["value"].startswith("893157")


def test_the_default_decimalisation_table_is_named(run: Run) -> None:
    told = {**IBM, "validation_data": "P9230000004310431", "pin": "111111"}
    _, story = run("offset", **{**told, "table": "0123456789012345"})
    assert "decimalisation table 0123456789012345" in instead(run, "offset", **told, offset=story["expected"])


def test_the_left_half_of_a_double_key_is_named(run: Run) -> None:
    told = {**IBM, "validation_data": "P9230000004310431", "pin": "111111"}
    _, single = run("offset", **{**told, "pvk": KEY[:16]})
    assert "the left half of the PVK alone" in instead(
        run, "offset", **{**told, "pvk": KEY}, offset=single["expected"]
    )


def test_a_pin_block_shows_its_pin(run: Run) -> None:
    block = encrypt_iso0(bytes.fromhex(ZPK), "12345", Pan(PAN).account_12())
    code, story = run("pin-block", zpk=ZPK, pan=PAN, pin_block=block)
    assert (code, story["expected"]) == (0, "12345")


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        pytest.param(
            PAN[-12:], "format 01 (ISO 0), with the check digit in the account: PIN 1234", id="check digit"
        ),
        pytest.param(
            PAN[:12], "format 01 (ISO 0), with the first twelve digits as account: PIN 1234", id="left"
        ),
    ],
)
def test_a_block_for_another_account_is_recognised(account: str, expected: str, run: Run) -> None:
    block = encrypt_iso0(bytes.fromhex(ZPK), "1234", account)
    assert expected in instead(run, "pin-block", zpk=ZPK, pan=PAN, pin_block=block)


def test_a_block_of_another_format_is_recognised(run: Run) -> None:
    block = encrypt_iso0(bytes.fromhex(ZPK), "1234", Pan(PAN).account_12())
    readings = instead(run, "pin-block", zpk=ZPK, pan=PAN, pin_block=block, format="47")
    assert "format 01 (ISO 0): PIN 1234" in readings


# Chip cards. pyemv makes the cryptograms.

TAGS = {
    "9F02": "000000004000", "9F03": "000000000000", "9F1A": "0840", "95": "8000048000", "5F2A": "0840",
    "9A": "301105", "9C": "01", "9F37": "52BF4585", "82": "1800", "9F36": "001C",
}  # fmt: skip
CVR, COUNTERS = "A00003220000", "00000000000322FF"
CARDS = {
    "visa-10": (oracle.VisaCVN10, PAN, "06010A03A06010", "03A06010", ""),
    "visa-18": (oracle.VisaCVN18, PAN, "06011203A0B800", "06011203A0B800", ""),
    "visa-22": (oracle.VisaCVN22, PAN, "1F2201" + "A5" * 29, "1F2201" + "A5" * 29, ""),
    "mastercard-16": (oracle.MasterCardCVN16, MC_PAN, f"0110{CVR}1234", CVR, ""),
    "mastercard-17": (oracle.MasterCardCVN17, MC_PAN, f"0111{CVR}1234{COUNTERS}", CVR, COUNTERS),
    "mastercard-20": (oracle.MasterCardCVN20, MC_PAN, f"0114{CVR}1234", CVR, ""),
    "mastercard-21": (oracle.MasterCardCVN21, MC_PAN, f"0115{CVR}1234{COUNTERS}", CVR, COUNTERS),
}


class Chip:
    """A chip card by pyemv: its cryptogram, the answer to it, and DE 55."""

    def __init__(self, version: str, *, psn: str = "00", key: str = KEY, **changed: str) -> None:
        make, pan, self.iad, signed, counters = CARDS[version]
        self.pan, self.psn = pan, psn
        self._tags = TAGS | {name.removeprefix("tag_").upper(): value for name, value in changed.items()}
        self.card = make(*[bytes.fromhex(key)] * 3, pan=pan, psn=psn)
        more = [bytes.fromhex(text) for text in (signed, counters) if text]
        self.arqc = self.card.generate_ac(*map(bytes.fromhex, self._tags.values()), *more).hex().upper()

    def de55(self, **changed: str) -> str:
        tags = (
            TAGS
            | {"9F10": self.iad, "9F26": self.arqc}
            | {k.removeprefix("tag_").upper(): v for k, v in changed.items()}
        )
        return "".join(f"{tag}{len(value) // 2:02X}{value}" for tag, value in tags.items() if value)

    def options(self, **changed: str) -> dict[str, str]:
        return {"imk_ac": KEY, "pan": self.pan, "de55": self.de55()} | changed


@pytest.mark.parametrize("version", VERSIONS)
def test_a_cryptogram_of_each_version_is_right_and_the_version_is_told_from_9f10(
    version: str, run: Run
) -> None:
    chip = Chip(version)
    code, story = run("arqc", **chip.options())
    assert (code, story["expected"]) == (0, chip.arqc)
    assert story["steps"][0]["value"] == version


@pytest.mark.parametrize("version", VERSIONS)
def test_the_answer_is_made_as_the_version_has_it(version: str, run: Run) -> None:
    chip = Chip(version)
    arqc, atc = bytes.fromhex(chip.arqc), bytes.fromhex(TAGS["9F36"])
    if version in {"visa-18", "visa-22"}:
        options, expected = {"csu": "00820000"}, chip.card.generate_arpc(arqc, atc, bytes.fromhex("00820000"))
    elif version in {"mastercard-20", "mastercard-21"}:
        options, expected = {"arc": "3030"}, chip.card.generate_arpc(arqc, atc, b"00")
    else:
        options, expected = {"arc": "3030"}, chip.card.generate_arpc(arqc, b"00")
    _, story = run("arqc", **chip.options(**options))
    assert (story["steps"][-1]["name"], story["steps"][-1]["value"]) == ("ARPC", expected.hex().upper())


def swapped_atc() -> Chip:
    return Chip("visa-18", tag_9f36="1C00")


MISTAKES = {
    "the PSN is missing": (lambda: Chip("visa-18", psn="01"), {}, "PSN 01"),
    "the bytes of the ATC": (swapped_atc, {}, "the two bytes of the ATC the other way round"),
    "the ATC as decimal digits": (
        lambda: Chip("mastercard-17", tag_9f36="0028"), {}, "the ATC written as four decimal digits",
    ),
    "the ATC is the one before": (lambda: Chip("visa-18", tag_9f36="001B"), {}, "the ATC -1"),
    "the unpredictable number is zero": (
        lambda: Chip("visa-10", tag_9f37="00000000"), {}, "an unpredictable number of zeros",
    ),
    "the halves of the key": (
        lambda: Chip("visa-18", key=SWAPPED), {}, "the halves of the issuer's key the other way round",
    ),
    "Visa CVN 18 taken for CVN 10": (
        lambda: Chip("visa-18"), {"cvn": "visa-22"}, "",
    ),
    "Mastercard CVN 17 taken for 16": (
        lambda: Chip("mastercard-17"), {"cvn": "mastercard-16"}, "signed: CVR and counters out of 9F10",
    ),
    "Mastercard CVN 20 taken for 16": (
        lambda: Chip("mastercard-20"), {"cvn": "mastercard-16"}, "session key: the common method",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_about_a_cryptogram_is_named(name: str, run: Run) -> None:
    make, changed, expected = MISTAKES[name]
    chip = make()
    if not expected:
        assert run("arqc", **chip.options(**changed))[0] == 0, "both versions are made alike"
        return
    assert instead(run, "arqc", **chip.options(**changed)) == [expected]


def test_a_key_that_is_the_cards_own_is_recognised(run: Run) -> None:
    chip = Chip("visa-18")
    options = chip.options(imk_ac=chip.card.icc_mk_ac.hex().upper())
    code, story = run("arqc", "--these-are-test-keys", **options)
    assert code == 1
    assert story["instead"] == ["the given key taken for the card's own key"]


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        pytest.param("", "padded with zeros where needed", id="zeros in place of 80"),
        pytest.param("80", "the data without its own byte 80", id="80 twice"),
    ],
)
def test_wrong_padding_of_the_hosts_data_is_named(tail: str, expected: str, run: Run) -> None:
    version = "visa-18" if tail else "visa-10"
    chip = Chip(version)
    data = "".join(TAGS.values()) + (chip.iad if tail else "03A06010") + tail
    given = {"imk_ac": KEY, "pan": chip.pan, "data": data, "atc": TAGS["9F36"], "arqc": chip.arqc}
    told = {"visa-18": "visa-18", "visa-10": "mastercard-20"}[version]
    found = instead(run, "arqc", **given, cvn=told)
    assert any(expected in each for each in found), found


def test_a_long_pan_takes_option_b(run: Run) -> None:
    card = oracle.VisaCVN18(*[bytes.fromhex(KEY)] * 3, pan=LONG_PAN, psn="00")
    iad = CARDS["visa-18"][2]
    arqc = card.generate_ac(*map(bytes.fromhex, TAGS.values()), bytes.fromhex(iad)).hex().upper()
    chip = Chip("visa-18")
    code, story = run("arqc", imk_ac=KEY, pan=LONG_PAN, de55=chip.de55(tag_9f26=arqc))
    assert code == 0
    assert "B: digits" in story["steps"][1]["how"]


def test_the_example_of_the_manual_is_what_it_prints(capsys: Any) -> None:
    text = (Path(__file__).parent.parent / "docs" / "hsm.md").read_text(encoding="utf-8")
    shown = text.partition("$ standin hsm explain ")[2].partition("```")[0].splitlines()
    with pytest.raises(SystemExit):
        app(shown[0].split())
    assert capsys.readouterr().out.splitlines()[-3:] == shown[-3:]


# What is not explained.

REFUSED = [
    pytest.param("cvv", CARD | {"cvk": OTHER_KEY}, "not a published test key", id="a key of nobody"),
    pytest.param("cvv", CARD | {"cvk": "U" + OTHER_KEY}, "no such key", id="a key not under the test LMK"),
    pytest.param("cvv", CARD | {"cvk": "S1" + "0" * 70}, "no such key", id="a block not under the test LMK"),
    pytest.param("cvv", CARD | {"cvk": "Sx"}, "no such key|hex digits", id="no block"),
    pytest.param("cvv", CARD | {"cvk": "U12"}, "no such key|hex digits", id="half a key"),
    pytest.param("cvv", CARD | {"cvk": KEY[:16]}, "length", id="a key of another length"),
    pytest.param("cvv", CARD | {"cvk": KEY[1:]}, "hex digits", id="an odd number of digits"),
    pytest.param("cvv", CARD | {"pan": "4539123456789012"}, "not a test card", id="a card of nobody"),
    pytest.param("cvv", CARD | {"pan": "40000012345"}, "12 to 19 digits", id="a short PAN"),
    pytest.param("cvv", CARD | {"test_bin": "4"}, "6 to 11 digits", id="a test BIN for every card"),
    pytest.param("cvv", CARD | {"expiry": "30-12"}, "expiry: must be 4 digits", id="no date"),
    pytest.param("cvv", CARD | {"service_code": "٢٠١"}, "service_code", id="digits of another alphabet"),
    pytest.param("pvv", PIN, "pin or pin_block", id="no PIN"),
    pytest.param("pvv", PIN | {"pin": "1234", "pin_block": "0" * 16}, "pin or pin_block", id="two PINs"),
    pytest.param("pin-block", {"zpk": ZPK, "pan": PAN, "pin_block": "00"}, "16 hex", id="a short block"),
    pytest.param("pin-block", {"zpk": ZPK, "pan": PAN, "pin_block": "0" * 16, "format": "34"}, "format", id="format"),
    pytest.param("pvv", PIN | {"zpk": ZPK, "pin_block": "0" * 16}, "explain pin-block", id="a block without a PIN"),
    pytest.param("offset", IBM | {"pin": "1234", "validation_data": "12"}, "validation_data", id="short data"),
    pytest.param("offset", IBM | {"pin": "1234", "validation_data": "9230000NN431"}, "validation_data", id="two N"),
    pytest.param("offset", IBM | {"pin": "1234", "offset": "12345"}, "longer than the PIN", id="a long offset"),
    pytest.param("arqc", {"imk_ac": KEY, "pan": PAN}, "cvn", id="no cryptogram at all"),
    pytest.param("arqc", {"imk_ac": KEY, "pan": PAN, "cvn": "visa-10"}, "de55 or data", id="no data"),
    pytest.param("arqc", {"imk_ac": KEY, "pan": PAN, "de55": "9F0206"}, "ends behind the end", id="half of DE 55"),
    pytest.param("arqc", {"imk_ac": KEY, "pan": PAN, "de55": "9F"}, "ends within a tag", id="half a tag"),
    pytest.param("arqc", {"imk_ac": KEY, "pan": PAN, "de55": "9F1003060100"}, "cvn", id="an unknown version"),
    pytest.param(
        "arqc", {"imk_ac": KEY, "pan": PAN, "cvn": "visa-18", "de55": "9F1003060100"}, "9F02", id="missing tags"
    ),
]  # fmt: skip


@pytest.mark.parametrize(("what", "options", "expected"), REFUSED)
def test_what_is_not_explained_is_said_without_a_value(
    what: str, options: dict[str, str], expected: str, run: Run
) -> None:
    with pytest.raises(ConfigError, match=expected) as caught:
        run(what, **options)
    said = str(caught.value.problems)
    hidden = [options.get("cvk", ""), options.get("pan", ""), options.get("pin", "")]
    assert not [value for value in hidden if len(value) > 3 and value in said]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [({"arc": "3030"}, "csu, 4 bytes"), ({"arc": "3030", "csu": "00000000"}, "csu, 4 bytes"), ({"atc": "1C"}, "2 and 4 bytes")],
    ids=["the other method's answer", "both answers", "half an ATC"],
)  # fmt: skip
def test_a_cryptogram_with_terms_that_do_not_fit_is_wrong_input(
    changed: dict[str, str], expected: str, run: Run
) -> None:
    with pytest.raises(ConfigError, match=expected):
        run("arqc", **Chip("visa-18").options(**changed))


def test_a_key_of_ones_own_is_explained_when_it_is_said_to_be_a_test_key(run: Run) -> None:
    code, story = run("cvv", "--these-are-test-keys", **(CARD | {"cvk": OTHER_KEY, "cvv": cvv(OTHER_KEY)}))
    assert (code, OTHER_KEY in TEST_KEYS) == (0, False)
    assert OTHER_KEY not in json.dumps(story)


def test_keys_under_the_test_lmks_are_test_keys(run: Run) -> None:
    key = bytes.fromhex(KEY)
    lmks = published_key_block_lmks()
    header = Header("C0", "T", "N", "00", "N", "", "00")
    texts = [str(VariantLmk().encrypt_key("402", key, scheme)) for scheme in ("U", "X")]
    texts += [lmk.wrap_key(header, key, bytes) for lmk in lmks.values()]
    for text in texts:
        assert run("cvv", **(CARD | {"cvk": text, "cvv": cvv()}))[0] == 0


def test_more_test_bins_can_be_named(run: Run) -> None:
    assert run("cvv", **(CARD | {"pan": "4539123456789012", "test_bin": "453912"}))[0] == 0


def test_values_come_from_a_file_and_options_stand_above_it(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "values"
    file.write_text(
        f"# a card\ncvk = {KEY}\npan = {PAN}  # a test card\nexpiry = 3012\nservice-code = 000\n\n"
    )
    assert run("cvv", "--from", str(file))[1]["expected"] == cvv(code="000")
    assert run("cvv", "--from", str(file), service_code="201")[1]["expected"] == cvv()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("pin = 1234\n", ":1: not a name"), ("cvk\n", ":1: not a name"), ("\n\nx=1\n", ":3: not a name"), (b"\xff", "not text")],
    ids=["a name of another command", "no value", "an unknown name", "no text"],
)  # fmt: skip
def test_a_file_of_something_else_is_wrong_input(
    text: str | bytes, expected: str, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "values"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=expected) as caught:
        run("cvv", "--from", str(file))
    assert "1234" not in str(caught.value.problems)


def test_the_nearest_calculation_has_the_fewest_changes() -> None:
    places = [[Value("", 1), Value("two", 2), Value("three", 3)], [Value("", 10), Value("twenty", 20)]]
    assert nearest(places, lambda a, b: str(a + b), "21").instead == ("twenty",)
    assert nearest(places, lambda a, b: str(a + b), "23").instead == ("three, and twenty",)
    assert nearest(places, lambda a, b: str(a + b), "99") == ((), 3 + 2)
    assert CHANGES_MAX == 2
