"""From what a recorder noted to the lines of a trace. Runs where it holds nobody up, after the fact."""

from collections.abc import Iterable

import msgspec

from processor.book.state import Transaction
from processor.iso8583.message import card_digits
from processor.replay import trace
from processor.replay.notes import (
    AnswerNote,
    CommandNote,
    DidNote,
    Event,
    FactsNote,
    FrameNote,
    LapseNote,
    LateNote,
    Note,
    ShedNote,
    SilentNote,
    SyncNote,
    TouchedNote,
)
from processor.replay.pseudonyms import Names
from processor.replay.touched import Figures, Touched
from processor.replay.trace import (
    AccountStart,
    Administered,
    AnswerStart,
    Arrived,
    Did,
    Durable,
    Item,
    Lapsed,
    PostingStart,
    Sent,
    Start,
    TransactionStart,
    Verified,
)
from processor.values.cards import Card
from processor.values.commands import ExpireHolds, IssueCard, Sign
from processor.values.outcome import Reply
from processor.values.sensitive import Pan, Tokens


class _Made:
    """What handling the event at hand made so far."""

    __slots__ = ("did", "late", "sent", "shed", "silent", "start")

    def __init__(self) -> None:
        self.did: list[Did] = []
        self.silent: list[int] = []
        self.late: list[int] = []
        self.sent: list[Sent] = []
        self.start: Start | None = None
        self.shed = False


