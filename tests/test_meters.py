"""Counting: what is counted where, bounded labels, and what Prometheus makes of it."""

import subprocess
import sys
import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from processor.services.link_meters import SLOTS_MAX
from processor.services.meters import Meters
from processor.services.tallies import LATENCY_S, OTHER, Counters, Histogram, Histograms
from processor.values.effects import Answered, Cause, HoldSet
from processor.values.money import Money
from processor.values.outcome import Outcome, Reply
from processor.values.reasons import Reason
from processor.values.requests import Advice, Authorization, CvvKind, Direction, Original, Reversal

MTIS = ("0100", "0101", "0120", "0200", "0400", "0420", "0800")


@pytest.fixture
def meters() -> Meters:
    meters = Meters()
    meters.network("visa-like", MTIS)
    return meters


def samples(meters: Meters) -> dict[str, float]:
    """What a scrape gives, by name and labels."""
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(meters.expose().decode())
        for sample in family.samples
    }


def of(found: dict[str, float], name: str, **labels: str) -> float:
    return found[f"{name}{sorted(labels.items())}"]


_common = {
    "network": "visa-like", "key": "k", "content": "c", "match_keys": (), "card": "token", "pan_masked": "4***",
    "processing_code": "000000", "amount": Money(1000, "840"), "transmitted": "", "stan": "000001", "rrn": "r",
    "acquirer": "1", "direction": Direction.DEBIT,
}  # fmt: skip
PURCHASE = Authorization(
    mti="0100", single_message=False, transaction_amount=Money(1000, "840"), terminal="", merchant="",
    merchant_category="", country="", entry_mode="01", condition="00", expiry="", pin_present=False,
    cvv_kind=CvvKind.NONE, hold_days=7, hold_class="", **_common,
)  # fmt: skip
REVERSAL = Reversal(
    mti="0420", total=None, of_late_answer=False, original=Original.AUTHORIZATION, **_common
)  # fmt: skip


def advice(*, financial: bool = False, approved: bool = True) -> Advice:
    return Advice(
        mti="0120", known_by=(), known_type=True, financial=financial, approved=approved, auth_code="",
        reason="", hold_days=7, hold_class="", **_common,
    )  # fmt: skip


def expiry(number: int) -> HoldSet:
    return HoldSet(number, Cause.EXPIRED, False, 1, None, False, False, None, False, True, 0, "")


@pytest.mark.parametrize(
    ("request_", "outcome", "name", "labels", "value"),
    [
        pytest.param(PURCHASE, Outcome(5, Reply(Reason.APPROVED), transaction=5),
            "issuer_auth_amount_minor_units_total", {"currency": "840", "outcome": "approved"}, 1000,
            id="an approved amount"),
        pytest.param(PURCHASE, Outcome(5, Reply(Reason.INSUFFICIENT_FUNDS), transaction=5),
            "issuer_auth_amount_minor_units_total", {"currency": "840", "outcome": "declined"}, 1000,
            id="a declined amount"),
        pytest.param(PURCHASE, Outcome(5, Reply(Reason.LATE), transaction=5),
            "issuer_timeouts_total", {}, 1, id="a request that lapsed"),
        pytest.param(REVERSAL, Outcome(6, Reply(Reason.ACCEPTED), transaction=5),
            "issuer_reversals_total", {"matched": "true"}, 1, id="a reversal whose original is known"),
        pytest.param(REVERSAL, Outcome(6, Reply(Reason.ACCEPTED), transaction=6),
            "issuer_reversals_total", {"matched": "false"}, 1, id="a reversal that came first"),
        pytest.param(advice(), Outcome(6, Reply(Reason.ACCEPTED), transaction=6),
            "issuer_stip_advices_total", {"decision": "approved"}, 1, id="a stand-in approval"),
        pytest.param(advice(approved=False), Outcome(6, Reply(Reason.ACCEPTED), transaction=6),
            "issuer_stip_advices_total", {"decision": "declined"}, 1, id="a stand-in decline"),
        pytest.param(advice(financial=True), Outcome(6, Reply(Reason.ACCEPTED), transaction=5),
            "issuer_financial_advices_total", {"matched": "true"}, 1, id="a completion"),
    ],
)  # fmt: skip
def test_what_was_decided_is_counted(meters, request_, outcome, name, labels, value):
    meters.decided(request_, outcome)

    assert of(samples(meters), name, network="visa-like", **labels) == value


def test_rare_counters_begin_at_zero_so_that_a_rate_sees_the_first_one(meters):
    found = samples(meters)

    assert of(found, "issuer_timeouts_total", network="visa-like") == 0
    assert of(found, "issuer_alerts_total", network="visa-like", alert="suspense") == 0
    assert of(found, "issuer_reversals_total", network="visa-like", matched="false") == 0
    assert of(found, "issuer_duplicates_total", network="visa-like", kind="in_flight") == 0
    assert of(found, "issuer_hsm_requests_total", op="pin", result="timeout") == 0
    assert of(found, "issuer_link_state", network="visa-like", link="1") == 0


def test_holds_that_expire_on_their_own_or_before_a_decision_are_counted(meters):
    meters.expired((expiry(1), expiry(2)))
    answered = Answered("k", "c", Reply(Reason.APPROVED))
    meters.decided(PURCHASE, Outcome(5, Reply(Reason.APPROVED), (expiry(3), answered)))

    assert of(samples(meters), "issuer_holds_expired_total") == 3


