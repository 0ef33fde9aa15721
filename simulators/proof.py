"""Three books that must agree: the processor's, the journal's, and those of the switches."""

from typing import Any, NamedTuple

from processor.values.money import Money
from simulators.cards import CURRENCY
from simulators.report import dollars

_DIGEST_SHOWN = 16


class Finding(NamedTuple):
    """One comparison in plain words."""

    holds: bool
    words: str


def compare(
    last_word: dict[str, Any], book: dict[str, Any], switches: dict[str, dict[str, Any]]
) -> list[Finding]:
    """The processor's last word, what another process found in the journal, and each switch's summary."""
    unbalanced = {code: minor for code, minor in book["ledger_sum_minor"].items() if minor}
    return [
        *(_answered(network, summary) for network, summary in switches.items()),
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
        *_money(book, switches),
    ]


def _answered(network: str, summary: dict[str, Any]) -> Finding:
    return Finding(
        summary["clean"] and summary["sent"] > 0,
        f"{network}: every message was answered, and as it must be: {summary['sent']:,} sent, "
        f"{summary['unanswered']:,} unanswered, {sum(summary['mismatches'].values()):,} differ",
    )


def _money(book: dict[str, Any], switches: dict[str, dict[str, Any]]) -> list[Finding]:
    """What is held and what is posted: in the books, and at the switches together."""
    booked = book["holds_open"], book["held_minor"].get(CURRENCY, 0)
    switched = _total(switches, "open_holds"), _total(switches, "open_minor")
    cleared_minor = book["cleared_minor"].get(CURRENCY, 0)
    posted_minor = _total(switches, "posted_minor")
    return [
        Finding(
            booked == switched,
            "the holds are what the switches were granted and decided, less what they took back and posted: "
            f"{_holds(*booked)} in the books, {_holds(*switched)} at the switches",
        ),
        Finding(
            cleared_minor == posted_minor,
            "what is posted is what the switches posted, less what they gave back: "
            f"{dollars(cleared_minor)} in the books, {dollars(posted_minor)} at the switches",
        ),
    ]


def _total(switches: dict[str, dict[str, Any]], name: str) -> int:
    return sum(summary[name] for summary in switches.values())


def _sums(ledger_sum_minor: dict[str, int]) -> str:
    return ", ".join(str(Money(minor, code)) for code, minor in ledger_sum_minor.items()) or "of nothing"


def _state(found: dict[str, Any]) -> str:
    return f"{found.get('sequence', 0):,} records, digest {str(found.get('digest'))[:_DIGEST_SHOWN]}"


def _holds(count: int, minor: int) -> str:
    return f"{count:,} of {dollars(minor)}"
