"""What a scrubbed trace says in place of what nobody may see: the same thing for the same thing, everywhere.

An element is kept only if it is listed as harmless: by its dialect (those that masked messages show too) or
by its profile, which says in which elements a question and its original are told; and the card's expiry,
which is nobody's once the PAN is not. Of elements with sub-elements those that are listed here or that a
match key names are kept. All the rest becomes filler of the same shape, made under a key that never leaves
the processor; PIN blocks and what authenticates a card become zeros. So a scrubbed message is recognised as
the same kind of question as the real one, and what could be written before can be written still.
"""

import functools
import hashlib
import hmac
import string
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from processor.iso8583.elements import BINARY, is_digits
from processor.iso8583.message import card_digits, masked
from processor.iso8583.nested import Nested
from processor.iso8583.subelements import Tagged
from processor.iso8583.tables.mc_like import ADDITIONAL_DATA
from processor.iso8583.tables.visa_like import PRIVATE_USE
from processor.networks.adapters import DIALECTS
from processor.networks.profile import Places, Profile
from processor.replay.pseudonyms import Names
from processor.values.errors import DecodeError
from processor.values.sensitive import Pan

BIN = "999999"  # of the PANs in scrubbed traces; no payment network's
_EXPIRY, _AUTH_CODE, _SECURITY = 14, 38, 53
_EXPIRY_FORM = "YYMM"
# Two digits of a date each: the first that is made, and how many; years are far ahead, days in every month.
_DATE_PARTS = {"YY": (40, 40), "MM": (1, 12), "DD": (1, 28), "hh": (0, 24), "mm": (0, 60), "ss": (0, 60)}
_SEPARATED = frozenset(("z", "[;]z[?]", "x+n", "[x]+n"))  # digits, and letters that are no data
_TAG_CHARACTERS = 4  # of a sub-element: its tag and its length
_SOME_PAN = "4000001234567899"
_PAN_SHORTEST, _PAN_LONGEST = 12, 19
_GROUPING = str.maketrans("", "", string.punctuation + string.whitespace)
_PIN_FORMAT_DIGITS = 6  # of DE 53: how the PIN block is made, and which key it is under
_DIGITS = b"0123456789" * 25 + b"012345"  # by byte
_CODE_CHARACTERS = b"123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ" * 7 + b"123456789AB"  # likewise; never all zeros
_NEVER_KEPT = frozenset((2, 34, 35, 36, 45, 52, 53, 55))  # whatever a profile says
_ZEROS = frozenset((52, 64, 96, 128, 152))  # PIN blocks, message authentication codes and keys


class _Layout(NamedTuple):
    """How to read one element with sub-elements: which of them stay, and of which how many characters do."""

    layout: Nested | Tagged
    kept: frozenset[int]
    heads: dict[int, int]


# By adapter, because that is where it is said which sub-elements matter. What has a head keeps so many
# characters and becomes zeros behind them: the card verification values.
_LAYOUTS: dict[str, dict[int, _Layout]] = {
    "visa-like": {126: _Layout(PRIVATE_USE, frozenset((12, 13, 14, 15, 19)), {10: 2})},
    "mc-like": {
        48: _Layout(ADDITIONAL_DATA, frozenset((0, 20, 42, 61, 63, 77, 80, 82, 83, 84, 87)), {92: 0})
    },
}


