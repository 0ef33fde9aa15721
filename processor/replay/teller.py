"""From what a recorder noted to the lines of a trace. Runs where it holds nobody up, after the fact."""

from collections.abc import Iterator
from typing import Literal

import msgspec

from processor.book.state import Transaction
from processor.iso8583.message import Message
from processor.replay.scrub import Names, card_digits
from processor.replay.touched import Figures, Touched
from processor.replay.trace import (
    AccountStart,
    Administered,
    AnswerStart,
    Arrived,
    Did,
    Durable,
    Event,
    Item,
    Lapsed,
    PostingStart,
    Refused,
    Sent,
    Start,
    TransactionStart,
    Verified,
)
from processor.values.cards import Card
from processor.values.commands import ExpireHolds, IssueCard, Sign
from processor.values.facts import Facts
from processor.values.outcome import Reply, Verdict
from processor.values.requests import Request
from processor.values.sensitive import Pan, Tokens

Fate = Literal["sent", "silence", "unwritable", "gone"]


class Noted:
    """One event, with what handling it made: ``sent`` are the answers that left meanwhile."""

    __slots__ = ("did", "late", "sent", "silent", "touched")

    def __init__(self) -> None:
        self.did: list[Did] = []
        self.silent: list[int] = []
        self.sent: list[NotedAnswer] = []
        self.touched: Touched | None = None


class NotedFrame(Noted):
    """A frame: ``card`` is the token of its card, if it was recognised and has one."""

    __slots__ = ("card", "frame", "link", "message", "ms", "network", "number", "refused", "shed")

    def __init__(
        self,
        number: int,
        link: int,
        network: str,
        ms: int,
        frame: bytes,
        message: Message,
        card: str,
        refused: Refused | None = None,
    ) -> None:
        super().__init__()
        self.number = number
        self.link = link
        self.network = network
        self.ms = ms
        self.frame = frame
        self.message = message
        self.card = card
        self.refused = refused
        self.shed = False


class NotedFacts(Noted):
    """The HSM spoke."""

    __slots__ = ("facts", "number")

    def __init__(self, number: int, facts: Facts) -> None:
        super().__init__()
        self.number = number
        self.facts = facts


