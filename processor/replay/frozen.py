"""A trace run again: the same desk, core, recogniser, responder and codec, behind frozen doors.

A scrubbed trace has messages, so of the codec only the writing of replies is run; a raw one has it read too.
Nothing of the machine, the state folder or the clock is looked at, so a trace gives the same answers wherever
and whenever it is replayed; what differs was changed on purpose: another policy, or other code.
"""

from collections.abc import Iterator

import msgspec

from processor.core.desk import Desk, Flight, Limits
from processor.core.executor import LOGIC, Core
from processor.core.terms import Terms
from processor.iso8583.codec import Codec
from processor.iso8583.compiled import CompiledCodec
from processor.iso8583.message import Message
from processor.networks.adapters import DIALECTS
from processor.networks.profile import Profile, load_profile
from processor.networks.recognise import Recogniser
from processor.networks.respond import Responder, wants_answer
from processor.replay.doors import Doors, FrozenIdentity, FrozenTokens
from processor.replay.opening import StartError, add, opening
from processor.replay.trace import (
    Administered,
    Arrived,
    Durable,
    Event,
    Header,
    Item,
    Lapsed,
    Lost,
    Sent,
    Start,
    Verified,
)
from processor.replay.trace_file import Trace
from processor.values.commands import Record, Sign
from processor.values.errors import ConfigError, DecodeError, Unsupported
from processor.values.facts import Facts
from processor.values.outcome import Outcome, Reply, Verdict
from processor.values.reasons import Reason
from processor.values.requests import Authorization, NetworkManagement, Signal
from processor.values.sensitive import Tokens
from rules.policy import Policy, parse_policy

_UNLIMITED = Limits(in_flight_max=1 << 62, transactions_max=1 << 62)  # what was shed, the trace says
_ACCEPTED = Outcome(0, Reply(Reason.ACCEPTED))
_SIGNS = frozenset((Signal.SIGN_ON, Signal.SIGN_OFF))
_ADVICE = "2"  # the function digit of a message of our peer's that wants no answer, if it is about the link


class Pair(msgspec.Struct, frozen=True):
    """Frame ``n`` of the trace with both replies to it, each None where nothing is said.

    ``line`` is that of the recorded answer. ``refused`` are the verdicts that declined when it was recorded,
    ``outcome`` the decision behind ``got``: None where none was made (a format error), without verdicts
    where a stored answer was given again.
    """

    n: int
    line: int
    link: int
    network: str
    asked: Message
    expected: Message | None
    got: Message | None
    refused: tuple[Verdict, ...]
    outcome: Outcome | None


def replay(trace: Trace, policy: Policy | None = None, *, other_logic: bool = False) -> Iterator[Pair]:
    """Run the trace again, under another policy if one is given; a pair for every recorded answer, in order.

    What was not answered when it was recorded, because its link was gone or recording had ended, has none.

    Raises:
        TraceError: the trace is of another version of the logic and ``other_logic`` is not set, or has a
            network or a policy that this version cannot use; or it is not as it was recorded, or not whole
            (see ``Trace``). What else is raised is a fault of the code that is run again; its note says in
            which line.
    """
    header = trace.header
    if header.logic != LOGIC and not other_logic:
        raise trace.error(
            1,
            f"recorded by logic version {header.logic}, and this is {LOGIC}: "
            "answers may differ for no other reason; say so if that is what you want to see",
        )
    try:
        rules = policy or parse_policy(header.policy, "the trace's policy")
        run = _Run(header, rules)
    except ConfigError as error:
        raise trace.error(1, "; ".join(error.problems)) from None
    for line, item in trace.items():
        try:
            pair = run.replayed(line, item)
        except StartError as contradiction:
            raise trace.error(line, str(contradiction)) from None
        except Exception as fault:
            fault.add_note(f"while line {line} of the trace was replayed")
            raise
        if pair is not None:
            yield pair


