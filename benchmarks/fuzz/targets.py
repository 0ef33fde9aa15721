"""What is fed: each target takes bytes, as the processor would, and may raise nothing but a PeerError inside.

A target answers whether the bytes reached the field decoder. Whatever else escapes it is a finding, and so is
a claim of ours that does not hold (``AssertionError``).
"""

import math
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from material import Material
from oracle import differs

from processor.iso8583.codec import PyisoCodec
from processor.iso8583.compiled import CompiledCodec
from processor.iso8583.compiled_interpreter import Interpreter
from processor.iso8583.describe import describe
from processor.iso8583.dialect import Dialect
from processor.iso8583.framing import CATALOGUE, VISA_FRAME, Framer, FrameRule
from processor.iso8583.header import BASE1, HEADERS, HeaderRule
from processor.iso8583.message import Message
from processor.iso8583.tables.iso87_ascii import chip_data
from processor.iso8583.tlv import CHIP_DATA, DataSets
from processor.iso8583.tracks import build_track_1, build_track_2, read_track_1, read_track_2
from processor.links.asking import Asking, stans
from processor.links.machine import Action, Ask, End, Machine, Patience, State
from processor.networks.adapters import FRAMINGS
from processor.networks.recognise import Recogniser
from processor.networks.respond import Responder, wants_answer
from processor.values.errors import DecodeError, FrameError, PeerError, Unsupported
from processor.values.facts import Check
from processor.values.outcome import Reply
from processor.values.reasons import Reason
from processor.values.requests import Authorization, Signal
from processor.values.sensitive import Tokens

LIMIT_BYTES = 65_535
READ_BYTES = 65_536  # that a link reads at once
NEVER = 10**9
_LONG_DIGITS = re.compile("[0-9]{12}")
_RECEIVED_MS = 1_795_000_000_000


class Target(Protocol):
    """One way in. ``feed`` answers whether the field decoder was reached, ``compare`` what differs."""

    name: str

    def feed(self, data: bytes) -> bool:
        """What the processor does with these bytes, timed."""
        ...

    def check(self, data: bytes) -> None:
        """What must hold besides, not timed; AssertionError where it does not."""
        ...

    def anew(self) -> "Target":
        """The same target as it is the first time, with whatever it makes later made at once."""
        ...