class Scrubber(Names):
    """Scrubs the messages and the names of one trace.

    ``strict`` is for single messages that nobody decides again: expiries are replaced too, and whatever a
    masked message would not show.
    """

    def __init__(self, key: bytes, profiles: Iterable[Profile], *, strict: bool = False) -> None:
        super().__init__(key)
        self._rooms = {profile.name: _Room(self, profile, strict=strict) for profile in profiles}
        self._pans: dict[str, str] = {}
        self._taken: set[str] = set()

    def pan(self, token: str, digits: str) -> str:
        """As many digits (12 to 19), Luhn-valid, in ``BIN``.

        Equal cards have equal ones in every trace of an instance, unless two cards would share one: then the
        later one of a trace gets another.
        """
        if (known := self._pans.get(token)) is not None:
            return known
        made = self._made_pan(token, len(digits))
        for again in range(1, 100):
            if made not in self._taken:
                break
            made = self._made_pan(f"{token} {again}", len(digits))
        self._taken.add(made)
        self._pans[token] = made
        return made

    def message(self, network: str, elements: dict[int, str], token: str) -> dict[int, str]:
        """The elements with everything replaced that is not known to be harmless."""
        return self._rooms[network].message(elements, token)

    def match_key(self, key: str) -> str:
        """Its parts scrubbed as the elements that they come from."""
        network, row, card, *parts = key.split("|")
        return "|".join((network, row, self.token(card), *self._rooms[network].link_parts(int(row), parts)))

    def question_key(self, key: str) -> str:
        """Its parts scrubbed as the elements that they come from."""
        network, mti, card, *parts = key.split("|")
        return "|".join((network, mti, self.token(card), *self._rooms[network].repeat_parts(parts)))

    def content(self, key: str, content: str) -> str:
        """Its parts scrubbed as the elements that they come from."""
        return self._rooms[key.partition("|")[0]].content(content)

    def auth_code(self, code: str) -> str:
        """Six other characters, made from these."""
        if len(code) != 6:
            return code
        noise = hashlib.blake2b(code.encode(), digest_size=6, key=self._key, person=b"DE 38").digest()
        return noise.translate(_CODE_CHARACTERS).decode()

    def filler(self, number: int, value: str) -> str:
        """Characters of the same kinds: digits for digits, A to F for letters; punctuation stays."""
        if not value:
            return value
        noise = self._noise(number, value)
        if value.isdigit() and value.isascii():
            return noise.translate(_DIGITS).decode()
        return "".join([_like(character, byte) for character, byte in zip(value, noise, strict=True)])

    def other_digits(self, number: int, value: str) -> str:
        """Other digits for its digits; all else stays."""
        noise = self._noise(number, value)
        return "".join([_like(c, byte) if c.isdigit() else c for c, byte in zip(value, noise, strict=True)])

    def other_date(self, number: int, form: str, value: str) -> str:
        """Another date or time of the form, such as ``MMDD``; zeros, which are none, stay."""
        if len(value) != len(form) or not value.isdigit():
            return self.filler(number, value)
        if not value.strip("0"):
            return value
        noise = self._noise(number, value)
        made = []
        for at in range(0, len(form), 2):
            first, count = _DATE_PARTS[form[at : at + 2]]
            ahead = 1 + noise[at] % (count - 1)
            made.append(f"{first + (int(value[at : at + 2]) - first + ahead) % count:02}")
        return "".join(made)

    def _noise(self, number: int, value: str) -> bytes:
        return hashlib.shake_256(self._key + f"{number}|{value}".encode()).digest(len(value))

    def _made_pan(self, name: str, length: int) -> str:
        mac = hmac.digest(self._key, b"pan" + name.encode(), hashlib.sha256)
        digits = length - len(BIN) - 1
        body = f"{BIN}{int.from_bytes(mac[:16], 'big') % 10**digits:0{digits}}"
        return next(pan for last in "0123456789" if Pan(pan := body + last).check_digit_fits())


