"""Purchases, reversals and sign-on, asked of a running processor with its HSM over TCP."""

from typing import Any

import pytest

pytestmark = pytest.mark.slow

BALANCE_MINOR = 1_000_000


@pytest.fixture(scope="module")
def desk(launch_for_module: Any, hsm: Any, new_issuer: Any, tmp_path_factory: Any) -> Any:
    """A processor that these tests share, and a stock of cards, each for one test."""
    folder = tmp_path_factory.mktemp("authorization")
    issuer = new_issuer()
    cards = [issuer.card(BALANCE_MINOR) for _ in range(40)]
    expired = issuer.card(BALANCE_MINOR, expiry="2001")
    child = launch_for_module.serving(folder / "state", hsm, issuer.deck(folder))
    child.new_card, child.expired_card = cards.pop, expired
    child.unknown_card = issuer.card(issued=False)
    return child


@pytest.mark.parametrize(
    ("reading", "pin", "check_result"),
    [
        pytest.param("keyed", "", None, id="keyed in, nothing to verify"),
        pytest.param("stripe", "", "    2", id="a stripe with its CVV"),
        pytest.param("chip", "", "    2", id="a chip with its iCVV"),
        pytest.param("web", "", "         M", id="an order with the CVV2"),
        pytest.param("stripe", "right", "    2", id="a stripe and the PIN"),
        pytest.param("chip", "right", "    2", id="a chip and the PIN"),
    ],
)
def test_a_right_card_is_approved(
    desk: Any, connect: Any, till: Any, reading: str, pin: str, check_result: str | None
) -> None:
    reply = connect(desk).ask(till.purchase(desk.new_card(), 2_500, reading, pin))

    assert (reply.mti, reply.elements[39]) == ("0110", "00")
    assert len(reply.elements[38].strip("0")) > 0
    assert reply.elements.get(44) == check_result


@pytest.mark.parametrize(
    ("code", "amount_minor", "reading", "pin"),
    [
        pytest.param("82", 1_000, "wrong stripe", "", id="a stripe with the chip's value gets 82"),
        pytest.param("82", 1_000, "wrong chip", "", id="a chip with a wrong iCVV gets 82"),
        pytest.param("N7", 1_000, "wrong web", "", id="a wrong CVV2 gets N7"),
        pytest.param("55", 1_000, "stripe", "wrong", id="a wrong PIN gets 55"),
        pytest.param("61", 200_001, "stripe", "", id="more than the limit of one transaction gets 61"),
    ],
)
def test_a_wrong_card_or_amount_is_declined(
    desk: Any, connect: Any, till: Any, code: str, amount_minor: int, reading: str, pin: str
) -> None:
    reply = connect(desk).ask(till.purchase(desk.new_card(), amount_minor, reading, pin))

    assert (reply.mti, reply.elements[39]) == ("0110", code)
    assert 38 not in reply.elements


def test_a_wrong_cvv2_is_not_approved_for_want_of_an_expiry_date(desk: Any, connect: Any, till: Any) -> None:
    question = till.purchase(desk.new_card(), 1_000, "wrong web")
    del question.elements[14]

    assert connect(desk).ask(question).elements[39] != "00"


def test_a_card_of_nobody_gets_14(desk: Any, connect: Any, till: Any) -> None:
    reply = connect(desk).ask(till.purchase(desk.unknown_card, 1_000, "stripe", "right"))

    assert reply.elements[39] == "14"


def test_an_expired_card_gets_54(desk: Any, connect: Any, till: Any) -> None:
    reply = connect(desk).ask(till.purchase(desk.expired_card, 1_000, "stripe"))

    assert reply.elements[39] == "54"


def test_cash_without_a_pin_gets_70(desk: Any, connect: Any, till: Any) -> None:
    reply = connect(desk).ask(till.purchase(desk.new_card(), 2_000, "stripe", de3="010000"))

    assert reply.elements[39] == "70"


