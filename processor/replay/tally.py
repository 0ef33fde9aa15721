"""What a replay found, counted as it goes: memory grows with the kinds of difference, not with the trace.

A question ends in one of three ways: its reply is the same, it is one finding, or nothing was expected and
nothing came. Findings that are alike make a group, named by their most telling difference.
"""

import enum
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from processor.iso8583.dialect import Dialect
from processor.iso8583.message import Message
from processor.replay.compare import HEADER, MTI, Difference, FieldRules, element_name, shown
from processor.replay.story import verdict_words
from processor.values.outcome import Verdict

Verdicts = tuple[Verdict, ...]

GROUPS_MAX = 200  # what comes after shares the last one
_OTHERS = "other differences"


class Kind(enum.Enum):
    """What can be wrong with a reply."""

    DIFFERS = "different"
    MISSING = "no reply"
    LATE = "late reply"
    DUPLICATE = "second reply"
    UNMATCHED = "reply to nothing that was asked"
    UNREADABLE = "reply that cannot be read"
    UNEXPECTED = "reply where none was recorded"


class Exchange(msgspec.Struct, frozen=True):
    """One question, the reply it had, and the reply it has now; None where there is none.

    ``number`` is the frame's in the trace and ``line`` where it stands, 0 for what was not in the trace.
    ``before`` are the verdicts that refused when it was recorded, ``now`` all behind the new reply; a live
    host tells neither.
    """

    number: int
    line: int
    network: str
    asked: Message | None
    expected: Message | None
    got: Message | None
    before: Verdicts = ()
    now: Verdicts = ()
    note: str = ""


class Row(msgspec.Struct, frozen=True):
    """One element of an example, masked; None where a message lacks it."""

    element: str
    term: str
    asked: str | None
    expected: str | None
    got: str | None
    differs: bool


class Example(msgspec.Struct, frozen=True):
    """One finding with everything a reader needs to see why; masked."""

    number: int
    line: int
    network: str
    kind: str
    title: str
    rows: tuple[Row, ...]
    why: tuple[str, ...] = ()


