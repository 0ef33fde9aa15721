"""Why an advice or a reversal found no original: what differs from the nearest transaction it could mean.

For people only: nothing is decided by it. The search is bounded: some of the card's open holds, and what of
the latest transactions has the card or the RRN.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from processor.book.state import State, Transaction
from processor.networks.nearest import differing
from processor.values.outcome import Outcome
from processor.values.requests import Advice, Reversal

_LOOKED_AT_MAX = 256


def is_unmatched(outcome: Outcome) -> bool:
    """Whether an advice or a reversal was taken in without its original."""
    return any(verdict.rule == "original" and verdict.saw == ("not seen",) for verdict in outcome.verdicts)


def unlike_original(
    state: State, request: Advice | Reversal, opened: int, links: Sequence[Sequence[str]]
) -> tuple[str, ...] | None:
    """The parts in which its best name differs from the nearest transaction's; None if nothing is near.

    ``opened`` is the transaction that the message itself opened. ``links`` are the profile's rows: how a
    later message names an earlier one.
    """
    best: tuple[str, ...] | None = None
    for name in request.match_keys:
        row, key = _parts(name)
        candidates = [
            candidate
            for transaction in _near(state, request, opened)
            for other, candidate in map(_parts, transaction.keys)
            if other == row
        ]
        found = differing(key, candidates, ("2", *links[int(row)]))
        if found is not None and (best is None or len(found) < len(best)):
            best = found
    return best


def _parts(key: str) -> tuple[str, list[str]]:
    """The row of a match key, and card and parts."""
    _network, row, *parts = key.split("|")
    return row, parts


def _near(state: State, request: Advice | Reversal, opened: int) -> Iterator[Transaction]:
    card = state.cards.get(request.card)
    numbers = set(islice(state.accounts[card.account].holds, _LOOKED_AT_MAX)) if card is not None else set()
    numbers.update(islice(reversed(state.transactions), _LOOKED_AT_MAX))
    for number in sorted(numbers - {opened}, reverse=True):
        transaction = state.transactions[number]
        same = transaction.card == request.card or (request.rrn and transaction.rrn == request.rrn)
        if same and transaction.network == request.network:
            yield transaction
