"""Figures that others keep anyway, read when somebody asks: of book, desk, journal and log."""

from collections.abc import Callable, Collection

from processor.book.state import State
from processor.core.desk import Desk
from processor.core.executor import Core
from processor.networks.profile import Profile
from processor.services.journal_writer import JournalFigures
from processor.services.log import Log
from processor.services.meters import Meters
from processor.services.recorder import Recorder


def watch_book(meters: Meters, state: State, desk: Desk) -> None:
    """What is held and what is open. Each reading is one step, because it is made in another thread."""
    meters.gauge("issuer_in_flight", "Questions admitted and not answered.", lambda: desk.in_flight)
    meters.gauge("issuer_holds_open", "Open holds.", lambda: len(state.holds))
    meters.gauges(
        "issuer_holds_exposure_minor_units",
        "What all open holds hold.",
        ("currency",),
        lambda: {(currency,): minor for currency, minor in dict(state.held_minor).items()},
    )
    meters.gauge("issuer_cards", "Cards on file.", lambda: len(state.cards))
    meters.gauge("issuer_transactions", "Transactions in memory.", lambda: len(state.transactions))
    meters.reading("issuer_journal_sequence", "Records since the journal began.", lambda: state.sequence)


def watch_networks(meters: Meters, core: Core, profiles: Collection[Profile]) -> None:
    """Which networks there are, and whether their requests are taken."""
    names = [profile.name for profile in profiles]
    for profile in profiles:
        meters.network(profile.name, profile.messages)
    meters.gauges(
        "issuer_network_signed_on",
        "1 while the network's requests are taken: it is signed on, or need not be.",
        ("network",),
        lambda: {(name,): float(core.signed_on(name)) for name in names},
    )


def watch_journal(meters: Meters, figures: JournalFigures) -> None:
    """What became durable, and how long that took."""
    meters.histograms(
        "issuer_journal_fsync_seconds",
        "One batch encrypted, written and synced.",
        bounds=figures.sync_s.bounds,
    ).adopt(figures.sync_s)
    meters.histograms(
        "issuer_journal_batch_records", "Records of one batch.", bounds=figures.batch_records.bounds
    ).adopt(figures.batch_records)
    meters.reading("issuer_journal_bytes", "Bytes of records written.", lambda: figures.payload_bytes)
    meters.reading(
        "issuer_journal_errors", "Failures to write: the first one is the last.", lambda: figures.errors
    )
    meters.gauge(
        "issuer_journal_last_sync_timestamp_seconds",
        "When a batch was last made durable; 0: not yet.",
        lambda: figures.last_sync_ms / 1000,
    )
    meters.gauge(
        "issuer_journal_low_space", "1 while only the reserve is left.", lambda: float(figures.low_space)
    )


def watch_trace(meters: Meters, recorder: Recorder | None) -> None:
    """Whether what happens is recorded."""
    meters.reading(
        "issuer_traces_lost",
        "Traces that ended before the processor: nothing is recorded any more.",
        lambda: float(recorder is not None and recorder.lost),
    )


def watch_process(meters: Meters, log: Log, hsm_connected: Callable[[], bool], loaded_ms: int) -> None:
    """The log, the HSM's line, and since when the configuration has been what it is."""
    meters.add(log.left_out)
    meters.reading("issuer_log_lines_dropped", "Log lines that nobody read in time.", lambda: log.dropped)
    meters.gauge(
        "issuer_hsm_connected", "1 while there is a line to the HSM.", lambda: float(hsm_connected())
    )
    meters.gauge(
        "issuer_config_loaded_timestamp_seconds", "When the configuration was read.", lambda: loaded_ms / 1000
    )
