"""``standin keys``: the files it makes, and what it shows of them."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hsm_emulator.cli.keys import app
from hsm_emulator.key_file import PURPOSES
from hsm_emulator.keyring import Keyring
from hsm_emulator.lmk_file import load_lmks
from hsm_emulator.roles import CVK_CHECK, CVK_MAKE, MK_AC, MK_SMI, PVV_CHECK, PVV_MAKE, ZPK_FROM, ZPK_TO
from hsm_emulator.tdes import check_value
from processor.hsm.errors import ErrorCode
from processor.hsm.keys import load_keys
from processor.values.errors import ConfigError
from simulators.keys import load_test_keys

KINDS = ["variant", "tdes-block", "aes-block"]
ROLES = {
    "zpk": [ZPK_FROM, ZPK_TO],
    "pvk": [PVV_MAKE, PVV_CHECK],
    "cvk": [CVK_MAKE, CVK_CHECK],
    "imk-ac": [MK_AC],
    "imk-smi": [MK_SMI],
}
Init = Callable[..., None]


def keys(*arguments: str) -> None:
    app(list(arguments), result_action="return_value")


@pytest.fixture
def init(tmp_path: Path) -> Init:
    def init(*more: str) -> None:
        keys("init", "--lmk", str(tmp_path / "lmk"), "--keys", str(tmp_path / "keys"), *more)

    return init


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_under_the_lmk_for_its_own_purpose_alone(init: Init, kind: str, tmp_path: Path) -> None:
    init("--kind", kind)
    ring = Keyring(load_lmks(tmp_path / "lmk")["00"], strict=True)
    made = load_keys(tmp_path / "keys")

    assert list(made) == list(PURPOSES) == list(ROLES)
    for name, key in made.items():
        for role_name, roles in ROLES.items():
            for role in roles:
                clear = ring.clear_key(role, key.value)
                if role_name == name:
                    assert isinstance(clear, bytes)
                    assert check_value(clear)[:6] == key.check_value
                else:
                    assert isinstance(clear, ErrorCode), f"{name} works as {role_name}"


def test_the_clear_keys_are_written_only_when_asked(init: Init, tmp_path: Path, capsys: Any) -> None:
    init()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys", "lmk"]
    assert b"clear" not in (tmp_path / "keys").read_bytes()
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_the_simulators_file_has_the_same_keys_in_clear(init: Init, tmp_path: Path) -> None:
    init("--clear-for-simulators", str(tmp_path / "clear"))
    clear = load_test_keys(tmp_path / "clear")
    under_lmk = load_keys(tmp_path / "keys")

    assert stat.S_IMODE((tmp_path / "clear").stat().st_mode) == 0o600
    assert load_keys(tmp_path / "clear").keys() == under_lmk.keys()
    assert clear.pvk_under_lmk == under_lmk["pvk"].value
    for name in ("zpk", "cvk", "pvk"):
        assert check_value(getattr(clear, name))[:6] == under_lmk[name].check_value


@pytest.mark.parametrize("there", ["lmk", "keys", "clear"])
def test_nothing_is_written_when_one_of_the_files_is_there(init: Init, there: str, tmp_path: Path) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(ConfigError, match=f"{there}: is there already"):
        init("--clear-for-simulators", str(tmp_path / "clear"))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_one_file_cannot_be_both(tmp_path: Path) -> None:
    path = str(tmp_path / "one")
    with pytest.raises(ConfigError, match="a name of its own"):
        keys("init", "--lmk", path, "--keys", path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("json_wanted", [False, True], ids=["for people", "as JSON"])
def test_show_tells_everything_but_the_keys(
    init: Init, kind: str, json_wanted: bool, tmp_path: Path, capsys: Any
) -> None:
    init("--kind", kind, "--clear-for-simulators", str(tmp_path / "clear"))
    capsys.readouterr()
    keys("show", str(tmp_path / "clear"), *(["--json"] if json_wanted else []))
    out = capsys.readouterr().out

    entries = json.loads((tmp_path / "clear").read_text())
    del entries["note"]
    for name, entry in entries.items():
        assert name in out
        assert entry["check_value"] in out
        assert entry["clear"] not in out
        assert entry["under_lmk"] not in out
    assert ("U: double" if kind == "variant" else "S: key block") in out
    if json_wanted:
        assert [json.loads(line)["name"] for line in out.splitlines()] == list(entries)


def test_show_of_anything_else_is_wrong_input(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        keys("show", str(tmp_path / "absent"))
    (tmp_path / "lmk").write_bytes(os.urandom(10))
    with pytest.raises(ConfigError, match="not a JSON object"):
        keys("show", str(tmp_path / "lmk"))
