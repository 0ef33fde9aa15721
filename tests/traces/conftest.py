"""A processor without sockets, threads of its own or real time, whose recorder is the real one."""

import os
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from processor.book.state import State
from processor.core.desk import Desk, Flight, Limits
from processor.core.executor import Core
from processor.core.identity import Identity
from processor.core.terms import Terms
from processor.iso8583.codec import PyisoCodec
from processor.iso8583.header import Base1Header
from processor.iso8583.message import Message
from processor.iso8583.tables.mc_like import ADDITIONAL_DATA
from processor.iso8583.tables.visa_like import CUSTOM_PAYMENT_SERVICE, NETWORK_PRIVATE_USE, PRIVATE_USE
from processor.networks.adapters import DIALECTS
from processor.networks.profile import load_profile
from processor.networks.recognise import Recogniser
from processor.networks.respond import Responder, wants_answer
from processor.services.log import Lines, Log
from processor.services.recorder import Recorder, TraceOrder
from processor.services.trace_feed import Writer
from processor.services.trace_writer import TraceFile, write
from processor.values.cards import Card
from processor.values.clock import DAY_MS
from processor.values.commands import ExpireHolds, IssueCard, Record, Sign
from processor.values.errors import DecodeError, Unsupported
from processor.values.facts import Check, Facts
from processor.values.money import Money
from processor.values.outcome import Outcome, Reply
from processor.values.reasons import Reason
from processor.values.requests import Authorization, NetworkManagement, Signal
from processor.values.sensitive import Evidence, Pan, Tokens
from rules.policy import parse_policy
from simulators.cards import luhn_digit

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NOW_MS = 1_795_000_000_000  # 2026-11-18
SECRET = bytes(range(32))
BINS = {"visa-like": "400000", "mc-like": "520000", "iso87-ascii": "400000"}
EXPIRY, CVV, CVV2, PIN_BLOCK = "2912", "737", "919", "8F3A6BD2C4E1975D"
_VERDICTS = (Check.PASSED,) * 5 + (Check.FAILED, Check.NO_ANSWER)

Elements = dict[int, str]


class Clock:
    """Time as the test sets it."""

    now_ms = NOW_MS
    now_s = 1000.0

    def wall_ms(self) -> int:
        return self.now_ms

    def monotonic_s(self) -> float:
        return self.now_s

    def advance(self, ms: int) -> None:
        self.now_ms += ms
        self.now_s += ms / 1000


class Hsm:
    """Keeps its questions until it is told to answer one."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.asked: list[tuple[Card, bool, bool, Callable[[Facts], None]]] = []
        self.reachable = True

    def verify(
        self, evidence: Evidence, card: Card, *, cvv: bool, pin: bool, done: Callable[[Facts], None]
    ) -> Facts | None:
        if not self.reachable:
            silent = Check.NO_ANSWER
            return Facts(silent if cvv else Check.NOT_ASKED, silent if pin else Check.NOT_ASKED, card.version)
        self.asked.append((card, cvv, pin, done))
        return None

    def answer(self) -> None:
        """One of the questions, any."""
        if self.asked:
            card, cvv, pin, done = self.asked.pop(self._rng.randrange(len(self.asked)))
            verdicts = [self._rng.choice(_VERDICTS) if wanted else Check.NOT_ASKED for wanted in (cvv, pin)]
            done(Facts(*verdicts, card.version))


class Disk:
    """Keeps records; ``sync`` makes durable what was flushed, as the journal's writer does."""

    def __init__(self) -> None:
        self.appended = self.flushed = 0
        self.waiting: list[tuple[int, Callable[[], None]]] = []
        self.low_space = False
        self.witness: Callable[[int], None] | None = None

    def append(self, record: Record) -> None:
        self.appended = record.sequence

    def flush(self) -> None:
        self.flushed = self.appended

    def when_durable(self, sequence: int, done: Callable[[], None]) -> None:
        self.waiting.append((sequence, done))

    def sync(self) -> None:
        last = self.flushed
        if self.witness is not None:
            self.witness(last)
        while self.waiting and self.waiting[0][0] <= last:
            self.waiting.pop(0)[1]()


