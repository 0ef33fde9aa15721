"""Our tables against public field lists: where a row differs from the list, it is named with the reason."""

import json
from pathlib import Path

import pytest

from processor.iso8583.dialect import Dialect
from processor.iso8583.elements import BCD, BINARY, EBCDIC, HEX, Element
from processor.iso8583.tables.iso87_ascii import ISO87_ASCII, ISO87_ASCII_BINARY_BITMAP
from processor.iso8583.tables.iso87_binary import ISO87_BINARY
from processor.iso8583.tables.iso93_ascii import ISO93_ASCII
from processor.iso8583.tables.iso93_binary import ISO93_BINARY
from processor.iso8583.tables.iso93_ebcdic import ISO93_EBCDIC, ISO93_EBCDIC_HEX
from processor.iso8583.tables.mc_like import MC_LIKE
from processor.networks.adapters import DIALECTS

MC_DIFFERS = {
    128: "eight bytes as in every other list; this one gives them a length",
    **dict.fromkeys(range(56, 60), "in no list; text of variable length"),
    **dict.fromkeys(range(105, 112), "in no list; text of variable length"),
}
ISO87_DIFFERS = {
    93: "five characters as in the standard and in erl8583's sample; jPOS has six",
    96: "eight bytes as in the standard and in iso8583sim; jPOS has sixteen",
}
TEXT_NOT_BYTES = "text in the other lists and in cardutil's sample; this one has bytes"
# The list, ours, and where they differ on purpose: number to reason.
PUBLIC_LISTS = {
    "iso87_ascii_binbitmap_jpos": (ISO87_ASCII_BINARY_BITMAP, {**ISO87_DIFFERS, 55: "raw chip data"}),
    "iso87_binary_jpos": (ISO87_BINARY, ISO87_DIFFERS),
    "iso93_ascii_jpos": (ISO93_ASCII, {}),
    "iso93_binary_jpos": (ISO93_BINARY, {}),
    "iso93_ebcdic_jpos": (
        ISO93_EBCDIC_HEX,
        {
            44: TEXT_NOT_BYTES,
            48: TEXT_NOT_BYTES,
            55: "255 bytes as in the other lists; this one has 256",
        },
    ),
}


def assigned(dialect: Dialect) -> set[int]:
    return {number for number, element in dialect.elements.items() if element.alphabet != "-"}


def test_mc_like_rows_are_those_of_the_public_list_but_for_the_ones_named(vectors: Path) -> None:
    spec = json.loads((vectors / "specs" / "pyiso8583_mastercard_cis.json").read_text())["spec"]
    listed = {
        int(key): row
        for key, row in spec.items()
        if key.isdigit() and int(key) > 1 and not row["desc"].startswith("not in source")
    }

    differing = assigned(MC_LIKE) ^ listed.keys()
    for number in assigned(MC_LIKE) & listed.keys():
        ours, theirs = MC_LIKE.spec[str(number)], listed[number]
        wire = ("data_enc", "len_type", "max_len", *(["len_enc"] if ours["len_type"] else []))
        differing |= {number} if any(ours[key] != theirs[key] for key in wire) else set()

    assert differing == MC_DIFFERS.keys()


def test_iso87_ascii_rows_are_those_of_jpos_but_for_the_ones_named(vectors: Path) -> None:
    fields = json.loads((vectors / "specs" / "iso87_ascii_jpos.json").read_text())["fields"]
    listed = {int(key): row for key, row in fields.items() if key != "65"}  # a bitmap's bit
    prefix_bytes = {"fixed": 0, "LLVAR": 2, "LLLVAR": 3}

    differing = assigned(ISO87_ASCII) ^ listed.keys()
    for number in assigned(ISO87_ASCII) & listed.keys():
        ours, theirs = ISO87_ASCII.elements[number], listed[number]
        wire = (ours.prefix.length_bytes, ours.length, ours.encoding == HEX)
        stated = (prefix_bytes[theirs["len_type"]], theirs["max_len"], theirs["data_enc"] == "hex_ascii")
        differing |= {number} if wire != stated else set()

    assert differing == ISO87_DIFFERS.keys()


def _kind(element: Element) -> str:
    """How jPOS's list would call the element's data."""
    if element.encoding == HEX:
        return "hex_ascii"
    if element.alphabet == "hex":
        return "hex_ebcdic"
    return {BCD: "bcd", BINARY: "binary", EBCDIC: "ebcdic"}.get(element.encoding, "ascii")


def _wire(element: Element) -> tuple[str, int, str]:
    prefix_bytes = element.prefix.length_bytes
    if element.prefix.encoding == BCD:
        prefix_bytes = {1: 2, 2: 3}[prefix_bytes]
    length = element.length // 2 if element.alphabet == "hex" else element.length
    return {0: "fixed", 2: "LLVAR", 3: "LLLVAR"}[prefix_bytes], length, _kind(element)


def _pads(element: Element) -> str:
    odd = element.encoding == BCD and (element.prefix.length_bytes or element.length % 2)
    return ("right 0" if element.pads_right else "left 0") if odd else ""


@pytest.mark.parametrize("name", PUBLIC_LISTS)
def test_rows_are_those_of_the_public_list_but_for_the_ones_named(vectors: Path, name: str) -> None:
    dialect, differs = PUBLIC_LISTS[name]
    fields = json.loads((vectors / "specs" / f"{name}.json").read_text())["fields"]
    listed = {int(key): row for key, row in fields.items() if key != "65"}  # a bitmap's bit

    differing = assigned(dialect) ^ listed.keys()
    for number in assigned(dialect) & listed.keys():
        element, row = dialect.elements[number], listed[number]
        if row["data_enc"] == "ascii_sign+bcd":
            assert (element.length, element.encoding) == (1 + (row["max_len"] - 1) // 2, BINARY)
            continue
        wire, stated = _wire(element), (row["len_type"], row["max_len"], row["data_enc"])
        pads = _pads(element)
        differing |= {number} if wire != stated or (pads and pads != row["odd_pad"]) else set()

    assert differing == differs.keys()


@pytest.mark.parametrize("number", [52, 64, 128])
def test_what_is_hexadecimal_text_in_ascii_is_bytes_in_ebcdic(number: int) -> None:
    assert (ISO93_EBCDIC.elements[number].encoding, ISO93_EBCDIC.elements[number].length) == (BINARY, 8)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_every_dialect_says_where_its_table_is_from(dialect: Dialect) -> None:
    assert "public" in dialect.source
