"""What a trace costs: recording, per authorization, and replaying it frozen, in one run.

    python benchmarks/bench_replay.py [AUTHORIZATIONS]

Authorizations of 40 cards go through decode, recognise, desk, core, respond and encode in one process, with
an HSM and a disk that answer at once, in batches of 32. The same ones are done with and without a recorder,
in turn, and the least of the rounds counts. "Loop" is the processor time of the thread that serves, which is
what a recording adds to an answer; "all" adds the process that scrubs, hashes and writes, but not its start.
"""

import io
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from processor.book.state import State
from processor.core.desk import Desk, Flight, Limits
from processor.core.executor import Core
from processor.core.identity import Identity
from processor.core.terms import Terms
from processor.iso8583.header import Base1Header
from processor.iso8583.message import Message
from processor.iso8583.tables.visa_like import CUSTOM_PAYMENT_SERVICE, PRIVATE_USE
from processor.links.switchboard import Network
from processor.networks.profile import load_profile
from processor.replay.frozen import replay
from processor.replay.trace_file import Trace
from processor.services.log import Log
from processor.services.recorder import Recorder, TraceOrder
from processor.values.cards import Card
from processor.values.clock import SystemClock
from processor.values.commands import IssueCard, Record
from processor.values.facts import Check, Facts
from processor.values.money import Money
from processor.values.outcome import Outcome
from processor.values.sensitive import Evidence, Pan, Tokens
from rules.policy import parse_policy
from simulators.cards import draft_cards

ROOT = Path(__file__).parents[1]
SECRET = bytes(range(32))
CARDS, BATCH, ROUNDS, FRAMES = 80, 32, 3, 4000


class Disk:
    """Has everything on disk as soon as it is flushed."""

    low_space = False

    def __init__(self) -> None:
        self._last = 0
        self._waiting: list[Callable[[], None]] = []
        self.witness: Callable[[int], None] | None = None

    def append(self, record: Record) -> None:
        """Take a record."""
        self._last = record.sequence

    def when_durable(self, _sequence: int, done: Callable[[], None]) -> None:
        """Wait for the next flush."""
        self._waiting.append(done)

    def flush(self) -> None:
        """Everything is on disk."""
        if self.witness is not None:
            self.witness(self._last)
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done()


