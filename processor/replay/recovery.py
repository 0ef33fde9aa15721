"""State from the journal: the effects of every record, applied in order. No rule is run again."""

import gc
from collections.abc import Iterator

import msgspec

from processor.book.state import State
from processor.core.executor import redo
from processor.journal.contract import Journal
from processor.values.commands import Record
from processor.values.errors import Damaged

_decode = msgspec.msgpack.Decoder(Record).decode


def records(journal: Journal, shard: int, after_seq: int = 0) -> Iterator[Record]:
    """The journal's records after ``after_seq``, decoded.

    Raises:
        Damaged: a batch or a record cannot be read.
    """
    for batch in journal.read(shard, after_seq):
        for number, raw in enumerate(batch.records, batch.first_seq):
            yield decode_record(number, raw)


def decode_record(number: int, raw: bytes) -> Record:
    """The record with this sequence from its bytes. Errors: Damaged."""
    try:
        record = _decode(raw)
    except msgspec.MsgspecError as error:
        raise Damaged(f"record {number}: {error}") from None
    if record.sequence != number:
        raise Damaged(f"record {number}: says it is {record.sequence}")
    return record


def recover(journal: Journal, shard: int) -> State:
    """The state as of the journal's last record. The collector rests meanwhile: nothing here is garbage."""
    state = State()
    collecting = gc.isenabled()
    gc.disable()
    try:
        for record in records(journal, shard):
            redo(state, record)
    finally:
        if collecting:
            gc.enable()
    return state
