"""The command ``standin``: finds its subcommands by entry point and loads only the one that is called."""

import signal
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points, packages_distributions, version
from typing import Literal

import cyclopts

from processor.cli.terminal import printable
from processor.values.errors import ConfigError

GROUP = "standin.commands"
OWN_PACKAGES = ("processor", "hsm_emulator", "rules", "simulators")


def main() -> None:
    """Run one subcommand. Exit codes: 0 done, 1 failed, 2 wrong input."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the command is loaded, Ctrl-C just ends it
    if not __debug__:
        sys.exit("standin: asserts are load-bearing here; do not run with -O or PYTHONOPTIMIZE")
    if (strangers := foreign_owners()) and sys.argv[1:2] != ["doctor"]:
        sys.exit("standin: " + "; ".join(strangers) + ": use a virtual environment of its own")
    commands = {point.name: point for point in entry_points(group=GROUP)}
    called = sys.argv[1] if len(sys.argv) > 1 else ""
    app = cyclopts.App(name="standin", version=version("standin"), help=__doc__)
    _mount(app, [commands[called]] if called in commands else sorted(commands.values()))
    app.register_install_completion_command(
        help="Install shell completion. Example: standin --install-completion --shell bash"
    )
    app.command(_completion(app), name="completion")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        app()
    except ConfigError as error:
        for problem in error.problems:
            print(f"standin {called}: {printable(problem)}", file=sys.stderr)
        sys.exit(2)


def foreign_owners() -> list[str]:
    """Our import names that another installed distribution owns too: PyPI has such."""
    owners = packages_distributions()
    return [
        f"the import name {name!r} also belongs to {stranger}"
        for name in OWN_PACKAGES
        for stranger in sorted(set(owners.get(name, ())) - {"standin"})
    ]


def _completion(app: cyclopts.App) -> Callable[[Literal["bash", "zsh", "fish"]], None]:
    def completion(shell: Literal["bash", "zsh", "fish"]) -> None:
        """Print the completion script for a shell; ``standin --install-completion`` installs it.

        Example: source <(standin completion bash)

        Args:
            shell: Which shell.
        """
        print(app.generate_completion(shell=shell))

    return completion


def _mount(app: cyclopts.App, points: list[EntryPoint]) -> None:
    for point in points:
        app.command(point.load(), name=point.name)


if __name__ == "__main__":
    main()
