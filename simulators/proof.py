"""Three books that must agree: the processor's, the journal's, and the switch's own."""

from typing import Any, NamedTuple

from processor.values.money import Money
from simulators.cards import CURRENCY
from simulators.report import dollars

_DIGEST_SHOWN = 16


class Finding(NamedTuple):
    """One comparison in plain words."""

    holds: bool
    words: str


def compare(last_word: dict[str, Any], book: dict[str, Any], switch: dict[str, Any]) -> list[Finding]:
    """The processor's last word, what another process found in the journal, and the switch's summary."""
    unbalanced = {code: minor for code, minor in book["ledger_sum_minor"].items() if minor}
    held_minor = book["held_minor"].get(CURRENCY, 0)
    return [
        Finding(
            switch["clean"] and switch["sent"] > 0,
            f"every message was answered, and as it must be: {switch['sent']:,} sent, "
            f"{switch['unanswered']:,} unanswered, {sum(switch['mismatches'].values()):,} differ",
        ),
        Finding(
            book["balanced"] and not book["violations"] and not unbalanced and book["sequence"] > 0,
            f"the books balance: {book['transactions']:,} transactions recomputed from the journal, "
            f"{len(book['violations'])} violations, ledger sum {_sums(book['ledger_sum_minor'])}",
        ),
        Finding(
            all(
                last_word.get(name) == book[name]
                for name in ("sequence", "digest", "holds_open", "held_minor")
            ),
            f"the journal has what the processor had in memory: {_state(last_word)} in memory, "
            f"{_state(book)} from the journal",
        ),
        Finding(
            (switch["open_holds"], switch["open_minor"]) == (book["holds_open"], held_minor),
            "the holds are the switch's approvals less its reversals: "
            f"{_holds(book['holds_open'], held_minor)} in the books, "
            f"{_holds(switch['open_holds'], switch['open_minor'])} at the switch",
        ),
    ]


def _sums(ledger_sum_minor: dict[str, int]) -> str:
    return ", ".join(str(Money(minor, code)) for code, minor in ledger_sum_minor.items()) or "of nothing"


def _state(found: dict[str, Any]) -> str:
    return f"{found.get('sequence', 0):,} records, digest {str(found.get('digest'))[:_DIGEST_SHOWN]}"


def _holds(count: int, minor: int) -> str:
    return f"{count:,} of {dollars(minor)}"
