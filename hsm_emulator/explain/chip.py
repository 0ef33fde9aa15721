"""A chip card's cryptogram and the answer to it, step by step.

What a cryptogram is over, and under which key, is said by its version, the CVN, which the card tells in its
issuer application data (9F10). Sources as in ``hsm_emulator.emv``; the known answers of pyemv pin them.
"""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from hsm_emulator.emv import ChipKey, IssuerKey, pan_psn_a, pan_psn_b
from hsm_emulator.explain.story import Place, Step, Story, Value, explained, swapped_halves
from hsm_emulator.mac import pad
from processor.values.errors import ConfigError

_TERMINAL = ("9F02", "9F03", "9F1A", "95", "5F2A", "9A", "9C", "9F37", "82", "9F36")
"""What the terminal and the card say of the transaction, in the order of the cryptogram."""

_LENGTHS = {
    "9F02": 6,
    "9F03": 6,
    "9F1A": 2,
    "95": 5,
    "5F2A": 2,
    "9A": 3,
    "9C": 1,
    "9F37": 4,
    "82": 2,
    "9F36": 2,
}


Parts: TypeAlias = tuple[tuple[int, int], ...]
"""Where parts of 9F10 begin and end."""


class Version(NamedTuple):
    """A CVN: which bytes of 9F10 are signed, how it is padded (1 zeros, 2 byte 80), which session key.

    ``answers_by``: the key and the method of the answer.
    """

    iad_parts: Parts
    signed: str
    padding: int
    session: str
    answers_by: tuple[str, int]


_WHOLE = ((0, 255),)
_VISA_CVR = ((3, 7),)
_MC_CVR = ((2, 8),)
_MC_COUNTERS = ((2, 8), (10, 18))
_CARD, _COMMON, _MASTERCARD = "the card's key itself", "the common method", "Mastercard's own method"

VERSIONS = {
    "visa-10": Version(_VISA_CVR, "the CVR out of 9F10", 1, _CARD, (_CARD, 1)),
    "visa-18": Version(_WHOLE, "the whole of 9F10", 2, _COMMON, (_COMMON, 2)),
    "visa-22": Version(_WHOLE, "the whole of 9F10", 2, _COMMON, (_COMMON, 2)),
    "mastercard-16": Version(_MC_CVR, "the CVR out of 9F10", 2, _MASTERCARD, (_CARD, 1)),
    "mastercard-17": Version(_MC_COUNTERS, "CVR and counters out of 9F10", 2, _MASTERCARD, (_CARD, 1)),
    "mastercard-20": Version(_MC_CVR, "the CVR out of 9F10", 2, _COMMON, (_COMMON, 1)),
    "mastercard-21": Version(_MC_COUNTERS, "CVR and counters out of 9F10", 2, _COMMON, (_COMMON, 1)),
}
"""Every cryptogram version that can be explained."""

_PADDINGS = {1: "zeros where needed", 2: "a byte 80, then zeros where needed"}


class Transaction(NamedTuple):
    """A cryptogram and what it was made of: tags of DE 55, or ``data`` as the host put it together."""

    tags: Mapping[str, bytes]
    data: bytes
    atc: bytes
    number: bytes
    cryptogram: str


def read_tags(data: bytes) -> dict[str, bytes]:
    """DE 55 by its tags, as hex digits. Errors: ConfigError, which names a place and quotes no value."""
    tags, at = {}, 0
    try:
        while at < len(data):
            start, at = at, at + (2 if data[at] & 0x1F == 0x1F else 1)
            tag = data[start:at].hex().upper()
            length, at = data[at], at + 1
            if length > 0x80:
                size, at = length & 0x7F, at + (length & 0x7F)
                length = int.from_bytes(data[at - size : at], "big")
            if at + length > len(data):
                raise ConfigError([f"de55: tag {tag} ends behind the end"])
            tags[tag], at = data[at : at + length], at + length
    except IndexError:
        raise ConfigError(["de55: ends within a tag"]) from None
    return tags


