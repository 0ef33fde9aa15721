"""A message for people: one line per element, masked as the dialect says."""

from collections.abc import Callable, Iterator

from processor.iso8583.dialect import Dialect
from processor.iso8583.header import Base1Rule, TpduRule
from processor.iso8583.message import Message, card_digits
from processor.iso8583.tables.chip_tags import KNOWN_TAGS
from processor.iso8583.tlv import CHIP_DATA
from processor.values.errors import DecodeError

_Shown = Callable[[int, str], str]
_KNOWN_HEADERS = (Base1Rule, TpduRule)


def describe(message: Message, dialect: Dialect, *, clear: bool = False, whole: bool = True) -> str:
    """MTI, header, and number, term and masked value of each element and its parts.

    A part is masked as its element is; of chip data only tags and lengths are shown. ``clear`` masks nothing:
    for a person who has asked for it, at a terminal, and for nothing else. ``whole`` is whether all of the
    message could be read: see ``shown_header``.
    """
    pan = card_digits(message.elements)

    def shown(number: int, value: str) -> str:
        return value if clear else dialect.masked(number, value, pan)

    lines = [f"MTI {message.mti}"]
    if message.header:
        lines.append(f"header {shown_header(message.header, dialect, clear=clear, whole=whole)}")
    for number, value in sorted(message.elements.items()):
        row = dialect.elements.get(number)
        term = row.term if row else "no such element"
        lines.append(f"{number:>3} {term:<45} {shown(number, value)}")
        lines += _inside(number, value, dialect, shown)
    return "\n".join(lines)


def shown_header(header: bytes, dialect: Dialect, *, clear: bool = False, whole: bool = True) -> str:
    """A header for people, in hexadecimal, or only its length.

    It is shown if its bytes have a meaning, and if the message behind it could be read: else there may be no
    header at all, and what stands there is anything.

    >>> from processor.networks.adapters import DIALECTS
    >>> shown_header(b"4000", DIALECTS["iso93-ebcdic-hex"]), shown_header(b"", DIALECTS["mc-like"])
    ('<4 bytes>', '')
    """
    if clear or (whole and isinstance(dialect.header, _KNOWN_HEADERS)):
        return header.hex().upper()
    return f"<{len(header)} bytes>" if header else ""


def _inside(number: int, value: str, dialect: Dialect, shown: _Shown) -> list[str]:
    """A line for each part of an element that has parts, or one that says why they cannot be read."""
    if shown(number, value) != value:
        shown = _length
    try:
        if number == CHIP_DATA.element:
            return list(_chip_data(value, dialect, shown))
        return list(_parts(number, value, dialect, shown))
    except DecodeError as error:
        return [f"    parts: {error.rule}"]


def _length(_number: int, value: str) -> str:
    return f"<{len(value)}>"


def _parts(number: int, value: str, dialect: Dialect, shown: _Shown) -> Iterator[str]:
    layout = dialect.layouts.get(number)
    if layout is None:
        return
    for part, text in layout.read(value).items():
        term = layout.rows[part].term if part in layout.rows else "not known"
        yield f"    {f'{number}.{part}':<7} {term:<37} {shown(number, text)}"


def _chip_data(value: str, dialect: Dialect, shown: _Shown) -> Iterator[str]:
    for one in CHIP_DATA.read(dialect.chip_data(value)):
        term = KNOWN_TAGS[one.tag].term if one.tag in KNOWN_TAGS else "not known"
        yield f"    {one.tag:<7} {term:<37} {shown(CHIP_DATA.element, one.value)}"
