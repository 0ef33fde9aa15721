"""Where connections are until they have asked: few places, and the oldest is lost to whoever comes."""

from collections.abc import Callable

import trio

HEAD_BYTES_MAX = 16_384
HEAD_S = 5.0  # for a request's head to be whole
READ_BYTES = 4096


class Anteroom:
    """Waits for the heads of requests; ``lost`` is called when one loses its place to one that comes."""

    def __init__(self, places: int, lost: Callable[[], None]) -> None:
        self._places = places
        self._lost = lost
        self._inside: dict[trio.CancelScope, None] = {}  # the oldest first

    async def head_of(self, stream: trio.SocketStream) -> bytes:
        """What has come with the end of the first head in it, or is longer than any head.

        Empty when the peer has gone, is too slow, or has lost its place.
        """
        scope = trio.CancelScope(deadline=trio.current_time() + HEAD_S)
        self._enter(scope)
        head = bytearray()
        try:
            with scope:
                while not _is_whole(head):
                    data = await stream.receive_some(READ_BYTES)
                    if not data:
                        break
                    head += data
                else:
                    return bytes(head)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # reset by the peer
        finally:
            self._inside.pop(scope, None)
        return b""

    def _enter(self, scope: trio.CancelScope) -> None:
        if len(self._inside) >= self._places:
            oldest = next(iter(self._inside))
            del self._inside[oldest]
            oldest.cancel()
            self._lost()
        self._inside[scope] = None


def _is_whole(head: bytearray) -> bool:
    """Whether there is an empty line, as h11 ends a head, or more than it would take."""
    return b"\n\r\n" in head or b"\n\n" in head or len(head) > HEAD_BYTES_MAX
