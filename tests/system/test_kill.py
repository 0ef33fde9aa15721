"""kill -9 under load: what was acknowledged is there after the restart, once, whatever else is.

The client keeps two notes: what it sent, and every reply it received. After each restart the journal is read
and held against the notes: an acknowledged approval has its hold, an acknowledged reversal has none, and what
was sent without an answer is there whole or not at all.
"""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from processor.app import SHARD, keyring
from processor.book.state import State
from processor.journal.file_journal import FileJournal
from processor.replay.recovery import recover
from processor.secrets import load_secrets

pytestmark = pytest.mark.slow

CYCLES = 5
CARDS = 12
IN_FLIGHT = 48
READINGS = ("keyed", "keyed", "stripe", "chip")


class Client:
    """Asks as fast as the processor answers, and forgets nothing.

    ``sent`` has every question and ``heard`` every answer, both by the RRN for purchases; ``undone`` and
    ``undo_heard`` are the reversals by the RRN of what they reverse.
    """

    def __init__(self, till: Any, cards: list[Any], seed: int) -> None:
        self.till = till
        self.cards = cards
        self.chance = random.Random(seed)
        self.sent: dict[str, Any] = {}
        self.heard: dict[str, tuple[str, str]] = {}
        self.undone: dict[str, Any] = {}
        self.undo_heard: set[str] = set()
        self.repeated = 0

    def load(self, link: Any, replies: int) -> None:
        """Keep IN_FLIGHT questions open until so many replies have come; then leave them open."""
        open_questions = 0
        for _ in range(replies):
            while open_questions < IN_FLIGHT:
                link.send(self._next())
                open_questions += 1
            self._note(link.receive())
            open_questions -= 1

    def listen_to_the_end(self, link: Any) -> None:
        """What had left the processor before it died still counts."""
        while True:
            try:
                self._note(link.receive())
            except EOFError:
                return

    def _next(self) -> Any:
        """A purchase; now and then the reversal of an approved one, or a repeat."""
        approved = [rrn for rrn, (code, _) in self.heard.items() if code == "00" and rrn not in self.undone]
        kind = self.chance.randrange(10)
        if kind == 0 and approved:
            rrn = self.chance.choice(approved)
            self.undone[rrn] = self.till.reversal(self.sent[rrn], self.heard[rrn][1])
            return self.undone[rrn]
        if kind == 1 and self.sent:
            self.repeated += 1
            return self.till.repeat(self.chance.choice(list(self.sent.values())[-IN_FLIGHT:]))
        card, reading = self.chance.choice(self.cards), self.chance.choice(READINGS)
        question = self.till.purchase(card, self.chance.randint(1, 9_999), reading)
        self.sent[question.elements[37]] = question
        return question

    def _note(self, reply: Any) -> None:
        elements = reply.elements
        rrn = elements[37]
        if reply.mti == "0430":
            assert elements[39] == "00"
            self.undo_heard.add(rrn)
            return
        answer = (elements[39], elements.get(38, ""))
        assert self.heard.setdefault(rrn, answer) == answer, "a repeat got another answer"


def _recovered(state: Path) -> State:
    """The books as the journal alone has them."""
    return recover(FileJournal(state / "journal", keyring(load_secrets(state, create=False))), SHARD)


def _check(client: Client, state: Path) -> None:
    """Hold the journal against the client's notes."""
    book = _recovered(state)
    opened = Counter(t.rrn for t in book.transactions.values())
    held = {t.rrn: t.remaining_minor for t in book.transactions.values() if t.remaining_minor}
    assert set(opened.values()) <= {1}, "a question was decided twice"
    assert set(opened) <= set(client.sent), "a question came from nowhere"
    assert set(client.heard) <= set(opened), "an acknowledged answer is lost"
    assert all(minor == int(client.sent[rrn].elements[4]) for rrn, minor in held.items())
    approved = {rrn for rrn, (code, _) in client.heard.items() if code == "00"}
    kept = approved - set(client.undone)
    assert kept <= set(held), "the hold of an acknowledged approval is lost"
    assert not client.undo_heard & set(held), "an acknowledged reversal is lost"
    assert not (set(client.heard) - approved) & set(held), "a declined purchase has a hold"
    unanswered = set(client.sent) - set(client.heard)
    half_heard = set(client.undone) - client.undo_heard
    assert set(held) <= kept | unanswered | half_heard


def _check_again_by_asking(client: Client, link: Any) -> None:
    """Every acknowledged question gets the answer it got."""
    for rrn, answer in client.heard.items():
        reply = link.ask(client.till.repeat(client.sent[rrn])).elements
        assert (reply[37], reply[39], reply.get(38, "")) == (rrn, *answer)
    for rrn in client.undo_heard:
        assert link.ask(client.till.repeat(client.undone[rrn])).elements[39] == "00"


def test_nothing_acknowledged_is_lost_or_doubled_by_kill_minus_9_under_load(
    launch: Any, hsm: Any, issuer: Any, till: Any, connect: Any, tmp_path: Path
) -> None:
    client = Client(till, [issuer.card(10**9) for _ in range(CARDS)], seed=2)
    deck, state = issuer.deck(tmp_path), tmp_path / "state"
    found: dict[str, Any] = {"sequence": 0}
    for _ in range(CYCLES):
        child = launch.serving(state, hsm, deck)
        link = connect(child)
        client.load(link, client.chance.randint(200, 500))
        child.process.kill()
        client.listen_to_the_end(link)
        child.ended()

        _check(client, state)
        before, found = found, launch.book_check(state)
        assert found["balanced"], found["violations"]
        assert found["sequence"] > before["sequence"]

    child = launch.serving(state, hsm)
    _check_again_by_asking(client, connect(child))
    child.stop()

    assert launch.book_check(state)["held_minor"] == found["held_minor"], "asking again moved money"
    assert len(client.heard) > 100 * CYCLES
    assert client.repeated
    assert client.undo_heard


def test_a_purchase_that_was_never_answered_is_decided_once_when_it_is_asked_again(
    launch: Any, hsm: Any, issuer: Any, till: Any, connect: Any, tmp_path: Path
) -> None:
    cards, state = [issuer.card(10**6) for _ in range(IN_FLIGHT)], tmp_path / "state"
    child = launch.serving(state, hsm, issuer.deck(tmp_path))
    questions = [till.purchase(card, 1_000, "stripe") for card in cards]
    link = connect(child)
    link.send(*questions)
    link.receive()
    child.kill()
    child = launch.serving(state, hsm)
    link = connect(child)
    codes = [link.ask(till.repeat(question)).elements[39] for question in questions]
    child.stop()

    assert codes == ["00"] * IN_FLIGHT
    found = launch.book_check(state)
    assert found["balanced"]
    assert found["held_minor"] == {"840": 1_000 * IN_FLIGHT}
    assert msgspec.json.decode(child.out.all()[-1].removeprefix("stopped "))["digest"] == found["digest"]
