"""ISO 8583:1993: the same questions as in 1987, asked with other elements; every encoding means the same."""

import pytest

from processor.iso8583.codec import PyisoCodec
from processor.iso8583.message import Message
from processor.networks.adapters import DIALECTS
from processor.networks.profile import SHIPPED, load_profile
from processor.networks.recognise import Recogniser
from processor.networks.respond import Responder, response_mti
from processor.values.errors import DecodeError
from processor.values.outcome import Reply
from processor.values.reasons import APPROVALS, Reason
from processor.values.requests import (
    AUTH_CODE,
    Advice,
    Authorization,
    CvvKind,
    NetworkManagement,
    Original,
    Reversal,
    Signal,
)
from processor.values.sensitive import Tokens

PAN = "4000001234567899"
TRACK = f"{PAN}=29122011123456700000"
BASE = {
    2: PAN, 3: "000000", 4: "000000001000", 7: "1118120000", 11: "000001", 12: "251119120000", 14: "2912",
    19: "840", 22: "210101214140", 24: "100", 26: "5411", 32: "432109", 37: "632212000001", 41: "TERM0001",
    42: "MERCHANT0000001", 49: "840",
}  # fmt: skip
ORIGINAL = "1100" + "000001" + "251119120000" + "06432109"
ISO93 = [name for name in SHIPPED if name.startswith("iso93")]


@pytest.fixture(params=ISO93)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def recogniser(name: str) -> Recogniser:
    return Recogniser(load_profile(name), Tokens(bytes(32)))


def message(mti: str, **more: str | None) -> Message:
    elements: dict[int, str | None] = {**BASE, **{int(key[1:]): value for key, value in more.items()}}
    return Message(b"", mti, {number: value for number, value in elements.items() if value is not None})


def over_the_wire(name: str, asked: Message) -> Message:
    """As it comes out of the codec at the other side."""
    codec = PyisoCodec(DIALECTS[load_profile(name).dialect])
    return codec.decode(codec.encode(asked))


def test_a_purchase_is_the_same_question_in_every_encoding(name: str, recogniser: Recogniser) -> None:
    asked = over_the_wire(name, message("1100", e35=TRACK))

    question = recogniser.recognise(asked)

    request = question.request
    assert isinstance(request, Authorization)
    assert str(request.amount) == "10.00 840"
    assert (request.merchant_category, request.condition, request.entry_mode) == ("5411", "", "2")
    assert (request.cvv_kind, request.expiry, request.single_message) == (CvvKind.CVV, "2912", False)
    assert question.evidence is not None
    assert (question.evidence.cvv, question.evidence.cvv_service_code) == ("567", "201")
    assert f"|{BASE[12][2:6]}|" in request.key


def test_a_financial_request_is_a_single_message_and_a_chip_has_the_icvv(recogniser: Recogniser) -> None:
    request = recogniser.recognise(message("1200", e22="510101514140", e35=TRACK)).request

    assert isinstance(request, Authorization)
    assert (request.single_message, request.cvv_kind, request.hold_class) == (
        True, CvvKind.ICVV, "card present",
    )  # fmt: skip


@pytest.mark.parametrize("mti", ["1100", "1200"])
def test_a_repeat_has_the_key_of_its_original(recogniser: Recogniser, mti: str) -> None:
    first = recogniser.recognise(message(mti)).request
    repeat = recogniser.recognise(message(mti[:3] + "1")).request

    assert isinstance(first, Authorization)
    assert isinstance(repeat, Authorization)
    assert repeat.key == first.key


@pytest.mark.parametrize(
    ("missing", "later", "row"),
    [
        pytest.param((), {"e56": ORIGINAL}, 1, id="by STAN, local time and acquirer"),
        pytest.param((32,), {"e56": ORIGINAL[:22] + "00"}, 2, id="by STAN and RRN of one day"),
        pytest.param((32, 37), {"e37": None, "e56": ORIGINAL[:22]}, 3, id="by STAN and terminal of one day"),
        pytest.param((), {"e38": "ABC123"}, 0, id="by RRN and approval code"),
    ],
)
def test_a_reversal_names_its_original(
    name: str, recogniser: Recogniser, missing: tuple[int, ...], later: dict[str, str | None], row: int
) -> None:
    first = message("1100", **{f"e{number}": None for number in missing})
    purchase = recogniser.recognise(over_the_wire(name, first)).request
    asked = message("1420", **{"e11": "000099", "e24": "400", "e25": "4000", **later})
    reversal = recogniser.recognise(over_the_wire(name, asked)).request
    assert isinstance(purchase, Authorization)
    assert isinstance(reversal, Reversal)

    known_by = {key.replace(AUTH_CODE, "ABC123") for key in purchase.match_keys}
    assert row in {int(key.split("|")[1]) for key in known_by & set(reversal.match_keys)}
    assert (reversal.total, reversal.of_late_answer) == (None, False)


