"""One transaction from admission to answer: joins, turns, durability, deadlines, shedding."""

import msgspec
import pytest

from processor.core.desk import Limits
from processor.values.facts import Check
from processor.values.reasons import Reason
from processor.values.requests import CvvKind
from processor.values.sensitive import Evidence, Pan

PAN = Pan("4000001234567899")
WITH_PIN = Evidence(PAN, pin_block="0123456789ABCDEF", pin_format="01")
WITH_CVV = Evidence(PAN, cvv="123", cvv_service_code="000", cvv_expiry="2912")


def reasons(asker):
    return [outcome.reply.reason for outcome in asker.answers]


def test_no_answer_leaves_before_its_record_is_on_disk(office, purchase):
    asker = office.ask(purchase())
    assert asker.answers == []
    assert office.state.holds

    office.disk.sync()
    assert reasons(asker) == [Reason.APPROVED]


def test_a_decline_waits_for_the_disk_as_well(office, purchase):
    asker = office.ask(purchase(minor=10_000_000))
    assert asker.answers == []

    office.disk.sync()
    assert reasons(asker) == [Reason.AMOUNT_LIMIT]


def test_a_repeat_in_flight_joins_and_both_get_one_decision(office, purchase):
    first, repeat = office.ask(purchase()), office.ask(purchase(mti="0101"))
    office.disk.sync()

    assert first.answers == repeat.answers
    assert len(office.state.holds) == 1


def test_a_repeat_of_an_answered_question_gets_the_stored_answer_and_moves_no_money(office, purchase):
    first = office.ask(purchase())
    office.disk.sync()
    records = len(office.disk.records)

    repeat = office.ask(purchase(mti="0101"))

    assert repeat.answers[0].reply == first.answers[0].reply
    assert len(office.disk.records) == records


@pytest.mark.parametrize("answered", [pytest.param(True, id="answered"), pytest.param(False, id="in flight")])
def test_the_same_key_with_another_amount_is_a_duplicate(office, purchase, answered):
    office.ask(purchase())
    if answered:
        office.disk.sync()

    assert reasons(office.ask(purchase(minor=2000))) == [Reason.DUPLICATE]
    assert len(office.state.holds) == 1


def test_a_reversal_does_not_overtake_its_original_that_waits_for_the_hsm(office, purchase, reversal):
    asked = office.ask(purchase(pin_present=True), WITH_PIN)
    reversed_ = office.ask(reversal())
    office.settle()
    assert asked.answers == reversed_.answers == []

    office.hsm.answer(pin=Check.PASSED)
    office.settle()

    assert reasons(asked) == [Reason.APPROVED]
    assert reasons(reversed_) == [Reason.ACCEPTED]
    assert not office.state.holds
    assert len(office.state.transactions) == 1


def test_a_card_that_waits_for_the_hsm_does_not_delay_another_card(office, purchase):
    slow = office.ask(purchase(pin_present=True), WITH_PIN)
    quick = office.ask(purchase("000002", token="other"))
    office.disk.sync()

    assert slow.answers == []
    assert reasons(quick) == [Reason.APPROVED]


def test_messages_of_one_card_execute_in_the_order_in_which_they_came(office, purchase):
    office.ask(purchase("000001", pin_present=True), WITH_PIN)
    for stan in ("000002", "000003"):
        office.ask(purchase(stan))
    office.hsm.answer(pin=Check.PASSED)

    executed = [r.command.request.stan for r in office.disk.records if hasattr(r.command, "request")]
    assert executed == ["000001", "000002", "000003"]


def test_thousands_of_messages_behind_one_card_need_no_stack(office, purchase):
    office.desk._limits = Limits(in_flight_max=10_000, transactions_max=10_000)
    office.ask(purchase("first", pin_present=True), WITH_PIN)
    askers = [office.ask(purchase(f"{n:06}", minor=1)) for n in range(5000)]
    office.hsm.answer(pin=Check.PASSED)
    office.settle()

    assert all(reasons(asker) == [Reason.APPROVED] for asker in askers)
    assert office.desk.in_flight == 0


