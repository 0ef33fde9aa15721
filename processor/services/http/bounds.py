"""What every request must fit into before the application sees it: a GET without a body, and no WebSocket."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_WEBSOCKET_POLICY = 1008  # RFC 6455, 7.4.1: policy violation


class Bounds:
    """Wraps an ASGI application. Heads are bounded by the server, time and number by the port."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what fits, refuse the rest."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _WEBSOCKET_POLICY})
        elif scope["type"] == "http":
            status = _refusal(scope)
            if status:
                for message in _answer(status):
                    await send(message)
            else:
                await self._app(scope, receive, send)


def _refusal(scope: Scope) -> int:
    """The status to refuse a request with, 0 for one that fits."""
    if scope["method"] != "GET":
        return 405
    headers = dict(scope["headers"])
    if b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0":
        return 413
    return 0


def _answer(status: int) -> tuple[Message, Message]:
    """A refusal without a body; the connection ends, because what was announced is not read."""
    headers = [(b"content-length", b"0"), (b"allow", b"GET"), (b"connection", b"close")]
    return (
        {"type": "http.response.start", "status": status, "headers": headers},
        {"type": "http.response.body", "body": b""},
    )