class Group:
    """Findings that are alike. ``also`` counts the differences that came along, ``mtis`` what was asked."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.count = 0
        self.also: Counter[str] = Counter()
        self.mtis: Counter[str] = Counter()
        self.rules: Counter[str] = Counter()
        self.examples: list[Example] = []


class Tally:
    """Counts of one replay. ``examples_max`` are kept for each group."""

    def __init__(
        self, rules: Mapping[str, FieldRules], dialects: Mapping[str, Dialect], examples_max: int
    ) -> None:
        self.rules = rules
        self.frames = 0
        self.compared = 0
        self.same = 0
        self.answers: Counter[tuple[str, str]] = Counter()  # (MTI asked, DE 39 that came)
        self.first: Example | None = None
        self.kinds: Counter[Kind] = Counter()
        self._dialects = dialects
        self._examples_max = examples_max
        self._groups: dict[str, Group] = {}

    @property
    def findings(self) -> int:
        """How many things were not as recorded."""
        return self.kinds.total()

    @property
    def groups(self) -> list[Group]:
        """The groups, the largest first."""
        return sorted(self._groups.values(), key=lambda group: -group.count)

    def replied(self, exchange: Exchange) -> None:
        """Take a reply, or the lack of one, that is to be compared with what was recorded."""
        self._note_answer(exchange)
        expected, got = exchange.expected, exchange.got
        if expected is None and got is None:
            return
        self.compared += 1
        if expected is None:
            self._find(Kind.UNEXPECTED, exchange, ())
        elif got is None:
            self._find(Kind.MISSING, exchange, ())
        elif found := self._differences(exchange, expected, got):
            self._find(Kind.DIFFERS, exchange, found)
        else:
            self.same += 1

    def came(self, exchange: Exchange) -> None:
        """Take a reply with which nothing can be compared, because none was recorded."""
        self._note_answer(exchange)

    def wrong(self, kind: Kind, exchange: Exchange) -> None:
        """Take a reply that is wrong by coming at all, or by when it came."""
        found: tuple[Difference, ...] = ()
        if kind is Kind.LATE:
            self._note_answer(exchange)
            self.compared += 1
            if exchange.expected is not None and exchange.got is not None:
                found = self._differences(exchange, exchange.expected, exchange.got)
        self._find(kind, exchange, found)

    def _note_answer(self, exchange: Exchange) -> None:
        if exchange.asked is not None and exchange.got is not None:
            self.answers[exchange.asked.mti, exchange.got.elements.get(39, "none")] += 1

    def _differences(self, exchange: Exchange, expected: Message, got: Message) -> tuple[Difference, ...]:
        if expected == got:
            return ()
        assert exchange.asked is not None, "a reply is compared with what was asked"
        dialect = self._dialects[exchange.network]
        return self.rules[exchange.network].differences(exchange.asked, expected, got, dialect)

    def _find(self, kind: Kind, exchange: Exchange, found: tuple[Difference, ...]) -> None:
        self.kinds[kind] += 1
        names = [str(difference) for difference in found]
        label = names.pop(0) if kind is Kind.DIFFERS else kind.value
        group = self._group(label)
        group.count += 1
        _count(group.also, names)
        _count(group.mtis, [exchange.asked.mti if exchange.asked is not None else "unknown"])
        _count(group.rules, changed_rules(exchange.before, exchange.now))
        wanted = len(group.examples) < self._examples_max
        first = self.first is None or exchange.number < self.first.number
        if wanted or first:
            example = self._example(kind, exchange, found)
            group.examples += [example] * wanted
            self.first = example if first else self.first

    def _group(self, label: str) -> Group:
        if label not in self._groups and len(self._groups) >= GROUPS_MAX:
            label = _OTHERS
        return self._groups.setdefault(label, Group(label))

    def _example(self, kind: Kind, exchange: Exchange, found: tuple[Difference, ...]) -> Example:
        title = ", ".join(map(str, found)) if kind is Kind.DIFFERS else kind.value
        rows = tuple(_rows(exchange, found, self._dialects[exchange.network]))
        why = (*_notes(exchange.note), *changed_words(exchange.before, exchange.now))
        return Example(exchange.number, exchange.line, exchange.network, kind.value, title, rows, why)


def _count(counter: Counter[str], names: Iterable[str]) -> None:
    """Count, but no more than so many different names."""
    for name in names:
        counter[name if name in counter or len(counter) < GROUPS_MAX else _OTHERS] += 1


def _notes(note: str) -> tuple[str, ...]:
    return (note,) if note else ()


def _rows(exchange: Exchange, found: tuple[Difference, ...], dialect: Dialect) -> Iterator[Row]:
    """The three messages beside each other, header and MTI first."""
    sides = [_values(message) for message in (exchange.asked, exchange.expected, exchange.got)]
    differing = {difference.element for difference in found}
    for number in sorted(set().union(*sides)):
        element = dialect.elements.get(number)
        asked, expected, got = (shown(number, side.get(number), dialect) for side in sides)
        term = element.term if element else ""
        yield Row(element_name(number), term, asked, expected, got, number in differing)


def _values(message: Message | None) -> dict[int, str]:
    if message is None:
        return {}
    header = {HEADER: message.header.hex().upper()} if message.header else {}
    return {**header, MTI: message.mti, **message.elements}


def changed_rules(before: Verdicts, now: Verdicts) -> list[str]:
    """Which rules say something else now, in a few words each."""
    return [f"{rule} {_turn(says)}" for rule, _, says in _changed(before, now)]


def changed_words(before: Verdicts, now: Verdicts) -> list[str]:
    """Each rule that refuses and did not, or refused and does not, with what it saw."""
    words = []
    for _, was, says in _changed(before, now):
        words += [f"before: {verdict_words(was)}"] if was else []
        words.append(f"now:    {verdict_words(says)}" if says else "now:    not asked")
    return words


def _turn(says: Verdict | None) -> str:
    if says is None:
        return "is not asked now"
    return "refuses now" if says.reason is not None else "passes now"


def _changed(before: Verdicts, now: Verdicts) -> Iterator[tuple[str, Verdict | None, Verdict | None]]:
    """Each rule that refuses and did not, or the other way round, with both verdicts where known."""
    old, new = _by_rule(before), _by_rule(now)
    for key in new | old:
        was, says = old.get(key), new.get(key)
        refused, refuses = (
            was is not None and was.reason is not None,
            says is not None and says.reason is not None,
        )
        if refused != refuses:
            yield key[0], was, says


def _by_rule(verdicts: Verdicts) -> dict[tuple[str, int], Verdict]:
    """By name and, because a policy may have a rule twice, by which of its kind it is."""
    seen: Counter[str] = Counter()
    named = {}
    for verdict in verdicts:
        seen[verdict.rule] += 1
        named[verdict.rule, seen[verdict.rule]] = verdict
    return named
