"""One connection of a network's switch: frames in, questions admitted, answers out.

A peer can only harm itself: whatever it sends or fails to do ends at most its own link, with a counted reason
and one masked log line.
"""

import msgspec
import trio

from processor.core.desk import Desk, Flight
from processor.core.executor import Core
from processor.iso8583.codec import Codec, PyisoCodec
from processor.iso8583.framing import Framer
from processor.iso8583.message import Message
from processor.links.outbox import Outbox
from processor.networks.adapters import DIALECTS, FRAMINGS
from processor.networks.profile import Profile
from processor.networks.recognise import Recogniser
from processor.networks.respond import Responder, wants_answer
from processor.services.journal_writer import JournalWriter
from processor.services.log import Log
from processor.services.meters import Meters
from processor.values.clock import Clock
from processor.values.commands import Sign
from processor.values.errors import DecodeError, FrameError, Unsupported
from processor.values.outcome import Outcome, Reply
from processor.values.reasons import Reason
from processor.values.requests import Authorization, NetworkManagement, Signal
from processor.values.sensitive import Tokens

READ_BYTES = 65_536


class LinkLimits(msgspec.Struct, frozen=True):
    """What one peer may use. Seconds and bytes; see the configuration for what each is for."""

    frame_bytes_max: int
    in_flight_max: int
    unsent_bytes_max: int
    first_frame_s: float
    frame_s: float
    idle_s: float
    send_s: float


class Network:
    """What the links of one network share: its profile and what is made from it."""

    def __init__(self, profile: Profile, tokens: Tokens) -> None:
        self.profile = profile
        self.dialect = DIALECTS[profile.dialect]
        self.frame_rule = FRAMINGS[profile.framing]
        self.codec: Codec = PyisoCodec(self.dialect)
        self.recogniser = Recogniser(profile, tokens)
        self.responder = Responder(profile)
        self.budget_s = profile.timers.answer_ms / 1000


class Switchboard(msgspec.Struct, frozen=True):
    """What every card link needs of the processor."""

    core: Core
    desk: Desk
    journal: JournalWriter
    clock: Clock
    meters: Meters
    log: Log
    limits: LinkLimits


