"""``standin book``: look at the books of a state folder."""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import cyclopts
import msgspec

from processor.app import SHARD, keyring
from processor.book.invariants import digest, violations
from processor.book.state import CLEARING, State
from processor.journal.file_journal import FileJournal
from processor.replay.recovery import recover
from processor.secrets import load_secrets
from processor.values.errors import ConfigError, JournalError

app = cyclopts.App(name="book", help="Look at the books of a state folder.")


@app.command
def check(*, state: Path, json: bool = False) -> None:
    """Recompute the books from the journal alone and check that they balance.

    Reads without a lock, so it may run beside the processor; it then sees the books as of some moment ago.
    Exit code 0 when they balance, 1 when they do not or the journal is damaged, 2 when there is none.

    Example: standin book check --state var/state

    Args:
        state: The state folder.
        json: Print one JSON object.
    """
    if not (state / "journal").is_dir():
        raise ConfigError([f"{state}: no journal here"])
    try:
        book = recover(FileJournal(state / "journal", keyring(load_secrets(state, create=False))), SHARD)
    except (JournalError, AssertionError) as error:
        print(f"standin book check: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    found = _findings(book)
    if json:
        print(msgspec.json.encode(found).decode())
    else:
        _print(found)
    raise SystemExit(0 if found["balanced"] else 1)


def _findings(book: State) -> dict[str, Any]:
    broken = violations(book)
    held: Counter[str] = Counter()
    ledger: Counter[str] = Counter()
    cleared: Counter[str] = Counter()
    for account in book.accounts.values():
        held[account.currency] += account.held_minor
        ledger[account.currency] += account.ledger_minor
        if account.name.startswith(CLEARING):
            cleared[account.currency] += account.ledger_minor
    return {
        "balanced": not broken,
        "violations": broken,
        "sequence": book.sequence,
        "digest": digest(book),
        "accounts": len(book.accounts),
        "cards": len(book.cards),
        "transactions": len(book.transactions),
        "answers": len(book.answers),
        "holds_open": len(book.holds),
        "held_minor": dict(held),
        "cleared_minor": dict(cleared),
        "ledger_sum_minor": dict(ledger),
    }


def _print(found: dict[str, Any]) -> None:
    for name, value in found.items():
        if name != "violations":
            print(f"{name:18} {value}")
    for line in found["violations"]:
        print(f"violation          {line}")