class _Room:
    """What scrubbing one network's messages needs, looked up once."""

    def __init__(self, scrubber: Scrubber, profile: Profile, *, strict: bool) -> None:
        self._scrubber = scrubber
        self._strict = strict
        self._dialect = DIALECTS[profile.dialect]
        told = _told_in(profile.places) - _NEVER_KEPT
        kept = self._dialect.shown | told
        self._kept = frozenset((kept if strict else kept | {_EXPIRY}) - {_AUTH_CODE})
        # Whose digits are an amount, a date or a reference, so that no PAN can be told from them.
        shown = self._dialect.masked
        self._exact = frozenset(n for n in self._kept if shown(n, _SOME_PAN) == _SOME_PAN)
        self._longer = told - self._dialect.shown  # and those that are longer than a PAN
        rows = self._dialect.elements
        short = {n for n in rows if rows[n].alphabet != "b" and rows[n].length < _PAN_SHORTEST}
        self._always = self._exact | (self._kept & short)  # no value of theirs needs to be looked at
        self._layouts = _LAYOUTS.get(profile.adapter, {})
        self._links = [link.original for link in profile.keys.link]
        self._repeat = profile.keys.repeat
        self._content = (*profile.keys.content, str(profile.places.replacement))
        self._special: dict[int, Callable[[str, str], str]] = {
            2: self._pan,
            35: self._track_2,
            45: self._track_1,
        }

    def message(self, elements: dict[int, str], token: str) -> dict[int, str]:
        kept, always, keeps = self._kept, self._always, self._keeps
        clean = {
            n: v if n in always or keeps(n, v) else self._element(n, v, token) for n, v in elements.items()
        }
        pan = card_digits(elements)
        if len(pan) >= _PAN_SHORTEST and _tells(
            pan, "|".join(clean.values())
        ):  # in clear where none should be
            clean = {n: self._filler(n, v) if _tells(pan, v) else v for n, v in clean.items()}
        if self._strict:
            shown = self._dialect.masked
            clean = {
                n: v if n not in kept or shown(n, v, pan) == v else self._filler(n, v)
                for n, v in clean.items()
            }
        return clean

    def _keeps(self, number: int, value: str) -> bool:
        """Whether an element is kept: it is harmless, and has no digits in it that could be a card's."""
        if number not in self._kept:
            return False
        if len(value) < _PAN_SHORTEST or number in self._exact:
            return True
        if number in self._longer:
            return len(value) > _PAN_LONGEST
        return _is_harmless(number, value)

    def link_parts(self, row: int, parts: list[str]) -> list[str]:
        """The parts of a match key of one of the profile's rows."""
        return self._parts(self._links[row], parts)

    def repeat_parts(self, parts: list[str]) -> list[str]:
        """The parts of a question's key."""
        return self._parts(self._repeat, parts)

    def content(self, content: str) -> str:
        parts = content.split("|")
        return "|".join(self._parts(self._content[: len(parts)], parts))

    def _parts(self, names: Sequence[str], parts: list[str]) -> list[str]:
        if len(names) != len(parts):  # a part with a bar in it: nothing of it is sure
            return [self._scrubber.filler(0, "|".join(parts))]
        return list(map(self._part, names, parts))

    def _part(self, name: str, value: str) -> str:
        element, dot, _ = name.partition(".")
        number = int(element) if element.isdigit() else 0
        if number and not dot:
            return value if self._keeps(number, value) else self._element(number, value, "")
        if number in self._exact or _is_harmless(number, value):
            return value
        return self._scrubber.filler(number, value)

    def _element(self, number: int, value: str, token: str) -> str:
        """What stands for the value, of a kind that its row allows if the value was."""
        made = self._replaced(number, value, token)
        if self._is_sound(number, made) or not self._is_sound(number, value):
            return made
        return "0" * len(value)

    def _is_sound(self, number: int, value: str) -> bool:
        if number not in self._dialect.accepts or not self._dialect.accepts[number](value):
            return False
        return value.isascii() or _is_text_of(self._dialect.spec[str(number)]["data_enc"], value)

    def _replaced(self, number: int, value: str, token: str) -> str:
        if number in _ZEROS:
            return "0" * len(value)
        if number == _AUTH_CODE:
            return self._scrubber.auth_code(value)
        if number == _SECURITY:
            return value[:_PIN_FORMAT_DIGITS] + "0" * (len(value) - _PIN_FORMAT_DIGITS)
        if (special := self._special.get(number)) is not None:
            return special(value, token)
        if (layout := self._layouts.get(number)) is not None:
            return self._sub_elements(number, value, layout)
        return self._filler(number, value)

    def _filler(self, number: int, value: str) -> str:
        """Filler as the element's row has it: a date for a date, the separators of a track or a sign."""
        row = self._dialect.elements.get(number)
        if number == _EXPIRY or (row and row.date):
            return self._scrubber.other_date(number, (row.date if row else "") or _EXPIRY_FORM, value)
        if row and row.alphabet in _SEPARATED:
            return self._scrubber.other_digits(number, value)
        return self._scrubber.filler(number, value)

    def _card_data(self, data: str) -> str:
        """What stands behind the PAN on a track: expiry and service code, then zeros."""
        expiry = self._filler(_EXPIRY, data[:4]) if self._strict else data[:4]
        return expiry + data[4:7] + _zeros(data[7:])

    def _pan(self, value: str, token: str) -> str:
        made = self._scrubber.pan(token, value) if token and 12 <= len(value) <= 19 else ""
        if len(made) == len(value):
            return made
        return self._scrubber.filler(2, value)  # none, or another than the message's, in its track

    def _track_2(self, value: str, token: str) -> str:
        """PAN, separator, expiry and service code; zeros behind them. Anything else becomes filler."""
        for separator in "D=":
            pan, found, rest = value.partition(separator)
            if found:
                start = pan[: len(pan) - len(pan.lstrip(";?B"))]
                return start + self._pan(pan[len(start) :], token) + separator + self._card_data(rest)
        return self._filler(35, value)

    def _track_1(self, value: str, token: str) -> str:
        """Format code, PAN, filler for the name, expiry and service code; zeros behind them."""
        code, pan, rest = value[:1], *value[1:].partition("^")[::2]
        name, caret, data = rest.partition("^")
        if code != "B" or not caret or not pan.isdigit():
            return self._scrubber.filler(45, value)
        return f"B{self._pan(pan, token)}^{self._scrubber.filler(45, name)}^{self._card_data(data)}"

    def _tagged(self, number: int, value: str, layout: _Layout, tagged: Tagged) -> str:
        """Each sub-element where it stands, and what is broken as broken as it was."""
        found, rest = tagged.cut(value)
        head = found.pop(0)[1] if found and found[0][0] == 0 else ""
        told = [(part, self._sub_element(number, part, text, layout)) for part, text in found]
        whole = "".join([f"{part:02}{len(text):02}{text}" for part, text in told])
        left = 2 if rest.startswith("00") else _TAG_CHARACTERS if is_digits(rest[:_TAG_CHARACTERS]) else 0
        return head + whole + rest[:left] + self._scrubber.filler(number, rest[left:])

    def _sub_elements(self, number: int, value: str, layout: _Layout) -> str:
        """Sub-element by sub-element, as far as they can be read; filler if they cannot be built again."""
        if isinstance(layout.layout, Tagged):
            return self._tagged(number, value, layout, layout.layout)
        try:
            read = layout.layout.read(value)
        except DecodeError:
            read = _readable(layout.layout, value)
        found = {part: self._sub_element(number, part, text, layout) for part, text in read.items()}
        try:
            return layout.layout.build(found) if found else self._scrubber.filler(number, value)
        except ValueError:
            return self._scrubber.filler(number, value)

    def _sub_element(self, number: int, part: int, value: str, layout: _Layout) -> str:
        if part in layout.kept and _is_harmless(number, value):
            return value
        if (head := layout.heads.get(part)) is not None and value[head:].strip().isdigit():
            return value[:head] + _zeros(value[head:])
        return self._scrubber.filler(number, value)


