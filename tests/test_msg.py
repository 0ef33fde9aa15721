"""``standin msg``: what people see of single messages, and what they must not."""

import base64
import io
import json
from pathlib import Path

import pytest

from processor.cli import msg
from processor.iso8583.compiled import CompiledCodec
from processor.iso8583.message import Message
from processor.networks.adapters import DIALECTS, FRAMINGS
from processor.networks.guess import BYTES_TRIED_MAX, FRAMES_TRIED_MAX, best, guesses
from processor.networks.profile import load_profile
from processor.values.errors import ConfigError

PAN, TRACK, PIN_BLOCK = "4000001234567899", "4000001234567899D30122010000012300000", "0123456789ABCDEF"


def message(network, **changed):
    elements = {
        2: PAN, 3: "000000", 4: "000000002599", 7: "1121093000", 11: "000042", 22: "0510", 25: "00",
        32: "123456", 35: TRACK, 37: "632509000042", 41: "TERM0001", 42: "MERCHANT 000001", 49: "840", 52: PIN_BLOCK,
    }  # fmt: skip
    if network != "visa-like":
        elements[22] = "051"
    elements |= {int(number.removeprefix("de")): value for number, value in changed.items()}
    header = bytes.fromhex("16010200000000001234560000000000000000000000") if network == "visa-like" else b""
    return Message(header, "0100", {n: v for n, v in elements.items() if v})


def frame(network, **changed):
    profile = load_profile(network)
    data = CompiledCodec(DIALECTS[profile.dialect]).encode(message(network, **changed))
    return FRAMINGS[profile.framing].frame(data)


@pytest.fixture
def run(capsys, monkeypatch):
    """Run a command; its exit code, stdout and stderr."""

    def run(*arguments, stdin=b""):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            msg.app(list(arguments))
            code = 0
        except SystemExit as ended:
            code = ended.code
        out, err = capsys.readouterr()
        return code, out, err

    return run


NETWORKS = ["visa-like", "mc-like", "iso87-ascii"]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("named", [True, False], ids=["with the network named", "guessed"])
def test_a_message_is_shown_masked(run, network, named):
    code, out, err = run("view", frame(network).hex(), *(["--network", network] if named else []))

    assert code == 0
    assert "400000******7899" in out
    assert "system trace audit number" in out
    assert "broken" not in out
    assert not [secret for secret in (PAN, TRACK, PIN_BLOCK) if secret in out + err]


WRITTEN = {
    "hexadecimal": lambda data: data.hex().encode(),
    "hexadecimal with blanks": lambda data: data.hex(" ").upper().encode(),
    "base64": base64.b64encode,
    "lines with comments": lambda data: b"# captured\n\n0x" + data.hex().encode() + b" # the first\n",
    "raw bytes": bytes,
}
NO_ARGUMENT = ("lines with comments", "raw bytes")
GIVEN = [
    pytest.param(source, write, id=f"{name} as {source}")
    for name, write in WRITTEN.items()
    for source in ("argument", "file", "stdin")
    if source != "argument" or name not in NO_ARGUMENT
]


@pytest.mark.parametrize(("source", "write"), GIVEN)
def test_input_is_taken_as_people_have_it(run, tmp_path, source, write):
    text = write(frame("visa-like"))
    file = tmp_path / "message"
    file.write_bytes(text)
    given = {"argument": text.decode, "file": lambda: str(file), "stdin": lambda: "-"}[source]()

    code, out, _ = run("view", given, "--network", "visa-like", stdin=text)

    assert code == 0
    assert "400000******7899" in out


def test_every_line_of_a_file_is_a_message(run, tmp_path):
    file = tmp_path / "two.hex"
    file.write_text("\n".join(frame("mc-like", de11=stan).hex() for stan in ("000001", "000002")))

    code, out, _ = run("view", str(file), "--network", "mc-like", "--json")

    assert code == 0
    assert [json.loads(line)["elements"]["11"] for line in out.splitlines()] == ["000001", "000002"]


def test_a_stream_of_raw_frames_is_cut(run, tmp_path):
    file = tmp_path / "stream.bin"
    file.write_bytes(b"".join(frame("visa-like", de11=f"{stan:06}") for stan in range(3)))

    code, out, err = run("view", str(file))

    assert code == 0
    assert "visa-like" in err
    assert out.count("MTI 0100") == 3


def test_a_message_that_is_cut_off_is_shown_as_far_as_it_goes(run):
    code, out, _ = run("view", frame("visa-like")[:80].hex(), "--network", "visa-like")

    assert code == 1
    assert "400000******7899" in out
    assert "broken: DE 35 at byte" in out
    assert "data ends early" in out


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("letters", [None, 60], ids=["whole", "cut off"])
def test_a_message_without_its_length_is_read_as_well_as_one_with_it(run, network, letters):
    framing = FRAMINGS[load_profile(network).framing]
    bare = frame(network)[framing.prefix_bytes :][:letters]

    code, out, _ = run("view", bare.hex(), "--network", network)

    assert code == (0 if letters is None else 1)
    assert out.startswith("MTI 0100\n")
    assert "DE 0" not in out


