"""Card links over TCP: sign-on, echoes, both roles, and whose answer goes where."""

import select
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from processor.iso8583.framing import VISA_FRAME
from processor.iso8583.header import BASE1
from processor.iso8583.message import Message

pytestmark = pytest.mark.slow

QUICK = {"ECHO_S": "0.3", "REPLY_S": "0.5", "RECONNECT_S": "0.05", "RECONNECT_MAX_S": "0.2"}


@pytest.fixture
def serve(launch: Any, hsm: Any, configured: Any, tmp_path: Path) -> Callable[..., Any]:
    """Starts a processor with these links (TOML) and limits; ready once it says where it listens or dials."""

    def start(links: str, *, deck: Path | None = None, hsm_address: Any = None, **limits: str) -> Any:
        address = hsm_address or hsm.address
        arguments = configured(tmp_path, links, address)
        if deck is not None:
            arguments += ["--deck", str(deck)]
        settings = {f"STANDIN_LIMITS__{name}": value for name, value in limits.items()}
        child = launch.command(*arguments, STANDIN_JOURNAL__SEGMENT_MIB="1", **settings)
        if "[[listen]]" in links:
            child.ready()
        child.out.wait_for("connecting " if "[[connect]]" in links else "listening ")
        return child

    return start


LISTEN = '[[listen]]\nnetwork = "visa-like"\naddress = "127.0.0.1:0"\n'


class Host:
    """The network's own port, which the processor connects to."""

    def __init__(self, link_class: Any) -> None:
        self._link_class = link_class
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(20)
        self.links: list[Any] = []

    @property
    def section(self) -> str:
        host, port = self._server.getsockname()
        return (
            f'[[connect]]\nnetwork = "visa-like"\naddress = "{host}:{port}"\n'
            'header = "16010200004000011234560000000000000000000000"\nelements = { 33 = "400001" }\n'
        )

    def accept(self) -> Any:
        """The next link the processor opens."""
        stream, _ = self._server.accept()
        self.links.append(self._link_class.over(stream))
        return self.links[-1]

    def signed_on(self) -> Any:
        """The next link, with its sign-on and its request for stored advices taken."""
        link = self.accept()
        for code in ("071", "078"):
            asked = link.receive()
            assert (asked.mti, asked.elements[70], asked.elements[33]) == ("0800", code, "400001")
            link.send(yes(asked))
        return link

    def close(self) -> None:
        for link in self.links:
            link.socket.close()
        self._server.close()


@pytest.fixture
def host(switch_link: Any) -> Iterator[Host]:
    made = Host(switch_link)
    yield made
    made.close()


def yes(asked: Message, **changes: str) -> Message:
    """The answer that accepts a network management request."""
    elements = {n: v for n, v in asked.elements.items() if n in {7, 11, 33, 70}} | {39: "00"}
    return Message(
        asked.header, "0810", elements | {int(k.removeprefix("de")): v for k, v in changes.items()}
    )


def is_silent(link: Any, seconds: float = 0.2) -> bool:
    """Whether nothing comes for a while."""
    return not select.select([link.socket], [], [], seconds)[0]


def test_c32_after_a_sign_off_requests_are_declined_on_every_link_until_the_next_sign_on(
    serve: Any, connect: Any, till: Any, issuer: Any, tmp_path: Path
) -> None:
    card = issuer.card()
    desk = serve(LISTEN, deck=issuer.deck(tmp_path))
    one, other = connect(desk), connect(desk)
    answers = [other.ask(till.purchase(card)).elements[39]]
    for code in ("072", "071"):
        one.ask(till.signal(code))
        answers.append(other.ask(till.purchase(card)).elements[39])

    assert answers == ["00", "91", "00"]


def test_c32_advices_are_taken_also_while_signed_off(
    serve: Any, connect: Any, till: Any, issuer: Any, tmp_path: Path
) -> None:
    card = issuer.card()
    link = connect(serve(LISTEN, deck=issuer.deck(tmp_path)))
    purchase = till.purchase(card)
    assert link.ask(purchase).elements[39] == "00"
    link.ask(till.signal("072"))

    assert link.ask(till.reversal(purchase)).elements[39] == "00"


