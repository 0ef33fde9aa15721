"""The visa-like switch: BASE I header, identifiers in DE 62.2, reasons in DE 63."""

from processor.iso8583.framing import VISA_FRAME
from processor.iso8583.header import BASE1, Base1Header
from processor.iso8583.message import Message
from processor.iso8583.tables.visa_like import CUSTOM_PAYMENT_SERVICE, NETWORK_PRIVATE_USE, VISA_LIKE
from simulators.networks.network import Cause, Elements, Network, Refusal
from simulators.question import Fault, Matter
from simulators.wallet import Wallet
from simulators.ways import Reading, Way

_OUR_STATION, _ISSUER_STATION = "123456", "400001"
_HEADER_LENGTH = slice(3, 5)

_ENTRY_MODE = {
    Reading.STRIPE: "9010",
    Reading.CHIP: "0510",
    Reading.CONTACTLESS: "0710",
    Reading.WEB: "0120",
}
_NETWORK_DATA = NETWORK_PRIVATE_USE.build({1: "0002"})
_REASONS = {
    Cause.ISSUER_TIMED_OUT: {1: "0002", 4: "9020"},
    Cause.ISSUER_SIGNED_OFF: {1: "0002", 4: "9001"},
    Cause.LATE_ANSWER: {1: "0002", 3: "2502", 4: "9103"},
    Cause.CUSTOMER: {1: "0002", 3: "2501"},
    Cause.PARTLY: {1: "0002", 3: "2504"},
    Cause.COMPLETED: {1: "0002"},
}
_PRIVATE_USE_OF = {cause: NETWORK_PRIVATE_USE.build(parts) for cause, parts in _REASONS.items()}
_CODES = {
    Refusal.UNKNOWN_CARD: "14",
    Refusal.REVERSED_BEFORE: "12",
    Refusal.INSUFFICIENT_FUNDS: "51",
    Refusal.INCORRECT_PIN: "55",
    Refusal.PIN_TRIES_EXCEEDED: "75",
    Refusal.CVV_FAILED: "82",
    Refusal.CVV2_FAILED: "N7",
    Refusal.INVALID_AMOUNT: "13",
    Refusal.DUPLICATE: "94",
    Refusal.FORMAT_ERROR: "30",
}


class VisaLike(Network):
    """See ``Network``."""

    name = "visa-like"
    dialect = VISA_LIKE
    frame = VISA_FRAME
    acquirer = "400001"
    reversal_mtis = ("0420", "0420")
    sign_on, sign_off, echo_test = "071", "072", "301"
    codes = _CODES
    undecided = frozenset({"91", "N0"})
    shed = frozenset({"N0"})
    echoed = (2, 3, 4, 7, 11, 32, 37, 41, 42, 49, 51, 62, 63, 70)

    def header(self, stan: str) -> bytes:
        """Each message has another round-trip value, so that a reply with another's header is noticed."""
        return Base1Header(_ISSUER_STATION, _OUR_STATION, round_trip=int(stan) % 256).pack()

    def header_fits(self, asked: bytes, reply: bytes) -> bool:
        """The stations change places, everything but the length comes back."""
        expected = BASE1.reply(asked)
        return (
            reply[: _HEADER_LENGTH.start] + reply[_HEADER_LENGTH.stop :]
            == expected[: _HEADER_LENGTH.start] + expected[_HEADER_LENGTH.stop :]
        )

    def signal(self) -> Elements:
        """The network's number."""
        return {63: _NETWORK_DATA}

    def opening(self, way: Way, wallet: Wallet, identifier: int, day: str) -> Elements:  # noqa: ARG002
        """How it was read and under which conditions; 62.2 only where the way is identified."""
        elements = {22: _ENTRY_MODE[way.reading], 25: way.till.condition, 63: _NETWORK_DATA}
        if way.identified:
            elements[62] = CUSTOM_PAYMENT_SERVICE.build({1: "E", 2: f"{identifier:015}"})
        return elements

    def evidence(self, way: Way, wallet: Wallet, *, wrong: bool) -> Elements:
        """DE 126 on the internet."""
        if way.reading is not Reading.WEB:
            return {}
        return {126: wallet.wrong_cvv2 if wrong else wallet.cvv2}

    def pin_security(self) -> str:
        """Zone encryption, ISO format 0."""
        return "2001010100000000"

    def about(self, asked: Elements, cause: Cause, identifier: int) -> Elements:  # noqa: ARG002
        """The reason in 63.3 or 63.4; an advice's decision is in DE 39 and not here."""
        return {63: _PRIVATE_USE_OF[cause]}

    def naming(self, asked: Elements) -> Elements:
        """62.2 is the same in every message of a purchase."""
        return {62: asked[62]} if 62 in asked else {}

    def same(self, asked: Elements) -> Elements:
        """The transaction identifier."""
        return self.naming(asked)

    def result_fits(self, matter: Matter, reply: Message, *, known: bool) -> bool:
        """DE 44, position 5 for CVV and iCVV, 10 for CVV2."""
        if not known:
            return 44 not in reply.elements
        if matter.reading is Reading.WEB:
            mark = " " * 9 + ("N" if matter.fault is Fault.WRONG_CVV2 else "M")
        else:
            mark = " " * 4 + ("1" if matter.fault is Fault.WRONG_CVV else "2")
        return reply.elements.get(44) == mark
