"""What every journal promises, run against each implementation: add a factory to JOURNALS."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processor.journal.cipher import Keyring
from processor.journal.contract import Journal
from processor.journal.file_journal import FileJournal
from processor.values.errors import Fenced

Open = Callable[[], Journal]
SHARD = 3


def file_journals(place: Path) -> Open:
    """Each call is another program that looks at the same journal."""
    keys = Keyring({1: b"k" * 32}, 1)
    return lambda: FileJournal(place / "journal", keys, segment_bytes=2048)


JOURNALS = {"files in a folder": file_journals}


@pytest.fixture(params=list(JOURNALS.values()), ids=list(JOURNALS))
def another(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    opener: Open = request.param(tmp_path)
    return opener


def stored(journal: Journal, after_seq: int = 0) -> list[tuple[int, bytes]]:
    """Sequence and record of everything that is read."""
    return [
        (batch.first_seq + at, record)
        for batch in journal.read(SHARD, after_seq)
        for at, record in enumerate(batch.records)
    ]


def test_a_new_journal_is_empty(another: Open) -> None:
    lease = another().acquire(SHARD, "one")

    assert (lease.shard, lease.last_seq, lease.notices) == (SHARD, 0, ())
    assert stored(another()) == []


def test_nothing_was_ever_written_reads_as_nothing(another: Open) -> None:
    assert stored(another()) == []


def test_records_come_back_in_order_with_their_sequences(another: Open) -> None:
    journal = another()
    lease = journal.acquire(SHARD, "one")

    assert journal.append(lease, 1, [b"a", b"b"]) == 2
    assert journal.append(lease, 3, [b"c"]) == 3
    assert stored(another()) == [(1, b"a"), (2, b"b"), (3, b"c")]


def test_reading_can_begin_inside_a_batch(another: Open) -> None:
    journal = another()
    lease = journal.acquire(SHARD, "one")
    journal.append(lease, 1, [b"a", b"b", b"c"])
    journal.append(lease, 4, [b"d"])

    assert stored(journal, after_seq=2) == [(3, b"c"), (4, b"d")]
    assert stored(journal, after_seq=4) == []


def test_the_next_owner_goes_on_where_the_last_stopped(another: Open) -> None:
    first = another()
    lease = first.acquire(SHARD, "one")
    first.append(lease, 1, [b"a"])
    first.release(lease)

    second = another()
    later = second.acquire(SHARD, "two")
    second.append(later, 2, [b"b"])

    assert (later.last_seq, later.epoch > lease.epoch) == (1, True)
    assert stored(another()) == [(1, b"a"), (2, b"b")]


def test_one_object_can_own_release_and_own_again(another: Open) -> None:
    journal = another()
    for sequence in (1, 2, 3):
        lease = journal.acquire(SHARD, "one")
        journal.append(lease, sequence, [b"r"])
        journal.release(lease)

    assert [sequence for sequence, _ in stored(journal)] == [1, 2, 3]


def test_a_second_owner_is_refused_while_the_first_lives(another: Open) -> None:
    first = another()
    lease = first.acquire(SHARD, "the first owner")

    with pytest.raises(Fenced, match="the first owner"):
        another().acquire(SHARD, "the second")

    first.release(lease)
    assert another().acquire(SHARD, "the second").epoch == lease.epoch + 1


def test_a_lease_that_was_released_appends_nothing(another: Open) -> None:
    journal = another()
    old = journal.acquire(SHARD, "one")
    journal.release(old)

    with pytest.raises(Fenced):
        journal.append(old, 1, [b"late"])
    journal.acquire(SHARD, "one")
    with pytest.raises(Fenced):
        journal.append(old, 1, [b"late"])
    assert stored(journal) == []


@pytest.mark.parametrize(
    ("first_seq", "records"),
    [
        pytest.param(1, [], id="a batch without records"),
        pytest.param(1, [b"a", b""], id="an empty record"),
        pytest.param(2, [b"a"], id="a gap in the sequence"),
        pytest.param(0, [b"a"], id="a sequence that was used"),
    ],
)
def test_what_may_not_be_written_is_our_own_error(
    another: Open, first_seq: int, records: list[bytes]
) -> None:
    journal = another()
    lease = journal.acquire(SHARD, "one")

    with pytest.raises(AssertionError):
        journal.append(lease, first_seq, records)
    assert journal.append(lease, 1, [b"fine"]) == 1


def test_a_reader_beside_the_writer_sees_each_batch_when_it_is_complete(another: Open) -> None:
    writer, reader = another(), another()
    lease = writer.acquire(SHARD, "writer")
    for sequence in range(1, 60):  # over several segments
        writer.append(lease, sequence, [b"r" * 100])
        assert [seq for seq, _ in stored(reader, after_seq=sequence - 1)] == [sequence]


def test_a_reader_that_began_before_an_append_still_ends_well(another: Open) -> None:
    writer, reader = another(), another()
    lease = writer.acquire(SHARD, "writer")
    writer.append(lease, 1, [b"a"])
    reading = reader.read(SHARD)
    assert next(reading).records == (b"a",)

    for sequence in range(2, 60):
        writer.append(lease, sequence, [b"r" * 100])

    assert all(batch.records == (b"r" * 100,) for batch in reading)


def test_sealing_twice_changes_nothing_and_moves_no_sequence(another: Open) -> None:
    journal = another()
    lease = journal.acquire(SHARD, "one")
    journal.append(lease, 1, [b"a"])
    journal.seal(lease)
    journal.seal(lease)

    assert journal.append(lease, 2, [b"b"]) == 2
    assert stored(another()) == [(1, b"a"), (2, b"b")]


BATCHES = st.lists(st.lists(st.binary(min_size=1, max_size=120), min_size=1, max_size=6), max_size=12)


@pytest.mark.slow
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=BATCHES, seals=st.sets(st.integers(0, 12)), restarts=st.sets(st.integers(0, 12)))
@pytest.mark.parametrize("make", JOURNALS.values(), ids=JOURNALS.keys())
def test_whatever_is_appended_is_read_back(
    make: Callable[[Path], Open],
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[list[bytes]],
    seals: set[int],
    restarts: set[int],
) -> None:
    another = make(tmp_path_factory.mktemp("any"))
    journal, appended = another(), list[bytes]()
    lease = journal.acquire(SHARD, "one")
    for at, records in enumerate(batches):
        if at in restarts:
            journal.release(lease)
            journal = another()
            lease = journal.acquire(SHARD, "one")
            assert lease.last_seq == len(appended)
        assert journal.append(lease, len(appended) + 1, records) == len(appended) + len(records)
        appended += records
        if at in seals:
            journal.seal(lease)

    assert stored(another()) == list(enumerate(appended, 1))
    for after_seq in range(len(appended) + 1):
        assert [record for _, record in stored(another(), after_seq)] == appended[after_seq:]
