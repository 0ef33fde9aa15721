"""The mc-like dialect: dual-message elements in EBCDIC, at most two binary bitmaps, no header.

A model from public material (rtgparser's and tomasdemarco's field lists, jPOS, processors' guides), not a
network's manual. Message type, numbers and text are EBCDIC characters; a variable length is two or three
EBCDIC digits that count characters or bytes; 52, 64, 125 and 128 are eight raw bytes, 55 is raw BER-TLV,
kept whole. Frames have a length of two bytes (``framing.TWO_BYTE_FRAME``).

Where sources differ: 52 is raw (one has 16 digits of BCD), 32 and 33 have up to 11 digits (one has 6), 45 has
EBCDIC digits as its length (one has a binary byte), 128 is fixed (one gives it a length). 60 begins with the
reason in three digits, as processors print it (one has two). 56 to 59 and 105 to 111 are in no list and taken
for text of up to 999 characters. 48 may have raw bytes inside its sub-elements, so that its characters are
not checked as a whole: ``ADDITIONAL_DATA`` does it part by part.
"""

from processor.iso8583.dialect import Dialect
from processor.iso8583.elements import BINARY, EBCDIC, FIXED, Element, Prefix
from processor.iso8583.header import NO_HEADER
from processor.iso8583.subelements import (
    ENTRY_MODE,
    ORIGINAL_DATA,
    REPLACEMENT_AMOUNTS,
    Part,
    Positional,
    Tag,
    Tagged,
)
from processor.iso8583.tables import iso87_ascii

LL = Prefix(2, EBCDIC)
LLL = Prefix(3, EBCDIC)


def _e(number: int, term: str, alphabet: str, length: int, prefix: Prefix = FIXED, date: str = "") -> Element:
    return Element(number, term, alphabet, length, prefix, EBCDIC, date=date)


def _b(number: int, term: str, length_bytes: int, prefix: Prefix = FIXED) -> Element:
    return Element(number, term, "b", length_bytes, prefix, BINARY)


