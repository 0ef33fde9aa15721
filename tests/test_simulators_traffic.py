"""The switch's questions: seeded, sound, and in the promised mix."""

from collections import Counter
from collections.abc import Callable

import msgspec
import pytest

from hsm_emulator.cvv import generate_cvv
from hsm_emulator.pin_block import read_block
from hsm_emulator.pvv import generate_pvv
from hsm_emulator.tdes import Tdes
from processor.iso8583.codec import PyisoCodec
from processor.iso8583.message import Message
from processor.iso8583.tables.visa_like import NESTED, VISA_LIKE
from processor.values.errors import ConfigError
from processor.values.sensitive import Pan
from simulators.cards import DeckCard, draft_cards
from simulators.examples import example
from simulators.keys import TestKeys, load_test_keys
from simulators.question import Answer, Fault, Transmission
from simulators.traffic import ECHO_TEST, SIGN_ON, Traffic
from simulators.wallet import Wallet

NOON_MS = 1_795_262_400_000  # 2026-11-21 12:00:00 UTC


class NoonClock:
    """It is always noon."""

    def wall_ms(self) -> int:
        return NOON_MS

    def monotonic_s(self) -> float:
        return 0.0


@pytest.fixture(scope="module")
def keys() -> TestKeys:
    return load_test_keys(example("keys.test.json"))


