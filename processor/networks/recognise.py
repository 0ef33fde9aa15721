"""From a decoded message to what it asks. After this nobody sees element numbers or raw strings again."""

import re
from collections.abc import Callable

import msgspec

from processor.iso8583.message import Message
from processor.iso8583.subelements import ORIGINAL_DATA
from processor.iso8583.tracks import Track2, read_track_2
from processor.networks.adapters import ADAPTERS
from processor.networks.mti import first_of
from processor.networks.profile import Kind, Profile
from processor.values.clock import DAY_MS
from processor.values.errors import DecodeError, Unsupported
from processor.values.money import EXPONENT, Money
from processor.values.requests import (
    AUTH_CODE,
    Advice,
    Authorization,
    CvvKind,
    Direction,
    NetworkManagement,
    Original,
    Reversal,
)
from processor.values.sensitive import Evidence, Pan, Tokens

_Elements = dict[int, str]

_PIN_BLOCK = re.compile("[0-9A-F]{16}")


class Question(msgspec.Struct, frozen=True):
    """A recognised message: the request, and for an authorization the evidence to verify it with."""

    request: Authorization | Advice | Reversal | NetworkManagement
    evidence: Evidence | None = None


class Recogniser:
    """Recognises the messages of one network."""

    def __init__(self, profile: Profile, tokens: Tokens) -> None:
        self._profile = profile
        self._places = profile.places
        self._tokens = tokens
        self._adapter = ADAPTERS[profile.adapter]
        self._by_kind: dict[Kind, Callable[[Message, str], Question]] = {
            "authorization": self._authorization,
            "financial": self._authorization,
            "stand_in_advice": self._advice,
            "financial_advice": self._advice,
            "reversal": self._reversal,
            "network_management": self._network_management,
        }
        self._directions = {
            **dict.fromkeys(profile.directions.debit, Direction.DEBIT),
            **dict.fromkeys(profile.directions.credit, Direction.CREDIT),
            **dict.fromkeys(profile.directions.none, Direction.NONE),
        }

    def recognise(self, message: Message, received_ms: int = 0) -> Question:
        """What the message asks. The UTC day of ``received_ms`` dates a message that names no day itself.

        Raises:
            DecodeError: a mandatory element is missing or an element makes no sense, named in the error.
            Unsupported: this message type or type of transaction is not served.
        """
        kind = self._profile.messages.get(message.mti)
        if kind is None:
            raise Unsupported(f"message type {message.mti}", message.mti, message.elements)
        try:
            self._check_mandatory(message)
            return self._by_kind[kind](message, self._day(message.elements, received_ms))
        except DecodeError as error:
            raise DecodeError(error.element, error.rule, mti=message.mti, partial=message.elements) from None

    def _check_mandatory(self, message: Message) -> None:
        for number in self._profile.mandatory[first_of(message.mti)]:
            if number not in message.elements:
                raise DecodeError(number, "mandatory element is missing")

    def _authorization(self, message: Message, day: str) -> Question:
        elements, profile = message.elements, self._profile
        track = read_track_2(elements[35]) if 35 in elements else None
        pan = self._pan(elements, track)
        card = self._tokens.token(pan)
        entry_mode = self._places.entry_mode.of(elements)
        evidence, cvv_kind = self._evidence(elements, pan, entry_mode, track)
        direction = self._directions.get(elements[3][:2])
        if direction is None:
            raise Unsupported(f"processing code {elements[3][:2]}", message.mti, elements)
        transaction_amount = self._money(elements, 4, 49)
        hold_days, hold_class = self._hold(entry_mode)
        request = Authorization(
            network=profile.name,
            mti=message.mti,
            key=self._key(message.mti, card, elements, day),
            content=_content(profile.keys.content, elements),
            match_keys=self._names(card, elements, day, own=True, auth_code=AUTH_CODE),
            card=card,
            pan_masked=pan.masked(),
            processing_code=elements[3],
            amount=self._money(elements, 6, 51) if 6 in elements else transaction_amount,
            transmitted=elements.get(7, ""),
            stan=elements[11],
            rrn=elements.get(37, ""),
            acquirer=elements.get(32, ""),
            direction=direction,
            single_message=message.mti[1] == "2",
            transaction_amount=transaction_amount,
            terminal=elements.get(41, ""),
            merchant=elements.get(42, ""),
            merchant_category=elements.get(self._places.merchant_category, ""),
            country=elements.get(19, ""),
            entry_mode=entry_mode,
            condition=elements.get(self._places.condition, ""),
            expiry=elements.get(14) or (track.expiry if track else ""),
            pin_present=bool(evidence.pin_block),
            cvv_kind=cvv_kind,
            hold_days=hold_days,
            hold_class=hold_class,
        )
        return Question(request, evidence)

    def _day(self, elements: _Elements, received_ms: int) -> str:
        """The day of a message: its own MMDD, local before transmission, else the UTC day of its arrival."""
        return self._places.local_day.of(elements) or elements.get(7, "")[:4] or str(received_ms // DAY_MS)

    def _hold(self, entry_mode: str) -> tuple[int, str]:
        """How long a hold of a card read in this way lives, and the row that says so."""
        holds = self._profile.holds
        if entry_mode in holds.present_entry_modes:
            return holds.present_days, "card present"
        return holds.absent_days, "card absent"

    def _advice(self, message: Message, day: str) -> Question:
        elements, profile = message.elements, self._profile
        pan = self._pan(elements, None)
        card = self._tokens.token(pan)
        financial = profile.messages[message.mti] == "financial_advice"
        reasons = self._adapter.reasons(elements)
        hold_days, hold_class = self._hold(self._places.entry_mode.of(elements))
        known_by = self._names(card, elements, day, own=True, auth_code=elements.get(38, ""))
        request = Advice(
            network=profile.name,
            mti=message.mti,
            key=self._key(message.mti, card, elements, day),
            content=_content(profile.keys.content, elements),
            match_keys=self._names(card, elements, day, own=False) + known_by,
            card=card,
            pan_masked=pan.masked(),
            processing_code=elements[3],
            amount=self._charged(elements),
            transmitted=elements.get(7, ""),
            stan=elements[11],
            rrn=elements.get(37, ""),
            acquirer=elements.get(32, ""),
            direction=self._directions.get(elements[3][:2], Direction.DEBIT),
            known_by=known_by,
            known_type=elements[3][:2] in self._directions,
            financial=financial,
            approved=financial or elements[39] in profile.approving_codes,
            auth_code=elements.get(38, ""),
            reason=reasons[0] if reasons else "",
            hold_days=hold_days,
            hold_class=hold_class,
        )
        return Question(request)

    def _reversal(self, message: Message, day: str) -> Question:
        elements, profile = message.elements, self._profile
        pan = self._pan(elements, None)
        card = self._tokens.token(pan)
        amount = self._charged(elements)
        request = Reversal(
            network=profile.name,
            mti=message.mti,
            key=self._key(message.mti, card, elements, day),
            content=_content((*profile.keys.content, str(self._places.replacement)), elements),
            match_keys=self._names(card, elements, day, own=False),
            card=card,
            pan_masked=pan.masked(),
            processing_code=elements[3],
            amount=amount,
            transmitted=elements.get(7, ""),
            stan=elements[11],
            rrn=elements.get(37, ""),
            acquirer=elements.get(32, ""),
            direction=self._directions.get(elements[3][:2], Direction.DEBIT),
            total=self._total(elements),
            of_late_answer=not profile.late_answer_reasons.isdisjoint(self._adapter.reasons(elements)),
            original=_ORIGINALS.get(self._places.original_mti.of(elements)[1:3], Original.AUTHORIZATION),
        )
        if not request.match_keys:
            raise DecodeError(self._places.original_mti.element, "nothing names the original")
        return Question(request)

    def _total(self, elements: _Elements) -> Money | None:
        """The new total of a partial reversal, None where the whole is reversed."""
        digits, is_billing = self._adapter.replacement(elements)
        if not digits.strip("0"):
            return None
        # the cardholder's currency is not named by every message; then it is the original's
        currency = elements.get(51, "") if is_billing else elements.get(49, "")
        return Money(int(digits), currency)

    def _charged(self, elements: _Elements) -> Money:
        """The amount in the cardholder's currency: billing when present, else transaction."""
        return self._money(elements, 6, 51) if 6 in elements else self._money(elements, 4, 49)

    def _evidence(
        self, elements: _Elements, pan: Pan, entry_mode: str, track: Track2 | None
    ) -> tuple[Evidence, CvvKind]:
        """Which CVV this entry mode calls for, and the PIN block with its format."""
        kind = self._profile.entry_modes.get(entry_mode)
        cvv = expiry = service_code = ""
        if kind is None:
            cvv, service_code = self._adapter.cvv2(elements), "000"
            expiry = elements.get(14, "")  # absent: the HSM is asked with the expiry on file
            kind = CvvKind.CVV2
        elif kind is not CvvKind.NONE and track is not None and track.cvv:
            cvv, expiry = track.cvv, track.expiry
            service_code = "999" if kind is CvvKind.ICVV else track.service_code
        if not cvv:
            kind, cvv, expiry, service_code = CvvKind.NONE, "", "", ""
        pin_block, security = elements.get(52, ""), elements.get(53, "")
        if pin_block and not _PIN_BLOCK.fullmatch(pin_block):
            raise DecodeError(52, "not eight bytes")
        evidence = Evidence(
            pan=pan,
            cvv=cvv,
            cvv_service_code=service_code,
            cvv_expiry=expiry,
            pin_block=pin_block,
            pin_format=self._profile.pin_formats.get(security[4:6], self._profile.pin_format_default),
        )
        return evidence, kind

    def _network_management(self, message: Message, _day: str) -> Question:
        elements = message.elements
        place = self._places.network_management
        signal = self._profile.network_management.get(elements.get(place, ""))
        if signal is None:
            raise DecodeError(place, "network management code is not known")
        return Question(
            NetworkManagement(self._profile.name, message.mti, signal, elements.get(7, ""), elements[11])
        )

    def _pan(self, elements: _Elements, track: Track2 | None) -> Pan:
        """The PAN of DE 2, which must be the track's; or the track's alone."""
        digits = elements.get(2) or (track.pan if track is not None else "")
        if track is not None and track.pan != digits:
            raise DecodeError(35, "the track's PAN is not DE 2's")
        try:
            pan = Pan(digits)
        except ValueError:
            raise DecodeError(2, "not 12 to 19 digits") from None
        if self._profile.luhn == "check" and not pan.check_digit_fits():
            raise DecodeError(2, "the check digit is wrong")
        return pan

    def _money(self, elements: _Elements, amount: int, currency: int) -> Money:
        code = elements.get(currency) or (self._profile.currency_default if currency == 49 else "")
        if code not in EXPONENT:
            raise DecodeError(currency, "currency is missing or not known")
        return Money(int(elements[amount]), code)

    def _key(self, mti: str, card: str, elements: _Elements, day: str) -> str:
        """Equal for a question and its repeats; an advice is another question than a request."""
        parts = [day if part == "day" else elements.get(int(part), "") for part in self._profile.keys.repeat]
        return "|".join((self._profile.name, mti[:3], card, *parts))

    def _names(
        self, card: str, elements: _Elements, day: str, *, own: bool, auth_code: str = ""
    ) -> tuple[str, ...]:
        """Match keys: a message's ``own``, with ``auth_code`` for DE 38, or those of the one it is about."""
        keys = []
        for row, link in enumerate(self._profile.keys.link):
            if own:
                parts = [
                    auth_code if name == "38" else self._part(name, elements, day) for name in link.original
                ]
            else:
                parts = [self._part(name, elements, day) for name in link.later]
            if all(parts):
                keys.append("|".join((self._profile.name, str(row), card, *parts)))
        return tuple(keys)

    def _part(self, name: str, elements: _Elements, day: str) -> str:
        """A part of a match key: an element ("37"), a piece of DE 90 ("90.11"), or the adapter's ("62.2")."""
        if name == "day":
            return day
        if name.startswith("90."):
            return _original_part(name, elements)
        if not name.isdigit():
            return self._adapter.part(name, elements)
        value = elements.get(int(name), "")
        return value.lstrip("0") if name == "32" else value


# Where DE 90 has what a key names. Zeros mean not known; institutions are compared without leading zeros.
_ORIGINALS = {"20": Original.SINGLE_MESSAGE, "22": Original.POSTING}
_ORIGINAL_PARTS = {"90.11": 2, "90.7": 3, "90.32": 4}


def _original_part(name: str, elements: _Elements) -> str:
    value = ORIGINAL_DATA.pick(_ORIGINAL_PARTS[name], elements.get(90, "")) or ""
    if name == "90.32":
        return value.lstrip("0")
    return value if value.strip("0") else ""


def _content(names: tuple[str, ...], elements: _Elements) -> str:
    return "|".join([elements.get(int(name), "") for name in names])
