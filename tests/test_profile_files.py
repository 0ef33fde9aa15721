"""A user's profile and dialect: loaded from their files, and everything wrong said with its place."""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import iso8583.specs
import pytest

from processor.config import load_config
from processor.iso8583.codec import PyisoCodec
from processor.iso8583.compiled import CompiledCodec
from processor.iso8583.header import TPDU
from processor.iso8583.message import Message
from processor.networks.adapters import DIALECTS
from processor.networks.profile import SHIPPED, load_profile
from processor.networks.recognise import Recogniser
from processor.networks.respond import Responder
from processor.values.errors import ConfigError, DecodeError
from processor.values.outcome import Reply
from processor.values.reasons import Reason
from processor.values.sensitive import Tokens

ROOT = Path(__file__).resolve().parents[1]
MINE = 'base = "iso87-ascii"\nname = "mine"\n'
WITH_DIALECT = MINE + 'dialect = "mine.json"\n'
PAN = "4000001234567899"

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(profile: str, dialect: Any = None) -> str:
        (tmp_path / "mine.toml").write_text(profile)
        if dialect is not None:
            (tmp_path / "mine.json").write_text(dialect if isinstance(dialect, str) else json.dumps(dialect))
        return str(tmp_path / "mine.toml")

    return write


def problems(path: str) -> str:
    with pytest.raises(ConfigError) as refusal:
        load_profile(path)
    assert all(problem.startswith(path) for problem in refusal.value.problems)
    return str(refusal.value)


def spec(**rows: Any) -> dict[str, Any]:
    """pyiso8583's own specification with some rows changed, or left out."""
    changed = {**deepcopy(iso8583.specs.default), **{key.removeprefix("_"): row for key, row in rows.items()}}
    return {key: row for key, row in changed.items() if row is not None}


@pytest.mark.parametrize("name", SHIPPED)
def test_every_profile_that_comes_with_the_processor_loads_and_speaks_its_dialect(name: str) -> None:
    profile = load_profile(name)

    assert profile.name == name
    assert set(profile.messages) <= DIALECTS[profile.dialect].mtis


def test_every_profile_file_is_listed() -> None:
    files = {path.stem.replace("_", "-") for path in (ROOT / "processor" / "networks").glob("*.toml")}

    assert files == set(SHIPPED)


def test_a_profile_says_only_what_differs_from_its_base(write: Write) -> None:
    profile = load_profile(write(MINE + 'framing = "ascii-4"\n[echo]\nother = [11]\n'))

    base = load_profile("iso87-ascii")
    assert (profile.name, profile.framing, profile.dialect) == ("mine", "ascii-4", "iso87-ascii")
    assert profile.echo == {"other": (11,)}
    assert profile.response_codes == base.response_codes


def test_a_base_may_have_a_base() -> None:
    assert load_profile("iso93-binary").directions == load_profile("iso87-ascii").directions


@pytest.mark.parametrize(
    "dialect",
    [
        pytest.param(spec(), id="a specification as it is"),
        pytest.param({"spec": spec()}, id="a specification inside an object"),
    ],
)
def test_a_users_specification_is_decoded_recognised_and_answered(write: Write, dialect: Any) -> None:
    profile = load_profile(write(WITH_DIALECT, dialect))
    codec = PyisoCodec(DIALECTS[profile.dialect])
    asked = {"h": "", "t": "0100", "2": PAN, "3": "000000", "4": "000000001000", "11": "000001", "49": "840"}
    data, _ = iso8583.encode(asked, iso8583.specs.default)

    message = codec.decode(bytes(data))
    question = Recogniser(profile, Tokens(bytes(32))).recognise(message)
    response = Responder(profile).respond(message, Reply(Reason.INSUFFICIENT_FUNDS))

    assert getattr(question.request, "stan", "") == "000001"
    answer, _ = iso8583.decode(codec.encode(response), iso8583.specs.default)
    assert (answer["t"], answer["39"], answer["11"]) == ("0110", "51", "000001")


@pytest.mark.parametrize(
    "dialect",
    [
        pytest.param(
            {"spec": spec(h={**iso8583.specs.default["h"], "data_enc": "b", "max_len": 5}), "header": "tpdu"},
            id="a specification with a meaning for its header",
        ),
        pytest.param(
            {"base": "iso87-binary", "header": "tpdu"}, id="a dialect of ours behind another header"
        ),
    ],
)
def test_a_header_is_part_of_a_users_dialect(write: Write, dialect: Any) -> None:
    profile = load_profile(write(WITH_DIALECT, dialect))

    assert DIALECTS[profile.dialect].header is TPDU
    asked = Message(bytes.fromhex("6000120034"), "0800", {11: "000001"})
    response = Responder(profile).respond(asked, Reply(Reason.ACCEPTED))
    assert response.header.hex() == "6000340012"
    codec = PyisoCodec(DIALECTS[profile.dialect])
    assert codec.decode(codec.encode(response)) == response


def test_the_shipped_dialect_is_not_changed_by_a_file_that_begins_with_it(write: Write) -> None:
    load_profile(write(WITH_DIALECT, {"base": "iso87-binary", "header": "iso"}))

    assert DIALECTS["iso87-binary"].header.length_bytes == 0


