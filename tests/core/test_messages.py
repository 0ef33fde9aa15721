"""Advices, financial messages and partial reversals: what each does to the two parts of a hold and to the ledger."""

import pytest

from processor.book.invariants import violations
from processor.values.effects import Cause
from processor.values.money import Money
from processor.values.reasons import Reason
from processor.values.requests import Direction, Original

DAY_MS = 86_400_000
CARD = "account:card"


@pytest.fixture
def play(office, purchase, advice, reversal):
    """Play a script; gives (reasons, held, ledger) of the card's account."""
    makers = {"ask": purchase, "advise": advice, "reverse": reversal}

    def run(*steps):
        reasons = []
        for number, (kind, changes) in enumerate(steps):
            key = (
                f"{kind}|{number}"
                if kind != "ask" or "key" in changes
                else f"01|card|{changes.get('stan', '')}"
            )
            asker = office.ask(makers[kind](**{"key": key, **changes}))
            office.settle()
            reasons += [outcome.reply.reason for outcome in asker.answers]
        assert violations(office.state) == []
        account = office.state.accounts[CARD]
        return reasons, account.held_minor, account.ledger_minor

    return run


ASK, STAND_IN = ("ask", {}), ("advise", {})
STAND_IN_LESS = ("advise", {"minor": 700})
STOOD_OUT = ("advise", {"approved": False})
COMPLETE = ("advise", {"financial": True})
COMPLETE_LESS = ("advise", {"financial": True, "minor": 300})
COMPLETE_MORE = ("advise", {"financial": True, "minor": 1500})
FULL, LATE = ("reverse", {}), ("reverse", {"of_late_answer": True})
PART = ("reverse", {"total": Money(400, "840")})
PART_LESS = ("reverse", {"total": Money(100, "840")})
OF_POSTING = ("reverse", {"original": Original.POSTING})
OF_SINGLE = ("reverse", {"original": Original.SINGLE_MESSAGE})
LATE_SINGLE = ("reverse", {"original": Original.SINGLE_MESSAGE, "of_late_answer": True})
PART_OF_POSTING = ("reverse", {"original": Original.POSTING, "total": Money(400, "840")})
PART_SINGLE = ("reverse", {"original": Original.SINGLE_MESSAGE, "total": Money(400, "840")})
COMPLETE_A = (
    "advise",
    {"financial": True, "minor": 300, "match_keys": ("2|card|000001", "2|card|A"), "known_by": ("2|card|A",)},
)
COMPLETE_B = (
    "advise",
    {"financial": True, "minor": 400, "match_keys": ("2|card|000001", "2|card|B"), "known_by": ("2|card|B",)},
)
OF_B = ("reverse", {"original": Original.POSTING, "match_keys": ("2|card|000001", "2|card|B")})
STAND_IN_OWN = ("advise", {"match_keys": ("2|card|000001", "2|card|X"), "known_by": ("2|card|X",)})
REFUSED_OWN = (
    "advise",
    {"match_keys": ("2|card|000001", "2|card|X"), "known_by": ("2|card|X",), "approved": False},
)
OF_B_ALONE = ("reverse", {"original": Original.POSTING, "match_keys": ("2|card|B",)})
REFUND = ("advise", {"financial": True, "minor": 200, "direction": Direction.CREDIT})
ASK_SINGLE = ("ask", {"single_message": True})


