"""``standin why``, ``book show``, ``doctor``, completion and help, beside a processor and without one."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cyclopts
import msgspec
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
STANDIN = [sys.executable, "-m", "processor.cli.main"]


def run(*arguments: str, given: str = "") -> Any:
    """Run a command to its end: exit code, output, error output."""
    done = subprocess.run(
        [*STANDIN, *arguments], input=given, capture_output=True, text=True, check=False, timeout=60
    )
    assert "Traceback" not in done.stderr
    return SimpleNamespace(code=done.returncode, out=done.stdout, said=done.stderr)


@pytest.fixture(scope="module")
def shop(launch_for_module: Any, hsm: Any, new_issuer: Any, till: Any, tmp_path_factory: Any) -> Any:
    """A running processor after a purchase with its reversal, and a refused purchase."""
    from tests.system.conftest import SwitchLink

    folder, issuer = tmp_path_factory.mktemp("people"), new_issuer()
    card, poor = issuer.card(), issuer.card(balance_minor=999)
    child = launch_for_module.serving(folder / "state", hsm, issuer.deck(folder))
    link = SwitchLink.to(child.address)
    bought, refused = till.purchase(card, 1000, "stripe", "right"), till.purchase(poor, 1000)
    code = link.ask(bought).elements[38]
    assert link.ask(refused).elements[39] == "51"
    link.ask(till.purchase(card, 250))
    link.ask(till.reversal(bought))
    link.socket.close()
    return SimpleNamespace(
        child=child,
        state=str(folder / "state"),
        card=card,
        poor=poor,
        bought=bought,
        refused=refused,
        code=code,
    )


def masked(card: Any) -> str:
    return f"{card.card.pan[:6]}******{card.card.pan[-4:]}"


def test_the_story_is_the_same_from_the_processor_and_from_its_folder(shop: Any, tmp_path: Path) -> None:
    rrn = shop.bought.elements[37]
    asked = run("why", rrn, "--state", shop.state)
    assert asked.code == 0
    assert asked.said == ""
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", shop.state, str(copy)], check=True)
    read = run("why", rrn, "--state", str(copy))

    assert read == asked
    assert "The answer was approved, authorization code " + shop.code in asked.out
    assert "The CVV is right.\nThe PIN is right." in asked.out
    assert "The authorization counts as reversed.\nThe hold of USD 10.00 is closed." in asked.out
    assert "Not every answer has a record." in asked.out
    assert run("why", shop.code, "--state", shop.state).out == asked.out
    assert shop.card.card.pan not in asked.out


def test_a_refusal_is_explained_with_what_the_rule_saw(shop: Any) -> None:
    found = run("why", shop.refused.elements[37], "--state", shop.state)

    assert "The answer was insufficient funds." in found.out
    assert "That is because USD 10.00 was asked for and USD 9.99 was available." in found.out


def test_what_bears_a_name_is_listed_and_picked(shop: Any) -> None:
    """Record 4 is a purchase, and it is also looked up by its number as a name."""
    found = run("why", shop.bought.elements[37], "--state", shop.state, "--json")
    told = msgspec.json.decode(found.out)
    number = told["matches"]["matches"][0]["number"]

    assert told["case"]["transaction"] == number
    picked = run("why", shop.code, "--pick", str(number), "--state", shop.state, "--json")
    assert msgspec.json.decode(picked.out)["case"] == told["case"]
    strange = run("why", shop.code, "--pick", str(number + 1), "--state", shop.state)
    assert (strange.code, strange.out) == (2, "")
    assert f"--pick {number + 1}: is none of those that bear the name: {number}" in strange.said
    nothing = run("why", "NOSUCH", "--state", shop.state)
    assert (nothing.code, nothing.out.split()[0]) == (1, "nothing")
    assert "94" in nothing.out, "what cannot be found here is said"


def test_a_statement_is_the_same_from_the_processor_and_from_its_folder(shop: Any, tmp_path: Path) -> None:
    asked = run("book", "show", masked(shop.card), "--state", shop.state)
    typed = run("book", "show", "-", "--state", shop.state, given=shop.card.card.pan + "\n")
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", shop.state, str(copy)], check=True)
    read = run("book", "show", masked(shop.card), "--state", str(copy))

    assert (asked.code, asked.said) == (0, "")
    assert asked.out == typed.out == read.out
    assert ["available", "USD", "9,997.50"] in [line.split() for line in asked.out.splitlines()]
    assert "USD 2.50 held" in asked.out
    assert shop.card.card.pan not in asked.out


@pytest.mark.parametrize("typed", ["4000001234567899", "4000 0012 3456 7899", "4000-0012-3456-7899"])
def test_a_card_number_on_the_command_line_is_refused_and_not_repeated(shop: Any, typed: str) -> None:
    refused = run("book", "show", typed, "--state", shop.state)

    assert refused.code == 2
    assert "use -" in refused.said
    assert typed not in refused.said + refused.out


def test_a_processor_that_was_killed_leaves_a_door_that_counts_for_nothing(
    launch: Any, hsm: Any, issuer: Any, tmp_path: Path
) -> None:
    card, state = issuer.card(), tmp_path / "state"
    child = launch.serving(state, hsm, issuer.deck(tmp_path))
    child.kill()
    assert (state / "http.json").exists()

    found = run("book", "show", masked(card), "--state", str(state))
    assert (found.code, found.said) == (0, "")


def test_a_processor_without_an_http_port_is_read_beside_and_that_is_said(
    launch: Any, hsm: Any, issuer: Any, tmp_path: Path
) -> None:
    card, state = issuer.card(), tmp_path / "state"
    launch.serving(state, hsm, issuer.deck(tmp_path), HTTP__ADDRESS="")

    found = run("book", "show", masked(card), "--state", str(state))
    assert found.code == 0
    assert "has no HTTP port; reading its folder instead" in found.said


@pytest.mark.parametrize("command", [("why", "1"), ("book", "show", "x")], ids=" ".join)
def test_a_folder_without_a_journal_is_named(command: tuple[str, ...], tmp_path: Path) -> None:
    found = run(*command, "--state", str(tmp_path))

    assert found.code == 2
    assert f"{tmp_path}: no journal here" in found.said


def test_the_doctor_examines_a_running_processor(shop: Any, hsm: Any, tmp_path: Path) -> None:
    config = tmp_path / "standin.toml"
    text = (ROOT / "examples" / "standin.toml").read_text()
    for name in ("stand-in.toml", "keys.test.json"):
        (tmp_path / name).write_bytes((ROOT / "examples" / name).read_bytes())
    config.write_text(
        text.replace("127.0.0.1:1500", f"{hsm.address[0]}:{hsm.address[1]}").replace(":8583", ":0")
    )
    found = run("doctor", "--config", str(config), "--state", shop.state, "--json")
    told = msgspec.json.decode(found.out)
    bad = [finding for finding in told["findings"] if finding["level"] == "bad"]

    assert bad == []
    assert found.code == {"ok": 0, "warn": 1}[told["level"]]
    levels = {finding["about"]: finding["level"] for finding in told["findings"]}
    assert {levels[name] for name in ("hsm", "hsm key zpk", "hsm key pvk", "hsm key cvk", "journal")} == {
        "ok"
    }
    assert levels["running processor: hsm"] == "ok"


def test_the_doctor_ends_with_2_for_a_configuration_that_does_not_exist(tmp_path: Path) -> None:
    found = run("doctor", "--config", str(tmp_path / "none.toml"))

    assert found.code == 2
    assert "BAD   configuration" in found.out


def _commands() -> list[tuple[str, ...]]:
    """Every command, those inside groups of groups as well."""

    def inside(app: cyclopts.App, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        verbs = [name for name in app if not name.startswith("-")]
        return [found for verb in verbs for found in inside(app[verb], (*path, verb))] or [path]

    points = sorted(entry_points(group="standin.commands"))
    return [found for point in points for found in inside(point.load(), (point.name,))]


@pytest.mark.parametrize("command", [*_commands(), ("completion",)], ids=" ".join)
def test_the_help_of_every_command_has_an_example(command: tuple[str, ...]) -> None:
    found = run(*command, "--help")

    assert found.code == 0
    assert "Example: " in found.out
    assert "standin " + " ".join(command) in " ".join(found.out.split())


def complete(script: Path, typed: str) -> list[str]:
    """What bash offers for a line, with the script sourced."""
    words = typed.split(" ")
    program = f"""
        source {script}
        COMP_WORDS=({" ".join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}
        COMP_LINE={typed!r}; COMP_POINT={len(typed)}
        function=$(complete -p standin | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        $function standin {words[-1]!r} {words[-2]!r}
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return [word.strip() for word in done.stdout.split("\n") if word.strip()]


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    script = tmp_path / "standin.bash"
    script.write_text(run("completion", "bash").out)

    assert {"why", "book", "doctor", "serve", "hsm", "simulate"} <= set(complete(script, "standin "))
    assert complete(script, "standin wh") == ["why"]
    assert "show" in complete(script, "standin book ")
    assert "--state" in complete(script, "standin why --st")


def test_completion_is_installed_where_the_shell_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    done = run("--install-completion", "--shell", "bash")

    assert done.code == 0, done.said
    installed = tmp_path / ".local/share/bash-completion/completions/standin"
    assert complete(installed, "standin doc") == ["doctor"]
