"""The iso93-ebcdic dialects: ISO 8583:1993 on a mainframe, numbers, text and lengths in EBCDIC.

The rows of ``iso93_ascii`` in EBCDIC. ``iso93-ebcdic`` has binary bitmaps, 52, 64 and 128 as bytes and no
header, as public samples of an American network's and of clearing messages have it. ``iso93-ebcdic-hex`` has
everything in hexadecimal text, bitmaps too, behind a header of nine characters that is echoed, as in jPOS's
sample.

Where sources differ: 44 and 48 are text (jPOS's list has bytes with a length of three digits); 53 and 55 are
bytes in all.
"""

from processor.iso8583.dialect import Dialect
from processor.iso8583.elements import EBCDIC
from processor.iso8583.header import NO_HEADER, OpaqueRule
from processor.iso8583.tables import iso93_ascii
from processor.iso8583.tables.encodings import in_ebcdic

ELEMENTS = in_ebcdic(iso93_ascii.ELEMENTS, hexadecimal=False)
ELEMENTS_HEX = in_ebcdic(iso93_ascii.ELEMENTS, hexadecimal=True)

ISO93_EBCDIC = Dialect(
    "iso93-ebcdic",
    ELEMENTS,
    NO_HEADER,
    mti_encoding=EBCDIC,
    versions="1",
    bitmaps=2,
    shown=iso93_ascii.SHOWN,
    codes=iso93_ascii.CODES,
    source="ISO 8583:1993 in EBCDIC, from jPOS's, tomasdemarco's and cardutil's public lists and samples.",
    layouts=iso93_ascii.LAYOUTS,
)

ISO93_EBCDIC_HEX = Dialect(
    "iso93-ebcdic-hex",
    ELEMENTS_HEX,
    OpaqueRule(9),
    mti_encoding=EBCDIC,
    versions="1",
    bitmap_encoding=EBCDIC,
    bitmaps=2,
    shown=iso93_ascii.SHOWN,
    codes=iso93_ascii.CODES,
    source="ISO 8583:1993 in EBCDIC, all of it text, from jPOS's public list and sample.",
    layouts=iso93_ascii.LAYOUTS,
)
