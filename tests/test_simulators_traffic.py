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
from processor.iso8583.subelements import ORIGINAL_DATA, REPLACEMENT_AMOUNTS
from processor.iso8583.tables.mc_like import ADDITIONAL_DATA, ADVICE_REASON
from processor.iso8583.tables.visa_like import NESTED
from processor.values.errors import ConfigError
from processor.values.sensitive import Pan
from simulators.cards import DeckCard, draft_cards
from simulators.examples import example
from simulators.keys import TestKeys, load_test_keys
from simulators.networks.catalogue import NETWORKS
from simulators.networks.network import Network
from simulators.purchase import ABROAD
from simulators.question import Answer, Fault, Kind, Transmission
from simulators.stories import STORIES, Act
from simulators.traffic import Traffic
from simulators.wallet import Wallet, of_network, strangers

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


@pytest.fixture(scope="module", params=list(NETWORKS))
def network(request: pytest.FixtureRequest) -> Network:
    return NETWORKS[request.param]


@pytest.fixture(scope="module")
def traffic(network: Network, wallets: list[Wallet], keys: TestKeys) -> Callable[[int], Traffic]:
    """A network's traffic of one seed, from the beginning."""
    unknown = strangers(wallets, network.name, keys)
    return lambda seed: Traffic(network, of_network(wallets, network.name), seed, NoonClock(), unknown)


@pytest.fixture(scope="module")
def day(traffic: Callable[[int], Traffic]) -> list[Transmission]:
    """The first ten thousand transmissions of one seed; requests are answered at once."""
    switch, sent = traffic(1), list[Transmission]()
    for _ in range(10_000):
        sent.append(switch.next())
        if sent[-1].question.matter.kind is Kind.REQUEST:
            sent[-1].question.answer = Answer("00", "A1B2C3")
    return sent


@pytest.fixture
def news(day: list[Transmission]) -> list[Message]:
    """The requests among them."""
    return [t.question.message for t in day if t.mti in ("0100", "0200")]


@pytest.fixture
def told(day: list[Transmission]) -> list[Transmission]:
    """What is about earlier messages, or in place of them."""
    kinds = (Kind.STAND_IN, Kind.POSTING, Kind.REVERSAL)
    return [t for t in day if t.question.matter.kind in kinds and t.mti == t.question.message.mti]


def test_equal_seeds_ask_equal_questions(traffic: Callable[[int], Traffic]) -> None:
    def asked(seed: int) -> list[tuple[str, dict[int, str]]]:
        switch = traffic(seed)
        return [(t.mti, t.question.message.elements) for t in (switch.next() for _ in range(500))]

    assert asked(1) == asked(1)
    assert asked(1) != asked(2)


def test_every_question_can_be_written_in_the_dialect(network: Network, day: list[Transmission]) -> None:
    codec = PyisoCodec(network.dialect)
    for question, mti in day[:3_000]:
        message = question.message
        sent = Message(message.header, mti, message.elements)
        assert codec.decode(codec.encode(sent)).elements == message.elements


def test_no_two_questions_share_a_key(day: list[Transmission]) -> None:
    firsts = [t.question.key for t in day if t.mti == t.question.message.mti]
    assert len(set(firsts)) == len(firsts)


def test_a_network_uses_its_own_cards_and_a_few_that_nobody_knows(
    network: Network, wallets: list[Wallet], day: list[Transmission]
) -> None:
    used = {t.question.pan for t in day if t.question.pan}
    unknown = used - {wallet.card.pan for wallet in wallets}
    assert len({pan[:6] for pan in used}) == 1
    assert 0 < len(unknown) <= 5


def test_a_deck_without_cards_of_the_network_is_refused(network: Network, wallets: list[Wallet]) -> None:
    others = [wallet for wallet in wallets if wallet not in of_network(wallets, network.name)]
    with pytest.raises(ConfigError, match=f"no cards of {network.name}"):
        of_network(others, network.name)


def test_every_request_has_a_card_verification_value_and_many_a_pin(news: list[Message]) -> None:
    assert all(35 in m.elements or 126 in m.elements or "9203" in m.elements[48] for m in news)
    pins = sum(52 in m.elements for m in news) / len(news)
    assert 0.32 < pins < 0.42


