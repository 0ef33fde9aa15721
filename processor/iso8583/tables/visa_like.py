"""The visa-like dialect: BASE I and single-message elements, up to three bitmaps.

A model from public material (rtgparser's and jPOS's field lists, iso8583.info, public sample messages), not a
network's manual. Numbers are packed BCD, an odd count with a leading zero nibble; text is EBCDIC; a variable
length is one binary byte that counts digits, characters or bytes; message type two bytes of BCD.

Where sources differ: 28 to 31 and 97 are a C or D and digits in EBCDIC; 60 and 61 count bytes, not digits;
22 is three digits and a filler; 48, 104, 116 to 120, 123 and 124 mix encodings and stay binary.
62 is read in its bitmap form only (a fixed form of 13 bytes exists, told apart by header flags).
"""

from processor.iso8583.dialect import Dialect
from processor.iso8583.elements import BCD, BINARY, EBCDIC, FIXED, L1, L1_BYTES, Element, Prefix
from processor.iso8583.header import BASE1
from processor.iso8583.nested import Nested, SubElement
from processor.iso8583.subelements import ORIGINAL_DATA, REPLACEMENT_AMOUNTS, Part, Positional
from processor.iso8583.tables import iso87_ascii
from processor.iso8583.tlv import CHIP_DATA, DataSets


def _n(number: int, term: str, digits: int, prefix: Prefix = FIXED, date: str = "") -> Element:
    return Element(number, term, "n", digits, prefix, BCD, date=date)


def _e(number: int, term: str, alphabet: str, characters: int, prefix: Prefix = FIXED) -> Element:
    return Element(number, term, alphabet, characters, prefix, EBCDIC)


def _b(number: int, term: str, length_bytes: int, prefix: Prefix = FIXED) -> Element:
    return Element(number, term, "b", length_bytes, prefix, BINARY)


