"""A card verification value, step by step."""

from hsm_emulator.cvv import CvvKey
from hsm_emulator.explain.story import Place, Step, Story, Value, explained, swapped_halves
from hsm_emulator.mac import xor
from hsm_emulator.tdes import Tdes

_NAMED = {"000": "service code 000 (the CVV2's)", "999": "service code 999 (the iCVV's)"}
_COMMON = ("101", "106", "120", "121", "126", "201", "206", "220", "221", "226", "521", "601")


def explain_cvv(cvk: bytes, pan: str, expiry: str, service_code: str, cvv: str = "") -> Story:
    """How a CVV comes about, and what ``cvv`` would be right for if it is another.

    Shape: ``cvk`` 16 bytes, ``pan`` 12 to 19, ``expiry`` 4, ``service_code`` and ``cvv`` 3 digits.
    """
    places: list[Place] = [
        [Value("", cvk), Value("the halves of the CVK the other way round", swapped_halves(cvk))],
        [Value("", pan), Value("the PAN without its check digit", pan[:-1])],
        [
            Value("", expiry),
            Value("month and year of the expiry the other way round", expiry[2:] + expiry[:2]),
        ],
        [Value("", service_code), *_service_codes()],
    ]
    return explained(
        _steps(cvk, pan, expiry, service_code), _cvv(cvk, pan, expiry, service_code), cvv, places, _cvv
    )


def _service_codes() -> list[Value]:
    named = [Value(label, code) for code, label in _NAMED.items()]
    return named + [Value(f"service code {code}", code) for code in _COMMON]


def _cvv(cvk: bytes, pan: str, expiry: str, service_code: str) -> str:
    return CvvKey(cvk).generate(pan, expiry, service_code)


def _steps(cvk: bytes, pan: str, expiry: str, service_code: str) -> list[Step]:
    data = (pan + expiry + service_code).ljust(32, "0")
    first = Tdes(cvk[:8]).encrypt(bytes.fromhex(data[:16]))
    mixed = xor(first, bytes.fromhex(data[16:]))
    last = Tdes(cvk).encrypt(mixed).hex().upper()
    digits = "".join(filter(str.isdecimal, last))
    letters = "".join(str(ord(letter) - ord("A")) for letter in last if letter.isalpha())
    return [
        Step("data", data, "PAN, expiry, service code, filled up with zeros to 32 digits"),
        Step("first block", first.hex().upper(), "the first 16 digits under the left half of the CVK"),
        Step("mixed", mixed.hex().upper(), "that XOR the other 16 digits"),
        Step("encrypted", last, "that under the whole CVK: encrypt left, decrypt right, encrypt left"),
        Step("digits", f"{digits} {letters}", "its decimal digits, then its letters less ten"),
        Step("value", (digits + letters)[:3], "the first three"),
    ]
