"""PVVs for a deck: BA puts each PIN under the LMK, DG makes its PVV; both pipelined on one connection."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import msgspec
import trio

from processor.hsm.commands import Response, encode_request, parse_response
from processor.hsm.errors import ErrorCode
from processor.hsm.framing import HEADER_BYTES, HsmFramer, frame_message
from processor.values.errors import FrameError, HsmError
from processor.values.sensitive import Pan
from simulators.cards import CardPin, DeckCard
from simulators.keys import TestKeys

_PIPELINED = 256  # requests on the way at once; they fit into any socket buffer, so nobody waits for a reader
_STALL_S = 10.0


async def personalise(
    stream: trio.abc.Stream, keys: TestKeys, cards: Sequence[DeckCard], pins: Sequence[CardPin]
) -> list[DeckCard]:
    """The cards with the PVVs of their PINs.

    Errors: HsmError when the HSM refuses, answers nonsense, falls silent or goes away.
    """
    accounts = [Pan(card.pan).account_12() for card in cards]
    encrypted = await _ask_all(
        stream, "BA", [{"pin": p.pin, "account": a} for p, a in zip(pins, accounts, strict=True)]
    )
    values = await _ask_all(
        stream,
        "DG",
        [
            {
                "pvk": keys.pvk_under_lmk,
                "pin_under_lmk": answer["pin_under_lmk"],
                "account": account,
                "pvki": card.pvki,
            }
            for card, account, answer in zip(cards, accounts, encrypted, strict=True)
        ],
    )
    return [
        msgspec.structs.replace(card, pvv=answer["pvv"]) for card, answer in zip(cards, values, strict=True)
    ]


async def _ask_all(
    stream: trio.abc.Stream, code: str, requests: Iterable[dict[str, str]]
) -> list[dict[str, str]]:
    """The response fields of each request, in the order of the requests."""
    framer, answers = HsmFramer(), []
    for chunk in _chunks(requests):
        headers = [f"{number:0{HEADER_BYTES}}".encode() for number in range(len(chunk))]
        frames = [frame_message(h, encode_request(code, r)) for h, r in zip(headers, chunk, strict=True)]
        try:
            with trio.fail_after(_STALL_S):
                await stream.send_all(b"".join(frames))
                replies = await _replies(stream, framer, set(headers))
        except (trio.TooSlowError, trio.BrokenResourceError, FrameError) as error:
            raise HsmError(f"{code}: the HSM does not answer ({type(error).__name__})") from None
        answers += [_fields(code, parse_response(code, replies[header])) for header in headers]
    return answers


def _chunks(requests: Iterable[dict[str, str]]) -> Iterator[list[dict[str, str]]]:
    remaining = iter(requests)
    while chunk := list(islice(remaining, _PIPELINED)):
        yield chunk


async def _replies(stream: trio.abc.Stream, framer: HsmFramer, expected: set[bytes]) -> dict[bytes, bytes]:
    """The reply to each header, matched by header and never by order."""
    replies: dict[bytes, bytes] = {}
    while len(replies) < len(expected):
        data = await stream.receive_some(65536)
        if not data:
            raise trio.BrokenResourceError
        framer.receive(data)
        for frame in framer.frames():
            header = frame[:HEADER_BYTES]
            if header not in expected or header in replies:
                raise HsmError("a reply has a header that nothing was asked under")
            replies[header] = frame[HEADER_BYTES:]
    return replies


def _fields(code: str, response: Response) -> dict[str, str]:
    if response.error is not ErrorCode.NO_ERROR:
        raise HsmError(f"{code}: the HSM answered {response.error.value}, {response.error.meaning}")
    return response.fields
