"""docs/how-to, followed to the letter: the commands of its pages, their output, and the names they use."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SIMULATOR = (ROOT / "docs" / "how-to" / "connect-a-simulator.md").read_text()
DASHBOARD = (ROOT / "docs" / "how-to" / "read-the-dashboard.md").read_text()
PATIENCE_S = 100.0
PORTS = (1500, 8583, 8584, 9090, 9583)
INSTALLED = "make .venv/installed\n. .venv/bin/activate\n"  # what the tests run in already
ENOUGH = """
must() {
  for _ in $(seq 60); do found=$(ask "$1"); if [ -n "$found" ]; then break; fi; sleep 0.5; done
  if [ -z "$found" ]; then echo "NOTHING for $1"; fi
}
python -c 'import socket; socket.create_connection(("127.0.0.1", 8583)).send(b"ended")'
"""  # asks until there is data; and a link ends, as the panels want to see one


def blocks(page: str, language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return [text for kind, text in found if kind == language]


def free_ports() -> dict[str, str]:
    """A free port for each that the pages name."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in PORTS]
    found = {str(port): str(one.getsockname()[1]) for port, one in zip(PORTS, taken, strict=True)}
    for one in taken:
        one.close()
    return found


class Stranger:
    """Somebody in a folder with ``examples`` and ``deploy``, who types what a page says, at other ports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ports = free_ports()
        for name in ("examples", "deploy"):
            shutil.copytree(ROOT / name, folder / name)
            for file in (folder / name).rglob("*.*ml"):
                file.write_text(self.here(file.read_text()))

    def here(self, text: str) -> str:
        """``text`` with our ports; Prometheus does in a second what it does in five."""
        for port, ours in self._ports.items():
            text = re.sub(rf"(?<=[:\s\"']){port}\b|(?<=\", ){port}\b", ours, text)
        return re.sub(r"(scrape|evaluation)_interval: \d+s", r"\1_interval: 1s", text)

    def run(self, script: str) -> SimpleNamespace:
        """Run a script that stops at the first command that fails; what it said, with the page's ports."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("STANDIN_")}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        environment["STANDIN_JOURNAL__SEGMENT_MIB"] = "1"
        said = [self.folder / "out", self.folder / "err"]
        with said[0].open("w") as out_file, said[1].open("w") as err_file:
            shell = subprocess.Popen(
                ["/bin/sh", "-e", "-c", self.here(script.replace(INSTALLED, ""))],
                cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, start_new_session=True,
                stdout=out_file, stderr=err_file,
            )  # fmt: skip
            try:
                shell.wait(PATIENCE_S)
            finally:
                with suppress(ProcessLookupError):  # whatever a script that failed has left behind
                    os.killpg(shell.pid, signal.SIGKILL)
                shell.wait()
        out, err = (file.read_text() for file in said)
        for port, ours in self._ports.items():
            out = re.sub(rf"\b{ours}\b", port, out)
        return SimpleNamespace(code=shell.returncode, out=out, err=err)


def same_everywhere(text: str) -> str:
    """Without moments, tokens and authorization codes, which are others each time."""
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "MOMENT", text)
    text = re.sub(r"\b[0-9a-f]{32}\b", "TOKEN", text)
    text = re.sub(r"(?<=, )\d{4}$", "MONTH", text, flags=re.MULTILINE)
    return re.sub(r"((?:code|DE 38|response) +)[A-Z0-9]{6}\b", r"\1CODE", text)


# Connect a simulator.


def test_who_connects_a_simulator_sees_what_the_page_shows(tmp_path: Path) -> None:
    stranger = Stranger(tmp_path)
    (tmp_path / "var").mkdir()
    (client,) = blocks(SIMULATOR, "python")
    (tmp_path / "var" / "ask.py").write_text(stranger.here(client))

    ran = stranger.run("".join(blocks(SIMULATOR, "sh")))

    assert ran.code == 0, ran.out + ran.err
    said = same_everywhere(ran.out)
    for shown in (text for text in blocks(SIMULATOR, "") if "Throughput" not in text):
        assert same_everywhere(shown) in said, ran.out
    assert "balanced           True" in said


