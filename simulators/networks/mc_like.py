"""The mc-like switch: no header; a purchase is named by network data (63) and settlement date (15)."""

from processor.iso8583.framing import TWO_BYTE_FRAME
from processor.iso8583.message import Message
from processor.iso8583.tables.mc_like import (
    ADDITIONAL_DATA,
    ADVICE_REASON,
    ELECTRONIC_COMMERCE_INDICATORS,
    MC_LIKE,
    NETWORK_DATA,
    POINT_OF_SERVICE_DATA,
    TRACE_IDENTIFIER,
)
from simulators.networks.network import Cause, Elements, Network, Refusal
from simulators.question import Fault, Matter
from simulators.wallet import Wallet
from simulators.ways import CASH, Reading, Way

_FORWARDER = "200002"
_NETWORK = "MCC"
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_REFERENCE_CHARACTERS = 6
_CATEGORY, _VERIFICATION_METHOD, _COMMERCE, _TRACE, _CVC_RESULT, _CVC2 = 0, 20, 42, 63, 87, 92
_NO_SECURE_COMMERCE = ELECTRONIC_COMMERCE_INDICATORS.build({1: "210"})

_ENTRY_MODE = {Reading.STRIPE: "901", Reading.CHIP: "051", Reading.CONTACTLESS: "071", Reading.WEB: "812"}
_PRESENT = dict.fromkeys(range(1, 11), "0") | {11: "8", 12: "00", 13: "840"}
_ABSENT = _PRESENT | {1: "1", 3: "2", 4: "5", 5: "1", 10: "6", 11: "6"}
_VERIFICATION_STATUS = "8"
_ATTENDED = POINT_OF_SERVICE_DATA.build(_PRESENT)
_UNATTENDED = POINT_OF_SERVICE_DATA.build(_PRESENT | {1: "1", 10: "1"})
_COMMERCE_TERMINAL = POINT_OF_SERVICE_DATA.build(_ABSENT)
_VERIFICATION = POINT_OF_SERVICE_DATA.build(_ABSENT | {7: _VERIFICATION_STATUS})

# DE 60, and DE 39 where the message is a reversal.
_REASONS = {
    Cause.ISSUER_TIMED_OUT: {60: ADVICE_REASON.build({1: "102", 2: "0000"})},
    Cause.ISSUER_SIGNED_OFF: {60: ADVICE_REASON.build({1: "101", 2: "0000"})},
    Cause.LATE_ANSWER: {60: ADVICE_REASON.build({1: "402", 2: "0000"}), 39: "82"},
    Cause.CUSTOMER: {39: "17"},
    Cause.PARTLY: {39: "32"},
    Cause.COMPLETED: {},
}
_CODES = {
    Refusal.UNKNOWN_CARD: "14",
    Refusal.REVERSED_BEFORE: "12",
    Refusal.INSUFFICIENT_FUNDS: "51",
    Refusal.INCORRECT_PIN: "55",
    Refusal.PIN_TRIES_EXCEEDED: "75",
    Refusal.CVV_FAILED: "05",
    Refusal.CVV2_FAILED: "05",
    Refusal.INVALID_AMOUNT: "13",
    Refusal.DUPLICATE: "94",
    Refusal.FORMAT_ERROR: "30",
}


class McLike(Network):
    """See ``Network``."""

    name = "mc-like"
    dialect = MC_LIKE
    frame = TWO_BYTE_FRAME
    acquirer = "520001"
    reversal_mtis = ("0400", "0420")
    sign_on, sign_off, echo_test = "061", "062", "270"
    codes = _CODES
    undecided = frozenset({"91"})
    shed = frozenset({"91"})
    echoed = (2, 3, 4, 6, 7, 10, 11, 15, 32, 33, 37, 41, 42, 49, 51, 62, 63, 70)

    def header(self, stan: str) -> bytes:  # noqa: ARG002
        """None."""
        return b""

    def header_fits(self, asked: bytes, reply: bytes) -> bool:
        """There is none in a reply either."""
        return asked == reply == b""

    def signal(self) -> Elements:
        """Who forwards it."""
        return {33: _FORWARDER, 63: _NETWORK + "000000"}

    def opening(self, way: Way, wallet: Wallet, identifier: int, day: str) -> Elements:  # noqa: ARG002
        """Entry mode, category, terminal, and what later messages name it by."""
        return {
            15: day,
            22: _ENTRY_MODE[way.reading],
            33: _FORWARDER,
            48: ADDITIONAL_DATA.build(_additional(way)),
            61: _terminal(way),
            63: _network_data(identifier),
        }

    def evidence(self, way: Way, wallet: Wallet, *, wrong: bool) -> Elements:
        """48.92 on the internet."""
        if way.reading is not Reading.WEB:
            return {}
        value = wallet.wrong_cvc2 if wrong else wallet.cvc2
        return {48: ADDITIONAL_DATA.build(_additional(way) | {_CVC2: value})}

    def pin_security(self) -> str:
        """Zone key 1, ISO format 0."""
        return "9701100001000000"

    def about(self, asked: Elements, cause: Cause, identifier: int) -> Elements:
        """Network data of its own, and the reason."""
        return {15: asked[15], 33: _FORWARDER, 63: _network_data(identifier), **_REASONS[cause]}

    def naming(self, asked: Elements) -> Elements:
        """The trace identifier in 48.63."""
        trace = TRACE_IDENTIFIER.build({1: asked[63], 2: f"{asked[15]:6}"})
        return {48: ADDITIONAL_DATA.build({_CATEGORY: asked[48][0], _TRACE: trace})}

    def same(self, asked: Elements) -> Elements:
        """Network data, settlement date and category."""
        return {15: asked[15], 48: asked[48][0], 63: asked[63]}

    def result_fits(self, matter: Matter, reply: Message, *, known: bool) -> bool:
        """48.87: Y for a wrong CVC 1, nothing for a right one, M or N for CVC 2; the category comes back."""
        additional = ADDITIONAL_DATA.read(reply.elements.get(48, ""))
        mark = additional.get(_CVC_RESULT)
        if _CATEGORY not in additional:
            return False
        if known and matter.reading is Reading.WEB:
            return mark == ("N" if matter.fault is Fault.WRONG_CVV2 else "M")
        return mark == ("Y" if known and matter.fault is Fault.WRONG_CVV else None)


def _additional(way: Way) -> dict[int, str]:
    """The parts of a request's DE 48."""
    parts = {_CATEGORY: way.till.category, _VERIFICATION_METHOD: "P" if way.with_pin else "S"}
    return parts | ({_COMMERCE: _NO_SECURE_COMMERCE} if way.reading is Reading.WEB else {})


def _terminal(way: Way) -> str:
    """DE 61."""
    if way.reading is Reading.WEB:
        return _VERIFICATION if way.is_verification else _COMMERCE_TERMINAL
    return _UNATTENDED if way.type == CASH else _ATTENDED


def _network_data(identifier: int) -> str:
    """DE 63 with the identifier's last part as six letters and digits."""
    reference = ""
    number = identifier % 36**_REFERENCE_CHARACTERS
    for _ in range(_REFERENCE_CHARACTERS):
        number, digit = divmod(number, 36)
        reference = _DIGITS[digit] + reference
    return NETWORK_DATA.build({1: _NETWORK, 2: reference})
