"""Every class of message on every network, over real sockets: right answers, balanced books, reasons in the record."""

import itertools
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from processor.app import SHARD, keyring
from processor.iso8583.codec import PyisoCodec
from processor.iso8583.dialect import Dialect
from processor.iso8583.framing import Framer
from processor.iso8583.message import Message
from processor.iso8583.tables.mc_like import ADDITIONAL_DATA, POINT_OF_SERVICE_DATA
from processor.iso8583.tables.visa_like import NETWORK_PRIVATE_USE
from processor.journal.file_journal import FileJournal
from processor.networks.adapters import DIALECTS, FRAMINGS
from processor.networks.profile import load_profile
from processor.replay.recovery import records, recover
from processor.secrets import load_secrets

pytestmark = pytest.mark.slow

NETWORKS = ("visa-like", "mc-like", "iso87-ascii", "iso87-binary", "iso93-ascii")
HEADERS = {"visa-like": bytes.fromhex("16010200000000001234560000000000000000000000")}
_stans = itertools.count(1)


# DE 39, 24 and 25 of 1993 for what the tests say in the words of 1987, and back.
ACTIONS = {
    "00": "000", "05": "100", "12": "902", "13": "110", "30": "904", "51": "116", "91": "907", "94": "913"
}  # fmt: skip
RESPONSES = {action: code for code, action in ACTIONS.items()} | {"400": "00", "800": "00"}
FUNCTIONS = {"001": "801", "002": "802"}


class In93:
    """A codec of ISO 8583:1993 for messages in the words of 1987."""

    def __init__(self, dialect: Dialect) -> None:
        self._codec = PyisoCodec(dialect)

    def encode(self, message: Message) -> bytes:
        """Other elements, the same message."""
        said = dict(message.elements)
        said[12] = "25" + said[7] if 7 in said else "251121101530"
        if 22 in said:
            said[22] = "210101614140"
        if 70 in said:
            said[24] = FUNCTIONS[said.pop(70)]
        if (original := said.pop(90, "")) != "":
            acquirer = original[20:31].lstrip("0")
            said[56] = f"1{original[1:10]}25{original[10:20]}{len(acquirer):02}{acquirer}"
        if (total := said.pop(95, "")) != "":
            said |= {4: total[:12], 24: "401", 30: said[4] + "0" * 12}
        if message.mti[1] == "4" and (reason := said.pop(39, "")) != "":
            said[25] = {"68": "4021"}[reason]
        if 39 in said:
            said[39] = ACTIONS[said[39]]
        mti = f"1{message.mti[1:]}" if message.mti[1] != "8" else "1804"
        return self._codec.encode(Message(message.header, mti, said))

    def decode(self, data: bytes) -> Message:
        """An answer, with the response code of 1987."""
        message = self._codec.decode(data)
        code = RESPONSES[message.elements[39]]
        mti = f"0{message.mti[1:3]}0"
        return Message(message.header, mti, message.elements | {39: code})