def test_a_broken_element_is_named_without_its_value(run):
    bad = frame("iso87-ascii").replace(b"000042", b"SECRET", 1)

    code, out, _ = run("view", bad.hex(), "--network", "iso87-ascii")

    assert code == 1
    assert "broken: DE 11 at byte" in out
    assert "SECRET" not in out


def test_unsafe_shows_everything_and_says_so(run):
    code, out, err = run("view", frame("visa-like").hex(), "--network", "visa-like", "--unsafe")

    assert code == 0
    assert PAN in out
    assert PIN_BLOCK in out
    assert err.splitlines() == [msg.UNSAFE_NOTE]


@pytest.mark.parametrize("network", NETWORKS)
def test_what_unsafe_json_shows_is_built_again_byte_for_byte(run, network):
    _, shown, _ = run("view", frame(network).hex(), "--network", network, "--unsafe", "--json")

    code, out, _ = run("build", "-", "--network", network, stdin=shown.encode())

    assert code == 0
    assert bytes.fromhex(out) == frame(network)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        pytest.param("{", "message 1:", id="no JSON"),
        pytest.param(
            '{"mti": "0100", "elements": {"4": "12"}}', "message 1: DE 4", id="a value that does not fit"
        ),
        pytest.param('{"mti": "0100", "elements": {"x": "12"}}', "elements are named by number", id="a name"),
        pytest.param('{"mti": "9999"}', "MTI", id="an MTI that is none"),
        pytest.param(
            '{"mti": "0800", "header": "zz"}', "header is not hexadecimal", id="a header that is none"
        ),
        pytest.param('{"mti": "0800", "fields": {}}', "fields", id="an unknown key"),
    ],
)
def test_what_is_no_message_is_not_built(run, line, problem):
    with pytest.raises(ConfigError, match=problem):
        run("build", "-", "--network", "iso87-ascii", stdin=line.encode())


def test_differences_are_told_element_by_element(run):
    left, right = frame("mc-like"), frame("mc-like", de4="000000003000", de25="", de35=TRACK[:-3] + "111")

    code, out, err = run("diff", left.hex(), right.hex(), "--network", "mc-like", "--json")
    found = {row["element"]: (row["left"], row["right"], row["note"]) for row in json.loads(out)}

    assert code == 1
    assert found == {
        "4": ("000000002599", "000000003000", ""),
        "25": ("00", "-", ""),
        "35": ("<37>", "<37>", "  (differ behind the mask)"),
    }
    assert TRACK not in out + err


def test_equal_messages_do_not_differ(run):
    code, out, _ = run("diff", frame("mc-like").hex(), frame("mc-like").hex(), "--network", "mc-like")

    assert (code, out) == (0, "")


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("framed", [True, False], ids=["framed", "without its length"])
def test_the_doctor_knows_dialect_and_framing(run, network, framed):
    profile = load_profile(network)
    data = frame(network) if framed else frame(network)[FRAMINGS[profile.framing].prefix_bytes :]

    code, out, _ = run("doctor", data.hex(), "--json")
    first = json.loads(out)[0]

    assert code == 0
    assert first["decoded"] == first["frames"] == 1
    assert first["dialect"] == profile.dialect
    assert (first["framing"] != "none") is framed


def test_the_doctor_says_when_nothing_fits(run):
    code, out, _ = run("doctor", "30313030")

    assert code == 1
    assert "nothing fits" in out


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        pytest.param("not hex, not base64!", "neither hexadecimal nor base64", id="text"),
        pytest.param("", "nothing to read", id="nothing"),
    ],
)
def test_what_cannot_be_read_is_refused_without_being_quoted(run, given, problem):
    with pytest.raises(ConfigError, match=problem) as refused:
        run("view", given)
    assert "not hex" not in str(refused.value)


@pytest.mark.parametrize("json_form", [[], ["--json"]], ids=["for people", "as JSON"])
def test_what_is_taken_for_a_header_of_unknown_bytes_is_not_shown(run, json_form):
    digits = bytes.fromhex(PAN) + bytes(1)

    code, out, err = run("view", digits.hex(), *json_form)

    assert code == 1
    assert PAN not in out + err


def test_headers_that_differ_are_told_as_they_are_shown(run):
    def frame(header):
        codec = CompiledCodec(DIALECTS["iso93-ebcdic-hex"])
        return codec.encode(Message(header, "1804", {11: "000001"})).hex()

    code, out, _ = run("diff", frame(b"400000123"), frame(b"400000124"))

    assert code == 1
    assert "<9 bytes>  →  <9 bytes>  (differ behind the mask)" in out
    assert b"400000123".hex() not in out


