"""The iso93-binary dialect: ISO 8583:1993 with packed numbers and binary bitmaps, no header.

The rows of ``iso93_ascii`` in BCD, as jPOS's public sample has them: the zero nibble of an odd number of
digits is the last one also where the length is fixed; tracks stay characters; 56 is packed. 97, a sign's
character and packed digits, stays bytes: ``SIGNED_AMOUNTS`` reads it.
"""

from processor.iso8583.dialect import Dialect
from processor.iso8583.elements import BINARY
from processor.iso8583.header import NO_HEADER
from processor.iso8583.subelements import SignedAmount
from processor.iso8583.tables import iso93_ascii
from processor.iso8583.tables.encodings import in_bcd

ELEMENTS = in_bcd(
    (row._replace(alphabet="n") if row.number == 56 else row for row in iso93_ascii.ELEMENTS),
    pads_right=True,
    packs_track_2=False,
)

SIGNED_AMOUNTS = {97: SignedAmount(97)}

ISO93_BINARY = Dialect(
    "iso93-binary",
    ELEMENTS,
    NO_HEADER,
    mti_encoding=BINARY,
    versions="1",
    bitmaps=2,
    shown=iso93_ascii.SHOWN,
    codes=iso93_ascii.CODES,
    source="ISO 8583:1993 as jPOS's public field list and sample have it, packed.",
    layouts=iso93_ascii.LAYOUTS,
)
