"""The HTTP port without a processor: it is bounded, comes back after a failure, and its routes refuse."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
import trio
import trio.testing

from processor.book.state import State
from processor.services.findings import Finding
from processor.services.http import port as port_module
from processor.services.http import questions as questions_module
from processor.services.http.api import Views, make_app
from processor.services.http.exposition import RENDERED_AT_ONCE, Exposition
from processor.services.http.health import Vitals, readiness
from processor.services.http.port import HttpPort
from processor.services.http.questions import Busy, Questions, TakesTooLong
from processor.services.log import Log
from processor.services.meters import Meters
from processor.values.clock import SystemClock
from processor.values.errors import Damaged

TOKEN = "t" * 64
OPEN = {"authorization": f"Bearer {TOKEN}"}


class Paper:
    """Takes log lines."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


async def _metrics() -> bytes:
    return b"figures"


def views(**changes: Any) -> Views:
    given: dict[str, Any] = {
        "loop_age_s": lambda: 0.0,
        "metrics": _metrics,
        "readiness": lambda: [Finding("hsm", "ok", "connected")],
        "status": lambda: {"cards": 1},
        "questions": Questions(State(), lambda: pytest.fail("not asked for"), lambda: 0, SystemClock()),
    }
    return Views(**{**given, **changes})


