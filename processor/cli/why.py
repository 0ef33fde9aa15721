"""``standin why``: the story of one transaction."""

import sys
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec

from processor.app import SHARD
from processor.cli.asking import ask_running, journal_of, keyring_of, print_lines
from processor.journal.lookup import Lookup
from processor.replay.case import Case, Cases, Match
from processor.replay.names import wrong_with
from processor.services.http.questions import Why, explain
from processor.values.errors import ConfigError, JournalError

app = cyclopts.App(name="why")


@app.default
def why(
    name: str,
    *,
    state: Path,
    pick: Annotated[int, cyclopts.Parameter(validator=cyclopts.validators.Number(gte=0))] = 0,
    json: bool = False,
) -> None:
    """Tell why a transaction was answered as it was: messages, facts, rules, effects, answer.

    Asks the processor that runs in the state folder, or reads the journal when none does. Where several
    transactions bear the name they are listed, and ``--pick`` chooses one of these. A card number is no name
    here: ``standin book show -`` takes one, and lists its transactions.
    Exit code 0 when there is something to tell, 1 when nothing bears the name or the journal is damaged, 2
    when there is no journal, no such name can be, or the pick is not one of those that bear it.

    Example: standin why 632510000001 --state var/state

    Args:
        name: RRN (DE 37), authorization code (DE 38), STAN (DE 11), or a record's number.
        state: The state folder.
        pick: The number of one of those that were listed.
        json: Print one JSON object.
    """
    if wrong := wrong_with(name):
        raise ConfigError([wrong])
    try:
        found = ask_running(state, "why", name, Why, pick=pick) or _read(state, name, pick)
    except (JournalError, OSError) as error:
        print(f"standin why: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    if pick and found.case is None and found.matches.matches:
        raise ConfigError([f"--pick {pick}: is none of those that bear the name: {_numbers(found)}"])
    if json:
        print_lines(msgspec.json.encode(found).decode())
    else:
        print_lines(*_lines(found))
    raise SystemExit(0 if found.case or found.matches.matches else 1)


def _read(state: Path, name: str, pick: int) -> Why:
    return explain(Cases(Lookup(journal_of(state), keyring_of(state), SHARD)), name, pick)


def _numbers(found: Why) -> str:
    older = ", and older ones by their record number alone" if found.matches.more else ""
    return ", ".join(str(match.number) for match in found.matches.matches) + older


def _lines(found: Why) -> list[str]:
    if found.case is not None:
        return [*_story(found.case), "", found.without_record]
    matches = found.matches.matches
    if not matches:
        what = "neither RRN, authorization code, STAN nor record number"
        return [f"nothing bears the name {found.name}: {what}", "", found.without_record]
    more = "; there are older ones, by their record number alone" if found.matches.more else ""
    return [
        f"{len(matches)} bear the name {found.name}, the latest message first{more}",
        "choose one with --pick NUMBER",
        "",
        *_table(matches),
        "",
        found.without_record,
    ]


_HEADS = ("latest message", "number", "message", "card", "amount", "RRN", "code", "answer", "by")


def _table(matches: tuple[Match, ...]) -> list[str]:
    rows = [_HEADS] + [
        (
            match.time,
            str(match.number),
            f"{match.mti} {match.network}".strip(),
            match.card,
            match.amount,
            match.rrn,
            match.auth_code,
            match.answer,
            match.by,
        )
        for match in matches
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _story(case: Case) -> list[str]:
    title = f"Transaction {case.transaction}" if case.transaction else f"Record {case.number}"
    more = ["(there are more records than these)"] if case.more else []
    records = [line for record in case.records for line in record["words"]]
    return [title, "", *case.told, "", "Records", "", *records, *more]