def test_c32_what_a_dead_socket_asked_is_never_answered_on_another_line(
    serve: Any, connect: Any, till: Any, issuer: Any, silent_hsm: Any, tmp_path: Path
) -> None:
    card = issuer.card()
    desk = serve(LISTEN, deck=issuer.deck(tmp_path), hsm_address=silent_hsm.address)
    dead, alive = connect(desk), connect(desk)
    alive.ask(till.signal("301"))
    asked = till.purchase(card, reading="stripe")
    dead.send(asked, till.signal("301"))
    assert dead.receive().mti == "0810", "the purchase before it is in flight"
    dead.socket.close()
    repeat = till.repeat(asked)
    reply = alive.ask(repeat)

    assert (reply.mti, reply.elements[39], reply.elements[11]) == ("0110", "91", asked.elements[11])
    assert is_silent(alive), "one answer, to what was asked here"
    assert desk.running


def test_c32_an_idle_link_is_asked_for_an_echo_and_lives_while_it_answers(
    serve: Any, connect: Any, till: Any
) -> None:
    link = connect(serve(LISTEN, **QUICK))
    link.ask(till.signal("301"))
    for _ in range(3):
        echo = link.receive()
        assert (echo.mti, echo.elements[70]) == ("0800", "301")
        link.send(yes(echo))

    assert link.ask(till.signal("301")).elements[39] == "00"


def test_c32_an_echo_without_an_answer_ends_the_link(serve: Any, connect: Any, till: Any) -> None:
    desk = serve(LISTEN, **QUICK)
    link = connect(desk)
    link.ask(till.signal("301"))

    assert link.receive().elements[70] == "301"
    assert link.is_over()
    desk.log.wait_for("echo_unanswered")


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        pytest.param({"de11": "999999"}, "stan differs", id="another STAN"),
        pytest.param({"de7": "0101000000"}, "transmitted differs", id="the STAN alone is not enough"),
        pytest.param({"de70": "071"}, "code differs", id="another code"),
    ],
)
def test_an_answer_with_another_key_does_not_count_and_the_log_says_what_differs(
    serve: Any, connect: Any, till: Any, changes: dict[str, str], differs: str
) -> None:
    desk = serve(LISTEN, **QUICK)
    link = connect(desk)
    link.ask(till.signal("301"))
    link.send(yes(link.receive(), **changes))

    assert differs in desk.log.wait_for("response unmatched")
    assert link.is_over()


def test_c32_as_client_we_sign_on_serve_and_sign_off_at_the_end(
    serve: Any, host: Host, till: Any, issuer: Any, tmp_path: Path
) -> None:
    card = issuer.card()
    desk = serve(host.section, deck=issuer.deck(tmp_path))
    link = host.signed_on()
    assert link.ask(till.purchase(card)).elements[39] == "00"
    desk.process.terminate()
    bye = link.receive()
    assert bye.elements[70] == "072"
    late = till.purchase(card)
    link.send(late)
    assert link.receive().elements[39] == "00", "the network does not know of our sign-off yet"
    link.send(yes(bye))

    assert link.is_over()
    assert desk.last_word()["in_flight"] == 0


def test_c32_a_lost_line_is_dialled_again_and_signed_on_again(serve: Any, host: Host, till: Any) -> None:
    desk = serve(host.section, **QUICK)
    for _ in range(3):
        link = host.signed_on()
        assert link.ask(till.signal("301")).elements[39] == "00"
        link.socket.close()
    host.signed_on()

    assert desk.running


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(lambda asked: [yes(asked, de39="91")], "sign_on_refused", id="refused"),
        pytest.param(lambda _: [], "sign_on_unanswered", id="unanswered"),
        pytest.param(
            lambda asked: [yes(asked, de11="999999")], "sign_on_unanswered", id="answered under another key"
        ),
    ],
)
def test_c32_a_sign_on_that_is_not_accepted_is_tried_again_on_a_new_line(
    serve: Any, host: Host, answer: Any, reason: str
) -> None:
    desk = serve(host.section, **QUICK)
    link = host.accept()
    link.send(*answer(link.receive()))
    assert link.is_over()
    desk.log.wait_for(reason)

    host.signed_on()


