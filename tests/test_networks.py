"""The visa-like profile: what messages mean, and what answers look like."""

import json

import msgspec
import pytest

from processor.iso8583.message import Message
from processor.iso8583.tables.visa_like import NESTED
from processor.networks.profile import load_profile, parse_profile
from processor.networks.recognise import Recogniser
from processor.networks.respond import Responder
from processor.values.errors import ConfigError, DecodeError, Unsupported
from processor.values.facts import Check
from processor.values.outcome import Reply
from processor.values.reasons import APPROVALS, Reason
from processor.values.requests import AUTH_CODE, Authorization, CvvKind, NetworkManagement, Signal
from processor.values.sensitive import Tokens

HEADER = bytes.fromhex("16010200000000001234560000000000000000000000")
PAN = "4000001234567899"
TRACK = f"{PAN}D29122011123456700000"
BASE = {
    2: PAN, 3: "000000", 4: "000000001000", 7: "1118120000", 11: "000001", 14: "2912", 18: "5411", 19: "840",
    22: "0120", 25: "00", 32: "432109", 37: "632212000001", 41: "TERM0001", 42: "MERCHANT0000001",
    43: "NAME".ljust(40), 49: "840",
}  # fmt: skip


@pytest.fixture
def recogniser() -> Recogniser:
    return Recogniser(load_profile("visa-like"), Tokens(bytes(32)))


@pytest.fixture
def responder() -> Responder:
    return Responder(load_profile("visa-like"))


def authorization(**changes):
    elements = {**BASE, **{int(k[1:]): v for k, v in changes.items()}}
    return Message(HEADER, "0100", {n: v for n, v in elements.items() if v is not None})


@pytest.mark.parametrize(
    ("changes", "kind", "service_code", "cvv"),
    [
        pytest.param({"e22": "9010", "e35": TRACK}, CvvKind.CVV, "201", "567", id="a full track has the CVV"),
        pytest.param({"e22": "0510", "e35": TRACK}, CvvKind.ICVV, "999", "567", id="a chip has the iCVV"),
        pytest.param(
            {"e22": "0710", "e35": TRACK}, CvvKind.ICVV, "999", "567", id="contactless has the iCVV"
        ),
        pytest.param(
            {"e22": "0210", "e35": TRACK}, CvvKind.NONE, "", "", id="an unreliable stripe is not judged"
        ),
        pytest.param(
            {"e22": "9510", "e35": TRACK}, CvvKind.NONE, "", "", id="an unreliable chip is not judged"
        ),
        pytest.param({"e22": "9010"}, CvvKind.NONE, "", "", id="without a track there is no CVV"),
        pytest.param({"e126": "11 888"}, CvvKind.CVV2, "000", "888", id="the cardholder gave a CVV2"),
        pytest.param({"e126": "01    "}, CvvKind.NONE, "", "", id="the cardholder gave none"),
        pytest.param(
            {"e126": "11 888", "e14": None}, CvvKind.CVV2, "000", "888", id="a CVV2 without an expiry"
        ),
        pytest.param({}, CvvKind.NONE, "", "", id="nothing to check"),
    ],
)
def test_which_verification_value_by_entry_mode(recogniser, changes, kind, service_code, cvv):
    if "e126" in changes:
        changes = {**changes, "e126": NESTED[126].build({10: changes["e126"]})}
    question = recogniser.recognise(authorization(**changes))

    assert question.request.cvv_kind is kind
    assert (question.evidence.cvv, question.evidence.cvv_service_code) == (cvv, service_code)


