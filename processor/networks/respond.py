"""From an answer to the message that carries it: echoes of the frame that is answered, then what we say."""

from processor.iso8583.message import Message
from processor.networks.adapters import ADAPTERS, DIALECTS
from processor.networks.mti import first_of
from processor.networks.profile import Profile
from processor.values.outcome import Reply


def response_mti(mti: str) -> str:
    """The MTI that answers ``mti``: the function digit plus one, the origin that of the first question.

    >>> response_mti("0101"), response_mti("0420"), response_mti("0800"), response_mti("1805")
    ('0110', '0430', '0810', '1814')
    """
    return f"{mti[:2]}{int(mti[2]) + 1}{first_of(mti)[3]}"


def wants_answer(mti: str) -> bool:
    """Whether ``mti`` is a request or an advice (an even function digit) rather than a response.

    >>> wants_answer("0100"), wants_answer("0430"), wants_answer("")
    (True, False, False)
    """
    return len(mti) == 4 and mti.isascii() and mti.isdigit() and mti[2] in "024"


class Responder:
    """Builds the responses of one network."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._adapter = ADAPTERS[profile.adapter]
        self._header = DIALECTS[profile.dialect].header

    def respond(self, asked: Message, reply: Reply, in_error: int = 0) -> Message:
        """The response to ``asked``; its elements are whatever of the echo list the message has.

        ``in_error`` is the element that a format-error reply is about, told where the network has a place.
        """
        echo = self._profile.echo.get(asked.mti[:2], self._profile.echo["other"])
        elements = {number: asked.elements[number] for number in echo if number in asked.elements}
        if reply.auth_code:
            elements[38] = reply.auth_code
        elements[39] = self._profile.response_code(reply.reason, asked.mti)
        if asked.mti[1:3] in {"10", "20"}:
            elements.update(self._adapter.results(asked.elements, reply))
        if in_error and self._profile.error_element:
            elements[self._profile.error_element] = f"{in_error:03}"
        return Message(self._header.reply(asked.header), response_mti(asked.mti), elements)
