"""One decode and one encode function for one bitmap, written as Python source and compiled.

Reading: neighbours of fixed length are a *run*, cut and checked by one regular expression; an element of
variable length is its length, looked up in a table, then a slice and a test. Writing: one regular expression
checks all values, joined by NUL, which none of its alphabets has; neighbours that are written alike are one
formatted string.

    form            read                                    written
    text            ``text[a:b]``, the message as Latin-1   ``f"...".encode("latin-1")``, translated
    hex text        the same in upper case                  the same
    nibbles, bytes  ``data[a:b].hex()``                     ``unhexlify(f"...")``
    its length      ``lengths[prefix]`` or KeyError         ``prefixes[len(value)]`` or KeyError
    other           by the interpreter                      by the interpreter

"Other" is what is rare: text that is not one-to-one with Latin-1, lengths over 9999, no data at all.
Whatever is not as it must be makes a function return None or raise KeyError, IndexError or ValueError; the
interpreter then says what it is. The source has numbers, pads and our own names in it, nothing of a peer's.
"""

import re
from binascii import unhexlify
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from itertools import groupby
from typing import Any

from processor.iso8583.compiled_forms import Form, is_ascii, latin_1_table, lengths_of, prefix_texts_of
from processor.iso8583.compiled_interpreter import read_element, write_element
from processor.iso8583.elements import BCD, BINARY, is_digits, pattern_of
from processor.iso8583.message import Message

Decode = Callable[[bytes], Message | None]
Encode = Callable[[bytes, dict[int, str]], bytes | None]

_IDENTITY = bytes(range(256))
_HEX = "hex"
_OTHER = "other"
_TABLE_MAX = 9999
_DIGITS = (is_digits, str.isdigit)
_QUICK = {is_digits: "isdigit", str.isdigit: "isdigit", str.isprintable: "isprintable"}


class _Source:
    """Lines of a function and the objects they name."""

    def __init__(self, head: str) -> None:
        self._head = head
        self._lines: list[str] = []
        self._names: dict[str, Any] = {"Message": Message, "unhexlify": unhexlify}
        self._views: dict[bytes, str] = {}

    def add(self, line: str) -> None:
        self._lines.append(line)

    def refuse_if(self, condition: str) -> None:
        self._lines.append(f"if {condition}: return None")

    def name(self, value: object) -> str:
        """A name for an object."""
        name = f"x{len(self._names)}"
        self._names[name] = value
        return name

    def pattern(self, parts: Sequence[str]) -> re.Pattern[str]:
        return re.compile("".join(parts), re.DOTALL)

    def view(self, encoding: str) -> str:
        """The name of the whole message as text, each byte one character."""
        table = _table(encoding)
        if table not in self._views:
            self._views[table] = f"text{len(self._views)}"
        return self._views[table]

    def made(self) -> Any:  # noqa: ANN401 - the function's type is its caller's
        """The function."""
        views = [f"{name} = str(data{self.translated(t)}, 'latin-1')" for t, name in self._views.items()]
        source = "\n    ".join([self._head, *views, *self._lines])
        exec(compile(source, "<dialect>", "exec"), self._names)  # noqa: S102 - source is of our tables only
        return self._names["made"]

    def translated(self, table: bytes) -> str:
        """The call that translates bytes by this table, if it changes any."""
        return "" if table == _IDENTITY else f".translate({self.name(table)})"


class _Place:
    """An offset that is known but for variable lengths before it: a variable and a constant."""

    def __init__(self, constant: int) -> None:
        self._variable = ""
        self._count = 0
        self._constant = constant

    def plus(self, count: int = 0) -> str:
        """The offset ``count`` bytes further, as source."""
        total = self._constant + count
        return f"{self._variable} + {total}" if self._variable and total else self._variable or str(total)

    def move(self, count: int) -> None:
        """Go on by a constant."""
        self._constant += count

    def move_to_variable(self) -> str:
        """Go on to where the variable says, whose name this is."""
        self._count += 1
        self._variable, self._constant = f"at{self._count}", 0
        return self._variable


def decoder(forms: Sequence[Form], start: int, header_bytes: int, mtis: Mapping[bytes, str]) -> Decode:
    """Read messages with exactly these elements, which begin at ``start`` of the data."""
    source, place = _Source("def made(data):"), _Place(start)
    mti_bytes = len(next(iter(mtis)))
    for view, run in groupby(forms, _run_of):
        members = list(run)
        if isinstance(view, str):
            _read_run(source, place, members)
        elif _view_of(members[0]) == _OTHER:
            _read_other(source, place, members[0])
        else:
            _read_variable(source, place, members[0])
    source.refuse_if(f"{place.plus()} != len(data)")
    mti = f"{source.name(mtis)}[data[{header_bytes}:{header_bytes + mti_bytes}]]"
    elements = ", ".join(f"{form.number}: v{form.number}" for form in forms)
    source.add(f"return Message(data[:{header_bytes}], {mti}, {{{elements}}})")
    made: Decode = source.made()
    return made


