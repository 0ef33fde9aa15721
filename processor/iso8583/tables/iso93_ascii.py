"""The iso93-ascii dialect: ISO 8583:1993 in ASCII, bitmaps in hexadecimal, no header.

The standard of 1993 gives many elements of 1987 another meaning: 12 has date and time, 22 twelve positions,
24 says what the message is for, 25 why it was sent, 30 has the original amounts, 39 three digits, 56 the
original data elements. A model from jPOS's public field list and sample, not from the standard's text.

Everything is ASCII: numbers, text, lengths of two or three digits, message type, bitmaps. 52, 64 and 128 are
bytes written as hexadecimal; 53, 55 and 96 are raw bytes (jPOS's sample).

Kept loose, because others' simulators do it: 56 is any printable text (jPOS's sample has letters),
``ORIGINAL_DATA`` reads it strictly; 2, 32, 33 and 100 may be empty; 35 with or without its sentinels;
private and reserved elements hold any bytes, each one Latin-1 character; 97 with or without C or D; 12 is
digits, also when they are no date (a public sample has a day of zeros).
"""

from processor.iso8583.dialect import Dialect
from processor.iso8583.elements import ASCII, BINARY, FIXED, HEX, Element, Prefix
from processor.iso8583.header import NO_HEADER
from processor.iso8583.message import HARMLESS
from processor.iso8583.subelements import Part, Positional

LL = Prefix(2, ASCII)
LLL = Prefix(3, ASCII)
LATIN_1 = "latin-1"


def _a(number: int, term: str, alphabet: str, length: int, prefix: Prefix = FIXED, date: str = "") -> Element:
    return Element(number, term, alphabet, length, prefix, ASCII, date=date)


def _h(number: int, term: str, length_bytes: int) -> Element:
    return Element(number, term, "b", length_bytes, FIXED, HEX)


def _any(number: int, term: str, length: int = 999, prefix: Prefix = LLL) -> Element:
    return Element(number, term, "any", length, prefix, LATIN_1)


ELEMENTS = (
    _a(2, "primary account number", "[n]", 19, LL),
    _a(3, "processing code", "n", 6),
    _a(4, "amount, transaction", "n", 12),
    _a(5, "amount, reconciliation", "n", 12),
    _a(6, "amount, cardholder billing", "n", 12),
    _a(7, "date and time, transmission", "n", 10, date="MMDDhhmmss"),
    _a(8, "amount, cardholder billing fee", "n", 8),
    _a(9, "conversion rate, reconciliation", "n", 8),
    _a(10, "conversion rate, cardholder billing", "n", 8),
    _a(11, "system trace audit number", "n", 6),
    _a(12, "date and time, local transaction", "n", 12),
    _a(13, "date, effective", "n", 4),
    _a(14, "date, expiration", "n", 4, date="YYMM"),
    _a(15, "date, settlement", "n", 6, date="YYMMDD"),
    _a(16, "date, conversion", "n", 4),
    _a(17, "date, capture", "n", 4),
    _a(18, "merchant type", "n", 4),
    _a(19, "country code, acquiring institution", "n", 3),
    _a(20, "country code, primary account number", "n", 3),
    _a(21, "country code, forwarding institution", "n", 3),
    _a(22, "point of service data code", "an", 12),
    _a(23, "card sequence number", "n", 3),
    _a(24, "function code", "n", 3),
    _a(25, "message reason code", "n", 4),
    _a(26, "card acceptor business code", "n", 4),
    _a(27, "approval code length", "n", 1),
    _a(28, "date, reconciliation", "n", 6, date="YYMMDD"),
    _a(29, "reconciliation indicator", "n", 3),
    _a(30, "amounts, original", "n", 24),
    _any(31, "acquirer reference data", 99, LL),
    _a(32, "acquiring institution identification code", "[n]", 11, LL),
    _a(33, "forwarding institution identification code", "[n]", 11, LL),
    _a(34, "primary account number, extended", "ans", 28, LL),
    _a(35, "track 2 data", "[;]z[?]", 37, LL),
    _a(36, "track 3 data", "ans", 104, LLL),
    _a(37, "retrieval reference number", "anp", 12),
    _a(38, "approval code", "anp", 6),
    _a(39, "action code", "n", 3),
    _a(40, "service code", "n", 3),
    _a(41, "card acceptor terminal identification", "ans", 8),
    _a(42, "card acceptor identification code", "ans", 15),
    Element(43, "card acceptor name and location", "ans", 99, LL, LATIN_1),
    _any(44, "additional response data", 99, LL),
    _a(45, "track 1 data", "ans", 76, LL),
    _any(46, "amounts, fees", 204, LLL),
    _any(47, "additional data, national", 999, LLL),
    _any(48, "additional data, private", 999, LLL),
    _a(49, "currency code, transaction", "an", 3),
    _a(50, "currency code, reconciliation", "an", 3),
    _a(51, "currency code, cardholder billing", "an", 3),
    _h(52, "personal identification number data", 8),
    Element(53, "security related control information", "b", 48, LL, BINARY),
    _a(54, "amounts, additional", "ans", 120, LLL),
    Element(55, "integrated circuit card data", "b", 255, LLL, BINARY),
    _a(56, "original data elements", "ans", 35, LL),
    _a(57, "authorization life cycle code", "n", 3),
    _a(58, "authorizing agent institution identification code", "n", 11, LL),
    _any(59, "transport data", 999, LLL),
    *(_any(number, "reserved national") for number in (60, 61)),
    *(_any(number, "reserved private") for number in (62, 63)),
    _h(64, "message authentication code", 8),
    _any(66, "amounts, original fees", 204, LLL),
    _a(67, "extended payment data", "n", 2),
    _a(68, "country code, receiving institution", "n", 3),
    _a(69, "country code, settlement institution", "n", 3),
    _a(70, "country code, authorizing agent institution", "n", 3),
    _a(71, "message number", "n", 8),
    _any(72, "data record", 999, LLL),
    _a(73, "date, action", "n", 6, date="YYMMDD"),
    _a(74, "credits, number", "n", 10),
    _a(75, "credits, reversal number", "n", 10),
    _a(76, "debits, number", "n", 10),
    _a(77, "debits, reversal number", "n", 10),
    _a(78, "transfers, number", "n", 10),
    _a(79, "transfers, reversal number", "n", 10),
    _a(80, "inquiries, number", "n", 10),
    _a(81, "authorizations, number", "n", 10),
    _a(82, "inquiries, reversal number", "n", 10),
    _a(83, "payments, number", "n", 10),
    _a(84, "payments, reversal number", "n", 10),
    _a(85, "fee collections, number", "n", 10),
    _a(86, "credits, amount", "n", 16),
    _a(87, "credits, reversal amount", "n", 16),
    _a(88, "debits, amount", "n", 16),
    _a(89, "debits, reversal amount", "n", 16),
    _a(90, "authorizations, reversal number", "n", 10),
    _a(91, "country code, transaction destination institution", "n", 3),
    _a(92, "country code, transaction originator institution", "n", 3),
    _a(93, "transaction destination institution identification code", "n", 11, LL),
    _a(94, "transaction originator institution identification code", "n", 11, LL),
    _any(95, "card issuer reference data", 99, LL),
    Element(96, "key management data", "b", 999, LLL, BINARY),
    _a(97, "amount, net reconciliation", "[x]+n", 17),
    _a(98, "payee", "ans", 25),
    _a(99, "settlement institution identification code", "ans", 11, LL),
    _a(100, "receiving institution identification code", "[n]", 11, LL),
    _a(101, "file name", "ans", 17, LL),
    _a(102, "account identification 1", "ans", 28, LL),
    _a(103, "account identification 2", "ans", 28, LL),
    _any(104, "transaction description", 100, LLL),
    _a(105, "credits, chargeback amount", "n", 16),
    _a(106, "debits, chargeback amount", "n", 16),
    _a(107, "credits, chargeback number", "n", 10),
    _a(108, "debits, chargeback number", "n", 10),
    _any(109, "credits, fee amounts", 84, LL),
    _any(110, "debits, fee amounts", 84, LL),
    *(_any(number, "reserved ISO") for number in range(111, 116)),
    *(_any(number, "reserved national") for number in range(116, 123)),
    *(_any(number, "reserved private") for number in range(123, 128)),
    _h(128, "message authentication code 2", 8),
)