def start_thread(file: int, held_back: threading.Event | None) -> Writer:
    """The writer of a trace, in a thread in place of a process of its own; it begins when it may."""
    source, notes = os.pipe()
    word, sink = os.pipe()
    trace = TraceFile(os.dup(file))

    def run() -> None:
        if held_back is not None:
            held_back.wait()
        with os.fdopen(source, "rb") as reader, os.fdopen(sink, "w") as said:
            said.write(write(reader, trace))

    thread = threading.Thread(target=run)
    thread.start()

    def wait(timeout_s: float) -> int:
        thread.join(timeout_s)
        return 0

    return Writer(notes, word, wait, lambda: None)


class Waiting:
    """A frame that waits for its answer."""

    def __init__(self, branch: "Branch", network: str, message: Message, number: int) -> None:
        self._branch, self._network, self._message, self._number = branch, network, message, number

    def answer(self, outcome: Outcome, flight: Flight | None) -> None:
        self._branch.reply(self._network, self._message, outcome, self._number)


class Branch:
    """Desk, core and networks with everything around them; ``handle`` does with a frame what a link does."""

    def __init__(self, rng: random.Random, network: str, policy: Mapping[str, str]) -> None:
        self.rng = rng
        self.network = network
        self.clock, self.hsm, self.disk = Clock(), Hsm(rng), Disk()
        self.state = State()
        self.policy = (EXAMPLES / "stand-in.toml").read_text()
        for old, new in {"max_count = 10_000": "max_count = 8", **policy}.items():
            self.policy = self.policy.replace(old, new)
        self.tokens = Tokens(SECRET)
        self.profile = load_profile(network)
        self.codec = PyisoCodec(DIALECTS[self.profile.dialect])
        self.recogniser, self.responder = Recogniser(self.profile, self.tokens), Responder(self.profile)
        terms = Terms(parse_policy(self.policy, "policy"), Identity(SECRET), frozenset({network}))
        self.core = Core(self.state, terms, self.disk.append)
        self.desk = Desk(
            self.core, self.hsm, self.disk, self.clock, Limits(in_flight_max=12, transactions_max=10**6)
        )
        self.recorder: Recorder | None = None
        self.held_back: threading.Event | None = None  # of the trace's writer
        self.start: Callable[[int], Writer] = self._start_thread
        self.pin_block, self.cvv, self.secret = PIN_BLOCK, CVV, SECRET
        self.cvv2_element = str(cvv2(network).get(126) or cvv2(network).get(48, CVV2 * 9))
        self.replies: list[Message] = []
        self.answers = 0  # while recording
        self.pans = [_pan(BINS[network], number) for number in range(6)]
        self.balances: list[int] = []
        for pan in self.pans[:-1]:  # the last one is nobody's
            self._issue(pan)

    def record(
        self, path: Path, test_bins: tuple[str, ...] = (), log: Lines | None = None, *, journal_bytes: int = 0
    ) -> Recorder:
        """Record from here on."""
        recorder = self.recorder_for(path, test_bins, log, journal_bytes)
        recorder.begin(self.state, began_ms=self.clock.now_ms, policy=self.policy, profiles=[self.profile])
        self.recorder = self.core.witness = self.desk.witness = recorder
        self.disk.witness = recorder.durable
        return recorder

    def recorder_for(
        self, path: Path, test_bins: tuple[str, ...], log: Lines | None = None, journal_bytes: int = 0
    ) -> Recorder:
        """A recorder that has not begun; the journal would be beside the trace."""
        lines = Log(self.clock, out=log or _Nowhere())
        order = TraceOrder(path, test_bins, path.parent, journal_bytes)
        return Recorder(order, SECRET, lines, self.start)

    def handle(self, frame: bytes, link: int = 1) -> None:
        """Decode, recognise, and admit or answer."""
        recorder, now_ms, number = self.recorder, self.clock.now_ms, 0
        try:
            message = self.codec.decode(frame)
            question = self.recogniser.recognise(message, now_ms)
        except (DecodeError, Unsupported) as error:
            self._refuse(frame, link, error)
            return
        if recorder is not None:
            number = recorder.arrived(link, self.network, now_ms, frame, message, question.request)
        request = question.request
        if isinstance(request, NetworkManagement):
            self._manage(request, message, number)
            return
        budget_s = 6.0 if isinstance(request, Authorization) else None
        waiting = Waiting(self, self.network, message, number)
        self.desk.admit(request, question.evidence, waiting, now_ms, budget_s)

    def reply(self, network: str, asked: Message, outcome: Outcome, number: int, in_error: int = 0) -> None:
        self.answers += self.recorder is not None and number > 0
        if outcome.reply.reason is Reason.LATE and self.profile.timers.late == "silence":
            self._tell(number, asked, outcome, "silence")
            return
        try:
            response = self.responder.respond(asked, outcome.reply, in_error)
            data = self.codec.encode(response)
        except (DecodeError, ValueError):
            self._tell(number, asked, outcome, "unwritable")
            return
        self.replies.append(response)
        if self.recorder is not None and number:
            self.recorder.answered(number, network, asked, outcome, "sent", response, data)

    def frame(self, mti: str, elements: Elements) -> bytes:
        """A frame of this network."""
        header = Base1Header("400000", "112233", 7).pack() if self.network == "visa-like" else b""
        return self.codec.encode(Message(header, mti, elements))

    def finish(self) -> None:
        """Let everything in flight come to its answer."""
        while self.hsm.asked or self.desk.in_flight:
            self.hsm.answer()
            self.desk.settle()
            self.disk.sync()

    def keep_house(self) -> None:
        """Release holds that nobody asked about."""
        if self.state.due_holds(self.clock.now_ms, 1):
            self.core.execute(ExpireHolds(1000, self.clock.now_ms), self.clock.now_ms)

    def _start_thread(self, file: int) -> Writer:
        return start_thread(file, self.held_back)

    def _tell(self, number: int, asked: Message, outcome: Outcome, fate: str) -> None:
        if self.recorder is not None and number:
            self.recorder.answered(number, self.network, asked, outcome, fate)

    def _refuse(self, frame: bytes, link: int, error: DecodeError | Unsupported) -> None:
        partial = error.partial if isinstance(error, DecodeError) else error.elements
        header = frame[: DIALECTS[self.profile.dialect].header.length_bytes]
        asked, number = Message(header, error.mti, partial), 0
        if self.recorder is not None:
            number = self.recorder.refused(link, self.network, self.clock.now_ms, frame, asked, error)
        if wants_answer(error.mti):
            decode = isinstance(error, DecodeError)
            reason = Reason.FORMAT_ERROR if decode else Reason.UNSUPPORTED_TRANSACTION
            element = error.element if isinstance(error, DecodeError) else 0
            self.reply(self.network, asked, Outcome(0, Reply(reason)), number, element)

    def _manage(self, request: NetworkManagement, message: Message, number: int) -> None:
        accepted = Outcome(0, Reply(Reason.ACCEPTED))
        if request.signal in {Signal.SIGN_ON, Signal.SIGN_OFF}:
            sign = Sign(self.network, request.signal is Signal.SIGN_ON, self.clock.now_ms)
            outcome = self.core.execute(sign, self.clock.now_ms)
            self.disk.when_durable(
                outcome.sequence, lambda: self.reply(self.network, message, accepted, number)
            )
        else:
            self.reply(self.network, message, accepted, number)

    def _issue(self, pan: str) -> None:
        token = self.tokens.token(Pan(pan))
        card = Card(token, Pan(pan).masked(), f"account:{token}", EXPIRY, "201", "1234", "1", "01", 3, 3)
        minor = self.rng.choice((5_000, 300_000, 2_000_000))
        self.balances.append(minor)
        self.core.execute(IssueCard(card, Money(minor, "840"), NOW_MS), NOW_MS)