def test_c32_of_several_links_one_signs_on_and_all_serve(
    serve: Any, host: Host, till: Any, issuer: Any, tmp_path: Path
) -> None:
    card = issuer.card()
    desk = serve(host.section + "links = 3\n", deck=issuer.deck(tmp_path))
    links = [host.accept() for _ in range(3)]
    signer = next(link for link in links if not is_silent(link))
    for _ in ("071", "078"):
        signer.send(yes(signer.receive()))
    others = [link for link in links if link is not signer]
    assert all(is_silent(link, 0.05) for link in others)
    asked = [till.purchase(card) for _ in links]
    for link, purchase in zip(links, asked, strict=True):
        link.send(purchase)
    replies = [link.receive() for link in links]

    assert [r.elements[11] for r in replies] == [a.elements[11] for a in asked], "each on its own line"
    desk.process.terminate()
    signer.send(yes(signer.receive()))
    assert all(link.is_over() for link in links)
    assert desk.last_word()["links"] == 0


def test_as_client_a_host_that_is_away_is_tried_again_with_one_line_a_second_at_most(
    serve: Any, host: Host
) -> None:
    section = host.section
    host.close()
    desk = serve(section, **QUICK)
    desk.log.wait_for("unreachable")

    assert desk.stop()["links"] == 0


def test_client_elements_that_no_message_can_bear_are_told_at_the_start(
    launch: Any, hsm: Any, configured: Any, host: Host, tmp_path: Path
) -> None:
    child = launch.command(*configured(tmp_path, host.section.replace("400001", "4000A1"), hsm.address))

    assert child.ended() == 2
    assert "DE 33" in "\n".join(child.log.all())


def test_a_processor_that_connects_is_served_by_the_simulator_that_waits(
    launch: Any, hsm: Any, configured: Any, tmp_path: Path
) -> None:
    deck, pins = tmp_path / "deck.jsonl", tmp_path / "pins.jsonl"
    address = f"{hsm.address[0]}:{hsm.address[1]}"
    made = launch.command(
        "deck",
        "make",
        "--cards",
        "60",
        "--seed",
        "5",
        "--hsm",
        address,
        "--out",
        str(deck),
        "--pins",
        str(pins),
    )
    assert made.ended() == 0
    switch = launch.command(
        *("simulate", "--listen", "127.0.0.1:0", "--deck", str(deck), "--pins", str(pins), "--fresh"),
        *("--links", "2", "--rate", "200", "--seconds", "2", "--seed", "3"),
    ).ready()
    links = (
        f'[[connect]]\nnetwork = "visa-like"\naddress = "127.0.0.1:{switch.address[1]}"\nlinks = 2\n'
        'header = "16010200004000011234560000000000000000000000"\n'
    )
    processor = launch.command(
        *configured(tmp_path, links, hsm.address), "--deck", str(deck), STANDIN_JOURNAL__SEGMENT_MIB="1"
    )
    assert switch.ended() == 0, switch.out.all()
    assert any("mismatches  none" in line for line in switch.out.all())

    assert processor.stop()["in_flight"] == 0


@pytest.mark.parametrize(
    ("peers", "served"),
    [
        pytest.param('["127.0.0.1"]', True, id="the address itself"),
        pytest.param('["10.0.0.0/8", "127.0.0.0/24"]', True, id="a network it is in"),
        pytest.param('["10.0.0.0/8", "::1"]', False, id="others"),
    ],
)
def test_only_listed_peers_may_connect(serve: Any, connect: Any, till: Any, peers: str, served: bool) -> None:
    desk = serve(LISTEN + f"peers = {peers}\n")
    link = connect(desk)
    if served:
        assert link.ask(till.signal("301")).elements[39] == "00"
    else:
        assert link.is_over()
        desk.log.wait_for("peer_not_allowed")


def test_who_is_not_listed_is_never_heard_however_quickly_it_leaves(
    serve: Any, switch_link: Any, till: Any, issuer: Any, tmp_path: Path
) -> None:
    """A connection that is reset behind its bytes is handed over by the system with the bytes still in it."""
    card = issuer.card()
    desk = serve(LISTEN + 'peers = ["127.0.0.2"]\n', deck=issuer.deck(tmp_path))
    listed = switch_link.over(socket.create_connection(desk.address, 20, ("127.0.0.2", 0)))
    assert listed.ask(till.purchase(card)).elements[39] == "00"
    for _ in range(300):
        stranger = switch_link.to(desk.address)
        stranger.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with suppress(EOFError):
            stranger.send(till.signal("072"))
        stranger.socket.close()

    assert listed.ask(till.purchase(card)).elements[39] == "00", "nobody has signed us off"
    assert not desk.log.containing("signed off")
    desk.log.wait_for("peer_not_allowed")
    listed.socket.close()


