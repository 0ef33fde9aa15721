"""The real visa-like frames of the shared vectors, sent over TCP to a running processor."""

import json
from pathlib import Path
from typing import Any

import iso8583
import pytest

from processor.networks.adapters import DIALECTS

pytestmark = pytest.mark.slow

HEADER_BYTES = 22
ECHOED = ("7", "11", "32", "37", "41", "42", "49", "62", "63", "90")
SENSITIVE = ("35", "43", "52", "53", "55")


def _body(frame: bytes) -> dict[str, bytes]:
    """The elements of a frame as they are on the wire, length included, cut by pyiso8583 alone."""
    _, encoded = iso8583.decode(frame[HEADER_BYTES:], DIALECTS["visa-like"].spec)
    return {name: part["len"] + part["data"] for name, part in encoded.items()}


@pytest.fixture(scope="module")
def frames(vectors: Path) -> dict[str, bytes]:
    """Every visa_base1 frame by its id, without its length."""
    lines = (vectors / "iso8583" / "messages.jsonl").read_text("utf-8").splitlines()
    records = [record for record in map(json.loads, lines) if record["id"].startswith("visa_base1/")]
    return {
        record["id"].removeprefix("visa_base1/"): bytes.fromhex(record["frame_hex"])[4:] for record in records
    }


@pytest.fixture(scope="module")
def processor(launch_for_module: Any, hsm: Any, new_issuer: Any, tmp_path_factory: Any) -> Any:
    """A processor for a deck with the PANs of the frames."""
    folder = tmp_path_factory.mktemp("visa_frames")
    issuer = new_issuer()
    issuer.card(pan="4567890123456783", expiry="1607")
    issuer.card(pan="4034567890123456", expiry="0309")
    return launch_for_module.serving(folder / "state", hsm, issuer.deck(folder))


def _ask(link: Any, frame: bytes) -> bytes:
    link.send_bytes(len(frame).to_bytes(2, "big") + b"\0\0" + frame)
    return bytes(link.receive_bytes())


@pytest.mark.parametrize(
    ("name", "mti", "code"),
    [
        pytest.param("visa_ecomm", "0110", "54", id="an e-commerce 0100 of a card that has expired since"),
        pytest.param("visa_f55", "0110", "54", id="a chip 0100 with PIN and three bitmaps"),
        pytest.param("visa_aft_sms_rev", "0430", "00", id="an 0420 whose original was never seen"),
        pytest.param("visa_aft_sms", "0210", "54", id="an 0200 that pays an account"),
    ],
)
def test_a_real_frame_gets_its_reply(
    frames: dict[str, bytes], processor: Any, connect: Any, name: str, mti: str, code: str
) -> None:
    frame = frames[name]

    reply = _ask(connect(processor), frame)

    asked, answered = _body(frame), _body(reply)
    assert answered["t"].hex() == mti
    assert answered["39"].decode("cp500") == code
    assert {n: answered.get(n) for n in ECHOED} == {n: asked.get(n) for n in ECHOED}
    assert not set(SENSITIVE) & set(answered)
    assert reply[:3] == frame[:3]
    assert int.from_bytes(reply[3:5], "big") == len(reply)
    assert (reply[5:8], reply[8:11]) == (frame[8:11], frame[5:8]), "destination and source are swapped"
    assert reply[11:HEADER_BYTES] == frame[11:HEADER_BYTES]


@pytest.mark.parametrize("name", ["visa_ecomm", "visa_f55"])
def test_a_real_frame_sent_again_as_0101_gets_the_same_answer(
    frames: dict[str, bytes], processor: Any, connect: Any, name: str
) -> None:
    frame, link = frames[name], connect(processor)

    first = _body(_ask(link, frame))
    repeated = _body(_ask(link, frame[:HEADER_BYTES] + b"\x01\x01" + frame[HEADER_BYTES + 2 :]))

    assert frame[HEADER_BYTES : HEADER_BYTES + 2] == b"\x01\x00"
    assert repeated["t"].hex() == "0110"
    assert (repeated["39"], repeated.get("38")) == (first["39"], first.get("38"))


def test_a_real_response_is_not_answered(frames: dict[str, bytes], processor: Any, connect: Any) -> None:
    link, response = connect(processor), frames["visa_aft_sms_rev_resp"]
    link.send_bytes(len(response).to_bytes(2, "big") + b"\0\0" + response)

    reply = _ask(link, frames["visa_aft_sms_rev"])

    assert _body(reply)["t"].hex() == "0430"
    assert _body(reply)["37"] == _body(frames["visa_aft_sms_rev"])["37"]
    assert "response unmatched" in processor.log.wait_for("0430")


def test_nothing_of_a_card_is_in_the_log(frames: dict[str, bytes], processor: Any, connect: Any) -> None:
    for frame in (frames["visa_ecomm"], frames["visa_f55"], frames["visa_aft_sms"]):
        _ask(connect(processor), frame)

    log = "\n".join(processor.log.all() + processor.out.all())
    assert "listening" in log
    for secret in ("4567890123456783", "4034567890123456", "62FAF4E84B13D45D", "D030912312345"):
        assert secret not in log.upper()