def test_what_is_held_cannot_be_spent_again_and_gets_51(desk: Any, connect: Any, till: Any) -> None:
    card, link = desk.new_card(), connect(desk)
    codes = [link.ask(till.purchase(card, 200_000)).elements[39] for _ in range(6)]

    assert codes == ["00"] * (BALANCE_MINOR // 200_000) + ["51"]


def test_the_same_key_with_another_amount_gets_94_and_holds_nothing(
    desk: Any, connect: Any, till: Any
) -> None:
    card, link = desk.new_card(), connect(desk)
    first = till.purchase(card, 200_000)
    link.ask(first)
    codes = [link.ask(_other(first, {4: f"{amount:012}"})).elements[39] for amount in (100_000, 200_001)]

    assert codes == ["94", "94"]
    assert _left_minor(link, till, card) == BALANCE_MINOR - 200_000


def test_repeats_on_two_links_while_the_first_is_in_flight_get_one_answer_and_one_hold(
    desk: Any, connect: Any, till: Any
) -> None:
    card, here, there = desk.new_card(), connect(desk), connect(desk)
    question = till.purchase(card, 200_000, "stripe", "right")
    repeat = till.repeat(question)
    here.send(question, repeat, repeat, question)
    there.send(repeat, question, repeat)
    replies = [here.receive() for _ in range(4)] + [there.receive() for _ in range(3)]
    replies += [here.ask(repeat), there.ask(question)]

    assert {(r.mti, r.elements[39], r.elements[38]) for r in replies} == {
        ("0110", "00", replies[0].elements[38])
    }
    assert _left_minor(here, till, card) == BALANCE_MINOR - 200_000


def test_a_full_reversal_frees_the_hold_once_however_often_it_comes(
    desk: Any, connect: Any, till: Any
) -> None:
    card, link = desk.new_card(), connect(desk)
    bought, kept = till.purchase(card, 150_000), till.purchase(card, 70_000)
    auth_code = link.ask(bought).elements[38]
    link.ask(kept)
    reversal = till.reversal(bought, auth_code)
    again = till.reversal(bought, auth_code)
    replies = [link.ask(r) for r in (reversal, till.repeat(reversal), reversal, again)]

    assert [(r.mti, r.elements[39]) for r in replies] == [("0430", "00")] * 4
    assert replies[0].elements[90] == reversal.elements[90]
    assert _left_minor(link, till, card) == BALANCE_MINOR - 70_000


def test_a_reversal_without_the_approval_code_finds_its_original(desk: Any, connect: Any, till: Any) -> None:
    card, link = desk.new_card(), connect(desk)
    bought = till.purchase(card, 150_000)
    link.ask(bought)
    link.ask(till.reversal(bought))

    assert _left_minor(link, till, card) == BALANCE_MINOR


def test_an_original_that_comes_after_its_reversal_takes_no_hold(desk: Any, connect: Any, till: Any) -> None:
    card, link = desk.new_card(), connect(desk)
    bought = till.purchase(card, 150_000, "stripe")
    early = link.ask(till.reversal(bought))
    late = link.ask(bought)

    assert early.elements[39] == "00"
    assert late.elements[39] != "00"
    assert 38 not in late.elements
    assert _left_minor(link, till, card) == BALANCE_MINOR


def test_a_reversal_right_behind_its_original_does_not_overtake_it(
    desk: Any, connect: Any, till: Any
) -> None:
    card, link, other = desk.new_card(), connect(desk), connect(desk)
    bought = till.purchase(card, 150_000, "stripe", "right")
    link.send(bought, till.reversal(bought))
    replies = [link.receive(), link.receive()]

    assert [(r.mti, r.elements[39]) for r in replies] == [("0110", "00"), ("0430", "00")]
    assert _left_minor(other, till, card) == BALANCE_MINOR


def test_a_reversal_of_an_unknown_card_is_accepted(desk: Any, connect: Any, till: Any) -> None:
    reply = connect(desk).ask(till.reversal(till.purchase(desk.unknown_card)))

    assert (reply.mti, reply.elements[39]) == ("0430", "00")


def test_a_keep_alive_poll_is_returned(desk: Any, connect: Any) -> None:
    link = connect(desk)
    link.send_bytes(bytes(4))

    assert link.receive_bytes() == b""


@pytest.mark.parametrize("code", ["071", "301"], ids=["a sign-on", "an echo test"])
def test_network_management_is_accepted_with_its_echoes(
    desk: Any, connect: Any, till: Any, code: str
) -> None:
    asked = till.signal(code)
    reply = connect(desk).ask(asked)

    assert reply.mti == "0810"
    assert reply.elements == {**asked.elements, 39: "00"}


def test_after_a_sign_off_requests_get_91_and_reversals_are_taken_until_the_next_sign_on(
    desk: Any, connect: Any, till: Any
) -> None:
    card, link, other = desk.new_card(), connect(desk), connect(desk)
    bought = till.purchase(card, 1_000)
    link.ask(bought)
    signed_off = link.ask(till.signal("072"))
    refused = [line.ask(till.purchase(card, 1_000)).elements[39] for line in (link, other)]
    taken = link.ask(till.reversal(bought))
    other.ask(till.signal("071"))

    assert signed_off.elements[39] == "00"
    assert refused == ["91", "91"]
    assert taken.elements[39] == "00"
    assert link.ask(till.purchase(card, 1_000)).elements[39] == "00"


def test_three_wrong_pins_exhaust_the_card_for_good_also_after_a_restart(
    launch: Any, hsm: Any, issuer: Any, till: Any, connect: Any, tmp_path: Any
) -> None:
    card, other, state = issuer.card(), issuer.card(), tmp_path / "state"
    child = launch.serving(state, hsm, issuer.deck(tmp_path))
    link = connect(child)
    wrong = [link.ask(till.purchase(card, 100, "stripe", "wrong")).elements[39] for _ in range(4)]
    right = link.ask(till.purchase(card, 100, "stripe", "right")).elements[39]
    forgiven = [
        link.ask(till.purchase(other, 100, "stripe", pin)).elements[39]
        for pin in ("wrong", "wrong", "right", "wrong", "wrong", "right")
    ]
    child.kill()
    link = connect(launch.serving(state, hsm))

    assert wrong == ["55", "55", "55", "75"]
    assert right == "75"
    assert forgiven == ["55", "55", "00", "55", "55", "00"]
    assert link.ask(till.purchase(card, 100, "stripe", "right")).elements[39] == "75"
    assert link.ask(till.purchase(other, 100, "stripe", "right")).elements[39] == "00"


def test_the_books_explain_every_hold(
    launch: Any, hsm: Any, issuer: Any, till: Any, connect: Any, tmp_path: Any
) -> None:
    cards, state = [issuer.card(5_000) for _ in range(3)], tmp_path / "state"
    child = launch.serving(state, hsm, issuer.deck(tmp_path))
    link = connect(child)
    replies = [link.ask(till.purchase(card, 2_000, "stripe")) for card in cards for _ in range(3)]
    stopped = child.stop()

    assert [r.elements[39] for r in replies] == ["00", "00", "51"] * 3
    found = launch.book_check(state)
    assert found["balanced"]
    assert found["ledger_sum_minor"] == {"840": 0}
    assert (found["holds_open"], found["held_minor"]) == (6, {"840": 12_000})
    assert found["digest"] == stopped["digest"]


def _other(message: Any, elements: dict[int, str]) -> Any:
    return type(message)(message.header, message.mti, message.elements | elements)


def _left_minor(link: Any, till: Any, card: Any) -> int:
    """What the card can still spend, found by asking: the amounts that are approved, halved when refused."""
    left, step = 0, 200_000
    while step:
        if link.ask(till.purchase(card, step)).elements[39] == "00":
            left += step
        else:
            step //= 10
    return left
