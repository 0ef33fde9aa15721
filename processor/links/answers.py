"""What is sent to one peer: answers, format-error replies, header-level rejects; all counted and traced."""

from collections import deque
from collections.abc import Callable

from processor.iso8583.message import Message
from processor.links.outbox import Mark, Outbox
from processor.links.switchboard import Network, Switchboard
from processor.networks.respond import wants_answer
from processor.replay.notes import Fate
from processor.values.errors import DecodeError, Unsupported
from processor.values.outcome import Outcome, Reply
from processor.values.reasons import Reason

REMEMBERED = 1024
"""So many answers are remembered on a link whose network may reject them."""


class Answers:
    """One link's way out. ``overrun`` is called once, when the peer leaves too much unread."""

    def __init__(
        self, network: Network, board: Switchboard, peer: str, outbox: Outbox, overrun: Callable[[], None]
    ) -> None:
        self.over = False  # nothing is sent any more
        self.slot = board.recorder.link() if board.recorder is not None else 0  # this link, in a trace
        self._network = network
        self._board = board
        self._peer = peer
        self._outbox = outbox
        self._overrun = overrun
        may_be_rejected = network.dialect.header.rejects
        self._sent: deque[bytes] | None = deque(maxlen=REMEMBERED) if may_be_rejected else None

    def push(self, data: bytes, mark: Mark | None = None) -> None:
        """Queue a frame; a peer that leaves too much unread loses its link."""
        if not self.over and not self._outbox.push(data, mark):
            self.over = True
            self._overrun()

    def sent(self, frame: bytes) -> bool:
        """Whether this is an answer that was sent here, not long ago."""
        return self._sent is not None and frame in self._sent

    def send(
        self, asked: Message, outcome: Outcome, arrived_s: float, number: int, in_error: int = 0
    ) -> None:
        """Build the response to ``asked`` and queue it; ``number`` is the question's, in a trace."""
        network, board, reply = self._network, self._board, outcome.reply
        if self.over or (reply.reason is Reason.LATE and network.profile.timers.late == "silence"):
            self._record(number, asked, outcome, "gone" if self.over else "silence")
            return
        began_s = board.clock.monotonic_s()
        try:
            response = network.responder.respond(asked, reply, in_error)
            data = network.codec.encode(response)
        except (DecodeError, ValueError) as error:  # what was asked cannot be echoed: that harms one answer
            board.meters.refused(network.profile.name, "unanswerable")
            board.log.warning("answer cannot be written", network=network.profile.name, rule=str(error))
            self._record(number, asked, outcome, "unwritable")
            return
        latencies = board.meters.answered(
            network.profile.name, asked.mti, response.elements[39], reply.reason
        )
        self.push(network.frame_rule.frame(data), (latencies, arrived_s))
        if self._sent is not None:
            self._sent.append(data)
        board.meters.stages["encode"].observe(board.clock.monotonic_s() - began_s)
        self._record(number, asked, outcome, "sent", response, data)

    def refuse(
        self,
        frame: bytes,
        error: DecodeError | Unsupported,
        reason: Reason,
        received_ms: int,
        arrived_s: float,
    ) -> None:
        """Answer what can be answered of a message that is not served: echoes of what could be read."""
        name, mti = self._network.profile.name, error.mti
        if isinstance(error, DecodeError):
            element, elements, rule, code = error.element, error.partial, error.rule, self._reject_code(error)
        else:
            element, elements, rule, code = 0, error.elements, str(error), ""
        answerable = wants_answer(mti) and not code
        told = reason.value if answerable else "rejected" if code else "not_a_request"
        self._board.meters.refused(name, told, element)
        self._board.log.refused(network=name, peer=self._peer, mti=mti, element=element, rule=rule)
        asked, number = Message(frame[: self._network.dialect.header.length_bytes], mti, elements), 0
        if self._board.recorder is not None:
            number = self._board.recorder.refused(self.slot, name, received_ms, frame, asked, error)
        if answerable:
            self.send(asked, Outcome(0, Reply(reason)), arrived_s, number, element)
        elif code:
            self._reject(frame, code)

    def refuse_header(self, frame: bytes) -> None:
        """Reject a frame that its own header contradicts, where the profile says so."""
        if code := self._network.profile.rejects.header:
            self._reject(frame, code)

    def _reject_code(self, error: DecodeError) -> str:
        """The code for a message that no answer could be built for, if the profile has one."""
        rejects = self._network.profile.rejects
        if not error.mti:
            return rejects.message_type
        is_unread = error.offset >= 0 and not error.partial.keys() >= set(rejects.needs)
        return rejects.message if is_unread and wants_answer(error.mti) else ""

    def _reject(self, frame: bytes, code: str) -> None:
        """Send the frame back; what came as a reject itself never is."""
        if (rejection := self._network.dialect.header.reject(frame, code)) is not None:
            self.push(self._network.frame_rule.frame(rejection))
            self._board.meters.rejection(self._network.profile.name, "sent", code)

    def _record(
        self,
        number: int,
        asked: Message,
        outcome: Outcome,
        fate: Fate,
        response: Message | None = None,
        data: bytes = b"",
    ) -> None:
        """Tell the trace, if there is one, what became of a frame."""
        if number and self._board.recorder is not None:
            name = self._network.profile.name
            self._board.recorder.answered(number, name, asked, outcome, fate, response, data)
