"""``standin book``: look at the books of a state folder."""

import getpass
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import cyclopts
import msgspec

from processor.app import SHARD, keyring
from processor.book.invariants import digest, violations
from processor.book.state import CLEARING, State
from processor.cli.asking import ask_running, journal_of, keyring_of, print_lines, secrets_of
from processor.journal.file_journal import FileJournal
from processor.replay.names import wrong_with
from processor.replay.recovery import recover
from processor.replay.statement import CardLine, Shown, Statement, finish
from processor.replay.statement import show as statement_of
from processor.secrets import load_secrets
from processor.values.clock import SystemClock
from processor.values.errors import ConfigError, JournalError
from processor.values.sensitive import Pan, Tokens

app = cyclopts.App(name="book", help="Look at the books of a state folder.")

_DIGITS = re.compile(r"[0-9][0-9 -]{10,}[0-9]")


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


@app.command
def show(
    name: Annotated[str, cyclopts.Parameter(allow_leading_hyphen=True)], *, state: Path, json: bool = False
) -> None:
    """Show how a card or an account stands: ledger, holds one by one, what is available, PIN tries, usage.

    Asks the processor that runs in the state folder, or reads the journal when none does. Cards that share a
    masked number are listed. A card number in clear is only taken from a prompt or from stdin, with ``-``.
    Exit code 0 when there is something to show, 1 when nothing bears the name or the journal is damaged, 2
    when there is no journal.

    Example: standin book show 400000******0018 --state var/state

    Args:
        name: A card's token or masked number, an account's name, or - to be asked for a card number.
        state: The state folder.
        json: Print one JSON object.
    """
    name = _token_of_typed(state) if name == "-" else _checked(name)
    try:
        found = ask_running(state, "book", name, Shown) or _read(state, name)
    except (JournalError, OSError) as error:
        print(f"standin book show: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    if json:
        print_lines(msgspec.json.encode(found).decode())
    else:
        print_lines(*_told(found, name))
    raise SystemExit(0 if found.statement or found.cards else 1)


def _checked(name: str) -> str:
    """Refuse what could be a card number: command lines are seen by others and kept in histories."""
    if _DIGITS.fullmatch(name):
        raise ConfigError(["a card number does not belong on a command line: use - and type it when asked"])
    if wrong := wrong_with(name):
        raise ConfigError([wrong])
    return name


def _token_of_typed(state: Path) -> str:
    """Ask for a card number, without showing it, and make its token. Errors: ConfigError."""
    typed = getpass.getpass("card number: ") if sys.stdin.isatty() else sys.stdin.readline()
    try:
        pan = Pan(typed.strip().replace(" ", "").replace("-", ""))
    except ValueError as error:
        raise ConfigError([str(error)]) from None
    return Tokens(bytes.fromhex(secrets_of(state).pan_token_key)).token(pan)


def _read(state: Path, name: str) -> Shown:
    book = recover(FileJournal(journal_of(state), keyring_of(state)), SHARD)
    return finish(statement_of(book, name, SystemClock().wall_ms()))


def _told(found: Shown, name: str) -> list[str]:
    if found.statement is not None:
        return _statement(found.statement)
    if not found.cards:
        return [f"no card and no account bears the name {name}"]
    count = f"{len(found.cards)} cards bear the number {name}; choose one by its token"
    return [count, "", *(_card(card) for card in found.cards)]


def _statement(s: Statement) -> list[str]:
    holds = [
        f"  {hold.transaction:>10}  {hold.amount.text:>18}  until {hold.until}  {hold.why}, {hold.network}"
        f"{f', RRN {hold.rrn}' if hold.rrn else ''}{f', code {hold.auth_code}' if hold.auth_code else ''}"
        for hold in s.holds
    ]
    last = [
        f"  {line.transaction:>10}  {line.day}  {line.direction:6} {line.amount.text:>18}  {line.standing}"
        f"{f', RRN {line.rrn}' if line.rrn else ''}, {line.network}"
        for line in s.transactions
    ]
    more = [f"  and {s.holds_open - len(s.holds)} more"] if s.holds_open > len(s.holds) else []
    return [
        f"{s.account}, as of record {s.as_of_record} at {s.as_of}",
        f"  ledger     {s.ledger.text:>20}",
        f"  held       {s.held.text:>20}",
        f"  available  {s.available.text:>20}",
        "",
        f"cards: {len(s.cards) or 'none'}",
        *(f"  {_card(card)}" for card in s.cards),
        "",
        f"open holds: {s.holds_open or 'none'}",
        *holds,
        *more,
        "",
        f"last transactions: {'' if last else 'none'}".rstrip(),
        *last,
    ]


def _card(card: CardLine) -> str:
    used = f"used today {card.times_today} times for {card.used_today.text}"
    tries = f"{card.pin_tries_left} of {card.pin_tries_max} PIN tries left"
    return (
        f"{card.card}  {card.status}, good through {card.expiry} (YYMM), {tries}, {used}  token {card.token}"
    )


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