@pytest.mark.parametrize(
    ("changes", "element"),
    [
        pytest.param({"e37": None}, 37, id="a mandatory element is missing"),
        pytest.param({"e2": "4000"}, 2, id="a PAN is too short"),
        pytest.param({"e35": "4000001234567800D2912201"}, 35, id="the track has another PAN"),
        pytest.param({"e35": f"{PAN}D29"}, 35, id="the track ends before its service code"),
        pytest.param({"e49": "001"}, 49, id="an unknown currency is not taken for two decimals"),
        pytest.param({"e6": "000000001000"}, 51, id="a billing amount without its currency"),
        pytest.param({"e126": "11 8D8"}, 126, id="a CVV2 that is not digits"),
    ],
)
def test_a_message_that_makes_no_sense_is_a_format_error_with_what_can_be_echoed(
    recogniser, changes, element
):
    if "e126" in changes:
        changes = {"e126": NESTED[126].build({10: changes["e126"]})}
    with pytest.raises(DecodeError) as caught:
        recogniser.recognise(authorization(**changes))

    assert caught.value.element == element
    assert caught.value.mti == "0100"
    assert caught.value.partial[11] == "000001"
    assert PAN not in str(caught.value)


def test_the_check_digit_matters_only_where_the_profile_says_so():
    wrong = authorization(e2=PAN[:-1] + "0", e35=None)
    lenient, strict = (
        load_profile("visa-like"),
        msgspec.structs.replace(load_profile("visa-like"), luhn="check"),
    )

    Recogniser(lenient, Tokens(bytes(32))).recognise(wrong)
    with pytest.raises(DecodeError, match="check digit"):
        Recogniser(strict, Tokens(bytes(32))).recognise(wrong)


def test_a_repeat_has_the_key_of_its_original_and_another_card_has_not(recogniser):
    first = recogniser.recognise(authorization()).request
    repeat = recogniser.recognise(Message(HEADER, "0101", BASE)).request
    other = recogniser.recognise(authorization(e2="4000001234567881")).request

    assert repeat.key == first.key
    assert other.key != first.key
    assert PAN not in repr(first)


def test_the_amount_is_the_billing_amount_when_there_is_one(recogniser):
    request = recogniser.recognise(authorization(e6="000000000900", e51="978")).request

    assert str(request.amount) == "9.00 978"
    assert str(request.transaction_amount) == "10.00 840"


@pytest.mark.parametrize(
    ("original", "later"),
    [
        pytest.param({}, {90: "0100000001111812000000000432109" + "0" * 11}, id="by DE 90"),
        pytest.param(
            {62: NESTED[62].build({2: "303085254670208"})},
            {62: NESTED[62].build({2: "303085254670208"})},
            id="by the transaction identifier",
        ),
        pytest.param({}, {38: "ABC123"}, id="by RRN and authorization code"),
    ],
)
def test_a_reversal_names_its_original(recogniser, original, later):
    purchase = recogniser.recognise(Message(HEADER, "0100", {**BASE, **original})).request
    reversal = recogniser.recognise(
        Message(HEADER, "0420", {**BASE, 7: "1118130000", 11: "000099", **later})
    ).request
    assert isinstance(purchase, Authorization)

    known_by = {key.replace(AUTH_CODE, "ABC123") for key in purchase.match_keys}
    assert known_by & set(reversal.match_keys)


def test_a_reversal_that_names_nothing_is_a_format_error(recogniser):
    with pytest.raises(DecodeError, match="nothing names the original"):
        recogniser.recognise(Message(HEADER, "0420", {**BASE, 90: "0" * 42}))


@pytest.mark.parametrize(
    ("code", "signal"),
    [("071", Signal.SIGN_ON), ("072", Signal.SIGN_OFF), ("301", Signal.ECHO)],
    ids=["sign-on", "sign-off", "echo"],
)
def test_network_management_codes(recogniser, code, signal):
    request = recogniser.recognise(Message(HEADER, "0800", {7: "1118120000", 11: "000001", 70: code})).request

    assert isinstance(request, NetworkManagement)
    assert request.signal is signal


def test_a_type_that_is_not_served_says_which(recogniser):
    with pytest.raises(Unsupported, match="0302"):
        recogniser.recognise(Message(HEADER, "0302", BASE))
    with pytest.raises(Unsupported, match="processing code 99"):
        recogniser.recognise(authorization(e3="990000"))