ELEMENTS = (
    _n(2, "primary account number", 19, L1),
    _n(3, "processing code", 6),
    _n(4, "amount, transaction", 12),
    _n(5, "amount, settlement", 12),
    _n(6, "amount, cardholder billing", 12),
    _n(7, "transmission date and time", 10, date="MMDDhhmmss"),
    _n(8, "amount, cardholder billing fee", 8),
    _n(9, "conversion rate, settlement", 8),
    _n(10, "conversion rate, cardholder billing", 8),
    _n(11, "system trace audit number", 6),
    _n(12, "time, local transaction", 6, date="hhmmss"),
    _n(13, "date, local transaction", 4, date="MMDD"),
    _n(14, "date, expiration", 4, date="YYMM"),
    _n(15, "date, settlement", 4, date="MMDD"),
    _n(16, "date, conversion", 4, date="MMDD"),
    _n(17, "date, capture", 4, date="MMDD"),
    _n(18, "merchant type", 4),
    _n(19, "acquiring institution country code", 3),
    _n(20, "primary account number country code", 3),
    _n(21, "forwarding institution country code", 3),
    _n(22, "point of service entry mode", 4),
    _n(23, "card sequence number", 3),
    _n(24, "network international identifier", 3),
    _n(25, "point of service condition code", 2),
    _n(26, "point of service PIN capture code", 2),
    _n(27, "authorization identification response length", 1),
    _e(28, "amount, transaction fee", "x+n", 9),
    _e(29, "amount, settlement fee", "x+n", 9),
    _e(30, "amount, transaction processing fee", "x+n", 9),
    _e(31, "amount, settlement processing fee", "x+n", 9),
    _n(32, "acquiring institution identification code", 11, L1),
    _n(33, "forwarding institution identification code", 11, L1),
    _n(34, "primary account number, extended", 28, L1),
    Element(35, "track 2 data", "z", 37, L1, BCD),
    Element(36, "track 3 data", "z", 104, L1, BCD),
    _e(37, "retrieval reference number", "anp", 12),
    _e(38, "authorization identification response", "anp", 6),
    _e(39, "response code", "an", 2),
    _e(40, "service restriction code", "an", 3),
    _e(41, "card acceptor terminal identification", "ans", 8),
    _e(42, "card acceptor identification code", "ans", 15),
    _e(43, "card acceptor name and location", "ans", 40),
    _e(44, "additional response data", "ans", 25, L1),
    _e(45, "track 1 data", "ans", 76, L1),
    _e(46, "amounts, fees", "ans", 252, L1),
    _e(47, "additional data, national", "ans", 255, L1),
    _b(48, "additional data, private", 255, L1),
    _n(49, "currency code, transaction", 3),
    _n(50, "currency code, settlement", 3),
    _n(51, "currency code, cardholder billing", 3),
    _b(52, "personal identification number data", 8),
    _n(53, "security related control information", 16),
    _e(54, "additional amounts", "ans", 120, L1),
    _b(55, "integrated circuit card data", 255, L1),
    _e(56, "reserved ISO", "ans", 255, L1),
    _e(57, "reserved national", "ans", 255, L1),
    _e(58, "reserved national", "ans", 255, L1),
    _e(59, "national point of service geographic data", "ans", 14, L1),
    _n(60, "additional point of service information", 12, L1_BYTES),
    _n(61, "other amounts", 36, L1_BYTES),
    _b(62, "custom payment service fields", 255, L1),
    _b(63, "network private-use fields", 255, L1),
    _b(64, "message authentication code", 8),
    _n(66, "settlement code", 1),
    _n(67, "extended payment code", 2),
    _n(68, "receiving institution country code", 3),
    _n(69, "settlement institution country code", 3),
    _n(70, "network management information code", 3),
    _n(71, "message number", 4),
    _n(72, "message number, last", 4),
    _n(73, "date, action", 6, date="YYMMDD"),
    _n(74, "credits, number", 10),
    _n(75, "credits, reversal number", 10),
    _n(76, "debits, number", 10),
    _n(77, "debits, reversal number", 10),
    _n(78, "transfer, number", 10),
    _n(79, "transfer, reversal number", 10),
    _n(80, "inquiries, number", 10),
    _n(81, "authorizations, number", 10),
    _n(82, "credits, processing fee amount", 12),
    _n(83, "credits, transaction fee amount", 12),
    _n(84, "debits, processing fee amount", 12),
    _n(85, "debits, transaction fee amount", 12),
    _n(86, "credits, amount", 16),
    _n(87, "credits, reversal amount", 16),
    _n(88, "debits, amount", 16),
    _n(89, "debits, reversal amount", 16),
    _n(90, "original data elements", 42),
    _e(91, "file update code", "an", 1),
    _e(92, "file security code", "ans", 2),
    _e(93, "response indicator", "ans", 5),
    _e(94, "service indicator", "ans", 7),
    _e(95, "replacement amounts", "ans", 42),
    _b(96, "message security code", 8),
    _e(97, "amount, net settlement", "x+n", 17),
    _e(98, "payee", "ans", 25),
    _n(99, "settlement institution identification code", 11, L1),
    _n(100, "receiving institution identification code", 11, L1),
    _e(101, "file name", "ans", 17, L1),
    _e(102, "account identification 1", "ans", 28, L1),
    _e(103, "account identification 2", "ans", 28, L1),
    _b(104, "transaction-specific data", 255, L1),
    _b(105, "double-length key", 16),
    *(_e(number, "reserved ISO", "ans", 255, L1) for number in range(106, 112)),
    *(_e(number, "reserved national", "ans", 255, L1) for number in range(112, 115)),
    _e(115, "additional trace data", "ans", 24, L1),
    _b(116, "card issuer reference data", 255, L1),
    _b(117, "national use", 255, L1),
    _b(118, "intra-country data", 255, L1),
    _b(119, "settlement service data", 255, L1),
    _b(120, "original message type identifier", 4, L1),
    _e(121, "issuing institution identification code", "ans", 11, L1),
    _e(122, "remaining open-to-use", "ans", 255, L1),
    _b(123, "verification data", 255, L1),
    _b(124, "free-form text", 255, L1),
    _e(125, "supporting information", "ans", 255, L1),
    _b(126, "private-use fields", 255, L1),
    _e(127, "file records", "ans", 255, L1),
    _b(128, "message authentication code 2", 8),
    _b(130, "terminal capability profile", 3),
    _b(131, "terminal verification results", 5),
    _b(132, "unpredictable number", 4),
    _e(133, "terminal serial number", "ans", 8),
    _b(134, "discretionary data", 255, L1),
    _b(135, "issuer discretionary data", 15, L1),
    _b(136, "cryptogram", 8),
    _b(137, "application transaction counter", 2),
    _b(138, "application interchange profile", 2),
    _b(139, "authorization response cryptogram and code", 10),
    _b(140, "issuer authentication data", 255, L1),
    _b(142, "issuer script", 255, L1),
    _b(143, "issuer script results", 20, L1),
    _n(144, "cryptogram transaction type", 2),
    _n(145, "terminal country code", 3),
    _n(146, "terminal transaction date", 6, date="YYMMDD"),
    _n(147, "cryptogram amount", 12),
    _n(148, "cryptogram currency code", 3),
    _n(149, "cryptogram cashback amount", 12),
    _b(152, "secondary PIN block", 8),
)

