"""Write docs/reference from the code: ``make docs``. A test compares what is committed."""

import enum
import functools
import inspect
import re
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import msgspec
from prometheus_client import CollectorRegistry, Metric
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from processor.app import Processor
from processor.config import Config, load_config
from processor.iso8583.dialect import Dialect
from processor.iso8583.elements import BCD, BINARY, HEX, Element
from processor.networks.adapters import DIALECTS
from processor.networks.profile import SHIPPED, Profile, load_profile

EXAMPLES = Path(__file__).parents[1] / "examples"
OUT = Path(__file__).parent / "reference"
GENERATED = "<!-- Written by docs/make_reference.py (make docs); do not edit. -->"
MODEL = (
    "This is a model made from public material. It is not certified by any network, not derived from "
    "restricted specifications, and not affiliated with any network."
)
ALPHABETS = (
    "Alphabets are the standard's; `[n]` is digits or nothing, `any` is text of which no more is known, `b` "
    "counts bytes. A length with two dots is the most a variable element may have, and what writes it."
)


def pages() -> dict[str, str]:
    """Every page by its path under docs/reference."""
    found = {f"profiles/{name}.md": profile_page(load_profile(name)) for name in SHIPPED}
    found |= {f"dialects/{name}.md": dialect_page(dialect) for name, dialect in DIALECTS.items()}
    found["metrics.md"] = metrics_page(_registry())
    found["configuration.md"] = configuration_page()
    found["commands.md"] = commands_page()
    found["README.md"] = index_page(found)
    return {path: f"{GENERATED}\n\n{text.rstrip()}\n" for path, text in found.items()}


def index_page(found: dict[str, str]) -> str:
    """The list of the other pages, by their headings."""
    lines = [f"* [{text.splitlines()[0].lstrip('# ')}]({path})" for path, text in sorted(found.items())]
    return "\n".join(
        ["# Reference", "", "Generated from the code, so it says what the code does.", "", *lines]
    )


def table(heads: tuple[str, ...], rows: Iterator[tuple[str, ...]] | list[tuple[str, ...]]) -> str:
    """A Markdown table; cells are escaped."""
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def dialect_page(dialect: Dialect) -> str:
    """Every element with its format, header and bitmaps."""
    rows = [
        (str(row.number), row.term, row.alphabet, _length(row), _encoding(row.encoding))
        for row in dialect.elements.values()
        if row.alphabet != "-"
    ]
    text = sys.modules[_module_of(dialect)].__doc__ or ""
    return "\n\n".join(
        (
            f"# Dialect {dialect.name}",
            MODEL,
            text.strip(),
            f"Header: {dialect.header.length_bytes} bytes. Bitmaps: at most {dialect.bitmaps}.",
            ALPHABETS,
            table(("DE", "element", "alphabet", "length", "written in"), rows),
        )
    )


def _module_of(dialect: Dialect) -> str:
    return next(
        name
        for name, module in sorted(sys.modules.items())
        if name.startswith("processor.iso8583.tables.") and dialect in vars(module).values()
    )


def _length(row: Element) -> str:
    if not row.prefix.length_bytes:
        return str(row.length)
    counted = ", counting bytes" if row.prefix.counts_bytes else ""
    return f"..{row.length}, {row.prefix.length_bytes} bytes of {_encoding(row.prefix.encoding)}{counted}"


def _encoding(encoding: str) -> str:
    return {BCD: "BCD", BINARY: "binary", HEX: "hexadecimal text", "cp037": "EBCDIC", "ascii": "ASCII"}.get(
        encoding, encoding
    )


def profile_page(profile: Profile) -> str:
    """A profile's tables, one section a key."""
    plain = _plain(profile)
    short = [(name, _cell(value)) for name, value in plain.items() if not isinstance(value, dict)]
    sections = [f"# Profile {profile.name}", MODEL, table(("setting", "value"), short)]
    for name, value in plain.items():
        if isinstance(value, dict) and value:
            rows = [(_cell(key), _cell(item)) for key, item in value.items()]
            sections += [f"## {name.replace('_', ' ')}", table(("", "value"), rows)]
    return "\n\n".join(sections)


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a profile has
    """Structs and enums as what TOML has, sets in order."""
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(map(_plain, value))
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value.value if isinstance(value, enum.Enum) else value


def _cell(value: Any) -> str:  # noqa: ANN401 - whatever a profile has
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_cell(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_cell(item) for item in value) or "(none)"
    return "(none)" if value in ("", None) else str(value)


def metrics_page(registry: CollectorRegistry) -> str:
    """Every metric with type, labels and meaning."""
    rows = sorted(
        (
            f"`{family.name}{'_total' if family.type == 'counter' else ''}`",
            family.type,
            _labels(family),
            family.documentation,
        )
        for family in registry.collect()
    )
    return "\n\n".join(
        ("# Metrics", "What `/metrics` exposes.", table(("name", "type", "labels", "meaning"), rows))
    )


