"""The routes. Health and metrics are open to whoever reaches the port; the rest asks for the token.

A name in a path is an RRN, a code, a token or a masked PAN. One that could be a clear PAN is refused, and no
refusal repeats what was asked for.
"""

import hmac
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST

from processor.replay.names import wrong_with
from processor.services.findings import Finding, worst
from processor.services.http.exposition import Exposition
from processor.services.http.questions import Busy, Questions, TakesTooLong
from processor.values.errors import Damaged

DEAD_S = 5.0  # a loop that has not turned for this long is not alive


class Views(msgspec.Struct, frozen=True):
    """What the routes show: ``metrics`` in Prometheus's format, ``loop_age_s`` since the loop last turned."""

    loop_age_s: Callable[[], float]
    metrics: Callable[[], Awaitable[bytes]]
    readiness: Callable[[], list[Finding]]
    status: Callable[[], dict[str, Any]]
    questions: Questions


def make_app(views: Views, token: str) -> FastAPI:
    """The application; ``token`` opens what is under ``/v1``."""
    app = FastAPI(title="Standin", openapi_url=None, redirect_slashes=False)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(TakesTooLong, _later)
    app.add_exception_handler(Busy, _later)
    app.add_exception_handler(Damaged, _damaged)
    app.add_exception_handler(OSError, _damaged)
    _add_health(app, views)
    _add_questions(app, views, Depends(_Guard(token)))
    return app


class _Guard:
    """Lets in whoever shows the token."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    async def __call__(
        self, shown: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]
    ) -> None:
        """Compare in constant time."""
        given = shown.credentials.encode("utf-8", "replace") if shown is not None else b""
        if not hmac.compare_digest(given, self._token):
            raise HTTPException(401, "show the token of the state folder", {"WWW-Authenticate": "Bearer"})


def _add_health(app: FastAPI, views: Views) -> None:
    exposition = Exposition(views.metrics)

    @app.get("/metrics")
    async def metrics() -> Response:
        """Every meter, in Prometheus's text format."""
        return Response(await exposition.read(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/livez")
    async def livez() -> Response:
        """200 while the loop turns, whatever else is wrong."""
        age_s = views.loop_age_s()
        alive = age_s < DEAD_S
        return _json({"alive": alive, "loop_age_s": round(age_s, 3)}, 200 if alive else 503)

    @app.get("/readyz")
    async def readyz() -> Response:
        """200 when authorizations can be served, 503 otherwise; every condition with its reason."""
        findings = views.readiness()
        ready = worst(findings) != "bad"
        return _json({"ready": ready, "conditions": findings}, 200 if ready else 503)


def _add_questions(app: FastAPI, views: Views, guard: Any) -> None:  # noqa: ANN401 - as FastAPI has it
    @app.get("/v1/why/{name}", dependencies=[guard])
    async def why(name: str, pick: int = 0) -> Response:
        """The story of the transaction with this RRN, authorization code, STAN or record number."""
        return _json(await views.questions.why(_checked(name), pick))

    @app.get("/v1/book/{name}", dependencies=[guard])
    async def book(name: str) -> Response:
        """The statement of a card (token or masked PAN) or an account."""
        return _json(await views.questions.book(_checked(name)))

    @app.get("/v1/status", dependencies=[guard])
    async def status() -> Response:
        """The processor's figures."""
        return _json(views.status())

    @app.get("/v1/doctor", dependencies=[guard])
    async def doctor() -> Response:
        """What the processor finds wrong with itself."""
        return _json(views.readiness())


def _checked(name: str) -> str:
    if wrong := wrong_with(name):
        raise HTTPException(400, wrong)
    return name


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


async def _not_understood(_: Request, __: Exception) -> Response:
    """FastAPI's own answer would repeat what was sent."""
    return _json({"detail": "a parameter is not what it should be"}, 422)


async def _later(_: Request, error: Exception) -> Response:
    return _json({"detail": str(error)}, 503)


async def _damaged(_: Request, error: Exception) -> Response:
    return _json({"detail": f"the journal cannot be read: {error}"}, 500)
