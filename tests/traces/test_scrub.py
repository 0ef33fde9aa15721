"""A scrubbed trace has nothing in it that nobody may see, and is recognised as what it was."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from processor.iso8583.dialect import NUMBERS
from processor.iso8583.message import Message
from processor.iso8583.tables.mc_like import ADDITIONAL_DATA
from processor.iso8583.tables.visa_like import PRIVATE_USE
from processor.networks.adapters import DIALECTS
from processor.networks.profile import load_profile
from processor.networks.recognise import Recogniser
from processor.replay.doors import FrozenTokens
from processor.replay.scrub import BIN, Names, Scrubber
from processor.values.requests import AUTH_CODE, Advice, Authorization
from processor.values.sensitive import Pan, Tokens

KEY, TOKEN, PAN = bytes(range(32)), "0123456789abcdef" * 2, "4000007300000002"
NETWORKS = ("visa-like", "mc-like", "iso87-ascii")


@pytest.fixture
def scrubber() -> Scrubber:
    return Scrubber(KEY, [load_profile(name) for name in NETWORKS])


def _ebcdic(digits: str) -> str:
    return digits.encode("cp037").hex().upper()


@pytest.mark.parametrize("network", NETWORKS)
def test_no_byte_of_a_trace_tells_a_card_a_pin_or_a_key(recorded: Callable[..., Any], network: str) -> None:
    path, branch = recorded(0, network, steps=900)
    written = path.read_bytes().decode().upper()

    secrets = [*branch.pans, *map(_ebcdic, branch.pans), *(pan.encode().hex() for pan in branch.pans)]
    secrets += [branch.pin_block, branch.secret.hex(), branch.cvv2_element]
    secrets += [f"5678{branch.cvv}", *(branch.tokens.token(Pan(pan)) for pan in branch.pans)]
    assert [secret for secret in secrets if secret.upper() in written] == []
    assert '"52":"0000000000000000"' in written


@pytest.mark.parametrize(
    ("element", "value"),
    [
        pytest.param(35, f"{PAN}D29122011567873700000", id="track 2"),
        pytest.param(35, f"{PAN}D2912201", id="a track 2 that ends early"),
        pytest.param(45, f"B{PAN}^DOE/JANE^29122011567873700000", id="track 1"),
        pytest.param(45, f"%B{PAN}^DOE/JANE^2912201", id="a track 1 with a sentinel"),
        pytest.param(36, f"01{PAN}=9789780000", id="track 3"),
        pytest.param(34, PAN, id="the extended PAN"),
        pytest.param(102, PAN, id="an account"),
        pytest.param(62, _ebcdic(PAN), id="the PAN in EBCDIC where it should not be"),
        pytest.param(48, f"T3316{PAN}", id="the PAN in another element's sub-element"),
        pytest.param(55, f"5A08{PAN}9F2608AAAAAAAAAAAAAAAA", id="the chip's PAN"),
        pytest.param(52, "8F3A6BD2C4E1975D", id="a PIN block"),
        pytest.param(64, "8F3A6BD2C4E1975D", id="a MAC"),
        pytest.param(126, PRIVATE_USE.build({10: "11 919"}), id="a CVV2"),
    ],
)
def test_an_element_that_may_tell_is_replaced_by_its_like(
    scrubber: Scrubber, element: int, value: str
) -> None:
    scrubbed = scrubber.message("visa-like", {2: PAN, element: value}, TOKEN)

    if len(value) >= 16:
        assert PAN not in scrubbed[element]
        assert _ebcdic(PAN) not in scrubbed[element]
        assert scrubbed[element] != value
    assert len(scrubbed[element]) == len(value)
    assert [c.isalpha() for c in scrubbed[element]] == [c.isalpha() for c in value] or "0" in scrubbed[
        element
    ]


def test_every_element_that_is_not_listed_is_replaced(scrubber: Scrubber) -> None:
    for network in NETWORKS:
        shown = DIALECTS[load_profile(network).dialect].shown
        secret = dict.fromkeys(NUMBERS, "SECRET7SECRET7")

        scrubbed = scrubber.message(network, secret, "")

        kept = {number for number, value in scrubbed.items() if value == "SECRET7SECRET7"}
        assert kept.isdisjoint(
            {2, 34, 35, 36, 45, 46, 47, 52, 54, 55, 64, 96, 102, 103, 120, 125, 128, 152} - shown
        )
        assert scrubbed[48] != secret[48]


@pytest.mark.parametrize("length", range(12, 20))
def test_a_card_has_one_luhn_valid_test_pan(length: int) -> None:
    first, second = (Scrubber(KEY, []) for _ in "12")
    digits = "4" * length

    pan = first.pan(TOKEN, digits)

    assert len(pan) == length
    assert pan.startswith(BIN)
    assert Pan(pan).check_digit_fits()
    assert pan == first.pan(TOKEN, digits) == second.pan(TOKEN, digits)
    assert pan != Scrubber(KEY[::-1], []).pan(TOKEN, digits)


def test_two_cards_never_share_a_pan() -> None:
    """Of twelve digits five are free: of a thousand cards some would."""
    scrubber = Scrubber(KEY, [])

    pans = {scrubber.pan(f"{number:032x}", "4" * 12) for number in range(1000)}

    assert len(pans) == 1000


@pytest.mark.parametrize("network", NETWORKS)
def test_a_scrubbed_message_is_recognised_as_the_same_question(
    scrubber: Scrubber, messages: Callable[[str], list[Message]], network: str
) -> None:
    """All but the card's name is equal, and its keys are those the trace tells."""
    profile, tokens = load_profile(network), Tokens(KEY)
    frozen = FrozenTokens(KEY)
    real, again = Recogniser(profile, tokens), Recogniser(profile, frozen)

    for message in messages(network):
        question = real.recognise(message)
        request = question.request
        assert isinstance(request, Authorization | Advice)
        elements = scrubber.message(network, message.elements, request.card)
        frozen.by_pan[elements[2]] = scrubber.token(request.card)
        scrubbed = again.recognise(Message(message.header, message.mti, elements))

        assert scrubbed.request == _renamed(request, scrubber, elements[2])
        if question.evidence is not None and scrubbed.evidence is not None:
            was, told = question.evidence, scrubbed.evidence
            assert bool(was.cvv) == bool(told.cvv)
            assert bool(was.pin_block) == bool(told.pin_block)
            assert (was.cvv_service_code, was.cvv_expiry) == (told.cvv_service_code, told.cvv_expiry)
            assert was.pin_format == told.pin_format