class Counts:
    """What became of the inputs."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.unanswerable: Counter[str] = Counter()
        self.elements: Counter[int] = Counter()
        self.compared = 0
        self.oracle = 0


class Messages:
    """A frame as a link takes it: cut, header checked, decoded, recognised, answered; then looked into.

    What the header refuses is decoded all the same, because ``standin doctor`` does so.
    """

    def __init__(self, material: Material, counts: Counts, worth_it: int | None = None) -> None:
        dialect, profile = material.dialect, material.profile
        self.name = f"message {dialect.name}"
        self._material = material
        self._counts = counts
        self._dialect: Dialect = dialect
        self._codec = CompiledCodec(dialect) if worth_it is None else CompiledCodec(dialect, worth_it)
        self._interpreter = Interpreter(dialect)
        self._count_interpreted()
        self._oracle = PyisoCodec(dialect)
        rule = FRAMINGS[profile.framing] if profile else VISA_FRAME
        self._rule = rule
        self._recogniser = Recogniser(profile, Tokens(bytes(16))) if profile else None
        self._responder = Responder(profile) if profile else None
        self._asking = Asking(profile.session, stans(), material.header, {}) if profile else None
        if self._asking is not None and profile is not None:
            for signal in sorted(profile.session.says, key=lambda one: one.value):
                self._asking.ask(signal, _RECEIVED_MS)
        self._fed = 0
        self._last: Message | DecodeError | None = None

    def anew(self) -> "Messages":
        """With a codec that compiles for the first message of a bitmap."""
        re.purge()
        return Messages(self._material, Counts(), worth_it=1)

    def _count_interpreted(self) -> None:
        """Count what the codec leaves to its interpreter; the rest its compiled functions read."""
        own = self._codec._interpreter  # noqa: SLF001 - only here it shows which path was taken
        decode, outcomes = own.decode, self._counts.outcomes

        def counted(data: bytes) -> Message:
            outcomes["(interpreted)"] += 1
            return decode(data)

        own.decode = counted  # type: ignore[method-assign]

    def feed(self, data: bytes) -> bool:
        """As a link does; every second decoded message is also looked into part by part."""
        outcomes = self._counts.outcomes
        self._fed += 1
        sound = self._is_sound(data)
        try:
            message = self._codec.decode(data)
        except DecodeError as error:
            self._last = error
            outcomes["not decoded"] += 1
            reached = _reached(error)
            self._refused(data, error, error.partial, error.mti, sound=sound)
            return reached
        self._last = message
        if self._recogniser is not None:
            self._take(message, data)
        if self._fed & 1:
            self._look_into(message)
        return bool(message.elements)

    def check(self, data: bytes) -> None:
        """Errors quote nothing; what was read is written and read again; every path reads alike."""
        last = self._last
        if isinstance(last, DecodeError):
            said = f"{last} {last.value}"
            assert not _LONG_DIGITS.search(str(last)), "an error quotes digits"
            assert not _LONG_DIGITS.search(last.value.replace("*", "")) or last.element == 2, said
        if self._fed % 4 == 0:
            self._counts.compared += 1
            interpreted = _read(self._interpreter.decode, data)
            assert _alike(last, interpreted), f"compiled {last!r}, interpreted {interpreted!r}"
        if isinstance(last, Message) and self._fed % 4 == 1:
            written = self._codec.encode(last)
            again = self._codec.decode(written)
            assert (again.mti, again.elements) == (last.mti, last.elements), (
                "written and read again it is another message"
            )
            assert self._interpreter.encode(last) == written[len(last.header) :], "written in two ways"
        if self._fed % 16 == 0 and last is not None:
            self._counts.oracle += 1
            reference = _read(self._oracle.decode, data)
            assert not (problem := differs(reference, last, data)), f"pyiso8583: {problem}"

    def _is_sound(self, data: bytes) -> bool:
        """Frame and header."""
        try:
            framer = Framer(self._rule, LIMIT_BYTES)
            framer.receive(self._rule.frame(data) if len(data) <= self._rule.longest_bytes else data)
            frames = framer.frames()
            assert frames in ([data], []), "the frame is not what was framed"
            self._dialect.header.check(data)
            if self._dialect.header.rejection(data) is not None:
                self._counts.outcomes["reject header"] += 1
                return False
        except FrameError:
            self._counts.outcomes["frame or header refused"] += 1
            return False
        return bool(frames)

    def _take(self, message: Message, data: bytes) -> None:
        """Recognised and answered, or refused."""
        assert self._recogniser is not None
        assert self._asking is not None
        if message.mti[2] in "13":
            self._counts.outcomes["a response"] += 1
            if self._asking.answered(message) is None:
                self._asking.unlike(message)
            return
        try:
            request = self._recogniser.recognise(message, _RECEIVED_MS).request
        except DecodeError as error:
            self._counts.outcomes["decoded, not recognised"] += 1
            self._refused(data, error, error.partial, error.mti, sound=True)
            return
        except Unsupported as error:
            self._counts.outcomes["decoded, not served"] += 1
            self._refused(data, error, error.elements, error.mti, sound=True)
            return
        self._counts.outcomes["recognised"] += 1
        kind = request.cvv_kind if isinstance(request, Authorization) else None
        reply = Reply(Reason.APPROVED, "A1B2C3", Check.PASSED, kind) if kind else Reply(Reason.ACCEPTED)
        self._answer(message, reply)

    def _refused(
        self, data: bytes, error: PeerError, elements: dict[int, str], mti: str, *, sound: bool
    ) -> None:
        """The answer to what is not served, if it can be answered."""
        if not sound or not wants_answer(mti):
            return
        element = error.element if isinstance(error, DecodeError) else 0
        header = data[: self._dialect.header.length_bytes]
        self._answer(Message(header, mti, elements), Reply(Reason.FORMAT_ERROR), element)

    def _answer(self, asked: Message, reply: Reply, in_error: int = 0) -> None:
        """Built and written; what cannot be is counted, as the link does."""
        if self._responder is None or len(asked.header) != self._dialect.header.length_bytes:
            return
        try:
            self._rule.frame(self._codec.encode(self._responder.respond(asked, reply, in_error)))
        except (DecodeError, ValueError) as error:
            self._counts.unanswerable[f"{self._dialect.name}: {error}"] += 1

    def _look_into(self, message: Message) -> None:
        """Every element's parts, and the message as a person sees it."""
        dialect = self._dialect
        for number, value in message.elements.items():
            if (layout := dialect.layouts.get(number)) is not None:
                _tolerated(layout.read, value)
            if number == CHIP_DATA.element:
                _tolerated(lambda value=value: list(CHIP_DATA.walk(dialect.chip_data(value))))
        if self._fed & 3 == 1:
            describe(message, dialect)


def _reached(error: DecodeError) -> bool:
    """Whether an element of the dialect was begun: MTI and bitmaps were valid before that."""
    return error.element not in (0, 1, 65) and (
        bool(error.partial) or not error.rule.startswith("not assigned")
    )