ENTRY_MODE = Positional(
    22,
    (
        Part(1, "PAN entry mode", 2, "n"),
        Part(2, "PIN entry capability", 1, "n"),
        Part(3, "filler", 1, "n"),
    ),
)

CARD_ACCEPTOR = Positional(43, (Part(1, "name", 25), Part(2, "city", 13), Part(3, "country code", 2)))

POINT_OF_SERVICE = Positional(
    60,
    (
        Part(1, "terminal type", 1, "n"),
        Part(2, "terminal entry capability", 1, "n"),
        Part(3, "chip condition code", 1, "n"),
        Part(4, "special condition indicator", 1, "n"),
        Part(5, "merchant group indicator", 2, "n"),
        Part(6, "chip transaction indicator", 1, "n"),
        Part(7, "chip card authentication reliability", 1, "n"),
        Part(8, "mail, telephone and electronic commerce indicator", 2, "n"),
        Part(9, "cardholder identification method", 1, "n"),
        Part(10, "partial authorization indicator", 1, "n"),
    ),
)

OTHER_AMOUNTS = Positional(
    61,
    (
        Part(1, "other amount, transaction", 12, "n"),
        Part(2, "other amount, cardholder billing", 12, "n"),
        Part(3, "other amount, replacement billing", 12, "n"),
    ),
)

LAYOUTS = {
    layout.element: layout
    for layout in (
        ENTRY_MODE,
        CARD_ACCEPTOR,
        POINT_OF_SERVICE,
        OTHER_AMOUNTS,
        ORIGINAL_DATA,
        REPLACEMENT_AMOUNTS,
    )
}

# Data sets by their identifier; 01 of 55 is the chip data.
DATA_SETS = {number: DataSets(number) for number in (55, 104)}

CUSTOM_PAYMENT_SERVICE = Nested(
    62,
    8,
    (
        SubElement(1, "authorization characteristics indicator", EBCDIC, 1),
        SubElement(2, "transaction identifier", BCD, 15),
        SubElement(3, "validation code", EBCDIC, 4),
        SubElement(4, "market-specific data identifier", EBCDIC, 1),
        SubElement(5, "duration", BCD, 2),
        SubElement(6, "prestigious property indicator", EBCDIC, 1),
        SubElement(11, "multiple clearing sequence number", BCD, 2),
        SubElement(12, "multiple clearing sequence count", BCD, 2),
        SubElement(16, "chargeback rights indicator", EBCDIC, 2),
        SubElement(17, "interchange compliance", EBCDIC, 15),
        SubElement(20, "merchant verification value", BCD, 10),
        SubElement(21, "risk score and reason codes", EBCDIC, 4),
        SubElement(22, "risk condition codes", EBCDIC, 6),
        SubElement(23, "card-level results", EBCDIC, 2),
        SubElement(24, "program identifier", EBCDIC, 6),
        SubElement(25, "spend qualified indicator", EBCDIC, 1),
    ),
)