class Network:
    """One network's link, and messages as that network writes them."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self.codes = load_profile(name).response_codes
        self._codec: Any = (In93 if name.startswith("iso93") else PyisoCodec)(DIALECTS[name])
        self._rule = FRAMINGS[load_profile(name).framing]
        self._port = port
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self._framer = Framer(self._rule, 65_535)
        self._arrived: list[bytes] = []

    def another(self) -> "Network":
        """The same network over another connection."""
        return Network(self.name, self._port)

    def send(self, *messages: Message) -> None:
        """Send in one write."""
        self.socket.sendall(b"".join(self._rule.frame(self._codec.encode(m)) for m in messages))

    def message(self, mti: str, pan: str, minor: int = 1000, **more: str) -> Message:
        """A message that names nothing but what every network needs."""
        stan = f"{next(_stans):06}"
        elements = {
            2: pan, 3: "000000", 4: f"{minor:012}", 7: "1121101530", 11: stan, 22: "0100", 32: "400001",
            37: f"632510{stan}", 41: "TERM0001", 42: "MERCHANT0000001", 49: "840",
        }  # fmt: skip
        if self.name != "visa-like":
            elements[22] = "010"
        if self.name == "mc-like":
            elements[48] = ADDITIONAL_DATA.build({0: "R"})
            elements[61] = POINT_OF_SERVICE_DATA.build(
                dict.fromkeys(range(1, 12), "0") | {12: "00", 13: "840"}
            )
            elements[63] = f"MCC{stan}"
        elements |= {int(name.removeprefix("de")): value for name, value in more.items()}
        return Message(HEADERS.get(self.name, b""), mti, elements)

    def about(self, original: Message, mti: str, minor: int | None = None, **more: str) -> Message:
        """A later message that names its original in DE 90."""
        was = original.elements
        later = self.message(mti, was[2], int(was[4]) if minor is None else minor)
        named = f"{original.mti}{was[11]}{was[7]}{was[32]:>011}{0:011}"
        elements = later.elements | {37: was[37], 90: named}
        return Message(later.header, mti, elements | {int(n.removeprefix("de")): v for n, v in more.items()})

    def late_reason(self) -> dict[str, str]:
        """The elements that say: this reversal is about your late answer."""
        return {
            "visa-like": {"de63": NETWORK_PRIVATE_USE.build({1: "0002", 4: "9103"})},
            "mc-like": {"de60": "4020000"},
        }.get(self.name, {"de39": "68"})

    def ask(self, *messages: Message) -> list[Message]:
        """Send in one write; the answers by their STAN, in the order of the questions."""
        self.send(*messages)
        replies: dict[str, Message] = {}
        while len(replies) < len(messages):
            while not self._arrived:
                data = self.socket.recv(65_536)
                assert data, "the link was closed"
                self._framer.receive(data)
                self._arrived = self._framer.frames()
            reply = self._codec.decode(self._arrived.pop(0))
            replies[reply.elements[11]] = reply
        return [replies[message.elements[11]] for message in messages]

    def code(self, message: Message) -> str:
        """DE 39 of the answer to one message."""
        (reply,) = self.ask(message)
        assert reply.mti == f"{message.mti[:2]}{int(message.mti[2]) + 1}0"
        return reply.elements[39]


class Scene:
    """A processor with a card port for each network, and its journal."""

    def __init__(self, state: Path, networks: dict[str, Network]) -> None:
        self.state, self.networks = state, networks

    def book(self) -> Any:
        """The books as the journal has them now."""
        return recover(self._journal(), SHARD)

    def account(self, pan: str) -> Any:
        """The one account that was issued for a card ending so."""
        book = self.book()
        (card,) = [c for c in book.cards.values() if c.pan_masked.endswith(pan[-4:])]
        return book.accounts[card.account]

    def verdicts(self) -> list[Any]:
        """The last record's verdicts."""
        *_, last = records(self._journal(), SHARD)
        return list(last.verdicts)

    def _journal(self) -> FileJournal:
        return FileJournal(self.state / "journal", keyring(load_secrets(self.state, create=False)))


@pytest.fixture(scope="module")
def cards(new_issuer: Any) -> SimpleNamespace:
    """One fresh card a test, and one account in yen and one in dinar."""
    issuer = new_issuer()
    fresh = [issuer.card(100_000).card.pan for _ in range(160)]
    return SimpleNamespace(issuer=issuer, fresh=iter(fresh))


@pytest.fixture(scope="module")
def scene(launch_for_module: Any, hsm: Any, cards: Any, tmp_path_factory: Any) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("networks")
    deck = cards.issuer.deck(folder)
    others = ('{"pan":"4000009990000017","currency":"392"', '{"pan":"4000009990000025","currency":"048"')
    rest = ',"expiry":"4012","service_code":"201","balance_minor":5000,"pvv":"1234","pvki":"1","psn":"001"}\n'
    deck.write_text(deck.read_text() + "".join(start + rest for start in others))
    listens = [a for name in NETWORKS[1:] for a in ("--listen", f"{name}=127.0.0.1:0")]
    child = launch_for_module.processor(folder / "state", hsm.address, deck, more=listens)
    ports = {}
    for name in NETWORKS:
        line = child.out.wait_for(f"listening {name}")
        ports[name] = int(line.rsplit(":", 1)[1])
    networks = {name: Network(name, port) for name, port in ports.items()}
    yield Scene(folder / "state", networks)
    for network in networks.values():
        network.socket.close()


