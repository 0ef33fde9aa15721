"""``standin msg``: look at single messages, compare, clean and build them, and find out what bytes are."""

import hashlib
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import cyclopts
import msgspec

from processor.cli.given import Form, read_given
from processor.iso8583.compiled import CompiledCodec
from processor.iso8583.describe import describe, shown_header
from processor.iso8583.dialect import Dialect
from processor.iso8583.framing import FrameRule
from processor.iso8583.message import Message, card_digits
from processor.networks.adapters import DIALECTS, FRAMINGS
from processor.networks.guess import BYTES_TRIED_MAX, NO_FRAMING, attempt, best, cut, guesses
from processor.networks.profile import load_profile
from processor.replay.scrub import Scrubber
from processor.values.errors import ConfigError, DecodeError, FrameError

app = cyclopts.App(name="msg", help="Look at single messages; compare, clean and build them.")

UNSAFE_NOTE = "standin msg: --unsafe shows everything in clear; do not paste this anywhere"
GUESSES_SHOWN = 5

Given = Annotated[str, cyclopts.Parameter(allow_leading_hyphen=True)]
Unsafe = Annotated[bool, cyclopts.Parameter(negative="")]
Broken = DecodeError | FrameError


class Reader(NamedTuple):
    """How bytes are read: a dialect, and how frames are cut (None: the input is one message)."""

    dialect: Dialect
    framing: FrameRule | None

    def read(self, frame: bytes) -> Message | Broken:
        """The message in a frame, or what is wrong with it."""
        return attempt(CompiledCodec(self.dialect), self.dialect, frame)


@app.command
def view(
    given: Given, *, network: str = "", form: Form | None = None, unsafe: Unsafe = False, json: bool = False
) -> None:
    """Show messages element by element, masked; of a broken one, which element, at which byte and why.

    Exit code 0 when every message could be read, 1 when one is broken, 2 when there is nothing to read.

    Example: standin msg view captured.hex --network visa-like

    Args:
        given: Hexadecimal or base64, with or without the frame's length; a file of either or of raw bytes;
            or - for stdin. Text has one message a line.
        network: Read as this network does; without it dialect and framing are guessed.
        form: What the input is written in where that is not evident.
        unsafe: Show PANs, tracks, PIN blocks and all the rest in clear.
        json: One JSON object a line; with --unsafe it is what `standin msg build` takes.
    """
    _warn(unsafe=unsafe)
    whole = True
    for reader, frame in _frames(given, network, form):
        got = reader.read(frame)
        whole = whole and isinstance(got, Message)
        if json:
            print(msgspec.json.encode(_object(got, reader.dialect, unsafe=unsafe)).decode())
        else:
            print("\n".join(_lines(got, frame, reader.dialect, unsafe=unsafe)), end="\n\n")
    raise SystemExit(0 if whole else 1)


@app.command
def diff(
    left: Given,
    right: Given,
    *,
    network: str = "",
    form: Form | None = None,
    unsafe: Unsafe = False,
    json: bool = False,
) -> None:
    """Compare two messages element by element, masked; values that differ under one mask are said to differ.

    Exit code 0 when they are equal, 1 when they differ, 2 when one cannot be read.

    Example: standin msg diff yesterday.hex today.hex --network mc-like

    Args:
        left: One message, as for `standin msg view`.
        right: The other.
        network: Read as this network does; without it each is guessed.
        form: What both are written in where that is not evident.
        unsafe: Show PANs, tracks, PIN blocks and all the rest in clear.
        json: Print a JSON list of what differs.
    """
    _warn(unsafe=unsafe)
    (a, dialect), (b, _) = _one(left, network, form), _one(right, network, form)
    found = list(_differences(a, b, dialect, unsafe=unsafe))
    if json:
        print(msgspec.json.encode(found).decode())
    else:
        for row in found:
            print(f"{row['element']:>6} {row['term']:<45} {row['left']}  →  {row['right']}{row['note']}")
    raise SystemExit(1 if found else 0)