def _told_in(places: Places) -> set[int]:
    """The elements in which the profile says that questions and their originals are told."""
    pieces = {piece.element for piece in (places.original_mti, places.local_day, places.entry_mode)}
    return pieces | {
        places.merchant_category,
        places.condition,
        places.network_management,
        places.replacement,
    }


def _is_text_of(encoding: str, value: str) -> bool:
    try:
        return encoding == BINARY or bool(value.encode(encoding))
    except UnicodeEncodeError:
        return False


@functools.lru_cache(maxsize=4096)  # merchants come again
def _is_harmless(number: int, text: str) -> bool:
    """Whether there is nothing in a text that could be a PAN, in groups or not."""
    if len(text) < _PAN_SHORTEST:
        return True
    whole = text.translate(_GROUPING)
    return masked(number, whole, frozenset((number,)), frozenset()) == whole


def _tells(pan: str, text: str) -> bool:
    """Whether ``text`` has the PAN in it: also in groups, or as hexadecimal of EBCDIC or ASCII digits."""
    return pan in text.translate(_GROUPING) or "F" + "F".join(pan) in text or "3" + "3".join(pan) in text


def _readable(layout: Nested, value: str) -> dict[int, str]:
    """The sub-elements before the first that cannot be read: what looks for one of them finds it still."""
    found: dict[int, str] = {}
    for part in sorted(layout.rows):
        try:
            picked = layout.pick(part, value)
        except DecodeError:
            break
        if picked is not None:
            found[part] = picked
    return found


def _zeros(value: str) -> str:
    """Zeros for digits and letters; spaces and punctuation, which is how a value is padded, stay."""
    return "".join(["0" if character.isalnum() and character != "F" else character for character in value])


def _like(character: str, byte: int) -> str:
    if character.isdigit() and character.isascii():
        return "0123456789"[byte % 10]
    if "A" <= character <= "Z":
        return "ABCDEF"[byte % 6]
    if "a" <= character <= "z":
        return "abcdef"[byte % 6]
    if " " <= character <= "~":
        return character
    return chr(0xC0 + byte % 0x17)  # a Western letter, which every text encoding here can write
