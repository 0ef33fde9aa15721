"""The metrics' text, rendered for whoever asks, but only so often: rendering takes from the cards' time."""

from collections.abc import Awaitable, Callable

import trio

from processor.services.http.pace import Pace

RENDERED_PER_S = 2.0
RENDERED_AT_ONCE = 5


class Exposition:
    """Renders one at a time. Who asks too often gets the last text again, of half a second ago at most."""

    def __init__(self, render: Callable[[], Awaitable[bytes]]) -> None:
        self._render = render
        self._pace = Pace(RENDERED_PER_S, RENDERED_AT_ONCE)
        self._turn = trio.Lock()
        self._text = b""

    async def read(self) -> bytes:
        """The text as it is now, or as it was just now."""
        async with self._turn:
            now_s = trio.current_time()
            if not self._text or self._pace.wait_s(now_s) == 0.0:
                self._pace.take(now_s)
                self._text = await self._render()
            return self._text