def _run_of(form: Form) -> str | int:
    """What neighbours in a run have in common; a number for what is in no run."""
    view = _view_of(form)
    return form.number if view == _OTHER or not form.is_fixed else view


def _view_of(form: Form) -> str:
    """How the form's data stands on the wire: as hexadecimal, as text of an encoding, or otherwise."""
    if form.is_fixed and not form.length:
        return _OTHER
    if not form.is_fixed and form.length > _TABLE_MAX:
        return _OTHER
    if form.encoding:
        return _OTHER if form.nibbles or not _table(form.encoding) else _table(form.encoding).hex()
    odd = form.nibbles and (form.length % 2 or not form.is_fixed)
    return _OTHER if odd and not (form.left_pad or form.right_pad) else _HEX


def _table(encoding: str) -> bytes:
    """The Latin-1 code of each byte; empty if there is none."""
    return _IDENTITY if is_ascii(encoding) else latin_1_table(encoding) or b""


def _characters(form: Form, length: int) -> int:
    """How many characters a value of this length has."""
    return length if form.nibbles or form.encoding else 2 * length


def _least_and_most(form: Form) -> tuple[int, int]:
    """How many characters a value may have."""
    most = _characters(form, form.length)
    return (most if form.is_fixed else 0 if form.accepts("") else 1), most


def _pattern(form: Form, least: int, most: int) -> str | None:
    """A regular expression for values of that many characters, None if the form needs its own test."""
    if form.alphabet == "b" and not form.encoding:
        return f"[^\\0]{{{least},{most}}}"
    if form.alphabet == "ans" and form.encoding and is_ascii(form.encoding):
        return f"[ -~]{{{least},{most}}}"
    return pattern_of(form.accepts, least, most)


def _read_run(source: _Source, place: _Place, forms: Sequence[Form]) -> None:
    """Cut and check neighbours of fixed length by one regular expression."""
    length = sum(form.bytes_of(form.length) for form in forms)
    if forms[0].encoding:
        piece = f"{source.view(forms[0].encoding)}, {place.plus()}"
    else:
        upper = "" if all(map(_is_digits_only, forms)) else ".upper()"
        piece = f"data[{place.plus()}:{place.plus(length)}].hex(){upper}"
    cut = source.name(source.pattern([_cut(form) for form in forms]).match)
    source.add(f"found = {cut}({piece})")
    source.refuse_if("found is None")
    source.add(f"{''.join(f'v{form.number}, ' for form in forms)}= found.groups()")
    for form in forms:
        if form.is_hex_text:
            source.add(f"v{form.number} = v{form.number}.upper()")
        if _pattern(form, *_least_and_most(form)) is None:
            _test_value(source, form)
    place.move(length)


def _is_digits_only(form: Form) -> bool:
    """Whether no nibble of it is a letter, so that letters need not be in upper case to be refused."""
    return form.alphabet in ("n", "[n]") and (form.left_pad or form.right_pad or "0") == "0"


def _pads(form: Form) -> str:
    return (form.left_pad or form.right_pad) if form.nibbles and form.length % 2 else ""


def _cut(form: Form) -> str:
    """The regular expression of a fixed element, its value in a group, its pad outside."""
    least, most = _least_and_most(form)
    group = f"({_pattern(form, least, most) or f'.{{{most}}}'})"
    pad = _pads(form)
    return group + pad if pad and not form.left_pad else pad + group


def _read_variable(source: _Source, place: _Place, form: Form) -> None:
    """Look its length up, cut it, take its pad away, test it."""
    value = f"v{form.number}"
    lengths = source.name(lengths_of(form.prefix_bytes, form.prefix_encoding, form.length))
    if form.prefix_bytes == 1:
        source.add(f"length = {lengths}[data[{place.plus()}]]")
    else:
        source.add(f"length = {lengths}[data[{place.plus()}:{place.plus(form.prefix_bytes)}]]")
    place.move(form.prefix_bytes)
    begin = place.plus()
    end = place.move_to_variable()
    source.add(f"{end} = {begin} + {'(length + 1 >> 1)' if form.nibbles else 'length'}")
    if form.encoding:
        upper = ".upper()" if form.is_hex_text else ""
        source.add(f"{value} = {source.view(form.encoding)}[{begin}:{end}]{upper}")
    else:
        upper = "" if _is_digits_only(form) else ".upper()"
        source.add(f"{value} = data[{begin}:{end}].hex(){upper}")
    if form.nibbles:
        pad, at, rest = (form.left_pad, 0, "1:") if form.left_pad else (form.right_pad, -1, ":-1")
        source.add("if length & 1:")
        source.add(f"    if {value}[{at}] != {pad!r}: return None")
        source.add(f"    {value} = {value}[{rest}]")
    _test_value(source, form)


