"""A scrubbed trace has nothing in it that nobody may see, and is recognised as what it was."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.iso8583.compiled import CompiledCodec
from processor.iso8583.dialect import NUMBERS
from processor.iso8583.elements import HEX, Element
from processor.iso8583.message import Message, card_digits
from processor.iso8583.tables.mc_like import ADDITIONAL_DATA
from processor.iso8583.tables.visa_like import PRIVATE_USE
from processor.networks.adapters import DIALECTS
from processor.networks.profile import SHIPPED, load_profile
from processor.networks.recognise import Recogniser
from processor.replay.doors import FrozenTokens
from processor.replay.pseudonyms import Names
from processor.replay.scrub import BIN, Scrubber
from processor.values.errors import DecodeError
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


OTHER = "5200007300000059"  # somebody's, and not the message's


@pytest.mark.parametrize(
    "grouped",
    [
        pytest.param("{0}", id="as it is"),
        pytest.param("CARD {0} GB", id="between words"),
        pytest.param("{1}-{2}-{3}-{4}", id="with hyphens"),
        pytest.param("{1} {2} {3} {4}", id="with spaces"),
        pytest.param("{1}{2}/{3}{4}", id="with a slash"),
        pytest.param("{1}.{2}, {3}:{4}", id="with anything"),
        pytest.param("{5}", id="in EBCDIC, as hexadecimal"),
    ],
)
@pytest.mark.parametrize("pan", [PAN, OTHER], ids=["its own PAN", "another PAN"])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_pan_in_an_element_that_is_kept_is_not(
    scrubber: Scrubber, network: str, pan: str, grouped: str
) -> None:
    groups = [pan[at : at + 4] for at in range(0, 16, 4)]
    value = grouped.format(pan, *groups, _ebcdic(pan))

    scrubbed = scrubber.message(network, {2: PAN, 43: value, 44: value}, TOKEN)

    for told in (scrubbed[43], scrubbed[44]):
        assert told != value
        assert len(told) == len(value)
        assert not any(group in told for group in groups[1:3])


def test_a_pan_in_a_sub_element_that_is_kept_is_not(scrubber: Scrubber) -> None:
    """A trace identifier has room for one of fifteen digits."""
    short = "371449635398431"
    value = ADDITIONAL_DATA.build({0: "T", 63: short})

    assert short not in scrubber.message("mc-like", {2: PAN, 48: value}, TOKEN)[48]
    assert short not in scrubber.question_key(f"mc-like|0100|{TOKEN}|{'|'.join([short] * 9)}")


def test_numbers_of_exact_meaning_stay_though_they_look_like_a_pan(scrubber: Scrubber) -> None:
    """As often as one in ten would."""
    elements = {4: "400000000002", 6: "400000000002", 7: "1118120000", 37: "400000000002", 49: "840"}
    assert Pan(elements[37]).check_digit_fits()

    for network in NETWORKS:
        assert scrubber.message(network, {2: PAN, **elements}, TOKEN) == {
            2: scrubber.pan(TOKEN, PAN),
            **elements,
        }


BROKEN = [
    pytest.param("T", id="nothing but its head"),
    pytest.param("TXX", id="no tag"),
    pytest.param("T0003000", id="tag 00"),
    pytest.param("T9299919", id="longer than the data"),
    pytest.param("T920", id="cut inside a length"),
    pytest.param("T92039A9", id="a value of another kind"),
    pytest.param("T9203919920 3919", id="twice"),
    pytest.param("T6315MCC0000011118  9", id="cut behind what is kept"),
    pytest.param("T4202XX9203919", id="a value too short"),
    pytest.param("920391", id="no head, and cut"),
    pytest.param("T" + "9" * 12, id="digits that are no lengths"),
]


@pytest.mark.parametrize("value", BROKEN)
def test_a_broken_element_is_broken_in_the_same_place(scrubber: Scrubber, value: str) -> None:
    told = scrubber.message("mc-like", {2: PAN, 48: value}, TOKEN)[48]

    assert len(told) == len(value)
    assert "919" not in told
    for number in (0, 42, 63, 87, 92):
        assert _picked(number, told) == _picked(number, value)


def _picked(number: int, value: str) -> str:
    """What is read of it: the text of what is kept, else only that it is there."""
    try:
        text = ADDITIONAL_DATA.pick(number, value)
    except DecodeError as error:
        return str(error)
    return (text if number in {0, 63} else "there") if text is not None else "absent"


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


CHARACTERS = {
    "an": "09AZaz",
    "anp": "09AZaz ",
    "ans": "09AZaz /=*.,-",
    "any": "09AZaz\0\x1c~=\xe9",
    "z": "0123456789D",
    "hex": "0123456789ABCDEFabcdef",
}
DATES = {
    "MMDDhhmmss": "1231235959", "hhmmss": "235959", "MMDD": "0229", "YYMM": "9912", "YYMMDD": "991231",
}  # fmt: skip
TRACK = f"{PAN}D30122010000012300000"


def _values(row: Element) -> st.SearchStrategy[str]:
    """Values that the row allows; the codec has the last word."""
    if row.date:
        return st.sampled_from([DATES[row.date], "0" * len(row.date)])
    if row.number == 35:
        return st.sampled_from([TRACK, TRACK.replace("D", "="), f";{TRACK}?", f"B{TRACK}F", TRACK[:24]])
    least = row.length if row.prefix.length_bytes == 0 else 0
    most = max(least, min(row.length, 40))
    if row.alphabet == "b" or row.encoding == HEX:
        return st.binary(min_size=least, max_size=most).map(lambda data: data.hex().upper())
    text = st.text(CHARACTERS.get(row.alphabet, "0123456789"), min_size=least, max_size=most)
    return text.flatmap(
        lambda t: st.sampled_from([t, "C" + t[1:], "D" + t[1:]] if "x" in row.alphabet else [t])
    )


@pytest.mark.parametrize("strict", [False, True], ids=["of a trace", "alone"])
@pytest.mark.parametrize("network", SHIPPED)
@given(data=st.data())
def test_a_scrubbed_message_can_be_written_and_read(network: str, strict: bool, data: st.DataObject) -> None:
    profile = load_profile(network)
    dialect = DIALECTS[profile.dialect]
    rows = [row for row in dialect.elements.values() if row.alphabet != "-"]
    chosen = data.draw(st.lists(st.sampled_from(rows), min_size=1, max_size=8, unique=True))
    elements = {row.number: data.draw(_values(row)) for row in chosen}
    header, codec = bytes(dialect.header.length_bytes), CompiledCodec(dialect)
    elements = {
        n: v for n, v in elements.items() if _is_written(codec, Message(header, min(dialect.mtis), {n: v}))
    }

    scrubbed = Scrubber(KEY, [profile], strict=strict).message(network, elements, card_digits(elements))

    message = Message(header, min(dialect.mtis), scrubbed)
    assert list(codec.decode(codec.encode(message)).elements) == sorted(elements)
    assert {n: len(v) for n, v in scrubbed.items()} == {n: len(v) for n, v in elements.items()}


def _is_written(codec: CompiledCodec, message: Message) -> bool:
    try:
        return codec.decode(codec.encode(message)) == message
    except (ValueError, DecodeError):
        return False


@pytest.mark.parametrize("network", ["visa-like", "iso93-ascii"])
def test_the_content_of_a_question_has_its_new_amount_as_the_message_has_it(network: str) -> None:
    """A partial reversal is compared by the element where its network has the amount."""
    profile = load_profile(network)
    scrubber = Scrubber(KEY, [profile])
    number, amount = profile.places.replacement, "000000001500".ljust(24, "0")

    told = scrubber.message(network, {number: amount}, "")[number]

    assert scrubber.content(f"{network}|0400|{TOKEN}|", f"000000|000000002500|840|{amount}").endswith(told)


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
