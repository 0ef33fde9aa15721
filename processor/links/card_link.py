"""One connection of a network's switch: frames in, questions admitted, answers out.

A peer can only harm itself: whatever it sends or fails to do ends at most its own link, with a counted reason
and one masked log line.
"""

import trio

from processor.core.desk import Flight, Question
from processor.core.unmatched import is_unmatched
from processor.iso8583.framing import Framer
from processor.iso8583.header import Rejection
from processor.iso8583.message import Message
from processor.links.answers import Answers
from processor.links.machine import STOPPED, Action, Ask, Machine, State
from processor.links.outbox import Mark, Outbox
from processor.links.strays import tell_rejection, tell_response
from processor.links.switchboard import Network, Origin, Switchboard
from processor.services.views import tell
from processor.values.commands import Sign
from processor.values.errors import DecodeError, FrameError, Unsupported
from processor.values.outcome import Outcome, Reply
from processor.values.reasons import Reason
from processor.values.requests import Authorization, NetworkManagement, Signal

READ_BYTES = 65_536
LINGER_S = 1.0
_SIGNS = frozenset({Signal.SIGN_ON, Signal.SIGN_OFF})
_ANSWERS = "13"  # the third digit of an MTI: responses to requests and to advices
_ADVICE = "2"  # about the link itself (0820) it gets no answer
TURN_FRAMES = 32  # frames of one link that are handled before the others get their turn

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]

_METERED = {
    State.DISCONNECTED: "down",
    State.CONNECTED: "connected",
    State.SIGNED_OFF: "signed_off",
    State.SIGNED_ON: "signed_on",
    State.ADVICE_RECOVERY: "signed_on",
}


class _Waiting:
    """One message that waits for its answer on this link; ``arrived_s`` is when it had been read whole."""

    __slots__ = ("_arrived_s", "_link", "_message", "_number", "_request")

    def __init__(
        self, link: "CardLink", message: Message, request: Question, arrived_s: float, number: int
    ) -> None:
        self._link = link
        self._number = number  # of the frame, in a trace
        self._message = message
        self._request = request
        self._arrived_s = arrived_s

    def answer(self, outcome: Outcome, flight: Flight | None) -> None:
        """Send the answer to the frame that asked, and tell what became of the question."""
        self._link.answer(self._message, outcome, self._arrived_s, self._number)
        self._link.tell(self._request, outcome, flight, self._arrived_s)


