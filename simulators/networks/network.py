"""What the switch needs to know of a network."""

import enum
from typing import ClassVar, Protocol

from processor.iso8583.dialect import Dialect
from processor.iso8583.framing import FrameRule
from processor.iso8583.message import Message
from simulators.question import Matter
from simulators.wallet import Wallet
from simulators.ways import Way

Elements = dict[int, str]


class Refusal(enum.Enum):
    """Why an issuer says no; which code says it is the network's."""

    UNKNOWN_CARD = "unknown card"
    REVERSED_BEFORE = "reversed before"
    INSUFFICIENT_FUNDS = "insufficient funds"
    INCORRECT_PIN = "incorrect PIN"
    PIN_TRIES_EXCEEDED = "PIN tries exceeded"
    CVV_FAILED = "CVV failed"
    CVV2_FAILED = "CVV2 failed"
    INVALID_AMOUNT = "invalid amount"
    DUPLICATE = "duplicate"
    FORMAT_ERROR = "format error"


class Cause(enum.Enum):
    """Why the network sends an advice or a reversal."""

    ISSUER_TIMED_OUT = "the issuer timed out"  # of a stand-in advice
    ISSUER_SIGNED_OFF = "the issuer is signed off"  # of a stand-in advice without a request before
    LATE_ANSWER = "the issuer's answer came late"  # of a reversal
    CUSTOMER = "the customer cancelled"  # of a reversal
    PARTLY = "less was used"  # of a partial reversal
    COMPLETED = "completed"  # of a posting


class Network(Protocol):
    """One network. Codes are DE 39 as it has them; management codes are DE 70.

    ``echoed`` elements come back unchanged where they were sent. ``undecided`` codes are no decision and
    allowed at any time; after a ``shed`` one a repeat may still be decided.
    """

    name: ClassVar[str]
    dialect: ClassVar[Dialect]
    frame: ClassVar[FrameRule]
    acquirer: ClassVar[str]
    reversal_mtis: ClassVar[tuple[str, str]]
    sign_on: ClassVar[str]
    sign_off: ClassVar[str]
    echo_test: ClassVar[str]
    codes: ClassVar[dict[Refusal, str]]
    undecided: ClassVar[frozenset[str]]
    shed: ClassVar[frozenset[str]]
    echoed: ClassVar[tuple[int, ...]]

    def header(self, stan: str) -> bytes:
        """The header of a message; another one for another STAN, where the header has room for that."""
        ...

    def header_fits(self, asked: bytes, reply: bytes) -> bool:
        """Whether a reply has the header that answers ``asked``."""
        ...

    def signal(self) -> Elements:
        """What network management has besides DE 7, 11 and 70."""
        ...

    def opening(self, way: Way, wallet: Wallet, identifier: int, day: str) -> Elements:
        """What a request has besides amounts, keys, acceptor and the cardholder's evidence.

        ``identifier`` is one of 10**15 numbers, another for each purchase; ``day`` is MMDD.
        """
        ...

    def evidence(self, way: Way, wallet: Wallet, *, wrong: bool) -> Elements:
        """The verification value that is printed on the card, where the network has its place."""
        ...

    def pin_security(self) -> str:
        """DE 53 for a PIN block of ISO format 0."""
        ...

    def about(self, asked: Elements, cause: Cause, identifier: int) -> Elements:
        """What a message about an earlier one has of the network's own; ``identifier`` is its own."""
        ...

    def naming(self, asked: Elements) -> Elements:
        """How a later message names ``asked`` by the network's identifier; empty where that has none."""
        ...

    def same(self, asked: Elements) -> Elements:
        """What an advice has that is told under the original's own identity."""
        ...

    def result_fits(self, matter: Matter, reply: Message, *, known: bool) -> bool:
        """Whether a decided reply tells what the verification values must have come to.

        Of a card that is not on file (``known``) nothing can be told.
        """
        ...
