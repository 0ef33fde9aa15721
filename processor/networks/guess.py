"""What bytes of unknown origin could be: every framing and dialect tried, the best explanation first."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from processor.iso8583.codec import Codec
from processor.iso8583.compiled import CompiledCodec
from processor.iso8583.dialect import Dialect
from processor.iso8583.framing import Framer, FrameRule
from processor.iso8583.message import Message
from processor.networks.adapters import DIALECTS, FRAMINGS
from processor.values.errors import DecodeError, FrameError

NO_FRAMING = "none"
# Of a long stream so much tells as much as all; no frame is longer.
FRAMES_TRIED_MAX = 100
BYTES_TRIED_MAX = 64 << 10


class Guess(msgspec.Struct, frozen=True):
    """One explanation: the data cut by ``framing`` and read as ``dialect``.

    ``frames`` were cut, ``decoded`` of them read; ``error`` is the first that was not. ``reading`` is the
    part of the bytes that was read before anything broke, 0 to 1.
    """

    framing: str
    dialect: str
    frames: int
    decoded: int
    reading: float
    error: str

    @property
    def explains_all(self) -> bool:
        """Whether every frame was read."""
        return self.frames == self.decoded > 0


class Cut(msgspec.Struct, frozen=True):
    """Data cut into whole frames; ``tail`` is the payload, as far as it goes, of one that is cut off."""

    frames: tuple[bytes, ...]
    tail: bytes = b""

    @property
    def pieces(self) -> tuple[bytes, ...]:
        """All that can be looked at."""
        return (*self.frames, self.tail) if self.tail else self.frames


def cut(data: bytes, framing: FrameRule | None) -> Cut | None:
    """All of ``data`` as frames, keep-alive polls left out; None where the framing does not fit."""
    if framing is None:
        return Cut((data,)) if data else None
    limit_bytes = max(len(data), framing.shortest_bytes)
    framer = Framer(framing, limit_bytes)
    framer.receive(data)
    found: list[bytes] = []
    try:
        while frames := framer.frames():
            found += frames
    except FrameError:
        # a length that counts more than there is: only of a single message that was cut off
        return _cut_off(data, framing) if not found else None
    used = sum(len(framing.frame(frame)) for frame in found)
    tail = data[used + framing.prefix_bytes :]
    whole = tuple(frame for frame in found if frame)
    return Cut(whole, tail) if whole or tail else None


def _cut_off(data: bytes, framing: FrameRule) -> Cut | None:
    try:
        framing.payload_bytes(data[: framing.prefix_bytes], framing.longest_bytes)
    except FrameError:
        return None
    return Cut((), data[framing.prefix_bytes :])


def guesses(
    data: bytes,
    dialects: Mapping[str, Dialect] = DIALECTS,
    framings: Mapping[str, FrameRule] = FRAMINGS,
) -> list[Guess]:
    """Every explanation with at least one frame, the best first; those equally good in a fixed order.

    Of data that is longer, the first ``BYTES_TRIED_MAX`` bytes are tried, and of those the whole frames.
    """
    found = list(_all(data, dialects, framings))
    return sorted(found, key=lambda g: (not g.explains_all, -g.reading, g.framing != NO_FRAMING))


def _all(data: bytes, dialects: Mapping[str, Dialect], framings: Mapping[str, FrameRule]) -> Iterator[Guess]:
    rules: dict[str, FrameRule | None] = {**framings, NO_FRAMING: None}
    tried = data[:BYTES_TRIED_MAX]
    for framing, rule in rules.items():
        found = cut(tried, rule)
        pieces = () if found is None else found.pieces
        if found is not None and found.frames and len(tried) < len(data):
            pieces = found.frames
        for name, dialect in dialects.items():
            if pieces:
                yield _guess(framing, name, dialect, pieces)


def _guess(framing: str, name: str, dialect: Dialect, pieces: tuple[bytes, ...]) -> Guess:
    codec = CompiledCodec(dialect)
    decoded, read_bytes, error = 0, 0, ""
    tried = pieces[:FRAMES_TRIED_MAX]
    for frame in tried:
        got = attempt(codec, dialect, frame)
        if isinstance(got, Message):
            decoded += 1
            read_bytes += len(frame)
        else:
            error = error or str(got)
            read_bytes += min(max(got.offset, 0), len(frame)) if isinstance(got, DecodeError) else 0
    return Guess(framing, name, len(tried), decoded, read_bytes / sum(map(len, tried)), error)


def attempt(codec: Codec, dialect: Dialect, frame: bytes) -> Message | DecodeError | FrameError:
    """The message in a frame, or why there is none.

    A frame whose header does not fit it, as one that was cut off, is read as far as it goes.
    """
    wrong: FrameError | None = None
    try:
        dialect.header.check(frame)
    except FrameError as error:
        wrong = error
    try:
        message = codec.decode(frame)
    except DecodeError as error:
        return error if wrong is None or error.partial else wrong
    return wrong or message


def best(found: Iterable[Guess]) -> Guess | None:
    """The first guess that explains everything, or None."""
    return next((guess for guess in found if guess.explains_all), None)
