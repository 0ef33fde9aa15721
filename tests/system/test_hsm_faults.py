"""The HSM gone, silent, or back: nothing is approved unverified, and nobody else waits."""

from typing import Any

import pytest

pytestmark = pytest.mark.slow

UNAVAILABLE = "91"  # the profile's code for verification_unavailable


def test_without_an_hsm_nothing_that_needs_it_is_approved_until_it_is_back(
    launch: Any, issuer: Any, till: Any, connect: Any, tmp_path: Any
) -> None:
    card, emulator = issuer.card(), launch.hsm()
    child = launch.serving(tmp_path / "state", emulator, issuer.deck(tmp_path))
    link = connect(child)

    def code(*how: str) -> str:
        return str(link.ask(till.purchase(card, 100, *how)).elements[39])

    before = [code("stripe", "right"), code("keyed")]
    emulator.kill()
    child.log.wait_for("hsm line lost")
    gone = [code("stripe"), code("chip"), code("web"), code("keyed", "right")]
    wrong_pins = [code("stripe", "wrong") for _ in range(5)]
    needs_none = code("keyed")
    launch.hsm(emulator.address[1])
    child.log.wait_for("hsm connected", count=2)
    after = [code("stripe", "wrong"), code("stripe", "wrong"), code("stripe", "right"), code("web")]

    assert before == ["00", "00"]
    assert gone == [UNAVAILABLE] * 4
    assert wrong_pins == [UNAVAILABLE] * 5
    assert needs_none == "00"
    assert after == ["55", "55", "00", "00"], "no PIN try was spent while nobody could check it"
    assert child.running


def test_messages_in_flight_when_the_hsm_dies_are_declined_and_their_repeats_told_the_same(
    launch: Any, issuer: Any, till: Any, connect: Any, tmp_path: Any
) -> None:
    cards, emulator = [issuer.card() for _ in range(400)], launch.hsm()
    child = launch.serving(tmp_path / "state", emulator, issuer.deck(tmp_path))
    link = connect(child)
    questions = [till.purchase(card, 100, "stripe", "right") for card in cards]
    link.send(*questions[:200])
    first = link.receive()
    emulator.process.kill()
    link.send(*questions[200:])
    replies = [first, *(link.receive() for _ in questions[1:])]
    answers = {reply.elements[37]: (reply.elements[39], reply.elements.get(38)) for reply in replies}
    launch.hsm(emulator.address[1])
    child.log.wait_for("hsm connected", count=2)
    again = [link.ask(till.repeat(question)).elements for question in questions]

    assert {code for code, _ in answers.values()} == {"00", UNAVAILABLE}
    assert {reply[37]: (reply[39], reply.get(38)) for reply in again} == answers


def test_a_processor_starts_without_its_hsm_and_finds_it_later(
    launch: Any, issuer: Any, till: Any, connect: Any, tmp_path: Any
) -> None:
    card, emulator = issuer.card(), launch.hsm()
    emulator.kill()
    child = launch.processor(tmp_path / "state", emulator.address, issuer.deck(tmp_path)).ready()
    child.log.wait_for("hsm unreachable")
    link = connect(child)

    assert link.ask(till.purchase(card, 100, "stripe")).elements[39] == UNAVAILABLE
    assert link.ask(till.purchase(card, 100)).elements[39] == "00"
    launch.hsm(emulator.address[1])
    child.log.wait_for("hsm connected")
    assert link.ask(till.purchase(card, 100, "stripe")).elements[39] == "00"


def test_a_silent_hsm_delays_its_own_questions_only_and_then_declines_them(
    launch: Any, silent_hsm: Any, issuer: Any, till: Any, connect: Any, tmp_path: Any
) -> None:
    slow, quick = issuer.card(), issuer.card()
    child = launch.serving(tmp_path / "state", silent_hsm, issuer.deck(tmp_path))
    link, other = connect(child), connect(child)
    waits = till.purchase(slow, 100, "stripe", "wrong")
    waits_its_turn = till.purchase(slow, 100)
    passes, passes_elsewhere = till.purchase(quick, 100), till.purchase(quick, 100)
    link.send(waits, waits_its_turn, passes, till.signal("301"))
    elsewhere = other.ask(passes_elsewhere)
    replies = [link.receive() for _ in range(4)]

    assert elsewhere.elements[39] == "00"
    assert {r.mti for r in replies[:2]} == {"0110", "0810"}
    assert [(r.elements[37], r.elements[39]) for r in replies if 37 in r.elements] == [
        (passes.elements[37], "00"),
        (waits.elements[37], UNAVAILABLE),
        (waits_its_turn.elements[37], "00"),
    ]


def test_a_deadline_that_passes_before_the_hsm_speaks_is_answered_and_keeps_its_answer(
    launch: Any, silent_hsm: Any, issuer: Any, till: Any, connect: Any, tmp_path: Any
) -> None:
    card, state = issuer.card(), tmp_path / "state"
    child = launch.serving(state, silent_hsm, issuer.deck(tmp_path), HSM__TIMEOUT_MS="60000")
    link = connect(child)
    late = till.purchase(card, 100, "stripe", "wrong")
    answers = [link.ask(message).elements[39] for message in (late, till.repeat(late))]
    child.stop()

    assert answers == ["N0", "N0"]
    found = launch.book_check(state)
    assert found["balanced"]
    assert found["holds_open"] == 0
