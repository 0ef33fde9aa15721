"""Our tables against public field lists: where a row differs from the list, it is named with the reason."""

import json
from pathlib import Path

from processor.iso8583.dialect import Dialect
from processor.iso8583.elements import HEX
from processor.iso8583.tables.iso87_ascii import ISO87_ASCII
from processor.iso8583.tables.mc_like import MC_LIKE

MC_DIFFERS = {
    128: "eight bytes as in every other list; this one gives them a length",
    **dict.fromkeys(range(56, 60), "in no list; text of variable length"),
    **dict.fromkeys(range(105, 112), "in no list; text of variable length"),
}
ISO87_DIFFERS = {
    93: "five characters as in the standard and in erl8583's sample; jPOS has six",
    96: "eight bytes as in the standard and in iso8583sim; jPOS has sixteen",
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