@pytest.fixture(scope="module")
def wallets(keys: TestKeys) -> list[Wallet]:
    cards, pins = draft_cards(300, 1)
    return [
        Wallet(
            DeckCard(
                c.pan, c.expiry, c.service_code, c.currency, c.balance_minor,
                generate_pvv(keys.pvk, Pan(c.pan).account_12(), c.pvki, p.pin), c.pvki, c.psn,
            ),
            p.pin,
            keys,
        )
        for c, p in zip(cards, pins, strict=True)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def day(wallets: list[Wallet]) -> list[Transmission]:
    """The first ten thousand transmissions of one seed."""
    traffic = Traffic(wallets, 1, NoonClock())
    return [traffic.next() for _ in range(10_000)]


@pytest.fixture
def news(day: list[Transmission]) -> list[Message]:
    """The new authorizations among them."""
    return [t.question.message for t in day if t.mti == "0100"]


def test_equal_seeds_ask_equal_questions(wallets: list[Wallet]) -> None:
    def asked(seed: int) -> list[tuple[str, dict[int, str]]]:
        traffic = Traffic(wallets, seed, NoonClock())
        return [(t.mti, t.question.message.elements) for t in (traffic.next() for _ in range(500))]

    assert asked(1) == asked(1)
    assert asked(1) != asked(2)


def test_every_question_can_be_written_in_the_dialect(day: list[Transmission]) -> None:
    codec = PyisoCodec(VISA_LIKE)
    for transmission in day[:2_000]:
        message = transmission.question.message
        assert codec.decode(codec.encode(message)).elements == message.elements


def test_no_two_questions_share_a_key(day: list[Transmission]) -> None:
    firsts = [t.question.key for t in day if t.mti == t.question.message.mti]
    assert len(set(firsts)) == len(firsts)


def test_every_authorization_has_a_card_verification_value_and_forty_in_a_hundred_a_pin(
    news: list[Message],
) -> None:
    assert all(35 in m.elements or 126 in m.elements for m in news)
    pins = sum(52 in m.elements for m in news) / len(news)
    assert 0.37 < pins < 0.43
    assert all(m.elements[53] == "2001010100000000" for m in news if 52 in m.elements)


@pytest.mark.parametrize(
    ("is_it", "least", "most"),
    [
        pytest.param(lambda e: e[22][:2] == "90" and e[3] == "000000", 0.25, 0.35, id="at a stripe reader"),
        pytest.param(lambda e: e[22][:2] == "05", 0.28, 0.38, id="with the chip"),
        pytest.param(lambda e: e[22][:2] == "01", 0.17, 0.27, id="on the internet"),
        pytest.param(lambda e: e[3] == "010000" and 52 in e, 0.10, 0.20, id="cash, with a PIN"),
    ],
)
def test_the_ways_to_pay(
    is_it: Callable[[dict[int, str]], bool], least: float, most: float, news: list[Message]
) -> None:
    assert least < sum(is_it(m.elements) for m in news) / len(news) < most


@pytest.mark.parametrize(
    ("mti", "least"),
    [
        pytest.param("0101", 150, id="questions are repeated"),
        pytest.param("0420", 100, id="approvals are reversed"),
        pytest.param("0421", 20, id="reversals are repeated"),
        pytest.param("0800", 15, id="the link is tested"),
    ],
)
def test_more_than_purchases(mti: str, least: int, day: list[Transmission]) -> None:
    assert Counter(t.mti for t in day)[mti] >= least


def test_repeats_leave_at_once_and_long_after(day: list[Transmission]) -> None:
    sent = {id(t.question): slot for slot, t in enumerate(day) if t.mti == "0100"}
    gaps = [slot - sent[id(t.question)] for slot, t in enumerate(day) if t.mti == "0101"]
    assert min(gaps) == 1
    assert max(gaps) > 100


def test_a_reversal_names_its_original(wallets: list[Wallet]) -> None:
    traffic = Traffic(wallets, 1, NoonClock())
    seen = Counter[str]()
    for _ in range(10_000):
        question, mti = traffic.next()
        if mti == "0100":
            question.answer = Answer("00", "A1B2C3")
        if mti != "0420":
            continue
        assert question.original is not None
        elements, asked = question.message.elements, question.original.message.elements
        assert elements[90] == f"0100{asked[11]}{asked[7]}00000{asked[32]}00000000000"
        assert (elements[11], elements[37]) != (asked[11], "")
        assert elements[37] == asked[37]
        assert elements.get(62) == asked.get(62)
        seen["first"] += question.original.reversed_first
        seen["after its answer"] += elements.get(38) == "A1B2C3"
        seen["without 62.2"] += 62 not in elements
    assert min(seen[kind] for kind in ("first", "after its answer", "without 62.2")) > 0


def test_an_original_that_was_reversed_first_still_comes(day: list[Transmission]) -> None:
    first = [slot for slot, t in enumerate(day) if t.mti == "0420" and t.question.original is not None
             and t.question.original.reversed_first]  # fmt: skip
    assert first
    for slot in first:
        original = day[slot].question.original
        assert any(t.question is original for t in day[slot + 1 : slot + 200])


def test_dates_and_references_are_of_the_moment(news: list[Message]) -> None:
    assert {m.elements[7] for m in news} == {"1121120000"}
    assert {m.elements[37][:6] for m in news} == {"632512"}


def test_a_forgetful_cardholder_never_knows_the_pin(wallets: list[Wallet], day: list[Transmission]) -> None:
    faults = {t.question.fault for t in day if t.question.pan == wallets[0].card.pan and t.question.has_pin}
    assert faults == {Fault.WRONG_PIN}


def test_network_management_has_its_code(wallets: list[Wallet]) -> None:
    traffic = Traffic(wallets, 1, NoonClock())
    codes = [traffic.network_management(code).question.message.elements[70] for code in (SIGN_ON, ECHO_TEST)]
    assert codes == ["071", "301"]


def test_each_reading_has_the_value_its_place_calls_for(wallets: list[Wallet], keys: TestKeys) -> None:
    for wallet in wallets[:50]:
        card = wallet.card

        def value(service_code: str, card: DeckCard = card) -> str:
            return generate_cvv(keys.cvk, card.pan, card.expiry, service_code)

        assert wallet.stripe[29:32] == value(card.service_code) != wallet.wrong_stripe[29:32]
        assert wallet.chip[29:32] == value("999") != wallet.wrong_chip[29:32]
        assert NESTED[126].read(wallet.cvv2)[10] == f"11 {value('000')}"
        assert NESTED[126].read(wallet.wrong_cvv2)[10] != f"11 {value('000')}"
        assert wallet.stripe.startswith(f"{card.pan}D{card.expiry}{card.service_code}1{card.pvv}")


def test_pin_blocks_hold_the_right_pin_and_one_with_another_pvv(
    wallets: list[Wallet], keys: TestKeys
) -> None:
    zone = Tdes(keys.zpk)
    for wallet in wallets[:50]:
        account = Pan(wallet.card.pan).account_12()

        def pvv(block: str, account: str = account) -> str:
            pin = read_block("01", zone.decrypt(bytes.fromhex(block)), account)
            assert isinstance(pin, str)
            return generate_pvv(keys.pvk, account, "1", pin)

        assert pvv(wallet.pin_block) == wallet.card.pvv != pvv(wallet.wrong_pin_block)


def test_a_wrong_pin_is_never_one_that_shares_the_pvv(keys: TestKeys) -> None:
    card = draft_cards(1, 4)[0][0]
    account = Pan(card.pan).account_12()
    values = [generate_pvv(keys.pvk, account, card.pvki, f"{pin:04}") for pin in range(10_000)]
    twins = [pin for pin in range(9_999) if values[pin] == values[pin + 1]]
    assert twins, "this card has no two neighbouring PINs with one PVV: take another seed"
    for pin in twins:
        twin = Wallet(msgspec.structs.replace(card, pvv=values[pin]), f"{pin:04}", keys)
        block = bytes.fromhex(twin.wrong_pin_block)
        wrong = read_block("01", Tdes(keys.zpk).decrypt(block), account)
        assert values[int(str(wrong))] != values[pin]


def test_a_pin_file_of_another_deck_is_noticed(wallets: list[Wallet], keys: TestKeys) -> None:
    card = wallets[0].card
    stranger = next(
        wallet
        for pin in range(9)
        if (wallet := Wallet(card, f"{pin:04}", keys)).pin_block != wallets[0].pin_block
    )
    with pytest.raises(ConfigError, match="do not belong together") as caught:
        stranger.check()
    assert card.pan not in str(caught.value)
    assert card.pan not in repr(stranger)
