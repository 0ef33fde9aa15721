"""Records looked up by name, told in sentences; cards and accounts as statements: on a journal of a real core."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from processor.book.state import State
from processor.cli.book import show as book_show
from processor.cli.why import why
from processor.core.executor import Core
from processor.core.identity import Identity
from processor.core.terms import Terms
from processor.journal.audit import check_end
from processor.journal.cipher import Keyring
from processor.journal.file_journal import FileJournal
from processor.journal.lookup import Lookup
from processor.replay.case import MATCHES_MAX, RECORDS_MAX, Cases
from processor.replay.names import wrong_with
from processor.replay.statement import finish, show
from processor.services.http.questions import explain
from processor.values.cards import Card
from processor.values.commands import Advise, Authorize, ExpireHolds, IssueCard, Lapse, Reverse
from processor.values.errors import ConfigError, Damaged
from processor.values.facts import Facts
from processor.values.money import Money
from processor.values.outcome import Outcome
from processor.values.requests import AUTH_CODE, Advice, Authorization, CvvKind, Direction, Original, Reversal
from rules.policy import parse_policy

NOW_MS = 1_795_000_000_000  # 2026-11-18
DAY_MS = 86_400_000
MASKED = "400000******7899"
EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def request(kind: type, stan: str, **changes: Any) -> Any:
    """A request of some kind about the transaction with this STAN."""
    names = (f"{stan}|{AUTH_CODE}", stan) if kind is Authorization else (stan,)
    values: dict[str, Any] = {
        "network": "visa-like",
        "mti": {Authorization: "0100", Advice: "0120", Reversal: "0420"}[kind],
        "key": f"{kind.__name__}|{stan}",
        "content": "x",
        "match_keys": names,
        "card": "c" * 32,
        "pan_masked": MASKED,
        "processing_code": "000000",
        "amount": Money(1000, "840"),
        "transmitted": "1118120000",
        "stan": stan,
        "rrn": f"632510{stan}",
        "acquirer": "400001",
        "direction": Direction.DEBIT,
        "single_message": False,
        "transaction_amount": Money(1000, "840"),
        "terminal": "T",
        "merchant": "M",
        "merchant_category": "5411",
        "country": "840",
        "entry_mode": "01",
        "condition": "00",
        "expiry": "",
        "pin_present": False,
        "cvv_kind": CvvKind.NONE,
        "hold_days": 7,
        "hold_class": "card absent",
        "known_by": (stan,),
        "known_type": True,
        "financial": False,
        "approved": True,
        "auth_code": "STIP01",
        "reason": "9020",
        "total": None,
        "of_late_answer": False,
        "original": Original.AUTHORIZATION,
    }
    return kind(**{name: {**values, **changes}[name] for name in kind.__struct_fields__})


class House:
    """A core whose records go into a journal of small segments, batch by batch."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.keys = folder, Keyring({1: bytes(32)}, current=1)
        self._journal = FileJournal(folder, self.keys, segment_bytes=1 << 16)
        self._lease = self._journal.acquire(0, "test")
        self._records: list[Any] = []
        policy = parse_policy((EXAMPLES / "lab-policy.toml").read_text(), "lab-policy.toml")
        self.state = State()
        self._core = Core(
            self.state, Terms(policy, Identity(bytes(32)), frozenset({"visa-like"})), self._records.append
        )
        self.now_ms = NOW_MS
        for token, account in (("c" * 32, "account:c"), ("d" * 32, "account:d")):
            card = Card(token, MASKED, account, "2912", "201", "1234", "1", "001", 3, 3)
            self.do(IssueCard(card, Money(100_000, "840"), NOW_MS))

    def do(self, command: Any) -> Outcome:
        """Execute a command and write its record as a batch."""
        outcome = self._core.execute(command, self.now_ms)
        self.write()
        return outcome

    def write(self) -> None:
        raw = [msgspec.msgpack.encode(record) for record in self._records]
        self._journal.append(self._lease, self._records[0].sequence, raw)
        self._records.clear()

    def buy(self, stan: str, **changes: Any) -> Outcome:
        return self.do(Authorize(request(Authorization, stan, **changes), Facts(card_version=1), self.now_ms))

    def cases(self, **changes: Any) -> Cases:
        return Cases(Lookup(self.folder, self.keys, 0), **changes)

    def close(self) -> None:
        self._journal.release(self._lease)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A house with two cards (records 1 and 2)."""
    house = House(tmp_path / "journal")
    yield house
    house.close()


def told(house: House, number: int) -> str:
    case = house.cases().case(number)
    assert case is not None
    return "\n".join(case.told)


def test_every_name_finds_the_transaction_and_says_what_it_is(house: House) -> None:
    """RRN, authorization code, STAN and record number."""
    bought = house.buy("000003")
    house.buy("000004")

    def found(name: str) -> list[tuple[int, str]]:
        return [(match.number, match.by) for match in house.cases().named(name).matches]

    assert found("632510000003") == [(3, "RRN")]
    assert found(bought.reply.auth_code) == [(3, "authorization code")]
    assert found(bought.reply.auth_code.lower()) == [(3, "authorization code")]
    assert found("000003") == [(3, "record number")], "a STAN too, but it is one transaction"
    assert found("4") == [(4, "record number")]
    assert found("632510000005") == found("NOSUCH") == found("99") == []


def test_a_name_that_several_bear_lists_them_newest_first_each_transaction_once(house: House) -> None:
    for turn in range(3):
        house.buy(f"00000{turn}", rrn="SAMEFORALLOF")
        house.do(Reverse(request(Reversal, f"00000{turn}", rrn="SAMEFORALLOF"), NOW_MS))

    assert [match.number for match in house.cases().named("SAMEFORALLOF").matches] == [7, 5, 3]


def test_a_name_that_very_many_bear_is_cut_and_says_so(house: House) -> None:
    for turn in range(MATCHES_MAX + 5):
        house.buy(f"{turn:06}", rrn="SAMEFORALLOF")
    found = house.cases().named("SAMEFORALLOF")

    assert (len(found.matches), found.more) == (MATCHES_MAX, True)
    assert found.matches[0].number == MATCHES_MAX + 7


def test_the_story_has_every_record_that_touched_the_transaction_and_no_other(house: House) -> None:
    """Also the expiry by another request of the account, which names it only in an effect."""
    house.buy("000003")
    house.do(Advise(request(Advice, "000003", mti="0120"), NOW_MS))
    house.buy("000009", card="d" * 32)
    house.do(Reverse(request(Reversal, "000003", total=Money(400, "840")), NOW_MS))
    house.now_ms += 8 * DAY_MS
    house.buy("000010")
    case = house.cases().case(3)

    assert case is not None
    assert [record["sequence"] for record in case.records] == [3, 4, 6, 7]
    assert house.cases().case(6) == msgspec.structs.replace(case, number=6), "any of its records picks it"
    later = house.cases().case(7)
    assert later is not None
    assert later.transaction == 7, "the request that freed the hold is about its own transaction"
    assert case.told[3].startswith("USD 10.00 is held until")
    assert "A part was reversed.\nUSD 4.00 is held until" in "\n".join(case.told)
    assert case.told[-1] == "As it stands, nothing is held and nothing is posted."


STORIES: list[Any] = [
    pytest.param(
        lambda house: house.buy("000003", amount=Money(100_001, "840")),
        ["The answer was insufficient funds.", "because USD 1,000.01 was asked for and USD 1,000.00 was available"],
        id="too little money",
    ),
    pytest.param(
        lambda house: house.buy("000003", card="e" * 32), ["because the card is not on file"], id="a strange card"
    ),
    pytest.param(
        lambda house: house.buy("000003", amount=Money(1, "978")),
        ["because the amount is in EUR and the account in USD"],
        id="another currency",
    ),
    pytest.param(
        lambda house: house.buy("000003", network="mc-like"),
        ["because the network was signed off"],
        id="a network that is signed off",
    ),
    pytest.param(
        lambda house: house.do(Reverse(request(Reversal, "000003"), NOW_MS)),
        ["told us to take back the whole USD 10.00 on card", "What it is about had not been seen before."],
        id="a reversal of nothing",
    ),
    pytest.param(
        lambda house: house.do(Advise(request(Advice, "000003", card="e" * 32), NOW_MS)),
        ["approved USD 10.00 on card 400000******7899 in our place", "No account can bear it: it is in suspense:840"],
        id="an advice for nobody",
    ),
    pytest.param(
        lambda house: house.buy("000003", single_message=True, mti="0200"),
        ["USD 10.00 was taken from account:c, to clearing:840.", "and USD 10.00 is posted."],
        id="a single message",
    ),
    pytest.param(
        lambda house: house.do(Lapse(request(Authorization, "000003"), 0, NOW_MS)),
        ["our time to answer visa-like was over", "The answer was late.", "No transaction was opened, and no money moved."],
        id="a deadline before any decision",
    ),
    pytest.param(
        lambda house: house.do(ExpireHolds(10, NOW_MS)), ["holds were looked through"], id="a tick of the clock"
    ),
]  # fmt: skip


@pytest.mark.parametrize(("happens", "sentences"), STORIES)
def test_a_story_is_told_in_sentences(
    house: House, happens: Callable[[House], Outcome], sentences: list[str]
) -> None:
    happens(house)

    for sentence in sentences:
        assert sentence in told(house, 3)


def test_a_transaction_with_very_many_records_is_cut_and_says_so(house: House) -> None:
    house.buy("000003")
    for turn in range(RECORDS_MAX + 5):
        house.do(Reverse(request(Reversal, "000003", key=f"again {turn}"), NOW_MS))
    case = house.cases().case(3)

    assert case is not None
    assert (len(case.records), case.more) == (RECORDS_MAX, True)


def test_records_behind_the_durable_one_are_not_told(house: House) -> None:
    house.buy("000003")

    assert house.cases(up_to_seq=2).named("632510000003").matches == ()
    assert house.cases(up_to_seq=2).case(3) is None


def test_a_search_can_be_stopped_between_batches(house: House) -> None:
    house.buy("000003")

    def stop() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        house.cases(pause=stop).named("632510000003")


def test_records_are_found_over_segments_from_either_end(house: House) -> None:
    for turn in range(200):
        house.buy(f"{turn:06}", rrn="ABC" if turn in {0, 120, 199} else f"{turn:012}")
    lookup = Lookup(house.folder, house.keys, 0)
    needle = (msgspec.msgpack.encode("ABC"),)

    assert len(list(house.folder.glob("*.seg"))) >= 3
    assert [f.sequence for f in lookup.containing(needle) if f] == [3, 123, 202]
    assert [f.sequence for f in lookup.newest_first(needle) if f] == [202, 123, 3]
    assert [f.sequence for f in lookup.containing(needle, after_seq=3, up_to_seq=123) if f] == [123]


def test_a_flipped_bit_is_damage_and_half_a_batch_at_the_end_is_not(house: House) -> None:
    for turn in range(3):
        house.buy(f"{turn:06}")
    places = [(batch.offset, batch.size) for batch in house._journal.read(0)]
    path = house.folder / "00000001.seg"
    whole = path.read_bytes()

    def with_hole_in(batch: int) -> list[int]:
        offset, size = places[batch]
        path.write_bytes(whole[: offset + size - 10] + b"\xff" * 5 + whole[offset + size - 5 :])
        return [f.sequence for f in Lookup(house.folder, house.keys, 0).containing((b"",)) if f]

    (house.folder / "00000002.seg").unlink(missing_ok=True)
    assert with_hole_in(-1) == [1, 2, 3, 4], "a torn tail"
    assert check_end(house.folder, house.keys, 0).last_seq == 4
    with pytest.raises(Damaged, match=f"00000001.seg at byte {places[1][0]}"):
        with_hole_in(1)
    with pytest.raises(Damaged):
        check_end(house.folder, house.keys, 0)
    path.write_bytes(whole)


def test_another_key_or_shard_is_damage(house: House) -> None:
    house.buy("000003")
    house.buy("000004")

    with pytest.raises(Damaged, match="belongs to shard 0, not 7"):
        list(Lookup(house.folder, house.keys, 7).containing((b"",)))
    with pytest.raises(Damaged, match="does not decrypt"):
        list(Lookup(house.folder, Keyring({1: b"k" * 32}, current=1), 0).containing((b"",)))


def test_a_statement_has_ledger_holds_usage_and_last_transactions(house: House) -> None:
    for turn in range(12):
        house.buy(f"{turn:06}", amount=Money(100 + turn, "840"))
    house.buy("000090", amount=Money(1_000_000, "840"))
    house.do(Reverse(request(Reversal, "000000"), NOW_MS))
    house.buy("000099", card="d" * 32)
    statement = finish(show(house.state, "c" * 32, NOW_MS)).statement

    assert statement is not None
    assert (statement.ledger.minor, statement.held.minor, statement.available.minor) == (
        100_000,
        1166,
        98_834,
    )
    assert statement.available.text == "USD 988.34"
    assert [hold.amount.minor for hold in statement.holds] == list(range(101, 112))
    assert statement.holds[0].until == "2026-11-25T11:06:40.000Z"
    assert statement.holds[0].why == "card absent"
    card = statement.cards[0]
    assert (card.pin_tries_left, card.pin_tries_max, card.times_today, card.used_today.minor) == (
        3,
        3,
        11,
        1166,
    )
    assert [line.transaction for line in statement.transactions] == [15, 14, 13, 12, 11, 10, 9, 8, 7, 6]
    assert statement.transactions[0].standing == "declined"
    assert statement.transactions[1].standing == "USD 1.11 held"


def test_the_day_after_nothing_is_used(house: House) -> None:
    house.buy("000003")
    statement = finish(show(house.state, "c" * 32, NOW_MS + DAY_MS)).statement

    assert statement is not None
    assert (statement.cards[0].times_today, statement.cards[0].used_today.minor) == (0, 0)


def test_cards_with_the_same_masked_number_are_listed_and_an_account_shows_all_its_cards(
    house: House,
) -> None:
    assert [card.token[0] for card in finish(show(house.state, MASKED, NOW_MS)).cards] == ["c", "d"]
    account = finish(show(house.state, "account:d", NOW_MS)).statement
    assert account is not None
    assert [card.token[0] for card in account.cards] == ["d"]
    nothing = finish(show(house.state, "nobody", NOW_MS))
    assert (nothing.statement, nothing.cards) == (None, ())


def test_a_card_that_is_issued_while_cards_are_searched_is_no_trouble(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processor.replay.statement.SLICE", 1)
    search = show(house.state, MASKED, NOW_MS)
    next(search)
    card = Card("e" * 32, MASKED, "account:e", "2912", "201", "1234", "1", "001", 3, 3)
    house.do(IssueCard(card, Money(0, "840"), NOW_MS))

    assert [found.token[0] for found in finish(search).cards] == ["c", "d", "e"]


def advise(house: House, stan: str = "000003", **changes: Any) -> Outcome:
    return house.do(Advise(request(Advice, stan, **changes), house.now_ms))


def reverse(house: House, stan: str = "000003", **changes: Any) -> Outcome:
    return house.do(Reverse(request(Reversal, stan, **changes), house.now_ms))


MONEY: list[Any] = [
    pytest.param(
        [lambda h: h.buy("000003"), lambda h: advise(h, mti="0220", financial=True), reverse],
        ["The hold of USD 10.00 is closed.", "What is posted, USD 10.00, stays posted", "held and USD 10.00 is posted."],
        id="a reversal of what has been posted meanwhile",
    ),
    pytest.param(
        [
            lambda h: h.buy("000003"),
            lambda h: advise(h, mti="0220", financial=True),
            lambda h: reverse(h, original=Original.POSTING),
        ],
        ["The posting counts as reversed.", "USD 10.00 was put on account:c", "nothing is held and nothing is posted."],
        id="a reversal that names the posting",
    ),
    pytest.param(
        [lambda h: reverse(h, original=Original.POSTING), lambda h: advise(h, mti="0220", financial=True)],
        ["Nothing was posted for it: its reversal had come before."],
        id="a posting whose reversal came first",
    ),
    pytest.param(
        [lambda h: advise(h, approved=False), lambda h: h.buy("000003")],
        ["The answer was approved", "But the network had declined it in our place before we answered", "Nothing is held."],
        id="an approval of what the network had declined",
    ),
    pytest.param(
        [lambda h: advise(h, amount=Money(700, "840")), lambda h: h.buy("000003")],
        ["the network had decided in our place before, USD 7.00, and that is what counts", "USD 7.00 is held until"],
        id="an approval of what the network had approved for less",
    ),
    pytest.param(
        [lambda h: advise(h, mti="0220", financial=True), lambda h: h.buy("000003")],
        ["But it has been posted already.", "nothing is held and USD 10.00 is posted."],
        id="an approval of what has been posted already",
    ),
    pytest.param(
        [lambda h: h.buy("000003"), lambda h: advise(h, approved=False)],
        ["It declined.", "The hold of USD 10.00 is closed."],
        id="a stand-in decision against ours",
    ),
    pytest.param(
        [lambda h: h.buy("000003"), advise, lambda h: reverse(h, of_late_answer=True)],
        ["Our own answer counts as never given.", "What the network decided in our place, USD 10.00, stays."],
        id="a late answer of ours beside a decision of the network",
    ),
    pytest.param(
        [lambda h: h.buy("000009", direction=Direction.CREDIT)],
        ["may be given USD 10.00", "A credit is not held: it comes with its posting."],
        id="a refund that is not posted yet",
    ),
    pytest.param(
        [
            lambda h: h.buy("000003"),
            lambda h: advise(h, "000009", mti="0220", financial=True, amount=Money(110_000, "840")),
            lambda h: h.buy("000010"),
        ],
        ["nothing (the account is USD 110.00 below zero, holds counted) was available"],
        id="an account below zero",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("happens", "sentences"), MONEY)
def test_a_story_says_what_became_of_the_money(
    house: House, happens: list[Callable[[House], Outcome]], sentences: list[str]
) -> None:
    outcomes = [each(house) for each in happens]
    story = told(house, outcomes[-1].sequence)

    for sentence in sentences:
        assert sentence in story


def test_a_hold_that_a_stranger_s_message_found_expired_is_told_without_the_stranger(house: House) -> None:
    house.buy("000003")
    house.now_ms += 8 * DAY_MS
    house.buy("000010", amount=Money(1234, "840"))
    story = told(house, 3)

    assert (
        "another message of the account came.\nThe time of its hold was over.\nThe hold of USD 10.00" in story
    )
    assert "12.34" not in story


def test_only_a_transaction_that_was_listed_can_be_picked(house: House) -> None:
    for turn in range(2):
        house.buy(f"00000{turn}", rrn="SAMEFORALLOF")
    other = house.buy("000009")
    cases = house.cases()

    assert explain(cases, "SAMEFORALLOF").case is None
    assert explain(cases, "SAMEFORALLOF", 3).case == cases.case(3)
    strange = explain(cases, "SAMEFORALLOF", other.sequence)
    assert strange.case is None
    assert [match.number for match in strange.matches.matches] == [4, 3]


NO_NAMES = ["", "   ", "4000001234567899", "4000 0012-3456.7899", "x4000001234567899x", "a\x1b[31m", "x" * 65]


@pytest.mark.parametrize("name", NO_NAMES, ids=ascii)
@pytest.mark.parametrize("command", [why, book_show], ids=["why", "book show"])
def test_what_is_no_name_or_could_be_a_card_number_is_refused_unrepeated(
    tmp_path: Path, command: Callable[..., None], name: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        command(name, state=tmp_path)

    assert len(refused.value.problems) == 1
    assert "card number" in refused.value.problems[0] or "a name has" in refused.value.problems[0]
    assert not name.strip() or name.strip() not in refused.value.problems[0]


NAMES = [
    "632510000001",
    "000001",
    "7ELH43",
    "0" * 32,
    "account:" + "1" * 32,
    "400000******7899",
    "clearing:840",
]


@pytest.mark.parametrize("name", NAMES)
def test_what_people_have_are_names(name: str) -> None:
    assert wrong_with(name) == ""