def test_a_response_echoes_its_list_and_never_authentication_data(responder):
    asked = authorization(
        e35=TRACK, e52="0123456789ABCDEF", e53="2001010100000000", e55="0102", e63="8000000000"
    )

    response = responder.respond(asked, Reply(Reason.APPROVED, "ABC123", Check.PASSED, CvvKind.CVV))

    assert response.mti == "0110"
    assert response.header[5:11] == HEADER[8:11] + HEADER[5:8]
    assert {n: v for n, v in response.elements.items() if n not in (38, 39, 44)} == {
        n: asked.elements[n] for n in (2, 3, 4, 7, 11, 19, 25, 32, 37, 41, 42, 49, 63)
    }
    assert (response.elements[38], response.elements[39], response.elements[44]) == ("ABC123", "00", "    2")


@pytest.mark.parametrize(
    ("reply", "result"),
    [
        pytest.param(Reply(Reason.CVV_FAILED, "", Check.FAILED, CvvKind.ICVV), "    1", id="a wrong iCVV"),
        pytest.param(Reply(Reason.APPROVED, "A", Check.PASSED, CvvKind.CVV2), " " * 9 + "M", id="a match"),
        pytest.param(Reply(Reason.CVV2_FAILED, "", Check.FAILED, CvvKind.CVV2), " " * 9 + "N", id="no match"),
        pytest.param(
            Reply(Reason.VERIFICATION_UNAVAILABLE, "", Check.NO_ANSWER, CvvKind.CVV2), " " * 9 + "P",
            id="not processed",
        ),
        pytest.param(Reply(Reason.APPROVED, "A"), None, id="nothing was checked"),
    ],
)  # fmt: skip
def test_the_check_result_goes_into_de_44(responder, reply, result):
    assert responder.respond(authorization(), reply).elements.get(44) == result


def test_only_approvals_map_to_approving_codes():
    profile = load_profile("visa-like")
    approving = {"00", "08", "10", "11", "85", "87"}

    for reason in Reason:
        assert (profile.response_code(reason) in approving) == (reason in APPROVALS), reason


class TestProfileFile:
    """A broken profile is refused, whole."""

    @pytest.fixture
    def text(self) -> str:
        from importlib import resources

        return (resources.files("processor.networks") / "visa_like.toml").read_text()

    @pytest.mark.parametrize(
        ("old", "new", "problem"),
        [
            pytest.param('late = "N0"', "", "response_codes.late is missing", id="a reason without a code"),
            pytest.param(
                '"08" = [7,', '"08" = [35, 7,', "DE 35 must never be echoed", id="a track on an echo list"
            ),
            pytest.param('luhn = "ignore"', 'luhn = "maybe"', "luhn", id="an unknown choice"),
            pytest.param('name = "visa-like"', 'nam = "visa-like"', "nam", id="an unknown key"),
            pytest.param("[timers]", "[timers", "x.toml", id="not TOML"),
        ],
    )
    def test_it_is_refused_with_the_place(self, text, old, new, problem):
        assert old in text
        with pytest.raises(ConfigError) as caught:
            parse_profile(text.replace(old, new), "x.toml")

        assert problem in str(caught.value)

    def test_an_unknown_network_is_named(self):
        with pytest.raises(ConfigError, match="no such profile"):
            load_profile("../secrets")


def test_the_visa_base1_records_are_recognised(vectors, recogniser):
    from processor.iso8583.codec import PyisoCodec
    from processor.iso8583.tables.visa_like import VISA_LIKE

    codec, kinds = PyisoCodec(VISA_LIKE), {}
    for line in (vectors / "iso8583" / "messages.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["id"].startswith("visa_base1/"):
            message = codec.decode(bytes.fromhex(record["frame_hex"])[4:])
            try:
                kinds[record["id"]] = type(recogniser.recognise(message).request).__name__
            except Unsupported as error:
                kinds[record["id"]] = error.mti
    assert kinds == {
        "visa_base1/visa_aft_sms": "Authorization",
        "visa_base1/visa_aft_sms_rev": "Reversal",
        "visa_base1/visa_aft_sms_rev_resp": "0430",
        "visa_base1/visa_ecomm": "Authorization",
        "visa_base1/visa_f55": "Authorization",
    }
