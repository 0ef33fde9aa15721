"""From a decoded message to what it asks. After this nobody sees element numbers or raw strings again."""

from collections.abc import Callable

import msgspec

from processor.iso8583.message import Message
from processor.networks.adapters import ADAPTERS
from processor.networks.profile import Profile
from processor.values.errors import DecodeError, Unsupported
from processor.values.money import EXPONENT, Money
from processor.values.requests import AUTH_CODE, Authorization, CvvKind, NetworkManagement, Reversal
from processor.values.sensitive import Evidence, Pan, Tokens

_Elements = dict[int, str]


class Question(msgspec.Struct, frozen=True):
    """A recognised message: the request, and for an authorization the evidence to verify it with."""

    request: Authorization | Reversal | NetworkManagement
    evidence: Evidence | None = None


class Track2(msgspec.Struct, frozen=True):
    """DE 35: ``PAN D YYMM service-code PVKI PVV CVV``, as far as it goes."""

    expiry: str
    service_code: str
    cvv: str


class Recogniser:
    """Recognises the messages of one network."""

    def __init__(self, profile: Profile, tokens: Tokens) -> None:
        self._profile = profile
        self._tokens = tokens
        self._adapter = ADAPTERS[profile.adapter]
        self._by_kind: dict[str, Callable[[Message], Question]] = {
            "authorization": self._authorization,
            "reversal": self._reversal,
            "network_management": self._network_management,
        }

    def recognise(self, message: Message) -> Question:
        """What the message asks.

        Raises:
            DecodeError: a mandatory element is missing or an element makes no sense, named in the error.
            Unsupported: this message type is not served.
        """
        kind = self._profile.messages.get(message.mti)
        if kind is None:
            raise Unsupported(message.mti, message.elements)
        try:
            self._check_mandatory(message)
            return self._by_kind[kind](message)
        except DecodeError as error:
            raise DecodeError(error.element, error.rule, mti=message.mti, partial=message.elements) from None

    def _check_mandatory(self, message: Message) -> None:
        for number in self._profile.mandatory[message.mti[:2]]:
            if number not in message.elements:
                raise DecodeError(number, "mandatory element is missing")

    def _authorization(self, message: Message) -> Question:
        elements, profile = message.elements, self._profile
        pan = self._pan(elements)
        card = self._tokens.token(pan)
        entry_mode = elements[22][:2]
        track = _track_2(elements, pan)
        evidence, cvv_kind = self._evidence(elements, pan, entry_mode, track)
        transaction_amount = _money(elements, 4, 49)
        present = entry_mode in profile.holds.present_entry_modes
        request = Authorization(
            network=profile.name,
            mti=message.mti,
            key=self._key("01", card, elements),
            content=_content(profile.keys.content, elements),
            match_keys=self._match_keys(card, elements, original=True),
            card=card,
            pan_masked=pan.masked(),
            processing_code=elements[3],
            amount=_money(elements, 6, 51) if 6 in elements else transaction_amount,
            transaction_amount=transaction_amount,
            transmitted=elements[7],
            stan=elements[11],
            rrn=elements[37],
            acquirer=elements[32],
            terminal=elements[41],
            merchant=elements[42],
            merchant_category=elements.get(18, ""),
            country=elements.get(19, ""),
            entry_mode=entry_mode,
            condition=elements.get(25, ""),
            expiry=elements.get(14) or (track.expiry if track else ""),
            pin_present=bool(evidence.pin_block),
            cvv_kind=cvv_kind,
            hold_days=profile.holds.present_days if present else profile.holds.absent_days,
            hold_class="card present" if present else "card absent",
        )
        return Question(request, evidence)

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
        security = elements.get(53, "")
        evidence = Evidence(
            pan=pan,
            cvv=cvv,
            cvv_service_code=service_code,
            cvv_expiry=expiry,
            pin_block=elements.get(52, ""),
            pin_format=security[4:6] or self._profile.pin_format_default,
        )
        return evidence, kind

    def _reversal(self, message: Message) -> Question:
        elements = message.elements
        pan = self._pan(elements)
        card = self._tokens.token(pan)
        request = Reversal(
            network=self._profile.name,
            mti=message.mti,
            key=self._key("04", card, elements),
            content=_content(self._profile.keys.content, elements),
            match_keys=self._match_keys(card, elements, original=False),
            card=card,
            pan_masked=pan.masked(),
            processing_code=elements[3],
            amount=_money(elements, 6, 51) if 6 in elements else _money(elements, 4, 49),
            transmitted=elements[7],
            stan=elements[11],
            rrn=elements[37],
            acquirer=elements[32],
        )
        if not request.match_keys:
            raise DecodeError(90, "nothing names the original")
        return Question(request)

    def _network_management(self, message: Message) -> Question:
        elements = message.elements
        signal = self._profile.network_management.get(elements[70])
        if signal is None:
            raise DecodeError(70, "network management code is not known")
        return Question(NetworkManagement(self._profile.name, message.mti, signal, elements[7], elements[11]))

    def _pan(self, elements: _Elements) -> Pan:
        try:
            pan = Pan(elements[2])
        except ValueError:
            raise DecodeError(2, "not 12 to 19 digits") from None
        if self._profile.luhn == "check" and not pan.check_digit_fits():
            raise DecodeError(2, "the check digit is wrong")
        return pan

    def _key(self, message_class: str, card: str, elements: _Elements) -> str:
        parts = [elements.get(int(part), "") for part in self._profile.keys.repeat]
        return "|".join((self._profile.name, message_class, card, *parts))

    def _match_keys(self, card: str, elements: _Elements, *, original: bool) -> tuple[str, ...]:
        keys = []
        for row, link in enumerate(self._profile.keys.link):
            parts = [self._part(name, elements) for name in (link.original if original else link.later)]
            if original:  # our DE 38 is not known yet; the core fills it in
                parts = [AUTH_CODE if n == "38" else p for n, p in zip(link.original, parts, strict=True)]
            if all(parts):
                keys.append("|".join((self._profile.name, str(row), card, *parts)))
        return tuple(keys)

    def _part(self, name: str, elements: _Elements) -> str:
        """A part of a match key: an element ("37"), a piece of DE 90 ("90.11"), or the adapter's ("62.2")."""
        if name.startswith("90."):
            return _ORIGINAL_DATA[name](elements.get(90, ""))
        if "." in name:
            return self._adapter.part(name, elements)
        value = elements.get(int(name), "")
        return value.lstrip("0") if name == "32" else value


