# ruff: noqa: INP001 - a program, no package
"""Make the Grafana dashboard, grafana/dashboards/standin.json, on standard output.

Rows from what cardholders notice down to the machine. A test runs every expression against a real Prometheus
that scrapes a real processor, and checks that the committed file is what this program makes.
"""

import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

WIDTH, HEIGHT = 8, 8  # of a panel; the grid has 24 columns
RATE = "$__rate_interval"
ON = 'network=~"$network"'
ASKED = f'{ON}, mti=~"[01][12]0[01]"'  # requests and their repeats, not advices
SOURCE = {"type": "prometheus", "uid": "${source}"}


class Panel(NamedTuple):
    """One graph: its lines are pairs of an expression and a legend."""

    title: str
    unit: str
    lines: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    stacked: bool = False
    limit: float | None = None  # drawn as a line: an objective or an alert's edge
    text: str = ""


def rate(metric: str, labels: str = ON, by: str = "network") -> str:
    """How much per second."""
    return f"sum by ({by}) (rate({metric}{{{labels}}}[{RATE}]))"


def quantile(share: float, metric: str, labels: str = "", by: str = "") -> str:
    """A latency that this share of all stays below."""
    groups = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({groups}) (rate({metric}_bucket{{{labels}}}[{RATE}])))"


def quantiles(metric: str, labels: str = "", by: str = "", legend: str = "") -> tuple[tuple[str, str], ...]:
    """The median and the tail."""
    return tuple(
        (quantile(share, metric, labels, by), f"{legend} {name}".strip())
        for share, name in ((0.5, "p50"), (0.99, "p99"), (0.999, "p99.9"))
    )


def mean(metric: str, by: str) -> str:
    """The mean of a histogram."""
    return f"sum by ({by}) (rate({metric}_sum[{RATE}])) / sum by ({by}) (rate({metric}_count[{RATE}]))"


APPROVED = rate("issuer_auth_responses_total", f'{ASKED}, reason="approved"')
SILENT_S = f"time() - issuer_link_last_message_timestamp_seconds{{{ON}}}"

