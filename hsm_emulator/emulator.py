"""One request frame in, one reply frame out: parse by the table, run the handler, answer."""

import os
from collections import Counter
from collections.abc import Mapping

from hsm_emulator.commands import HANDLERS
from hsm_emulator.keyring import Keyring, Lmk
from hsm_emulator.pin_limits import VERIFYING, PinLimits
from hsm_emulator.state import Handler, RandomBytes, Rules, State
from processor.hsm.commands import CODE_CHARACTERS, Advice, Diagnosis, encode_response
from processor.hsm.errors import ErrorCode
from processor.hsm.framing import HEADER_BYTES, frame_message
from processor.hsm.layout import LMK, TRAILER, Fields, Layout
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


DEFAULT_LMK = "00"
"""Identifier of the LMK that requests without one mean."""


class Emulator:
    """The HSM without its sockets. Synchronous, in one thread; deterministic but for ``random_bytes``.

    ``lmk`` is the LMK 00; ``others`` have their identifiers. ``authorised`` is short for a rule.
    ``errors`` counts what was not answered 00, by command code and error code ("CY 01").
    """

    def __init__(
        self,
        lmk: Lmk,
        *,
        authorised: bool = False,
        rules: Rules | None = None,
        others: Mapping[str, Lmk] | None = None,
        header_bytes: int = HEADER_BYTES,
        random_bytes: RandomBytes = os.urandom,
    ) -> None:
        self.errors: Counter[str] = Counter()
        settings = rules or Rules(authorised=authorised)
        self._states = {
            identifier: State(
                each,
                Keyring(each, pci_key_types=settings.pci_key_types, strict=settings.strict_keys),
                settings,
                random_bytes,
            )
            for identifier, each in {DEFAULT_LMK: lmk, **(others or {})}.items()
        }
        self._state = self._states[DEFAULT_LMK]
        self._header_bytes = header_bytes
        self._served = {
            code.encode("ascii"): _Served(
                code, handler, COMMANDS[code].request, has_fields=bool(COMMANDS[code].response.fields)
            )
            for code, handler in _handlers(settings).items()
        }

    def check_values(self) -> dict[str, str]:
        """The first six digits of each LMK's check value, by its identifier."""
        return {identifier: state.lmk.check_value[:6] for identifier, state in self._states.items()}

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
        trailer = b""
        try:
            parsed = served.request.read(body.decode("latin-1"))
            if not isinstance(parsed, ErrorCode):
                state: State | None = self._state
                if LMK in parsed or TRAILER in parsed:
                    trailer = _trailer(parsed)
                    state = self._states.get(parsed.pop(LMK, DEFAULT_LMK))
                result = ErrorCode.LMK_ERROR if state is None else served.handler(parsed, state)
                if type(result) is dict and served.has_fields:
                    return encode_response(served.code, result) + trailer
                return self._told(served, result) + trailer
            return self._told(served, parsed)
        except Exception as error:  # noqa: BLE001 - a faulty command answers 41; every other link lives on
            self.errors[f"{served.code} {type(error).__name__}"] += 1
            return self._told(served, ErrorCode.INTERNAL_ERROR) + trailer

    def _told(self, served: _Served, result: Fields | ErrorCode | Advice | Diagnosis) -> bytes:
        """The answer that has no fields, or an error of its own."""
        if isinstance(result, Advice | Diagnosis):
            reply = encode_response(served.code, result)
            self.errors[f"{served.code} {reply[CODE_CHARACTERS:].decode('latin-1')[:2]}"] += 1
            return reply
        error = result if isinstance(result, ErrorCode) else ErrorCode.NO_ERROR
        if error is not ErrorCode.NO_ERROR:
            self.errors[f"{served.code} {error.value}"] += 1
        return served.answers[error]

    def _unknown(self, code: bytes) -> bytes:
        """Response code and 68, as a unit answers a command it does not have."""
        error: str = ErrorCode.COMMAND_DISABLED.value
        self.errors[f"unknown {error}"] += 1
        return bytes((code[0], code[1] + 1)) + error.encode("ascii")


def _handlers(rules: Rules) -> dict[str, Handler]:
    """The handler of every command, behind the limit on wrong PINs if there is one."""
    if not rules.pin_failures_max:
        return HANDLERS
    limits = PinLimits(rules.pin_failures_max)
    return {
        code: limits.limited(handler) if code in VERIFYING else handler for code, handler in HANDLERS.items()
    }


def _trailer(fields: Fields) -> bytes:
    """The trailer of a request as its reply carries it; taken out of the fields."""
    trailer = fields.pop(TRAILER, None)
    return b"" if trailer is None else b"\x19" + trailer.encode("ascii")
