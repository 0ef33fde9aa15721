"""The compiled codec's own promises: what it compiles when, what it keeps, and what an error says."""

import contextlib
import gc
import re
import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.iso8583 import elements
from processor.iso8583.compiled import CompiledCodec
from processor.iso8583.compiled_forms import Form, forms_of, lengths_of, prefix_of
from processor.iso8583.compiled_source import decoder
from processor.iso8583.dialect import Dialect
from processor.iso8583.elements import ASCII, FIXED, Element, Prefix
from processor.iso8583.header import NO_HEADER
from processor.iso8583.message import Message
from processor.iso8583.recurring import Recurring
from processor.iso8583.tables.iso87_ascii import ISO87_ASCII
from processor.iso8583.tables.mc_like import MC_LIKE
from processor.iso8583.tables.visa_like import VISA_LIKE
from processor.values.errors import DecodeError

HEADER = bytes.fromhex("16010200204000011234560700000000000000000000")
PAN = "4000001234567899"
TRACK = "4000001234567899=30121010000"


def refused(codec: CompiledCodec, data: bytes) -> DecodeError:
    with pytest.raises(DecodeError) as refusal:
        codec.decode(data)
    return refusal.value


# What is kept.


def test_a_key_is_worth_a_value_when_it_was_missed_often_enough() -> None:
    store: Recurring[str, str] = Recurring(entries_max=2, candidates_max=10, worth_it=3)

    assert [store.missed("a") for _ in range(3)] == [False, False, True]


def test_a_missing_key_is_none() -> None:
    assert Recurring[str, str](2, 10, 3)["a"] is None


def test_what_is_asked_for_stays_whatever_passes_by() -> None:
    store: Recurring[int, str] = Recurring(entries_max=4, candidates_max=10, worth_it=1)
    store.store(-1, "hot")
    for key in range(100):
        store.store(key, "cold")

        assert store[-1] == "hot"


def test_at_most_two_generations_are_kept() -> None:
    store: Recurring[int, str] = Recurring(entries_max=4, candidates_max=10, worth_it=1)
    for key in range(100):
        store.store(key, "value")

    kept = [key for key in range(100) if store[key] is not None]

    assert 4 <= len(kept) <= 8
    assert kept[-1] == 99


def test_keys_seen_once_are_forgotten() -> None:
    store: Recurring[int, str] = Recurring(entries_max=4, candidates_max=10, worth_it=2)
    for key in range(100):
        assert not store.missed(key)

    assert not store.missed(0)