class _Network:
    """One network of the trace: today's profile of its name where there is one, else the recorded one."""

    def __init__(self, recorded: Profile, tokens: Tokens) -> None:
        try:
            profile = load_profile(recorded.name)
        except ConfigError:
            profile = recorded
        if profile.dialect not in DIALECTS:
            raise ConfigError([f"network {profile.name}: its dialect {profile.dialect} is not known here"])
        self.profile = profile
        self._dialect = dialect = DIALECTS[profile.dialect]
        self.header_bytes = dialect.header.length_bytes
        self.codec: Codec = CompiledCodec(dialect)
        self.recogniser = Recogniser(profile, tokens)
        self.responder = Responder(profile)
        self.budget_s = profile.timers.answer_ms / 1000

    def check(self, asked: Message) -> None:
        """As the codec would; DecodeError if it could not have read such a message."""
        accepts = self._dialect.accepts
        for number, value in asked.elements.items():
            if number not in accepts or not accepts[number](value):
                rule = self._dialect.rules.get(number, "no such element")
                others = {n: v for n, v in asked.elements.items() if n in accepts and accepts[n](v)}
                raise DecodeError(number, rule, mti=asked.mti, partial=others)

    def read(self, data: bytes) -> Message:
        """A recorded reply, as far as today's codec can read it."""
        try:
            return self.codec.decode(data)
        except DecodeError as error:
            return Message(data[: self.header_bytes], error.mti, error.partial)

    def reply(self, asked: Message, reply: Reply, in_error: int = 0) -> tuple[Message | None, bytes]:
        """The reply as it would leave, and its bytes; None where nothing would."""
        if reply.reason is Reason.LATE and self.profile.timers.late == "silence":
            return None, b""
        try:
            response = self.responder.respond(asked, reply, in_error)
            return response, self.codec.encode(response)
        except (DecodeError, ValueError):  # what was asked cannot be echoed
            return None, b""


class _Frame:
    """A frame of the trace that was not answered yet when it was recorded; an Asker of the desk.

    ``told`` are its elements in the trace; ``asked`` is what today's code made of it, perhaps less.
    """

    __slots__ = ("asked", "data", "got", "key", "link", "network", "outcome", "replied", "told")

    def __init__(self, network: _Network, link: int, asked: Message) -> None:
        self.network = network
        self.link = link
        self.asked = asked
        self.told = asked.elements
        self.key = ""
        self.got: Message | None = None
        self.data = b""
        self.outcome: Outcome | None = None
        self.replied = False

    def answer(self, outcome: Outcome, flight: Flight | None) -> None:  # noqa: ARG002 - as a link, without a link
        self.outcome = outcome
        self.reply(outcome.reply)

    def reply(self, reply: Reply, in_error: int = 0) -> None:
        self.replied = True
        self.got, self.data = self.network.reply(self.asked, reply, in_error)


