"""One transaction's records, found in the journal by the name that people have: RRN, DE 38, STAN, or number.

Everything here reads; ``pause`` is called between batches, so that a caller can let others run, or stop it.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from processor.journal.contract import NO_END, Finder
from processor.replay.amounts import spoken
from processor.replay.recovery import decode_record
from processor.replay.spoken import tell
from processor.replay.story import answer_of, as_object, lines, utc
from processor.values.commands import Advise, Authorize, Lapse, Record, Reverse
from processor.values.effects import (
    Cause,
    HoldSet,
    Posted,
    PostingTaken,
    TransactionAsked,
    TransactionNamed,
    TransactionOpened,
)
from processor.values.reasons import Reason
from processor.values.requests import Request

MATCHES_MAX = 20
RECORDS_MAX = 100  # of one transaction: more than any purchase has, and an answer stays small

_encode = msgspec.msgpack.encode
_OF_TRANSACTION = (TransactionOpened, TransactionAsked, TransactionNamed, HoldSet, Posted, PostingTaken)


class Match(msgspec.Struct, frozen=True):
    """A transaction that bears the name, by the latest message of it that does.

    ``number`` picks it: the transaction's, or the record's where nothing was opened (it lapsed undecided, or
    it is no message at all). ``by`` is what the name is to it.
    """

    number: int
    record: int
    time: str
    by: str
    mti: str
    network: str
    card: str
    amount: str
    rrn: str
    stan: str
    auth_code: str
    answer: str


class Matches(msgspec.Struct, frozen=True):
    """The latest message that bears the name first; ``more`` when there are older ones, not looked at."""

    matches: tuple[Match, ...]
    more: bool


class Case(msgspec.Struct, frozen=True):
    """The story of one transaction: ``told`` in sentences, and its records with their words.

    ``transaction`` is 0 for a record that is about none; ``more`` tells that there are more records.
    """

    number: int
    transaction: int
    told: tuple[str, ...]
    records: tuple[dict[str, Any], ...]
    more: bool


class Cases:
    """Finds transactions in one journal, up to ``up_to_seq``."""

    def __init__(
        self, finder: Finder, up_to_seq: int = NO_END, pause: Callable[[], None] = lambda: None
    ) -> None:
        self._finder = finder
        self._up_to_seq = up_to_seq
        self._pause = pause

    def named(self, name: str) -> Matches:
        """What bears ``name``, newest first. Errors: Damaged, OSError, whatever ``pause`` raises."""
        found: dict[int, Match] = {}
        if name.isascii() and name.isdigit() and (record := self._record(int(name))) is not None:
            found[_number(record)] = _match(record, "record number")
        names = (name, name.upper())
        for record in self._containing(tuple({_encode(spelled) for spelled in names}), newest_first=True):
            if (by := _bears(record, names)) and _number(record) not in found:
                if len(found) == MATCHES_MAX:
                    return Matches(_newest_first(found), more=True)
                found[_number(record)] = _match(record, by)
        return Matches(_newest_first(found), more=False)

    def case(self, number: int) -> Case | None:
        """The story of the transaction that record ``number`` is about; None without such a record."""
        picked = self._record(number)
        if picked is None:
            return None
        transaction = about(picked)
        chosen: Iterator[Record]
        if transaction:
            chosen = (r for r in self._of(transaction) if _touches(r, transaction))
        elif (request := _request(picked)) is not None:
            key = request.key
            needles = (_encode(key),)
            chosen = (r for r in self._containing(needles) if (q := _request(r)) is not None and q.key == key)
        else:
            chosen = iter((picked,))
        records = [record for record, _ in zip(chosen, range(RECORDS_MAX + 1), strict=False)]
        shown = records[:RECORDS_MAX]
        return Case(
            number,
            transaction,
            tuple(tell(transaction, shown)),
            tuple({**as_object(record), "words": list(lines(record))} for record in shown),
            more=len(records) > len(shown),
        )

    def _record(self, sequence: int) -> Record | None:
        if not 0 < sequence <= min(self._up_to_seq, NO_END):
            return None
        found = self._finder.containing((b"",), sequence - 1, sequence)
        return next((decode_record(f.sequence, f.raw) for f in found if f is not None), None)

    def _of(self, transaction: int) -> Iterator[Record]:
        """The records that can be about a transaction: they have its number where an effect names one."""
        number = _encode(transaction)
        effects = [_encode(kind.__name__) + number for kind in _OF_TRANSACTION]
        verdicts = [
            _encode("original") + reason + bytes([0x90 | count]) + number  # an array of 1 or 3 things seen
            for reason in (_encode(None), _encode(Reason.INVALID_AMOUNT.value))
            for count in (1, 3)
        ]
        return self._containing((*effects, *verdicts), after_seq=transaction - 1)

    def _containing(
        self, needles: tuple[bytes, ...], after_seq: int = 0, *, newest_first: bool = False
    ) -> Iterator[Record]:
        look = self._finder.newest_first if newest_first else self._finder.containing
        for found in look(needles, after_seq, self._up_to_seq):
            if found is None:
                self._pause()
            else:
                yield decode_record(found.sequence, found.raw)


def about(record: Record) -> int:
    """The transaction that a record's message is about; 0 for none."""
    match record.command:
        case Lapse(transaction=number):
            return number
        case Authorize() | Advise() | Reverse():
            named = (number for effect in record.effects if (number := _named(effect)))
            seen = (v.saw[0] for v in record.verdicts if v.rule == "original" and v.saw)
            return next(named, 0) or next((n for n in seen if isinstance(n, int)), 0)
        case _:
            return 0


def _named(effect: object) -> int:
    """The transaction of an effect; 0 for effects of none, and for holds that only expired on the way."""
    if isinstance(effect, HoldSet) and effect.cause is Cause.EXPIRED:
        return 0
    return effect.transaction if isinstance(effect, _OF_TRANSACTION) else 0


def _touches(record: Record, transaction: int) -> bool:
    effects = (e for e in record.effects if isinstance(e, _OF_TRANSACTION))
    return about(record) == transaction or any(e.transaction == transaction for e in effects)


def _request(record: Record) -> Request | None:
    match record.command:
        case Authorize() | Advise() | Reverse() | Lapse():
            return record.command.request
        case _:
            return None


def _number(record: Record) -> int:
    return about(record) or record.sequence


def _bears(record: Record, names: tuple[str, ...]) -> str:
    """What one of the names is to the record; empty if it only happens to contain it."""
    request = _request(record)
    if request is None:
        return ""
    known = (("RRN", request.rrn), ("STAN", request.stan), ("authorization code", _auth_code(record)))
    return next((what for what, value in known if value in names), "")


def _auth_code(record: Record) -> str:
    reply = answer_of(record)
    if reply is not None and reply.auth_code:
        return reply.auth_code
    return record.command.request.auth_code if isinstance(record.command, Advise) else ""


def _match(record: Record, by: str) -> Match:
    request, reply = _request(record), answer_of(record)
    return Match(
        number=_number(record),
        record=record.sequence,
        time=utc(record.sequenced_ms),
        by=by,
        mti=request.mti if request else "",
        network=request.network if request else "",
        card=request.pan_masked if request else "",
        amount=spoken(request.amount) if request else "",
        rrn=request.rrn if request else "",
        stan=request.stan if request else "",
        auth_code=_auth_code(record),
        answer=reply.reason.value if reply else "",
    )


def _newest_first(found: dict[int, Match]) -> tuple[Match, ...]:
    return tuple(sorted(found.values(), key=lambda match: match.record, reverse=True))