def test_an_answer_is_counted_by_what_it_answers_and_its_latency_with_the_originals(meters):
    for mti, seconds in (("0100", 0.004), ("0101", 0.0005)):
        meters.answered("visa-like", mti, "51", Reason.INSUFFICIENT_FUNDS).observe(seconds)
    found = samples(meters)
    latency = {"network": "visa-like", "mti": "0100"}

    for mti in ("0100", "0101"):
        labels = {"mti": mti, "response_code": "51", "reason": "insufficient_funds", "stip": "false"}
        assert of(found, "issuer_auth_responses_total", network="visa-like", **labels) == 1
    assert of(found, "issuer_auth_latency_seconds_count", **latency) == 2
    assert of(found, "issuer_auth_latency_seconds_sum", **latency) == pytest.approx(0.0045)
    assert of(found, "issuer_auth_latency_seconds_bucket", le="0.0005", **latency) == 1
    assert of(found, "issuer_auth_latency_seconds_bucket", le="0.005", **latency) == 2
    assert of(found, "issuer_auth_latency_seconds_bucket", le="+Inf", **latency) == 2


def test_message_types_nobody_serves_share_one_label(meters):
    for number in range(3000):
        meters.answered("visa-like", f"{number:04}", "30", Reason.FORMAT_ERROR)
    mtis = {s.labels["mti"] for f in meters.collect() for s in f.samples if f.name == "issuer_auth_responses"}

    assert mtis == {*MTIS, OTHER}


def test_no_label_can_have_more_values_than_its_bound():
    counters = Counters("issuer_things", "Things.", ("thing",), children_max=10)
    histograms = Histograms("issuer_seconds", "Seconds.", ("thing",), LATENCY_S, children_max=10)
    for number in range(1000):
        counters.count(str(number))
        histograms.of(str(number)).observe(1)

    assert len(counters.children) == len(histograms.children) == 11
    assert counters.children[OTHER,] == histograms.children[OTHER,].count == 990


def test_a_value_on_an_edge_is_below_it_as_prometheus_wants():
    histogram = Histogram((0.1, 0.2))
    for seconds in (0.1, 0.15, 0.2, 0.3):
        histogram.observe(seconds)

    assert histogram.counts == [1, 2, 1]


def test_a_link_bears_the_smallest_free_slot_and_leaves_it_down(meters):
    one, two = meters.link("visa-like"), meters.link("visa-like")
    one.enter("signed_on")
    one.end()
    again = meters.link("visa-like")
    again.enter("connected")
    found = samples(meters)

    assert (one.slot, two.slot, again.slot) == (1, 2, 1)
    assert of(found, "issuer_link_state", network="visa-like", link="1") == 1
    assert of(found, "issuer_link_state", network="visa-like", link="2") == 0
    assert of(found, "issuer_link_transitions_total", network="visa-like", state="down") == 1


def test_however_many_links_there_are_only_so_many_have_gauges(meters):
    links = [meters.link("visa-like") for _ in range(3 * SLOTS_MAX)]
    states = next(f for f in meters.collect() if f.name == "issuer_link_state").samples
    for link in links:
        link.end()

    assert len(states) == SLOTS_MAX
    assert meters.link("visa-like").slot == 1


def test_the_figures_can_be_read_while_they_change(meters):
    """A scrape runs in another thread: it must see whole numbers and never fail."""
    stop = threading.Event()
    failures: list[Exception] = []

    def scrape() -> None:
        while not stop.is_set():
            try:
                found = samples(meters)
                counted = of(found, "issuer_auth_latency_seconds_count", network="visa-like", mti="0100")
                top = of(
                    found, "issuer_auth_latency_seconds_bucket", network="visa-like", mti="0100", le="+Inf"
                )
                assert counted == top
            except Exception as error:  # noqa: BLE001 - whatever it is
                failures.append(error)

    meters.answered("visa-like", "0100", "00", Reason.APPROVED).observe(0.001)
    thread = threading.Thread(target=scrape)
    thread.start()
    for number in range(20_000):
        meters.answered("visa-like", "0100", str(number), Reason.APPROVED).observe(0.001)
        meters.link("visa-like").enter("connected")
        if number % 100 == 0:
            meters.refused("visa-like", "format_error", number % 128)
    stop.set()
    thread.join()

    assert failures == []


def test_a_family_can_be_read_while_it_grows():
    counters = Counters("issuer_things", "Things.", ("thing",), children_max=1_000_000)
    histograms = Histograms("issuer_seconds", "Seconds.", ("thing",), (1.0,), children_max=1_000_000)
    grown, failures = threading.Event(), []

    def read() -> None:
        try:
            while not grown.is_set():
                counters.family()
                histograms.family()
        except RuntimeError as error:
            failures.append(error)

    reader, interval = threading.Thread(target=read), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    reader.start()
    for number in range(3_000):
        counters.count(str(number))
        histograms.of(str(number))
    grown.set()
    reader.join()
    sys.setswitchinterval(interval)

    assert failures == []


def test_promtool_has_nothing_to_say(meters, promtool):
    for family in meters._families:
        if isinstance(family, Counters):
            family.count(*("thing" for _ in family._labels))
        elif isinstance(family, Histograms):
            family.of(*("thing" for _ in family._labels)).observe(0.001)
    meters.link("visa-like").echo_rtt_s = 0.01
    meters.build(version="0.1.0")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=meters.expose(), capture_output=True, check=False
    )

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