# DE 90: MTI 4, STAN 6, transmission 10, acquirer 11, forwarder 11 digits. Zeros mean not known; numbers are
# zero-filled on the left, so acquirers compare without leading zeros.
_ORIGINAL_DATA: dict[str, Callable[[str], str]] = {
    "90.11": lambda original: original[4:10] if original[4:10].strip("0") else "",
    "90.7": lambda original: original[10:20] if original[10:20].strip("0") else "",
    "90.32": lambda original: original[20:31].lstrip("0"),
}


def _content(names: tuple[str, ...], elements: _Elements) -> str:
    return "|".join([elements.get(int(name), "") for name in names])


def _money(elements: _Elements, amount: int, currency: int) -> Money:
    code = elements.get(currency, "")
    if code not in EXPONENT:
        raise DecodeError(currency, "currency is missing or not known")
    return Money(int(elements[amount]), code)


def _track_2(elements: _Elements, pan: Pan) -> Track2 | None:
    """Read DE 35, whose PAN must be DE 2's."""
    if (track := elements.get(35)) is None:
        return None
    account, separator, rest = track.replace("=", "D").partition("D")
    if not separator or account != pan.reveal():
        raise DecodeError(35, "the track's PAN is not DE 2's")
    # expiry 4, service code 3, PIN key index 1, PVV 4, CVV 3; "F" may pad the end
    rest = rest.rstrip("F")
    if len(rest) < 7 or not (rest.isascii() and rest.isdigit()):
        raise DecodeError(35, "no expiry and service code in digits after the PAN")
    return Track2(expiry=rest[:4], service_code=rest[4:7], cvv=rest[12:15] if len(rest) >= 15 else "")
