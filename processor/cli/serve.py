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
from processor.cli.overrides import hsm_table, listen_tables
from processor.config import load_config
from processor.services.recorder import TraceOrder
from processor.values.errors import ConfigError, JournalError

app = cyclopts.App(name="serve")


@app.default
def serve(
    *,
    config: Path,
    listen: Annotated[tuple[str, ...] | None, cyclopts.Parameter(negative="")] = None,
    hsm: Annotated[tuple[str, ...] | None, cyclopts.Parameter(negative="")] = None,
    deck: Path | None = None,
    state: Path | None = None,
    status_seconds: float = 0.0,
    trace: Path | None = None,
    trace_raw: Path | None = None,
) -> None:
    """Serve card networks until SIGINT or SIGTERM.

    Prints ``listening NETWORK HOST:PORT`` for each card port when it is ready, and ``stopped {...}`` with the
    last figures at the end. Log lines go to stderr.

    Example: standin serve --config examples/standin.toml --deck var/deck.jsonl

    Args:
        config: The configuration file; examples/standin.toml is the commented default.
        listen: NETWORK=HOST:PORT, in place of the card ports of the configuration; may be repeated.
        hsm: HOST:PORT of the HSM, in place of those of the configuration; may be repeated.
        deck: Cards to issue, those that are not known yet.
        state: The state folder.
        status_seconds: Print ``status {...}`` with the figures this often; 0 is never.
        trace: Record what happens into this new file, scrubbed: for ``standin replay``.
        trace_raw: The same with frames as they are, only of cards in the test BINs of the configuration.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold card data
    settings = load_config(
        config,
        listen=listen_tables(listen),
        hsm=hsm_table(hsm),
        deck=deck,
        state=state,
    )
    order = _trace_order(trace, trace_raw, settings.trace.test_bins)
    try:
        processor = Processor(settings, announce=_announce, trace=order)
        for stopping in (signal.SIGINT, signal.SIGTERM):
            signal.signal(
                stopping, signal.SIG_IGN
            )  # once the processor has taken one, a second changes nothing
        try:
            trio.run(processor.run, status_seconds)
        finally:
            processor.close()
    except (JournalError, Failure, OSError) as error:
        print(f"standin serve: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    _announce("stopped " + msgspec.json.encode(processor.last_word()).decode())


def _trace_order(trace: Path | None, trace_raw: Path | None, test_bins: tuple[str, ...]) -> TraceOrder | None:
    if trace is not None and trace_raw is not None:
        raise ConfigError(["--trace and --trace-raw: only one of them"])
    if trace_raw is not None and not test_bins:
        raise ConfigError(
            ["--trace-raw: trace.test_bins: none configured, so every card might be a real one"]
        )
    if trace is not None:
        return TraceOrder(trace)
    return TraceOrder(trace_raw, test_bins) if trace_raw is not None else None


def _announce(line: str) -> None:
    print(line, flush=True)
