"""A replay's findings for people and programs: one object, and from it text or one self-contained page.

Everything in a ``Tally`` is masked already, so nothing here can show what must not be seen. The page has its
style inside, no script and no link to anywhere.
"""

from collections.abc import Iterator
from importlib import resources
from typing import Any

import jinja2
import msgspec

from processor.replay.tally import Example, Group, Tally

_TIMES = "\N{MULTIPLICATION SIGN}"
_CELL_MAX = 30  # characters of a value in text; the page and the object have all of it
_TEMPLATE = "report.html.j2"


class Run(msgspec.Struct, frozen=True):
    """What was replayed, and how. ``error`` is why it ended early, empty when it did not.

    ``notes`` are sentences about the run that are no findings, such as frames that were not sent.
    """

    file: str
    mode: str
    policy: str = ""
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    error: str = ""


def as_object(run: Run, tally: Tally) -> dict[str, Any]:
    """The whole report, ready for JSON: counts, groups with the largest first, examples, field rules."""
    return {
        **msgspec.to_builtins(run),
        "seconds": round(run.seconds, 3),
        "frames": tally.frames,
        "compared": tally.compared,
        "same": tally.same,
        "findings": {kind.value: count for kind, count in tally.kinds.items()},
        "first": _example(tally.first) if tally.first else None,
        "groups": [_group(group) for group in tally.groups],
        "answers": [
            {"mti": mti, "code": code, "count": count} for (mti, code), count in sorted(tally.answers.items())
        ],
        "rules": {network: rules.words() for network, rules in tally.rules.items()},
    }


def text(report: dict[str, Any]) -> Iterator[str]:
    """The report in lines for a terminal, short first: what ran, counts, first divergence, groups."""
    yield f"{report['file']}, {report['mode']}"
    if report["policy"]:
        yield f"  policy      {report['policy']}"
    yield f"  frames      {_frames(report)}"
    yield f"  replies     {_replies(report)}"
    if report["answers"]:
        yield f"  answers     {_answers(report['answers'])}"
    for note in report["notes"]:
        yield f"  note        {note}"
    if report["first"]:
        yield ""
        yield from _first(report["first"])
    if report["groups"]:
        yield ""
        yield "differences, alike together"
    for group in report["groups"]:
        yield from _group_lines(group)
    if report["error"]:
        yield ""
        yield f"ended early: {report['error']}"


def page(report: dict[str, Any]) -> str:
    """The report as one HTML page that needs nothing else."""
    template = (resources.files("processor.replay") / _TEMPLATE).read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["count"] = _count
    return environment.from_string(template).render(report=report, verdict=verdict(report))


def verdict(report: dict[str, Any]) -> str:
    """The outcome in a few words."""
    found = sum(report["findings"].values())
    if report["error"]:
        return "Ended early"
    if not found:
        return "No differences"
    return f"{_count(found)} {'difference' if found == 1 else 'differences'}"


def _example(example: Example) -> dict[str, Any]:
    return dict(msgspec.to_builtins(example))


def _group(group: Group) -> dict[str, Any]:
    return {
        "label": group.label,
        "count": group.count,
        "also": dict(group.also.most_common()),
        "mtis": dict(group.mtis.most_common()),
        "rules": dict(group.rules.most_common()),
        "examples": [_example(example) for example in group.examples],
    }


def _frames(report: dict[str, Any]) -> str:
    rate = f", {_count(round(report['frames'] / report['seconds']))}/s" if report["seconds"] else ""
    return f"{_count(report['frames'])} in {report['seconds']:.1f} s{rate}"


def _replies(report: dict[str, Any]) -> str:
    counts = [f"{_count(report['compared'])} compared", f"{_count(report['same'])} the same"]
    counts += [f"{_count(count)} {kind}" for kind, count in report["findings"].items()]
    return ", ".join(counts)


def _answers(answers: list[dict[str, Any]]) -> str:
    by_mti: dict[str, list[str]] = {}
    for row in answers:
        by_mti.setdefault(row["mti"], []).append(f"{row['code']} {_TIMES} {_count(row['count'])}")
    return "   ".join(f"{mti}: {', '.join(codes)}" for mti, codes in by_mti.items())


def _first(example: dict[str, Any]) -> Iterator[str]:
    yield f"first divergence: {_where(example)}: {example['title']}"
    table = [("", "asked", "expected", "got"), *map(_cells, example["rows"])]
    widths = [max(len(line[column]) for line in table) for column in range(4)]
    for line in table:
        yield "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
    for why in example["why"]:
        yield f"  {why}"


def _group_lines(group: dict[str, Any]) -> Iterator[str]:
    yield f"  {group['label']} {_TIMES} {_count(group['count'])}   of {_counts(group['mtis'])}"
    if group["also"]:
        yield f"      with    {_counts(group['also'])}"
    if group["rules"]:
        yield f"      rules   {_counts(group['rules'])}"
    places = "; ".join(_where(example) for example in group["examples"])
    yield f"      such as {places}"


def _where(example: dict[str, Any]) -> str:
    line = f" (line {example['line']})" if example["line"] else ""
    return f"frame {_count(example['number'])}{line} of {example['network']}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {_TIMES} {_count(count)}" for name, count in counts.items())


def _cells(row: dict[str, Any]) -> tuple[str, str, str, str]:
    name = f"{'*' if row['differs'] else ' '} {row['element']:<6} {row['term']}"
    return name, _cell(row["asked"]), _cell(row["expected"]), _cell(row["got"])


def _cell(value: str | None) -> str:
    if value is None:
        return "·"
    return value if len(value) <= _CELL_MAX else value[: _CELL_MAX - 1] + "…"


def _count(number: int) -> str:
    return f"{number:,}"