def version_of(tags: Mapping[str, bytes], pan: str) -> str:
    """The version that 9F10 tells: Visa's for a PAN that begins with 4, Mastercard's for 2 and 5.

    Errors: ConfigError when it tells none.
    """
    iad = tags.get("9F10", b"")
    if len(iad) >= 3 and pan.startswith("4"):
        told = f"visa-{iad[1]:02X}" if iad[0] == 0x1F else f"visa-{iad[2]}"
    else:
        told = f"mastercard-{iad[1]}" if len(iad) >= 3 else ""
    if told not in VERSIONS:
        raise ConfigError([f"cvn: 9F10 does not tell one that is known; give one of {' '.join(VERSIONS)}"])
    return told


def explain_arqc(imk: bytes, pan: str, psn: str, cvn: str, asked: Transaction) -> Story:
    """How a cryptogram comes about, and what the given one would be right for if it is another."""
    version = VERSIONS[cvn]
    _check(asked)
    card_keys = _card_keys(imk, pan, psn)
    places: list[Place] = [
        card_keys,
        _sessions(version.session),
        [Value("", asked.atc), *_atcs(asked.atc)],
        [Value("", asked.number), Value("an unpredictable number of zeros", bytes(4))],
        [Value("", version.iad_parts), *_iad_parts(version, cvn)] if asked.tags else [Value("", ())],
        [
            Value("", version.padding),
            Value(f"padded with {_PADDINGS[3 - version.padding]}", 3 - version.padding),
        ],
        [Value("", asked.data), *_datas(asked.data)],
    ]

    def make(
        card_key: bytes,
        session: str,
        atc: bytes,
        number: bytes,
        parts: Parts,
        padding: int,
        data: bytes,
    ) -> str:
        signed = _signed(asked.tags, atc, number, parts) if asked.tags else data
        key = _session_key(ChipKey(card_key), session, atc, number)
        return key.mac(pad(signed, padding)).hex().upper()

    given = [place[0].value for place in places]
    steps = _steps(pan, psn, version, asked, card_keys[0].value)
    return explained(steps, make(*given), asked.cryptogram, places, make)


def answer_steps(
    card_key: bytes, cvn: str, asked: Transaction, *, code: bytes = b"", csu: bytes = b""
) -> list[Step]:
    """The answer (ARPC) to a cryptogram, with a response code of 2 or a status update of 4 bytes.

    Errors: ConfigError when the version's method needs the other one.
    """
    kind, method = VERSIONS[cvn].answers_by
    if bool(code) == bool(csu) or len(code or csu) != (2 if method == 1 else 4):
        needed = "arc, 2 bytes" if method == 1 else "csu, 4 bytes"
        raise ConfigError([f"the answer of {cvn} is made with {needed}, and nothing else"])
    key = _session_key(ChipKey(card_key), kind, asked.atc, asked.number)
    arqc = bytes.fromhex(asked.cryptogram)
    made = key.answer_1(arqc, code) if method == 1 else key.answer_2(arqc, csu)
    how = (
        "cryptogram XOR response code, encrypted"
        if method == 1
        else "four bytes of MAC over cryptogram and CSU"
    )
    return [Step("ARPC", made.hex().upper(), f"method {method}, {how}; key by {kind}")]


def card_key_of(imk: bytes, pan: str, psn: str) -> bytes:
    """The card's key: option A, or B for a PAN of more than sixteen digits."""
    data = pan_psn_b(pan + psn) if len(pan) > 16 else pan_psn_a(pan, psn)
    return IssuerKey(imk).card_key(data)


def _check(asked: Transaction) -> None:
    """Errors: ConfigError."""
    if bool(asked.tags) == bool(asked.data):
        raise ConfigError(["give de55 or data, one of them"])
    if asked.tags:
        wrong = [tag for tag, length in _LENGTHS.items() if len(asked.tags.get(tag, b"")) != length]
        wrong += [] if asked.tags.get("9F10") else ["9F10"]
        if wrong:
            raise ConfigError([f"de55: tag {tag} is missing or of a wrong length" for tag in wrong])
    if len(asked.atc) != 2 or len(asked.number) != 4:
        raise ConfigError(["atc and un: must be 2 and 4 bytes"])