ROWS: dict[str, tuple[Panel, ...]] = {
    "Traffic": (
        Panel("Messages", "reqps", ((rate("issuer_auth_requests_total"), "{{network}}"),)),
        Panel(
            "Approval rate",
            "percentunit",
            ((f"{APPROVED} / {rate('issuer_auth_responses_total', ASKED)}", "{{network}}"),),
            text="Of requests. Advices and reversals are always accepted and not in here.",
        ),
        Panel(
            "Answers by response code",
            "reqps",
            ((rate("issuer_auth_responses_total", ASKED, "response_code"), "{{response_code}}"),),
            stacked=True,
        ),
        Panel(
            "Declines by reason",
            "reqps",
            (
                (
                    rate("issuer_auth_responses_total", f'{ASKED}, reason!="approved"', "reason"),
                    "{{reason}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Messages by type",
            "reqps",
            ((rate("issuer_auth_requests_total", by="mti"), "{{mti}}"),),
            stacked=True,
        ),
        Panel(
            "Messages that could not be read, by data element",
            "reqps",
            ((rate("issuer_format_errors_total", by="network, field"), "{{network}} DE {{field}}"),),
        ),
    ),
    "Latency": (
        Panel(
            "Answer time of requests",
            "s",
            quantiles("issuer_auth_latency_seconds", f'{ON}, mti=~"[01][12]00"'),
            limit=0.1,
            text="From a message read whole to its answer written. The line is the objective.",
        ),
        Panel(
            "p99 by network",
            "s",
            ((quantile(0.99, "issuer_auth_latency_seconds", ON, "network"), "{{network}}"),),
            limit=0.1,
        ),
        Panel(
            "Where the time goes, mean by stage",
            "s",
            ((mean("issuer_auth_stage_seconds", "stage"), "{{stage}}"),),
            stacked=True,
            text="decode, execute and encode are work; turn, hsm and journal wait as well.",
        ),
    ),
    "Links": (
        Panel(
            "State",
            "short",
            ((f"issuer_link_state{{{ON}}}", "{{network}} {{link}}"),),
            kind="state-timeline",
            text="0 down, 1 connected, 2 signed on, 3 signed off.",
        ),
        Panel(
            "Since the last message",
            "s",
            ((f"({SILENT_S}) and on (network, link) issuer_link_state > 0", "{{network}} {{link}}"),),
            limit=120,
        ),
        Panel("In flight", "short", ((f"issuer_link_in_flight{{{ON}}}", "{{network}} {{link}}"),)),
        Panel("Answers not taken", "bytes", ((f"issuer_link_unsent_bytes{{{ON}}}", "{{network}} {{link}}"),)),
        Panel(
            "Links that ended, by reason",
            "ops",
            ((rate("issuer_links_ended_total", by="network, reason"), "{{network}} {{reason}}"),),
        ),
        Panel(
            "State changes",
            "ops",
            ((rate("issuer_link_transitions_total", by="network, state"), "{{network}} {{state}}"),),
        ),
    ),
    "Stand-in, repeats, reversals": (
        Panel(
            "Decided by the network in our place",
            "reqps",
            ((rate("issuer_stip_advices_total", by="network, decision"), "{{network}} {{decision}}"),),
        ),
        Panel("Past our own deadline", "reqps", ((rate("issuer_timeouts_total"), "{{network}}"),)),
        Panel(
            "Questions asked again",
            "reqps",
            ((rate("issuer_duplicates_total", by="network, kind"), "{{network}} {{kind}}"),),
        ),
        Panel(
            "Reversals, by whether the original was known",
            "reqps",
            ((rate("issuer_reversals_total", by="network, matched"), "{{network}} {{matched}}"),),
        ),
        Panel(
            "Postings, by whether the original was known",
            "reqps",
            ((rate("issuer_financial_advices_total", by="network, matched"), "{{network}} {{matched}}"),),
        ),
        Panel(
            "Late answers to our own requests",
            "reqps",
            ((rate("issuer_late_responses_total"), "{{network}}"),),
        ),
    ),
    "Money": (
        Panel(
            "Held in all, minor units",
            "short",
            (("sum by (currency) (issuer_holds_exposure_minor_units)", "{{currency}}"),),
        ),
        Panel("Open holds", "short", (("sum(issuer_holds_open)", "holds"),)),
        Panel("Holds expired", "ops", ((f"sum(rate(issuer_holds_expired_total[{RATE}]))", "expired"),)),
        Panel(
            "Asked for, minor units per second",
            "short",
            (
                (
                    rate("issuer_auth_amount_minor_units_total", by="currency, outcome"),
                    "{{currency}} {{outcome}}",
                ),
            ),
        ),
        Panel("Transactions in memory", "short", (("sum(issuer_transactions)", "transactions"),)),
        Panel("Cards", "short", (("sum(issuer_cards)", "cards"),)),
    ),
    "Platform": (
        Panel("Making a batch durable", "s", quantiles("issuer_journal_fsync_seconds"), limit=0.02),
        Panel(
            "Journal",
            "Bps",
            ((f"sum(rate(issuer_journal_bytes_total[{RATE}]))", "bytes"),),
        ),
        Panel(
            "Records per batch",
            "short",
            ((mean("issuer_journal_batch_records", "job"), "mean"),),
        ),
        Panel("Loop lag", "s", quantiles("issuer_loop_lag_seconds"), limit=0.05),
        Panel("Questions in flight", "short", (("sum(issuer_in_flight)", "in flight"),)),
        Panel("HSM answer time", "s", quantiles("issuer_hsm_latency_seconds", by="op", legend="{{op}}")),
        Panel(
            "HSM: no verdict",
            "reqps",
            (
                (
                    f'sum by (op, result) (rate(issuer_hsm_requests_total{{result!="answered"}}[{RATE}]))',
                    "{{op}} {{result}}",
                ),
            ),
        ),
        Panel(
            "CPU",
            "percentunit",
            ((f'rate(process_cpu_seconds_total{{job="standin"}}[{RATE}])', "{{instance}}"),),
        ),
        Panel("Memory", "bytes", (('process_resident_memory_bytes{job="standin"}', "{{instance}}"),)),
        Panel("Open files", "short", (('process_open_fds{job="standin"}', "{{instance}}"),)),
        Panel(
            "Log lines left out",
            "ops",
            (
                (f"sum by (why) (rate(issuer_log_lines_left_out_total[{RATE}]))", "{{why}}"),
                (f"sum(rate(issuer_log_lines_dropped_total[{RATE}]))", "nobody reads"),
            ),
        ),
        Panel(
            "Running",
            "short",
            (("issuer_build_info", "{{version}} Python {{python}} policy {{policy}}"),),
            kind="stat",
        ),
    ),
}


def panel(made: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    """One panel as Grafana wants it."""
    field: dict[str, Any] = {"unit": made.unit, "min": 0}
    if made.kind == "timeseries":
        field["custom"] = {
            "fillOpacity": 30 if made.stacked else 0,
            "stacking": {"mode": "normal" if made.stacked else "none"},
            "thresholdsStyle": {"mode": "line" if made.limit else "off"},
        }
    if made.limit:
        steps = [{"color": "green", "value": None}, {"color": "red", "value": made.limit}]
        field["thresholds"] = {"mode": "absolute", "steps": steps}
    return {
        "id": number,
        "type": made.kind,
        "title": made.title,
        "description": made.text,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": field, "overrides": []},
        "targets": [
            {"refId": letter, "expr": expr, "legendFormat": legend, "datasource": SOURCE}
            for letter, (expr, legend) in zip("ABC", made.lines, strict=False)
        ],
    }


def panels() -> Iterator[dict[str, Any]]:
    """Rows and their panels, three in a line, each with a number of its own."""
    numbers, y = itertools.count(1), 0
    for title, row in ROWS.items():
        grid = {"x": 0, "y": y, "w": 24, "h": 1}
        yield {
            "id": next(numbers),
            "type": "row",
            "title": title,
            "collapsed": False,
            "gridPos": grid,
            "panels": [],
        }
        y += 1
        for index, made in enumerate(row):
            yield panel(made, next(numbers), index % 3 * WIDTH, y + index // 3 * HEIGHT)
        y += -(-len(row) // 3) * HEIGHT


def variable(name: str, kind: str, query: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Something to choose at the head of the page."""
    return {"name": name, "type": kind, "query": query, "label": name, **more}


def dashboard() -> dict[str, Any]:
    """The whole page."""
    networks = "label_values(issuer_network_signed_on, network)"
    return {
        "uid": "standin",
        "title": "Standin",
        "tags": ["standin"],
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                variable("source", "datasource", "prometheus"),
                variable(
                    "network",
                    "query",
                    networks,
                    datasource=SOURCE,
                    includeAll=True,
                    multi=True,
                    allValue=".+",
                ),
            ]
        },
        "panels": list(panels()),
    }


if __name__ == "__main__":
    json.dump(dashboard(), sys.stdout, indent=1)
    sys.stdout.write("\n")