@pytest.fixture(params=NETWORKS)
def network(request: Any, scene: Scene) -> Network:
    return scene.networks[request.param]


@pytest.fixture
def pan(cards: Any) -> str:
    return next(cards.fresh)


def test_a_purchase_its_repeat_and_the_same_key_with_another_amount(network, scene, pan):
    asked = network.message("0100", pan)
    (first,) = network.ask(asked)
    (again,) = network.ask(Message(asked.header, "0101", asked.elements))
    other = Message(asked.header, "0100", asked.elements | {4: f"{2000:012}"})

    assert first.elements[39] == "00"
    assert (again.elements[38], again.elements[39]) == (first.elements[38], first.elements[39])
    assert network.code(other) == "94"
    assert scene.account(pan).held_minor == 1000


@pytest.mark.parametrize("mti", ["0400", "0420"])
def test_a_full_reversal_twice_and_its_repeat(network, scene, pan, mti):
    asked = network.message("0100", pan)
    network.ask(asked)
    reversal = network.about(asked, mti)

    assert network.code(reversal) == "00"
    assert network.code(Message(reversal.header, mti[:3] + "1", reversal.elements)) == "00"
    assert network.code(network.about(asked, mti)) == "00"
    assert scene.account(pan).held_minor == 0


def test_a_partial_reversal_gives_the_new_total_and_may_not_exceed_the_old_one(network, scene, pan):
    asked = network.message("0100", pan)
    network.ask(asked)

    assert network.code(network.about(asked, "0420", de95=f"{400:012}{0:012}" + "0" * 18)) == "00"
    assert scene.account(pan).held_minor == 400
    assert network.code(network.about(asked, "0420", de95=f"{500:012}{0:012}" + "0" * 18)) == "13"
    assert scene.account(pan).held_minor == 400


def test_an_original_after_its_reversal_takes_no_hold(network, scene, pan):
    asked = network.message("0100", pan)
    assert network.code(network.about(asked, "0420")) == "00"

    assert network.code(asked) == "12"
    assert scene.account(pan).held_minor == 0
    assert "not_reversed_before" in [verdict.rule for verdict in scene.verdicts()]


def test_a_stand_in_approval_is_merged_and_a_reversal_of_our_late_answer_leaves_it(network, scene, pan):
    asked = network.message("0100", pan)
    network.ask(asked)

    assert network.code(network.about(asked, "0120", 700, de39="00", de38="STIP01")) == "00"
    assert scene.account(pan).held_minor == 700
    assert network.code(network.about(asked, "0420", **network.late_reason())) == "00"
    assert scene.account(pan).held_minor == 700
    assert network.code(network.about(asked, "0420")) == "00"
    assert scene.account(pan).held_minor == 0


def test_a_stand_in_decline_releases_our_hold(network, scene, pan):
    asked = network.message("0100", pan)
    network.ask(asked)

    assert network.code(network.about(asked, "0120", de39="05")) == "00"
    assert scene.account(pan).held_minor == 0


def test_a_completion_posts_and_a_force_post_needs_no_original(network, scene, pan):
    asked = network.message("0100", pan)
    network.ask(asked)
    completion = network.about(asked, "0220", 900)

    assert network.code(completion) == "00"
    assert network.code(Message(completion.header, "0221", completion.elements)) == "00"
    assert network.code(network.message("0220", pan, 50_000)) == "00"
    account = scene.account(pan)
    assert (account.held_minor, account.ledger_minor) == (0, 100_000 - 900 - 50_000)


def test_an_advice_is_never_declined_for_want_of_money(network, scene, pan):
    assert network.code(network.message("0220", pan, 150_000)) == "00"
    assert scene.account(pan).ledger_minor == -50_000


def test_a_single_message_is_posted_at_once_and_given_back_once(network, scene, pan):
    asked = network.message("0200", pan)
    assert network.code(asked) == "00"
    assert scene.account(pan).ledger_minor == 99_000

    assert network.code(network.about(asked, "0420")) == "00"
    assert network.code(network.about(asked, "0400")) == "00"
    assert scene.account(pan).ledger_minor == 100_000


