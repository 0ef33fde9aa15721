"""Strangers' simulators against ``examples/lab.toml``, without an HSM: what iso8583sim's load command sends.

Its requests carry neither DE 7 nor DE 32 nor DE 37, use one card, and claim a chip without DE 55 or a track.
"""

import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from processor.iso8583.codec import PyisoCodec
from processor.iso8583.framing import TWO_BYTE_FRAME, Framer
from processor.iso8583.message import Message
from processor.networks.adapters import DIALECTS

pytestmark = pytest.mark.slow

LAB = Path(__file__).resolve().parents[2] / "examples" / "lab.toml"
IN_FLIGHT = 50
PATIENCE_S = 20.0
CODEC = PyisoCodec(DIALECTS["iso87-ascii"])


def request(pan: str, stan: int, **more: str) -> Message:
    """An 0100 with the elements of a load generator; ``more`` replaces some, "" leaves one out."""
    elements = {
        2: pan, 3: "000000", 4: "000000001000", 11: f"{stan:06}", 14: "4012", 22: "051", 24: "001", 25: "00",
        41: "TERM0001", 42: "MERCHANT123456 ", 49: "840",
    }  # fmt: skip
    elements |= {int(name.removeprefix("de")): value for name, value in more.items()}
    return Message(b"", "0100", {number: value for number, value in elements.items() if value})


def exchange(
    address: tuple[str, int], messages: Sequence[Message], codec: PyisoCodec = CODEC
) -> list[Message]:
    """Send all messages over one connection, never with more than ``IN_FLIGHT`` unanswered; the replies."""
    frames = [TWO_BYTE_FRAME.frame(codec.encode(message)) for message in messages]
    framer, replies, sent = Framer(TWO_BYTE_FRAME, 65_535), list[Message](), 0
    with socket.create_connection(address, PATIENCE_S) as connection:
        while len(replies) < len(frames):
            ready = frames[sent : len(replies) + IN_FLIGHT]
            connection.sendall(b"".join(ready))
            sent += len(ready)
            data = connection.recv(65_536)
            assert data, f"closed after {len(replies)} replies"
            framer.receive(data)
            replies += [codec.decode(frame) for frame in framer.frames()]
    return replies


@pytest.fixture(scope="module")
def nobody() -> Iterator[str]:
    """An address at which whoever connects is refused: bound, and not listening."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def start(launcher: Any, nobody: str, folder: Path, deck: Path, *networks: str) -> Any:
    """The laboratory's processor, whose HSM nobody is, with a card port for each network."""
    listen = [text for network in networks for text in ("--listen", f"{network}=127.0.0.1:0")]
    return launcher.command(
        "serve", "--config", str(LAB), "--hsm", nobody, "--state", str(folder / "state"), "--deck", str(deck),
        *listen, STANDIN_JOURNAL__SEGMENT_MIB="1",
    ).ready()  # fmt: skip


@pytest.fixture(scope="module")
def lab(launch_for_module: Any, nobody: str, new_issuer: Any, tmp_path_factory: Any) -> Any:
    """A processor for plain and visa-like links with unused cards: ``card()`` has 5,000.00, ``rich`` more."""
    folder, issuer = tmp_path_factory.mktemp("lab"), new_issuer()
    unused = [issuer.card(500_000) for _ in range(20)]
    rich = issuer.card(10**12)
    child = start(
        launch_for_module, nobody, folder, issuer.deck(folder), "iso87-ascii", "visa-like", "mc-like"
    )
    addresses = {}
    for number in (1, 2, 3):
        _, network, address = child.out.wait_for("listening ", number).split()
        host, _, port = address.rpartition(":")
        addresses[network] = (host, int(port))
    return SimpleNamespace(card=unused.pop, rich=rich, addresses=addresses)