ELEMENTS = (
    _e(2, "primary account number", "n", 19, LL),
    _e(3, "processing code", "n", 6),
    _e(4, "amount, transaction", "n", 12),
    _e(5, "amount, settlement", "n", 12),
    _e(6, "amount, cardholder billing", "n", 12),
    _e(7, "transmission date and time", "n", 10, date="MMDDhhmmss"),
    _e(8, "amount, cardholder billing fee", "n", 8),
    _e(9, "conversion rate, settlement", "n", 8),
    _e(10, "conversion rate, cardholder billing", "n", 8),
    _e(11, "system trace audit number", "n", 6),
    _e(12, "time, local transaction", "n", 6, date="hhmmss"),
    _e(13, "date, local transaction", "n", 4, date="MMDD"),
    _e(14, "date, expiration", "n", 4, date="YYMM"),
    _e(15, "date, settlement", "n", 4, date="MMDD"),
    _e(16, "date, conversion", "n", 4, date="MMDD"),
    _e(17, "date, capture", "n", 4, date="MMDD"),
    _e(18, "merchant type", "n", 4),
    _e(19, "acquiring institution country code", "n", 3),
    _e(20, "primary account number country code", "n", 3),
    _e(21, "forwarding institution country code", "n", 3),
    _e(22, "point of service entry mode", "n", 3),
    _e(23, "card sequence number", "n", 3),
    _e(24, "network international identifier", "n", 3),
    _e(25, "point of service condition code", "n", 2),
    _e(26, "point of service PIN capture code", "n", 2),
    _e(27, "authorization identification response length", "n", 1),
    _e(28, "amount, transaction fee", "x+n", 9),
    _e(29, "amount, settlement fee", "x+n", 9),
    _e(30, "amount, transaction processing fee", "x+n", 9),
    _e(31, "amount, settlement processing fee", "x+n", 9),
    _e(32, "acquiring institution identification code", "n", 11, LL),
    _e(33, "forwarding institution identification code", "n", 11, LL),
    _e(34, "primary account number, extended", "ans", 28, LL),
    _e(35, "track 2 data", "z", 37, LL),
    _e(36, "track 3 data", "z", 104, LLL),
    _e(37, "retrieval reference number", "anp", 12),
    _e(38, "authorization identification response", "anp", 6),
    _e(39, "response code", "an", 2),
    _e(40, "service restriction code", "an", 3),
    _e(41, "card acceptor terminal identification", "ans", 8),
    _e(42, "card acceptor identification code", "ans", 15),
    _e(43, "card acceptor name and location", "ans", 40),
    _e(44, "additional response data", "ans", 25, LL),
    _e(45, "track 1 data", "ans", 76, LL),
    _e(46, "expanded additional amounts", "ans", 999, LLL),
    _e(47, "additional data, national", "ans", 999, LLL),
    _e(48, "additional data, private", "any", 999, LLL),
    _e(49, "currency code, transaction", "n", 3),
    _e(50, "currency code, settlement", "n", 3),
    _e(51, "currency code, cardholder billing", "n", 3),
    _b(52, "personal identification number data", 8),
    _e(53, "security related control information", "n", 16),
    _e(54, "additional amounts", "ans", 120, LLL),
    _b(55, "integrated circuit card data", 255, LLL),
    *(_e(number, "reserved", "ans", 999, LLL) for number in range(56, 60)),
    _e(60, "advice reason code", "ans", 60, LLL),
    _e(61, "point of service data", "ans", 26, LLL),
    _e(62, "intermediate network facility data", "ans", 100, LLL),
    _e(63, "network data", "ans", 50, LLL),
    _b(64, "message authentication code", 8),
    _e(66, "settlement code", "n", 1),
    _e(67, "extended payment code", "n", 2),
    _e(68, "receiving institution country code", "n", 3),
    _e(69, "settlement institution country code", "n", 3),
    _e(70, "network management information code", "n", 3),
    _e(90, "original data elements", "n", 42),
    _e(91, "issuer file update code", "an", 1),
    _e(92, "file security code", "ans", 2),
    _e(94, "service indicator", "ans", 7),
    _e(95, "replacement amounts", "ans", 42),
    _e(96, "message security code", "ans", 8),
    _e(100, "receiving institution identification code", "n", 11, LL),
    _e(101, "file name", "ans", 17, LL),
    _e(102, "account identification 1", "ans", 28, LL),
    _e(103, "account identification 2", "ans", 28, LL),
    _e(104, "transaction description", "ans", 100, LLL),
    *(_e(number, "reserved", "ans", 999, LLL) for number in range(105, 112)),
    _e(112, "additional data, national use", "ans", 100, LLL),
    *(_e(number, "reserved national", "ans", 999, LLL) for number in range(113, 120)),
    _e(120, "record data", "ans", 999, LLL),
    _e(121, "authorizing agent identification code", "n", 6, LLL),
    _e(122, "additional record data", "ans", 999, LLL),
    _e(123, "receipt free text", "ans", 512, LLL),
    _e(124, "member-defined data", "ans", 199, LLL),
    _b(125, "new PIN data", 8),
    _e(126, "private data", "ans", 100, LLL),
    _e(127, "private data", "ans", 100, LLL),
    _b(128, "message authentication code 2", 8),
)