def test_a_refund_waits_for_its_posting(network, scene, pan):
    assert network.code(network.message("0100", pan, de3="200000")) == "00"
    assert scene.account(pan).available_minor == 100_000

    assert network.code(network.message("0220", pan, de3="200000")) == "00"
    assert scene.account(pan).available_minor == 101_000


def test_an_account_verification_holds_nothing(network, scene, pan):
    assert network.code(network.message("0100", pan, 0)) == "00"
    assert scene.account(pan).held_minor == 0


def test_an_advice_for_an_unknown_card_goes_to_suspense(network, scene):
    before = scene.book().accounts.get("suspense:840")
    held = before.held_minor if before is not None else 0

    assert network.code(network.message("0120", "4000009999999990", de39="00")) == "00"
    assert scene.book().accounts["suspense:840"].held_minor == held + 1000


@pytest.mark.parametrize(
    ("card", "currency", "minor"),
    [("4000009990000017", "392", 1000), ("4000009990000025", "048", 1)],
    ids=["yen have no decimals", "dinars have three"],
)
def test_amounts_are_minor_units_of_their_own_currency(network, scene, card, currency, minor):
    held = scene.account(card).held_minor
    asked = network.message("0100", card, minor, de49=currency)

    assert network.code(asked) == "00"
    assert scene.account(card).held_minor == held + minor
    network.ask(network.about(asked, "0420", de49=currency))


def test_an_unknown_currency_is_a_format_error_and_another_one_is_refused(network, pan):
    assert network.code(network.message("0100", pan, de49="001")) == "30"
    assert network.code(network.message("0100", pan, de49="978")) == "12"


def test_a_track_of_another_card_is_a_format_error(network, pan):
    track = "4000009990000017D40122011123400567"
    assert network.code(network.message("0100", pan, de35=track)) == "30"


@pytest.mark.parametrize("private", ["1", "R9", "\xe9", "0000"])
def test_private_data_that_cannot_be_read_harms_one_message_at_most(scene, pan, private):
    mc = scene.networks["mc-like"]
    asked = mc.message("0100", pan, de48=private)

    assert mc.code(asked) in {"00", "30"}
    assert mc.code(Message(asked.header, "0101", asked.elements)) in {"00", "30"}
    assert mc.code(mc.message("0100", pan)) == "00"


def test_two_links_that_send_for_one_card_at_once_cannot_spend_its_money_twice(network, scene, pan):
    other = network.another()
    mine = [network.message("0100", pan, 30_000) for _ in range(5)]
    theirs = [other.message("0100", pan, 30_000) for _ in range(5)]
    other.send(*theirs)
    codes = [reply.elements[39] for reply in network.ask(*mine)]
    codes += [
        reply.elements[39] for reply in other.ask(*[Message(m.header, "0101", m.elements) for m in theirs])
    ]

    other.socket.close()
    assert sorted(codes) == ["00"] * 3 + ["51"] * 7
    assert scene.account(pan).held_minor == 90_000


def test_a_sign_off_in_the_middle_refuses_requests_and_takes_advices(network, scene, pan):
    off, on = {"visa-like": ("072", "071"), "mc-like": ("062", "061")}.get(network.name, ("002", "001"))
    signal = network.message("0800", pan)
    asked = network.message("0100", pan)
    network.ask(asked)
    bare = {n: signal.elements[n] for n in (7, 11)}

    assert network.code(Message(signal.header, "0800", bare | {70: off})) == "00"
    assert network.code(network.message("0100", pan)) == "91"
    assert "signed_on" in [verdict.rule for verdict in scene.verdicts()]
    assert network.code(network.about(asked, "0420")) == "00"
    assert network.code(Message(signal.header, "0800", bare | {11: f"{next(_stans):06}", 70: on})) == "00"
    assert network.code(network.message("0100", pan)) == "00"


def test_one_card_on_two_networks_is_one_account(scene, pan):
    visa, mc = scene.networks["visa-like"], scene.networks["mc-like"]

    assert visa.code(visa.message("0100", pan, 60_000)) == "00"
    assert mc.code(mc.message("0100", pan, 60_000)) == "51"
