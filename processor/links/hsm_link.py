"""The processor's line to the HSM: pipelined, matched by header id, and never taken for granted.

Whatever keeps an answer away, silence, a broken line or an error of the HSM, the verdict is NO_ANSWER and
the policy decides what that is worth. Only 00 and 01 are verdicts; a PIN block that does not decode is a
wrong PIN.
"""

import itertools
import math
from collections.abc import Callable, Iterator

import msgspec
import trio

from processor.hsm.commands import request_writer
from processor.hsm.framing import HsmFramer, frame_message
from processor.hsm.keys import KeyUnderLmk
from processor.links.outbox import Outbox
from processor.services.log import Log
from processor.services.meters import Meters
from processor.values.cards import Card
from processor.values.clock import Clock
from processor.values.errors import FrameError
from processor.values.facts import Check, Facts
from processor.values.sensitive import Evidence

READ_BYTES = 65_536

_CVV = {b"CZ00": Check.PASSED, b"CZ01": Check.FAILED}
_PIN = {
    b"ED00": Check.PASSED,
    b"ED01": Check.FAILED,
    b"ED20": Check.FAILED,  # the decrypted block is not a PIN block: a wrong PIN to everybody outside
    b"ED24": Check.FAILED,  # a PIN shorter than 4 or longer than 12
}


class HsmKeys(msgspec.Struct, frozen=True):
    """The keys that verification needs, under the LMK."""

    zpk: KeyUnderLmk
    pvk: KeyUnderLmk
    cvk: KeyUnderLmk


class _Verification:
    """The questions of one request that are not answered yet."""

    __slots__ = ("card_version", "cvv", "done", "open", "pin")

    def __init__(self, card_version: int, done: Callable[[Facts], None]) -> None:
        self.card_version = card_version
        self.cvv = self.pin = Check.NOT_ASKED
        self.open = 0
        self.done = done


class _Asked(msgspec.Struct, frozen=True):
    verification: _Verification
    is_pin: bool
    sent_s: float


