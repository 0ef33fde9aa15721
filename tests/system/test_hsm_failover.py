"""HSMs gone, silent, late or confused: every transaction is answered by the policy, and counted."""

import re
import ssl
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from prometheus_client.parser import text_string_to_metric_families

from processor.hsm.framing import frame_message

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
UNAVAILABLE = "91"
PATIENT = {"HSM__TIMEOUT_MS": "10000"}  # for tests in which everything has to be answered, on a busy machine
ASKED = ("answered", "error", "timeout", "unavailable", "unaskable", "line_lost")


class Seen:
    """A processor's metrics about its HSMs."""

    def __init__(self, url: str) -> None:
        text = httpx.get(url).raise_for_status().text
        self._samples = [s for family in text_string_to_metric_families(text) for s in family.samples]

    def total(self, name: str, **labels: str) -> float:
        """The sum of all samples with these labels."""
        return sum(s.value for s in self._samples if s.name == name and labels.items() <= s.labels.items())

    def results(self) -> dict[str, float]:
        """Questions by what became of them, those that there were."""
        totals = {r: self.total("issuer_hsm_requests_total", result=r) for r in (*ASKED, "late", "unmatched")}
        return {result: count for result, count in totals.items() if count}


@pytest.fixture
def start(launch: Any, issuer: Any, tmp_path: Path) -> Callable[..., Any]:
    """A processor with these HSMs; ``seen`` reads its metrics."""

    def make(*hsms: Any, connected: int = 1, more: tuple[str, ...] = (), **settings: str) -> Any:
        more += tuple(part for hsm in hsms[1:] for part in ("--hsm", "{}:{}".format(*hsm.address)))
        settings = {"HTTP__ADDRESS": "127.0.0.1:0"} | settings
        deck = issuer.deck(tmp_path)
        child = launch.processor(tmp_path / "state", hsms[0].address, deck, more=more, **settings).ready()
        url = f"http://{child.out.wait_for('listening http ').split()[2]}/metrics"
        child.seen = lambda: Seen(url)
        if connected:
            child.log.wait_for("hsm connected", count=connected)
        return child

    return make


def codes(replies: list[Any]) -> Counter[str]:
    return Counter(reply.elements[39] for reply in replies)


def test_one_of_two_hsms_dies_under_load_and_every_transaction_is_answered_as_if_it_had_not(
    launch: Any, start: Any, issuer: Any, till: Any, connect: Any
) -> None:
    cards, dies, stays = [issuer.card() for _ in range(600)], launch.hsm(), launch.hsm()
    child = start(dies, stays, connected=4, HSM__LINES="2", **PATIENT)
    link = connect(child)
    questions = [till.purchase(card, 100, "stripe", "right") for card in cards]
    link.send(*questions[:300])
    first = link.receive()
    dies.process.kill()
    link.send(*questions[300:])
    replies = [first, *(link.receive() for _ in questions[1:])]
    seen = child.seen()

    assert codes(replies) == {"00": 600}
    assert len({reply.elements[37] for reply in replies}) == 600
    assert seen.results() == {"answered": 1200}
    assert seen.total("issuer_hsm_lines", endpoint="0") == 0
    assert seen.total("issuer_hsm_lines", endpoint="1") == 2
    assert seen.total("issuer_hsm_lines_ended_total", endpoint="0", reason="lost") == 2
    assert seen.total("issuer_hsm_connected") == 1

    launch.hsm(dies.address[1])
    child.log.wait_for("hsm connected", count=6)
    assert child.seen().total("issuer_hsm_lines") == 4


def test_the_only_hsm_dies_under_load_and_what_it_did_not_answer_is_declined_and_counted(
    launch: Any, start: Any, issuer: Any, till: Any, connect: Any
) -> None:
    cards, emulator = [issuer.card() for _ in range(600)], launch.hsm()
    child = start(emulator)
    link = connect(child)
    questions = [till.purchase(card, 100, "stripe", "right") for card in cards]
    link.send(*questions[:300])
    first = link.receive()
    emulator.process.kill()
    link.send(*questions[300:])
    told = codes([first, *(link.receive() for _ in questions[1:])])
    seen = child.seen()
    results = seen.results()

    assert set(told) == {"00", UNAVAILABLE}
    assert told.total() == 600
    assert sum(results.values()) == 1200, "each question once, whatever became of it"
    assert results["answered"] >= 2 * told["00"]
    assert 1200 - results["answered"] >= told[UNAVAILABLE]
    assert seen.total("issuer_auth_responses_total", reason="verification_unavailable") == told[UNAVAILABLE]


def test_one_of_two_hsms_hangs_and_the_other_is_asked_in_its_place(
    launch: Any, start: Any, silent_hsm: Any, issuer: Any, till: Any, connect: Any
) -> None:
    cards = [issuer.card() for _ in range(60)]
    child = start(silent_hsm, launch.hsm(), connected=2, HSM__AGAIN_MS="50", HSM__FAILURES_MAX="5", **PATIENT)
    link = connect(child)
    link.send(*(till.purchase(card, 100, "stripe", "right") for card in cards))
    replies = [link.receive() for _ in cards]
    seen = child.seen()

    assert codes(replies) == {"00": 60}
    assert seen.results() == {"answered": 120}
    assert seen.total("issuer_hsm_asked_again_total", why="silence") >= 5
    assert seen.total("issuer_hsm_lines_ended_total", endpoint="0", reason="breaker_open") >= 1


