"""A message for people: one line per element, masked as ``message.masked`` and the dialect say."""

from collections.abc import Callable, Iterator

from processor.iso8583.dialect import Dialect
from processor.iso8583.message import Message, masked
from processor.iso8583.tables.chip_tags import KNOWN_TAGS
from processor.iso8583.tlv import CHIP_DATA
from processor.values.errors import DecodeError

_Shown = Callable[[int, str], str]


def describe(message: Message, dialect: Dialect, *, clear: bool = False) -> str:
    """MTI, header, and number, term and masked value of each element and its parts.

    A part is masked as its element is; of chip data only tags and lengths are shown. ``clear`` masks nothing:
    for a person who has asked for it, at a terminal, and for nothing else.
    """

    def shown(number: int, value: str) -> str:
        return value if clear else masked(number, value, dialect.shown)

    lines = [f"MTI {message.mti}"]
    if message.header:
        lines.append(f"header {message.header.hex().upper()}")
    for number, value in sorted(message.elements.items()):
        row = dialect.elements.get(number)
        term = row.term if row else "no such element"
        lines.append(f"{number:>3} {term:<45} {shown(number, value)}")
        lines += _inside(number, value, dialect, shown)
    return "\n".join(lines)


def _inside(number: int, value: str, dialect: Dialect, shown: _Shown) -> list[str]:
    """A line for each part of an element that has parts, or one that says why they cannot be read."""
    try:
        if number == CHIP_DATA.element:
            return list(_chip_data(value, dialect, shown))
        return list(_parts(number, value, dialect, shown))
    except DecodeError as error:
        return [f"    parts: {error.rule}"]


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
