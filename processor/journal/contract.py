"""What every journal promises, and the values it deals in.

A journal is an ordered, fenced log of one shard: one owner at a time, whole batches, sequence without gaps.
Today it is a folder of files; a replicated log must pass the same conformance suite.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

import msgspec

NO_END = 1 << 63  # a sequence behind every record


class Notice(msgspec.Struct, frozen=True):
    """Something `acquire` found and dealt with, for the caller to log.

    ``event``: ``torn_tail_cut`` (``size`` bytes from ``offset`` on are zeros now), ``epoch_file_replaced``
    (it was missing, unreadable or older than the batches), ``reserve_missing`` (no space to make one:
    ordinary appends are refused until there is).
    """

    event: str
    file: str
    offset: int = 0
    size: int = 0


class Lease(msgspec.Struct, frozen=True):
    """The right to append to a shard, until somebody acquires a higher epoch.

    ``last_seq`` is the last durable sequence (0: none yet), ``last_hash`` the SHA-256 of the last batch, both
    as `acquire` left them.
    """

    shard: int
    epoch: int
    last_seq: int
    last_hash: bytes
    notices: tuple[Notice, ...] = ()


class Batch(msgspec.Struct, frozen=True):
    """Records that were written together, the first with sequence ``first_seq``, in order and never empty.

    ``number`` and ``epoch`` are the batch's; ``segment``, ``offset`` and ``size`` (bytes) say where it lies.
    When reading starts inside a batch, the records before are left out and ``first_seq`` is moved.
    """

    first_seq: int
    records: tuple[bytes, ...]
    epoch: int
    number: int
    segment: int
    offset: int
    size: int

    @property
    def last_seq(self) -> int:
        """The sequence of the last record."""
        return self.first_seq + len(self.records) - 1


class Journal(Protocol):
    """An ordered log with one fenced owner; every method blocks until it is done."""

    def acquire(self, shard: int, owner: str, *, after_seq: int = 0) -> Lease:
        """Become the owner, with an epoch higher than any before; ``owner`` is a name for people.

        Batches from ``after_seq`` on are read and checked; pass the snapshot's sequence to spare the rest.
        Errors: Fenced (a live owner holds the shard), Damaged, Full, Ambiguous.
        """

    def append(
        self, lease: Lease, first_seq: int, records: Sequence[bytes], *, use_reserve: bool = False
    ) -> int:
        """Make one batch of records durable; returns the last durable sequence.

        ``first_seq`` is the last durable sequence + 1. ``use_reserve`` is for records that cannot be refused:
        they may use the space kept back for them.
        Errors: Fenced, Full (nothing was written, going on is possible), Ambiguous (stop the process).
        """

    def seal(self, lease: Lease) -> None:
        """Write a sealing batch, so that damage to the batch before it cannot pass for a torn tail.

        Call it when idle. A journal that is sealed already stays as it is.
        Errors: as append.
        """

    def read(self, shard: int, after_seq: int = 0) -> Iterator[Batch]:
        """The records after ``after_seq``, up to the last complete batch; needs no lease and takes no lock.

        The last batch may be one that its writer has not made durable yet.
        Errors: Damaged.
        """

    def release(self, lease: Lease) -> None:
        """Seal and let go. After a failure it only lets go.

        Errors: as append; the shard is free in every case.
        """


class Found(msgspec.Struct, frozen=True):
    """One record: its sequence and its bytes."""

    sequence: int
    raw: bytes


class Finder(Protocol):
    """Finds records by what is in their bytes, without a lease or a lock."""

    def containing(
        self, needles: Collection[bytes], after_seq: int = 0, up_to_seq: int = NO_END
    ) -> Iterator[Found | None]:
        """The records behind ``after_seq`` that contain one of these byte strings, in order.

        None stands for each batch looked at, so that a caller can pause or stop between batches.
        ``up_to_seq`` is the last durable sequence beside a running writer. Errors: Damaged, OSError.
        """

    def newest_first(
        self, needles: Collection[bytes], after_seq: int = 0, up_to_seq: int = NO_END
    ) -> Iterator[Found | None]:
        """As `containing`, from the end."""