class _Run:
    """One replay: what a link, the sweep, the HSM and the disk did, done again."""

    def __init__(self, header: Header, policy: Policy) -> None:
        secret = bytes.fromhex(header.secret)
        self._raw = header.kind == "raw"
        self._tokens = FrozenTokens(secret)
        self._networks = {p.name: _Network(p, self._tokens) for p in header.profiles}
        self._state = opening(header)
        identity = FrozenIdentity(secret)
        accepting = frozenset(
            name for name, n in self._networks.items() if n.profile.before_sign_on == "accept"
        )
        self._core = Core(self._state, Terms(policy, identity, accepting), _nowhere)
        self._doors = Doors(self._state, identity)
        self._desk = Desk(self._core, self._doors, self._doors, self._doors, _UNLIMITED)
        self._frames: dict[int, _Frame] = {}

    def replayed(self, line: int, item: Item) -> Pair | None:
        """Do what the line tells; of an answer, both replies, unless its link was gone."""
        match item:
            case Start():
                self._tokens.by_pan.update(item.pans)
                add(self._state, item)
            case Sent():
                pair = self._pair(line, item) if item.what != "gone" else None
                self._forget(item.n)
                return pair
            case Lost():
                pass  # what was noted before it counts
            case _:
                self._happen(item)
        return None

    def _happen(self, event: Event) -> None:
        """An event."""
        doors = self._doors
        doors.begin(event)
        match event:
            case Arrived():
                self._arrive(event)
            case Verified():
                doors.verified(event.n, Facts(event.cvv, event.pin, event.card_version))
            case Lapsed():
                self._lapse(event.n)
            case Durable():
                for number in event.late:
                    self._lapse(number)
                doors.release(event.sequence)
            case Administered():
                self._core.execute(event.command, doors.wall_ms())

    def _pair(self, line: int, sent: Sent) -> Pair:
        """Both replies to a frame."""
        frame = self._frames[sent.n]
        if not frame.replied:
            self._doors.give_up(sent.n)
        expected, got = (
            self._both_as_written(frame, sent) if self._raw else (self._expected(frame, sent), frame.got)
        )
        return Pair(
            sent.n,
            line,
            frame.link,
            frame.network.profile.name,
            frame.asked,
            expected,
            got,
            sent.refusals,
            frame.outcome,
        )

    def _forget(self, number: int) -> None:
        """A frame was answered."""
        self._frames.pop(number, None)
        self._doors.forget(number)

    def _expected(self, frame: _Frame, sent: Sent) -> Message | None:
        if sent.what != "sent":
            return None
        echoed = {number: frame.told[number] for number in sent.echo}
        return Message(bytes.fromhex(sent.header), sent.mti, echoed | sent.elements)

    def _both_as_written(self, frame: _Frame, sent: Sent) -> tuple[Message | None, Message | None]:
        """Both replies as their peer reads them; equal bytes need no reading."""
        recorded, read = bytes.fromhex(sent.hex), frame.network.read
        if recorded == frame.data:
            return frame.got, frame.got
        return read(recorded) if recorded else None, read(frame.data) if frame.data else None

    def _arrive(self, event: Arrived) -> None:
        """As a link handles a frame: decode, recognise, and admit or answer."""
        network = self._networks[event.network]
        data = bytes.fromhex(event.hex)
        asked = Message(bytes.fromhex(event.header), event.mti, event.elements)
        frame = self._frames[event.n] = _Frame(network, event.link, asked)
        if event.refused is not None:
            self._refuse(event.n, event.refused.reason, event.refused.element)
            return
        try:
            if self._raw:
                frame.asked = network.codec.decode(data)
            else:
                network.check(asked)
            question = network.recogniser.recognise(frame.asked, event.ms)
        except DecodeError as error:
            frame.asked = Message(data[: network.header_bytes] or asked.header, error.mti, error.partial)
            self._refuse(event.n, Reason.FORMAT_ERROR, error.element)
            return
        except Unsupported as error:
            frame.asked = Message(frame.asked.header, error.mti, error.elements)
            self._refuse(event.n, Reason.UNSUPPORTED_TRANSACTION)
            return
        request = question.request
        if isinstance(request, NetworkManagement):
            self._manage(event.n, request, event.ms)
            return
        frame.key = request.key
        if question.evidence is not None:
            self._doors.expect(event.n, question.evidence)
        budget_s = network.budget_s if isinstance(request, Authorization) else None
        self._doors.low_space = event.shed
        self._desk.admit(request, question.evidence, frame, event.ms, budget_s)
        self._doors.low_space = False

    def _refuse(self, number: int, reason: Reason, element: int = 0) -> None:
        frame = self._frames[number]
        if wants_answer(frame.asked.mti):
            frame.reply(Reply(reason), element)

    def _manage(self, number: int, request: NetworkManagement, ms: int) -> None:
        frame = self._frames[number]
        if request.signal in _SIGNS:
            sign = Sign(request.network, request.signal is Signal.SIGN_ON, ms)
            outcome = self._core.execute(sign, self._doors.wall_ms())
            self._doors.when_durable(outcome.sequence, lambda: frame.answer(_ACCEPTED, None))
        elif request.mti[2] != _ADVICE:
            frame.answer(_ACCEPTED, None)

    def _lapse(self, number: int) -> None:
        if (frame := self._frames.get(number)) is not None and frame.key:
            self._desk.lapse(frame.key)


def _nowhere(record: Record) -> None:
    """Records are not kept."""
