"""The key file: what the processor may know of a key."""

import json
from pathlib import Path
from typing import Any

import pytest

from hsm_emulator.lmk import VariantLmk
from hsm_emulator.tdes import check_value
from processor.hsm.keys import load_keys
from processor.values.errors import ConfigError

EXAMPLE = Path(__file__).parent.parent / "examples" / "keys.test.json"
ENTRY = {"type": "402", "under_lmk": "U9B4934384B19946B040CD702B4D58145", "check_value": "08D7B4"}


def written(folder: Path, content: object) -> Path:
    path = folder / "keys.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_the_example_holds_the_published_keys_and_keeps_no_clear_key() -> None:
    keys = load_keys(EXAMPLE)
    clear = [entry["clear"] for entry in json.loads(EXAMPLE.read_text()).values() if isinstance(entry, dict)]

    assert {name: key.type for name, key in keys.items()} == {"zpk": "001", "pvk": "002", "cvk": "402"}
    assert len(clear) == 3
    assert not any(text in repr(vars_of(key)) for key in keys.values() for text in clear)


def vars_of(key: Any) -> dict[str, str]:
    return {name: getattr(key, name) for name in key.__struct_fields__}


def test_the_examples_clear_keys_are_the_keys_under_the_test_lmk() -> None:
    for name, entry in json.loads(EXAMPLE.read_text()).items():
        if name == "note":
            continue
        clear = VariantLmk().decrypt_key(entry["type"], entry["under_lmk"])
        assert isinstance(clear, bytes)
        assert clear.hex().upper() == entry["clear"], name
        assert check_value(clear)[:6] == entry["check_value"], name


def test_a_key_prints_without_its_text(tmp_path: Path) -> None:
    key = load_keys(written(tmp_path, {"cvk": ENTRY}))["cvk"]

    assert str(key) == repr(key) == "KeyUnderLmk(402, check value 08D7B4)"
    assert key.value == ENTRY["under_lmk"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param("{", ["not a JSON object"], id="broken JSON"),
        pytest.param("[]", ["not a JSON object"], id="a list"),
        pytest.param({}, ["no keys"], id="nothing in it"),
        pytest.param({"note": "only words"}, ["no keys"], id="only a note"),
        pytest.param({"cvk": "U9B49"}, ["cvk: not an object"], id="an entry that is text"),
        pytest.param(
            {"cvk": ENTRY | {"type": "42"}, "pvk": ENTRY | {"under_lmk": "U9B"}},
            ["cvk.type: ", "pvk.under_lmk: "],
            id="two problems in two entries are both named",
        ),
        pytest.param(
            {"cvk": {"under_lmk": 7, "kcv": "08D7B4"}},
            ["cvk.kcv: unknown", "cvk.type: ", "cvk.under_lmk: ", "cvk.check_value: "],
            id="members missing, unknown and of the wrong type",
        ),
        pytest.param({"cvk": ENTRY | {"check_value": "08D7B"}}, ["cvk.check_value: "], id="five digits"),
    ],
)  # fmt: skip
def test_a_bad_file_names_every_problem(tmp_path: Path, content: object, expected: list[str]) -> None:
    path = written(tmp_path, content)

    with pytest.raises(ConfigError) as caught:
        load_keys(path)

    problems = caught.value.problems
    assert len(problems) == len(expected)
    assert all(f"{path}: {start}" in problem for start, problem in zip(expected, problems, strict=True))
    assert "9B49" not in str(caught.value)


def test_a_file_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_keys(tmp_path / "none.json")
