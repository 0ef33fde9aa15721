"""An advice or a reversal whose original is not found: what differs from the nearest transaction."""

from typing import Any

import msgspec
import pytest

from processor.core.unmatched import is_unmatched, unlike_original
from processor.values.outcome import Outcome

LINKS = (("62.2",), ("37", "38"), ("90.7", "90.11", "90.32"))
NAME = "visa-like|2|card|1118120000|000001|432109"


@pytest.fixture
def held(office: Any, purchase: Any) -> Any:
    """An office with one purchase of the card, known by its moment, STAN and acquirer."""
    office.ask(purchase(match_keys=(NAME,)))
    office.settle()
    return office


def taken_in(office: Any, request: Any) -> tuple[Outcome, tuple[str, ...] | None]:
    asker = office.ask(request)
    office.settle()
    outcome = asker.answers[0]
    return outcome, unlike_original(office.state, request, outcome.transaction, LINKS)


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        pytest.param("card|1118120000|000001|999999", ("acquirer",), id="another acquirer"),
        pytest.param("card|1118120000|000009|432109", ("stan",), id="another STAN"),
        pytest.param("card|1118120001|000009|432109", ("transmitted", "stan"), id="two parts"),
        pytest.param("other|1118120000|000001|432109", ("card",), id="another card, the same RRN"),
    ],
)
def test_the_nearest_transaction_tells_what_differs(
    held: Any, reversal: Any, name: str, differs: tuple[str, ...]
) -> None:
    request = reversal(stan="000009", match_keys=(f"visa-like|2|{name}",), card=name.partition("|")[0])
    outcome, found = taken_in(held, msgspec.structs.replace(request, rrn="rrn000001"))

    assert is_unmatched(outcome)
    assert found == differs


def test_nothing_is_near_a_card_without_transactions(held: Any, reversal: Any) -> None:
    name = "visa-like|2|other|1231000000|777777|111111"
    outcome, found = taken_in(held, reversal(stan="000009", match_keys=(name,), token="other", rrn="x"))

    assert is_unmatched(outcome)
    assert found is None


def test_one_that_finds_its_original_is_not_unmatched(held: Any, reversal: Any) -> None:
    outcome, _ = taken_in(held, reversal(match_keys=(NAME,)))

    assert not is_unmatched(outcome)


def test_the_search_is_bounded_however_much_there_is(office: Any, purchase: Any, reversal: Any) -> None:
    for n in range(2000):
        office.ask(purchase(stan=f"{n:06}", minor=1, match_keys=(f"visa-like|2|card|1|{n:06}|9",)))
        office.settle()
    seen: list[int] = []
    transactions = office.state.transactions

    class Counting(dict):  # type: ignore[type-arg]
        def __getitem__(self, number: int) -> Any:
            seen.append(number)
            return transactions[number]

    office.state.transactions = Counting(transactions)
    unlike_original(office.state, reversal(match_keys=("visa-like|2|card|1|5|8",)), 0, LINKS)

    assert len(seen) <= 512