class NotedLapse(Noted):
    """A deadline passed."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class NotedSync(Noted):
    """Records reached the disk; ``late`` are frames whose answers were too late by then."""

    __slots__ = ("sequence",)

    def __init__(self, sequence: int) -> None:
        super().__init__()
        self.sequence = sequence
        self.late: list[int] = []


class NotedCommand(Noted):
    """A command that no frame brought."""

    __slots__ = ("command",)

    def __init__(self, command: ExpireHolds | IssueCard | Sign) -> None:
        super().__init__()
        self.command = command


class NotedAnswer(msgspec.Struct, frozen=True, gc=False):
    """What became of frame ``number``: its ``reply`` and the bytes of it, where one was written."""

    number: int
    network: str
    asked: Message
    fate: Fate
    reply: Message | None
    data: bytes
    sequence: int
    verdicts: tuple[Verdict, ...]


class Teller:
    """Tells one trace. ``raw`` keeps frames as they are; ``names`` then changes tokens only."""

    def __init__(self, names: Names, tokens: Tokens, *, raw: bool) -> None:
        self._names = names
        self._tokens = tokens
        self._raw = raw
        self._pans: set[str] = set()

    def tell(self, noted: Noted) -> Iterator[Item]:
        """The lines of one event: what it touched, itself, and the answers that left."""
        start = self._start(noted.touched) if noted.touched is not None else None
        if isinstance(noted, NotedFrame) and noted.card and (alias := self._alias(noted)):
            start = msgspec.structs.replace(start or Start(), pans=alias)
        if start is not None:
            yield start
        if type(noted) is not Noted:  # which is answers only
            yield self._event(noted)
        for answer in noted.sent:
            yield self._answer(answer)

    def account(self, figures: Figures) -> AccountStart:
        """An account as the trace names it."""
        name, currency, ledger_minor, held_minor = figures
        return AccountStart(self._names.account(name), currency, ledger_minor, held_minor)

    def _alias(self, noted: NotedFrame) -> dict[str, str]:
        """The PAN that stands for the frame's card, the first time it is seen."""
        pan = self._names.pan(noted.card, card_digits(noted.message.elements))
        if pan in self._pans:
            return {}
        self._pans.add(pan)
        return {pan: self._names.token(noted.card)}

    def _event(self, noted: Noted) -> Event:
        did, silent = tuple(map(self._did, noted.did)), tuple(noted.silent)
        match noted:
            case NotedFrame():
                return self._frame(noted, did, silent)
            case NotedFacts():
                facts = noted.facts
                return Verified(
                    n=noted.number,
                    cvv=facts.cvv,
                    pin=facts.pin,
                    card_version=facts.card_version,
                    did=did,
                    silent=silent,
                )
            case NotedLapse():
                return Lapsed(n=noted.number, did=did, silent=silent)
            case NotedSync():
                return Durable(sequence=noted.sequence, late=tuple(noted.late), did=did, silent=silent)
            case NotedCommand():
                return Administered(command=self._command(noted.command), did=did, silent=silent)
            case _:
                raise AssertionError("an event is of one of these kinds")

    def _did(self, did: Did) -> Did:
        sequence, sequenced_ms, code = did
        return (sequence, sequenced_ms, self._names.auth_code(code)) if code else did

    def _frame(self, noted: NotedFrame, did: tuple[Did, ...], silent: tuple[int, ...]) -> Arrived:
        n, link, network, ms, message = noted.number, noted.link, noted.network, noted.ms, noted.message
        if self._raw:
            return Arrived(
                n=n,
                link=link,
                network=network,
                ms=ms,
                hex=noted.frame.hex(),
                shed=noted.shed,
                did=did,
                silent=silent,
            )
        token = noted.card or self._token(message.elements)
        return Arrived(
            n=n,
            link=link,
            network=network,
            ms=ms,
            mti=message.mti,
            header=message.header.hex(),
            elements=self._names.message(network, message.elements, token),
            refused=noted.refused,
            shed=noted.shed,
            did=did,
            silent=silent,
        )

    def _token(self, elements: dict[int, str]) -> str:
        """The card of a frame that was not recognised, as far as it can be told."""
        try:
            return self._tokens.token(Pan(card_digits(elements)))
        except ValueError:
            return ""

    def _answer(self, answer: NotedAnswer) -> Sent:
        refusals = tuple([verdict for verdict in answer.verdicts if verdict.reason is not None])
        reply = answer.reply
        if reply is None or self._raw:
            return Sent(
                n=answer.number,
                sequence=answer.sequence,
                what=answer.fate,
                hex=answer.data.hex(),
                refusals=refusals,
            )
        asked, ours, echo = answer.asked.elements, {}, []
        for number, value in reply.elements.items():
            if asked.get(number) == value:
                echo.append(number)
            else:
                ours[number] = value
        return Sent(
            n=answer.number,
            sequence=answer.sequence,
            what=answer.fate,
            mti=reply.mti,
            header=reply.header.hex(),
            echo=tuple(echo),
            elements=self._names.message(answer.network, ours, ""),
            refusals=refusals,
        )

    def _command(self, command: ExpireHolds | IssueCard | Sign) -> ExpireHolds | IssueCard | Sign:
        if isinstance(command, IssueCard):
            return msgspec.structs.replace(command, card=self._card(command.card))
        return command

    def _start(self, touched: Touched) -> Start:
        names = self._names
        return Start(
            cards=tuple(map(self._card, touched.cards)),
            accounts=tuple(map(self.account, touched.accounts)),
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


def card_of(request: object) -> str:
    """The token of a request's card, empty for a message about no card."""
    return request.card if isinstance(request, Request) else ""
