"""The rows of one table in other encodings: what a standard says once holds in ASCII, BCD and EBCDIC."""

from collections.abc import Iterable

from processor.iso8583.elements import BCD, BINARY, EBCDIC, FIXED, HEX, Element, Prefix

_DIGITS = frozenset(("n", "[n]"))
_TRACK_2 = "[;]z[?]"
_SIGNED = frozenset(("x+n", "[x]+n"))


def in_bcd(elements: Iterable[Element], *, pads_right: bool, packs_track_2: bool) -> tuple[Element, ...]:
    """Numbers packed two digits a byte, binary data as bytes, text as it is, BCD lengths of one or two bytes.

    An odd number of digits is padded on the left where the length is fixed, unless ``pads_right``; on the
    right where it varies. An amount with a sign is the sign's character and packed digits, which no row can
    say: it stays bytes.
    """
    return tuple(_packed(element, pads_right, packs_track_2) for element in elements)


def _packed(element: Element, pads_right: bool, packs_track_2: bool) -> Element:
    varies = element.prefix != FIXED
    prefix = Prefix((element.prefix.length_bytes + 1) // 2, BCD) if varies else FIXED
    row = element._replace(prefix=prefix)
    if element.alphabet in _SIGNED:
        return row._replace(alphabet="b", length=1 + (element.length - 1) // 2, encoding=BINARY)
    if element.encoding == HEX:
        return row._replace(encoding=BINARY)
    if element.alphabet in _DIGITS or (packs_track_2 and element.alphabet == _TRACK_2):
        return row._replace(encoding=BCD, pads_right=pads_right or varies)
    return row


def in_ebcdic(elements: Iterable[Element], *, hexadecimal: bool) -> tuple[Element, ...]:
    """Numbers, text and lengths in EBCDIC; hexadecimal text becomes bytes unless ``hexadecimal``."""
    return tuple(_ebcdic(element, hexadecimal) for element in elements)


def _ebcdic(element: Element, hexadecimal: bool) -> Element:
    varies = element.prefix != FIXED
    row = element._replace(prefix=Prefix(element.prefix.length_bytes, EBCDIC) if varies else FIXED)
    if element.encoding == BINARY:
        return row
    if element.encoding != HEX:
        return row._replace(encoding=EBCDIC)
    if hexadecimal:
        return row._replace(alphabet="hex", length=2 * element.length, encoding=EBCDIC)
    return row._replace(encoding=BINARY)