class _Ended(Exception):  # noqa: N818 - a reason to end the link, not a fault of ours
    """The link is over; ``reason`` is the constant it is counted under."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Waiting:
    """One message that waits for its answer on this link."""

    __slots__ = ("_link", "_message")

    def __init__(self, link: "CardLink", message: Message) -> None:
        self._link = link
        self._message = message

    def answer(self, outcome: Outcome, flight: Flight | None) -> None:
        """Send the answer to the frame that asked."""
        self._link.answer(self._message, outcome, flight)


class CardLink:
    """One peer's connection, from its first byte to its end."""

    def __init__(self, network: Network, board: Switchboard, stream: trio.SocketStream, peer: str) -> None:
        self._network = network
        self._board = board
        self._stream = stream
        self._peer = peer
        self._framer = Framer(network.frame_rule, board.limits.frame_bytes_max)
        self._outbox = Outbox(board.limits.unsent_bytes_max, board.limits.send_s)
        self._in_flight = 0
        self._room = trio.Event()  # set while the peer may have more in flight
        self._room.set()
        self._over = False  # nothing is sent any more
        self._reason = "closed"
        self._scope = trio.CancelScope()
        self._reading = trio.CancelScope()

    async def run(self) -> None:
        """Serve the peer until the link ends; never raises for anything the peer did."""
        try:
            async with self._stream, trio.open_nursery() as nursery:
                self._scope = nursery.cancel_scope
                nursery.start_soon(self._send)
                with self._reading:
                    await self._read()
                await self._answered()
                self._outbox.close_when_empty()
        except* _Ended as ended:
            self._reason = _reason(ended)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            self._reason = "broken"
        finally:
            self._over = True
        name = self._network.profile.name
        self._board.meters.link_ended(name, self._reason)
        if self._reason != "closed":
            self._board.log.warning("link ended", network=name, peer=self._peer, reason=self._reason)

    def answer(self, asked: Message, outcome: Outcome, flight: Flight | None) -> None:
        """Build the response to ``asked`` and queue it."""
        self._in_flight -= 1
        self._room.set()
        for alert in outcome.alerts:
            self._board.meters.alert(self._network.profile.name, alert)
            self._board.log.warning(
                "look at this", reason=alert, network=self._network.profile.name, record=outcome.sequence
            )
        self._send_reply(asked, outcome.reply, flight)

    def stop_reading(self) -> None:
        """Ask nothing more of the peer: the link ends when what it has asked is answered."""
        self._reading.cancel()

    async def _read(self) -> None:
        """Read and handle until the peer closes; frames that came in one read are one batch."""
        limits = self._board.limits
        due_s, reason = trio.current_time() + limits.first_frame_s, "no_first_frame"
        while True:
            with trio.move_on_at(due_s) as timer:
                data = await self._stream.receive_some(READ_BYTES)
            if timer.cancelled_caught:
                raise _Ended(reason)
            if not data:
                if self._framer.partial:
                    raise _Ended("closed_inside_frame")
                return
            self._framer.receive(data)
            whole = self._handle_arrived()
            self._board.desk.settle()
            if not self._framer.partial:
                due_s, reason = trio.current_time() + limits.idle_s, "idle"
            elif whole or reason != "frame_not_finished":  # a new frame has begun: all of it is due together
                due_s, reason = trio.current_time() + limits.frame_s, "frame_not_finished"
            while self._in_flight >= limits.in_flight_max:
                self._room = trio.Event()
                await self._room.wait()

    def _handle_arrived(self) -> bool:
        """Handle every complete frame; whether there was one."""
        clock = self._board.clock
        received_ms = clock.wall_ms()
        any_frame = False
        try:
            while frames := self._framer.frames():
                any_frame = True
                for frame in frames:
                    self._handle(frame, received_ms)
        except FrameError as error:
            raise _Ended(error.reason) from None
        return any_frame

    def _handle(self, frame: bytes, received_ms: int) -> None:
        """One frame: decode, recognise, and admit or answer."""
        network, board = self._network, self._board
        if not frame:  # a keep-alive poll is echoed
            self._push(network.frame_rule.frame(b""))
            return
        began_s = board.clock.monotonic_s()
        network.dialect.header.check(frame)
        try:
            message = network.codec.decode(frame)
            question = network.recogniser.recognise(message, received_ms)
        except DecodeError as error:
            self._refuse(frame, error, error.partial, Reason.FORMAT_ERROR)
            return
        except Unsupported as error:
            self._refuse(frame, error, error.elements, Reason.UNSUPPORTED_TRANSACTION)
            return
        request = question.request
        board.meters.stage("decode", board.clock.monotonic_s() - began_s)
        self._in_flight += 1
        if isinstance(request, NetworkManagement):
            self._manage(request, message, received_ms)
            return
        budget_s = network.budget_s if isinstance(request, Authorization) else None
        board.desk.admit(request, question.evidence, _Waiting(self, message), received_ms, budget_s)

    def _manage(self, request: NetworkManagement, message: Message, received_ms: int) -> None:
        """Sign-on and sign-off are state, so they are answered once they are on disk; an echo is not."""
        accepted = Outcome(0, Reply(Reason.ACCEPTED))
        if request.signal is Signal.ECHO:
            self.answer(message, accepted, None)
            return
        signed_on = request.signal is Signal.SIGN_ON
        outcome = self._board.core.execute(
            Sign(request.network, signed_on, received_ms), self._board.clock.wall_ms()
        )
        self._board.log.info(
            "signed on" if signed_on else "signed off", network=request.network, peer=self._peer
        )
        self._board.journal.when_durable(outcome.sequence, lambda: self.answer(message, accepted, None))

    def _refuse(
        self, frame: bytes, error: DecodeError | Unsupported, elements: dict[int, str], reason: Reason
    ) -> None:
        """Answer what can be answered of a message that is not served: echoes of what could be read."""
        name, mti = self._network.profile.name, error.mti
        answerable = wants_answer(mti)
        element = error.element if isinstance(error, DecodeError) else 0
        self._board.meters.refused(name, reason.value if answerable else "not_a_request", element)
        rule = error.rule if isinstance(error, DecodeError) else str(error)
        self._board.log.warning(
            "message refused", network=name, peer=self._peer, mti=mti, element=element, rule=rule
        )
        if answerable:
            header = frame[: self._network.dialect.header.length_bytes]
            self._send_reply(Message(header, mti, elements), Reply(reason), None, element)

    def _send_reply(self, asked: Message, reply: Reply, flight: Flight | None, in_error: int = 0) -> None:
        network, board = self._network, self._board
        if self._over or (reply.reason is Reason.LATE and network.profile.timers.late == "silence"):
            return
        began_s = board.clock.monotonic_s()
        try:
            response = network.responder.respond(asked, reply, in_error)
            data = network.codec.encode(response)
        except (DecodeError, ValueError) as error:  # what was asked cannot be echoed: that harms one answer
            board.meters.refused(network.profile.name, "unanswerable")
            board.log.warning("answer cannot be written", network=network.profile.name, rule=str(error))
            return
        self._push(network.frame_rule.frame(data))
        board.meters.answer(network.profile.name, response.mti, response.elements[39])
        board.meters.stage("encode", board.clock.monotonic_s() - began_s)
        if flight is not None:
            board.meters.flight(flight, began_s)

    def _push(self, data: bytes) -> None:
        """Queue bytes; a peer that leaves too much unread loses its link."""
        if not self._over and not self._outbox.push(data):
            self._over = True
            self._reason = "peer_does_not_read"
            self._scope.cancel()

    async def _send(self) -> None:
        try:
            await self._outbox.run(self._stream)
        except trio.TooSlowError:
            raise _Ended("peer_does_not_read") from None

    async def _answered(self) -> None:
        """The peer has closed its sending side: wait for the answers it is still owed."""
        with trio.move_on_after(self._board.limits.send_s + self._network.budget_s):
            while self._in_flight:
                self._room = trio.Event()
                await self._room.wait()


def _reason(ended: ExceptionGroup[_Ended]) -> str:
    """The first reason inside."""
    first = ended.exceptions[0]
    return first.reason if isinstance(first, _Ended) else _reason(first)