def test_evidence_is_dropped_once_the_hsm_has_been_asked(office, purchase):
    office.ask(purchase(pin_present=True), WITH_PIN)

    (flight,) = office.desk._in_flight.values()
    assert flight.evidence is None


def test_nothing_sensitive_reaches_the_journal(office, purchase):
    office.ask(
        purchase(pin_present=True, cvv_kind=CvvKind.CVV2),
        Evidence(PAN, "987", "000", "2912", "0123456789ABCDEF", "01"),
    )
    office.hsm.answer(cvv=Check.PASSED, pin=Check.PASSED)

    written = b"".join(msgspec.msgpack.encode(record) for record in office.disk.records)
    assert b"0123456789ABCDEF" not in written
    assert b"987" not in written
    assert PAN.reveal().encode() not in written


def test_wrong_pins_are_counted_and_exhaust_the_card_without_asking_again(office, purchase):
    for number in range(3):
        asker = office.ask(purchase(f"00000{number}", pin_present=True), WITH_PIN)
        office.hsm.answer(pin=Check.FAILED)
        office.settle()
        assert reasons(asker) == [Reason.INCORRECT_PIN]

    asker = office.ask(purchase("000009", pin_present=True), WITH_PIN)
    office.disk.sync()
    assert office.hsm.questions == []
    assert reasons(asker) == [Reason.PIN_TRIES_EXCEEDED]


def test_a_right_pin_restores_the_tries(office, purchase):
    for stan, verdict in (("000001", Check.FAILED), ("000002", Check.PASSED)):
        office.ask(purchase(stan, pin_present=True), WITH_PIN)
        office.hsm.answer(pin=verdict)

    assert office.state.cards["card"].pin_tries_left == 3


@pytest.mark.parametrize(
    ("fields", "evidence"),
    [
        pytest.param({"pin_present": True}, WITH_PIN, id="the PIN cannot be verified"),
        pytest.param({"cvv_kind": CvvKind.CVV2}, WITH_CVV, id="the CVV2 cannot be verified"),
    ],
)
def test_without_the_hsm_nothing_that_needs_it_is_approved_and_no_try_is_spent(
    office, purchase, fields, evidence
):
    office.hsm.reachable = False
    asker = office.ask(purchase(**fields), evidence)
    office.disk.sync()

    assert reasons(asker) == [Reason.VERIFICATION_UNAVAILABLE]
    assert office.state.cards["card"].pin_tries_left == 3


def test_a_verdict_about_a_card_that_changed_meanwhile_is_no_answer(office, purchase):
    asker = office.ask(purchase(pin_present=True), WITH_PIN)
    office.state.cards["card"] = msgspec.structs.replace(office.state.cards["card"], pvv="9999", version=2)
    office.hsm.answer(pin=Check.PASSED)
    office.settle()

    assert reasons(asker) == [Reason.VERIFICATION_UNAVAILABLE]