class Teller:
    """Tells one trace. ``raw`` keeps frames as they are; ``names`` then changes tokens only."""

    def __init__(self, names: Names, tokens: Tokens, *, raw: bool) -> None:
        self._names = names
        self._tokens = tokens
        self._raw = raw
        self._pans: set[str] = set()
        self._asked: dict[int, dict[int, str]] = {}  # by frame, until it is answered
        self._event: Event | None = None
        self._made = _Made()

    def tell(self, notes: Iterable[Note]) -> list[Item]:
        """The lines of every event that is over: what it touched, itself, and the answers that left."""
        lines: list[Item] = []
        for note in notes:
            match note:
                case AnswerNote():
                    self._made.sent.append(self._answer(note))
                case DidNote(sequence, sequenced_ms, code):
                    told = self._names.auth_code(code) if code else ""
                    self._made.did.append((sequence, sequenced_ms, told))
                case FrameNote():
                    lines += self.rest()
                    self._event = note
                    if note.card:
                        self._asked[note.number] = note.elements
                case FactsNote() | SyncNote() | LapseNote() | CommandNote():
                    lines += self.rest()
                    self._event = note
                case TouchedNote(touched):
                    self._made.start = self._start(touched)
                case _:
                    self._mark(note)
        return lines

    def _mark(self, note: Note) -> None:
        """What is rarer."""
        match note:
            case SilentNote(number):
                self._made.silent.append(number)
            case LateNote(number):
                self._made.late.append(number)
            case ShedNote():
                self._made.shed = True
            case _:
                raise AssertionError("begin and end are nothing that happened")

    def rest(self) -> list[Item]:
        """The lines of the event at hand, which is over."""
        event, made = self._event, self._made
        self._event, self._made = None, _Made()
        if event is None:
            return list(made.sent)
        start = made.start
        if type(event) is FrameNote and event.card and (alias := self._alias(event)):
            start = msgspec.structs.replace(start or Start(), pans=alias)
        line = self._line(event, made)
        return [line, *made.sent] if start is None else [start, line, *made.sent]

    def _alias(self, frame: FrameNote) -> dict[str, str]:
        """The PAN that stands for the frame's card, the first time it is seen."""
        pan = self._names.pan(frame.card, card_digits(frame.elements))
        if pan in self._pans:
            return {}
        self._pans.add(pan)
        return {pan: self._names.token(frame.card)}

    def _line(self, event: Event, made: _Made) -> trace.Event:
        did, silent = tuple(made.did), tuple(made.silent)
        match event:
            case FrameNote():
                return self._frame(event, did, silent, shed=made.shed)
            case FactsNote(number, facts):
                return Verified(
                    n=number,
                    cvv=facts.cvv,
                    pin=facts.pin,
                    card_version=facts.card_version,
                    did=did,
                    silent=silent,
                )
            case LapseNote(number):
                return Lapsed(n=number, did=did, silent=silent)
            case SyncNote(sequence):
                return Durable(sequence=sequence, late=tuple(made.late), did=did, silent=silent)
            case CommandNote(command):
                return Administered(command=self._command(command), did=did, silent=silent)

    def _frame(
        self, note: FrameNote, did: tuple[Did, ...], silent: tuple[int, ...], *, shed: bool
    ) -> Arrived:
        n, link, network, ms = note.number, note.link, note.network, note.ms
        if self._raw:
            told = note.frame.hex()
            return Arrived(
                n=n, link=link, network=network, ms=ms, hex=told, shed=shed, did=did, silent=silent
            )
        token = note.card or self._token(note.elements)
        return Arrived(
            n=n,
            link=link,
            network=network,
            ms=ms,
            mti=note.mti,
            header=note.header.hex(),
            elements=self._names.message(network, note.elements, token),
            refused=note.refused,
            shed=shed,
            did=did,
            silent=silent,
        )

    def _token(self, elements: dict[int, str]) -> str:
        """The card of a frame that was not recognised, as far as it can be told."""
        try:
            return self._tokens.token(Pan(card_digits(elements)))
        except ValueError:
            return ""

    def _answer(self, note: AnswerNote) -> Sent:
        known = self._asked.pop(note.number, None)
        if not note.mti:
            return Sent(
                n=note.number,
                sequence=note.sequence,
                what=note.fate,
                hex=note.data.hex(),
                refusals=note.refusals,
            )
        asked, elements = note.asked if note.asked is not None else known, note.elements
        assert asked is not None, "a frame with a card is answered once"
        ours = {number: value for number, value in elements.items() if asked.get(number) != value}
        return Sent(
            n=note.number,
            sequence=note.sequence,
            what=note.fate,
            mti=note.mti,
            header=note.header.hex(),
            echo=tuple([number for number in elements if number not in ours]),
            elements=self._names.message(note.network, ours, ""),
            refusals=note.refusals,
        )

    def _command(self, command: ExpireHolds | IssueCard | Sign) -> ExpireHolds | IssueCard | Sign:
        if isinstance(command, IssueCard):
            return msgspec.structs.replace(command, card=self._card(command.card))
        return command

    def _start(self, touched: Touched) -> Start:
        names = self._names
        return Start(
            cards=tuple(map(self._card, touched.cards)),
            accounts=tuple(map(self._account, touched.accounts)),
            usage={names.token(card): (day, count, minor) for card, day, count, minor in touched.usage},
            transactions={number: self._transaction(t) for number, t in touched.transactions},
            names={names.match_key(key): number for key, number in touched.names},
            answers={
                names.question_key(key): AnswerStart(
                    names.content(key, answer.content), self._reply(answer.reply)
                )
                for key, answer in touched.answers
            },
        )

    def _account(self, figures: Figures) -> AccountStart:
        """An account as the trace names it."""
        name, currency, ledger_minor, held_minor = figures
        return AccountStart(self._names.account(name), currency, ledger_minor, held_minor)

    def _reply(self, reply: Reply) -> Reply:
        return msgspec.structs.replace(reply, auth_code=self._names.auth_code(reply.auth_code))

    def _card(self, card: Card) -> Card:
        """A card without what only the HSM needs."""
        return msgspec.structs.replace(
            card,
            token=self._names.token(card.token),
            pan_masked="",
            account=self._names.account(card.account),
            pvv="",
            pvki="",
            psn="",
        )

    def _transaction(self, t: Transaction) -> TransactionStart:
        names = self._names
        return TransactionStart(
            t.network,
            names.token(t.card),
            names.account(t.account),
            t.amount,
            t.direction,
            names.auth_code(t.auth_code),
            t.rrn,
            t.asked,
            t.single_message,
            t.day,
            {
                number: PostingStart(tuple(map(names.match_key, p.names)), p.minor)
                for number, p in t.postings.items()
            },
            t.issuer_minor,
            t.network_minor,
            t.issuer_void,
            t.network_void,
            t.cap_minor,
            t.posting_void,
            t.closed,
            t.expires_ms,
            t.hold_class,
        )
