"""``standin serve``: run the processor."""

import resource
import signal
import sys
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec
import trio

from processor.app import Failure, Processor
from processor.config import load_config
from processor.values.errors import ConfigError, JournalError

app = cyclopts.App(name="serve", help="Run the authorization processor.")


@app.default
def serve(
    *,
    config: Path,
    listen: Annotated[tuple[str, ...] | None, cyclopts.Parameter(negative="")] = None,
    hsm: str | None = None,
    deck: Path | None = None,
    state: Path | None = None,
    status_seconds: float = 0.0,
) -> None:
    """Serve card networks until SIGINT or SIGTERM.

    Prints ``listening NETWORK HOST:PORT`` for each card port when it is ready, and ``stopped {...}`` with the
    last figures at the end. Log lines go to stderr.

    Example: standin serve --config examples/standin.toml --deck var/deck.jsonl

    Args:
        config: The configuration file; examples/standin.toml is the commented default.
        listen: NETWORK=HOST:PORT, in place of the card ports of the configuration; may be repeated.
        hsm: HOST:PORT of the HSM.
        deck: Cards to issue, those that are not known yet.
        state: The state folder.
        status_seconds: Print ``status {...}`` with the figures this often; 0 is never.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold card data
    settings = load_config(
        config,
        listen=tuple(map(_listen, listen)) if listen else None,
        hsm={"address": hsm} if hsm else None,
        deck=deck,
        state=state,
    )
    try:
        processor = Processor(settings, announce=_announce)
        for stopping in (signal.SIGINT, signal.SIGTERM):
            signal.signal(
                stopping, signal.SIG_IGN
            )  # once the processor has taken one, a second changes nothing
        trio.run(processor.run, status_seconds)
    except (JournalError, Failure, OSError) as error:
        print(f"standin serve: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    _announce("stopped " + msgspec.json.encode(processor.last_word()).decode())


def _listen(text: str) -> dict[str, str]:
    network, equals, address = text.partition("=")
    if not equals:
        raise ConfigError([f"--listen {text}: must be NETWORK=HOST:PORT"])
    return {"network": network, "address": address}


def _announce(line: str) -> None:
    print(line, flush=True)
