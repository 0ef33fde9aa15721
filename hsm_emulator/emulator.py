"""One request frame in, one reply frame out: parse by the table, run the handler, answer."""

import os
from collections import Counter

from hsm_emulator.commands import HANDLERS
from hsm_emulator.keyring import Keyring
from hsm_emulator.lmk import VariantLmk
from hsm_emulator.state import Handler, RandomBytes, State
from processor.hsm.commands import CODE_CHARACTERS, Advice, encode_response
from processor.hsm.errors import ErrorCode
from processor.hsm.framing import HEADER_BYTES, frame_message
from processor.hsm.layout import Layout
from processor.hsm.table import COMMANDS


class _Served:
    """A command with everything that can be looked up once."""

    __slots__ = ("answers", "code", "handler", "has_fields", "request")

    def __init__(self, code: str, handler: Handler, request: Layout, *, has_fields: bool) -> None:
        self.code = code
        self.handler = handler
        self.request = request
        self.has_fields = has_fields
        self.answers = {error: encode_response(code, error) for error in ErrorCode}


class Emulator:
    """The HSM without its sockets. Synchronous, in one thread; deterministic but for ``random_bytes``.

    ``errors`` counts what was not answered 00, by command code and error code ("CY 01").
    """

    def __init__(
        self,
        lmk: VariantLmk,
        *,
        authorised: bool,
        header_bytes: int = HEADER_BYTES,
        random_bytes: RandomBytes = os.urandom,
    ) -> None:
        self.errors: Counter[str] = Counter()
        self._state = State(lmk, Keyring(lmk), authorised, random_bytes)
        self._header_bytes = header_bytes
        self._served = {
            code.encode("ascii"): _Served(
                code, handler, COMMANDS[code].request, has_fields=bool(COMMANDS[code].response.fields)
            )
            for code, handler in HANDLERS.items()
        }

    def reply_all(self, frames: list[bytes]) -> tuple[bytes, str | None]:
        """The replies to the frames of one read, in order, and None.

        A frame without a command code (the peer speaks something else) ends the work: then the replies to
        those before it, and ``not_a_command``.
        """
        replies: list[bytes] = []
        for frame in frames:
            reply = self.reply(frame)
            if reply is None:
                return b"".join(replies), "not_a_command"
            replies.append(reply)
        return b"".join(replies), None

    def reply(self, frame: bytes) -> bytes | None:
        """The reply to one frame (header, code, body), with its length bytes; None without a command code."""
        split = self._header_bytes + CODE_CHARACTERS
        header, code = frame[: self._header_bytes], frame[self._header_bytes : split]
        served = self._served.get(code)
        if served is None:
            return frame_message(header, self._unknown(code)) if code.isalnum() and code.isupper() else None
        return frame_message(header, self._answer(served, frame[split:]))

    def _answer(self, served: _Served, body: bytes) -> bytes:
        try:
            parsed = served.request.read(body.decode("latin-1"))
            result = parsed if isinstance(parsed, ErrorCode) else served.handler(parsed, self._state)
            if type(result) is dict:
                if served.has_fields:
                    return encode_response(served.code, result)
                result = ErrorCode.NO_ERROR
            elif isinstance(result, Advice):
                reply = encode_response(served.code, result)
                self.errors[f"{served.code} {result.error.value}"] += 1
                return reply
        except Exception as error:  # noqa: BLE001 - a faulty command answers 41; every other link lives on
            self.errors[f"{served.code} {type(error).__name__}"] += 1
            result = ErrorCode.INTERNAL_ERROR
        assert isinstance(result, ErrorCode)
        if result is not ErrorCode.NO_ERROR:
            self.errors[f"{served.code} {result.value}"] += 1
        return served.answers[result]

    def _unknown(self, code: bytes) -> bytes:
        """Response code and 68, as a unit answers a command it does not have."""
        error: str = ErrorCode.COMMAND_DISABLED.value
        self.errors[f"unknown {error}"] += 1
        return bytes((code[0], code[1] + 1)) + error.encode("ascii")
