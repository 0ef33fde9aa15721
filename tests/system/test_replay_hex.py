"""`standin replay` of hex lines against real processors, and what it says of input it cannot use."""

import socket
from typing import Any

import msgspec
import pytest

pytestmark = pytest.mark.slow


def replay(launch, *arguments: str) -> tuple[int, Any, list[str]]:
    """Exit code, the report, what stderr says."""
    child = launch.command("replay", *map(str, arguments), "--json")
    code = child.ended()
    out = child.out.all()
    return code, msgspec.json.decode(out[0]) if out else None, child.log.all()


def target(child) -> str:
    return "{}:{}".format(*child.address)


@pytest.fixture
def recorded(launch, hsm, issuer, till, connect, tmp_path):
    """A file of hex lines with the replies of a processor, and the deck it had."""
    poor, rich = issuer.card(500), issuer.card()
    questions = [till.signal("071")]
    for card in (poor, rich):
        purchase = till.purchase(card, 1000, "stripe", pin="right")
        questions += [purchase, till.repeat(purchase), till.reversal(purchase), till.purchase(card, 200)]
    deck = issuer.deck(tmp_path)
    processor = launch.serving(tmp_path / "first", hsm, deck)
    link = connect(processor)
    lines = ["# what a switch asked, and what it was answered"]
    for question in questions:
        link.send(question)
        lines.append(f"{link.codec.encode(question).hex()} {link.receive_bytes().hex()}")
    file = tmp_path / "frames.hex"
    file.write_text("\n".join(lines) + "\n")
    return file, deck, len(questions)


def test_the_same_frames_get_the_same_answers_from_another_processor(recorded, launch, hsm, tmp_path):
    file, deck, count = recorded
    other = launch.serving(tmp_path / "second", hsm, deck)
    code, report, log = replay(launch, file, "--target", target(other), "--network", "visa-like")
    assert (code, report["frames"], report["same"], report["groups"]) == (0, count, count, []), log


def test_a_processor_under_another_policy_answers_differently_and_the_report_says_where(
    recorded, launch, hsm, tmp_path
):
    file, deck, _ = recorded
    policy = tmp_path / "policy.toml"
    policy.write_text(
        'pin_tries = 3\n[[rules]]\nrule = "card_known"\n[[rules]]\nrule = "amount_limit"\ncurrency = "840"\nmax_minor = 300\n[[rules]]\nrule = "funds"\n'
    )
    other = launch.serving(tmp_path / "second", hsm, deck, POLICY=str(policy))
    page = tmp_path / "report.html"
    code, report, _ = replay(
        launch, file, "--target", target(other), "--network", "visa-like", "--html", page
    )
    assert code == 1
    assert [(g["label"], g["count"]) for g in report["groups"]] == [("DE39 51→61", 2), ("DE39 00→61", 2)]
    assert report["groups"][1]["also"]["DE38 given→absent"] == 2
    assert report["first"]["number"] == 2
    assert "DE39 00→61" in page.read_text()


def test_rules_given_on_the_command_line_hold(recorded, launch, hsm, tmp_path):
    file, deck, count = recorded
    rules = tmp_path / "rules.toml"
    rules.write_text('[rules]\n38 = "exact"\n44 = "ignore"\n')
    other = launch.serving(tmp_path / "second", hsm, deck)
    common = (file, "--target", target(other), "--network", "visa-like", "--rules", rules)
    code, report, _ = replay(launch, *common)
    assert (code, {group["label"] for group in report["groups"]}) == (1, {"DE38 given→other"})
    assert report["rules"]["visa-like"]["DE44"] == "ignore"
    code, report, _ = replay(launch, *common, "--rule", "38=present")  # asked again: the stored answers
    assert (code, report["same"]) == (0, count)


def test_frames_without_replies_are_sent_and_what_comes_is_counted(recorded, launch, hsm, tmp_path):
    file, deck, count = recorded
    alone = tmp_path / "alone.txt"
    alone.write_text("".join(line.split()[0] + "\n" for line in file.read_text().splitlines()[1:]))
    other = launch.serving(tmp_path / "second", hsm, deck)
    code, report, _ = replay(launch, alone, "--hex", "--target", target(other), "--network", "visa-like")
    assert (code, report["frames"], report["compared"]) == (0, count, 0)
    assert sum(row["count"] for row in report["answers"]) == count


def test_a_host_that_is_not_there_is_told_and_the_exit_code_is_2(recorded, launch):
    file, _, _ = recorded
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    code, _, log = replay(launch, file, "--target", f"127.0.0.1:{port}", "--network", "visa-like")
    assert code == 2
    assert "cannot connect" in log[-1]


def test_a_black_hole_is_told_and_the_exit_code_is_2(recorded, launch, silent_hsm):
    file, _, _ = recorded
    code, report, log = replay(
        launch, file, "--target", target(silent_hsm), "--network", "visa-like", "--timeout", "0.3"
    )
    assert (code, report["frames"], report["compared"]) == (2, 1, 0)
    assert "does not answer" in report["error"]
    assert log[-1] == f"standin replay: {report['error']}"


BAD_INPUT = {
    "no such file": (("{folder}/nothing", "--target", "127.0.0.1:1"), "No such file"),
    "hex lines without a target": (("{hex}",), "hex lines can only be sent"),
    "hex lines without a network": (("{hex}", "--target", "127.0.0.1:1"), "--network must say"),
    "a network that does not exist": (("{hex}", "--target", "127.0.0.1:1", "--network", "nobody"), "no such profile"),
    "a target that is no address": (("{hex}", "--target", "somewhere", "--network", "visa-like"), "must be HOST:PORT"),
    "two paces": (("{hex}", "--target", "127.0.0.1:1", "--network", "visa-like", "--rate", "5", "--speed", "2"), "only one of them"),
    "a pace without a target": (("{hex}", "--rate", "5"), "need a --target"),
    "a policy with a target": (("{hex}", "--target", "127.0.0.1:1", "--policy", "x.toml"), "only for a replay without --target"),
    "a rule that is none": (("{hex}", "--rule", "38=maybe"), "must be exact, ignore"),
    "rules that do not exist": (("{hex}", "--rules", "{folder}/nothing"), "No such file"),
    "a page where no folder is": (("{hex}", "--html", "{folder}/no/page.html"), "does not exist"),
    "something that is neither": (("{other}",), "not a line of a trace"),
    "an empty file": (("{empty}",), "empty"),
    "a folder": (("{folder}",), "Is a directory"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_INPUT)
def test_input_that_cannot_be_used_is_told_and_the_exit_code_is_2(case, launch, tmp_path):
    arguments, expected = BAD_INPUT[case]
    contents = {"hex": "1601\n", "other": '{"t":"in"}\n', "empty": ""}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    places = {"folder": tmp_path} | {name: tmp_path / name for name in contents}
    code, report, log = replay(launch, *(argument.format(**places) for argument in arguments))
    assert (code, report) == (2, None)
    assert expected in "\n".join(log)
