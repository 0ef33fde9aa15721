"""Decks: seeded, of test BINs, PVVs by the HSM, PINs kept apart."""

import stat
from collections import Counter
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from hsm_emulator.emulator import Emulator
from hsm_emulator.lmk import VariantLmk
from hsm_emulator.pvv import generate_pvv
from hsm_emulator.server import HsmServer
from processor.hsm.framing import HsmFramer, frame_message
from processor.values.errors import ConfigError, HsmError
from processor.values.sensitive import Pan
from simulators.cards import (
    CardPin,
    DeckCard,
    draft_cards,
    luhn_digit,
    read_deck,
    read_pins,
    write_lines,
)
from simulators.examples import example
from simulators.keys import TestKeys, load_test_keys
from simulators.personalise import personalise

Pair = tuple[trio.abc.Stream, trio.abc.Stream]


@pytest.fixture(scope="module")
def keys() -> TestKeys:
    return load_test_keys(example("keys.test.json"))


@pytest.fixture
def pair() -> Pair:
    return trio.testing.memory_stream_pair()


def test_equal_seeds_draw_equal_cards_and_other_seeds_others() -> None:
    assert draft_cards(50, 7) == draft_cards(50, 7)
    assert draft_cards(50, 7) != draft_cards(50, 8)


def test_cards_are_different_valid_and_of_the_test_bins_in_turn() -> None:
    cards, pins = draft_cards(3_000, 1)
    assert len({card.pan for card in cards}) == 3_000
    assert all(card.pan.startswith("400000") and len(card.pan) == 16 for card in cards[::2])
    assert all(card.pan.startswith("520000") and len(card.pan) == 16 for card in cards[1::2])
    assert all(luhn_digit(card.pan[:-1]) == card.pan[-1] for card in cards)
    assert {card.service_code for card in cards} == {"101", "201"}
    assert all("4001" <= card.expiry <= "4412" and 1 <= int(card.expiry[2:]) <= 12 for card in cards)
    assert [pin.pan for pin in pins] == [card.pan for card in cards]
    assert all(len(pin.pin) == 4 and pin.pin.isdigit() for pin in pins)


def test_some_cards_soon_run_out_of_funds_and_some_never_do() -> None:
    balances = [card.balance_minor for card in draft_cards(1_000, 1)[0]]
    kinds = Counter("poor" if b <= 20_000 else "rich" if b >= 1_000_000 else "usual" for b in balances)
    assert all(kinds[kind] > 100 for kind in ("poor", "usual", "rich"))


@pytest.mark.parametrize(
    ("digits", "check"),
    [
        pytest.param("7992739871", "3", id="the example of the algorithm's patent literature"),
        pytest.param("411111111111111", "1", id="a test card that everybody knows"),
        pytest.param("37828224631000", "5", id="an odd number of digits"),
    ],
)
def test_luhn(digits: str, check: str) -> None:
    assert luhn_digit(digits) == check


@pytest.mark.parametrize("count", [0, -1, 10**8 + 1])
def test_an_impossible_number_of_cards_is_refused(count: int) -> None:
    with pytest.raises(ConfigError, match="cards"):
        draft_cards(count, 1)


def test_a_deck_line_is_exactly_what_the_processor_reads(tmp_path: Path) -> None:
    cards, _ = draft_cards(2, 1)
    write_lines(tmp_path / "deck.jsonl", cards)
    first = msgspec.json.decode((tmp_path / "deck.jsonl").read_bytes().splitlines()[0])
    assert list(first) == [
        "pan", "expiry", "service_code", "currency", "balance_minor", "pvv", "pvki", "psn",
    ]  # fmt: skip
    assert read_deck(tmp_path / "deck.jsonl") == cards