@app.command
def redact(given: Given, *, network: str, form: Form | None = None, key: str = "") -> None:
    """Print messages in hexadecimal with everything sensitive replaced, so that they can be shown to others.

    The PAN becomes a test PAN of the same length (999999...), PIN blocks and card verification values zeros,
    the expiry another one, and what is not known to be harmless characters of the same kind. The message
    keeps its shape. A message that cannot be read is not redacted. Exit code 0, or 2 when one cannot be read.

    Example: standin msg redact captured.hex --network visa-like > shareable.hex

    Args:
        given: Messages, as for `standin msg view`.
        network: The network they are of.
        form: What the input is written in where that is not evident.
        key: Equal keys give equal replacements, also in another run; without one they are new in every run.
    """
    profile = load_profile(network)
    secret = hashlib.sha256(key.encode() or secrets.token_bytes(32)).digest()
    scrubber = Scrubber(secret, [profile], strict=True)
    for reader, frame in _frames(given, network, form):
        message = _whole(reader.read(frame))
        token = card_digits(message.elements)  # one replacement a card; the key makes it nobody else's
        clean = Message(message.header, message.mti, scrubber.message(profile.name, message.elements, token))
        try:
            data = CompiledCodec(reader.dialect).encode(clean)
        except ValueError as error:
            raise ConfigError([f"the redacted message cannot be written: {error}"]) from None
        print((reader.framing.frame(data) if reader.framing else data).hex().upper())


@app.command
def build(given: Given = "-", *, network: str, framed: bool = True) -> None:
    """Build messages from JSON, one object a line, and print them in hexadecimal.

    An object has ``mti``, ``header`` in hexadecimal where the network has one (its length field is set; the
    default is the header that the network's profile has for messages about the link), and ``elements`` by
    number, values as `standin msg view --unsafe --json` prints them. Nothing else is filled in.
    Exit code 0, or 2 when an object is no message of the network.

    Example: echo '{"mti": "0800", "elements": {"7": "1121093000", "11": "000001", "70": "301"}}' |
    standin msg build --network iso87-ascii

    Args:
        given: A file of JSON lines, or - for stdin.
        network: Whose dialect and framing to write.
        framed: Put the frame's length before each message.
    """
    reader = _reader_of(network)
    header = bytes.fromhex(load_profile(network).session.header)
    for number, line in enumerate(_json_lines(given), 1):
        try:
            message = msgspec.json.decode(line, type=_Built).message(
                header or bytes(reader.dialect.header.length_bytes)
            )
            data = CompiledCodec(reader.dialect).encode(message)
            reader.dialect.header.check(data)
        except (ValueError, FrameError) as error:
            raise ConfigError([f"message {number}: {error}"]) from None
        print((reader.framing.frame(data) if framed and reader.framing else data).hex().upper())


@app.command
def doctor(given: Given, *, form: Form | None = None, json: bool = False) -> None:
    """Find out what bytes are: try every framing and dialect, and tell the best explanations.

    Exit code 0 when one explains all bytes, 1 when none does, 2 when there is nothing to read.

    Example: standin msg doctor unknown.bin

    Args:
        given: Hexadecimal, base64, a file, or - for stdin; lines of text are taken one by one.
        form: What the input is written in where that is not evident.
        json: Print one JSON list a line of input.
    """
    all_explained = True
    for number, data in enumerate(read_given(given, form), 1):
        found = guesses(data)
        all_explained = all_explained and best(found) is not None
        if json:
            print(msgspec.json.encode(found).decode())
            continue
        print(f"{number}: {len(data)} bytes{_tried(data)}")
        for guess in found[:GUESSES_SHOWN]:
            framed = "no framing" if guess.framing == NO_FRAMING else f"framing {guess.framing}"
            read = f"{guess.decoded} of {guess.frames} frames read"
            broken = f", {guess.reading:.0%} of the bytes; then {guess.error}" if guess.error else ""
            print(f"    {guess.dialect}, {framed}: {read}{broken}")
        if not any(guess.decoded for guess in found):
            print(
                "    nothing fits: cut off, encrypted, or a dialect not here (docs/how-to/add-a-dialect.md)"
            )
    raise SystemExit(0 if all_explained else 1)


class _Built(msgspec.Struct, forbid_unknown_fields=True):
    """A message as `build` takes it."""

    mti: str
    elements: dict[str, str] = {}
    header: str = ""

    def message(self, header_default: bytes) -> Message:
        """As the codec takes it.

        Raises:
            ValueError: a number that is none, or a header that is not hexadecimal.
        """
        if not all(number.isascii() and number.isdigit() for number in self.elements):
            raise ValueError("elements are named by number")
        try:
            header = bytes.fromhex(self.header) or header_default
        except ValueError:
            raise ValueError("the header is not hexadecimal") from None
        return Message(header, self.mti, {int(number): value for number, value in self.elements.items()})


def _warn(*, unsafe: bool) -> None:
    if unsafe:
        print(UNSAFE_NOTE, file=sys.stderr)


def _reader_of(network: str) -> Reader:
    profile = load_profile(network)
    return Reader(DIALECTS[profile.dialect], FRAMINGS[profile.framing])


def _tried(data: bytes) -> str:
    return f", of which the first {BYTES_TRIED_MAX} were tried" if len(data) > BYTES_TRIED_MAX else ""