def test_a_function_is_made_when_its_bitmap_recurs(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def counted(forms: list[Form], *more: object) -> object:
        made.append(len(forms))
        return decoder(forms, *more)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr("processor.iso8583.compiled.decoder", counted)
    codec = CompiledCodec(ISO87_ASCII, worth_it=8)
    for _ in range(7):
        codec.decode(b"0800" + b"8220000000000000" + b"0400000000000000" + b"1121101530" + b"000001" + b"301")
    assert made == []

    for _ in range(20):
        codec.decode(b"0800" + b"8220000000000000" + b"0400000000000000" + b"1121101530" + b"000001" + b"301")

    assert made == [3]


def test_bitmaps_that_do_not_recur_compile_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processor.iso8583.compiled.decoder", lambda *_: pytest.fail("compiled"))
    monkeypatch.setattr("processor.iso8583.compiled.encoder", lambda *_: pytest.fail("compiled"))
    codec = CompiledCodec(ISO87_ASCII)
    fixed = [n for n, form in forms_of(ISO87_ASCII).items() if form.is_fixed and form.alphabet == "n"]
    for pick in range(2000):
        numbers = [n for bit, n in enumerate(fixed[6:17]) if pick >> bit & 1]
        message = Message(b"", "0100", {n: "0" * ISO87_ASCII.elements[n].length for n in numbers})

        assert codec.decode(codec.encode(message)) == message


def test_a_message_with_more_lengths_than_a_table_holds_is_left_to_the_interpreter() -> None:
    element = Element(48, "long", "ans", 99_999, Prefix(5, ASCII), ASCII)
    dialect = Dialect("long", [element], NO_HEADER, mti_encoding=ASCII, versions="0", bitmap_encoding=ASCII)
    codec = CompiledCodec(dialect, worth_it=1)
    message = Message(b"", "0100", {48: "x" * 50_000})

    for _ in range(3):
        assert codec.decode(codec.encode(message)) == message


# Lengths.


@pytest.mark.parametrize(
    ("prefix_bytes", "encoding", "length", "written"),
    [
        pytest.param(1, "b", 255, b"\xff", id="binary"),
        pytest.param(2, "b", 256, b"\x01\x00", id="binary of two bytes"),
        pytest.param(1, "bcd", 19, b"\x19", id="BCD"),
        pytest.param(2, "bcd", 999, b"\x09\x99", id="BCD of two bytes"),
        pytest.param(3, "ascii", 7, b"007", id="text"),
        pytest.param(2, "cp037", 16, b"\xf1\xf6", id="EBCDIC"),
    ],
)
def test_a_length_is_written_in_one_way_only(
    prefix_bytes: int, encoding: str, length: int, written: bytes
) -> None:
    assert prefix_of(prefix_bytes, encoding, length) == written
    key = written[0] if prefix_bytes == 1 else written
    assert lengths_of(prefix_bytes, encoding, 999)[key] == length


@pytest.mark.parametrize(("encoding", "too_long"), [("b", 256), ("bcd", 100), ("ascii", 10)])
def test_a_length_that_does_not_fit_is_refused(encoding: str, too_long: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        prefix_of(1, encoding, too_long)
    assert len(lengths_of(1, encoding, 999)) == too_long


# Patterns say what tests say.


@pytest.mark.parametrize("alphabet", ["n", "an", "anp", "ans", "x+n", "[n]", "[x]+n", "z", "hex", "[;]z[?]"])
@given(
    value=st.text(st.sampled_from([*string.printable, *map(chr, range(0x7E, 0x100))]), min_size=1, max_size=9)
)
def test_a_pattern_takes_what_the_test_takes(alphabet: str, value: str) -> None:
    test, _ = elements.test_of(Element(2, "", alphabet, 9, Prefix(2), ASCII))

    assert matches(test, value, least=1, most=9) == test(value)


@pytest.mark.parametrize("alphabet", ["n", "an", "anp", "ans", "x+n", "[n]", "[x]+n", "z", "hex"])
@given(digits=st.text("0123456789CD=", min_size=2, max_size=9))
def test_a_pattern_of_fixed_length_takes_what_the_test_takes(alphabet: str, digits: str) -> None:
    test, _ = elements.test_of(Element(2, "", alphabet, len(digits), FIXED, ASCII))

    assert matches(test, digits, least=len(digits), most=len(digits)) == test(digits)
    assert not matches(test, digits + "0", least=len(digits), most=len(digits))


@pytest.mark.parametrize(
    "track", [TRACK, f";{TRACK}?", TRACK.replace("=", "D"), TRACK[:23], TRACK[5:], "=" + TRACK]
)
@pytest.mark.parametrize("alphabet", ["z", "[;]z[?]"])
def test_a_pattern_takes_the_tracks_that_the_test_takes(track: str, alphabet: str) -> None:
    test, _ = elements.test_of(Element(35, "", alphabet, 37, Prefix(2), ASCII))

    assert matches(test, track, least=1, most=37) == test(track)


def matches(test: Callable[[str], bool], value: str, least: int, most: int) -> bool:
    pattern = elements.pattern_of(test, least, most)
    assert pattern is not None
    return re.fullmatch(pattern, value, re.DOTALL) is not None


# Dates.


def date_test(date: str) -> Callable[[str], bool]:
    return elements.test_of(Element(2, "", "n", len(date), FIXED, ASCII, date=date))[0]


@pytest.mark.parametrize(
    ("date", "value", "possible"),
    [
        pytest.param("MMDDhhmmss", "0229235959", True, id="the last second of a leap day"),
        pytest.param("MMDDhhmmss", "0000000000", False, id="no transmission date"),
        pytest.param("MMDDhhmmss", "1301000000", False, id="a month 13"),
        pytest.param("MMDDhhmmss", "0132000000", False, id="a day 32"),
        pytest.param("MMDDhhmmss", "0101240000", False, id="an hour 24"),
        pytest.param("MMDDhhmmss", "0101006000", False, id="a minute 60"),
        pytest.param("MMDDhhmmss", "0101000060", False, id="a second 60"),
        pytest.param("hhmmss", "000000", True, id="midnight"),
        pytest.param("hhmmss", "240000", False, id="another midnight"),
        pytest.param("MMDD", "1231", True, id="the last day"),
        pytest.param("MMDD", "0000", True, id="no date"),
        pytest.param("MMDD", "0100", False, id="a day 0"),
        pytest.param("YYMM", "9912", True, id="an expiry"),
        pytest.param("YYMM", "0000", True, id="no expiry"),
        pytest.param("YYMM", "3000", False, id="an expiry in month 0"),
        pytest.param("YYMM", "3013", False, id="an expiry in month 13"),
        pytest.param("YYMMDD", "300131", True, id="a date"),
        pytest.param("YYMMDD", "300140", False, id="a day 40"),
        pytest.param("YYMMDDhhmmss", "300131235959", True, id="a date and time"),
        pytest.param("YYMMDDhhmmss", "300131245959", False, id="a date and time that is none"),
        pytest.param("MMDD", "010", False, id="too short"),
        pytest.param("MMDD", "01011", False, id="too long"),
        pytest.param("MMDD", "010\u0661", False, id="digits that are not ASCII"),
    ],
)
def test_a_date_must_be_one_that_can_be(date: str, value: str, possible: bool) -> None:
    assert date_test(date)(value) is possible


@pytest.mark.parametrize("dialect", [VISA_LIKE, MC_LIKE, ISO87_ASCII], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize(("number", "wrong"), [(7, "1332101530"), (12, "240000"), (14, "3013")])
def test_a_wrong_date_is_an_error_of_its_element(dialect: Dialect, number: int, wrong: str) -> None:
    good = {7: "1121093142", 12: "101530", 14: "3012"}
    header = HEADER if dialect is VISA_LIKE else b""
    codec = CompiledCodec(dialect, worth_it=1)
    wire = codec.encode(Message(header, "0100", good))
    bad = wire.replace(_on_the_wire(dialect, good[number]), _on_the_wire(dialect, wrong), 1)
    for _ in range(2):  # interpreted, then compiled
        error = refused(codec, bad)

        assert error.element == number
        assert error.rule.startswith("not a date or time")
        assert error.partial == {n: value for n, value in good.items() if n != number}
        codec.decode(wire)
    with pytest.raises(ValueError, match=f"DE {number}: not a date or time"):
        codec.encode(Message(header, "0100", {**good, number: wrong}))


def _on_the_wire(dialect: Dialect, digits: str) -> bytes:
    encoding = dialect.elements[7].encoding
    return bytes.fromhex(digits) if encoding == "bcd" else digits.encode(encoding)


# What an error keeps.

WRONG_DATE = (
    b"0100" + b"5220000000000000" + b"16" + PAN.encode() + b"000000001000" + b"1332101530" + b"000042"
)


def test_a_wrong_value_leaves_what_is_behind_it_for_the_echoes() -> None:
    error = refused(CompiledCodec(ISO87_ASCII), WRONG_DATE)

    assert (error.element, error.mti) == (7, "0100")
    assert error.partial == {2: PAN, 4: "000000001000", 11: "000042"}


@pytest.mark.parametrize(
    ("wire", "kept"),
    [
        pytest.param(WRONG_DATE + b"0", {11: "000042"}, id="a byte too many"),
        pytest.param(WRONG_DATE[:-1], {}, id="a byte too few"),
        pytest.param(WRONG_DATE[:-1] + b"X", {}, id="another wrong value"),
        pytest.param(
            WRONG_DATE.replace(b"52200000", b"52200001") + b"99",
            {11: "000042"},
            id="a length that goes too far",
        ),
    ],
)
def test_behind_a_wrong_value_what_is_sound_is_kept_as_far_as_the_cutting_is_sure(
    wire: bytes, kept: dict[int, str]
) -> None:
    error = refused(CompiledCodec(ISO87_ASCII), wire)

    assert (error.element, error.partial) == (7, {2: PAN, 4: "000000001000", **kept})


def test_a_refusal_leaves_nothing_for_the_collector() -> None:
    codec = CompiledCodec(ISO87_ASCII)
    gc.collect()
    gc.disable()
    try:
        for wire in (WRONG_DATE, WRONG_DATE[:-1], b"0100" + b"4000000000000000" + b"+5", b"\xff"):
            with contextlib.suppress(DecodeError):
                codec.decode(wire)

        assert gc.collect() == 0
    finally:
        gc.enable()


# What an error shows.


@pytest.mark.parametrize(
    ("number", "wire", "shown"),
    [
        pytest.param(2, b"16400000123456789A", "<16>", id="a PAN"),
        pytest.param(14, b"301A", "<4>", id="an expiry"),
        pytest.param(35, b"20" + b"4000001234567899X301", "<20>", id="a track"),
        pytest.param(45, b"05B40\x00A", "<5>", id="the other track"),
        pytest.param(52, b"0123456789ABCDEG", "<16>", id="a PIN block"),
        pytest.param(4, b"00000000250A", "00000000250A", id="an amount"),
        pytest.param(39, b"0-", "0-", id="a response code"),
        pytest.param(41, b"TERM\x00001", "<8>", id="a control character"),
        pytest.param(37, b"400000123456", "<12>", id="what may be a PAN that slipped"),
        pytest.param(43, b"SHOP 4000001234567899\x01".ljust(40), "<40>", id="what may be a PAN in a name"),
        pytest.param(11, b"123", "", id="data that ends early"),
    ],
)
def test_an_error_shows_the_value_masked(number: int, wire: bytes, shown: str) -> None:
    dialect = ISO87_ASCII
    if number == 37:  # any twelve digits are an RRN, so that only another alphabet refuses them
        row = Element(37, "", "x+n", 12, FIXED, ASCII)
        dialect = Dialect("x", [row], NO_HEADER, mti_encoding=ASCII, versions="0", bitmap_encoding=ASCII)
    bitmap = f"{1 << (64 - number):016X}".encode()

    error = refused(CompiledCodec(dialect), b"0100" + bitmap + wire)

    assert (error.element, error.value) == (number, shown)


def test_a_dialect_s_harmless_private_element_is_shown_in_an_error() -> None:
    row = Element(61, "", "n", 4, FIXED, ASCII)
    shown = frozenset((61,))
    dialect = Dialect(
        "x", [row], NO_HEADER, mti_encoding=ASCII, versions="0", bitmap_encoding=ASCII, shown=shown
    )

    assert refused(CompiledCodec(dialect), b"0100" + b"0000000000000008" + b"12A4").value == "12A4"


SECRETS = {2: PAN + "A", 14: "30A2", 35: TRACK[:-3] + "ABC", 52: "0123456789ABCDEG"}


@given(st.sampled_from(sorted(SECRETS)))
def test_no_sensitive_value_is_anywhere_in_an_error(number: int) -> None:
    value = SECRETS[number]
    form = forms_of(ISO87_ASCII)[number]
    prefix = b"" if form.is_fixed else prefix_of(form.prefix_bytes, form.prefix_encoding, len(value))
    bitmap = f"{1 << (64 - number):016X}".encode()

    error = refused(CompiledCodec(ISO87_ASCII), b"0100" + bitmap + prefix + value.encode())

    assert error.element == number
    assert error.__context__ is None
    for text in (repr(error), str(error), error.value, error.rule, repr(error.partial)):
        assert value not in text


def test_a_trailing_byte_is_named_with_the_last_element() -> None:
    error = refused(CompiledCodec(ISO87_ASCII), b"0100" + b"1000000000000000" + b"000000001000" + b"0")

    assert (error.element, error.rule, error.offset) == (4, "data goes on after the last element", 32)
    assert error.partial == {4: "000000001000"}