@pytest.mark.parametrize(
    ("steps", "held", "spent"),
    [
        pytest.param([ASK, STAND_IN], 1000, 0, id="a stand-in approval of a late answer is merged, not added"),
        pytest.param([ASK, STAND_IN_LESS], 700, 0, id="the network's amount is the one that counts"),
        pytest.param([ASK, STOOD_OUT], 0, 0, id="the network declined: our hold goes"),
        pytest.param([ASK, LATE], 0, 0, id="our answer came late and nobody stood in"),
        pytest.param([ASK, LATE, STAND_IN], 1000, 0, id="our answer came late, then the stand-in approval"),
        pytest.param([ASK, STAND_IN, LATE], 1000, 0, id="the stand-in approval first, then our answer came late"),
        pytest.param([LATE, STAND_IN], 1000, 0, id="a late answer we do not remember, and a stand-in approval"),
        pytest.param([ASK, STAND_IN, FULL], 0, 0, id="the acquirer's reversal voids both parts"),
        pytest.param([ASK, FULL, STAND_IN], 0, 0, id="in either order"),
        pytest.param([FULL, STAND_IN], 0, 0, id="a reversal before the stand-in advice"),
        pytest.param([STAND_IN], 1000, 0, id="a stand-in approval of something never seen"),
        pytest.param([STOOD_OUT], 0, 0, id="a stand-in decline of something never seen"),
        pytest.param([ASK, COMPLETE], 0, 1000, id="a completion posts and closes"),
        pytest.param([ASK, COMPLETE_LESS], 0, 300, id="a smaller completion lets go of the rest"),
        pytest.param([ASK, COMPLETE_MORE], 0, 1500, id="a larger completion posts all of it"),
        pytest.param([COMPLETE], 0, 1000, id="a force post"),
        pytest.param([COMPLETE, ASK], 0, 1000, id="a completion before its request holds nothing more"),
        pytest.param([ASK, COMPLETE, STAND_IN], 0, 1000, id="a stand-in advice after the completion holds nothing"),
        pytest.param([ASK, PART], 400, 0, id="a partial reversal gives the new total"),
        pytest.param([ASK, PART, PART_LESS], 100, 0, id="a second one replaces the first"),
        pytest.param([ASK, STAND_IN_LESS, PART], 400, 0, id="a partial reversal of the network's part"),
        pytest.param([ASK, PART, FULL], 0, 0, id="a full reversal after a partial one"),
        pytest.param([ASK, COMPLETE_LESS, FULL], 0, 300, id="a reversal after a completion moves no money"),
        pytest.param(
            [ASK, COMPLETE_LESS, OF_POSTING], 0, 0,
            id="a reversal that names the completion gives the money back",
        ),
        pytest.param([ASK_SINGLE], 0, 1000, id="a single message is posted at once"),
        pytest.param([ASK_SINGLE, FULL], 0, 0, id="and given back by its reversal"),
        pytest.param([ASK_SINGLE, FULL, FULL], 0, 0, id="once"),
        pytest.param([ASK_SINGLE, PART], 0, 400, id="or in part"),
        pytest.param([ASK_SINGLE, COMPLETE_LESS], 0, 300, id="what the network posted for us replaces our posting"),
        pytest.param([COMPLETE_LESS, ASK_SINGLE], 0, 300, id="also when it comes first"),
        pytest.param([ASK_SINGLE, LATE], 0, 0, id="our posting was not heard of"),
        pytest.param([ASK_SINGLE, LATE, COMPLETE_LESS], 0, 300, id="and the network posted in our place"),
        pytest.param([FULL, ASK_SINGLE], 0, 0, id="a reversal before its single message"),
        pytest.param([COMPLETE, LATE], 0, 1000, id="a late answer says nothing of what the network posted"),
        pytest.param([COMPLETE, ASK_SINGLE, LATE_SINGLE], 0, 1000, id="nor when we posted too"),
        pytest.param([COMPLETE_LESS, ASK, FULL], 0, 300, id="in whichever order the completion came"),
        pytest.param([OF_POSTING, COMPLETE], 0, 0, id="a reversal before the posting it names"),
        pytest.param([ASK_SINGLE, OF_SINGLE, COMPLETE], 0, 0, id="a reversed single message is not posted later"),
        pytest.param([ASK_SINGLE, COMPLETE, OF_SINGLE], 0, 0, id="and what was posted in its place goes too"),
        pytest.param([OF_SINGLE, COMPLETE], 0, 0, id="also when the request never came"),
        pytest.param([PART, ASK], 400, 0, id="a partial reversal before its original"),
        pytest.param([PART, STAND_IN], 400, 0, id="a partial reversal before the stand-in advice"),
        pytest.param([ASK, PART, STAND_IN], 400, 0, id="a stand-in advice after the partial reversal"),
        pytest.param([ASK, COMPLETE, PART_OF_POSTING], 0, 400, id="a partial reversal of the posting"),
        pytest.param([PART_SINGLE, COMPLETE], 0, 400, id="a partial reversal before what was posted in its place"),
        pytest.param([ASK, COMPLETE_A, COMPLETE_B, OF_B], 0, 300, id="one of two postings is reversed alone"),
        pytest.param([ASK, COMPLETE_B, OF_B_ALONE], 0, 0, id="a posting is found by its own name"),
        pytest.param([STAND_IN_OWN, ASK], 1000, 0, id="an advice with a name of its own before its original"),
        pytest.param([STAND_IN_OWN, FULL], 0, 0, id="and a reversal of that original"),
        pytest.param([REFUSED_OWN, ASK], 0, 0, id="a refusal with a name of its own before its original"),
        pytest.param([("advise", {"minor": 90_000}), ("ask", {"minor": 90_000})], 90_000, 0, id="a late original is not refused for its own stand-in hold"),
        pytest.param([ASK, REFUND], 1000, -200, id="a refund does not join the purchase it names"),
        pytest.param([ASK_SINGLE, STOOD_OUT], 0, 0, id="the network declined what we posted"),
        pytest.param([ASK_SINGLE, STAND_IN_LESS], 0, 700, id="the network approved less than we posted"),
        pytest.param([STAND_IN_LESS, ASK_SINGLE], 0, 700, id="in either order"),
        pytest.param([("advise", {"financial": True, "minor": 0}), ASK_SINGLE], 0, 0, id="the network posted nothing"),
        pytest.param([STAND_IN, ASK_SINGLE, FULL], 0, 0, id="all of it reversed by a reversal of the request"),
    ],
)  # fmt: skip
def test_what_is_held_and_spent(play, steps, held, spent):
    _, held_minor, ledger_minor = play(*steps)

    assert (held_minor, 100_000 - ledger_minor) == (held, spent)


