"""SIGTERM: what is in flight is finished, the last word is the books' own, and the exit code is 0."""

import signal
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


def test_sigterm_during_traffic_answers_what_was_decided_and_tells_the_digest(
    launch: Any, hsm: Any, issuer: Any, till: Any, connect: Any, tmp_path: Path
) -> None:
    cards, state = [issuer.card() for _ in range(300)], tmp_path / "state"
    child = launch.serving(state, hsm, issuer.deck(tmp_path), LIMITS__DRAIN_S="600")
    link = connect(child)
    link.send(*[till.purchase(card, 100, "stripe", "right") for card in cards])
    replies = [link.receive()]
    child.process.terminate()
    with pytest.raises(EOFError):
        replies.extend(iter(link.receive, None))
    stopped = child.last_word()

    found = launch.book_check(state)
    assert found["balanced"]
    assert found["digest"] == stopped["digest"]
    assert found["sequence"] == stopped["sequence"]
    assert {reply.elements[39] for reply in replies} == {"00"}
    assert found["transactions"] == len(replies), "every decision was answered before the link was closed"
    assert stopped["in_flight"] == 0


def test_a_question_in_flight_at_sigterm_is_answered_and_then_the_process_ends(
    launch: Any, silent_hsm: Any, issuer: Any, till: Any, connect: Any, tmp_path: Path
) -> None:
    card, state = issuer.card(), tmp_path / "state"
    child = launch.serving(state, silent_hsm, issuer.deck(tmp_path), LIMITS__DRAIN_S="600")
    link, idle = connect(child), connect(child)
    link.send(till.purchase(card, 100, "stripe"), till.signal("301"))
    assert link.receive().mti == "0810", "the purchase before it has been read"
    child.process.terminate()

    assert link.receive().elements[39] == "91"
    assert link.is_over()
    assert idle.is_over()
    assert child.last_word()["in_flight"] == 0


def test_a_restart_without_traffic_ends_with_the_same_digest(
    launch: Any, hsm: Any, issuer: Any, till: Any, connect: Any, tmp_path: Path
) -> None:
    card, deck, state = issuer.card(), issuer.deck(tmp_path), tmp_path / "state"
    deck = issuer.deck(tmp_path)
    child = launch.serving(state, hsm, deck)
    link = connect(child)
    bought = till.purchase(card, 100, "stripe", "right")
    link.ask(bought)
    link.ask(till.reversal(bought))
    link.ask(till.purchase(card, 100, "stripe", "wrong"))
    link.ask(till.signal("072"))
    first = child.stop()
    second = launch.serving(state, hsm, deck).stop()
    third = launch.serving(state, hsm).stop()

    assert first["digest"] == second["digest"] == third["digest"] == launch.book_check(state)["digest"]
    assert second["journal"]["records"] == 0, "the deck is not issued again"


def test_an_idle_link_does_not_hold_up_the_stop_and_sees_it_closed(
    launch: Any, hsm: Any, connect: Any, tmp_path: Path
) -> None:
    child = launch.serving(tmp_path / "state", hsm)
    link = connect(child)
    stopped = child.stop()

    assert link.is_over()
    assert stopped["links"] == 0


def test_sigint_stops_like_sigterm(launch: Any, hsm: Any, tmp_path: Path) -> None:
    child = launch.serving(tmp_path / "state", hsm)
    child.process.send_signal(signal.SIGINT)

    assert child.last_word()["sequence"] == 0


def test_status_lines_tell_the_figures(
    launch: Any, hsm: Any, issuer: Any, till: Any, connect: Any, tmp_path: Path
) -> None:
    card = issuer.card()
    child = launch.processor(
        tmp_path / "state", hsm.address, issuer.deck(tmp_path), more=["--status-seconds", "0.1"]
    ).ready()
    child.log.wait_for("hsm connected")
    link = connect(child)
    link.ask(till.purchase(card, 100, "stripe"))
    line = child.out.wait_for('"holds_open":1')

    assert line.startswith("status {")
    assert '"held_minor":{"840":100}' in line
    assert '"answers":{"00":1}' in line
    assert '"hsm":true' in line