class Crowd:
    """Says things to a branch: new questions, and ones about earlier ones, well made and badly."""

    def __init__(self, branch: Branch) -> None:
        self._branch = branch
        self._rng = branch.rng
        self._stan = 0
        self.said: list[tuple[str, Elements]] = []

    def step(self) -> None:
        """One thing happens."""
        rng, branch = self._rng, self._branch
        doings: list[tuple[float, Callable[[], None]]] = [
            (10, self._ask),
            (5, self._repeat),
            (4, self._reverse),
            (4, self._advise),
            (1.5, self._manage),
            (1.5, self._garble),
            (14, branch.hsm.answer),
            (8, self._sync),
            (6, lambda: branch.clock.advance(rng.randrange(1500))),
            (0.3, lambda: branch.clock.advance(rng.randrange(9) * DAY_MS)),
            (3, branch.desk.sweep),
            (2, branch.keep_house),
            (1, self._toggle_hsm),
            (0.4, self._toggle_space),
        ]
        _, doing = zip(*doings, strict=True)
        rng.choices(doing, [weight for weight, _ in doings])[0]()
        if rng.random() < 0.7:
            branch.desk.settle()

    def swipe(self, pan: str) -> None:
        """A purchase with a stripe, which the HSM must look at."""
        elements = purchase(self._branch.network, pan, self._next_stan(), 100)
        self._say("0100", elements | {22: "9010", 35: track_2(self._branch.network, pan)})

    def buy(self, pan: str = "", minor: int = 0) -> None:
        """A purchase by a card on file, answered at once."""
        pan = pan or self._rng.choice(self._branch.pans[:-1])
        minor = minor or self._rng.randrange(1, 120_000)
        self._say("0100", purchase(self._branch.network, pan, self._next_stan(), minor))
        self._sync()

    def _sync(self) -> None:
        self._branch.desk.settle()
        self._branch.disk.sync()

    def _toggle_hsm(self) -> None:
        self._branch.hsm.reachable = self._rng.random() < 0.8

    def _toggle_space(self) -> None:
        self._branch.disk.low_space = self._rng.random() < 0.1

    def _say(self, mti: str, elements: Elements) -> None:
        self.said.append((mti, elements))
        self._branch.handle(self._branch.frame(mti, elements), link=self._rng.randrange(1, 3))

    def _next_stan(self) -> str:
        self._stan += 1
        return f"{self._stan:06}"

    def _ask(self) -> None:
        rng, network = self._rng, self._branch.network
        elements = purchase(
            network, rng.choice(self._branch.pans), self._next_stan(), rng.randrange(1, 120_000)
        )
        way = rng.random()
        if way < 0.3:
            elements |= {22: entry("011", network), 52: PIN_BLOCK, 53: "2001010100000000"} | cvv2(network)
        elif way < 0.6:
            elements |= {22: entry("901", network), 35: track_2(network, elements[2])}
        if rng.random() < 0.1:
            elements[3] = rng.choice(("200000", "300000", "010000", "990000"))
        self._say(rng.choice(("0100", "0100", "0200")), elements)

    def _earlier(self, *kinds: str) -> tuple[str, Elements] | None:
        found = [asked for asked in self.said[-40:] if asked[0][:3] in kinds]
        return self._rng.choice(found) if found else None

    def _repeat(self) -> None:
        if (earlier := self._earlier("010", "020", "012", "022", "040", "042")) is not None:
            mti, elements = earlier
            if self._rng.random() < 0.2:
                elements = elements | {4: "000000000777"}
            self._say(mti[:3] + self._rng.choice("01"), elements)

    def _about(self) -> Elements:
        """An earlier question's elements as a later message names them; or of one that never came."""
        rng, network = self._rng, self._branch.network
        earlier = self._earlier("010", "020", "022")
        if earlier is None or rng.random() < 0.25:
            unseen = purchase(network, rng.choice(self._branch.pans), self._next_stan(), 4200)
            mti, elements = "0100", unseen
            self._later = (mti, unseen)
        else:
            mti, elements = earlier
        kept = {n: v for n, v in elements.items() if n in {2, 3, 4, 7, 11, 32, 37, 49, 62, 63, 15}}
        if network == "mc-like":
            kept[48] = ADDITIONAL_DATA.build({0: "T", 63: f"{elements[63][:9]:9}{elements[15]}  "})
            kept[63] = "MCC000000"
        codes = [
            r.elements[38]
            for r in self._branch.replies
            if 38 in r.elements and r.elements.get(37) == elements[37]
        ]
        if codes and rng.random() < 0.7:
            kept[38] = codes[-1]
        if rng.random() < 0.7:
            kept[90] = f"{mti}{elements[11]}{elements[7]}{elements[32]:0>11}{0:011}"
        return kept

    def _reverse(self) -> None:
        rng, network = self._rng, self._branch.network
        elements = self._about() | {39: "82"}
        if rng.random() < 0.3:
            elements[95] = f"{rng.randrange(int(elements[4]) + 500):012}".ljust(42, "0")
        if network == "visa-like":
            del elements[39]
            elements[63] = NETWORK_PRIVATE_USE.build({1: "0002", 4: rng.choice(("9103", "9102"))})
        self._say(rng.choice(("0400", "0420")), elements)
        self._maybe_late_original()

    def _advise(self) -> None:
        rng = self._rng
        elements = (
            {38: f"ST{rng.randrange(10_000):04}"} | self._about() | {39: rng.choice(("00", "00", "05"))}
        )
        elements[11] = self._next_stan()
        if self._branch.network == "mc-like":
            elements[60] = "115"
        self._say(rng.choice(("0120", "0220")), elements)
        self._maybe_late_original()

    def _maybe_late_original(self) -> None:
        later = getattr(self, "_later", None)
        if later is not None and self._rng.random() < 0.5:
            self._say(*later)
        self._later = None

    def _manage(self) -> None:
        signal = {"visa-like": ("071", "072", "301"), "mc-like": ("061", "062", "270")}.get(
            self._branch.network, ("001", "002", "301")
        )
        code = self._rng.choices(signal, (7, 1, 2))[0]
        self._say("0800", {7: "1118120000", 11: self._next_stan(), 70: code})

    def _garble(self) -> None:
        rng, branch = self._rng, self._branch
        elements = purchase(branch.network, rng.choice(branch.pans), self._next_stan(), 100)
        kind = rng.randrange(4)
        if kind == 0:
            del elements[4]
        if kind == 1:
            elements[35] = track_2(branch.network, _pan(BINS[branch.network], 77))
        frame = branch.frame("0302" if kind == 2 else "0100", elements)
        branch.handle(frame[:-3] if kind == 3 else frame)


