"""Exceptions, by whose fault they are.

A refusal ("insufficient funds") is a value, never an exception.

    StandinError
    ├── PeerError          they broke the protocol: answered, or hung up on
    │   ├── FrameError     the byte stream is lost: close the link
    │   ├── DecodeError    the frame is sound, the message is not: answer a format error
    │   └── Unsupported    the message is sound and of a type this processor does not serve
    ├── WorldError         expected, counted, survived (or the process stops on purpose)
    │   ├── HsmError       the HSM said something that cannot be used
    │   └── JournalError
    │       ├── Fenced     somebody else owns the shard now
    │       ├── Ambiguous  a write or fsync failed: nobody knows what is on disk
    │       ├── Full       no space left
    │       └── Damaged    bytes on disk are not what was written
    └── ConfigError        the operator's input; carries every problem at once

Errors of our own are AssertionError: they stop the process before it writes a wrong balance.
"""

from collections.abc import Sequence


class StandinError(Exception):
    """Base of every error this project raises on purpose."""


class PeerError(StandinError):
    """The peer broke the protocol."""


class FrameError(PeerError):
    """The framing cannot be right, so nothing after it can be trusted; the link is closed.

    ``reason`` is a short constant for a counter, such as ``frame_too_long``.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class DecodeError(PeerError):
    """A message in a sound frame that cannot be read; its text never quotes the offending value.

    ``element`` is the data element's number (0 for the MTI or a bitmap), ``offset`` the byte in the message
    where reading stopped (-1 if unknown), ``value`` what stood there, masked as a message masks it (empty if
    nothing could be read), ``partial`` what else of the message is certain, so that a format-error reply can
    echo it: the elements before, and those behind as far as it is sure where they begin.
    """

    def __init__(
        self,
        element: int,
        rule: str,
        *,
        offset: int = -1,
        mti: str = "",
        partial: dict[int, str] | None = None,
        value: str = "",
    ) -> None:
        where = f" at byte {offset}" if offset >= 0 else ""
        super().__init__(f"DE {element}{where}: {rule}")
        self.element = element
        self.rule = rule
        self.offset = offset
        self.mti = mti
        self.partial = partial or {}
        self.value = value


class Unsupported(PeerError):  # noqa: N818 - says what the message is
    """A sound message that is not served; ``what`` says why, ``elements`` are for the echoes."""

    def __init__(self, what: str, mti: str, elements: dict[int, str]) -> None:
        super().__init__(f"{what} is not served")
        self.mti = mti
        self.elements = elements


class WorldError(StandinError):
    """Something outside failed in an expected way."""


class HsmError(WorldError):
    """The HSM's reply cannot be used."""


class JournalError(WorldError):
    """The journal cannot promise what it must."""


class Fenced(JournalError):  # noqa: N818 - the journal contract's own words
    """Another owner has acquired this shard with a higher epoch."""


class Ambiguous(JournalError):  # noqa: N818
    """A write or fsync failed; what is on disk is unknown, so the process must stop."""


class Full(JournalError):  # noqa: N818
    """There is no space for the next segment."""


class Damaged(JournalError):  # noqa: N818
    """A record that was once durable can no longer be read."""


class ConfigError(StandinError):
    """Every problem of a configuration at once, each beginning with its key's path."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
