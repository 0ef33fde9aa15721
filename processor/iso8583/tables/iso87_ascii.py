"""The iso87-ascii dialects: ISO 8583:1987 in ASCII, no header, bitmaps in hexadecimal or in bytes.

For simulators and hosts that speak the plain standard. Everything is ASCII: numbers, text, lengths of two or
three digits, message type, bitmaps of 16 or 32 hexadecimal characters (8 or 16 bytes in
``iso87-ascii-binary-bitmap``, which is otherwise the same); frames have a length of two bytes
(``framing.TWO_BYTE_FRAME``). 52, 64, 96 and 128 are bytes written as hexadecimal (so do jPOS, erl8583 and
iso8583sim). 55 is the exception: raw bytes, as the public samples with chip data have it (nao1215).

Kept loose, because others' simulators do it:

* 55 written as hexadecimal text (iso8583sim): ``chip_data`` reads both; the element is echoed as it came;
* 2, 32, 33, 99 and 100 announced with length zero (moov's reversal samples);
* 28 to 31 and 97 without C or D (jPOS, iso8583sim);
* 34, 36, 40, 41, 42 and 98 are printable characters of any kind, 49 to 51 letters or digits (jPOS, erl8583);
* 35 with ``D`` or ``=``, with sentinels ``;`` and ``?`` or without (nao1215, erl8583);
* 43 with Western European letters, one byte each;
* private and reserved elements (46 to 48, 56 to 63, 104 to 127) hold any bytes, each one Latin-1 character;
* hexadecimal in lower case, which is read and never written.

Not taken: a second bitmap that bit 1 does not announce (moov's Spec87ASCII writes it), because the message
can then be read in two ways; encodings that change from element to element.
93 has five characters (jPOS has six) and 96 eight bytes (jPOS has sixteen).
"""

from processor.iso8583.dialect import Dialect
from processor.iso8583.elements import ASCII, BINARY, FIXED, HEX, Element, Prefix
from processor.iso8583.header import NO_HEADER
from processor.iso8583.message import HARMLESS
from processor.iso8583.subelements import ENTRY_MODE, ORIGINAL_DATA, Part, Positional

LL = Prefix(2, ASCII)
LLL = Prefix(3, ASCII)
LATIN_1 = "latin-1"
_SOURCE = "ISO 8583:1987 as the public field lists and samples of jPOS, erl8583, moov and nao1215 have it."
_HEXADECIMAL = frozenset(b"0123456789ABCDEFabcdef")


def _a(number: int, term: str, alphabet: str, length: int, prefix: Prefix = FIXED, date: str = "") -> Element:
    return Element(number, term, alphabet, length, prefix, ASCII, date=date)


def _h(number: int, term: str, length_bytes: int) -> Element:
    return Element(number, term, "b", length_bytes, FIXED, HEX)


def _any(number: int, term: str, length: int = 999) -> Element:
    return Element(number, term, "any", length, LLL, LATIN_1)


