"""The stand-in policy: what each rule refuses, and that the explanation is complete."""

import msgspec
import pytest

from processor.values.cards import CardStatus
from processor.values.errors import ConfigError
from processor.values.facts import Check, Facts
from processor.values.money import Money
from processor.values.reasons import Reason
from processor.values.requests import CvvKind, Direction
from rules.policy import Policy, parse_policy, refusal
from rules.situation import Situation


@pytest.fixture
def judge(policy, purchase, issue):
    """Evaluate the example policy on a purchase, with the card and facts changed as asked."""

    def evaluate(
        *, card=None, facts=None, month="2611", available=100_000, known=True, today=(0, 0), **request
    ):
        plastic = msgspec.structs.replace(issue().card, **(card or {})) if known else None
        situation = Situation(
            purchase(**request),
            Facts(**(facts or {})),
            plastic,
            "840" if known else "",
            available,
            *today,
            month,
        )
        return policy.evaluate(situation)

    return evaluate


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        pytest.param({}, None, id="an ordinary purchase passes"),
        pytest.param({"known": False}, Reason.UNKNOWN_CARD, id="a card that is not on file"),
        pytest.param({"card": {"status": CardStatus.BLOCKED}}, Reason.INACTIVE_CARD, id="a blocked card"),
        pytest.param({"month": "2912"}, None, id="a card is good through its last month"),
        pytest.param({"month": "3001"}, Reason.EXPIRED_CARD, id="and not a month longer"),
        pytest.param({"expiry": "2912"}, None, id="the message names the card's expiry"),
        pytest.param({"expiry": "2911"}, Reason.EXPIRY_MISMATCH, id="the message names another expiry"),
        pytest.param({"processing_code": "010000"}, Reason.PIN_MISSING, id="cash needs a PIN"),
        pytest.param({"pin_present": True, "facts": {"pin": Check.PASSED}}, None, id="a right PIN"),
        pytest.param(
            {"pin_present": True, "facts": {"pin": Check.FAILED}}, Reason.INCORRECT_PIN, id="a wrong PIN"
        ),
        pytest.param(
            {"pin_present": True, "facts": {"pin": Check.NO_ANSWER}},
            Reason.VERIFICATION_UNAVAILABLE,
            id="a PIN the HSM was silent on",
        ),
        pytest.param({"pin_present": True}, Reason.VERIFICATION_UNAVAILABLE, id="a PIN nobody asked about"),
        pytest.param(
            {"pin_present": True, "facts": {"pin": Check.PASSED}, "card": {"pin_tries_left": 0}},
            Reason.PIN_TRIES_EXCEEDED,
            id="a right PIN after the last try",
        ),
        pytest.param(
            {"cvv_kind": CvvKind.CVV, "facts": {"cvv": Check.FAILED}}, Reason.CVV_FAILED, id="a wrong CVV"
        ),
        pytest.param(
            {"cvv_kind": CvvKind.ICVV, "facts": {"cvv": Check.FAILED}}, Reason.CVV_FAILED, id="a wrong iCVV"
        ),
        pytest.param(
            {"cvv_kind": CvvKind.CVV2, "facts": {"cvv": Check.FAILED}}, Reason.CVV2_FAILED, id="a wrong CVV2"
        ),
        pytest.param(
            {"cvv_kind": CvvKind.CVV2, "facts": {"cvv": Check.NO_ANSWER}},
            Reason.VERIFICATION_UNAVAILABLE,
            id="a CVV2 the HSM was silent on",
        ),
        pytest.param({"entry_mode": "90"}, Reason.CVV_MISSING, id="a full track without a CVV"),
        pytest.param({"minor": 200_000, "available": 10**9}, None, id="exactly the limit"),
        pytest.param({"minor": 200_001, "available": 10**9}, Reason.AMOUNT_LIMIT, id="a cent over the limit"),
        pytest.param({"minor": 100_000}, None, id="the last cent may be spent"),
        pytest.param({"minor": 100_001}, Reason.INSUFFICIENT_FUNDS, id="and not one more"),
        pytest.param({"amount": Money(1, "978")}, Reason.CURRENCY_NOT_HELD, id="another currency"),
        pytest.param({"minor": 100_000, "today": (9, 99_900_000)}, None, id="the last cent of the day"),
        pytest.param(
            {"minor": 100_000, "today": (9, 99_900_001)}, Reason.AMOUNT_LIMIT, id="a cent over the day"
        ),
        pytest.param({"today": (9_999, 0)}, None, id="the last purchase of the day"),
        pytest.param({"today": (10_000, 0)}, Reason.COUNT_LIMIT, id="one too many for the day"),
        pytest.param({"merchant_category": "7995"}, Reason.BLOCKED_MERCHANT, id="a blocked merchant"),
        pytest.param({"merchant_category": ""}, None, id="no category, which this policy lets pass"),
        pytest.param(
            {"direction": Direction.CREDIT, "minor": 10**9, "today": (10_000, 10**9)},
            None,
            id="a refund uses no limit",
        ),
    ],
)
def test_what_is_refused(judge, case, reason):
    assert refusal(judge(**case)) is reason