def test_nobody_else_may_read_the_pins_even_where_a_readable_file_stood(tmp_path: Path) -> None:
    path = tmp_path / "pins.jsonl"
    path.write_text("old")
    path.chmod(0o644)
    _, pins = draft_cards(2, 1)
    write_lines(path, pins, 0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_pins(path) == {pin.pan: pin.pin for pin in pins}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param("", "no lines", id="an empty file"),
        pytest.param('{"pan":"4000001234567899","pin":"4271"}\n{"pan":1}\n', "line 2", id="another shape"),
        pytest.param('{"pan":"40000012345678x9","pin":"4271"}\n', "line 1", id="a PAN that is none"),
        pytest.param("\x00\xff", "line 1", id="no JSON"),
    ],
)
def test_a_bad_line_is_named_and_not_quoted(content: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "pins.jsonl"
    path.write_text(content)
    with pytest.raises(ConfigError, match=problem) as caught:
        read_pins(path)
    assert "4271" not in str(caught.value)
    assert "12345678" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_missing_deck_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_deck(tmp_path / "absent.jsonl")


def test_cards_and_pins_print_masked(keys: TestKeys) -> None:
    card = DeckCard("4000001234567899", "4012", "201", "840", 1, "9614", "1", "001")
    pin = CardPin("4000001234567899", "4271")
    for text in (repr(card), str(card), repr(pin), str(pin), repr(keys)):
        assert not any(secret in text for secret in ("1234567", "9614", "4271", keys.zpk.hex()))


async def test_the_hsm_makes_the_pvvs(keys: TestKeys, pair: Pair) -> None:
    ours, theirs = pair
    cards, pins = draft_cards(300, 3)
    server = HsmServer(Emulator(VariantLmk(), authorised=True))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.converse, theirs)
        made = await personalise(ours, keys, cards, pins)
        await ours.aclose()
    expected = [
        generate_pvv(keys.pvk, Pan(c.pan).account_12(), c.pvki, p.pin)
        for c, p in zip(cards, pins, strict=True)
    ]
    assert [card.pvv for card in made] == expected
    assert [card.pan for card in made] == [card.pan for card in cards]


async def test_an_hsm_outside_the_authorised_state_makes_no_deck(keys: TestKeys, pair: Pair) -> None:
    ours, theirs = pair
    server = HsmServer(Emulator(VariantLmk(), authorised=False))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.converse, theirs)
        with pytest.raises(HsmError, match="BA: the HSM answered 17"):
            await personalise(ours, keys, *draft_cards(3, 3))
        await ours.aclose()


async def _read_frames(stream: trio.abc.Stream, count: int) -> list[bytes]:
    framer, frames = HsmFramer(), list[bytes]()
    while len(frames) < count:
        framer.receive(bytes(await stream.receive_some(65536)))
        frames += framer.frames()
    return frames


async def test_replies_in_another_order_reach_their_cards(keys: TestKeys, pair: Pair) -> None:
    ours, theirs = pair
    emulator = Emulator(VariantLmk(), authorised=True)
    cards, pins = draft_cards(5, 3)

    async def answer_backwards() -> None:
        for _ in ("BA", "DG"):
            frames = await _read_frames(theirs, 5)
            await theirs.send_all(emulator.reply_all(frames[::-1])[0])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer_backwards)
        made = await personalise(ours, keys, cards, pins)
    assert made[0].pvv == generate_pvv(keys.pvk, Pan(cards[0].pan).account_12(), "1", pins[0].pin)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        pytest.param(b"", "does not answer", id="it goes away"),
        pytest.param(frame_message(b"7777", b"BB0001234"), "nothing was asked", id="an unknown header"),
        pytest.param(frame_message(b"0000", b"CZ00"), "unexpected", id="the answer to something else"),
    ],
)
async def test_an_hsm_that_misbehaves_is_named(
    answer: bytes, problem: str, keys: TestKeys, pair: Pair
) -> None:
    ours, theirs = pair

    async def misbehave() -> None:
        await _read_frames(theirs, 1)
        if answer:
            await theirs.send_all(answer)
        await theirs.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(misbehave)
        with pytest.raises(HsmError, match=problem):
            await personalise(ours, keys, *draft_cards(1, 3))


async def test_an_hsm_that_stays_silent_is_not_waited_for_forever(
    keys: TestKeys, pair: Pair, autojump_clock: trio.testing.MockClock
) -> None:
    began_s = autojump_clock.current_time()
    with pytest.raises(HsmError, match="does not answer"):
        await personalise(pair[0], keys, *draft_cards(1, 3))
    assert 1 < autojump_clock.current_time() - began_s < 60


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        pytest.param({"clear": "00"}, r"zpk\.clear", id="a short clear key"),
        pytest.param({"clear": None}, r"zpk\.clear", id="no clear key"),
        pytest.param({"clear": "C7152C20BC2C830EA7EC9E8334ABE3FG"}, r"zpk\.clear", id="not hex digits"),
    ],
)
def test_simulators_need_the_clear_keys(entry: dict[str, str | None], problem: str, tmp_path: Path) -> None:
    file = msgspec.json.decode(example("keys.test.json").read_bytes())
    file["zpk"].update(entry)
    (tmp_path / "keys.json").write_bytes(msgspec.json.encode(file))
    with pytest.raises(ConfigError, match=problem) as caught:
        load_test_keys(tmp_path / "keys.json")
    assert "C7152C20" not in str(caught.value)


def test_examples_are_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert example("keys.test.json").is_file()
    with pytest.raises(ConfigError, match=r"absent\.json: not found"):
        example("absent.json")