def _renamed(request: Any, scrubber: Scrubber, pan: str) -> Any:
    names = {"match_keys": tuple(map(_own(scrubber), request.match_keys))}
    if isinstance(request, Advice):
        names["known_by"] = tuple(map(scrubber.match_key, request.known_by))
        names["auth_code"] = scrubber.auth_code(request.auth_code)
    return msgspec.structs.replace(
        request,
        key=scrubber.question_key(request.key),
        content=scrubber.content(request.key, request.content),
        card=scrubber.token(request.card),
        pan_masked=Pan(pan).masked(),
        **names,
    )


def _own(scrubber: Scrubber) -> Callable[[str], str]:
    """The place of a DE 38 that is still to come stays."""

    def rename(key: str) -> str:
        if AUTH_CODE not in key:
            return scrubber.match_key(key)
        return scrubber.match_key(key.replace(AUTH_CODE, "")).rstrip("|") + "|" + AUTH_CODE

    return rename


@pytest.fixture
def messages(crowded: Callable[..., Any]) -> Callable[[str], list[Message]]:
    """Requests and advices of a network, every one that can be recognised."""

    def make(network: str) -> list[Message]:
        branch, crowd = crowded(3, network)
        for _ in range(250):
            crowd.step()
        branch.finish()
        found = [
            Message(b"", mti, elements)
            for mti, elements in crowd.said
            if mti[1:3] in {"10", "20", "12", "22"}
        ]
        assert len(found) > 60
        return [m for m in found if m.elements[3][:2] != "99" or m.mti[2] == "2"]

    return make


def test_a_raw_trace_changes_nothing_but_the_names_of_cards() -> None:
    names = Names(KEY)

    assert names.message("visa-like", {2: PAN, 52: "AB"}, TOKEN) == {2: PAN, 52: "AB"}
    assert names.pan(TOKEN, PAN) == PAN
    assert names.auth_code("ABC123") == "ABC123"
    assert (
        names.match_key(f"visa-like|1|{TOKEN}|RRN|ABC123") == f"visa-like|1|{names.token(TOKEN)}|RRN|ABC123"
    )
    assert names.account("clearing:840") == "clearing:840"
    assert names.account(f"account:{TOKEN}") != f"account:{TOKEN}"


def test_the_result_of_a_cvc_2_and_the_trace_identifier_stay() -> None:
    scrubber = Scrubber(KEY, [load_profile("mc-like")])
    value = ADDITIONAL_DATA.build({0: "T", 63: "MCC0000011118  ", 87: "M", 92: "919", 33: "01" + PAN})

    told = ADDITIONAL_DATA.read(scrubber.message("mc-like", {48: value}, "")[48])

    assert (told[0], told[63], told[87], told[92]) == ("T", "MCC0000011118  ", "M", "000")
    assert told[33] != "01" + PAN
    assert len(told[33]) == 18


@pytest.mark.parametrize("network", ["iso93-ascii", "visa-like"])
def test_what_a_reversal_says_of_its_original_stays(network: str) -> None:
    profile = load_profile(network)
    scrubber = Scrubber(KEY, [profile])
    original = profile.places.original_mti.element
    value = "1100000001112110153006432109"

    assert scrubber.message(network, {original: value}, "") == {original: value}
    assert scrubber.message(network, {original: value + PAN, 2: PAN}, TOKEN)[original] != value + PAN