def test_a_partial_reversal_above_what_was_authorized_is_an_invalid_amount(play):
    reasons, held, _ = play(ASK, ("reverse", {"total": Money(1001, "840")}))

    assert reasons == [Reason.APPROVED, Reason.INVALID_AMOUNT]
    assert held == 1000


def test_an_advice_is_taken_in_below_zero_and_for_a_blocked_card(play):
    reasons, _, ledger = play(("advise", {"financial": True, "minor": 250_000}))

    assert reasons == [Reason.ACCEPTED]
    assert ledger == -150_000


@pytest.mark.parametrize("financial", [False, True], ids=["a stand-in approval", "a force post"])
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"token": "stranger"}, id="a card that is not on file"),
        pytest.param({"amount": Money(1000, "978")}, id="another currency"),
    ],
)
def test_what_no_account_can_bear_goes_to_suspense_with_an_alert(office, advice, financial, changes):
    asker = office.ask(advice(financial=financial, **changes))
    office.settle()
    (outcome,) = asker.answers
    currency = changes.get("amount", Money(0, "840")).currency
    suspense = office.state.accounts[f"suspense:{currency}"]

    assert outcome.reply.reason is Reason.ACCEPTED
    assert outcome.alerts == ("suspense",)
    assert (suspense.held_minor, suspense.ledger_minor) == ((0, -1000) if financial else (1000, 0))
    assert office.state.accounts[CARD].available_minor == 100_000
    assert violations(office.state) == []


