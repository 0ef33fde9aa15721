"""What measuring costs: one authorization's counting and logging, and what a scrape does to the loop.

    python benchmarks/bench_meters.py

The cost is of the calls that one approved request with CVV and PIN makes, in a tight loop. The scrape is of
two networks with every message type, a hundred kinds of answers and eight links each, written in a worker
thread as the HTTP port does it, while the loop beats every millisecond.
"""

import gc
import io
import sys
import time
from collections.abc import Callable

import trio

from processor.core.desk import Flight
from processor.networks.profile import load_profile
from processor.services.log import Log
from processor.services.meters import Meters
from processor.services.views import tell
from processor.values.clock import SystemClock
from processor.values.money import Money
from processor.values.outcome import Outcome, Reply
from processor.values.reasons import Reason
from processor.values.requests import Authorization, CvvKind, Direction

CALLS = 100_000
RUNS = 5
SCRAPES = 50
BEAT_S = 0.001
SWITCH_INTERVAL_S = 0.0005  # the processor's own
REQUEST = Authorization(
    network="visa-like",
    mti="0100",
    key="key",
    content="content",
    match_keys=(),
    card="token",
    pan_masked="400000******7899",
    processing_code="000000",
    amount=Money(2599, "840"),
    transmitted="1121101530",
    stan="000042",
    rrn="632510000042",
    acquirer="400001",
    direction=Direction.DEBIT,
    single_message=False,
    transaction_amount=Money(2599, "840"),
    terminal="TERM0001",
    merchant="MERCHANT0000001",
    merchant_category="5411",
    country="840",
    entry_mode="05",
    condition="00",
    expiry="",
    pin_present=True,
    cvv_kind=CvvKind.ICVV,
    hold_days=7,
    hold_class="card present",
)


class NoAsker:
    """Wants no answer."""

    def answer(self, outcome: Outcome, flight: Flight | None) -> None:
        """It is thrown away."""


def served() -> Meters:
    """Meters that two networks have used in every way."""
    meters = Meters()
    for name in ("visa-like", "mc-like"):
        profile = load_profile(name)
        meters.network(name, profile.messages)
        for mti in profile.messages:
            meters.asked(name, mti)
            reasons = list(Reason) if mti in {"0100", "0101", "0200"} else [Reason.ACCEPTED]
            for reason in reasons:
                meters.answered(name, mti, profile.response_code(reason), reason).observe(0.004)
        for _ in range(8):
            meters.link(name).enter("signed_on")
    return meters


def counting(meters: Meters, log: Log, clock: SystemClock, outcome: Outcome, code: str) -> Callable[[], None]:
    """One request on its way through: what card link, HSM link and views call."""
    flight = Flight(REQUEST, None, NoAsker(), 0, 1.0, 7.0)
    decode, encode = meters.stages["decode"], meters.stages["encode"]
    reason = outcome.reply.reason

    def one() -> None:
        meters.asked("visa-like", "0100")
        decode.observe(0.0001)
        for op in ("cvv", "pin"):
            meters.hsm_latency[op].observe(0.001)
            meters.hsm(op, "answered")
        latencies = meters.answered("visa-like", "0100", code, reason)
        encode.observe(0.0001)
        flight.told = False
        tell(meters, log, REQUEST, outcome, flight, code, 1.0, clock.monotonic_s())
        latencies.observe(clock.monotonic_s() - 1.0)

    return one


def microseconds(call: Callable[[], None]) -> float:
    """The best of some runs."""
    best = float("inf")
    for _ in range(RUNS):
        began = time.perf_counter()
        for _ in range(CALLS):
            call()
        best = min(best, time.perf_counter() - began)
    return best / CALLS * 1e6


async def scraped(meters: Meters) -> tuple[float, list[float], list[float]]:
    """Milliseconds: a scrape, and how late the loop's beats were with scrapes and without, in order."""
    late: dict[bool, list[float]] = {True: [], False: []}
    scraping = False

    async def beat() -> None:
        while True:
            due = trio.current_time() + BEAT_S
            await trio.sleep_until(due)
            late[scraping].append(1000 * (trio.current_time() - due))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(beat)
        await trio.sleep(0.5)
        scraping, began = True, trio.current_time()
        for _ in range(SCRAPES):
            await trio.to_thread.run_sync(meters.expose)
        took = (trio.current_time() - began) / SCRAPES
        nursery.cancel_scope.cancel()
    return 1000 * took, sorted(late[True]), sorted(late[False])


def main() -> None:
    """Measure and print."""
    meters, clock = served(), SystemClock()
    approved = Outcome(7, Reply(Reason.APPROVED), transaction=7)
    declined = Outcome(7, Reply(Reason.INSUFFICIENT_FUNDS), transaction=7)
    quiet = Log(clock, "json", io.StringIO(), approvals_one_in=0, lines_per_s=1)
    sampling = Log(clock, "json", io.StringIO())
    for name, log, outcome, code in (
        ("an approval, counted", quiet, approved, "00"),
        ("an approval, counted, 1 in 100 logged", sampling, approved, "00"),
        ("a decline, counted, over the budget", quiet, declined, "51"),
    ):
        print(f"{name:<40}{microseconds(counting(meters, log, clock, outcome, code)):6.2f} µs")
    exposed = meters.expose()
    lines = exposed.count(b"\n")
    print(f"a scrape: {lines:,} lines, {len(exposed):,} bytes")
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()  # as the processor does
    took, with_scrapes, without = trio.run(scraped, meters)
    print(f"  takes {took:.1f} ms in its thread, one after the other")
    for name, late in (("with scrapes", with_scrapes), ("without", without)):
        middle, tail = late[len(late) // 2], late[len(late) * 99 // 100]
        print(f"  {name:<14}the loop is late by ms: p50 {middle:.2f}, p99 {tail:.2f}, max {late[-1]:.2f}")


if __name__ == "__main__":
    main()
