"""The names that stand for cards and accounts in a trace."""

import hashlib
import hmac

from processor.replay.touched import SHARED


class Names:
    """Cards and accounts by other names, and nothing else changed: what a raw trace needs.

    ``key`` is the processor's and goes nowhere; it gives the same names in every trace of an instance.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def token(self, token: str) -> str:
        """The card's name in the trace."""
        return self._name("card", token) if token else ""

    def account(self, name: str) -> str:
        """The account's name in the trace; accounts that are no cardholder's keep theirs."""
        if not name or name.startswith(SHARED):
            return name
        return "account:" + self._name("account", name)

    def pan(self, _token: str, digits: str) -> str:
        """The PAN that stands for the card ``token``, whose PAN is ``digits``."""
        return digits

    def message(self, _network: str, elements: dict[int, str], _token: str) -> dict[int, str]:
        """The elements as the trace tells them; ``token`` is of its card, empty if none is known."""
        return elements

    def match_key(self, key: str) -> str:
        """A match key (``NETWORK|row|card|parts``) as replaying the trace's messages would build it."""
        network, row, card, rest = key.split("|", 3)
        return "|".join((network, row, self.token(card), rest))

    def question_key(self, key: str) -> str:
        """The key of a question (``NETWORK|mti|card|parts``), likewise."""
        return self.match_key(key)

    def content(self, _key: str, content: str) -> str:
        """The content of the question with this key, likewise."""
        return content

    def auth_code(self, code: str) -> str:
        """DE 38."""
        return code

    def _name(self, kind: str, name: str) -> str:
        return hmac.digest(self._key, f"{kind} {name}".encode(), hashlib.sha256)[:16].hex()