NETWORK_PRIVATE_USE = Nested(
    63,
    3,
    (
        SubElement(1, "network identification code", BCD, 4),
        SubElement(2, "preauthorization time limit", BCD, 4),
        SubElement(3, "message reason code", BCD, 4),
        SubElement(4, "stand-in and switch reason code", BCD, 4),
        SubElement(5, "not used", BCD, 6),
        SubElement(6, "chargeback reduction and clearing flags", EBCDIC, 7),
        SubElement(7, "not used", BINARY, 16),
        SubElement(8, "not used", BCD, 8),
        SubElement(9, "fraud data", EBCDIC, 14),
        SubElement(10, "not used", BINARY, 26),
        SubElement(11, "reimbursement attribute", EBCDIC, 1),
        SubElement(12, "sharing group code", EBCDIC, 30),
        SubElement(13, "decimal positions indicator", BCD, 6),
        SubElement(14, "issuer currency conversion data", EBCDIC, 36),
        SubElement(15, "reserved", EBCDIC, 9),
        SubElement(16, "not used", BCD, 6),
        SubElement(18, "not used", BCD, 2),
        SubElement(19, "fee program indicator", EBCDIC, 3),
        SubElement(20, "not used", BCD, 2),
        SubElement(21, "charge indicator", EBCDIC, 1),
    ),
)

PRIVATE_USE = Nested(
    126,
    8,
    (
        SubElement(6, "cardholder certificate serial number", BINARY, 17),
        SubElement(7, "merchant certificate serial number", BINARY, 17),
        SubElement(8, "transaction identifier of the authentication", BINARY, 20),
        SubElement(9, "cardholder authentication verification value", BINARY, 20),
        # presence indicator, response type, then the value in four characters, right-justified
        SubElement(10, "CVV2 authorization request data", EBCDIC, 6),
        SubElement(12, "service indicators", BINARY, 3),
        SubElement(13, "point of service environment", EBCDIC, 1),
        SubElement(14, "payment guarantee option", EBCDIC, 1),
        SubElement(15, "collection indicator", EBCDIC, 1),
        SubElement(16, "universal cardholder authentication field", EBCDIC, 32, variable=True),
        SubElement(18, "agent unique account result", BINARY, 11, variable=True),
        SubElement(19, "dynamic currency conversion indicator", EBCDIC, 1),
    ),
)

CHIP_DATA_SET = "01"


def chip_data(value: str) -> str:
    """The BER-TLV in DE 55, or empty where no data set has it.

    Raises:
        DecodeError: a data set that is cut.

    >>> chip_data("0100059F3602001A")
    '9F3602001A'
    """
    return DATA_SETS[CHIP_DATA.element].pick(CHIP_DATA_SET, value) or ""


NESTED = {layout.element: layout for layout in (CUSTOM_PAYMENT_SERVICE, NETWORK_PRIVATE_USE, PRIVATE_USE)}

VISA_LIKE = Dialect(
    "visa-like",
    ELEMENTS,
    BASE1,
    mti_encoding=BINARY,
    versions="0",
    shown=iso87_ascii.SHOWN | {60, 62, 63},
    codes=frozenset((60, 62, 63, 95)),
    source="rtgparser's and jPOS's public field lists, iso8583.info, public samples; no network's manual.",
    layouts={**LAYOUTS, **NESTED},
    chip_data=chip_data,
)