class Hsm:
    """Finds everything right, when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[Callable[[Facts], None], Facts]] = []

    def verify(
        self,
        evidence: Evidence,  # noqa: ARG002 - it is all right
        card: Card,
        *,
        cvv: bool,
        pin: bool,
        done: Callable[[Facts], None],
    ) -> None:
        """Keep the question."""
        right, unasked = Check.PASSED, Check.NOT_ASKED
        self.asked.append((done, Facts(right if cvv else unasked, right if pin else unasked, card.version)))

    def answer(self) -> None:
        """Answer what was asked."""
        asked, self.asked = self.asked, []
        for done, facts in asked:
            done(facts)


class Waiting:
    """One frame that waits for its answer."""

    __slots__ = ("branch", "message", "number")

    def __init__(self, branch: "Branch", message: Message, number: int) -> None:
        self.branch, self.message, self.number = branch, message, number

    def answer(self, outcome: Outcome, flight: Flight | None) -> None:  # noqa: ARG002 - of no use here
        """Write the reply."""
        network, recorder = self.branch.network, self.branch.recorder
        response = network.responder.respond(self.message, outcome.reply)
        data = network.codec.encode(response)
        if recorder is not None:
            recorder.answered(self.number, "visa-like", self.message, outcome, "sent", response, data)


class Branch:
    """Everything between a frame and its answer but the sockets."""

    def __init__(self, order: TraceOrder | None) -> None:
        policy = (ROOT / "examples" / "stand-in.toml").read_text()
        self.clock, self.disk, self.hsm, tokens = SystemClock(), Disk(), Hsm(), Tokens(SECRET)
        profile = load_profile("visa-like")
        self.network = Network(profile, tokens)
        state = State()
        terms = Terms(parse_policy(policy, "policy"), Identity(SECRET), frozenset({"visa-like"}))
        core = Core(state, terms, self.disk.append)
        self.desk = Desk(core, self.hsm, self.disk, self.clock, Limits(10**6, 10**9))
        for line in draft_cards(CARDS, 1)[0]:
            token = tokens.token(Pan(line.pan))
            card = Card(token, "", f"account:{token}", line.expiry, "201", "1234", "1", "001", 3, 3)
            core.execute(IssueCard(card, Money(10**12, "840"), 0), self.clock.wall_ms())
        self.recorder: Recorder | None = None
        if order is not None:
            recorder = Recorder(order, SECRET, Log(self.clock, out=io.StringIO()))
            recorder.begin(state, began_ms=self.clock.wall_ms(), policy=policy, profiles=[profile])
            self.recorder = core.witness = self.desk.witness = recorder
            self.disk.witness = recorder.durable

    def handle(self, frame: bytes) -> None:
        """What a link does with a frame."""
        network, now_ms, number = self.network, self.clock.wall_ms(), 0
        message = network.codec.decode(frame)
        question = network.recogniser.recognise(message, now_ms)
        if self.recorder is not None:
            number = self.recorder.arrived(1, "visa-like", now_ms, frame, message, question.request)
        waiting = Waiting(self, message, number)
        self.desk.admit(question.request, question.evidence, waiting, now_ms, 60.0)  # type: ignore[arg-type]


def frames(count: int) -> list[bytes]:
    """Requests with CVV in all, PIN in 40 of 100."""
    chance, codec = random.Random(1), Network(load_profile("visa-like"), Tokens(SECRET)).codec
    cards = [line for line in draft_cards(CARDS, 1)[0] if line.pan.startswith("4")]
    header = Base1Header("400000", "112233", 7).pack()
    found = []
    for number in range(count):
        line = chance.choice(cards)
        elements = {
            2: line.pan, 3: "000000", 4: f"{chance.randrange(100, 9999):012}", 7: "1121101530",
            11: f"{number % 10**6:06}", 14: line.expiry, 18: "5411", 19: "840", 22: "0120", 25: "59",
            32: "432109", 37: f"{number:012}", 41: "TERM0001", 42: "MERCHANT0000001",
            43: "SOME SHOP                WHERE EVER   US", 49: "840",
            62: CUSTOM_PAYMENT_SERVICE.build({2: f"4{number:014}"}), 126: PRIVATE_USE.build({10: "11 919"}),
        }  # fmt: skip
        if chance.random() < 0.4:
            elements |= {52: "8F3A6BD2C4E1975D", 53: "2001010100000000"}
        found.append(codec.encode(Message(header, "0100", elements)))
    return found


def cost(order: TraceOrder | None, asked: list[bytes], unloaded_s: float) -> tuple[float, float]:
    """Microseconds of the loop's thread and of all there is, per authorization.

    ``unloaded_s`` is what the writer's process takes without any notes.
    """
    branch = Branch(order)
    loop = time.thread_time()
    for start in range(0, len(asked), BATCH):
        for frame in asked[start : start + BATCH]:
            branch.handle(frame)
        branch.hsm.answer()
        branch.desk.settle()
    loop = time.thread_time() - loop
    writer = end(branch.recorder) - unloaded_s if branch.recorder is not None else 0.0
    return 1e6 * loop / len(asked), 1e6 * (loop + writer) / len(asked)


def end(recorder: Recorder) -> float:
    """End a recording: the processor time that its process took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    recorder.close()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def unloaded_s(order: TraceOrder) -> float:
    """What a recording of nothing takes."""
    recorder = Branch(order).recorder
    assert recorder is not None, "there is an order"
    return end(recorder)


def rate(path: Path) -> tuple[float, int]:
    """Frames replayed in a second, and how many answers differed."""
    began, pairs, different = time.perf_counter(), 0, 0
    with Trace.open(path) as trace:
        for pair in replay(trace):
            pairs += 1
            different += pair.expected != pair.got
    return pairs / (time.perf_counter() - began), different


def main() -> None:
    """Print both costs."""
    asked = frames(int(sys.argv[1]) if len(sys.argv) > 1 else FRAMES)
    with tempfile.TemporaryDirectory() as folder:
        kinds = {"no trace": (), "scrubbed": (), "raw": ("400000", "520000")}
        costs: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
        nothing_s = unloaded_s(TraceOrder(Path(folder) / "nothing"))
        for turn in range(ROUNDS):
            for kind, test_bins in kinds.items():
                path = Path(folder) / f"{kind}.{turn}"
                order = None if kind == "no trace" else TraceOrder(path, test_bins)
                costs[kind].append(cost(order, asked, nothing_s))
        print(f"{len(asked):,} authorizations, least of {ROUNDS} rounds")
        bare = [min(values) for values in zip(*costs["no trace"], strict=True)]
        for kind, rounds in costs.items():
            loop, everything = (min(values) for values in zip(*rounds, strict=True))
            line = f"{kind:9} loop {loop:6.1f} µs  all {everything:6.1f} µs"
            if kind != "no trace":
                size = (Path(folder) / f"{kind}.0").stat().st_size / len(asked)
                line += f"  recording: loop +{loop - bare[0]:.1f} µs, all +{everything - bare[1]:.1f} µs"
                line += f", {size:,.0f} bytes"
            print(line)
        for kind in ("scrubbed", "raw"):
            best, different = max(rate(Path(folder) / f"{kind}.{turn}") for turn in range(ROUNDS))
            print(f"replay    {kind}: {best:,.0f} frames/s, {different} differ")


if __name__ == "__main__":
    main()
