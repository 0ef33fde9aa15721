"""Elements whose text has parts: by position, by tag, or in sets of twenty characters; layouts are data rows.

Values are an element's text as in ``Message``. Reading one part (``pick``) looks at what stands before it as
far as that is needed to find it, and never at what stands behind it. Parts are numbered as in the field's
literature: 90.2, 48.42. Bitmaps inside an element are ``processor.iso8583.nested``.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from processor.iso8583.elements import EBCDIC, is_digits, test_of_alphabet
from processor.values.errors import DecodeError
from processor.values.money import Money


class Part(NamedTuple):
    """One position: ``length`` in characters of ``alphabet`` (see ``elements``).

    ``shortest`` above 0 lets the element end inside its last part, after that many characters at least.
    """

    number: int
    term: str
    length: int
    alphabet: str = "ans"
    shortest: int = 0


class Positional:
    """Parts one after the other, without tags; an element may end behind any of them.

    ``where`` stands before the part's number in errors, for a layout inside a sub-element.
    """

    def __init__(self, element: int, rows: tuple[Part, ...], where: str = "part ") -> None:
        assert not any(row.shortest for row in rows[:-1]), "what follows a part that varies cannot be found"
        self.element = element
        self.rows = {row.number: row for row in rows}
        self._where = where
        self._starts = {row.number: sum(before.length for before in rows[:at]) for at, row in enumerate(rows)}
        self._length = sum(row.length for row in rows)

    def read(self, value: str) -> dict[int, str]:
        """Every part that is there.

        Raises:
            DecodeError: characters outside a part's alphabet, or the value ends inside a part or goes on.
        """
        if len(value) > self._length:
            raise DecodeError(self.element, f"data goes on after {self._where}{len(self.rows)}")
        parts = {number: self.pick(number, value) for number in self.rows}
        return {number: text for number, text in parts.items() if text is not None}

    def pick(self, number: int, value: str) -> str | None:
        """One part, or None if the value ends before it.

        Raises:
            DecodeError: as ``read``, for this part only.
        """
        row, start = self.rows[number], self._starts[number]
        text = value[start : start + row.length]
        if not text:
            return None
        if len(text) < (row.shortest or row.length):
            raise DecodeError(self.element, f"data ends inside {self._where}{number}")
        accepts, rule = test_of_alphabet(row.alphabet)
        if not accepts(text):
            raise DecodeError(self.element, f"{self._where}{number} is {rule}")
        return text

    def build(self, values: Mapping[int, str]) -> str:
        """The element's text from its parts, which are the first ones without a gap.

        Raises:
            ValueError: a part is missing before one that is given, unknown, or does not fit its row.
        """
        numbers = list(self.rows)[: len(values)]
        if sorted(values) != numbers:
            raise ValueError(f"DE {self.element}: a part is missing, or there is no such part")
        for number in numbers:
            row, value = self.rows[number], values[number]
            fits = (row.shortest or row.length) <= len(value) <= row.length
            if not fits or not test_of_alphabet(row.alphabet)[0](value):
                raise ValueError(f"DE {self.element}: {self._where}{number} does not fit")
        return "".join(values[number] for number in numbers)


class Tag(NamedTuple):
    """A tagged sub-element: exact ``length`` in characters, or 0 where it varies; ``b`` is hex outside."""

    number: int
    term: str
    alphabet: str = "any"
    length: int = 0


class Tagged:
    """Sub-elements in any order: two digits of tag, two of length, the value.

    ``head`` is the term of a letter that may stand before the first tag; it is number 0. A tag without a row
    is kept as it came. ``encoding`` is the element's own and turns a binary value's characters into bytes.
    """

    def __init__(
        self, element: int, rows: tuple[Tag, ...], head: str = "", where: str = "", encoding: str = EBCDIC
    ) -> None:
        self.element = element
        self.rows = {row.number: row for row in rows}
        self.head = head
        self._where = where
        self._encoding = encoding

    def read(self, value: str) -> dict[int, str]:
        """Every sub-element in the order of the message.

        Raises:
            DecodeError: no tag and length where they must be, a value that is cut, breaks its row, or stands
                there twice.
        """
        found: dict[int, str] = {}
        for number, start, end in self._spans(value):
            if number in found:
                raise self._error(number, "stands there twice")
            found[number] = self._text(number, value[start:end])
        return found

    def pick(self, number: int, value: str) -> str | None:
        """One sub-element, or None if it is not there; only tags and lengths before it are looked at.

        Raises:
            DecodeError: as ``read``, for what stands before it and for itself.
        """
        for present, start, end in self._spans(value):
            if present == number:
                return self._text(number, value[start:end])
        return None

    def cut(self, value: str) -> tuple[list[tuple[int, str]], str]:
        """Every sub-element as it stands there, sound or not, and what is left where no more can be found."""
        found: list[tuple[int, str]] = []
        rest = 0
        try:
            for number, start, end in self._spans(value):
                found.append((number, value[start:end]))
                rest = end
        except DecodeError:
            pass
        return found, value[rest:]

    def build(self, values: Mapping[int, str]) -> str:
        """The element's text from its sub-elements in the order given, the head first.

        Raises:
            ValueError: a number that is no tag, or a value that does not fit.
        """
        head = values.get(0, "")
        if 0 in values and not (self.head and len(head) == 1 and _is_letter(head)):
            raise ValueError(f"DE {self.element}: the head does not fit")
        return head + "".join(self._packed(number, value) for number, value in values.items() if number)

    def _spans(self, value: str) -> Iterator[tuple[int, int, int]]:
        """Number, start and end of each value, found as they are asked."""
        end = 0
        if self.head and _is_letter(value[:1]):
            end = 1
            yield 0, 0, 1
        while end < len(value):
            tag, length = value[end : end + 2], value[end + 2 : end + 4]
            if len(length) < 2 or not is_digits(tag + length) or tag == "00":
                raise DecodeError(self.element, f"{self._where}no tag and length at character {end}")
            start, end = end + 4, end + 4 + int(length)
            if end > len(value):
                raise self._error(int(tag), "is longer than the data")
            yield int(tag), start, end

    def _text(self, number: int, text: str) -> str:
        row = self.rows.get(number)
        if row is None:
            return text
        if row.length and len(text) != row.length:
            raise self._error(number, f"has not {row.length} characters")
        if row.alphabet == "b":
            return text.encode(self._encoding).hex().upper()
        accepts, rule = test_of_alphabet(row.alphabet)
        if not accepts(text):
            raise self._error(number, f"is {rule}")
        return text

    def _packed(self, number: int, value: str) -> str:
        row = self.rows.get(number)
        text: str | None = value
        if row is not None and row.alphabet == "b":
            text = _characters(value, self._encoding)
        elif row is not None and not test_of_alphabet(row.alphabet)[0](value):
            text = None
        if (
            text is None
            or not 1 <= number <= 99
            or len(text) > 99
            or (row is not None and row.length not in (0, len(text)))
        ):
            raise ValueError(f"DE {self.element}: {self._where}sub-element {number} does not fit")
        return f"{number:02}{len(text):02}{text}"

    def _error(self, number: int, rule: str) -> DecodeError:
        return DecodeError(self.element, f"{self._where}sub-element {number} {rule}")


def _is_letter(text: str) -> bool:
    return text.isascii() and text.isalpha()


def _characters(value: str, encoding: str) -> str | None:
    """The characters that stand for these bytes, or None if ``value`` is not hexadecimal."""
    try:
        return bytes.fromhex(value).decode(encoding)
    except ValueError:  # it quotes the value, so it goes no further
        return None


class AdditionalAmount(NamedTuple):
    """One set of DE 54: account type as in DE 3, amount type, and the amount, below zero for a debit.

    Amount types: 01 ledger balance, 02 available balance, 40 cash back, 42 surcharge, 57 original amount.
    """

    account: str
    kind: str
    amount: Money


class AmountSets:
    """DE 54: up to six sets of account type 2, amount type 2, currency 3, C or D, amount 12 digits.

    >>> ADDITIONAL_AMOUNTS.build([AdditionalAmount("00", "02", Money(2599, "840"))])
    '0002840C000000002599'
    """

    element = 54
    sets_max = 6

    def read(self, value: str) -> list[AdditionalAmount]:
        """Every set in order.

        Raises:
            DecodeError: a set that is cut, is none, or is a seventh.
        """
        return list(self._sets(value))

    def pick(self, kind: str, value: str) -> AdditionalAmount | None:
        """The first set of this amount type; those behind it are not looked at.

        Raises:
            DecodeError: as ``read``, for the sets up to this one.
        """
        return next((amount for amount in self._sets(value) if amount.kind == kind), None)

    def build(self, amounts: Iterable[AdditionalAmount]) -> str:
        """The element's text.

        Raises:
            ValueError: a value that does not fit, or more than six sets.
        """
        value = "".join(
            f"{row.account}{row.kind}{row.amount.currency}"
            f"{'D' if row.amount.minor < 0 else 'C'}{abs(row.amount.minor):012}"
            for row in amounts
        )
        try:
            self.read(value)
        except DecodeError as error:
            problem = str(error)
        else:
            return value
        raise ValueError(problem)

    def _sets(self, value: str) -> Iterator[AdditionalAmount]:
        for at in range(0, len(value), 20):
            number, parts = 1 + at // 20, _SET.read(value[at : at + 20])
            if number > self.sets_max or len(parts) != len(_SET.rows):
                raise DecodeError(self.element, f"set {number} is one too many or ends early")
            sign = -1 if parts[4][0] == "D" else 1
            yield AdditionalAmount(parts[1], parts[2], Money(sign * int(parts[4][1:]), parts[3]))


class SignedAmount:
    """An amount whose sign is a character and whose digits are packed: C or D and digits for its bytes.

    A zero where the sign should be, as jPOS's samples have it, is read and written as no sign.

    >>> SignedAmount(28).read("4400002599"), SignedAmount(28).build("D00002599")
    ('D00002599', '4400002599')
    """

    def __init__(self, element: int) -> None:
        self.element = element

    def read(self, value: str) -> str:
        """The amount.

        Raises:
            DecodeError: the first byte is no sign, or a nibble behind it no digit.
        """
        sign, digits = _SIGNS.get(value[:2]), value[2:]
        if sign is None or not is_digits(digits):
            raise DecodeError(self.element, "not C or D and digits")
        return sign + digits

    def build(self, amount: str) -> str:
        """The element's value.

        Raises:
            ValueError: not C or D, or nothing, before an even number of digits.
        """
        sign, digits = (amount[:1], amount[1:]) if amount[:1] in ("C", "D") else ("", amount)
        if not is_digits(digits) or len(digits) % 2:
            raise ValueError(f"DE {self.element}: not C or D and an even number of digits")
        return _SIGN_BYTES[sign] + digits


_SIGNS = {"43": "C", "44": "D", "30": ""}
_SIGN_BYTES = {sign: byte for byte, sign in _SIGNS.items()}

_SET = Positional(
    54,
    (
        Part(1, "account type", 2, "n"),
        Part(2, "amount type", 2, "an"),
        Part(3, "currency code", 3, "n"),
        Part(4, "sign and amount", 13, "x+n"),
    ),
    where="a set's part ",
)

ADDITIONAL_AMOUNTS = AmountSets()

ENTRY_MODE = Positional(22, (Part(1, "PAN entry mode", 2, "n"), Part(2, "PIN entry capability", 1, "n")))

# Zeros in a part mean that it is not known.
ORIGINAL_DATA = Positional(
    90,
    (
        Part(1, "original message type", 4, "n"),
        Part(2, "original system trace audit number", 6, "n"),
        Part(3, "original transmission date and time", 10, "n"),
        Part(4, "original acquiring institution", 11, "n"),
        Part(5, "original forwarding institution", 11, "n"),
    ),
)

# Actual amounts: the new totals, not what is taken back.
REPLACEMENT_AMOUNTS = Positional(
    95,
    (
        Part(1, "actual amount, transaction", 12, "n"),
        Part(2, "actual amount, settlement", 12, "n"),
        Part(3, "actual amount, cardholder billing", 12, "n"),
        Part(4, "zero fill", 6),
    ),
)