def _test_value(source: _Source, form: Form) -> None:
    """Refuse a value that its alphabet or encoding has not; the commonest tests without a call."""
    value = f"v{form.number}"
    if form.alphabet == "b" and not form.encoding:
        return
    pattern = _pattern(form, *_least_and_most(form))
    if form.accepts in _QUICK:
        if form.encoding and (is_ascii(form.encoding) or form.accepts in _DIGITS):
            source.refuse_if(f"not {value}.isascii()")
        source.refuse_if(f"not {value}.{_QUICK[form.accepts]}()")
    elif pattern is not None:
        source.refuse_if(f"{source.name(source.pattern([pattern]).fullmatch)}({value}) is None")
    else:
        if form.encoding and is_ascii(form.encoding):
            source.refuse_if(f"not {value}.isascii()")
        if form.alphabet != "any":
            source.refuse_if(f"not {source.name(form.accepts)}({value})")


def _read_other(source: _Source, place: _Place, form: Form) -> None:
    begin = place.plus()
    end = place.move_to_variable()
    source.add(f"v{form.number}, {end} = {source.name(partial(read_element, form))}(data, {begin})")


def encoder(order: Sequence[int], forms: Sequence[Form], bitmaps: bytes) -> Encode:
    """Write messages with exactly these elements, which stand in the dictionary in this order."""
    source = _Source("def made(mti, elements):")
    if order:
        source.add(f"{''.join(f'v{number}, ' for number in order)}= elements.values()")
    _check_values(source, forms)
    fragments = [fragment for form in forms for fragment in _fragments(source, form)]
    runs = groupby(fragments, lambda fragment: fragment[0])
    parts = [_joined(source, view, [text for _, text in run]) for view, run in runs]
    source.add(f"return b''.join((mti, {source.name(bitmaps)}, {''.join(f'{part}, ' for part in parts)}))")
    made: Encode = source.made()
    return made


def _check_values(source: _Source, forms: Sequence[Form]) -> None:
    """One regular expression over what has a pattern, a test of its own for the rest."""
    patterns = {}
    for form in forms:
        if _view_of(form) == _OTHER:
            continue
        most = _characters(form, form.length)
        pattern = _pattern(form, *_least_and_most(form))
        if pattern is not None:
            patterns[form.number] = pattern
            continue
        _test_value(source, form)
        if form.is_fixed:
            source.refuse_if(f"len(v{form.number}) != {most}")
    if patterns:
        check = source.name(source.pattern(["\\0".join(patterns.values())]).fullmatch)
        values = "\\0".join(f"{{v{number}}}" for number in patterns)
        source.refuse_if(f'{check}(f"{values}") is None')


def _fragments(source: _Source, form: Form) -> list[tuple[str, str]]:
    """How it is written: pieces of formatted strings, each with its view."""
    view, value = _view_of(form), f"v{form.number}"
    if view == _OTHER:
        return [(f"{_OTHER}{form.number}", f"{source.name(partial(write_element, form))}({value})")]
    left, right = (_pads(form), "") if form.left_pad else ("", _pads(form))
    if form.is_fixed:
        return [(view, f"{left}{{{value}}}{right}")]
    prefix_view, prefixes = _prefixes(form)
    pieces = [(prefix_view, f"{{{source.name(prefixes)}[len({value})]}}")]
    odd = f"[len({value}) & 1]"
    if form.nibbles and form.left_pad:
        pieces.append((view, f"{{{source.name(('', form.left_pad))}{odd}}}{{{value}}}"))
    elif form.nibbles:
        pieces.append((view, f"{{{value}}}{{{source.name(('', form.right_pad))}{odd}}}"))
    else:
        pieces.append((view, f"{{{value}}}"))
    return pieces


def _prefixes(form: Form) -> tuple[str, Mapping[int, str]]:
    """The view of the prefix, and its text there by the number of characters of the value."""
    as_hex = form.prefix_encoding in (BINARY, BCD) or not _table(form.prefix_encoding)
    each = 1 if form.nibbles or form.encoding else 2
    texts = prefix_texts_of(form.prefix_bytes, form.prefix_encoding, form.length, each, as_hex=as_hex)
    return _HEX if as_hex else _table(form.prefix_encoding).hex(), texts


def _joined(source: _Source, view: str, fragments: Sequence[str]) -> str:
    """The bytes of neighbours in one view."""
    if view.startswith(_OTHER):
        return fragments[0]
    text = f'f"{"".join(fragments)}"'
    if view == _HEX:
        return f"unhexlify({text})"
    return f"{text}.encode('latin-1'){source.translated(_inverse(bytes.fromhex(view)))}"


@cache
def _inverse(table: bytes) -> bytes:
    """The table that translates back."""
    return bytes(table.index(code) for code in range(256))
