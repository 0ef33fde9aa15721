"""``standin keys``: make an LMK and an issuer's keys under it, and show what a key file has."""

import os
from pathlib import Path

import cyclopts
import msgspec

from hsm_emulator.emulator import DEFAULT_LMK
from hsm_emulator.key_file import new_keys, processor_file, simulators_file
from hsm_emulator.lmk_file import LmkKind, load_lmks, new_lmk, write_private
from processor.hsm.keys import KeyUnderLmk, load_keys
from processor.values.errors import ConfigError

app = cyclopts.App(name="keys", help="Make the keys of an HSM emulator and of the processor; show key files.")

_SCHEMES = {
    "U": "double, variant",
    "X": "double, ANSI X9.17",
    "T": "triple, variant",
    "Y": "triple, ANSI X9.17",
    "S": "key block",
    "R": "key block, TR-31",
    "K": "in user storage",
}
_PLAIN = {16: "single, plain", 32: "double, plain"}


@app.command
def init(
    *, lmk: Path, keys: Path, kind: LmkKind = "aes-block", clear_for_simulators: Path | None = None
) -> None:
    """Make a random LMK, and under it the processor's keys: zpk, pvk, cvk, imk-ac and imk-smi.

    Each file is new and has mode 0600. The keys exist in clear in this process only, unless asked for.

    Example: standin keys init --lmk var/lmk.json --keys var/keys.json

    Args:
        lmk: The file of the LMK, for ``standin hsm --lmk``.
        keys: The file of the keys under the LMK, for ``hsm.keys`` of the processor's configuration.
        kind: What the LMK is: pairs with variants, or one TDES or AES key with key blocks.
        clear_for_simulators: Only for tests: also write the keys in clear into this file, for ``--keys`` of
            ``standin deck make`` and ``standin simulate``. Whoever has it can make cards.
    """
    paths = [path for path in (lmk, keys, clear_for_simulators) if path is not None]
    _refuse_existing(paths)
    stored = new_lmk(kind, os.urandom)
    write_private(lmk, {DEFAULT_LMK: stored})
    made = load_lmks(lmk)[DEFAULT_LMK]
    clear = new_keys(os.urandom)
    entries = processor_file(made, clear, os.urandom)
    write_private(keys, entries)
    if clear_for_simulators is not None:
        write_private(clear_for_simulators, simulators_file(entries, clear))
    print(f"{lmk}: LMK {DEFAULT_LMK}, {kind}, check value {stored.check_value[:6]}")
    print(f"{keys}: {', '.join(entries)}, under the LMK")
    if clear_for_simulators is not None:
        print(f"{clear_for_simulators}: the same IN CLEAR, for simulators in tests only")


@app.command
def show(file: Path, *, json: bool = False) -> None:
    """Show the keys of a key file: names, types, schemes and check values, and never a key.

    Example: standin keys show var/keys.json

    Args:
        file: A key file, as ``standin keys init`` makes it.
        json: Print one JSON object a key.
    """
    for name, key in load_keys(file).items():
        shown = {
            "name": name,
            "type": key.type,
            "scheme": _scheme(key),
            "check_value": key.check_value[:6],
        }
        print(
            msgspec.json.encode(shown).decode()
            if json
            else "{name:<10} {type}  {check_value}  {scheme}".format(**shown)
        )


def _refuse_existing(paths: list[Path]) -> None:
    """Before anything is written. Errors: ConfigError with every problem."""
    problems = [f"{path}: is there already" for path in paths if path.exists() or path.is_symlink()]
    problems += [
        f"{path}: the folder {path.parent} does not exist" for path in paths if not path.parent.is_dir()
    ]
    if len({path.resolve() for path in paths}) < len(paths):
        problems.append("each file needs a name of its own")
    if problems:
        raise ConfigError(problems)


def _scheme(key: KeyUnderLmk) -> str:
    letter = key.value[0]
    return f"{letter}: {_SCHEMES[letter]}" if letter in _SCHEMES else _PLAIN[len(key.value)]