def _read(decode: Callable[[bytes], Message], data: bytes) -> Message | DecodeError:
    try:
        return decode(data)
    except DecodeError as error:
        return error


def _alike(one: Message | DecodeError | None, other: Message | DecodeError) -> bool:
    if isinstance(one, Message) or isinstance(other, Message) or one is None:
        return one == other
    return (str(one), one.mti, one.partial, one.value) == (str(other), other.mti, other.partial, other.value)


def _tolerated(read: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401 - any reader, any value
    """What is read, None where it cannot be."""
    try:
        return read(*arguments)
    except DecodeError:
        return None


class Simple:
    """A function of bytes; nothing to check besides, nothing made later."""

    def __init__(self, name: str, function: Callable[[bytes], None]) -> None:
        self.name = name
        self._function = function

    def feed(self, data: bytes) -> bool:
        """Run it; a DecodeError or FrameError is as good as a value."""
        try:
            self._function(data)
        except PeerError:
            return False
        return False

    def check(self, data: bytes) -> None:
        """Nothing."""

    def anew(self) -> "Simple":
        """Itself."""
        return self


def frames_target(rule: FrameRule) -> Simple:
    """A stream whole, and in pieces whose sizes its own bytes give: the same frames and the same fault."""

    def streams(data: bytes) -> None:
        whole = _cut(rule, [data])
        sizes = data[:16] or b"\1"
        at, pieces = 0, []
        while at < len(data):
            size = 1 + sizes[len(pieces) % len(sizes)] % 37
            pieces.append(data[at : at + size])
            at += size
        assert _cut(rule, pieces) == whole, "frames depend on how the stream is cut"
        again = b"".join(map(rule.frame, whole[0]))
        assert again.lower() == data[: len(again)].lower(), "framed again it is another stream"

    return Simple(f"frames {rule.name}", streams)


def flood(data: bytes) -> None:
    """What the rest of the bytes says again and again, as one read of a link: the first call's frames.

    The first byte chooses the framing.
    """
    if len(data) > 1:
        rules, unit = tuple(CATALOGUE.values()), data[1:]
        framer = Framer(rules[data[0] % len(rules)], 2048)
        framer.receive((unit * (READ_BYTES // len(unit) + 1))[:READ_BYTES])
        framer.frames()


def _cut(rule: FrameRule, pieces: list[bytes]) -> tuple[list[bytes], str]:
    framer = Framer(rule, 2048)
    found: list[bytes] = []
    try:
        for piece in pieces:
            framer.receive(piece)
            while frames := framer.frames():
                assert all(len(frame) <= 2048 for frame in frames)
                found += frames
    except FrameError as error:
        return found, error.reason
    return found, ""


def header_target(name: str, rule: HeaderRule) -> Simple:
    """Checked, then whatever may be asked of a frame that passed."""

    def header(data: bytes) -> None:
        rule.check(data)
        own = data[: rule.length_bytes]
        if rule.rejection(data) is None:
            assert len(rule.reply(own, 40)) == rule.length_bytes
        rejected = rule.reject(data, "0001")
        if rejected is not None:
            rule.check(rejected)
            came = rule.rejection(rejected)
            assert came is not None
            assert came.frame == data
        if rule is BASE1:
            BASE1.parse(data).pack(len(data) - rule.length_bytes)

    return Simple(f"header {name}", header)


def tlv(data: bytes) -> None:
    """BER-TLV at every depth, data sets, and either as hexadecimal text."""
    value = data.hex().upper()
    _tolerated(lambda: list(CHIP_DATA.walk(value)))
    _tolerated(CHIP_DATA.pick, "9F26", value)
    if (sets := _tolerated(DataSets(55).read, value)) is not None:
        assert DataSets(55).build(sets) == value
    _tolerated(lambda: CHIP_DATA.read(chip_data(value)))
    if (objects := _tolerated(CHIP_DATA.read, value)) is not None:
        assert CHIP_DATA.build(objects) == value


def tracks(data: bytes) -> None:
    """Both tracks, read and built again."""
    value = data.decode("latin-1")
    if (two := _tolerated(read_track_2, value)) is not None:
        assert build_track_2(two) == value
        assert value[2:9] not in repr(two)
    if (one := _tolerated(read_track_1, value)) is not None:
        assert build_track_1(one) == value


def parts_target(dialect: Dialect, number: int) -> Simple:
    """One element's layout: read whole and part by part, and built again."""
    layout: Any = dialect.layouts[number]
    is_hex = dialect.elements[number].alphabet == "b"

    def parts(data: bytes) -> None:
        value = data.hex().upper() if is_hex else data.decode("latin-1")
        for part in layout.rows if hasattr(layout, "pick") else ():
            _tolerated(layout.pick, part, value)
        read = layout.read(value)
        assert layout.build(read) == value

    return Simple(f"parts {dialect.name} {number}", parts)


PATIENCE = Patience(first_frame_s=10, frame_s=2, idle_s=300, echo_s=60, reply_s=5)
_SIGNALS = tuple(Signal)


def machine(data: bytes) -> None:
    """Any events in any order. What it asks for falls due later than now, and it is never stuck."""
    if len(data) < 2:
        return
    says = frozenset(signal for bit, signal in enumerate(_SIGNALS) if data[0] >> bit & 1)
    link, now_s = Machine(PATIENCE, says, signed_on=bool(data[0] & 0x80)), 0.0
    for code in data[1:200]:
        now_s += (0.0, 0.4, 3.0, 61.0)[code >> 6]
        action = _event(link, code & 0x3F, now_s)
        assert action is None or isinstance(action, (Ask, End))
        assert isinstance(link.state, State)
        assert not isinstance(action, Ask) or action.signal in says
        assert not math.isnan(link.due_s)


def _event(link: Machine, code: int, now_s: float) -> Action | None:
    flag, signal = bool(code & 8), _SIGNALS[(code >> 3) % len(_SIGNALS)]
    kind = code & 7
    if kind == 0:
        return link.opened(now_s, dialled=flag, signs=bool(code & 16))
    if kind == 1:
        link.arrived(now_s, whole=flag, partial=bool(code & 16))
    elif kind == 2:
        action = link.fell_due(now_s)
        assert isinstance(action, End) or link.due_s > now_s, "what fell due falls due at once again"
        return action
    elif kind == 3:
        return link.replied(signal, now_s, accepted=bool(code & 1) != flag)
    elif kind == 4:
        return link.told(signal)
    elif kind == 5:
        if link.poll(now_s):
            assert not link.poll(now_s), "the echo of a poll is echoed"
    elif kind == 6:
        return link.stop(now_s, signs=flag)
    elif flag:
        link.held(1.5)
    else:
        link.lost()
    return None


def simple_targets(materials: dict[str, Material]) -> Iterator[tuple[Simple, list[bytes]]]:
    """Everything beside messages, each with inputs to begin from."""
    rng = random.Random(1)
    wires = [
        material.message(rng.choice(material.templates), rng)
        for material in materials.values()
        for _ in range(6)
    ]
    floods: list[bytes] = []
    for index, rule in enumerate(CATALOGUE.values()):
        short = [wire[:300] for wire in wires if len(wire) >= rule.shortest_bytes]
        framed = [rule.frame(wire) for wire in short if len(wire) <= rule.longest_bytes]
        least = rule.frame(bytes(rule.shortest_bytes))
        mixed = [one + rule.frame(b"") + two for one, two in zip(framed, framed[::-1], strict=True)]
        yield frames_target(rule), [*mixed, *[least + rule.frame(b"") + least] * len(mixed)]
        floods += [bytes((index,)) + unit for unit in (rule.frame(b""), least, framed[0])]
    yield Simple("frames flood", flood), floods
    base1 = [wire for wire in wires if wire[:1] == b"\x16"]
    back = [made for wire in base1 if (made := BASE1.reject(wire, "0024")) is not None]
    for name, header in HEADERS.items():
        yield header_target(name, header), [*base1, *back, *(b"ISO026000050" + wire for wire in wires[:4])]
    chips = [segment for m in materials.values() for segment in m.segments.get(55, ())]
    yield Simple("tlv", tlv), [chip[skip:] for chip in chips for skip in (0, 1, 3)]
    stripes = [segment for m in materials.values() for n in (35, 45) for segment in m.segments.get(n, ())]
    texts = [b";4000001234567899=3012101000000000?", b"%B4000001234567899^A/B^30121010000?"]
    yield Simple("tracks", tracks), [*texts, *(stripe[2:] for stripe in stripes)]
    for material in materials.values():
        for number in material.dialect.layouts:
            if number in material.segments:
                yield parts_target(material.dialect, number), _inside(material, number)
    yield (
        Simple("machine", machine),
        [bytes(rng.randbytes(24)) for _ in range(40)] + [b"\x0f\x10\x03\x01\x42"],
    )


def _inside(material: Material, number: int) -> list[bytes]:
    """The element's values as characters or bytes, by what its layout reads."""
    codec, element = Interpreter(material.dialect), material.dialect.elements[number]
    values = []
    for segment in material.segments[number]:
        template = material.template(material.mtis[0], (number,))
        message = codec.decode(material.finished(template.mti + template.bitmaps + segment))
        value = message.elements[number]
        values.append(bytes.fromhex(value) if element.alphabet == "b" else value.encode("latin-1", "replace"))
    return values