def test_a_request_does_not_join_what_an_advice_in_another_currency_put_into_suspense(
    office, purchase, advice
):
    for request in (advice(amount=Money(1000, "978")), purchase()):
        office.ask(request)
        office.settle()

    assert office.state.accounts["suspense:978"].held_minor == 1000
    assert office.state.accounts[CARD].held_minor == 1000
    assert violations(office.state) == []


def test_a_refund_is_approved_without_making_money_available_before_it_is_posted(play, office):
    reasons, held, ledger = play(("ask", {"direction": Direction.CREDIT}))
    assert (reasons, held, ledger) == ([Reason.APPROVED], 0, 100_000)

    _, _, ledger = play(("advise", {"financial": True, "direction": Direction.CREDIT}))
    assert ledger == 101_000


def test_an_account_verification_is_approved_and_holds_nothing(play):
    assert play(("ask", {"minor": 0})) == ([Reason.APPROVED], 0, 100_000)


class TestDailyUse:
    """Limits are used on approval, given back on reversal, and not used twice by advices or clearing."""

    @pytest.mark.parametrize(
        ("steps", "count", "minor"),
        [
            pytest.param([ASK], 1, 1000, id="an approval"),
            pytest.param([("ask", {"minor": 10**9})], 0, 0, id="a decline"),
            pytest.param([ASK, FULL], 0, 0, id="an approval reversed"),
            pytest.param([ASK, PART], 1, 400, id="an approval reversed in part"),
            pytest.param([ASK, STAND_IN_LESS], 1, 700, id="an approval merged with an advice"),
            pytest.param([ASK, COMPLETE], 1, 1000, id="an approval completed"),
            pytest.param([ASK_SINGLE], 1, 1000, id="a single message"),
        ],
    )
    def test_what_is_counted(self, play, office, steps, count, minor):
        play(*steps)
        used = office.state.used_on("card", office.clock.now_ms // DAY_MS)

        assert (used.count, used.minor) == (count, minor)

    def test_a_new_day_begins_with_nothing_used(self, play, office):
        play(ASK)
        assert office.state.used_on("card", office.clock.now_ms // DAY_MS + 1).count == 0


def test_a_partial_reversal_of_a_refund_holds_nothing(play):
    refund = ("ask", {"single_message": True, "direction": Direction.CREDIT})

    assert play(refund) == ([Reason.APPROVED], 0, 101_000)
    assert play(refund, PART_SINGLE)[1:] == (0, 100_400)


def test_a_type_that_nobody_knows_goes_to_suspense(office, advice):
    asker = office.ask(advice(financial=True, known_type=False))
    office.settle()

    assert asker.answers[0].alerts == ("suspense",)
    assert office.state.accounts[CARD].ledger_minor == 100_000


def test_an_advice_does_not_join_a_request_that_was_refused_for_its_currency(
    office, purchase, advice, reversal
):
    for request in (
        purchase(amount=Money(1000, "978")), advice(), advice(financial=True, key="2"), reversal(original=Original.POSTING)
    ):  # fmt: skip
        office.ask(request)
        office.settle()

    assert violations(office.state) == []
    assert office.state.accounts[CARD].ledger_minor == 100_000


def test_a_reversal_in_another_currency_voids_all_the_same(office, advice, reversal):
    for request in (reversal(amount=Money(900, "978")), advice()):
        office.ask(request)
        office.settle()

    assert office.state.accounts[CARD].held_minor == 0


def test_what_suspense_bears_uses_no_limit_of_the_card(office, advice):
    office.ask(advice(amount=Money(10**9, "392")))
    office.settle()

    assert office.state.used_on("card", office.clock.now_ms // DAY_MS).minor == 0


def test_the_journal_says_why_a_hold_changed(play, office):
    play(ASK, LATE, STAND_IN, COMPLETE)

    causes = [e.cause for r in office.disk.records for e in r.effects if hasattr(e, "cause")]
    assert causes == [Cause.AUTHORIZED, Cause.VOIDED, Cause.STAND_IN, Cause.CLEARED]