# Read the dashboard.


@pytest.fixture(scope="module")
def followed(promtool: str, prometheus: str, tmp_path_factory: Any) -> SimpleNamespace:
    """The page about the dashboard, done: what was said, and every metric there was."""
    assert promtool
    assert prometheus
    rows, alerts = DASHBOARD.index("\n## Row by row"), DASHBOARD.index("\n## The alerts")
    looks = "".join(blocks(DASHBOARD[rows:alerts], "sh"))
    script = [
        *blocks(DASHBOARD[:rows], "sh"),
        ENOUGH,
        re.sub(r"^ask ", "must ", looks, flags=re.MULTILINE),
        "curl --silent http://127.0.0.1:9583/metrics > metrics\n",
        *blocks(DASHBOARD[alerts:], "sh"),
    ]
    folder = tmp_path_factory.mktemp("dashboard")
    ran = Stranger(folder).run("".join(script))
    return SimpleNamespace(ran=ran, folder=folder)


def test_every_command_of_the_page_about_the_dashboard_works(followed: SimpleNamespace) -> None:
    assert followed.ran.code == 0, followed.ran.out + followed.ran.err
    assert "parse error" not in followed.ran.err


def test_every_figure_of_the_page_is_there(followed: SimpleNamespace) -> None:
    assert "NOTHING" not in followed.ran.out, followed.ran.out


def test_every_metric_the_page_names_is_counted(followed: SimpleNamespace) -> None:
    told = (followed.folder / "metrics").read_text()
    exposed = set(re.findall(r"^(?:# TYPE )?(\w+)[{ ]", told, re.MULTILINE))
    recorded = set(re.findall(r"- record: (\S+)", (DEPLOY / "prometheus" / "recording.yml").read_text()))
    named = set(re.findall(r"\b(?:issuer|process)_[a-z_]+\b", DASHBOARD))
    shared = set(re.findall(r"\bissuer:[a-z_]+:[a-z0-9_]+", DASHBOARD))

    assert len(named) > 30
    assert named <= exposed
    assert shared <= recorded


def test_every_alert_has_its_section_and_no_section_is_of_another() -> None:
    alerts = re.findall(r"- alert: (\S+)", (DEPLOY / "prometheus" / "alerts.yml").read_text())
    severities = re.findall(r"labels: {severity: (\w+)}", (DEPLOY / "prometheus" / "alerts.yml").read_text())
    told = re.findall(r"^### (Issuer\w+)\n\n\*(\w+)\.\*", DASHBOARD, re.MULTILINE)

    assert told == [(name, severity.title()) for name, severity in zip(alerts, severities, strict=True)]
    assert set(re.findall(r"\bIssuer\w+", DASHBOARD)) == set(alerts)
    assert set(re.findall(r"\]\(#(issuer\w+)\)", DASHBOARD)) <= {name.lower() for name in alerts}


def test_every_panel_has_its_line_in_its_row() -> None:
    panels = json.loads((DEPLOY / "grafana" / "dashboards" / "standin.json").read_text())["panels"]
    named = re.findall(r"^### ([A-Z].*)$|^\| \*\*(.+?)\*\* \|", DASHBOARD, re.MULTILINE)

    rows = [row or panel for row, panel in named if not row.startswith("Issuer")]
    assert rows == [panel["title"] for panel in panels]


def test_every_log_line_the_page_names_is_written() -> None:
    source = "".join(file.read_text() for file in (ROOT / "processor").rglob("*.py"))
    events = re.findall(r"`((?:hsm|http|journal|link|original|message|signed) [a-zA-Z_ ]+)`", DASHBOARD)

    assert len(events) > 15
    assert [event for event in events if f'"{event}"' not in source] == ["journal torn_tail_cut"]
    assert '"journal " + notice.event' in source
    assert '"torn_tail_cut"' in source