@pytest.mark.parametrize(
    ("limits", "allowed"),
    [
        pytest.param({"CONNECTIONS_PER_PEER_MAX": "3"}, 3, id="from one address"),
        pytest.param({"CONNECTIONS_MAX": "2"}, 2, id="in all"),
    ],
)
def test_connections_have_a_limit_and_a_closed_one_makes_room(
    serve: Any, connect: Any, till: Any, limits: dict[str, str], allowed: int
) -> None:
    desk = serve(LISTEN, **limits)
    links = [connect(desk) for _ in range(allowed)]
    for link in links:
        link.ask(till.signal("301"))
    assert connect(desk).is_over()
    desk.log.wait_for("too_many_connections")
    links[0].socket.close()
    while (code := _echo(connect(desk), till)) is None:  # the closed one may not have been noticed yet
        pass

    assert code == "00"
    assert all(link.ask(till.signal("301")).elements[39] == "00" for link in links[1:])


def _echo(link: Any, till: Any) -> str | None:
    """The answer to an echo test, None on a link that is hung up on."""
    try:
        code: str = link.ask(till.signal("301")).elements[39]
    except EOFError:
        return None
    return code


def test_a_message_of_ours_that_the_network_rejects_by_its_header_is_told_and_the_link_goes_on(
    serve: Any, connect: Any, till: Any, issuer: Any, tmp_path: Path
) -> None:
    desk = serve(LISTEN)
    link = connect(desk)
    link.send(till.signal("301"))
    link.send_bytes(rejected(link.receive_bytes(), "0123"))

    assert link.ask(till.signal("301")).elements[39] == "00"
    assert "0123" in desk.log.wait_for("our message was rejected")


def rejected(ours: bytes, code: str) -> bytes:
    """The network's header-level reject of a frame of ours, as it goes over the wire."""
    return VISA_FRAME.frame(BASE1.reject(ours, code) or b"")


def test_an_approval_that_the_network_rejects_is_told_with_what_it_was_and_its_hold_stays(
    serve: Any, connect: Any, till: Any, issuer: Any, tmp_path: Path
) -> None:
    card = issuer.card(1000)
    link = connect(desk := serve(LISTEN, deck=issuer.deck(tmp_path)))
    purchase = till.purchase(card, 600)
    link.send(purchase)
    ours = link.receive_bytes()
    link.send_bytes(rejected(ours, "0123"))
    line = desk.log.wait_for("our message was rejected")

    for part in ("0123", "0110", purchase.elements[11], purchase.elements[37], "code=00"):
        assert part in line
    assert card.card.pan not in line
    assert link.ask(till.purchase(card, 600)).elements[39] == "51", "until the network reverses it"
    assert link.ask(till.reversal(purchase)).elements[39] == "00"
    assert link.ask(till.purchase(card, 600)).elements[39] == "00"


def test_c32_a_sign_on_that_is_rejected_by_its_header_is_refused_and_not_waited_for(
    serve: Any, host: Host
) -> None:
    desk = serve(host.section, RECONNECT_S="0.05", RECONNECT_MAX_S="0.2", REPLY_S="60")
    link = host.accept()
    link.send_bytes(rejected(link.receive_bytes(), "0123"))

    assert link.is_over()
    desk.log.wait_for("sign_on_refused")
    host.signed_on()


def test_a_reversal_whose_original_is_not_found_says_which_part_of_its_key_differs(
    serve: Any, connect: Any, till: Any, issuer: Any, tmp_path: Path
) -> None:
    card = issuer.card()
    desk = serve(LISTEN, deck=issuer.deck(tmp_path))
    link = connect(desk)
    bought = till.purchase(card)
    link.ask(bought)
    reversal = till.reversal(bought)
    named = reversal.elements[90]
    reversal.elements[90] = named[:20] + f"{777777:011}" + named[31:]

    assert link.ask(reversal).elements[39] == "00", "it may come before its original"
    assert "acquirer differs" in desk.log.wait_for("original not found")