def test_every_rule_that_applies_is_evaluated_and_the_first_refusal_is_told(judge):
    verdicts = judge(month="3001", minor=10**9, cvv_kind=CvvKind.CVV2, facts={"cvv": Check.FAILED})

    assert [(v.rule, v.reason) for v in verdicts] == [
        ("card_known", None),
        ("card_active", None),
        ("not_expired", Reason.EXPIRED_CARD),
        ("cvv", Reason.CVV2_FAILED),
        ("amount_limit", Reason.AMOUNT_LIMIT),
        ("daily_amount", Reason.AMOUNT_LIMIT),
        ("daily_count", None),
        ("blocked_merchants", None),
        ("funds", Reason.INSUFFICIENT_FUNDS),
    ]
    assert refusal(verdicts) is Reason.EXPIRED_CARD


def test_a_verdict_has_the_values_it_saw(judge):
    verdict = next(v for v in judge(minor=5) if v.rule == "funds")

    assert verdict.saw == (5, 100_000)


MINIMAL = 'pin_tries = 3\n[[rules]]\nrule = "card_known"\n[[rules]]\nrule = "funds"\n'


@pytest.mark.parametrize(
    ("rule", "missing", "reason"),
    [
        ('rule = "blocked_countries"\ncountries = ["840"]', {"country": ""}, Reason.BLOCKED_COUNTRY),
        ('rule = "blocked_entry_modes"\nentry_modes = ["01"]', {"entry_mode": ""}, Reason.BLOCKED_ENTRY_MODE),
        (
            'rule = "blocked_merchants"\ncategories = ["5411"]',
            {"merchant_category": ""},
            Reason.BLOCKED_MERCHANT,
        ),
    ],
    ids=["country", "entry mode", "merchant category"],
)
def test_what_is_missing_does_not_pass_unless_the_policy_says_so(purchase, issue, rule, missing, reason):
    def judged(text, **changes):
        situation = Situation(purchase(**changes), Facts(), issue().card, "840", 10**9, 0, 0, "2611")
        return refusal(parse_policy(f"{MINIMAL}[[rules]]\n{text}", "x").evaluate(situation))

    assert judged(rule) is reason
    assert judged(rule, **missing) is reason
    assert judged(f'{rule}\nif_missing = "pass"', **missing) is None


SPARING = 'without_answer = { currency = "840", max_minor = 500 }'


@pytest.mark.parametrize("check", ["cvv", "pin"])
@pytest.mark.parametrize(
    ("word", "amount", "spared"),
    [
        pytest.param(Check.NO_ANSWER, Money(500, "840"), True, id="silence up to the amount passes"),
        pytest.param(Check.NO_ANSWER, Money(501, "840"), False, id="a cent more does not"),
        pytest.param(Check.NO_ANSWER, Money(1, "978"), False, id="nor another currency"),
        pytest.param(Check.FAILED, Money(1, "840"), False, id="nor a wrong value"),
        pytest.param(Check.NOT_ASKED, Money(1, "840"), False, id="nor what nobody asked"),
    ],
)
def test_silence_of_the_hsm_passes_only_where_the_policy_says_so(
    purchase, issue, check, word, amount, spared
):
    asked = {"cvv_kind": CvvKind.CVV2} if check == "cvv" else {"pin_present": True}
    request = purchase(amount=amount, **asked)
    situation = Situation(request, Facts(**{check: word}), issue().card, "840", 10**9, 0, 0, "2611")

    def passes(more):
        text = f'{MINIMAL}[[rules]]\nrule = "{check}"\n{more}'
        verdicts = parse_policy(text, "x").evaluate(situation)
        return next(v.reason for v in verdicts if v.rule == check) is None

    assert passes(SPARING) is spared
    assert not passes("")


def test_what_silence_may_cost_is_part_of_the_policys_hash():
    plain = f'{MINIMAL}[[rules]]\nrule = "cvv"\n'

    assert parse_policy(plain + SPARING, "x").hash != parse_policy(plain, "x").hash


def test_another_expiry_in_the_message_passes_where_the_policy_does_not_compare(purchase, issue):
    for compare, reason in (("true", Reason.EXPIRY_MISMATCH), ("false", None)):
        policy = parse_policy(f'{MINIMAL}[[rules]]\nrule = "not_expired"\ncompare = {compare}', "x")
        situation = Situation(purchase(expiry="2612"), Facts(), issue().card, "840", 10**9, 0, 0, "2611")

        assert refusal(policy.evaluate(situation)) is reason


def test_a_policy_is_known_by_its_content():
    same = parse_policy("# a comment\n" + MINIMAL, "b")
    other = parse_policy(MINIMAL.replace("3", "4"), "c")

    assert isinstance(same, Policy)
    assert parse_policy(MINIMAL, "a").hash == same.hash != other.hash


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        pytest.param("pin_tries = 3\nrules = []", ["'card_known'", "'funds'"], id="one that approves all"),
        pytest.param(MINIMAL.replace("3", "0"), ["pin_tries"], id="no PIN try at all"),
        pytest.param(MINIMAL + '[[rules]]\nrule = "magic"', ["rules[2]", "magic"], id="an unknown rule"),
        pytest.param(
            MINIMAL + '[[rules]]\nrule = "amount_limit"\ncurrency = "840"', ["rules[2]", "max_minor"],
            id="a missing parameter",
        ),
        pytest.param(
            MINIMAL.replace('"funds"', '"funds"\nfloor = 1') + '[[rules]]\nrule = "magic"',
            ["rules[1]", "rules[2]"],
            id="two problems at once",
        ),
        pytest.param("pin_tries = ", ["x.toml"], id="not TOML"),
    ],
)  # fmt: skip
def test_a_broken_policy_is_refused_with_every_place(text, problems):
    with pytest.raises(ConfigError) as caught:
        parse_policy(text, "x.toml")

    for problem in problems:
        assert problem in str(caught.value)
