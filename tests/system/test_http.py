"""The HTTP port of a real processor: what it shows, whom it lets in, and that nothing sent to it harms a link."""

import itertools
import socket
import ssl
import stat
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest

pytestmark = pytest.mark.slow

PATIENCE_S = 20.0


def http_address(child: Any) -> tuple[str, int]:
    """Where a processor says that its HTTP port is."""
    host, _, port = child.out.wait_for("listening http ").split()[2].rpartition(":")
    return host, int(port)


@pytest.fixture(scope="module")
def desk(launch_for_module: Any, hsm: Any, new_issuer: Any, tmp_path_factory: Any) -> Any:
    """A processor with one rich card, its HTTP address and its token."""
    folder = tmp_path_factory.mktemp("http")
    issuer = new_issuer()
    card = issuer.card(10**9)
    child = launch_for_module.serving(folder / "state", hsm, issuer.deck(folder))
    child.card, child.state, child.http = card, folder / "state", http_address(child)
    child.token = (folder / "state" / "admin.token").read_text().strip()
    return child


@pytest.fixture
def traffic(desk: Any, connect: Any, till: Any) -> Iterator[Any]:
    """Card traffic on a link of its own while the test goes on; ``check`` ends it and sees that all was well."""
    link, begun, stop, answers = connect(desk), threading.Event(), threading.Event(), []

    def ask() -> None:
        with suppress(EOFError):
            while not stop.is_set():
                answers.append(link.ask(till.purchase(desk.card, 100)).elements[39])
                begun.set()

    thread = threading.Thread(target=ask)
    thread.start()
    assert begun.wait(PATIENCE_S)

    def check() -> None:
        link_2 = connect(desk)
        assert link_2.ask(till.purchase(desk.card, 100)).elements[39] == "00"
        stop.set()
        thread.join(PATIENCE_S)
        assert set(answers) == {"00"}
        assert desk.running
        assert "Traceback" not in "\n".join(desk.log.all())

    yield SimpleNamespace(check=check)
    stop.set()
    thread.join(PATIENCE_S)


def get(desk: Any, path: str, token: str = "") -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.get(
        f"http://{desk.http[0]}:{desk.http[1]}{path}", headers=headers, trust_env=False, timeout=PATIENCE_S
    )


