"""A user's own dialect: a JSON file with a pyiso8583 specification, or a dialect of ours and another header.

    {"h": {...}, "t": {...}, "p": {...}, "1": {...}, "2": {...}, ...}     the specification itself
    {"spec": {...}, "header": "tpdu"}                                     and what its header bytes mean
    {"base": "iso87-binary", "header": "tpdu"}                            ours, behind another header

Headers are those of ``processor.iso8583.header.HEADERS``; without one, the bytes of row ``h`` are echoed.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from processor.iso8583.dialect import Dialect
from processor.iso8583.header import HEADERS
from processor.values.errors import ConfigError

SUFFIX = ".json"

_KEYS = frozenset(("spec", "base", "header", "source", "desc", "name", "notes", "note"))
_AMOUNTS = ("4", "5", "6")
_AMOUNT_DIGITS_MAX = 18


def load_dialect(path: Path, shipped: Mapping[str, Dialect]) -> Dialect:
    """The dialect in a file, named as its path.

    Raises:
        ConfigError: every problem, each beginning with the file's name.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from None
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, a number of 5,000 digits, too deep
        raise ConfigError([f"{path}: not JSON: {error}"]) from None
    if not isinstance(content, dict):
        raise ConfigError([f"{path}: not an object"])
    return _dialect(str(path), content, shipped)


def _dialect(name: str, content: dict[str, Any], shipped: Mapping[str, Dialect]) -> Dialect:
    if "t" in content:
        content = {"spec": content}
    header = content.get("header")
    problems = [f"{name}.{key}: there is no such key" for key in content if key not in _KEYS]
    if ("spec" in content) == ("base" in content):
        problems.append(f"{name}: needs a spec or a base, and not both")
    if header is not None and not _is_one_of(header, HEADERS):
        problems.append(f"{name}.header: must be one of {', '.join(HEADERS)}")
    if problems:
        raise ConfigError(problems)
    if "base" in content:
        if not _is_one_of(content["base"], shipped):
            raise ConfigError([f"{name}.base: must be one of {', '.join(shipped)}"])
        base = shipped[content["base"]]
        return base.with_header(name, HEADERS[header] if header is not None else base.header)
    spec = _specification(name, content["spec"])
    return Dialect.from_pyiso8583(name, spec, HEADERS[header] if header is not None else None)


def _specification(name: str, spec: object) -> dict[str, dict[str, Any]]:
    """The specification, if it has the shape of one."""
    if not isinstance(spec, dict):
        raise ConfigError([f"{name}.spec: not an object"])
    problems = [f"{name}.{key}: not an object" for key, row in spec.items() if not isinstance(row, dict)]
    problems += [
        f"{name}.{key}: max_len is more than {_AMOUNT_DIGITS_MAX} digits"
        for key in _AMOUNTS
        if isinstance(row := spec.get(key), dict) and _is_more(row.get("max_len"))
    ]
    if problems:
        raise ConfigError(problems)
    return spec


def _is_one_of(name: object, known: Mapping[str, object]) -> bool:
    return isinstance(name, str) and name in known


def _is_more(length: object) -> bool:
    return isinstance(length, int) and length > _AMOUNT_DIGITS_MAX
