"""A real Prometheus scrapes a real processor under traffic: dashboard and rules show what is there."""

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.slow

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
PATIENCE_S = 25.0


class Monitored:
    """A processor under traffic, and the Prometheus that watches it."""

    def __init__(self, client: httpx.Client, processor: Any, metrics_url: str, api_url: str) -> None:
        self.processor = processor
        self.metrics_url = metrics_url
        self._api_url = api_url
        self._client = client
        self._tick = threading.Event()

    def ask(self, expression: str) -> list[Any]:
        """The series that an expression gives now."""
        reply = self._client.get(f"{self._api_url}/query", params={"query": expression})
        found = reply.json()
        assert found["status"] == "success", (expression, found)
        return list(found["data"]["result"])

    def without_data(self, expressions: list[str]) -> list[str]:
        """Those that give nothing, however long one waits."""
        left = expressions
        for _ in range(int(PATIENCE_S / 0.25)):
            left = [expression for expression in left if not self.ask(expression)]
            if not left:
                break
            self._tick.wait(0.25)
        return left

    def firing(self) -> set[str]:
        found = self._client.get(f"{self._api_url}/alerts").json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in found if alert["state"] == "firing"}


def configuration(folder: Path, target: str) -> Path:
    """The shipped configuration with our target, faster."""
    for file in ("recording.yml", "alerts.yml"):
        shutil.copy(DEPLOY / "prometheus" / file, folder)
    text = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    for shipped, ours in (
        ("127.0.0.1:9583", target),
        ("scrape_interval: 5s", "scrape_interval: 1s"),
        ("evaluation_interval: 15s", "evaluation_interval: 1s"),
    ):
        assert shipped in text
        text = text.replace(shipped, ours)
    (folder / "prometheus.yml").write_text(text)
    return folder / "prometheus.yml"


@pytest.fixture(scope="module")
def monitored(
    launch_for_module: Any, hsm: Any, prometheus: str, tmp_path_factory: Any
) -> Iterator[Monitored]:
    folder, launch = tmp_path_factory.mktemp("metrics"), launch_for_module
    deck = ("--deck", str(folder / "deck.jsonl"), "--pins", str(folder / "pins.jsonl"))
    made = launch.command(
        *("deck", "make", "--cards", "200", "--seed", "3", "--hsm", "{}:{}".format(*hsm.address)),
        *("--out", deck[1], "--pins", deck[3]),
    )
    assert made.ended() == 0, made.log.all()
    processor = launch.processor(folder / "state", hsm.address, deck[1], HTTP__ADDRESS="127.0.0.1:0").ready()
    target = processor.out.wait_for("listening http ").split()[2]
    server = launch.child(
        *("-c", "import os, sys; os.execv(sys.argv[1], sys.argv[1:])", prometheus),
        f"--config.file={configuration(folder, target)}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    )
    address = server.log.wait_for("Listening on").rpartition("address=")[2]
    to = "{}:{}".format(*processor.address)
    launch.command("simulate", "--target", to, "--links", "2", "--rate", "150", "--seconds", "20", *deck)
    with httpx.Client() as client:
        yield Monitored(client, processor, f"http://{target}/metrics", f"http://{address}/api/v1")


def test_every_expression_of_the_dashboard_has_data(monitored: Monitored, connect: Any, till: Any) -> None:
    dashboard = json.loads((DEPLOY / "grafana" / "dashboards" / "standin.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    garbled, link = till.signal("301"), connect(monitored.processor)
    del garbled.elements[70]
    link.ask(garbled)  # a format error
    link.socket.close()  # and a link that ends

    assert len(expressions) > 40
    asked = [e.replace("$__rate_interval", "30s").replace("$network", ".+") for e in expressions]
    assert monitored.without_data(asked) == []


def test_every_recording_rule_has_data(monitored: Monitored) -> None:
    rules = re.findall(r"- record: (\S+)", (DEPLOY / "prometheus" / "recording.yml").read_text())

    assert len(rules) == 10
    assert monitored.without_data(rules) == []


def test_nothing_is_alerted_while_all_is_well(monitored: Monitored) -> None:
    assert monitored.without_data(["issuer:approval_ratio:rate5m"]) == []
    assert monitored.firing() <= {"IssuerLookAtThis"}  # the traffic has money for suspense in it


def test_prometheus_has_nothing_to_say_against_our_names(monitored: Monitored, promtool: str) -> None:
    exposed = httpx.get(monitored.metrics_url).raise_for_status().text
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=exposed, capture_output=True, text=True, check=False
    )

    assert "issuer_auth_latency_seconds_bucket" in exposed
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_no_card_number_is_in_the_metrics(monitored: Monitored) -> None:
    exposed = httpx.get(monitored.metrics_url).raise_for_status().text

    assert not re.search(r"[0-9]{13,19}\"", exposed)