def test_a_load_generator_with_one_card_gets_every_request_approved_and_matched(
    launch: Any, nobody: str, issuer: Any, tmp_path: Path
) -> None:
    card, count = issuer.card(balance_minor=10_000_000).card, 2_000
    asked = {f"{stan:06}": request(card.pan, stan) for stan in range(1, count + 1)}

    child = start(launch, nobody, tmp_path, issuer.deck(tmp_path), "iso87-ascii")
    replies = {reply.elements[11]: reply for reply in exchange(child.address, list(asked.values()))}
    stopped = child.stop()

    assert replies.keys() == asked.keys(), "every STAN is answered, none twice"
    assert {(reply.mti, reply.elements[39]) for reply in replies.values()} == {("0110", "00")}
    for stan, reply in replies.items():
        assert {n: reply.elements.get(n) for n in (2, 3, 4, 24, 25, 41, 42, 49)} == {
            n: asked[stan].elements[n] for n in (2, 3, 4, 24, 25, 41, 42, 49)
        }
    assert all(len(reply.elements[38].strip()) == 6 for reply in replies.values())
    assert not stopped["hsm"]
    found = launch.book_check(tmp_path / "state")
    assert found["balanced"]
    assert (found["transactions"], found["held_minor"]) == (count, {"840": count * 1000})


def test_the_same_requests_again_get_the_same_answers_and_hold_nothing_more(
    launch: Any, nobody: str, issuer: Any, tmp_path: Path
) -> None:
    messages = [request(issuer.card().card.pan, stan) for stan in range(1, 101)]

    child = start(launch, nobody, tmp_path, issuer.deck(tmp_path), "iso87-ascii")
    answers = [
        {reply.elements[11]: reply.elements[38] for reply in exchange(child.address, messages)}
        for _ in range(2)
    ]
    child.stop()

    assert answers[0] == answers[1]
    assert launch.book_check(tmp_path / "state")["held_minor"] == {"840": 100_000}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param({"de2": "4000009999999991"}, "14", id="a card that is not in the deck"),
        pytest.param({"de14": "4101"}, "00", id="another expiry than the card's"),
        pytest.param({"de14": ""}, "00", id="no expiry at all"),
        pytest.param({"de4": "000000500001"}, "51", id="a cent more than the account has"),
        pytest.param({"de4": "000000500000"}, "00", id="the last cent of the account"),
        pytest.param({"de4": "000100000001"}, "61", id="a cent above the amount limit"),
        pytest.param({"de49": "978"}, "12", id="another currency than the account's"),
        pytest.param({"de3": "010000", "de52": "89B07B35A1B3F47E"}, "00", id="cash with a stranger's PIN"),
        pytest.param({"de22": "901", "de35": "{pan}=40122011234567890"}, "00", id="a stranger's track"),
    ],
)
def test_the_laboratory_asks_what_a_card_and_its_account_can_tell(
    lab: Any, change: dict[str, str], code: str
) -> None:
    pan = (lab.rich if code == "61" else lab.card()).card.pan
    message = request(pan, 1, **{name: value.format(pan=pan) for name, value in change.items()})

    (reply,) = exchange(lab.addresses["iso87-ascii"], [message])

    assert reply.elements[39] == code


@pytest.mark.parametrize("reading", ["keyed", "stripe", "wrong stripe", "wrong chip", "web"])
def test_a_visa_like_simulator_needs_no_hsm_either(lab: Any, till: Any, connect: Any, reading: str) -> None:
    link = connect(SimpleNamespace(address=lab.addresses["visa-like"]))

    reply = link.ask(till.purchase(lab.card(), 1000, reading))

    assert reply.elements[39] == "00"


def test_a_mastercard_like_simulator_needs_no_hsm_and_no_sign_on(lab: Any) -> None:
    codec = PyisoCodec(DIALECTS["mc-like"])
    elements = request(lab.card().card.pan, 1, de7="1121101530", de24="", de32="400001").elements
    message = Message(b"", "0100", elements | {48: "R", 61: "1000000000600840"})

    (reply,) = exchange(lab.addresses["mc-like"], [message], codec)

    assert reply.elements[39] == "00"