def _registry() -> CollectorRegistry:
    """The metrics of a whole processor, which is made and never run."""
    with TemporaryDirectory() as folder:
        config = load_config(EXAMPLES / "lab.toml", state=Path(folder))
        return Processor(config, announce=print)._meters.registry  # noqa: SLF001 - nobody else asks


def _labels(family: Metric) -> str:
    return ", ".join(getattr(family, "_labelnames", ()))


def configuration_page() -> str:
    """Every key of the configuration, section by section."""
    return "\n\n".join(
        (
            "# Configuration",
            (
                "One TOML file (`standin serve --config FILE`); `examples/standin.toml` is a commented one. "
                "The environment overrides every key: `STANDIN_HSM__ADDRESS` is `address` in `[hsm]`."
            ),
            *_sections("", Config),
        )
    )


def _sections(path: str, model: type[BaseModel]) -> Iterator[str]:
    fields = {name: field for name, field in model.model_fields.items() if name != "folder"}
    inner = {name: found for name, field in fields.items() if (found := _model_in(field)) is not None}
    if path:
        yield f"## {path}"
        yield inspect.cleandoc(model.__doc__ or "")
    meanings = _meanings().get(path.strip("[]"), {})
    rows = [_field(path, name, field, meanings) for name, field in fields.items() if name not in inner]
    if rows:
        yield table(("key", "type", "default", "bounds", "meaning"), rows)
    for name, (section, is_list) in inner.items():
        head = f"{path.strip('[]')}.{name}" if path else name
        yield from _sections(f"[[{head}]]" if is_list else f"[{head}]", section)


@functools.cache
def _meanings() -> dict[str, dict[str, str]]:
    """What the commented example says of each key, by section."""
    found: dict[str, dict[str, str]] = {"": {}}
    section = ""
    for line in (EXAMPLES / "standin.toml").read_text("utf-8").splitlines():
        if head := re.match(r"(?:# )?\[+([a-z.]+)\]+", line):
            section = head[1]
        elif key := re.match(r"(?:# )?(\w+) = .*?  +# (.*)", line) or re.match(
            r"(?:# )?(\w+) = .*\S # (.*)", line
        ):
            found.setdefault(section, {}).setdefault(key[1], key[2])
    return found


def _model_in(field: FieldInfo) -> tuple[type[BaseModel], bool] | None:
    """The section that a field holds, and whether it holds a list of them."""
    kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
    found = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
    is_list = getattr(field.annotation, "__origin__", None) is tuple
    return (found, is_list) if found else None


def _field(section: str, name: str, field: FieldInfo, meanings: dict[str, str]) -> tuple[str, ...]:
    if name not in meanings:
        raise SystemExit(f"examples/standin.toml says nothing of {section} {name}")
    bounds = [
        f"{word} {getattr(rule, attribute)}"
        for rule in field.metadata
        for attribute, word in _BOUNDS.items()
        if hasattr(rule, attribute)
    ]
    default = "required" if field.is_required() else _cell(field.default)
    return f"`{name}`", _kind(field.annotation), default, ", ".join(bounds), meanings[name]


def _kind(annotation: Any) -> str:  # noqa: ANN401 - whatever pydantic takes
    """A type in words."""
    inside = [argument for argument in getattr(annotation, "__args__", ()) if argument is not ...]
    if not inside:
        return _KINDS.get(annotation, getattr(annotation, "__name__", str(annotation)))
    origin = getattr(annotation, "__origin__", None)
    if origin is tuple:
        return f"list of {_kind(inside[0])}"
    if origin is dict:
        return "table of text"
    if origin is Literal:
        return " or ".join(f'"{value}"' for value in inside)
    if hasattr(annotation, "__metadata__"):
        return _kind(origin)
    return " or ".join(_kind(one) for one in inside if one is not type(None))


_KINDS = {str: "text", int: "number", float: "number", bool: "true or false", Path: "path"}
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def commands_page() -> str:
    """Every command with its help."""
    apps = sorted(entry_points(group="standin.commands"), key=lambda point: point.name)
    texts = [
        point.load().generate_docs(heading_level=2, usage_name=f"standin {point.name}").strip()
        for point in apps
    ]
    return "\n\n".join(("# Commands", *texts))


def main(out: Path) -> None:
    """Write every page into ``out``, remove what is no page any more."""
    found = pages()
    for path, text in found.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_text(text, "utf-8")
    for file in out.rglob("*.md"):
        if file.relative_to(out).as_posix() not in found:
            file.unlink()
    print(f"{len(found)} pages in {out}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else OUT)