@pytest.mark.parametrize(
    ("is_it", "least", "most"),
    [
        pytest.param(lambda e: e[22][:2] == "90" and e[3] == "000000", 0.18, 0.28, id="at a stripe reader"),
        pytest.param(lambda e: e[22][:2] == "05", 0.30, 0.42, id="with the chip"),
        pytest.param(lambda e: e[22][:2] == "07", 0.08, 0.16, id="without contact"),
        pytest.param(lambda e: e[22][:2] in ("01", "81"), 0.14, 0.24, id="on the internet"),
        pytest.param(lambda e: e[3] == "010000" and 52 in e, 0.09, 0.18, id="cash, with a PIN"),
        pytest.param(lambda e: e[3] == "200000", 0.02, 0.07, id="refunds"),
        pytest.param(lambda e: e[4] == "000000000000", 0.01, 0.05, id="is the account good?"),
        pytest.param(lambda e: e[49] != "840" and e[51] == "840", 0.05, 0.11, id="abroad"),
    ],
)
def test_the_ways_to_pay(
    is_it: Callable[[dict[int, str]], bool], least: float, most: float, news: list[Message]
) -> None:
    assert least < sum(is_it(m.elements) for m in news) / len(news) < most


def test_money_of_every_exponent(news: list[Message]) -> None:
    assert {m.elements[49] for m in news} == {"840", *(place.currency for place in ABROAD)}


@pytest.mark.parametrize(
    "mti", ["0101", "0120", "0121", "0200", "0201", "0220", "0221", "0400", "0401", "0420", "0421", "0800"]
)
def test_every_type_of_message_is_sent(mti: str, day: list[Transmission]) -> None:
    assert Counter(t.mti for t in day)[mti] >= 5


def test_repeats_leave_at_once_and_long_after(day: list[Transmission]) -> None:
    sent = {id(t.question): slot for slot, t in enumerate(day) if t.mti == "0100"}
    gaps = [slot - sent[id(t.question)] for slot, t in enumerate(day) if t.mti == "0101"]
    assert min(gaps) == 1
    assert max(gaps) > 100


def test_the_same_key_comes_with_another_amount(day: list[Transmission]) -> None:
    changed = [t.question for t in day if t.question.matter.fault is Fault.CHANGED]
    requests = [t.question for t in day if t.question.matter.kind is Kind.REQUEST]
    assert changed
    for question in changed:
        keys = [(q.message.elements[7], q.message.elements[11], q.message.elements[4]) for q in requests]
        mine = (question.message.elements[7], question.message.elements[11])
        assert len({amount for *key, amount in keys if tuple(key) == mine}) == 2


def test_what_is_told_later_names_its_original(told: list[Transmission], day: list[Transmission]) -> None:
    asked = {t.question.matter.slip: t.question.message for t in day
             if t.question.matter.kind is Kind.REQUEST}  # fmt: skip
    seen = Counter[str]()
    for question in (t.question for t in told if t.question.matter.slip in asked):
        elements, original = question.message.elements, asked[question.matter.slip]
        if (elements[11], elements[7]) == (original.elements[11], original.elements[7]):
            seen["by its own names"] += 1
        elif int(elements.get(90, "0")[4:] or 0) and ORIGINAL_DATA.read(elements[90])[1] == original.mti:
            seen["by DE 90"] += 1
            assert ORIGINAL_DATA.read(elements[90])[2] == original.elements[11]
            assert ORIGINAL_DATA.read(elements[90])[3] == original.elements[7]
            assert int(ORIGINAL_DATA.read(elements[90])[4]) == int(original.elements[32])
        elif 62 in elements:
            seen["by the network"] += 1
            assert elements[62] == original.elements[62]
        elif 90 not in elements or not int(elements[90][4:]):
            seen["by the network"] += 1
            trace = ADDITIONAL_DATA.read(elements[48])[63]
            assert trace == f"{original.elements[63]}{original.elements[15]}  "
        assert elements[37] == original.elements[37]
        seen["with DE 38"] += elements.get(38) == "A1B2C3"
    assert min(seen[how] for how in ("by its own names", "by DE 90", "by the network", "with DE 38")) > 10


def test_a_reversal_has_original_data(told: list[Transmission]) -> None:
    for question in (t.question for t in told if t.question.matter.kind is Kind.REVERSAL):
        assert int(ORIGINAL_DATA.read(question.message.elements[90])[1]) in (100, 200, 220)


def test_a_partial_reversal_has_the_new_totals(told: list[Transmission]) -> None:
    partial = [t.question for t in told if t.question.matter.total_minor is not None]
    assert len(partial) > 50
    for question in partial:
        elements, total_minor = question.message.elements, question.matter.total_minor
        amounts = REPLACEMENT_AMOUNTS.read(elements[95])
        assert int(amounts[3 if 51 in elements else 1]) == total_minor
        assert (int(amounts[3]) > 0) == (51 in elements)
    assert any(51 in question.message.elements for question in partial)