class TestDeadlines:
    """Nothing is approved late, and a repeat of a lapsed question gets the lapsed answer."""

    def test_a_decision_that_is_durable_too_late_is_taken_back(self, office, purchase):
        asker = office.ask(purchase())
        assert len(office.state.holds) == 1
        office.clock.now_s += 6.0
        office.disk.sync()
        assert asker.answers == []  # the lapse itself must be durable first
        assert not office.state.holds

        office.disk.sync()
        assert reasons(asker) == [Reason.LATE]
        assert reasons(office.ask(purchase())) == [Reason.LATE]

    def test_a_disk_that_hangs_is_noticed_by_the_sweep(self, office, purchase):
        asker = office.ask(purchase())
        office.clock.now_s += 6.0
        office.desk.sweep()
        office.disk.sync()

        assert reasons(asker) == [Reason.LATE]
        assert not office.state.holds

    def test_a_question_whose_hsm_is_slow_lapses_and_frees_its_card(self, office, purchase):
        late = office.ask(purchase(pin_present=True), WITH_PIN)
        office.clock.now_s += 5.0
        behind = office.ask(purchase("000002"))
        office.clock.now_s += 1.0
        office.desk.sweep()
        office.disk.sync()

        assert reasons(late) == [Reason.LATE]
        assert reasons(behind) == [Reason.APPROVED]

    def test_a_verdict_that_comes_after_the_lapse_changes_nothing(self, office, purchase):
        asker = office.ask(purchase(pin_present=True), WITH_PIN)
        office.clock.now_s += 6.0
        office.desk.sweep()
        office.hsm.answer(pin=Check.PASSED)
        office.settle()

        assert reasons(asker) == [Reason.LATE]
        assert not office.state.holds

    def test_a_question_that_waits_for_its_turn_lapses_alone(self, office, purchase):
        first = office.ask(purchase("000001", pin_present=True), WITH_PIN)
        office.clock.now_s += 1.0
        first_deadline = office.clock.now_s + 5.0
        waiting = office.ask(purchase("000002", minor=2000))
        next(iter(office.desk._in_flight.values())).deadline_s = first_deadline + 100
        office.clock.now_s += 6.0
        office.desk.sweep()
        office.disk.sync()
        assert reasons(waiting) == [Reason.LATE]
        assert first.answers == []

        office.hsm.answer(pin=Check.PASSED)
        office.settle()
        assert reasons(first) == [Reason.APPROVED]
        assert office.desk._turns == {}

    def test_all_that_waits_for_one_card_may_lapse_at_once(self, office, purchase):
        askers = [office.ask(purchase(f"{n:06}", pin_present=True), WITH_PIN) for n in range(16)]
        office.clock.now_s += 6.0
        for _ in range(3):
            office.desk.sweep()
            office.disk.sync()

        assert [reasons(asker) for asker in askers] == [[Reason.LATE]] * 16
        assert (office.desk._turns, office.desk.in_flight) == ({}, 0)
        after = office.ask(purchase("999999"))
        office.disk.sync()
        assert reasons(after) == [Reason.APPROVED]

    def test_a_pin_try_stays_spent(self, office, purchase):
        office.ask(purchase(pin_present=True), WITH_PIN)
        office.hsm.answer(pin=Check.FAILED)
        office.clock.now_s += 6.0
        office.settle()
        office.settle()

        assert office.state.cards["card"].pin_tries_left == 2

    def test_a_reversal_is_never_too_late(self, office, reversal):
        asker = office.ask(reversal())
        office.clock.now_s += 1e6
        office.desk.sweep()
        office.disk.sync()

        assert reasons(asker) == [Reason.ACCEPTED]


class TestShedding:
    """At a limit requests are refused, advices are not."""

    @pytest.mark.parametrize(
        "limits",
        [
            pytest.param(Limits(in_flight_max=0, transactions_max=100), id="too many in flight"),
            pytest.param(Limits(in_flight_max=100, transactions_max=0), id="too many transactions in memory"),
        ],
    )
    def test_requests_are_shed_and_reversals_are_taken(self, office, purchase, reversal, limits):
        office.desk._limits = limits
        assert reasons(office.ask(purchase())) == [Reason.OVERLOADED]

        taken = office.ask(reversal())
        office.disk.sync()
        assert reasons(taken) == [Reason.ACCEPTED]

    def test_what_was_shed_is_decided_when_it_is_asked_again(self, office, purchase):
        limits, office.desk._limits = office.desk._limits, Limits(in_flight_max=0, transactions_max=100)
        office.ask(purchase())
        office.desk._limits = limits
        again = office.ask(purchase())
        office.disk.sync()

        assert reasons(again) == [Reason.APPROVED]
