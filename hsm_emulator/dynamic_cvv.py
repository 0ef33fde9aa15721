"""Dynamic verification values of contactless magnetic stripe cards: CVC3 and dCVV.

Source: the known answers of jPOS and nickntg/thalessimulatorlibrary pin it.
"""

from hsm_emulator.cvv import generate_cvv
from hsm_emulator.mac import pad, retail_mac
from hsm_emulator.tdes import encryptor

_AFTER_SEPARATOR = (8, 3, 2, 7, 1)  # digits of track 2 behind D: kept, zeroed, kept, zeroed, kept


def track_with_zeros(track: str) -> str | None:
    """Track 2 with zeros where terminal and card wrote what changes; None when it has not that shape.

    >>> track_with_zeros("5413123556784804D09061019005997722553F")
    '5413123556784804D09061019000990000000F'
    """
    head, separator, tail = track.partition("D")
    if not separator or len(tail) != sum(_AFTER_SEPARATOR):
        return None
    return f"{head}D{tail[:8]}000{tail[11:13]}0000000{tail[20]}"


def static_part(card_key: bytes, track: bytes) -> bytes:
    """The two bytes that stand for the track in a CVC3."""
    return retail_mac(card_key, pad(track, 2))[-2:]


def generate_cvc3(card_key: bytes, static: bytes, unpredictable_number: bytes, atc: bytes) -> str:
    """Five digits, of which a terminal uses the last ones."""
    block = encryptor(card_key)(static + unpredictable_number + atc)
    return f"{int.from_bytes(block[-2:], 'big'):05}"


def generate_dcvv(card_key: bytes, pan: str, expiry: str, service_code: str, atc: str) -> str:
    """Three digits: a CVV whose PAN begins with the transaction counter, under the card's own key.

    Shape: ``atc`` four digits, as the card shows it.
    """
    return generate_cvv(card_key, atc + pan[len(atc) :], expiry, service_code)