@pytest.mark.parametrize(
    ("original", "kind"),
    [
        ("1100", Original.AUTHORIZATION),
        ("1200", Original.SINGLE_MESSAGE),
        ("1220", Original.POSTING),
    ],
)
def test_the_original_is_what_de_56_says(recogniser: Recogniser, original: str, kind: Original) -> None:
    asked = message("1420", e24="400", e56=original + ORIGINAL[4:])

    assert getattr(recogniser.recognise(asked).request, "original", None) is kind


@pytest.mark.parametrize(
    ("more", "total"),
    [
        pytest.param({"e24": "401", "e4": "000000000400", "e30": "000000001000" + "0" * 12}, "4.00 840", id="DE 4"),
        pytest.param({"e24": "401", "e6": "000000000300", "e51": "978"}, "3.00 978", id="DE 6 in its currency"),
        pytest.param({"e24": "401", "e4": "0" * 12}, "None", id="nothing is left: all of it"),
        pytest.param({"e24": "400"}, "None", id="a full reversal"),
    ],
)  # fmt: skip
def test_a_partial_reversal_is_one_by_its_function_code(
    recogniser: Recogniser, more: dict[str, str | None], total: str
) -> None:
    reversal = recogniser.recognise(message("1420", e56=ORIGINAL, **more)).request

    assert isinstance(reversal, Reversal)
    assert str(reversal.total) == total


def test_a_reversal_of_our_late_answer_says_so_in_de_25(recogniser: Recogniser) -> None:
    reversal = recogniser.recognise(message("1420", e24="400", e25="4021", e56=ORIGINAL)).request

    assert isinstance(reversal, Reversal)
    assert reversal.of_late_answer


def test_a_reversal_that_names_nothing_is_a_format_error_in_de_56(recogniser: Recogniser) -> None:
    with pytest.raises(DecodeError, match="DE 56: nothing names the original"):
        recogniser.recognise(message("1420", e24="400", e37=None, e56="1100" + "0" * 18))


@pytest.mark.parametrize(("code", "approved"), [("000", True), ("002", True), ("100", False), ("116", False)])
def test_a_stand_in_advice_tells_the_decision_in_three_digits(
    recogniser: Recogniser, code: str, approved: bool
) -> None:
    advice = recogniser.recognise(message("1120", e39=code)).request

    assert isinstance(advice, Advice)
    assert advice.approved is approved


@pytest.mark.parametrize(
    ("code", "signal"), [("801", Signal.SIGN_ON), ("802", Signal.SIGN_OFF), ("831", Signal.ECHO)]
)
def test_network_management_says_what_it_wants_in_de_24(
    recogniser: Recogniser, code: str, signal: Signal
) -> None:
    request = recogniser.recognise(Message(b"", "1804", {11: "000001", 24: code})).request

    assert isinstance(request, NetworkManagement)
    assert request.signal is signal
    with pytest.raises(DecodeError, match="DE 24: network management code"):
        recogniser.recognise(Message(b"", "1804", {11: "000001", 24: "899"}))


@pytest.mark.parametrize(
    ("asked", "answer", "code"),
    [
        pytest.param("1100", "1110", "000", id="an authorization"),
        pytest.param("1101", "1110", "000", id="its repeat"),
        pytest.param("1121", "1130", "000", id="a repeated advice"),
        pytest.param("1421", "1430", "400", id="a repeated reversal advice"),
        pytest.param("1804", "1814", "800", id="network management"),
        pytest.param("1805", "1814", "800", id="network management again"),
    ],
)
def test_answers_keep_version_and_origin_and_accept_in_the_words_of_their_class(
    name: str, asked: str, answer: str, code: str
) -> None:
    reason = Reason.APPROVED if asked[:2] == "11" else Reason.ACCEPTED
    reply = Reply(reason, "ABC123" if reason is Reason.APPROVED else "")

    response = over_the_wire(name, Responder(load_profile(name)).respond(message(asked), reply))

    assert response_mti(asked) == answer
    assert (response.mti, response.elements[39]) == (answer, code)
    assert response.elements[12] == BASE[12]


def test_only_approvals_map_to_approving_codes(name: str) -> None:
    profile = load_profile(name)
    for reason in Reason:
        approves = profile.response_code(reason, "1100") in profile.approving_codes

        assert approves == (reason in APPROVALS), reason
