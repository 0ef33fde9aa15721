"""What a few known messages leave in the metrics and in the log of a real processor: each once, and masked."""

import json
from collections import Counter
from typing import Any

import httpx
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.slow


class Witness:
    """What can be seen of a processor from outside."""

    def __init__(self, processor: Any, metrics_url: str) -> None:
        self.processor = processor
        self._metrics_url = metrics_url
        self.pans: list[str] = []

    def metrics(self) -> dict[str, float]:
        """Samples by name and the values of their labels in order of the labels' names."""
        text = httpx.get(self._metrics_url).raise_for_status().text
        return {
            " ".join((sample.name, *(value for _, value in sorted(sample.labels.items())))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def log(self) -> list[dict[str, Any]]:
        """The log's lines, once the processor has ended."""
        self.processor.stop()
        return [json.loads(line) for line in self.processor.log.all()]


@pytest.fixture
def witness(launch: Any, hsm: Any, issuer: Any, till: Any, connect: Any, tmp_path: Any) -> Witness:
    """A processor that has been asked one of each."""
    card, other, stranger = issuer.card(), issuer.card(), issuer.card(issued=False)
    processor = launch.serving(
        tmp_path / "state", hsm, issuer.deck(tmp_path),
        HTTP__ADDRESS="127.0.0.1:0", LOG__FORM="json", LOG__APPROVALS_ONE_IN="1",
    )  # fmt: skip
    made = Witness(processor, f"http://{processor.out.wait_for('listening http ').split()[2]}/metrics")
    made.pans = [wallet.card.pan for wallet in (card, other, stranger)]
    link = connect(processor)
    link.ask(till.signal("071"))
    purchase = till.purchase(card, 2_500, "stripe", "right")
    approved = link.ask(purchase)
    link.ask(till.repeat(purchase))  # answered before
    changed = msgspec.structs.replace(till.repeat(purchase), elements=purchase.elements | {4: "000000009900"})
    link.ask(changed)  # other content
    link.ask(till.purchase(card, 1_000, "wrong stripe"))
    twice = till.purchase(other, 99_999_999)
    link.send(twice, till.repeat(twice))  # in flight, and both declined
    link.receive()
    link.receive()
    link.ask(till.purchase(stranger, 700))
    link.ask(till.reversal(purchase, approved.elements[38]))
    link.ask(till.reversal(till.purchase(card, 300)))  # the original was never sent
    garbled = till.purchase(card, 100)
    del garbled.elements[49]
    link.ask(garbled)
    return made


def test_the_metrics_count_each_once(witness: Witness) -> None:
    found = witness.metrics()
    expected = {
        "issuer_auth_requests_total 0100 visa-like false": 4,
        "issuer_auth_requests_total 0101 visa-like false": 3,
        "issuer_auth_requests_total 0420 visa-like false": 2,
        "issuer_auth_responses_total 0100 visa-like approved 00 false": 1,
        "issuer_auth_responses_total 0101 visa-like approved 00 false": 1,
        "issuer_auth_responses_total 0101 visa-like duplicate 94 false": 1,
        "issuer_auth_responses_total 0100 visa-like cvv_failed 82 false": 1,
        "issuer_auth_responses_total 0100 visa-like amount_limit 61 false": 1,
        "issuer_auth_responses_total 0101 visa-like amount_limit 61 false": 1,
        "issuer_auth_responses_total 0100 visa-like unknown_card 14 false": 1,
        "issuer_auth_responses_total 0100 visa-like format_error 30 false": 1,
        "issuer_auth_latency_seconds_count 0100 visa-like": 8,  # repeats and format errors are in it
        "issuer_auth_amount_minor_units_total 840 visa-like approved": 2_500,
        "issuer_auth_amount_minor_units_total 840 visa-like declined": 1_000 + 99_999_999 + 700,
        "issuer_duplicates_total answered_before visa-like": 1,
        "issuer_duplicates_total other_content visa-like": 1,
        "issuer_duplicates_total in_flight visa-like": 1,
        "issuer_reversals_total true visa-like": 1,
        "issuer_reversals_total false visa-like": 1,
        "issuer_format_errors_total 49 visa-like": 1,
        "issuer_hsm_requests_total cvv answered": 2,
        "issuer_hsm_requests_total pin answered": 1,
        "issuer_hsm_latency_seconds_count cvv": 2,
        "issuer_auth_stage_seconds_count decode": 10,  # with the sign-on; what cannot be read has no such time
        "issuer_auth_stage_seconds_count execute": 6,
        "issuer_holds_open": 0,
        "issuer_holds_exposure_minor_units 840": 0,
        "issuer_cards": 2,
        "issuer_link_state 1 visa-like": 2,
        "issuer_network_signed_on visa-like": 1,
        "issuer_in_flight": 0,
        "issuer_journal_errors_total": 0,
    }

    assert {name: found.get(name) for name in expected} == expected
    assert found["issuer_journal_fsync_seconds_count"] == found["issuer_journal_batch_records_count"] > 0
    assert found["issuer_loop_lag_seconds_count"] > 0
    assert found["process_resident_memory_bytes"] > 1e6


def test_the_log_has_one_line_for_each_transaction(witness: Witness) -> None:
    lines = [line for line in witness.log() if line["event"] in {"approved", "declined", "message refused"}]
    told = Counter((line["event"], line.get("mti"), line.get("reason"), line.get("rule")) for line in lines)

    assert told == Counter(
        {
            ("approved", "0100", "approved", None): 1,
            ("declined", "0101", "duplicate", None): 1,
            ("declined", "0100", "cvv_failed", "cvv"): 1,
            ("declined", "0100", "amount_limit", "amount_limit"): 1,
            ("declined", "0100", "unknown_card", "card_known"): 1,
            ("approved", "0420", "accepted", None): 2,
            ("message refused", "0100", None, "mandatory element is missing"): 1,
        }
    )
    first = lines[0]
    assert (first["pan"], first["amount"], first["code"]) == (
        witness.pans[0][:6] + "*" * 6 + witness.pans[0][-4:], "25.00 840", "00",
    )  # fmt: skip
    assert first["record"] > 0
    assert first["latency_ms"] > 0


def test_no_card_number_is_in_log_or_metrics(witness: Witness) -> None:
    written = str(witness.metrics()) + str(witness.log())

    assert [pan for pan in witness.pans if pan in written] == []
    assert all(pan[-4:] in written for pan in witness.pans)  # they were told of, masked
