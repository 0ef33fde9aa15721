"""The codec of the hot path: one decode and one encode function per (dialect, bitmap), made when it recurs.

A bitmap seen for the first times is read by the interpreter, so that random bitmaps compile nothing; from the
``WORTH_IT``-th time on it has a function of its own (``compiled_source``), if it has not too many elements.
Both stores are bounded. Errors are always the interpreter's.

pyiso8583 is the reference (``PyisoCodec``): both take the same messages, read the same values, write the same
bytes, and refuse the same messages at the same element with the same partial message, except:

    what                                     pyiso8583                   here
    odd BCD, F at either end for the pad     refused, the pad is wrong   read; written with the table's pad
    length that is not digits ("+5", " 5")   read, then refused          refused at the length itself
    second or third bitmap not hexadecimal   named at the first          named at its own offset
    wrong value, the cutting still sure      partial: those before it    partial: all that are sound

Behind a wrong value the cutting is sure where its length is fixed; where its length stands on the wire, which
may be what is wrong, if the elements go on to the last byte and no further.

Each row is a test in ``tests/test_iso8583_differential.py``.
"""

from processor.iso8583.compiled_forms import is_ascii, latin_1_table
from processor.iso8583.compiled_interpreter import Interpreter
from processor.iso8583.compiled_source import Decode, Encode, decoder, encoder
from processor.iso8583.dialect import Dialect
from processor.iso8583.elements import BINARY
from processor.iso8583.message import Message
from processor.iso8583.recurring import Recurring

# To compile costs about as much as to interpret this many messages; so a peer who makes every bitmap recur
# just so often costs twice what he costs otherwise, at worst.
WORTH_IT = 32
# To compile takes longer the more elements there are, 6 ms for all of a dialect, and meanwhile all wait.
ELEMENTS_MAX = 48
FUNCTIONS_MAX = 128
CANDIDATES_MAX = 1024

_HEX_ABOVE_7 = "89ABCDEFabcdef"


class CompiledCodec:
    """The codec of ``dialect`` by functions compiled for the bitmaps in use; see ``codec.Codec``.

    ``worth_it`` is at which message of a bitmap its function is made.
    """

    def __init__(self, dialect: Dialect, worth_it: int = WORTH_IT) -> None:
        self._header = dialect.header
        self._interpreter = Interpreter(dialect)
        self._mtis = {self._interpreter.mti_bytes(mti): mti for mti in dialect.mtis}
        self._mti_bytes = {mti: data for data, mti in self._mtis.items()}
        first, second = (dialect.spec[key]["data_enc"] for key in ("p", "1"))
        self._bitmaps_at = dialect.header.length_bytes + len(next(iter(self._mtis)))
        self._second_at = self._bitmaps_at + (8 if first == BINARY else 16)
        self._third_at = self._second_at + (8 if second == BINARY else 16)
        self._bitmaps_end = self._third_at + (8 if second == BINARY else 16)
        self._first_announces = _announcing(first)
        self._second_announces = _announcing(second)
        self._decoders: Recurring[bytes, Decode] = Recurring(FUNCTIONS_MAX, CANDIDATES_MAX, worth_it)
        self._encoders: Recurring[tuple[int, ...], Encode] = Recurring(
            FUNCTIONS_MAX, CANDIDATES_MAX, worth_it
        )

    def decode(self, data: bytes) -> Message:
        """Read header and message; see ``Codec.decode``."""
        decode: Decode | None = None
        key = b""
        try:
            end = self._second_at
            if data[self._bitmaps_at] in self._first_announces:
                end = self._bitmaps_end if data[end] in self._second_announces else self._third_at
            key = data[self._bitmaps_at : end]
            decode = self._decoders[key]
            if decode is not None and (message := decode(data)) is not None:
                return message
        except (KeyError, IndexError, ValueError):
            pass  # what it is, the interpreter says
        message = self._interpreter.decode(data)
        few = len(message.elements) <= ELEMENTS_MAX
        if decode is None and key and few and self._decoders.missed(key):
            self._decoders.store(key, self._decoder(data))
        return message

    def encode(self, message: Message) -> bytes:
        """Write header and message; see ``Codec.encode``."""
        body = self._encoded(message)
        return self._header.sized(message.header, len(body)) + body

    def _encoded(self, message: Message) -> bytes:
        elements = message.elements
        order = tuple(elements)
        encode = self._encoders[order]
        if encode is not None:
            try:
                if (body := encode(self._mti_bytes[message.mti], elements)) is not None:
                    return body
            except (KeyError, ValueError):
                pass
        body = self._interpreter.encode(message)
        if encode is None and len(order) <= ELEMENTS_MAX and self._encoders.missed(order):
            self._encoders.store(order, self._encoder(order))
        return body

    def _decoder(self, data: bytes) -> Decode:
        numbers, start = self._interpreter.announced(data)
        forms = [self._interpreter.forms[number] for number in numbers]
        return decoder(forms, start, self._header.length_bytes, self._mtis)

    def _encoder(self, order: tuple[int, ...]) -> Encode:
        numbers = sorted(order)
        forms = [self._interpreter.forms[number] for number in numbers]
        return encoder(order, forms, self._interpreter.bitmaps_of(numbers))


def _announcing(encoding: str) -> frozenset[int]:
    """The first bytes of a bitmap that announces the next one.

    All bytes if one byte cannot say it: the key of a function is then longer than it need be.
    """
    if encoding == BINARY:
        return frozenset(range(128, 256))
    if latin_1_table(encoding) is None and not is_ascii(encoding):
        return frozenset(range(256))
    return frozenset(digit.encode(encoding)[0] for digit in _HEX_ABOVE_7)
