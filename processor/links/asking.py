"""What we ask on one link of our own accord, and its answers: known by the profile's key, never by order.

No socket and no clock: what falls due is the machine's business.
"""

import itertools
from collections.abc import Iterator, Mapping

from processor.iso8583.message import Message
from processor.networks.nearest import differing
from processor.networks.profile import Session
from processor.networks.respond import response_mti
from processor.values.clock import transmission_time
from processor.values.requests import Signal

_Key = tuple[str, ...]


def stans() -> Iterator[str]:
    """STANs of our own, round and round. Together with DE 7 they are unique for as long as it matters."""
    return (f"{number:06}" for number in itertools.cycle(range(1, 1_000_000)))


class Asking:
    """Our questions on one link. ``header`` is that of a message that we begin.

    ``own`` are the elements that tell who we are, by number; they stand in every question.
    """

    def __init__(
        self, session: Session, numbers: Iterator[str], header: bytes, own: Mapping[str, str]
    ) -> None:
        self.header = header
        self._session = session
        self._numbers = numbers
        self._own = own
        self._names = ("mti", *session.key)
        self._parts = tuple(map(int, session.key))
        self._open: dict[_Key, Signal] = {}

    def ask(self, signal: Signal, now_ms: int) -> Message:
        """The message that says ``signal``, transmitted at ``now_ms``."""
        session = self._session
        elements = {7: transmission_time(now_ms), 11: next(self._numbers)}
        for more in (session.elements, self._own, session.says[signal].elements):
            elements |= {int(number): value for number, value in more.items()}
        message = Message(self.header, session.mti, dict(sorted(elements.items())))
        self._open[self._key(response_mti(session.mti), message)] = signal
        return message

    def answered(self, reply: Message) -> tuple[Signal, bool] | None:
        """What it answers, and whether it says yes; None when nothing of ours has its key."""
        signal = self._open.pop(self._key(reply.mti, reply), None)
        if signal is None:
            return None
        return signal, reply.elements.get(39, "") in self._session.accepted

    def rejected(self, question: Message) -> Signal | None:
        """A message of ours came back undelivered: what it would have asked; None if it was no question."""
        return self._open.pop(self._key(response_mti(question.mti), question), None)

    def unlike(self, reply: Message) -> tuple[str, ...]:
        """Which parts of its key differ from the nearest open question's; empty if none is near."""
        return differing(self._key(reply.mti, reply), self._open, self._names) or ()

    def _key(self, mti: str, message: Message) -> _Key:
        return (mti, *[message.elements.get(number, "") for number in self._parts])
