"""``standin journal show`` and ``verify`` on a state folder: sound, damaged, torn, and beside its processor."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from processor.app import SHARD, keyring
from processor.journal.batch import SEAL_BYTES
from processor.journal.file_journal import FileJournal
from processor.secrets import load_secrets
from processor.values.cards import Card
from processor.values.commands import Command, ExpireHolds, IssueCard, Record, Sign
from processor.values.effects import (
    AccountOpened,
    CardIssued,
    Cause,
    Effect,
    HoldSet,
    SignChanged,
    TransactionOpened,
)
from processor.values.money import Money
from processor.values.requests import Direction

pytestmark = pytest.mark.slow

CARDS_OF_TWO_SEGMENTS = 2_500  # of 1 MiB each


def journal(launcher: Any, verb: str, state: Path, *more: str) -> Any:
    """Run a command to its end: exit code, output, error output."""
    child = launcher.command("journal", verb, "--state", str(state), *more)
    code = child.ended()
    return SimpleNamespace(code=code, out="\n".join(child.out.all()), said="\n".join(child.log.all()))


def verified(launcher: Any, state: Path) -> dict[str, Any]:
    """What ``verify --json`` says of a sound journal."""
    result = journal(launcher, "verify", state, "--json")
    assert result.code == 0, result
    return dict(msgspec.json.decode(result.out))


def shown(launcher: Any, state: Path, *more: str) -> list[dict[str, Any]]:
    """The objects of ``show --json``."""
    result = journal(launcher, "show", state, "--json", *more)
    assert result.code == 0, result
    return [msgspec.json.decode(line) for line in result.out.splitlines()]


def segment(state: Path, number: int = 1) -> Path:
    return state / "journal" / f"{number:08}.seg"


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def bytes_of(state: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (state / "journal").iterdir()}


def write(state: Path, *batches: list[tuple[Command, tuple[Effect, ...]]], release: bool = True) -> None:
    """A journal with these records, made without a processor."""
    state.mkdir(exist_ok=True)
    files = FileJournal(state / "journal", keyring(load_secrets(state, create=True)), segment_bytes=1 << 20)
    lease, sequence = files.acquire(SHARD, "test"), 1
    for batch in batches:
        records = [Record(sequence + n, 1_000 * sequence, 1, *parts) for n, parts in enumerate(batch)]
        sequence = files.append(lease, sequence, [msgspec.msgpack.encode(record) for record in records]) + 1
    if release:
        files.release(lease)
    else:
        files._let_go()  # what the end of the process does


def signed(*, on: bool) -> tuple[Command, tuple[Effect, ...]]:
    return Sign("visa-like", on, 0), (SignChanged("visa-like", on),)


@pytest.fixture
def shop(launch: Any, hsm: Any, issuer: Any, till: Any, connect: Any, tmp_path: Path) -> Any:
    """The state folder after a purchase, a refused one, a reversal and a sign-off, and a clean stop."""
    card, poor, state = issuer.card(), issuer.card(balance_minor=999), tmp_path / "state"
    child = launch.serving(state, hsm, issuer.deck(tmp_path))
    link, bought = connect(child), till.purchase(card, 1000, "stripe", "right")
    approved, refused = link.ask(bought), link.ask(till.purchase(poor, 1000))
    link.ask(till.reversal(bought))
    link.ask(till.signal("072"))
    child.stop()
    assert (approved.elements[39], refused.elements[39]) == ("00", "51")
    return SimpleNamespace(state=state, card=card, poor=poor, bought=bought, code=approved.elements[38])


def test_every_record_is_told_with_what_was_asked_seen_answered_and_done(launch: Any, shop: Any) -> None:
    result = journal(launch, "show", shop.state)

    assert result.code == 0, result.said
    told = re.split(r"\n(?=[0-9])", result.out)
    assert [re.sub(r"  [^ ]+Z  ", " ", text.splitlines()[0]) for text in told] == [
        "1 issue card",
        "2 issue card",
        "3 authorize: approved",
        "4 authorize: insufficient_funds",
        "5 reverse: accepted",
        "6 sign",
    ]
    stan = shop.bought.elements[11]
    assert f"0100 on visa-like, card {masked(shop.card)}, debit USD 10.00" in told[2]
    assert f"STAN {stan}, RRN {shop.bought.elements[37]}, sent 1121101530, acquirer 400001" in told[2]
    assert "facts   CVV passed, PIN passed, card version 1" in told[2]
    assert f"answer approved stored, DE 38 {shop.code}" in told[2]
    assert "hold of transaction 3 authorized: ours 1000, the network's none" in told[2]
    assert "rule    funds: refused, insufficient_funds; saw 1000, 999" in told[3]
    assert "rule    card_known: passed" in told[3]
    assert "rule    original: passed; saw 3, 1000, 0" in told[4]
    assert "hold of transaction 3 reversed: ours 1000 void, the network's none void" in told[4]
    assert "visa-like signs off" in told[5]


def masked(card: Any) -> str:
    pan = card.card.pan
    return f"{pan[:6]}******{pan[-4:]}"


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["in words", "as objects"])
def test_nothing_sensitive_is_told(launch: Any, shop: Any, form: tuple[str, ...]) -> None:
    told = journal(launch, "show", shop.state, *form).out

    assert masked(shop.card) in told
    assert "pvv" not in told.lower()
    secrets = load_secrets(shop.state, create=False)
    for secret in (
        shop.card.card.pan,
        shop.card.stripe,
        shop.bought.elements[52],
        *msgspec.structs.astuple(secrets),
    ):
        assert secret not in told


def test_records_are_chosen_by_sequence_number_and_card(launch: Any, shop: Any) -> None:
    def sequences(*more: str) -> list[int]:
        return [record["sequence"] for record in shown(launch, shop.state, *more)]

    assert sequences("--after", "2", "--limit", "3") == [3, 4, 5]
    assert sequences("--card", masked(shop.card)) == [1, 3, 5]
    poor = shown(launch, shop.state, "--card", masked(shop.poor))
    assert [record["sequence"] for record in poor] == [2, 4]
    assert sequences("--card", poor[0]["command"]["card"]["token"], "--after", "2", "--limit", "1") == [4]


def test_a_cards_story_has_the_expiry_of_its_holds_which_names_no_card(launch: Any, tmp_path: Path) -> None:
    def opened(sequence: int, token: str) -> tuple[Command, tuple[Effect, ...]]:
        card = Card(token, "400000******0000", "account:" + token, "4012", "201", "1234", "1", "001", 3, 3)
        transaction = TransactionOpened(
            sequence,
            "visa-like",
            token,
            card.account,
            Money(5, "840"),
            Direction.DEBIT,
            "",
            "",
            (),
            True,
            False,
            0,
        )
        issued = IssueCard(card, Money(0, "840"), 0)
        return issued, (AccountOpened(card.account, "840"), CardIssued(card), transaction)

    def expired(number: int) -> tuple[Command, tuple[Effect, ...]]:
        hold = HoldSet(
            number, Cause.EXPIRED, False, 5, None, False, False, None, False, True, 9_000, "card present"
        )
        return ExpireHolds(1000, 0), (hold,)

    write(tmp_path / "state", [opened(1, "a" * 32), opened(2, "b" * 32), expired(1), expired(2)])

    told = shown(launch, tmp_path / "state", "--card", "b" * 32)
    assert [record["sequence"] for record in told] == [2, 4]
    assert told[1]["name"] == "expire holds"


def test_a_reader_that_has_seen_enough_ends_it_quietly(launch: Any, tmp_path: Path) -> None:
    write(tmp_path / "state", [signed(on=True)] * 2_000)

    show = [sys.executable, "-m", "processor.cli.main", "journal", "show", "--state", str(tmp_path / "state")]
    with subprocess.Popen(show, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait(20) == 0


def test_a_stopped_processors_journal_is_sound_and_its_digest_is_the_books_own(
    launch: Any, shop: Any
) -> None:
    before = bytes_of(shop.state)

    found = verified(launch, shop.state)

    assert found["sound"]
    assert (found["records"], found["segments"], found["epochs"]) == (6, 1, 1)
    assert (found["end"]["state"], found["epoch_file"]) == ("released", "as expected")
    assert found["digest"] == launch.book_check(shop.state)["digest"]
    assert bytes_of(shop.state) == before, "reading changes nothing"


def test_beside_its_processor_the_journal_can_be_read_and_checked(
    launch: Any, hsm: Any, issuer: Any, till: Any, connect: Any, tmp_path: Path
) -> None:
    """Over two segments, while records are being written; nothing is locked and nothing is in the way."""
    for _ in range(CARDS_OF_TWO_SEGMENTS):
        issuer.card()
    card, state = issuer.card(), tmp_path / "state"
    child = launch.serving(state, hsm, issuer.deck(tmp_path))
    link = connect(child)
    link.send(*[till.purchase(card, 1) for _ in range(500)])

    during = verified(launch, state)
    told = shown(launch, state, "--after", str(CARDS_OF_TWO_SEGMENTS + 1))
    assert {link.receive().elements[39] for _ in range(500)} == {"00"}
    after = verified(launch, state)

    assert during["segments"] == after["segments"] == 2
    assert during["records"] <= CARDS_OF_TWO_SEGMENTS + 1 + len(told)
    assert after["records"] == CARDS_OF_TWO_SEGMENTS + 501
    child.kill()
    assert verified(launch, state)["records"] == after["records"]
    launch.serving(state, hsm).stop()
    last = verified(launch, state)
    assert (last["epochs"], last["end"]["state"]) == (2, "released")


def test_a_flipped_bit_is_damage_with_its_file_and_offset(launch: Any, tmp_path: Path) -> None:
    state = tmp_path / "state"
    write(state, [signed(on=True)], [signed(on=False)], [signed(on=True)])
    places = [
        (batch.offset, batch.size)
        for batch in FileJournal(state / "journal", keyring(load_secrets(state, create=False))).read(SHARD)
    ]
    offset, size = places[1]
    overwrite(segment(state), offset + size // 2, b"\xff\xff")

    checked, told = journal(launch, "verify", state), journal(launch, "show", state)

    assert (checked.code, told.code) == (1, 1)
    where = f"{segment(state)} at byte {offset}: the CRC does not fit"
    assert f"damage             {where}" in checked.out
    assert "sound              False" in checked.out
    assert "records            1" in checked.out, "what lies before the damage"
    assert where in told.said
    assert told.out.startswith("1  "), "what lies before it is told"
    assert "Traceback" not in checked.said + told.said


@pytest.mark.parametrize("copied", [False, True], ids=["part of a batch", "a whole batch, not the next one"])
def test_bytes_behind_the_end_are_a_torn_tail_and_sound(launch: Any, tmp_path: Path, copied: bool) -> None:
    state = tmp_path / "state"
    write(state, [signed(on=True)], release=False)
    end = verified(launch, state)["end"]
    assert end["state"] == "open"
    first = segment(state).read_bytes()[:SEAL_BYTES]
    overwrite(segment(state), end["offset"], first if copied else first[:-1])

    result = journal(launch, "verify", state)

    assert result.code == 0
    assert f"{segment(state)} at byte {end['offset']}: a torn tail follows" in result.out
    assert "records            1" in result.out


def zero_the_end(state: Path) -> None:
    overwrite(segment(state), 0, bytes(1 << 20))


def lose_a_segment(state: Path) -> None:
    segment(state, 3).write_bytes(bytes(1 << 20))
    segment(state, 2).unlink(missing_ok=True)


def change_the_key(state: Path) -> None:
    secrets = load_secrets(state, create=False)
    changed = msgspec.structs.replace(secrets, journal_key="00" * 32)
    (state / "secrets.json").write_bytes(msgspec.json.encode(changed))


def lose_the_secrets(state: Path) -> None:
    (state / "secrets.json").unlink()


def lose_the_segments(state: Path) -> None:
    for path in (state / "journal").glob("*.seg"):
        path.unlink()


@pytest.mark.parametrize(
    ("harm", "code", "words"),
    [
        pytest.param(zero_the_end, 1, "the epoch file knows of batch 3", id="the end is gone"),
        pytest.param(lose_a_segment, 1, "00000002.seg is missing", id="a segment is gone"),
        pytest.param(change_the_key, 1, "does not decrypt it", id="the key is another"),
        pytest.param(lose_the_secrets, 2, "secrets.json: No such file", id="the secrets are gone"),
        pytest.param(lose_the_segments, 2, "no journal here", id="there is no journal"),
    ],
)
def test_what_stands_in_the_way_is_named(
    launch: Any, tmp_path: Path, harm: Callable[[Path], None], code: int, words: str
) -> None:
    state = tmp_path / "state"
    write(state, [signed(on=True)])
    harm(state)

    result = journal(launch, "verify", state)

    assert result.code == code
    assert words in result.out + result.said
    assert "Traceback" not in result.said


@pytest.mark.parametrize(
    ("effect", "words"),
    [
        pytest.param(
            HoldSet(7, Cause.AUTHORIZED, False, 1, None, False, False, None, False, False, 1, ""),
            "the effects cannot be applied again: 7",
            id="a hold of no transaction",
        ),
        pytest.param(
            TransactionOpened(
                1, "visa-like", "", "nobody's", Money(1, "840"), Direction.DEBIT, "", "", (), True, False, 0
            ),
            "a transaction's account exists",
            id="a transaction on no account",
        ),
    ],
)
def test_effects_that_cannot_be_applied_again_are_told(
    launch: Any, tmp_path: Path, effect: Effect, words: str
) -> None:
    state = tmp_path / "state"
    write(state, [(Sign("visa-like", signed_on=True, received_ms=0), (effect,))])

    result = journal(launch, "verify", state)

    assert result.code == 1
    assert words in result.out
    assert "sound              False" in result.out


def test_a_missing_epoch_file_is_told_and_sound(launch: Any, tmp_path: Path) -> None:
    state = tmp_path / "state"
    write(state, [signed(on=True)])
    (state / "journal" / "epoch").unlink()

    assert verified(launch, state)["epoch_file"] == "missing"