ADDITIONAL_DATA = Tagged(
    48,
    (
        Tag(10, "encrypted PIN block key", "ans"),
        Tag(11, "key exchange block data", "ans"),
        Tag(15, "authorization system advice date and time", "n"),
        Tag(20, "cardholder verification method", "ans", 1),
        Tag(26, "wallet program data", "ans"),
        Tag(32, "network-assigned identifier", "ans"),
        Tag(33, "account number mapping", "ans"),
        Tag(37, "additional merchant data", "ans"),
        Tag(42, "electronic commerce indicators", "ans"),
        Tag(43, "universal cardholder authentication field"),
        Tag(44, "transaction identifier of the authentication", "b"),
        Tag(61, "point of service data, extended condition codes", "ans"),
        Tag(63, "trace identifier", "ans", 15),
        Tag(71, "on-behalf services", "ans"),
        Tag(72, "issuer chip authentication", "b"),
        Tag(74, "additional processing information", "ans"),
        Tag(77, "payment transaction type indicator", "an", 3),
        Tag(79, "chip verification results in error", "ans"),
        Tag(80, "PIN service code", "ans", 2),
        Tag(82, "address verification request", "n", 2),
        Tag(83, "address verification response", "ans", 1),
        Tag(84, "merchant advice code", "an", 2),
        Tag(87, "card validation code result", "ans", 1),
        Tag(92, "card validation code 2", "n", 3),
        Tag(95, "promotion code", "ans"),
    ),
    head="transaction category code",
)

ELECTRONIC_COMMERCE_INDICATORS = Tagged(
    48, (Tag(1, "security level and authentication field collection", "ans", 3),), where="sub-element 42: "
)

EXTENDED_CONDITION_CODES = Positional(
    48,
    (
        Part(1, "partial approval supported", 1, "n"),
        Part(2, "purchase amount only supported", 1, "n"),
        Part(3, "real-time substantiation", 1, "n"),
        Part(4, "fraud scoring requested", 1, "n"),
        Part(5, "final authorization", 1, "n"),
    ),
    where="sub-element 61 part ",
)

TRACE_IDENTIFIER = Positional(
    48,
    (Part(1, "network data", 9), Part(2, "date, settlement", 6)),
    where="sub-element 63 part ",
)

ADVICE_REASON = Positional(
    60,
    (
        Part(1, "advice reason code", 3, "n"),
        Part(2, "advice detail code", 4, "n"),
        Part(3, "advice detail text", 53, shortest=1),
    ),
)

POINT_OF_SERVICE_DATA = Positional(
    61,
    (
        Part(1, "terminal attendance", 1, "n"),
        Part(2, "reserved", 1),
        Part(3, "terminal location", 1, "n"),
        Part(4, "cardholder presence", 1, "n"),
        Part(5, "card presence", 1, "n"),
        Part(6, "card capture capability", 1, "n"),
        Part(7, "transaction status", 1, "n"),
        Part(8, "transaction security", 1, "n"),
        Part(9, "reserved", 1),
        Part(10, "cardholder-activated terminal level", 1, "n"),
        Part(11, "card data input capability", 1, "n"),
        Part(12, "authorization life cycle, days", 2, "n"),
        Part(13, "country code", 3, "n"),
        Part(14, "postal code", 10, shortest=1),
    ),
)

# One space stands before the city and one before the state or country.
CARD_ACCEPTOR = Positional(
    43,
    (
        Part(1, "name", 22),
        Part(2, "space", 1),
        Part(3, "city", 13),
        Part(4, "space", 1),
        Part(5, "state or country code", 3),
    ),
)

# With the settlement date (15) the reference names a transaction; later messages have it in 48.63.
NETWORK_DATA = Positional(
    63, (Part(1, "financial network code", 3), Part(2, "Banknet reference number", 9, shortest=6))
)

LAYOUTS: dict[int, Positional | Tagged] = {
    layout.element: layout
    for layout in (
        ENTRY_MODE,
        CARD_ACCEPTOR,
        ADDITIONAL_DATA,
        ADVICE_REASON,
        POINT_OF_SERVICE_DATA,
        NETWORK_DATA,
        ORIGINAL_DATA,
        REPLACEMENT_AMOUNTS,
    )
}

MC_LIKE = Dialect(
    "mc-like",
    ELEMENTS,
    NO_HEADER,
    mti_encoding=EBCDIC,
    versions="0",
    bitmaps=2,
    shown=iso87_ascii.SHOWN | {60, 61, 63},
    codes=frozenset((61, 95)),
    source="rtgparser's and tomasdemarco's public lists, jPOS, processors' guides; no network's manual.",
    layouts=LAYOUTS,
)