def asking(**changes: Any) -> httpx.AsyncClient:
    """A client of the routes, without sockets."""
    transport = httpx.ASGITransport(app=make_app(views(**changes), TOKEN), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://standin")


@asynccontextmanager
async def running(app: Any = None, connections_max: int = 4) -> AsyncIterator[tuple[HttpPort, Meters, Paper]]:
    """A port that serves, with its meters and its log."""
    meters, paper = Meters(), Paper()
    port = HttpPort(
        app or make_app(views(), TOKEN),
        "127.0.0.1",
        0,
        connections_max,
        meters,
        Log(SystemClock(), "json", paper),
    )
    await port.bind()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(port.run)
        yield port, meters, paper
        nursery.cancel_scope.cancel()


async def get(port: HttpPort, path: str = "/livez") -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(f"http://{port.address}{path}")


def events(meters: Meters, event: str) -> float:
    return meters.value("issuer_http_connections", event=event)


async def until(holds: Callable[[], bool]) -> None:
    with trio.fail_after(10):
        while not holds():
            await trio.lowlevel.checkpoint()


async def connected(port: HttpPort) -> trio.SocketStream:
    host, _, number = port.address.rpartition(":")
    return await trio.open_tcp_stream(host, int(number))


async def test_a_port_that_fails_is_opened_again_at_the_same_address() -> None:
    async with running() as (port, meters, paper):
        assert (await get(port)).status_code == 200
        for listener in port._listeners:
            listener.socket.close()
        await until(lambda: events(meters, "failed") == 1)
        with trio.fail_after(10):
            while True:
                try:
                    answer = await get(port)
                    break
                except httpx.ConnectError:
                    await trio.lowlevel.checkpoint()

    assert answer.status_code == 200
    assert "http port failed" in paper.text


async def test_a_fault_in_one_connection_ends_that_one_and_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(_: object) -> None:
        raise AssertionError("a fault with something secret in its text")

    async with running() as (port, meters, paper):
        with monkeypatch.context() as patched:
            patched.setattr("processor.services.http.port._Connection.run", broken)
            async with await connected(port) as stream:
                await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
                assert await stream.receive_some() == b""
        assert (await get(port)).status_code == 200

    assert events(meters, "broken") == 1
    assert "AssertionError" in paper.text
    assert "secret" not in paper.text


async def test_a_connection_that_asks_nothing_loses_its_place_to_one_that_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So whoever asks is served, however many others only hold connections open."""
    monkeypatch.setattr("processor.services.http.anteroom.HEAD_S", 1000.0)
    async with running(connections_max=2) as (port, meters, paper):
        partial = []
        for _ in range(5):
            partial.append(await connected(port))
            await partial[-1].send_all(b"GET / HTTP/1.1\r\nHost:")
        with trio.fail_after(10):
            for lost in partial[:3]:
                assert await lost.receive_some() == b""
        assert (await get(port)).status_code == 200
        for stream in partial:
            await stream.aclose()

    assert events(meters, "refused") >= 3
    assert "too_many_connections" in paper.text


async def test_when_every_place_is_taken_a_request_is_refused_and_a_place_is_free_as_soon_as_a_peer_goes() -> (
    None
):
    release = trio.Event()

    async def slow() -> bytes:
        await release.wait()
        return b"figures"

    async with running(make_app(views(metrics=slow), TOKEN), connections_max=1) as (port, meters, _):
        first = await connected(port)
        await first.send_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: events(meters, "accepted") == 1)
        refused = await get(port)
        assert refused.status_code == 503
        assert "ask again" in refused.json()["detail"]
        assert events(meters, "refused") == 1
        await first.aclose()
        await until(lambda: port._open == 0)
        assert (await get(port)).status_code == 200


async def test_a_connection_carries_one_request() -> None:
    async with running() as (port, _, _), await connected(port) as stream:
        await stream.send_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 5)
        said = b""
        with trio.fail_after(10), suppress(trio.BrokenResourceError):
            while data := await stream.receive_some():
                said += data

    assert said.count(b"HTTP/1.1 200") == 1
    assert b"connection: close" in said.lower()


async def test_requests_beyond_the_pace_wait_for_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port_module, "REQUESTS_AT_ONCE", 2)
    monkeypatch.setattr(port_module, "REQUESTS_PER_S", 0.001)
    async with running() as (port, meters, _):
        for _ in range(2):
            assert (await get(port)).status_code == 200
        async with await connected(port) as stream:
            await stream.send_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            await until(lambda: events(meters, "accepted") == 3)
            assert port._pace.wait_s(trio.current_time()) > 1000
            await trio.testing.wait_all_tasks_blocked()
            assert port._open == 1, "it waits for its turn"


async def test_metrics_are_rendered_one_at_a_time_and_only_so_often(autojump_clock: object) -> None:
    assert autojump_clock
    rendered = 0
    now = 0

    async def render() -> bytes:
        nonlocal rendered, now
        now += 1
        assert now == 1, "two at a time"
        await trio.sleep(0.004)
        now -= 1
        rendered += 1
        return b"%d" % rendered

    exposition = Exposition(render)
    for asked in range(1, RENDERED_AT_ONCE + 1):
        assert await exposition.read() == b"%d" % asked, "who asks now and then sees what is"
    async with trio.open_nursery() as nursery:
        for _ in range(1000):
            nursery.start_soon(exposition.read)
    assert rendered <= RENDERED_AT_ONCE + 1
    await trio.sleep(10)
    before = rendered
    assert await exposition.read() == b"%d" % (before + 1)


async def test_only_what_is_asked_for_by_its_own_name_is_there() -> None:
    async with asking() as client:
        for path in ("/openapi.json", "/docs", "/redoc", "/metrics/", "/v1/why/", "/"):
            answer = await client.get(path, headers={**OPEN, "host": "elsewhere"})
            assert answer.status_code == 404
            assert "elsewhere" not in str(answer.headers)


async def test_a_head_that_is_not_whole_in_time_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processor.services.http.anteroom.HEAD_S", 0.05)
    async with running() as (port, _, _), await connected(port) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost:")
        with trio.fail_after(10):
            assert await stream.receive_some() == b""


async def test_a_head_may_come_byte_by_byte() -> None:
    async with running() as (port, _, _), await connected(port) as stream:
        for byte in b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n":
            await stream.send_all(bytes([byte]))
            await trio.lowlevel.checkpoint()
        with trio.fail_after(10):
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")


async def test_a_connection_ends_when_its_life_is_over_though_nobody_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("processor.services.http.port.LIFE_S", 0.05)

    async def much() -> bytes:
        return bytes(50_000_000)

    async with (
        running(make_app(views(metrics=much), TOKEN)) as (port, meters, _),
        await connected(port) as stream,
    ):
        await stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: events(meters, "accepted") == 1)
        await until(lambda: port._open == 0)


async def test_no_change_to_http_2_is_made() -> None:
    async with running() as (port, _, _):
        for opening in (
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            (
                b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                b"HTTP2-Settings: AAMAAABk\r\n\r\n"
            ),
        ):
            async with await connected(port) as stream:
                await stream.send_all(opening)
                with trio.fail_after(10):
                    while await stream.receive_some():
                        pass


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        pytest.param("POST", {}, 405, id="another method"),
        pytest.param("GET", {"content-length": "3"}, 413, id="a body of known length"),
        pytest.param("GET", {"transfer-encoding": "chunked"}, 413, id="a body in chunks"),
        pytest.param("GET", {"content-length": "0"}, 200, id="an empty body"),
    ],
)
async def test_a_request_has_no_body(method: str, headers: dict[str, str], status: int) -> None:
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    async with running() as (port, _, _), await connected(port) as stream:
        await stream.send_all(f"{method} /livez HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
        assert (await stream.receive_some()).startswith(f"HTTP/1.1 {status}".encode())


@pytest.mark.parametrize(
    "name",
    [
        "4000001234567899",
        "4000 0012 3456 7899",
        "4000-0012-3456-7899",
        "card 4000001234567899",
        "x" * 65,
        "%0a",
        "é",
    ],
)
async def test_names_that_could_be_a_clear_card_number_or_are_none_are_refused_unrepeated(name: str) -> None:
    async with asking() as client:
        for kind in ("why", "book"):
            answer = await client.get(f"/v1/{kind}/{name}", headers=OPEN)
            assert answer.status_code == 400
            assert name not in answer.text


@pytest.mark.parametrize(
    "name", ["0" * 32, "1234567890123456789012345678901a", "400000******7899", "clearing:840"]
)
async def test_tokens_and_masked_numbers_are_names(name: str) -> None:
    async with asking() as client:
        assert (await client.get(f"/v1/book/{name}", headers=OPEN)).status_code == 200


@pytest.mark.parametrize(
    ("error", "status"),
    [
        pytest.param(TakesTooLong("not found within 25 seconds"), 503, id="it takes too long"),
        pytest.param(Busy("8 wait"), 503, id="too many wait"),
        pytest.param(
            Damaged("00000001.seg at byte 5: the CRC does not fit"), 500, id="the journal is damaged"
        ),
        pytest.param(PermissionError(13, "Permission denied"), 500, id="the journal cannot be read"),
    ],
)
async def test_what_kept_an_answer_away_is_said(error: Exception, status: int) -> None:
    class Failing(Questions):
        async def why(self, *_: object) -> Any:
            raise error

    failing = Failing(State(), lambda: pytest.fail("not asked for"), lambda: 0, SystemClock())
    async with asking(questions=failing) as client:
        answer = await client.get("/v1/why/1", headers=OPEN)

    assert answer.status_code == status
    assert str(error) in answer.json()["detail"]


async def test_a_loop_that_does_not_turn_is_not_alive_and_readiness_has_a_status_of_its_own() -> None:
    async with asking(
        loop_age_s=lambda: 6.0, readiness=lambda: [Finding("hsm", "bad", "gone", "start it")]
    ) as client:
        assert (await client.get("/livez")).status_code == 503
        answer = await client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["conditions"] == [
        {"about": "hsm", "level": "bad", "said": "gone", "todo": "start it"}
    ]


async def test_more_questions_than_may_wait_are_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions_module, "WAITING_MAX", 1)
    questions = views().questions
    async with trio.open_nursery() as nursery, questions._turn:
        nursery.start_soon(questions.book, "x")
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(Busy):
            await questions.book("y")


GOOD: dict[str, Any] = {
    "stopping": False,
    "journal_failure": "",
    "low_space": False,
    "hsm_needed": True,
    "hsm_connected": True,
    "ports_open": True,
    "networks": {"visa-like": True},
}


@pytest.mark.parametrize(
    ("changed", "about", "level"),
    [
        ({"stopping": True}, "process", "bad"),
        ({"journal_failure": "no space left"}, "journal", "bad"),
        ({"low_space": True}, "space", "bad"),
        ({"hsm_connected": False}, "hsm", "bad"),
        ({"hsm_connected": False, "hsm_needed": False}, "", ""),
        ({"ports_open": False}, "ports", "bad"),
        ({"networks": {"visa-like": False}}, "networks", "bad"),
        ({"networks": {"visa-like": False, "mc-like": True}}, "networks", "warn"),
        ({}, "", ""),
    ],
    ids=str,
)
def test_each_condition_has_its_finding(changed: dict[str, Any], about: str, level: str) -> None:
    unmet = [f for f in readiness(Vitals(**{**GOOD, **changed})) if f.level != "ok"]

    assert [(f.about, f.level) for f in unmet] == ([(about, level)] if about else [])
    assert all(f.todo for f in unmet)


def test_sockets_are_not_needed_for_an_address() -> None:
    port = HttpPort(make_app(views(), TOKEN), "::1", 9583, 1, Meters(), Log(SystemClock(), "json", Paper()))

    assert port.address == "[::1]:9583"