def test_a_configuration_names_a_profile_by_its_path(write: Write, tmp_path: Path) -> None:
    path = write(MINE)
    lab = ROOT / "examples" / "lab.toml"

    config = load_config(lab, listen=({"network": path, "address": "127.0.0.1:0"},))
    assert [section.network for section in config.listen] == [path]

    with pytest.raises(ConfigError) as refusal:
        load_config(lab, listen=({"network": f"{tmp_path}/yours.toml", "address": "127.0.0.1:0"},))
    assert "yours.toml: No such file" in str(refusal.value)


def test_two_networks_of_one_name_are_refused(write: Write) -> None:
    path = write(MINE.replace('"mine"', '"iso87-ascii"'))
    ports = tuple({"network": name, "address": "127.0.0.1:0"} for name in (path, "iso87-ascii", path))

    with pytest.raises(
        ConfigError, match=r"network 'iso87-ascii' is the name of .*mine\.toml and of iso87-ascii"
    ):
        load_config(ROOT / "examples" / "lab.toml", listen=ports)


@pytest.mark.parametrize(
    ("profile", "problem"),
    [
        pytest.param("[", "mine.toml: ", id="not TOML"),
        pytest.param('name = "mine"', "missing required field", id="no base and not everything else"),
        pytest.param('base = "yours"', "base 'yours': no such profile; there are visa-like,", id="an unknown base"),
        pytest.param("base = 8", "base: must name a profile", id="a base that is no name"),
        pytest.param(MINE + 'framing = "pigeon"', "framing: must be one of visa, two-byte", id="a framing"),
        pytest.param(MINE + 'adapter = "pigeon"', "adapter: must be one of visa-like", id="an adapter"),
        pytest.param(MINE + 'dialect = "pigeon"', "dialect: must be one of visa-like", id="a dialect"),
        pytest.param(MINE + 'dialect = "pigeon.json"', "pigeon.json: No such file", id="a dialect's file"),
        pytest.param(MINE.replace("mine", "Mine 1"), "name: must be letters", id="a name with blanks"),
        pytest.param(MINE + 'luhn = "maybe"', "luhn", id="a choice there is not"),
        pytest.param(MINE + "pigeon = 1", "pigeon", id="an unknown key"),
        pytest.param(MINE + '[messages]\n"1100" = "authorization"', "messages.1100: the dialect has no", id="an MTI"),
        pytest.param(MINE + '[messages]\nx = "reversal"', "messages.x: the dialect has no", id="no MTI at all"),
        pytest.param(MINE + '[mandatory]\n"0100" = [3, 4]', "mandatory.0100: DE 11 cannot", id="no STAN"),
        pytest.param(MINE + '[mandatory]\n"0120" = [3, 4, 11]', "mandatory.0120: DE 39 cannot", id="no decision"),
        pytest.param(MINE + "[mandatory]", "mandatory.0100 is missing", id="nothing mandatory"),
        pytest.param(MINE + '[session]\nheader = "1x"', "session.header: is not hex", id="a header that is none"),
        pytest.param(MINE + "[echo]", "echo.other is missing", id="no echoes"),
        pytest.param(MINE + "[echo]\nother = [11, 52]", "echo.other: DE 52 must never", id="an echoed PIN"),
        pytest.param(MINE + "[response_codes]", "response_codes.late is missing", id="no response codes"),
        pytest.param(
            MINE + '[keys]\nrepeat = ["x"]\ncontent = []\nlink = []', "keys: x is no element", id="a key's part"
        ),
        pytest.param(
            MINE + '[keys]\nrepeat = ["11"]\ncontent = ["day"]\nlink = []', "keys: day is no el", id="a day's content"
        ),
        pytest.param(
            MINE + '[keys]\nrepeat = ["65"]\ncontent = []\nlink = []', "keys: 65 is no element", id="a bitmap's bit"
        ),
        pytest.param(
            MINE + '[keys]\nrepeat = []\ncontent = []\nlink = [{original = ["62.2"], later = ["62.2"]}]',
            "keys.link[0]: nothing is called 62.2", id="another network's name",
        ),
        pytest.param(
            MINE + '[keys]\nrepeat = []\ncontent = []\nlink = [{original = ["37", "38"], later = ["37"]}]',
            "keys.link[0]: original and later have not the same", id="a name without its counterpart",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_profile_is_said_with_its_place(write: Write, profile: str, problem: str) -> None:
    assert problem in problems(write(profile))


# Of text to text, of bytes to bytes, of several bytes a character, and with escapes.
NO_ENCODINGS = (
    "rot13", "hex", "utf-8", "utf-8-sig", "utf-16-le", "utf-7", "shift_jis", "gb18030", "euc_kr", "iso2022_jp", "hz",
    "punycode", "idna", "unicode_escape", "raw_unicode_escape", "undefined", "ascii\0",
)  # fmt: skip
NO_ROWS: tuple[tuple[str, Any], ...] = (
    ("len_type", 7), ("len_type", 65536), ("len_type", True), ("max_len", 100_000), ("max_len", 10**9),
    ("max_len", 1.5), ("left_pad", 5), ("left_pad", None), ("right_pad", ["F"]), ("desc", {"a": 1}),
)  # fmt: skip


@pytest.mark.parametrize(
    ("dialect", "problem"),
    [
        pytest.param("{", "mine.json: not JSON", id="not JSON"),
        pytest.param("[]", "mine.json: not an object", id="a list"),
        pytest.param("[" * 100_000, "mine.json: ", id="brackets without end"),
        pytest.param({}, "mine.json: needs a spec or a base", id="nothing"),
        pytest.param(
            {"spec": spec(), "base": "visa-like"}, "needs a spec or a base, and not both", id="both"
        ),
        pytest.param({"spec": []}, "mine.json.spec: not an object", id="a specification that is a list"),
        pytest.param(
            {"spec": spec(), "hedaer": "tpdu"}, "mine.json.hedaer: there is no such key", id="a key"
        ),
        pytest.param({"spec": spec(), "header": "x"}, "header: must be one of none, base1", id="a header"),
        pytest.param({"base": "x"}, "mine.json.base: must be one of visa-like", id="a base"),
        pytest.param(
            {"spec": spec(), "header": "tpdu"}, "h: max_len is not the header's 5", id="no room for it"
        ),
        pytest.param(spec(h=None), "mine.json.h: missing", id="no header row"),
        pytest.param(spec(_2="pan"), "mine.json.2: not an object", id="a row that is text"),
        pytest.param(spec(_2={}), "mine.json.2: len_type is not a count", id="an empty row"),
        pytest.param(
            spec(_193=iso8583.specs.default["2"]), "193: there is no such row", id="an element too many"
        ),
        pytest.param(
            spec(_3={**iso8583.specs.default["3"], "data_enc": "x"}),
            "3: data_enc is not an",
            id="an encoding",
        ),
        *(
            pytest.param(
                spec(_41={**iso8583.specs.default["41"], "data_enc": encoding}),
                "41: data_enc is not an encoding of one byte",
                id=f"the encoding {encoding}",
            )
            for encoding in NO_ENCODINGS
        ),
        *(
            pytest.param(
                spec(_2={**iso8583.specs.default["2"], key: value}), f"2: {key} is not", id=f"{key} {value!r}"
            )
            for key, value in NO_ROWS
        ),
        pytest.param({"spec": spec(), "header": []}, "header: must be one of none", id="headers"),
        pytest.param({"base": ["x"]}, "mine.json.base: must be one of visa-like", id="bases"),
        pytest.param('{"t": ' + "9" * 5000 + "}", "mine.json: not JSON", id="a number of 5,000 digits"),
        pytest.param(
            spec(_4={**iso8583.specs.default["4"], "max_len": 19}),
            "4: max_len is more than 18",
            id="an amount",
        ),
        pytest.param(
            spec(t={**iso8583.specs.default["t"], "max_len": 3}), "t: max_len is not 4", id="an MTI of three"
        ),
        pytest.param(
            spec(p={**iso8583.specs.default["p"], "max_len": 16}), "p: max_len is not 8", id="a long bitmap"
        ),
    ],
)
def test_what_is_wrong_in_a_dialect_is_said_with_its_place(write: Write, dialect: Any, problem: str) -> None:
    assert problem in problems(write(WITH_DIALECT, dialect))


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\xff")
    (tmp_path / "folder.toml").mkdir()

    assert "codec can't decode" in problems(str(tmp_path / "mine.toml"))
    assert "Is a directory" in problems(str(tmp_path / "folder.toml"))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a = " + "[" * 20_000, id="lists without end"),
        pytest.param("a = " + "{a = " * 20_000, id="tables without end"),
        pytest.param("a = " + "9" * 5000, id="a number of 5,000 digits"),
    ],
)
def test_a_profile_that_no_reader_can_hold_is_refused_as_any_other(write: Write, text: str) -> None:
    assert problems(write(text))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp037", "cp500", "cp1140", "cp1252", "mac_roman"])
def test_an_encoding_of_one_byte_a_character_is_taken(write: Write, encoding: str) -> None:
    path = write(WITH_DIALECT, spec(_41={**iso8583.specs.default["41"], "data_enc": encoding}))
    codec = CompiledCodec(DIALECTS[load_profile(path).dialect], worth_it=1)
    message = Message(b"", "0100", {41: "TERM 001"})

    assert [codec.decode(codec.encode(message)) for _ in range(3)] == [message] * 3


def test_a_pin_block_of_a_users_dialect_must_be_eight_bytes(write: Write) -> None:
    text = {**iso8583.specs.default["52"], "data_enc": "ascii", "len_enc": "ascii", "max_len": 16}
    profile = load_profile(write(WITH_DIALECT, spec(_52=text)))
    elements = {2: PAN, 3: "000000", 4: "000000001000", 11: "000001", 52: "not a PIN block!"}

    with pytest.raises(DecodeError, match="DE 52: not eight bytes"):
        Recogniser(profile, Tokens(bytes(32))).recognise(Message(b"", "0100", elements))
