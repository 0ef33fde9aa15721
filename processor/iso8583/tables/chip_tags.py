"""The tags of chip data whose values are checked; every other tag is kept as it came.

Source: EMV Books 3 and 4 (tags, formats and lengths) and public descriptions of the payment systems' own ones
(9F5B, 9F6E, 9F7C). Where EMV's maximum is smaller than what networks carry, the larger is taken.
"""

from typing import NamedTuple


class KnownTag(NamedTuple):
    """What a tag's value must be: ``n`` packed digits, ``an`` characters or ``b`` bytes, so many bytes."""

    term: str
    alphabet: str
    least: int
    most: int


KNOWN_TAGS: dict[str, KnownTag] = {
    "57": KnownTag("track 2 equivalent data", "b", 1, 19),
    "5A": KnownTag("application primary account number", "b", 1, 10),
    "5F24": KnownTag("application expiration date", "n", 3, 3),
    "5F2A": KnownTag("transaction currency code", "n", 2, 2),
    "5F34": KnownTag("application PAN sequence number", "n", 1, 1),
    "71": KnownTag("issuer script template 1", "b", 0, 255),
    "72": KnownTag("issuer script template 2", "b", 0, 255),
    "82": KnownTag("application interchange profile", "b", 2, 2),
    "84": KnownTag("dedicated file name", "b", 5, 16),
    "86": KnownTag("issuer script command", "b", 0, 255),
    "8A": KnownTag("authorization response code", "an", 2, 2),
    "91": KnownTag("issuer authentication data", "b", 8, 16),
    "95": KnownTag("terminal verification results", "b", 5, 5),
    "9A": KnownTag("transaction date", "n", 3, 3),
    "9B": KnownTag("transaction status information", "b", 2, 2),
    "9C": KnownTag("transaction type", "n", 1, 1),
    "9F02": KnownTag("amount, authorized", "n", 6, 6),
    "9F03": KnownTag("amount, other", "n", 6, 6),
    "9F06": KnownTag("application identifier", "b", 5, 16),
    "9F09": KnownTag("application version number", "b", 2, 2),
    "9F10": KnownTag("issuer application data", "b", 0, 32),
    "9F18": KnownTag("issuer script identifier", "b", 4, 4),
    "9F1A": KnownTag("terminal country code", "n", 2, 2),
    "9F1E": KnownTag("interface device serial number", "b", 8, 8),
    "9F26": KnownTag("application cryptogram", "b", 8, 8),
    "9F27": KnownTag("cryptogram information data", "b", 1, 1),
    "9F33": KnownTag("terminal capabilities", "b", 3, 3),
    "9F34": KnownTag("cardholder verification method results", "b", 3, 3),
    "9F35": KnownTag("terminal type", "n", 1, 1),
    "9F36": KnownTag("application transaction counter", "b", 2, 2),
    "9F37": KnownTag("unpredictable number", "b", 4, 4),
    "9F41": KnownTag("transaction sequence counter", "n", 2, 4),
    "9F5B": KnownTag("issuer script results", "b", 0, 255),
    "9F6E": KnownTag("form factor or third-party data", "b", 1, 32),
    "9F7C": KnownTag("customer exclusive or merchant data", "b", 0, 32),
}
