"""What lies in deploy/ is sound: rules and alerts do what they say, the dashboard is what its program makes."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "standin.json"


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, timeout=60
    )


def names(keyword: str, file: str) -> set[str]:
    return set(re.findall(rf"- {keyword}: (\S+)", (PROMETHEUS / file).read_text()))


def test_prometheus_takes_the_configuration_and_its_rules(promtool: str) -> None:
    checked = run(promtool, "check", "config", PROMETHEUS / "prometheus.yml")

    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.slow
def test_rules_and_alerts_do_what_their_tests_say(promtool: str) -> None:
    files = sorted((PROMETHEUS / "tests").glob("*.test.yml"))
    checked = run(promtool, "test", "rules", *files)

    assert files
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    cases = "".join(file.read_text() for file in (PROMETHEUS / "tests").glob("*.test.yml"))
    tested = re.findall(r"alertname: (\S+)\n *eval_time: \S+\n *exp_alerts:( \[\])?", cases)
    alerts = names("alert", "alerts.yml")

    assert alerts
    assert {name for name, nothing in tested if not nothing} == alerts
    assert {name for name, nothing in tested if nothing} == alerts


def test_every_recording_rule_has_a_case() -> None:
    cases = (PROMETHEUS / "tests" / "recording.test.yml").read_text()
    tested = set(re.findall(r"- expr: .*?(issuer:[a-z0-9_:]+)", cases))

    assert tested == names("record", "recording.yml")


def test_alerts_use_no_recording_rule_that_is_not_there() -> None:
    used = set(re.findall(r"issuer:[a-z0-9_]+:[a-z0-9_]+", (PROMETHEUS / "alerts.yml").read_text()))

    assert used
    assert used <= names("record", "recording.yml")


@pytest.fixture(scope="module")
def dashboard() -> Any:
    return json.loads(DASHBOARD.read_text())


def test_the_dashboard_is_what_its_program_makes() -> None:
    made = run(sys.executable, DEPLOY / "make_dashboard.py")

    assert made.stdout == DASHBOARD.read_text(), "run deploy/make_dashboard.py"


def test_panels_have_numbers_of_their_own_and_do_not_overlap(dashboard: Any) -> None:
    numbers = [panel["id"] for panel in dashboard["panels"]]
    covered = [
        (x, y)
        for grid in (panel["gridPos"] for panel in dashboard["panels"])
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]

    assert len(numbers) == len(set(numbers))
    assert len(covered) == len(set(covered))
    assert max(x for x, _ in covered) == 23