ELEMENTS = (
    _a(2, "primary account number", "[n]", 19, LL),
    _a(3, "processing code", "n", 6),
    _a(4, "amount, transaction", "n", 12),
    _a(5, "amount, settlement", "n", 12),
    _a(6, "amount, cardholder billing", "n", 12),
    _a(7, "transmission date and time", "n", 10, date="MMDDhhmmss"),
    _a(8, "amount, cardholder billing fee", "n", 8),
    _a(9, "conversion rate, settlement", "n", 8),
    _a(10, "conversion rate, cardholder billing", "n", 8),
    _a(11, "system trace audit number", "n", 6),
    _a(12, "time, local transaction", "n", 6, date="hhmmss"),
    _a(13, "date, local transaction", "n", 4),
    _a(14, "date, expiration", "n", 4, date="YYMM"),
    _a(15, "date, settlement", "n", 4),
    _a(16, "date, conversion", "n", 4),
    _a(17, "date, capture", "n", 4),
    _a(18, "merchant type", "n", 4),
    _a(19, "acquiring institution country code", "n", 3),
    _a(20, "primary account number country code", "n", 3),
    _a(21, "forwarding institution country code", "n", 3),
    _a(22, "point of service entry mode", "n", 3),
    _a(23, "card sequence number", "n", 3),
    _a(24, "network international identifier", "n", 3),
    _a(25, "point of service condition code", "n", 2),
    _a(26, "point of service PIN capture code", "n", 2),
    _a(27, "authorization identification response length", "n", 1),
    _a(28, "amount, transaction fee", "[x]+n", 9),
    _a(29, "amount, settlement fee", "[x]+n", 9),
    _a(30, "amount, transaction processing fee", "[x]+n", 9),
    _a(31, "amount, settlement processing fee", "[x]+n", 9),
    _a(32, "acquiring institution identification code", "[n]", 11, LL),
    _a(33, "forwarding institution identification code", "[n]", 11, LL),
    _a(34, "primary account number, extended", "ans", 28, LL),
    _a(35, "track 2 data", "[;]z[?]", 37, LL),
    _a(36, "track 3 data", "ans", 104, LLL),
    _a(37, "retrieval reference number", "anp", 12),
    _a(38, "authorization identification response", "anp", 6),
    _a(39, "response code", "an", 2),
    _a(40, "service restriction code", "ans", 3),
    _a(41, "card acceptor terminal identification", "ans", 8),
    _a(42, "card acceptor identification code", "ans", 15),
    Element(43, "card acceptor name and location", "ans", 40, FIXED, LATIN_1),
    _a(44, "additional response data", "ans", 25, LL),
    _a(45, "track 1 data", "ans", 76, LL),
    _any(46, "additional data, ISO"),
    _any(47, "additional data, national"),
    _any(48, "additional data, private"),
    _a(49, "currency code, transaction", "an", 3),
    _a(50, "currency code, settlement", "an", 3),
    _a(51, "currency code, cardholder billing", "an", 3),
    _h(52, "personal identification number data", 8),
    _a(53, "security related control information", "n", 16),
    _a(54, "additional amounts", "ans", 120, LLL),
    Element(55, "integrated circuit card data", "b", 999, LLL, BINARY),
    _any(56, "reserved ISO"),
    *(_any(number, "reserved national") for number in range(57, 60)),
    *(_any(number, "reserved private") for number in range(60, 64)),
    _h(64, "message authentication code", 8),
    _a(66, "settlement code", "n", 1),
    _a(67, "extended payment code", "n", 2),
    _a(68, "receiving institution country code", "n", 3),
    _a(69, "settlement institution country code", "n", 3),
    _a(70, "network management information code", "n", 3),
    _a(71, "message number", "n", 4),
    _a(72, "message number, last", "n", 4),
    _a(73, "date, action", "n", 6, date="YYMMDD"),
    _a(74, "credits, number", "n", 10),
    _a(75, "credits, reversal number", "n", 10),
    _a(76, "debits, number", "n", 10),
    _a(77, "debits, reversal number", "n", 10),
    _a(78, "transfer, number", "n", 10),
    _a(79, "transfer, reversal number", "n", 10),
    _a(80, "inquiries, number", "n", 10),
    _a(81, "authorizations, number", "n", 10),
    _a(82, "credits, processing fee amount", "n", 12),
    _a(83, "credits, transaction fee amount", "n", 12),
    _a(84, "debits, processing fee amount", "n", 12),
    _a(85, "debits, transaction fee amount", "n", 12),
    _a(86, "credits, amount", "n", 16),
    _a(87, "credits, reversal amount", "n", 16),
    _a(88, "debits, amount", "n", 16),
    _a(89, "debits, reversal amount", "n", 16),
    _a(90, "original data elements", "n", 42),
    _a(91, "file update code", "an", 1),
    _a(92, "file security code", "ans", 2),
    _a(93, "response indicator", "ans", 5),
    _a(94, "service indicator", "ans", 7),
    _a(95, "replacement amounts", "ans", 42),
    _h(96, "message security code", 8),
    _a(97, "amount, net settlement", "[x]+n", 17),
    _a(98, "payee", "ans", 25),
    _a(99, "settlement institution identification code", "[n]", 11, LL),
    _a(100, "receiving institution identification code", "[n]", 11, LL),
    _a(101, "file name", "ans", 17, LL),
    _a(102, "account identification 1", "ans", 28, LL),
    _a(103, "account identification 2", "ans", 28, LL),
    _any(104, "transaction description", 100),
    *(_any(number, "reserved ISO") for number in range(105, 112)),
    *(_any(number, "reserved national") for number in range(112, 120)),
    *(_any(number, "reserved private") for number in range(120, 128)),
    _h(128, "message authentication code 2", 8),
)

# As the standard has it: two totals, then two fees with their sign.
REPLACEMENT_AMOUNTS = Positional(
    95,
    (
        Part(1, "actual amount, transaction", 12, "n"),
        Part(2, "actual amount, settlement", 12, "n"),
        Part(3, "actual amount, transaction fee", 9, "[x]+n"),
        Part(4, "actual amount, settlement fee", 9, "[x]+n"),
    ),
)

CARD_ACCEPTOR = Positional(
    43,
    (Part(1, "name and address", 23), Part(2, "city", 13), Part(3, "state", 2), Part(4, "country code", 2)),
)

LAYOUTS = {
    layout.element: layout for layout in (ENTRY_MODE, CARD_ACCEPTOR, ORIGINAL_DATA, REPLACEMENT_AMOUNTS)
}

# What is harmless here: amounts, dates, codes, the institutions and the merchant.
SHOWN = HARMLESS | frozenset((13, *range(28, 32), 43, 44, 66, *range(73, 91), 91, 95, 97, 101))
CODES = frozenset((95, 97))  # 97 packed is bytes


def chip_data(value: str) -> str:
    """The BER-TLV of DE 55 in upper-case hex, whether its peer wrote bytes or hexadecimal text.

    No BER-TLV of chip data has only bytes that are the characters 0 to 9 and A to F: a request carries tag
    9F26, a reply 91.

    >>> chip_data("9F3602001A"), chip_data("39463336303230303141")
    ('9F3602001A', '9F3602001A')
    """
    try:
        data = bytes.fromhex(value)
    except ValueError:  # not from the wire; whoever reads it refuses it
        return value
    if len(data) % 2 or not _HEXADECIMAL.issuperset(data):
        return value
    return data.decode(ASCII).upper()


ISO87_ASCII = Dialect(
    "iso87-ascii",
    ELEMENTS,
    NO_HEADER,
    mti_encoding=ASCII,
    versions="0",
    bitmap_encoding=ASCII,
    bitmaps=2,
    shown=SHOWN,
    codes=CODES,
    source=_SOURCE,
    layouts=LAYOUTS,
    chip_data=chip_data,
)

ISO87_ASCII_BINARY_BITMAP = Dialect(
    "iso87-ascii-binary-bitmap",
    ELEMENTS,
    NO_HEADER,
    mti_encoding=ASCII,
    versions="0",
    bitmaps=2,
    shown=SHOWN,
    codes=CODES,
    source=_SOURCE,
    layouts=LAYOUTS,
    chip_data=chip_data,
)