class CardLink:
    """One peer's connection, from its first byte to its end."""

    def __init__(self, network: Network, board: Switchboard, stream: Stream, origin: Origin) -> None:
        self._network = network
        self._board = board
        self._stream = stream
        self._origin = origin
        self._peer = origin.peer
        says, signed_on = network.says(origin.role), board.core.signed_on(network.profile.name)
        self._machine = Machine(board.limits.patience, says, signed_on=signed_on)
        self._asking = network.asking(origin)
        self._timer = trio.CancelScope()  # of the read that is waiting
        self._asked_s = 0.0
        self._framer = Framer(network.frame_rule, board.limits.frame_bytes_max)
        self._outbox = Outbox(board.limits.unsent_bytes_max, board.limits.send_s, self._written)
        self._answers = Answers(network, board, self._peer, self._outbox, self._overrun)
        self._in_flight = 0
        self._arrived_s = 0.0  # when the frames at hand had been read
        self._meter = board.meters.link(network.profile.name)
        self._meter.load = lambda: (self._in_flight, self._outbox.unsent_bytes)
        self._room = trio.Event()  # set while the peer may have more in flight
        self._room.set()
        self._reason = "closed"
        self._scope = trio.CancelScope()
        self._reading = trio.CancelScope()
        self._sent = trio.Event()  # once everything is, that is to be

    async def run(self) -> None:
        """Serve the peer until the link ends; never raises for anything the peer did."""
        self._network.links.add(self)
        try:
            async with trio.open_nursery() as nursery:
                self._scope = nursery.cancel_scope
                nursery.start_soon(self._send)
                with self._reading:
                    await self._read()
                await self._wind_up()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end("broken")
        finally:
            self._answers.over = True
            self._network.links.discard(self)
            self._machine.lost()
            self._meter.end()
            await self._close()
        name = self._network.profile.name
        self._board.meters.link_ended(name, self._reason)
        if self._reason != "closed":
            self._board.log.warning("link ended", network=name, peer=self._peer, reason=self._reason)

    def answer(self, asked: Message, outcome: Outcome, arrived_s: float, number: int) -> None:
        """Build the response to ``asked`` and queue it."""
        self._one_less()
        self._answers.send(asked, outcome, arrived_s, number)

    def tell(self, request: Question, outcome: Outcome, flight: Flight | None, arrived_s: float) -> None:
        """Count and log what became of a question; called once its answer is queued."""
        board = self._board
        code = self._network.profile.response_code(outcome.reply.reason)
        tell(board.meters, board.log, request, outcome, flight, code, arrived_s, board.clock.monotonic_s())
        if flight is not None and not isinstance(request, Authorization) and is_unmatched(outcome):
            self._network.strays.tell(board, request, outcome)

    def stop(self) -> None:
        """Sign off where that is ours to do, read nothing more, and end when what was asked is answered."""
        self._do(self._machine.stop(trio.current_time(), signs=self._origin.signs))

    def told(self, signal: Signal) -> None:
        """The member was signed on or off, on this link or on another."""
        self._do(self._machine.told(signal))
        self._show_state()

    async def _read(self) -> None:
        """Read and handle until the peer closes, is silent for too long, or we leave."""
        machine, now = self._machine, trio.current_time
        self._do(machine.opened(now(), dialled=self._origin.role == "client", signs=self._origin.signs))
        self._show_state()
        while True:
            with trio.move_on_at(machine.due_s) as self._timer:
                data = await self._stream.receive_some(READ_BYTES)
            if self._timer.cancelled_caught:
                self._do(machine.fell_due(now()))
                continue
            if not data:
                if self._framer.partial:
                    self._end("closed_inside_frame")
                return
            self._framer.receive(bytes(data))
            try:
                await self._handle_arrived()
            except FrameError as error:  # the stream is lost; what came before is answered
                self._end(error.reason)
                return

    async def _handle_arrived(self) -> None:
        """Handle every complete frame, so many in one turn and as one batch, as far as there is room."""
        clock, machine = self._board.clock, self._machine
        before, whole = machine.state, False
        while frames := self._framer.frames():
            at = 0
            while at < len(frames):
                if whole:
                    await trio.lowlevel.checkpoint()
                turn = frames[at : at + min(TURN_FRAMES, await self._room_for())]
                at += len(turn)
                received_ms = clock.wall_ms()
                self._arrived_s = clock.monotonic_s()
                self._meter.last_message_s = received_ms / 1000
                try:
                    for frame in turn:
                        self._handle(frame, received_ms)
                finally:
                    self._board.desk.settle()
                whole = True
        await self._room_for()
        machine.arrived(trio.current_time(), whole=whole, partial=self._framer.partial)
        if machine.state is not before:
            self._show_state()

    async def _room_for(self) -> int:
        """How many more questions may be in flight, once that is one at least; nothing is read meanwhile."""
        limits, shares = self._board.limits, self._board.shares
        while (room := min(limits.in_flight_max, shares.of(self._in_flight)) - self._in_flight) <= 0:
            began_s = trio.current_time()
            self._room = trio.Event()
            await self._room.wait()
            self._machine.held(trio.current_time() - began_s)
        return room

    def _one_more(self) -> None:
        self._in_flight += 1
        if self._in_flight == 1:
            self._board.shares.busy += 1

    def _one_less(self) -> None:
        self._in_flight -= 1
        if not self._in_flight:
            self._board.shares.busy -= 1
        self._room.set()

    def _do(self, action: Action | None) -> None:
        """What the machine says."""
        if action is None:
            return
        if isinstance(action, Ask):
            self._ask(action.signal)
            return
        if action.reason != STOPPED:
            self._end(action.reason)
        self._reading.cancel()

    def _end(self, reason: str) -> None:
        """The link ends for this reason, unless it was ending already."""
        if self._reason == "closed":
            self._reason = reason

    def _ask(self, signal: Signal) -> None:
        message = self._asking.ask(signal, self._board.clock.wall_ms())
        self._answers.push(self._network.frame_rule.frame(self._network.codec.encode(message)))
        self._asked_s = trio.current_time()
        self._timer.deadline = self._machine.due_s

    def _show_state(self) -> None:
        self._meter.enter(_METERED[self._machine.state])

    def _handle(self, frame: bytes, received_ms: int) -> None:
        """One frame: decode, recognise, and admit or answer."""
        network, board = self._network, self._board
        if not frame:  # a keep-alive poll is echoed, but not the echo of an echo
            if self._machine.poll(trio.current_time()):
                self._answers.push(network.frame_rule.frame(b""))
            return
        began_s = board.clock.monotonic_s()
        try:
            network.dialect.header.check(frame)
        except FrameError:
            self._answers.refuse_header(frame)
            raise
        if (rejection := network.dialect.header.rejection(frame)) is not None:
            self._take_rejection(rejection)
            return
        try:
            message = network.codec.decode(frame)
            if message.mti[2] in _ANSWERS:
                self._take_answer(message)
                return
            question = network.recogniser.recognise(message, received_ms)
        except DecodeError as error:
            self._answers.refuse(frame, error, Reason.FORMAT_ERROR, received_ms, self._arrived_s)
            return
        except Unsupported as error:
            reason = Reason.UNSUPPORTED_TRANSACTION
            self._answers.refuse(frame, error, reason, received_ms, self._arrived_s)
            return
        request, number = question.request, 0
        if board.recorder is not None:
            name = network.profile.name
            number = board.recorder.arrived(self._answers.slot, name, received_ms, frame, message, request)
        board.meters.asked(network.profile.name, message.mti)
        board.meters.stages["decode"].observe(board.clock.monotonic_s() - began_s)
        self._one_more()
        if isinstance(request, NetworkManagement):
            self._manage(request, message, received_ms, number)
            return
        budget_s = network.budget_s if isinstance(request, Authorization) else None
        waiting = _Waiting(self, message, request, self._arrived_s, number)
        board.desk.admit(request, question.evidence, waiting, received_ms, budget_s)

    def _manage(self, request: NetworkManagement, message: Message, received_ms: int, number: int) -> None:
        """Sign-on and sign-off are state, so they are answered once they are on disk; an echo is not."""
        accepted, arrived_s = Outcome(0, Reply(Reason.ACCEPTED)), self._arrived_s
        self._asking.header = self._network.dialect.header.reply(message.header)
        if request.signal in _SIGNS:
            sequence = self._sign(request.signal, received_ms)
            self._board.journal.when_durable(
                sequence, lambda: self.answer(message, accepted, arrived_s, number)
            )
            return
        self.told(request.signal)
        if message.mti[2] == _ADVICE:
            self._one_less()
        else:
            self.answer(message, accepted, arrived_s, number)

    def _sign(self, signal: Signal, received_ms: int) -> int:
        """The member is signed on or off from now on; the number of the record that says so."""
        board, name = self._board, self._network.profile.name
        signed_on = signal is Signal.SIGN_ON
        outcome = board.core.execute(Sign(name, signed_on, received_ms), board.clock.wall_ms())
        self._network.told(signal)
        board.log.info("signed on" if signed_on else "signed off", network=name, peer=self._peer)
        return outcome.sequence

    def _take_answer(self, message: Message) -> None:
        """A response came: to something that we asked on this link, or else to nothing we know of."""
        board, name = self._board, self._network.profile.name
        answered = self._asking.answered(message)
        if answered is None:
            tell_response(board, name, self._peer, message, self._asking.unlike(message))
            return
        signal, accepted = answered
        if signal is Signal.ECHO:
            self._meter.echo_rtt_s = trio.current_time() - self._asked_s
        if accepted and signal in _SIGNS:
            self._sign(signal, board.clock.wall_ms())
        self._do(self._machine.replied(signal, trio.current_time(), accepted=accepted))

    def _take_rejection(self, rejection: Rejection) -> None:
        """A frame of ours came back: a question has its answer, and an answer was never given."""
        try:
            message = self._network.codec.decode(rejection.frame)
        except DecodeError:
            message = None
        signal = self._asking.rejected(message) if message is not None else None
        was_sent = signal is not None or self._answers.sent(rejection.frame)
        profile = self._network.profile
        tell_rejection(self._board, profile, self._peer, rejection, message if was_sent else None)
        if signal is not None:
            self._do(self._machine.replied(signal, trio.current_time(), accepted=False))

    def _written(self, marks: list[Mark]) -> None:
        """The answers that bear these marks have been taken by the peer's socket."""
        now_s = self._board.clock.monotonic_s()
        for latencies, arrived_s in marks:
            latencies.observe(now_s - arrived_s)

    def _overrun(self) -> None:
        """The peer leaves too much unread: no answer reaches it, so none is waited for."""
        self._answers.over = True
        self._end("peer_does_not_read")
        self._scope.cancel()

    async def _send(self) -> None:
        try:
            await self._outbox.run(self._stream)
            self._sent.set()
        except trio.TooSlowError:
            self._overrun()

    async def _wind_up(self) -> None:
        """Nothing is read any more: the peer gets the answers it is still owed, each in its time."""
        is_owed = self._in_flight > 0 or self._outbox.unsent_bytes > 0
        with trio.move_on_after(self._board.limits.send_s + self._network.budget_s):
            while self._in_flight:
                self._room = trio.Event()
                await self._room.wait()
        self._outbox.close_when_empty()
        await self._sent.wait()
        if is_owed and self._reason != "closed" and isinstance(self._stream, trio.SocketStream):
            await self._linger(self._stream)

    async def _linger(self, stream: trio.SocketStream) -> None:
        """Let the peer read: closing with its bytes unread is a reset, which may cost it its answers."""
        with trio.move_on_after(LINGER_S):
            await stream.send_eof()
            while await stream.receive_some(READ_BYTES):
                pass

    async def _close(self) -> None:
        """Also where the peer does not take TLS's last word."""
        with trio.move_on_after(self._board.limits.send_s):
            await self._stream.aclose()