def purchase(network: str, pan: str, stan: str, minor: int) -> Elements:
    """The elements of a purchase without anything to verify."""
    elements = {
        2: pan,
        3: "000000",
        4: f"{minor:012}",
        7: f"1118{int(stan) // 3600:02}{int(stan) // 60 % 60:02}{int(stan) % 60:02}",
        11: stan,
        14: EXPIRY,
        22: entry("010", network),
        32: "432109",
        37: f"RRN{stan}000",
        41: "TERM0001",
        42: "MERCHANT0000001",
        43: "SOME SHOP                WHERE EVER   US",
        49: "840",
    }
    if network == "visa-like":
        elements[62] = CUSTOM_PAYMENT_SERVICE.build({2: f"4{stan}00000000"})
    if network == "mc-like":
        elements |= {15: "1118", 48: "T", 63: f"MCC{stan}"}
    return elements


def entry(mode: str, network: str) -> str:
    """DE 22, which has a filler in some networks."""
    return mode + "0" if network == "visa-like" else mode


def cvv2(network: str) -> Elements:
    """Where the CVV2 stands."""
    if network == "visa-like":
        return {126: PRIVATE_USE.build({10: f"11 {CVV2}"})}
    return {48: ADDITIONAL_DATA.build({0: "T", 92: CVV2})} if network == "mc-like" else {}


