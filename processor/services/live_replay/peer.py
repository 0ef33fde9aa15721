"""What one network's frames mean to a replay: questions and replies, matched by the network's own keys."""

from typing import NamedTuple

from processor.iso8583.codec import PyisoCodec
from processor.iso8583.message import Message
from processor.networks.adapters import DIALECTS, FRAMINGS
from processor.networks.profile import Profile
from processor.networks.recognise import Recogniser
from processor.networks.respond import Responder, response_mti, wants_answer
from processor.values.errors import DecodeError, Unsupported
from processor.values.outcome import Reply
from processor.values.reasons import Reason
from processor.values.requests import AUTH_CODE, Authorization, NetworkManagement, Signal
from processor.values.sensitive import Tokens

MatchKey = tuple[str, ...]

_AUTH_CODE_ELEMENT = 38
_MACS = frozenset((64, 128))
_TOKENS = Tokens(bytes(16))  # cards are told apart within one replay; the names never leave it


class Names(NamedTuple):
    """How a question and others speak of each other.

    ``own`` are what later messages call it, ``about`` what it calls earlier ones; ``card`` is empty for
    network management. ``signs`` is a sign-on or sign-off, which changes the answer to everything after it.
    """

    own: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    card: str = ""
    signs: bool = False


class Peer:
    """One network, as the replay needs it."""

    def __init__(self, profile: Profile) -> None:
        self.name = profile.name
        self.dialect = DIALECTS[profile.dialect]
        self.frame_rule = FRAMINGS[profile.framing]
        self._profile = profile
        self._repeat = [int(part) for part in profile.keys.repeat if part.isdigit()]
        self._codec = PyisoCodec(self.dialect)
        self._recogniser = Recogniser(profile, _TOKENS)
        self._responder = Responder(profile)

    def message(self, frame: bytes) -> Message:
        """The message in a frame; of one that cannot be read, what was read before."""
        try:
            return self._codec.decode(frame)
        except DecodeError as error:
            return Message(frame[: self.dialect.header.length_bytes], error.mti, error.partial)

    def reply(self, frame: bytes) -> Message:
        """The message in a frame that must be sound.

        Raises:
            PeerError: it is not.
        """
        self.dialect.header.check(frame)
        return self._codec.decode(frame)

    def framed(self, data: bytes) -> bytes:
        """Data with its length prefix."""
        return self.frame_rule.frame(data)

    def is_question(self, message: Message) -> bool:
        """Whether the switch sent it to be answered, rather than to answer; so is what has no MTI at all."""
        return wants_answer(message.mti) or not message.mti

    def accepted(self, asked: Message) -> bytes:
        """The answer to a network management message of the host's own."""
        return self._codec.encode(self._responder.respond(asked, Reply(Reason.ACCEPTED)))

    def names(self, message: Message, at_ms: int, auth_code: str) -> Names:
        """How it is called; ``auth_code`` is DE 38 of its recorded reply, which later messages may name."""
        try:
            request = self._recogniser.recognise(message, at_ms).request
        except (DecodeError, Unsupported, KeyError, ValueError):
            return Names()  # the host refuses it as well, whatever came before
        if isinstance(request, NetworkManagement):
            return Names(signs=request.signal in (Signal.SIGN_ON, Signal.SIGN_OFF))
        if isinstance(request, Authorization):
            known_by = tuple(key.replace(AUTH_CODE, auth_code) for key in request.match_keys)
            return Names((request.key, *known_by), (request.key,), request.card)
        return Names((request.key,), (request.key, *request.match_keys), request.card)

    def match_key(self, message: Message, *, asked: bool) -> MatchKey:
        """Equal for a question and its replies: the reply's MTI and what of the network's key is echoed."""
        mti = response_mti(message.mti) if asked and wants_answer(message.mti) else message.mti
        get = message.elements.get
        echoed = self._echoed(mti[:2])
        return (mti[:3], *[get(number, "") for number in self._repeat if number in echoed])

    def echoes(self, asked: Message, reply: Message) -> bool:
        """Whether the reply has every element of the question that it must echo as it was."""
        return all(
            asked.elements.get(number) == reply.elements[number]
            for number in self._echoed(asked.mti[:2])
            if number in reply.elements
        )

    def with_auth_code(self, message: Message, auth_code: str) -> bytes | None:
        """The message with another DE 38, or None where that would break its MAC."""
        if not _MACS.isdisjoint(message.elements):
            return None
        changed = {**message.elements, _AUTH_CODE_ELEMENT: auth_code}
        return self._codec.encode(Message(message.header, message.mti, changed))

    def _echoed(self, mti_class: str) -> tuple[int, ...]:
        return self._profile.echo.get(mti_class, self._profile.echo["other"])


def auth_code(message: Message | None) -> str:
    """DE 38, or empty."""
    return message.elements.get(_AUTH_CODE_ELEMENT, "") if message is not None else ""