def test_reasons_tell_whose_answer_is_meant(network: Network, told: list[Transmission]) -> None:
    for question in (t.question for t in told):
        elements, matter = question.message.elements, question.matter
        if network.name == "visa-like":
            reason = NESTED[63].read(elements[63]).get(4, "")
        else:
            reason = ADVICE_REASON.read(elements.get(60, "")).get(1, "")
        assert (reason in ("9103", "402")) == matter.of_late_answer
        assert (reason in ("9020", "9001", "102", "101")) == (matter.kind is Kind.STAND_IN)


@pytest.mark.parametrize("earlier", [Kind.STAND_IN, Kind.POSTING, Kind.REVERSAL])
def test_what_is_told_may_come_before_its_original(earlier: Kind, day: list[Transmission]) -> None:
    told = {t.question.matter.slip for t in day[:9_000] if t.question.matter.kind is earlier}
    first = {}
    for t in day:
        first.setdefault(t.question.matter.slip, t.question.matter.kind)
    late = {t.question.matter.slip for t in day if t.question.matter.kind is Kind.REQUEST}
    assert [slip for slip in told & late if first[slip] is earlier]


def test_stories_are_told_in_order(day: list[Transmission]) -> None:
    stories: dict[object, list[Kind]] = {}
    for t in day:
        if t.mti == t.question.message.mti:
            stories.setdefault(t.question.matter.slip, []).append(t.question.matter.kind)
    told = set(map(tuple, stories.values()))
    assert (Kind.REQUEST, Kind.STAND_IN, Kind.POSTING) in told
    assert (Kind.POSTING, Kind.STAND_IN, Kind.REQUEST) not in told


def test_of_a_thousand_purchases_of_each_kind_about_a_thousand_have_a_story() -> None:
    for number in range(3):
        assert 900 <= sum(story[number] for story in STORIES) <= 1_100
    assert {story.first for story in STORIES} >= {Act.ASK, Act.POST, Act.STAND_IN, Act.REVERSE}


def test_dates_and_references_are_of_the_moment(news: list[Message]) -> None:
    assert {m.elements[7] for m in news} == {"1121120000"}
    assert {m.elements[37][:6] for m in news} == {"632512"}


def test_the_amount_in_the_cardholders_currency_is_the_one_that_counts(day: list[Transmission]) -> None:
    for t in (t for t in day if t.question.matter.kind is Kind.REQUEST):
        elements, matter = t.question.message.elements, t.question.matter
        if matter.fault is not Fault.CHANGED:
            assert int(elements[6] if 6 in elements else elements[4]) == matter.amount_minor


def test_a_forgetful_cardholder_never_knows_the_pin(
    network: Network, wallets: list[Wallet], day: list[Transmission]
) -> None:
    forgetful = of_network(wallets, network.name)[0].card.pan
    asked = [t.question.matter for t in day if t.question.pan == forgetful and t.question.matter.has_pin]
    assert {matter.fault for matter in asked} - {Fault.CHANGED} == {Fault.WRONG_PIN}


def test_network_management_has_its_code(network: Network, traffic: Callable[[int], Traffic]) -> None:
    codes = [traffic(1).signal(code).question.message.elements[70] for code in
             (network.sign_on, network.sign_off, network.echo_test)]  # fmt: skip
    assert codes == {"visa-like": ["071", "072", "301"], "mc-like": ["061", "062", "270"]}[network.name]


def test_each_reading_has_the_value_its_place_calls_for(wallets: list[Wallet], keys: TestKeys) -> None:
    for wallet in wallets[:50]:
        card = wallet.card

        def value(service_code: str, card: DeckCard = card) -> str:
            return generate_cvv(keys.cvk, card.pan, card.expiry, service_code)

        assert wallet.stripe[29:32] == value(card.service_code) != wallet.wrong_stripe[29:32]
        assert wallet.chip[29:32] == value("999") != wallet.wrong_chip[29:32]
        assert NESTED[126].read(wallet.cvv2)[10] == f"11 {value('000')}"
        assert NESTED[126].read(wallet.wrong_cvv2)[10] != f"11 {value('000')}"
        assert wallet.cvc2 == value("000") != wallet.wrong_cvc2
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