POINT_OF_SERVICE_DATA = Positional(
    22,
    (
        Part(1, "card data input capability", 1, "an"),
        Part(2, "cardholder authentication capability", 1, "an"),
        Part(3, "card capture capability", 1, "an"),
        Part(4, "operating environment", 1, "an"),
        Part(5, "cardholder presence", 1, "an"),
        Part(6, "card presence", 1, "an"),
        Part(7, "card data input mode", 1, "an"),
        Part(8, "cardholder authentication method", 1, "an"),
        Part(9, "cardholder authentication entity", 1, "an"),
        Part(10, "card data output capability", 1, "an"),
        Part(11, "terminal output capability", 1, "an"),
        Part(12, "PIN capture capability", 1, "an"),
    ),
)

ORIGINAL_AMOUNTS = Positional(
    30,
    (
        Part(1, "original amount, transaction", 12, "n"),
        Part(2, "original amount, reconciliation", 12, "n"),
    ),
)

# The institution has two digits of length before it.
ORIGINAL_DATA = Positional(
    56,
    (
        Part(1, "original message type", 4, "n"),
        Part(2, "original system trace audit number", 6, "n"),
        Part(3, "original local date and time", 12, "n"),
        Part(4, "original acquiring institution", 13, "n", shortest=2),
    ),
)

LAYOUTS = {layout.element: layout for layout in (POINT_OF_SERVICE_DATA, ORIGINAL_AMOUNTS, ORIGINAL_DATA)}

# What is harmless here. Not the effective date (13), which is the card's; not 31, 44, 66 and 95, which hold
# anything.
SHOWN = HARMLESS | frozenset(
    (*range(28, 31), 43, 57, *range(67, 72), *range(73, 95), 97, 101, *range(105, 109))
)
CODES = frozenset((22, 97))  # 97 packed is bytes

ISO93_ASCII = Dialect(
    "iso93-ascii",
    ELEMENTS,
    NO_HEADER,
    mti_encoding=ASCII,
    versions="1",
    bitmap_encoding=ASCII,
    bitmaps=2,
    shown=SHOWN,
    codes=CODES,
    source="ISO 8583:1993 as jPOS's public field list and sample have it.",
    layouts=LAYOUTS,
)