def test_a_question_that_is_asked_twice_costs_one_pin_try(
    launch: Any, start: Any, silent_hsm: Any, issuer: Any, till: Any, connect: Any
) -> None:
    card = issuer.card()
    child = start(
        silent_hsm, launch.hsm(), connected=2, HSM__AGAIN_MS="20", HSM__FAILURES_MAX="1000", **PATIENT
    )
    link = connect(child)
    replies = [
        link.ask(till.purchase(card, 100, "keyed", pin)) for pin in ("wrong", "wrong", "right", "wrong")
    ]

    assert [reply.elements[39] for reply in replies] == ["55", "55", "00", "55"]
    assert child.seen().total("issuer_hsm_asked_again_total", op="pin", why="silence") >= 1


def test_an_answer_after_its_time_is_dropped_and_is_nobody_elses(
    start: Any, puppet_hsm: Any, issuer: Any, till: Any, connect: Any
) -> None:
    owed: list[bytes] = []

    def one_behind(frame: bytes) -> bytes:
        """Every value is right, and told when the next question comes."""
        owed.append(frame_message(frame[:4], b"CZ00"))
        return owed[-2] if len(owed) > 1 else b""

    card = issuer.card()
    child = start(puppet_hsm(one_behind), HSM__TIMEOUT_MS="60", HSM__FAILURES_MAX="1000")
    link = connect(child)
    replies = [link.ask(till.purchase(card, 100, "wrong stripe")) for _ in range(6)]

    assert codes(replies) == {UNAVAILABLE: 6}
    assert child.seen().results() == {"timeout": 6, "late": 5}


@pytest.mark.parametrize(
    ("wrong", "result", "reason"),
    [
        pytest.param(lambda _: b"\x00\x01A", "line_lost", "frame_too_short", id="garbage"),
        pytest.param(
            lambda _: frame_message(b"????", b"CZ00"), "line_lost", "unmatched_reply", id="another header id"
        ),
        pytest.param(
            lambda frame: frame_message(frame[:4], b"ED00"), "line_lost", "wrong_reply", id="another response code"
        ),
        pytest.param(lambda frame: frame_message(frame[:4], b"CZ10"), "error", "", id="an error code"),
    ],
)  # fmt: skip
def test_an_hsm_that_answers_nonsense_approves_nothing_and_is_asked_again_when_it_is_sane(
    start: Any, puppet_hsm: Any, issuer: Any, till: Any, connect: Any, wrong: Any, result: str, reason: str
) -> None:
    card, puppet = issuer.card(), puppet_hsm(wrong)
    child = start(puppet)
    link = connect(child)
    confused = link.ask(till.purchase(card, 100, "stripe"))
    puppet.reply = lambda frame: frame_message(frame[:4], b"CZ00")
    child.log.wait_for("hsm connected", count=2 if reason else 1)
    sane = link.ask(till.purchase(card, 100, "stripe"))
    seen = child.seen()

    assert [reply.elements[39] for reply in (confused, sane)] == [UNAVAILABLE, "00"]
    assert seen.total("issuer_hsm_requests_total", result=result) == 1
    assert seen.total("issuer_hsm_lines_ended_total", reason=reason) == (1 if reason else 0)


def test_the_policy_may_let_small_amounts_pass_without_an_answer_and_each_is_an_alert(
    launch: Any, start: Any, issuer: Any, till: Any, connect: Any, tmp_path: Path
) -> None:
    card, emulator = issuer.card(), launch.hsm()
    emulator.kill()
    text = (ROOT / "examples" / "stand-in.toml").read_text("utf-8")
    policy = tmp_path / "policy.toml"
    policy.write_text(re.sub(r"^# (without_answer = .*5_000 })$", r"\1", text, flags=re.MULTILINE))
    assert policy.read_text() != text
    child = start(emulator, connected=0, POLICY=str(policy))
    link = connect(child)
    asked = (
        till.purchase(card, 5_000, "stripe"),
        till.purchase(card, 5_001, "stripe"),
        till.purchase(card, 100, "stripe", "right"),
    )
    replies = [link.ask(message) for message in asked]
    seen = child.seen()

    assert [reply.elements[39] for reply in replies] == ["00", UNAVAILABLE, UNAVAILABLE]
    assert seen.total("issuer_alerts_total", alert="approved_without_cvv") == 1
    assert seen.total("issuer_alerts_total") == 1
    assert seen.results() == {"unavailable": 4}
    child.log.wait_for("approved_without_cvv")


def test_the_line_to_the_hsm_may_be_tls_to_whoever_has_the_right_certificate(
    start: Any, tls_hsm: Any, issuer: Any, till: Any, connect: Any, tmp_path: Path
) -> None:
    card, (right, foreign) = issuer.card(), tls_hsm
    child = start(right, foreign, HSM__TLS__CA=str(tmp_path / "ca.pem"), HSM__TLS__NAMES='["hsm.test"]')
    link = connect(child)
    replies = [link.ask(till.purchase(card, 100, "stripe")) for _ in range(3)]
    refused = child.log.wait_for("tls_certificate_untrusted")
    seen = child.seen()

    assert codes(replies) == {"00": 3}
    assert f"port={foreign.address[1]}" in refused
    assert (seen.total("issuer_hsm_lines", endpoint="0"), seen.total("issuer_hsm_lines", endpoint="1")) == (
        1,
        0,
    )


@pytest.fixture
def tls_hsm(puppet_hsm: Any, tmp_path: Path) -> list[Any]:
    """HSMs with certificates of an authority in ca.pem, and of another one."""
    trusted = trustme.CA()
    trusted.cert_pem.write_to_path(tmp_path / "ca.pem")
    made = []
    for authority in (trusted, trustme.CA()):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "hsm.test").configure_cert(context)
        made.append(puppet_hsm(lambda frame: frame_message(frame[:4], b"CZ00"), context))
    return made