HEAD = b"GET /livez HTTP/1.1\r\nHost: standin\r\n"
PROBES: list[Any] = [
    pytest.param([b"\x00\xff\xfe garbage\r\n\r\n"], id="bytes that are no request"),
    pytest.param([b"GET\r\n\r\n"], id="half a request line"),
    pytest.param([b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n"], id="a target of 100 kB"),
    pytest.param([b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n"], id="a target that is no URL"),
    pytest.param([b"GET /%ff%00/../../x HTTP/1.1\r\nHost: x\r\n\r\n"], id="a target of odd bytes"),
    pytest.param([HEAD + b"X: " + b"y" * 1_000_000 + b"\r\n\r\n"], id="a header of a megabyte"),
    pytest.param(
        [HEAD + b"".join(b"X-%d: y\r\n" % n for n in range(10_000)) + b"\r\n"], id="ten thousand headers"
    ),
    pytest.param([HEAD + b"no colon here\r\n\r\n"], id="a header without a colon"),
    pytest.param([HEAD + b"\x00\x01: \x02\r\n\r\n"], id="a header of control characters"),
    pytest.param([HEAD + b"Content-Length: ten\r\n\r\n"], id="a content length that is no number"),
    pytest.param([HEAD + b"Content-Length: -1\r\n\r\n"], id="a negative content length"),
    pytest.param([HEAD + b"Content-Length: " + b"9" * 40 + b"\r\n\r\nx"], id="a content length of forty digits"),
    pytest.param([HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"], id="two content lengths"),
    pytest.param([HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nrubbish"], id="chunks that are none"),
    pytest.param([HEAD + b"Transfer-Encoding: gzip, zip\r\n\r\n"], id="an unknown transfer encoding"),
    pytest.param(
        [HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"], id="a smuggled request"
    ),
    pytest.param([HEAD + b"\r\n" + b"rubbish behind it " * 1000], id="rubbish behind a request"),
    pytest.param([(HEAD + b"\r\n") * 500], id="five hundred requests in one write"),
    pytest.param([HEAD + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"], id="a wait for 100 Continue"),
    pytest.param([b"BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n"], id="an unknown method"),
    pytest.param([b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\nx"], id="CONNECT"),
    pytest.param([b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"], id="OPTIONS for everything"),
    pytest.param([b"GET /livez HTTP/9.9\r\nHost: x\r\n\r\n"], id="an HTTP version of the future"),
    pytest.param([b"GET /livez HTTP/1.1\r\n\r\n"], id="no host"),
    pytest.param([HEAD + b"Host: other\r\n\r\n"], id="two hosts"),
    pytest.param(
        [HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nx"],
        id="a WebSocket without its key, and one byte more",
    ),
    pytest.param(
        [
            HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            b"\xff\xff" * 2000,
        ],
        id="a WebSocket, and then frames that are none",
    ),
    pytest.param(
        [HEAD + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n", b"x" * 99],
        id="an upgrade to HTTP/2, and then rubbish",
    ),
    pytest.param(
        [HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: ***\r\n\r\n"],
        id="an upgrade to HTTP/2 with settings that are none",
    ),
    pytest.param([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\xff" * 5000], id="HTTP/2 and frames that are none"),
    pytest.param(
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" * 50_000], id="HTTP/2 and a flood of settings"
    ),
    pytest.param(
        [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
            b"".join(
                # HEADERS of a new stream (:method GET, :scheme http, :path /), and its RST_STREAM at once
                b"\0\0\3\1\5" + struct.pack(">I", stream) + b"\x82\x86\x84"
                + b"\0\0\4\3\0" + struct.pack(">I", stream) + b"\0\0\0\x08"
                for stream in range(1, 4001, 2)
            ),
        ],
        id="HTTP/2 streams that are reset as soon as they begin",
    ),
    pytest.param([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)], id="a TLS hello"),
    pytest.param([b"\0\x10\0\0" + bytes(16)], id="a card frame"),
    pytest.param([b""], id="nothing"),
]  # fmt: skip


@pytest.mark.parametrize("pieces", PROBES)
@pytest.mark.parametrize("ending", ["closed", "half closed", "reset"])
def test_a_request_of_any_kind_leaves_the_card_port_untouched(
    desk: Any, connect: Any, till: Any, pieces: list[bytes], ending: str
) -> None:
    link = connect(desk)
    with socket.create_connection(desk.http, PATIENCE_S) as peer:
        for piece in pieces:
            with suppress(ConnectionError):
                peer.sendall(piece)
            assert link.ask(till.purchase(desk.card, 100)).elements[39] == "00"
        if ending == "half closed":
            with suppress(OSError):
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(65_536):
                    pass
        if ending == "reset":
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    assert link.ask(till.purchase(desk.card, 100)).elements[39] == "00"
    assert get(desk, "/livez").status_code == 200
    assert desk.running
    assert "Traceback" not in "\n".join(desk.log.all())


def test_all_of_them_at_once_while_cards_are_served(desk: Any, traffic: Any) -> None:
    peers = []
    for probe in itertools.chain.from_iterable([PROBES] * 3):
        with suppress(OSError):
            peers.append(socket.create_connection(desk.http, PATIENCE_S))
            peers[-1].setblocking(False)
            for piece in probe.values[0]:
                peers[-1].send(piece)
    for peer in peers:
        peer.close()

    traffic.check()
    assert _until_let_in(desk)["alive"]


def test_a_thousand_connections_are_closed_but_for_the_few_allowed_and_cards_are_served(
    desk: Any, traffic: Any
) -> None:
    peers = [socket.create_connection(desk.http, PATIENCE_S) for _ in range(1000)]
    for peer in peers[100:900]:  # those before them may be among the few that are let in
        peer.settimeout(PATIENCE_S)
        with suppress(ConnectionError):
            assert peer.recv(1) == b""
    for peer in peers:
        peer.close()

    traffic.check()
    assert "too_many_connections" in desk.log.wait_for("http connection refused")
    assert _until_let_in(desk)["alive"]


def _until_let_in(desk: Any) -> dict[str, Any]:
    """What /livez says as soon as there is room again."""
    for _ in range(2000):
        with suppress(httpx.TransportError):
            answer = get(desk, "/livez")
            if answer.status_code == httpx.codes.OK:
                return dict(answer.json())
    pytest.fail("nobody was let in again")


def test_a_peer_that_never_reads_harms_nobody_and_does_not_keep_the_processor_from_stopping(
    launch: Any, hsm: Any, connect: Any, till: Any, issuer: Any, tmp_path: Any
) -> None:
    card = issuer.card()
    child = launch.serving(tmp_path / "state", hsm, issuer.deck(tmp_path))
    peers = [socket.create_connection(http_address(child), PATIENCE_S) for _ in range(5)]
    for peer in peers:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                peer.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
    assert connect(child).ask(till.purchase(card, 100)).elements[39] == "00"

    child.stop()
    for peer in peers:
        peer.close()


def test_metrics_and_health_are_open_and_the_rest_asks_for_the_token(desk: Any) -> None:
    assert "issuer_" in get(desk, "/metrics").text
    assert get(desk, "/livez").json()["alive"]
    for path in ("/v1/status", "/v1/doctor", "/v1/why/1", "/v1/book/x"):
        assert get(desk, path).status_code == 401
        assert get(desk, path, "wrong" * 13).status_code == 401
        assert get(desk, path, desk.token).status_code == 200
    assert get(desk, "/v1/status", desk.token).json()["cards"] == 1


def test_token_and_door_are_private_and_the_door_goes_with_the_processor(
    launch: Any, hsm: Any, tmp_path: Any
) -> None:
    child = launch.serving(tmp_path / "state", hsm)
    door, token = tmp_path / "state" / "http.json", tmp_path / "state" / "admin.token"
    for path in (door, token):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    said = msgspec.json.decode(door.read_bytes())
    assert said == {"address": ":".join(map(str, http_address(child))), "pid": child.process.pid}
    first = token.read_text()

    child.stop()
    assert not door.exists()
    launch.serving(tmp_path / "state", hsm).stop()
    assert token.read_text() == first, "a token outlives its process"


def test_readiness_says_what_is_missing(launch: Any, connect: Any, till: Any, tmp_path: Any) -> None:
    hsm = launch.hsm()
    child = launch.serving(tmp_path / "state", hsm)
    child.http = http_address(child)

    def conditions() -> tuple[int, dict[str, str]]:
        answer = get(child, "/readyz")
        return answer.status_code, {c["about"]: c["level"] for c in answer.json()["conditions"]}

    good = dict.fromkeys(("process", "journal", "space", "hsm", "ports", "networks"), "ok")
    assert conditions() == (200, good)
    connect(child).ask(till.signal("072"))
    assert conditions() == (503, good | {"networks": "bad"})
    connect(child).ask(till.signal("071"))
    hsm.kill()
    child.log.wait_for("hsm line lost")
    assert conditions() == (503, good | {"hsm": "bad"})
    assert get(child, "/livez").status_code == 200, "no HSM is no reason to be restarted"


def test_a_port_that_is_taken_is_named_and_no_port_at_all_is_fine(
    launch: Any, hsm: Any, tmp_path: Any
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        refused = launch.processor(tmp_path / "state", hsm.address, HTTP__ADDRESS=address)
        assert refused.ended() == 1
        assert f"cannot listen on {address} for HTTP" in "\n".join(refused.log.all())

    child = launch.serving(tmp_path / "state", hsm, HTTP__ADDRESS="")
    child.stop()
    assert not any("listening http" in line for line in child.out.all())


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"])
def test_an_address_that_others_reach_has_to_be_allowed(
    launch: Any, hsm: Any, tmp_path: Any, address: str
) -> None:
    child = launch.processor(tmp_path / "state", hsm.address, HTTP__ADDRESS=address)

    assert child.ended() == 2
    assert "http: " in child.log.all()[0]
    assert "allow_remote" in child.log.all()[0]


def test_tls_on_the_plain_port_fails_at_the_peer_only(desk: Any, traffic: Any) -> None:
    context = ssl.create_default_context()
    with socket.create_connection(desk.http, PATIENCE_S) as peer, suppress(OSError):
        context.wrap_socket(peer, server_hostname="localhost")

    traffic.check()


def test_nothing_that_was_sent_is_in_the_log(desk: Any) -> None:
    pan = desk.card.card.pan
    for path in (f"/v1/why/{pan}", f"/v1/book/{pan}", f"/{pan}", f"/v1/why/1?pick={pan}x"):
        answer = get(desk, path, desk.token)
        assert pan not in answer.text
        assert answer.status_code in {400, 404, 422}

    assert pan not in "\n".join(desk.log.all() + desk.out.all())
