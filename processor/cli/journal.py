"""``standin journal``: read a state folder's journal, and check it."""

import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec

from processor.app import SHARD, keyring
from processor.book.invariants import digest, violations
from processor.journal.audit import Audit, audit
from processor.journal.cipher import Keyring
from processor.journal.file_journal import FileJournal
from processor.replay.recovery import records, recover
from processor.replay.story import Thread, as_object, lines
from processor.secrets import load_secrets
from processor.values.commands import Record
from processor.values.errors import ConfigError, JournalError

app = cyclopts.App(name="journal", help="Read a state folder's journal, and check it.")

Count = Annotated[int, cyclopts.Parameter(validator=cyclopts.validators.Number(gte=0))]


@app.command
def show(
    *, state: Path, after: Count = 0, limit: Count | None = None, card: str = "", json: bool = False
) -> None:
    """Tell the journal's records in words: what was asked, what every rule saw, what was answered and done.

    Cards appear by token and masked PAN: the journal has no more. Reads without a lock, so it may run beside
    the processor. Exit code 0, 1 when the journal is damaged, 2 when there is none.

    Example: standin journal show --state var/state --card 400000******0018 --limit 10

    Args:
        state: The state folder.
        after: Begin behind the record with this sequence number.
        limit: Tell no more than this many records.
        card: Only records about this card and its transactions; its token, or its masked PAN.
        json: Print one JSON object a line.
    """
    journal = FileJournal(_journal(state), _keys(state))
    try:
        for record in islice(_chosen(journal, after, card), limit):
            print(msgspec.json.encode(as_object(record)).decode() if json else "\n".join(lines(record)))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (JournalError, OSError) as error:
        print(f"standin journal show: {error}", file=sys.stderr)
        raise SystemExit(1) from None


@app.command
def verify(*, state: Path, json: bool = False) -> None:
    """Check every batch (CRC, chain, decryption, epochs, sequence) and that the effects apply again.

    Reads without a lock, so it may run beside the processor. Exit code 0 when the journal is sound and the
    books balance (a torn tail is sound: the next start cuts it), 1 when not, 2 when there is no journal.

    Example: standin journal verify --state var/state

    Args:
        state: The state folder.
        json: Print one JSON object.
    """
    folder, keys = _journal(state), _keys(state)
    try:
        found = audit(folder, keys, SHARD)
        books = _books(FileJournal(folder, keys)) if not found.damage else _Books()
    except OSError as error:
        print(f"standin journal verify: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    sound = not (found.damage or books.violations)
    if json:
        told = {**msgspec.structs.asdict(found), **msgspec.structs.asdict(books)}
        print(msgspec.json.encode({"sound": sound, **told}).decode())
    else:
        _print(found, books, sound=sound)
    raise SystemExit(0 if sound else 1)


class _Books(msgspec.Struct):
    """What the effects come to when they are applied again."""

    violations: tuple[str, ...] = ()
    digest: str = ""


def _books(journal: FileJournal) -> _Books:
    try:
        book = recover(journal, SHARD)
    except (JournalError, AssertionError, KeyError) as error:
        return _Books((f"the effects cannot be applied again: {error}",))
    return _Books(tuple(violations(book)), digest(book))


def _journal(state: Path) -> Path:
    folder = state / "journal"
    if not any(folder.glob("*.seg")):
        raise ConfigError([f"{state}: no journal here"])
    return folder


def _keys(state: Path) -> Keyring:
    return keyring(load_secrets(state, create=False))


def _chosen(journal: FileJournal, after: int, card: str) -> Iterator[Record]:
    if not card:
        return records(journal, SHARD, after)
    thread = Thread(card)  # reads from the beginning: an expiry names the transaction only
    followed = (record for record in records(journal, SHARD) if thread.follows(record))
    return (record for record in followed if record.sequence > after)


_ENDS = {
    "released": "sealed by a clean stop",
    "idle": "sealed",
    "opened": "sealed by a start, nothing since",
    "segment": "sealed, a segment just begun",
    "open": "the last batch has records: a processor is running, or it was killed",
    "torn": "a torn tail follows, which the next start cuts; or a batch that is being written now",
    "written": "a processor has written more meanwhile",
    "empty": "no batch at all",
}


def _print(found: Audit, books: _Books, *, sound: bool) -> None:
    told: dict[str, object] = {
        "sound": sound,
        "segments": found.segments,
        "batches": f"{found.batches}, {found.seals} of them seals",
        "records": found.records,
        "epochs": f"{found.epochs}, the last is {found.last_epoch}",
    }
    if found.end is not None:
        told["end"] = f"{found.end.file} at byte {found.end.offset}: {_ENDS[found.end.state]}"
        told["epoch file"] = found.epoch_file
    for name, value in told.items():
        print(f"{name:18} {value}")
    if found.damage:
        print(f"damage             {found.damage}")
    for line in books.violations:
        print(f"violation          {line}")
    if books.digest:
        print(f"digest             {books.digest}")
