"""What the HSM is asked about a card, as messages of the host protocol, and what its replies are worth.

Only the replies listed here are verdicts; a PIN block that does not decode is a wrong PIN. Anything else the
HSM says is no answer.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from processor.hsm.commands import encode_request, request_writer
from processor.hsm.keys import KeyUnderLmk
from processor.hsm.layout import LMK
from processor.values.cards import Card
from processor.values.facts import Check, Facts
from processor.values.sensitive import Evidence


class HsmKeys(msgspec.Struct, frozen=True):
    """The keys that verification needs, under the LMK."""

    zpk: KeyUnderLmk
    pvk: KeyUnderLmk
    cvk: KeyUnderLmk


class Op(NamedTuple):
    """A kind of question: its name in metrics, the code of its replies, and which of them are verdicts."""

    name: str
    response: bytes
    verdicts: Mapping[bytes, Check]


CVV = Op("cvv", b"CZ", {b"CZ00": Check.PASSED, b"CZ01": Check.FAILED})
PIN = Op(
    "pin",
    b"ED",
    {
        b"ED00": Check.PASSED,
        b"ED01": Check.FAILED,
        b"ED20": Check.FAILED,  # the decrypted block is not a PIN block: a wrong PIN to everybody outside
        b"ED24": Check.FAILED,  # a PIN shorter than 4 or longer than 12
    },
)
HEALTH = Op("health", b"ND", {})


class Verification:
    """The questions of one request; ``done`` is called when the last of them has its verdict."""

    __slots__ = ("_card_version", "_done", "_open", "cvv", "pin")

    def __init__(self, card_version: int, questions: int, done: Callable[[Facts], None]) -> None:
        self._card_version = card_version
        self._open = questions
        self._done = done
        self.cvv = self.pin = Check.NOT_ASKED

    def settle(self, op: Op, verdict: Check) -> None:
        """One question has its verdict."""
        if op is PIN:
            self.pin = verdict
        else:
            self.cvv = verdict
        self._open -= 1
        if not self._open:
            self._done(Facts(self.cvv, self.pin, self._card_version))


class Question:
    """One command to the HSM, kept until it is answered because it may be asked again elsewhere.

    ``message`` has sensitive data in it: a question has no repr of its own, and dies with its answer.
    ``times`` is how often it was asked; ``verification`` is None for a question about the HSM itself.
    """

    __slots__ = ("deadline_s", "message", "op", "sent_s", "times", "verification")

    def __init__(self, op: Op, message: bytes, deadline_s: float, verification: Verification | None) -> None:
        self.op = op
        self.message = message
        self.deadline_s = deadline_s
        self.verification = verification
        self.sent_s = 0.0
        self.times = 0


class Messages:
    """Writes the commands, each for the LMK with the identifier ``lmk`` if one is named."""

    def __init__(self, keys: HsmKeys, lmk: str = "") -> None:
        self._keys = keys
        self._lmk = f"%{lmk}".encode("ascii") if lmk else b""
        self._cvv, self._pin = request_writer("CY"), request_writer("EC")
        self.health = encode_request("NC", {LMK: lmk} if lmk else {})

    def cvv(self, evidence: Evidence, card: Card) -> bytes:
        """Is the CVV right? Errors: ValueError names a field that does not fit, never its value."""
        return (
            self._cvv(
                self._keys.cvk.value,
                evidence.cvv,
                evidence.pan.reveal(),
                evidence.cvv_expiry or card.expiry,
                evidence.cvv_service_code,
            )
            + self._lmk
        )

    def pin(self, evidence: Evidence, card: Card) -> bytes:
        """Is the PIN in the block right, by the card's PVV? Errors: as ``cvv``."""
        return (
            self._pin(
                self._keys.zpk.value,
                self._keys.pvk.value,
                evidence.pin_block,
                evidence.pin_format,
                evidence.pan.account_12(),
                card.pvki,
                card.pvv,
            )
            + self._lmk
        )