def _frames(given: str, network: str, form: Form | None) -> Iterator[tuple[Reader, bytes]]:
    """Every frame of the input with how to read it."""
    for data in read_given(given, form):
        reader, frames = _cut_as(network, data) if network else _guessed(data)
        for frame in frames:
            yield reader, frame


def _cut_as(network: str, data: bytes) -> tuple[Reader, tuple[bytes, ...]]:
    """With the network's length prefix if the bytes fit it, else without."""
    reader = _reader_of(network)
    found = cut(data, reader.framing)
    if found is None or not (found.frames or _begins(reader.read(found.tail))):
        return reader, (data,)
    return reader, found.pieces


def _begins(got: Message | Broken) -> bool:
    """Whether there is a message, if only its beginning: two of its letters may have looked like a length."""
    return isinstance(got, Message) or (isinstance(got, DecodeError) and bool(got.mti))


def _guessed(data: bytes) -> tuple[Reader, tuple[bytes, ...]]:
    found = guesses(data)
    guess = best(found) or found[0]
    reader = Reader(DIALECTS[guess.dialect], FRAMINGS.get(guess.framing))
    print(f"standin msg: read as {guess.dialect}, framing {guess.framing}{_tried(data)}", file=sys.stderr)
    return reader, _pieces(data, reader)


def _pieces(data: bytes, reader: Reader) -> tuple[bytes, ...]:
    return found.pieces if (found := cut(data, reader.framing)) else (data,)


def _one(given: str, network: str, form: Form | None) -> tuple[Message, Dialect]:
    """The first message of an input, which must be readable."""
    reader, frame = next(_frames(given, network, form))
    return _whole(reader.read(frame)), reader.dialect


def _whole(got: Message | Broken) -> Message:
    if isinstance(got, Message):
        return got
    raise ConfigError([f"cannot be read: {got}"])


def _lines(got: Message | Broken, frame: bytes, dialect: Dialect, *, unsafe: bool) -> Iterator[str]:
    if isinstance(got, Message):
        yield describe(got, dialect, clear=unsafe)
        return
    if isinstance(got, DecodeError):
        partial = Message(frame[: dialect.header.length_bytes], got.mti, got.partial)
        yield describe(partial, dialect, clear=unsafe, whole=False)
    yield f"broken: {got}"
    if unsafe and isinstance(got, DecodeError) and got.offset >= 0:
        before, after = frame[max(got.offset - 16, 0) : got.offset], frame[got.offset : got.offset + 16]
        yield f"    bytes before and after: {before.hex(' ')} | {after.hex(' ')}"


def _object(got: Message | Broken, dialect: Dialect, *, unsafe: bool) -> dict[str, Any]:
    """A message or what is wrong as JSON."""
    if isinstance(got, FrameError):
        return {"broken": {"rule": str(got)}}
    elements = got.elements if isinstance(got, Message) else got.partial
    pan = card_digits(elements)
    found: dict[str, Any] = {
        "mti": got.mti,
        "elements": {str(n): v if unsafe else dialect.masked(n, v, pan) for n, v in sorted(elements.items())},
    }
    if isinstance(got, DecodeError):
        return {**found, "broken": {"element": got.element, "offset": got.offset, "rule": got.rule}}
    return {"header": shown_header(got.header, dialect, clear=unsafe), **found}


def _differences(a: Message, b: Message, dialect: Dialect, *, unsafe: bool) -> Iterator[dict[str, str]]:
    def shown(number: int, message: Message) -> str:
        value = message.elements.get(number)
        if value is None or unsafe:
            return value or "-"
        return dialect.masked(number, value, card_digits(message.elements))

    if a.mti != b.mti:
        yield {"element": "MTI", "term": "message type", "left": a.mti, "right": b.mti, "note": ""}
    if a.header != b.header:
        left, right = (shown_header(m.header, dialect, clear=unsafe) for m in (a, b))
        yield {"element": "header", "term": "", "left": left, "right": right, "note": _note(left, right)}
    for number in sorted({*a.elements, *b.elements}):
        one, other = a.elements.get(number), b.elements.get(number)
        if one != other:
            left, right = shown(number, a), shown(number, b)
            term = dialect.elements[number].term
            yield {
                "element": str(number), "term": term, "left": left, "right": right, "note": _note(left, right)
            }  # fmt: skip


def _note(left: str, right: str) -> str:
    return "  (differ behind the mask)" if left == right else ""


def _json_lines(given: str) -> list[str]:
    try:
        text = sys.stdin.read() if given == "-" else Path(given).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{given}: {getattr(error, 'strerror', None) or 'not UTF-8'}"]) from None
    return [line for line in text.splitlines() if line.strip()]
