"""What the lines of a trace say of earlier ones, checked before anything is done with them.

A seal proves that a trace is what somebody wrote, not that a recorder did. What passes here names only what
was told before, so what fails on it later is a fault of the code that replays, and is never blamed on a file.
"""

from processor.replay.touched import SHARED
from processor.replay.trace import (
    Administered,
    Arrived,
    Did,
    Durable,
    Event,
    Header,
    Item,
    Lapsed,
    Lost,
    Sent,
    Start,
    TransactionStart,
    Verified,
)
from processor.values.commands import IssueCard


class Bearings:
    """Follows one trace from its header, line by line; ValueError if two of its networks share a name."""

    def __init__(self, header: Header) -> None:
        self._raw = header.kind == "raw"
        self._networks = {profile.name for profile in header.profiles}
        if len(self._networks) < len(header.profiles):
            raise ValueError("two networks of one name")
        self._accounts = {account.name for account in header.accounts}
        self._began = self._sequence = header.sequence
        self._account_of: dict[str, str] = {}  # by card
        self._transactions: set[int] = set()
        self._arrived = 0
        self._open: dict[int, dict[int, str]] = {}  # frames without an answer so far, with their elements
        self._over = False

    def problem(self, item: Item) -> str:
        """What this line says that cannot be, in words; empty if there is nothing."""
        if self._over:
            return "a line after recording stopped"
        match item:
            case Start():
                return self._start(item)
            case Sent():
                return self._sent(item)
            case Lost():
                self._over = True
                return ""
            case _:
                return self._event(item) or self._did(item.did)

    def _event(self, event: Event) -> str:
        named = event.silent
        match event:
            case Arrived():
                if problem := self._frame(event):
                    return problem
            case Verified() | Lapsed():
                named = (*named, event.n)
            case Durable():
                named = (*named, *event.late)
            case Administered(command=command):
                if isinstance(command, IssueCard):
                    self._accounts.add(command.card.account)
        missing = next((n for n in named if not 0 < n <= self._arrived), None)
        return "" if missing is None else f"it is about frame {missing}, which did not arrive before"

    def _frame(self, frame: Arrived) -> str:
        if frame.n != self._arrived + 1:
            return f"frame {frame.n} after frame {self._arrived}"
        if frame.network not in self._networks:
            return "a frame of a network that is not in the header"
        if (frame.mti or frame.elements) if self._raw else frame.hex:
            return f"not a frame of a {'raw' if self._raw else 'scrubbed'} trace"
        self._arrived += 1
        self._open[frame.n] = frame.elements
        return ""

    def _sent(self, sent: Sent) -> str:
        asked = self._open.pop(sent.n, None)
        if asked is None:
            return f"an answer to frame {sent.n}, which is not waiting for one"
        strange = [number for number in sent.echo if number not in asked]
        return f"it echoes element {strange[0]}, which frame {sent.n} has not" if strange else ""

    def _did(self, did: tuple[Did, ...]) -> str:
        for sequence, _, _ in did:
            if sequence <= self._sequence:
                return f"record {sequence} after record {self._sequence}"
            self._sequence = sequence
        return ""

    def _is_anothers(self, told: TransactionStart) -> bool:
        own = not told.account or told.account.startswith(SHARED)
        return not own and self._account_of.get(told.card, told.account) != told.account

    def _start(self, start: Start) -> str:
        self._accounts.update(account.name for account in start.accounts)
        self._transactions.update(start.transactions)
        self._account_of.update((card.token, card.account) for card in start.cards)
        if any(self._is_anothers(t) for t in start.transactions.values()):
            return "it tells a transaction of a card on another account than the card's"
        named = [card.account for card in start.cards]
        named += [t.account for t in start.transactions.values() if t.account]
        if any(name not in self._accounts for name in named):
            return "it names an account that the trace has not told"
        if any(not 0 < number <= self._began for number in start.transactions):
            return "it tells a transaction that did not begin before the trace"
        if any(number not in self._transactions for number in start.names.values()):
            return "it names a transaction that the trace has not told"
        return ""