class HsmLink:
    """One connection to one HSM, kept up for as long as it runs.

    ``settle`` is called after each batch of verdicts. An id whose answer did not come in time is not used
    again before ``quarantine_s`` are over, so that a late answer cannot be taken for another card's.
    """

    def __init__(
        self,
        host: str,
        port: int,
        keys: HsmKeys,
        *,
        timeout_s: float,
        in_flight_max: int,
        clock: Clock,
        meters: Meters,
        log: Log,
    ) -> None:
        self._host, self._port = host, port
        self._keys = keys
        self._timeout_s = timeout_s
        self._in_flight_max = in_flight_max
        self._clock = clock
        self._meters = meters
        self._log = log
        self._write_cvv = request_writer("CY")
        self._write_pin = request_writer("EC")
        self._outbox: Outbox | None = None
        self._asked: dict[bytes, _Asked] = {}
        self._late: dict[bytes, float] = {}  # quarantined ids and when they timed out
        self._ids = _header_ids()
        self.reached = trio.Event()  # set once there has been a line
        self.settle: Callable[[], None] = lambda: None

    @property
    def connected(self) -> bool:
        """Whether there is a line to the HSM."""
        return self._outbox is not None

    def verify(
        self, evidence: Evidence, card: Card, *, cvv: bool, pin: bool, done: Callable[[Facts], None]
    ) -> Facts | None:
        """Send the questions; ``done`` is called with the verdicts, or facts are returned at once.

        At once means NO_ANSWER: there is no line, or too many questions are open on it.
        """
        silent = Facts(
            Check.NO_ANSWER if cvv else Check.NOT_ASKED,
            Check.NO_ANSWER if pin else Check.NOT_ASKED,
            card.version,
        )
        if self._outbox is None or len(self._asked) >= self._in_flight_max:
            self._meters.hsm("unavailable")
            return silent
        try:
            cvv_message = self._cvv_message(evidence, card) if cvv else b""
            pin_message = self._pin_message(evidence, card) if pin else b""
        except ValueError as error:  # names the field that does not fit, never its value
            self._meters.hsm("unaskable")
            self._log.error("hsm question does not fit its command", reason=str(error))
            return silent
        verification = _Verification(card.version, done)
        if cvv_message:
            self._ask(verification, is_pin=False, message=cvv_message)
        if pin_message:
            self._ask(verification, is_pin=True, message=pin_message)
        return None

    async def run(self) -> None:
        """Keep a connection up until cancelled; reconnect with a growing pause."""
        pauses = _pauses()
        while True:
            try:
                stream = await trio.open_tcp_stream(self._host, self._port)
            except OSError as error:
                self._log.warning("hsm unreachable", host=self._host, port=self._port, error=str(error))
            else:
                pauses = _pauses()
                self._log.info("hsm connected", host=self._host, port=self._port)
                reason = await self._converse(stream)
                self._log.warning("hsm line lost", reason=reason)
                self._meters.hsm("line_lost")
            await trio.sleep(next(pauses))

    def sweep(self) -> None:
        """Give up the questions whose time is over; called every few milliseconds."""
        now_s = self._clock.monotonic_s()
        due = now_s - self._timeout_s
        late = [header for header, asked in self._asked.items() if asked.sent_s <= due]
        for header in late:
            self._meters.hsm("timeout")
            self._late[header] = now_s
            self._verdict(self._asked.pop(header), Check.NO_ANSWER)
        for header in [h for h, since_s in self._late.items() if since_s <= now_s - 60]:
            del self._late[header]
        if late:
            self.settle()

    def _cvv_message(self, evidence: Evidence, card: Card) -> bytes:
        return self._write_cvv(
            self._keys.cvk.value,
            evidence.cvv,
            evidence.pan.reveal(),
            evidence.cvv_expiry or card.expiry,
            evidence.cvv_service_code,
        )

    def _pin_message(self, evidence: Evidence, card: Card) -> bytes:
        return self._write_pin(
            self._keys.zpk.value,
            self._keys.pvk.value,
            evidence.pin_block,
            evidence.pin_format,
            evidence.pan.account_12(),
            card.pvki,
            card.pvv,
        )

    def _ask(self, verification: _Verification, *, is_pin: bool, message: bytes) -> None:
        header = next(self._ids)
        while header in self._asked or header in self._late:
            header = next(self._ids)
        verification.open += 1
        self._asked[header] = _Asked(verification, is_pin, self._clock.monotonic_s())
        assert self._outbox is not None, "asked without a line"
        self._outbox.push(frame_message(header, message))

    async def _converse(self, stream: trio.SocketStream) -> str:
        """Use one connection until it ends; says why it did."""
        reason = "closed by the HSM"
        self._outbox = Outbox(limit_bytes=1 << 24)
        self.reached.set()
        try:
            async with stream, trio.open_nursery() as nursery:
                nursery.start_soon(self._outbox.run, stream)
                reason = await self._read(stream)
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            reason = "broken"
        finally:
            self._outbox = None
            self._abandon()
        return reason

    async def _read(self, stream: trio.SocketStream) -> str:
        framer = HsmFramer()
        while True:
            try:
                data = await stream.receive_some(READ_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return "broken"
            if not data:
                return "closed by the HSM"
            framer.receive(data)
            try:
                while frames := framer.frames():
                    for frame in frames:
                        self._reply(frame)
            except FrameError as error:
                return error.reason
            finally:
                self.settle()

    def _reply(self, frame: bytes) -> None:
        asked = self._asked.pop(frame[:4], None)
        if asked is None:
            late = self._late.pop(frame[:4], None) is not None
            self._meters.hsm("late" if late else "unmatched")
            return
        verdict = (_PIN if asked.is_pin else _CVV).get(frame[4:8], Check.NO_ANSWER)
        if verdict is Check.NO_ANSWER:
            self._meters.hsm("error")
            self._log.error("hsm refused", answer=frame[4:8].decode("ascii", "replace"))
        else:
            self._meters.hsm("answered")
        self._verdict(asked, verdict)

    def _verdict(self, asked: _Asked, verdict: Check) -> None:
        verification = asked.verification
        if asked.is_pin:
            verification.pin = verdict
        else:
            verification.cvv = verdict
        verification.open -= 1
        if not verification.open:
            verification.done(Facts(verification.cvv, verification.pin, verification.card_version))

    def _abandon(self) -> None:
        """The line is gone: nothing that was asked on it will be answered."""
        abandoned, self._asked = list(self._asked.values()), {}
        for asked in abandoned:
            self._meters.hsm("line_lost")
            self._verdict(asked, Check.NO_ANSWER)
        self.settle()


def _header_ids() -> Iterator[bytes]:
    """Four characters 0-9 and A-Z, round and round."""
    digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    while True:
        for letters in itertools.product(digits, repeat=4):
            yield bytes(letters)


def _pauses() -> Iterator[float]:
    """Seconds between attempts to connect: doubling up to two."""
    for attempt in itertools.count():
        yield min(0.05 * math.pow(2, attempt), 2.0)