def track_2(network: str, pan: str) -> str:
    """DE 35 with a PVV and a CVV."""
    return f"{pan}{'=' if network == 'iso87-ascii' else 'D'}{EXPIRY}20115678{CVV}"


def _pan(bin_digits: str, number: int) -> str:
    body = f"{bin_digits}{730_000_000 + number * 7_919_113:09}"
    return body + luhn_digit(body)


class _Nowhere:
    def write(self, text: str) -> None:
        """Nobody reads it."""

    def flush(self) -> None:
        """Nothing waits."""


@pytest.fixture
def crowded() -> Callable[..., tuple[Branch, Crowd]]:
    """Makes a branch with its crowd, from a seed."""

    def make(
        seed: int, network: str = "visa-like", policy: Mapping[str, str] | None = None
    ) -> tuple[Branch, Crowd]:
        branch = Branch(random.Random(seed), network, policy or {})
        return branch, Crowd(branch)

    return make


@pytest.fixture
def recorded(
    tmp_path: Path, crowded: Callable[..., tuple[Branch, Crowd]]
) -> Iterator[Callable[..., tuple[Path, Branch]]]:
    """Makes a trace of ``steps`` things that happened, after others that were not recorded."""
    recorders: list[Recorder] = []

    def make(
        seed: int, network: str = "visa-like", *, steps: int = 600, raw: bool = False, before: int = 300
    ) -> tuple[Path, Branch]:
        branch, crowd = crowded(seed, network)
        for _ in range(before):
            crowd.step()
        branch.finish()
        path = tmp_path / f"{network}-{seed}.trace"
        recorder = branch.record(path, (BINS[network],) if raw else ())
        recorders.append(recorder)
        for _ in range(steps):
            crowd.step()
        branch.finish()
        recorder.close()
        return path, branch

    yield make
    for recorder in recorders:
        recorder.close()