def test_a_message_is_built_with_a_header_that_is_accepted(run):
    line = b'{"mti": "0800", "elements": {"7": "1121093000", "11": "000001", "70": "301"}}'

    _, out, _ = run("build", "-", "--network", "visa-like", stdin=line)
    code, _, _ = run("redact", out.strip(), "--network", "visa-like")

    assert code == 0


def test_a_message_whose_header_nobody_would_accept_is_not_built(run):
    line = b'{"mti": "0800", "header": "' + b"00" * 22 + b'", "elements": {"11": "000001"}}'

    with pytest.raises(ConfigError, match="message 1: header_length"):
        run("build", "-", "--network", "visa-like", stdin=line)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_redacted_expiry_is_another_one_everywhere(run, network):
    _, out, _ = run("redact", frame(network, de14="3012").hex(), "--network", network)
    _, shown, _ = run("view", out.strip(), "--network", network, "--unsafe", "--json")
    elements = json.loads(shown)["elements"]

    assert elements["14"] != "3012"
    assert elements["14"][:2] >= "40"
    assert elements["35"].replace("=", "D").partition("D")[2].startswith(elements["14"] + "201")


def test_what_a_mask_hides_is_redacted(run):
    given = frame("iso87-ascii", de43="SHOP 4111 1111 1111 1111 TOWN".ljust(40))

    _, out, _ = run("redact", given.hex(), "--network", "iso87-ascii")

    assert b"SHOP" not in bytes.fromhex(out)
    assert b"4111 1111" not in bytes.fromhex(out)


def test_the_doctor_says_how_much_of_a_long_input_it_tried(run, tmp_path):
    file = tmp_path / "zeros"
    file.write_bytes(bytes(BYTES_TRIED_MAX + 1))

    code, out, _ = run("doctor", str(file))

    assert code == 1
    assert out.startswith(
        f"1: {BYTES_TRIED_MAX + 1} bytes, of which the first {BYTES_TRIED_MAX} were tried\n"
    )


def test_a_long_stream_of_frames_is_known_by_its_beginning():
    stream = frame("mc-like") * (2 * BYTES_TRIED_MAX // len(frame("mc-like")))

    guess = best(guesses(stream))

    assert guess is not None
    assert (guess.dialect, guess.framing, guess.frames) == ("mc-like", "two-byte", FRAMES_TRIED_MAX)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_redacted_message_keeps_its_shape_and_nothing_else_that_is_sensitive(run, network):
    code, out, _ = run("redact", frame(network).hex(), "--network", network)
    _, shown, _ = run("view", out.strip(), "--network", network, "--unsafe", "--json")
    elements, asked = json.loads(shown)["elements"], message(network).elements

    assert code == 0
    assert len(elements["2"]) == len(PAN)
    assert elements["2"].startswith("999999")
    assert elements["35"].startswith(elements["2"])
    assert set(elements["52"]) == {"0"}
    assert {n: elements[str(n)] for n in (3, 4, 11, 37, 49)} == {n: asked[n] for n in (3, 4, 11, 37, 49)}
    assert not [secret for secret in (PAN, PIN_BLOCK, TRACK[-8:]) if secret in shown]


GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.hex"))
DIALECT_OF = {
    "visa": "visa-like", "mc": "mc-like", "iso87": "iso87-ascii", "iso87b": "iso87-binary",
    "iso87x": "iso87-ascii-binary-bitmap", "iso93": "iso93-ascii", "iso93b": "iso93-binary", "iso93e": "iso93-ebcdic",
}  # fmt: skip


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_sound_message_can_be_read_when_it_is_redacted(run, path):
    network = DIALECT_OF[path.stem.partition("_")[0]]
    given = "".join(line.split()[0] for line in path.read_text().splitlines()[1:])

    _, out, _ = run("redact", given, "--network", network)
    code, _, _ = run("view", out.strip(), "--network", network)

    assert code == 0
    assert len(out.strip()) == len(given)


def test_one_key_gives_one_card_one_name_and_another_key_another(run):
    def pan(stan, *key):
        _, out, _ = run("redact", frame("mc-like", de11=stan).hex(), "--network", "mc-like", *key)
        _, shown, _ = run("view", out.strip(), "--network", "mc-like", "--unsafe", "--json")
        return json.loads(shown)["elements"]["2"]

    assert pan("000001", "--key", "k") == pan("000002", "--key", "k")
    assert len({pan("000001", "--key", "k"), pan("000001", "--key", "l"), pan("000001"), pan("000001")}) == 4


def test_a_message_that_cannot_be_read_is_not_redacted(run):
    with pytest.raises(ConfigError, match="cannot be read"):
        run("redact", frame("visa-like")[:80].hex(), "--network", "visa-like")