def _card_keys(imk: bytes, pan: str, psn: str) -> list[Value]:
    own = [Value("", card_key_of(imk, pan, psn))]
    numbers = [(f"PSN {other}", other) for other in ("00", "01", "02")]
    own += [Value(label, card_key_of(imk, pan, other)) for label, other in numbers if other != psn]
    by_b = IssuerKey(imk).card_key(pan_psn_b(pan + psn))
    by_a = IssuerKey(imk).card_key(pan_psn_a(pan, psn))
    return [
        *own,
        Value("the PAN without a sequence number behind it", IssuerKey(imk).card_key(pan_psn_a(pan, ""))),
        Value("the card's key by option B (a digest of PAN and PSN)", by_b),
        Value("the card's key by option A (the rightmost digits)", by_a),
        Value(
            "the halves of the issuer's key the other way round", card_key_of(swapped_halves(imk), pan, psn)
        ),
        Value("the given key taken for the card's own key", imk),
    ]


def _sessions(own: str) -> list[Value]:
    others = [kind for kind in (_CARD, _COMMON, _MASTERCARD) if kind != own]
    return [Value("", own), *(Value(f"session key: {kind}", kind) for kind in others)]


def _atcs(atc: bytes) -> list[Value]:
    others = [Value("the two bytes of the ATC the other way round", atc[::-1])]
    if atc.hex().isdecimal():
        others.append(
            Value("the digits of the ATC read as a decimal number", int(atc.hex()).to_bytes(2, "big"))
        )
    shown = int.from_bytes(atc, "big")
    if shown <= 9999:
        others.append(Value("the ATC written as four decimal digits", bytes.fromhex(f"{shown:04}")))
    near = [(shift, shown + shift) for shift in (-1, 1) if 0 <= shown + shift <= 0xFFFF]
    return others + [Value(f"the ATC {shift:+}", value.to_bytes(2, "big")) for shift, value in near]


def _iad_parts(own: Version, cvn: str) -> list[Value]:
    scheme = cvn.partition("-")[0]
    others: dict[Parts, str] = {
        v.iad_parts: v.signed for name, v in VERSIONS.items() if name.startswith(scheme)
    }
    others |= {_WHOLE: "the whole of 9F10", (): "nothing of 9F10"}
    return [Value(f"signed: {signed}", parts) for parts, signed in others.items() if parts != own.iad_parts]


def _datas(data: bytes) -> list[Value]:
    bare = data.rstrip(b"\0")
    found = [Value("the data without its own byte 80", bare[:-1])] if bare.endswith(b"\x80") else []
    return [*found, Value("the data without the zeros at its end", bare)] if data else []


def _signed(tags: Mapping[str, bytes], atc: bytes, number: bytes, parts: Parts) -> bytes:
    changed = {**tags, "9F36": atc, "9F37": number}
    return b"".join(changed[tag] for tag in _TERMINAL) + b"".join(
        tags["9F10"][start:end] for start, end in parts
    )


def _session_key(card_key: ChipKey, kind: str, atc: bytes, number: bytes) -> ChipKey:
    if kind == _CARD:
        return card_key
    return card_key.session(atc + (bytes(6) if kind == _COMMON else bytes(2) + number))


def _steps(pan: str, psn: str, version: Version, asked: Transaction, card_key: bytes) -> list[Step]:
    option_b = len(pan) > 16
    derived = pan_psn_b(pan + psn) if option_b else pan_psn_a(pan, psn)
    option = "B: digits of a SHA-1 of PAN and PSN" if option_b else "A: rightmost 16 digits of PAN and PSN"
    key = _session_key(ChipKey(card_key), version.session, asked.atc, asked.number)
    signed = asked.data or _signed(asked.tags, asked.atc, asked.number, version.iad_parts)
    what = f"{' '.join(_TERMINAL)}, then {version.signed}" if asked.tags else "as given"
    return [
        Step("derivation data", derived.hex().upper(), f"option {option}"),
        Step("card key", card_key.hex().upper(), "that, and its inverse, under the issuer's key; odd parity"),
        Step("session key", key.key.hex().upper(), version.session),
        Step("data", signed.hex().upper(), what),
        Step("padded", pad(signed, version.padding).hex().upper(), _PADDINGS[version.padding]),
        Step("cryptogram", key.mac(pad(signed, version.padding)).hex().upper(), "ISO 9797-1 algorithm 3"),
    ]
