"""The reference page of the host commands, made from the rows: ``python -m processor.hsm.reference``."""

import sys

from processor.hsm.errors import ErrorCode
from processor.hsm.fields import COUNTED_KINDS, KEY_KINDS, RAW_KINDS, Condition, Field, Kind
from processor.hsm.table import COMMANDS
from processor.hsm.tables.row import COMMON_ERRORS, KEY_ERRORS, Command

_LETTERS = {
    Kind.DIGITS: "N",
    Kind.HEX: "H",
    Kind.PADDED_DIGITS: "N/F",
    Kind.TEXT: "A",
    Kind.CHECK_VALUE: "H",
    Kind.VALIDATION_DATA: "A",
    Kind.FILLED_DATA: "A",
    Kind.COUNTED_HEX: "H",
}
_CONFIDENCE = {
    "H": "several sources or a transcript of a real unit",
    "M": "one good source",
    "L": "one weak source",
}


def page() -> str:
    """The whole page, as Markdown."""
    return "\n".join([_head(), *(_section(command) for command in COMMANDS.values())])


def _head() -> str:
    marks = "; ".join(f"{letter} {meaning}" for letter, meaning in _CONFIDENCE.items())
    return (
        "# Host commands, field by field\n\n"
        "Made from the rows in `processor/hsm/tables` by `python -m processor.hsm.reference`.\n\n"
        "N digits, H hex digits, A characters, B raw bytes; *key* is a key under the LMK in any scheme. "
        "A field after a condition is there only then; what stands in brackets may be left out.\n"
        "Any request may end with `%` and two digits (the LMK), then X'19 and a trailer of up to 32 "
        f"characters.\nConfidence: {marks}.\n"
        f"Any command may be answered {_codes(COMMON_ERRORS)}; "
        f"one with a key also {_codes(KEY_ERRORS)}.\n"
    )


def _section(command: Command) -> str:
    has_key = any(field.kind in KEY_KINDS for field in command.request.fields)
    rows = [
        f"\n## {command.code} → {command.response_code}: {command.meaning}\n",
        f"- request: {_fields(command.request.fields)}",
        f"- response: {_fields(command.response.fields)}",
    ]
    if command.diagnosis.fields:
        rows.append(f"- with 01, in the authorised state: {_fields(command.diagnosis.fields)}")
    own = _codes(command.errors) or "none"
    rows.append(f"- errors of its own: {own}{' (and those of keys)' if has_key else ''}")
    rows.append(f"- source: {command.source}; confidence {command.confidence}")
    return "\n".join(rows)


def _codes(errors: frozenset[ErrorCode]) -> str:
    return " ".join(sorted(error.value for error in errors))


def _fields(fields: tuple[Field, ...]) -> str:
    return ", ".join(_field(field) for field in fields) or "nothing"


def _field(field: Field) -> str:
    lead = f"`{field.lead}` " if field.lead else ""
    until = f" `{field.until}`" if field.until else ""
    shown = f"{lead}{field.name} {_size(field)}{until}"
    if field.optional:
        shown = f"[{shown}]"
    return shown if field.when is None else f"{_condition(field.when)}: {shown}"


def _size(field: Field) -> str:
    if field.kind in KEY_KINDS:
        return "*key*" if field.kind is Kind.KEY else "*double key*"
    letter = "B" if field.kind in RAW_KINDS else _LETTERS[field.kind]
    if field.kind in COUNTED_KINDS:
        return f"{field.count_digits}{'H' if field.count_base == 16 else 'N'} + n{letter}"
    if field.kind is Kind.REMAINING_BYTES:
        return "nB"
    least = "" if field.least == field.most else f"{field.least} to "
    return f"{least}{field.most}{letter}"


def _condition(condition: Condition) -> str:
    if condition.pattern:
        return f"if {condition.name} begins like `{condition.pattern}`"
    if condition.values is None:
        return f"with {condition.name}"
    return (
        f"{'unless' if condition.negated else 'if'} {condition.name} is {' '.join(sorted(condition.values))}"
    )


if __name__ == "__main__":
    sys.stdout.write(page())
