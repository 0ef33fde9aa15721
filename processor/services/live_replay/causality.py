"""What must be answered before a frame may be sent, so that a live host meets the same order of events.

A frame waits for the reply to (or the timeout of) every earlier one that it names, being its repeat,
reversal, advice or completion, and for every unanswered one of its card on another link. A sign-on or
sign-off waits for everything of its network, and everything after for it.
"""

from collections import OrderedDict

import trio

from processor.iso8583.message import Message
from processor.services.live_replay.cues import Cue
from processor.services.live_replay.peer import Names, Peer, auth_code

_CODES_MAX = 65_536  # replies whose DE 38 is remembered for what names them later


class Asked:
    """One question from its turn in the trace to its reply. ``settled`` is set when nobody waits for it."""

    __slots__ = ("after", "cue", "expected", "message", "names", "overdue", "peer", "sent_s", "settled")

    def __init__(
        self, cue: Cue, peer: Peer, message: Message, expected: Message | None, names: Names
    ) -> None:
        self.cue = cue
        self.peer = peer
        self.message = message
        self.expected = expected
        self.names = names
        self.after: list[Asked] = []
        self.sent_s = 0.0
        self.overdue = False
        self.settled = trio.Event()

    @property
    def owed(self) -> bool:
        """Whether a reply must come: one was recorded, or nobody knows."""
        return self.expected is not None or not self.cue.known


class Causality:
    """Who waits for whom. Only what is not settled is kept, and the last DE 38s."""

    def __init__(self) -> None:
        self._open: dict[str, dict[int, Asked]] = {}  # network -> number -> question
        self._named: dict[str, Asked] = {}
        self._by_card: dict[str, dict[int, Asked]] = {}
        self._signing: dict[str, Asked] = {}
        self._codes: OrderedDict[tuple[str, str], str] = OrderedDict()  # (card, recorded DE 38) -> the host's

    def enter(self, asked: Asked) -> None:
        """Take a question in its turn of the trace: fills in what it waits ``after``."""
        network, names, number = asked.peer.name, asked.names, asked.cue.number
        still_open = self._open.setdefault(network, {})
        if names.signs:
            asked.after = list(still_open.values())
            self._signing[network] = asked
        else:
            asked.after = self._before(asked)
        still_open[number] = asked
        if names.card:
            self._by_card.setdefault(names.card, {})[number] = asked
        self._named.update(dict.fromkeys(names.own, asked))

    def settle(self, asked: Asked) -> None:
        """Nobody waits for it any more: it was answered, or its time is up."""
        if asked.settled.is_set():
            return
        asked.settled.set()
        asked.after = []
        network, names, number = asked.peer.name, asked.names, asked.cue.number
        del self._open[network][number]
        if self._signing.get(network) is asked:
            del self._signing[network]
        if names.card:
            of_card = self._by_card[names.card]
            del of_card[number]
            if not of_card:
                del self._by_card[names.card]
        for name in names.own:
            if self._named.get(name) is asked:
                del self._named[name]

    def answered(self, asked: Asked, got: Message) -> None:
        """Remember by which DE 38 the host knows what the trace knows by another."""
        recorded, given = auth_code(asked.expected), auth_code(got)
        if recorded and given and recorded != given:
            self._codes[asked.names.card, recorded] = given
            if len(self._codes) > _CODES_MAX:
                self._codes.popitem(last=False)

    def code_for(self, asked: Asked) -> str:
        """The DE 38 under which the host knows what this question names; empty to leave it as it is."""
        return self._codes.get((asked.names.card, auth_code(asked.message)), "")

    def _before(self, asked: Asked) -> list[Asked]:
        names = asked.names
        found = [self._named[name] for name in names.about if name in self._named]
        of_card = self._by_card.get(names.card, {}).values()
        found += [other for other in of_card if other.cue.link != asked.cue.link]
        if (signing := self._signing.get(asked.peer.name)) is not None:
            found.append(signing)
        return found
