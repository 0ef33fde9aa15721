"""The iso87-binary dialect: ISO 8583:1987 with packed numbers and binary bitmaps, no header.

The rows of ``iso87_ascii`` in BCD: numbers two digits a byte, text in ASCII, lengths of one or two bytes of
BCD that count digits or characters, 52, 64, 96 and 128 as bytes. Track 2 (35) is packed, with D between PAN
and expiry, sentinels as B and F. As jPOS's and erl8583's public samples have it, an odd number of digits has
its zero nibble first where the length is fixed and last where it varies.

28 to 31 and 97, a sign's character and packed digits, stay bytes: ``SIGNED_AMOUNTS`` reads them.
"""

from processor.iso8583.dialect import Dialect
from processor.iso8583.elements import BINARY
from processor.iso8583.header import NO_HEADER
from processor.iso8583.subelements import SignedAmount
from processor.iso8583.tables import iso87_ascii
from processor.iso8583.tables.encodings import in_bcd

ELEMENTS = in_bcd(iso87_ascii.ELEMENTS, pads_right=False, packs_track_2=True)

SIGNED_AMOUNTS = {number: SignedAmount(number) for number in (28, 29, 30, 31, 97)}

ISO87_BINARY = Dialect(
    "iso87-binary",
    ELEMENTS,
    NO_HEADER,
    mti_encoding=BINARY,
    versions="0",
    bitmaps=2,
    shown=iso87_ascii.SHOWN,
    codes=iso87_ascii.CODES,
    source="ISO 8583:1987 as jPOS's and erl8583's public field lists and samples have it, packed.",
    layouts=iso87_ascii.LAYOUTS,
)
