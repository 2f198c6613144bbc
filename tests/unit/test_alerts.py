"""The alerts and the dashboard in `deploy/` ask for metrics that there are, and each alert fires when it says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import click
import pytest
import yaml
from prometheus_client import Gauge

from collator.cli.main import cli
from collator.metrics import Metrics
from tests.requirements import need

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "collator.rules.yaml"
DASHBOARD = DEPLOY / "grafana" / "collator.json"
ALERTS = {rule["alert"]: rule for rule in yaml.safe_load(RULES.read_text("utf-8"))["groups"][0]["rules"]}
FLAT, GROWS = "x200", "+10x200"
FIRES = MappingProxyType(
    {
        "CollatorLedgerUnusable": {"collator_ledger_usable": "0" + FLAT},
        "CollatorDiskNearlyFull": {"collator_disk_free_bytes": "1e9" + FLAT},
        "CollatorDeliveriesDead": {'collator_deliveries{state="dead"}': "1" + FLAT},
        "CollatorDeliveriesWait": {'collator_deliveries{state="due"}': "200" + GROWS},
        "CollatorDeliveryOverdue": {'collator_endpoint_oldest_due_seconds{endpoint="e"}': "1900" + GROWS},
        "CollatorEndpointOpen": {'collator_endpoint_breaker{collator_endpoint_breaker="open"}': "1" + FLAT},
        "CollatorEndpointPaused": {'collator_endpoint_paused{endpoint="e"}': "1" + FLAT},
        "CollatorEndpointWaits": {'collator_endpoint_wait_seconds{endpoint="e"}': "5" + FLAT},
        "CollatorWebhooksLate": {
            'collator_completion_to_send_seconds_bucket{le="0.1"}': "0" + FLAT,
            'collator_completion_to_send_seconds_bucket{le="0.2"}': "0" + GROWS,
            'collator_completion_to_send_seconds_bucket{le="+Inf"}': "0" + GROWS,
        },
        "CollatorPacketsFail": {'collator_processor_attempts_total{result="failure"}': "0" + GROWS},
        "CollatorProcessorBroken": {'collator_processor_failed_attempts_total{cause="process"}': "0" + GROWS},
        "CollatorBacklogGrows": {"collator_packets_waiting": "2000" + GROWS},
        "CollatorPacketsRefused": {'collator_packets_total{status="malformed"}': "0" + GROWS},
        "CollatorRequestsRefused": {'collator_requests_refused_total{code="busy"}': "0" + GROWS},
        "CollatorResourcesIncomplete": {'collator_resources{state="incomplete"}': "0" + GROWS},
        "CollatorNothingEnds": {
            'collator_packets_total{status="accepted"}': "0" + GROWS,
            "collator_resources_closed_total": "7" + FLAT,
        },
        "CollatorOutcomesDropped": {'collator_outcomes_dropped_total{reason="lost"}': "0" + GROWS},
        "CollatorCommitSlow": {
            'collator_commit_seconds_bucket{le="0.5"}': "0" + FLAT,
            'collator_commit_seconds_bucket{le="1.0"}': "0" + GROWS,
            'collator_commit_seconds_bucket{le="+Inf"}': "0" + GROWS,
        },
        "CollatorEventLoopLate": {
            'collator_loop_lag_seconds_bucket{le="0.1"}': "0" + FLAT,
            'collator_loop_lag_seconds_bucket{le="0.2"}': "0" + GROWS,
            'collator_loop_lag_seconds_bucket{le="+Inf"}': "0" + GROWS,
        },
        "CollatorDurabilityAtRisk": {"collator_durability_risks": "1" + FLAT},
        "CollatorClockBehind": {"collator_clock_behind_seconds": "60" + FLAT},
        "CollatorLogLinesLost": {"collator_log_lines_lost_total": "0" + GROWS},
    }
)
"""Series under which an alert must fire, two of each node; a value a minute."""
QUIET = MappingProxyType(
    {
        "collator_ledger_usable": "1" + FLAT,
        "collator_disk_free_bytes": "5e10" + FLAT,
        'collator_deliveries{state="dead"}': "0" + FLAT,
        'collator_deliveries{state="due"}': "50-10x4 0x190",
        'collator_endpoint_oldest_due_seconds{endpoint="e"}': "1900x4 0x190",
        'collator_endpoint_breaker{collator_endpoint_breaker="open"}': "1x3 0x190",
        'collator_endpoint_paused{endpoint="e"}': "1x10 0x190",
        'collator_endpoint_wait_seconds{endpoint="e"}': "30x10 0x190",
        'collator_completion_to_send_seconds_bucket{le="0.1"}': "0" + GROWS,
        'collator_completion_to_send_seconds_bucket{le="+Inf"}': "0" + GROWS,
        'collator_processor_attempts_total{result="failure"}': "3" + FLAT,
        'collator_processor_attempts_total{result="output"}': "0" + GROWS,
        'collator_processor_failed_attempts_total{cause="timeout"}': "0" + GROWS,
        "collator_packets_waiting": "5000-20x200",
        'collator_packets_total{status="accepted"}': "0" + GROWS,
        'collator_packets_total{status="malformed"}': "4" + FLAT,
        'collator_requests_refused_total{code="busy"}': "9" + FLAT,
        'collator_resources{state="incomplete"}': "9-1x9 0x190",
        "collator_resources_closed_total": "0+1x200",
        'collator_outcomes_dropped_total{reason="lost"}': "5" + FLAT,
        'collator_commit_seconds_bucket{le="0.5"}': "0" + GROWS,
        'collator_commit_seconds_bucket{le="+Inf"}': "0" + GROWS,
        'collator_loop_lag_seconds_bucket{le="0.1"}': "0" + GROWS,
        'collator_loop_lag_seconds_bucket{le="+Inf"}': "0" + GROWS,
        "collator_durability_risks": "0" + FLAT,
        "collator_clock_behind_seconds": "0" + FLAT,
        "collator_log_lines_lost_total": "9" + FLAT,
    }
)
"""Series of a service that works, with what passes by itself."""


UNSHOWN = frozenset({"process_virtual_memory_bytes", "process_start_time_seconds"})
"""Series without a panel: of every process, and no sign of trouble."""


def expressions() -> Iterator[str]:
    """What the alerts and the panels ask for."""
    yield from (rule["expr"] for rule in ALERTS.values())
    yield from shown()


def shown() -> Iterator[str]:
    """What the panels ask for."""
    for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def families() -> Iterator[set[str]]:
    """The names of all series that a service may have, by metric."""
    metrics = Metrics()
    Gauge("collator_disk_free_bytes", "of SQLite", registry=metrics.registry)
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "info": ["_info"]}
    for family in metrics.registry.collect():
        yield {family.name + suffix for suffix in suffixes.get(family.type, [""])}


def asked_for(texts: Iterable[str]) -> set[str]:
    """The names of the series in *texts*."""
    return {name for text in texts for name in re.findall(r"\b(?:collator|process)_\w+(?=[{\[) ]|$)", text)}


def test_what_alerts_and_panels_ask_for_is_measured() -> None:
    asked = asked_for(expressions())
    assert len(asked) > 20
    assert asked - set().union(*families()) == set()


def test_each_metric_has_a_panel() -> None:
    asked = asked_for(shown())
    assert {min(series) for series in families() if not series & asked} == UNSHOWN


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_to_do_by_commands_that_there_are(name: str) -> None:
    texts = ALERTS[name]["annotations"]
    assert texts["summary"].endswith(".")
    assert ALERTS[name]["labels"]["severity"] in {"page", "ticket"}
    for words in re.findall(r"`collator ([a-z -]+)", texts["action"]):
        command: click.Command | None = cli
        for word in words.partition(" --")[0].split():
            assert isinstance(command, click.Group)
            command = command.get_command(click.Context(command), word)
        assert command is not None, words


def case(series: Mapping[str, str], asked: str, *labels: str) -> dict[str, object]:
    """What *asked* gives where two nodes have *series*, after two hours: 1 with each of *labels*."""
    given = [
        {"series": f'{name.partition("{")[0]}{{instance="{node}",{name.partition("{")[2] or "}"}', "values": values}
        for name, values in series.items()
        for node in ("a", "b")
    ]
    samples = [{"labels": label, "value": 1} for label in labels]
    test = {"expr": asked, "eval_time": "2h", "exp_samples": samples}
    return {"interval": "1m", "input_series": given, "promql_expr_test": [test]}


def promtool(*arguments: str | Path) -> None:
    """Let promtool look, and say what it complains of."""
    program = shutil.which("promtool")
    need(program is not None, "promtool (of the package prometheus) on the PATH")
    done = subprocess.run([str(program), *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_when_it_says_and_none_where_all_is_well(tmp_path: Path) -> None:
    assert FIRES.keys() == ALERTS.keys()
    firing = 'min by (alertname) (ALERTS{alertstate="firing"})'
    cases = [case(series, firing, f'{{alertname="{name}"}}') for name, series in FIRES.items()]
    whole = {"rule_files": [str(RULES)], "evaluation_interval": "5m", "tests": [*cases, case(QUIET, firing)]}
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(whole))
    promtool("test", "rules", path)


def test_what_panels_ask_for_is_promql(tmp_path: Path) -> None:
    asked = [text.replace("$__rate_interval", "5m").replace("$job", ".*") for text in expressions()]
    rules = [{"record": f"asked:{number}", "expr": text} for number, text in enumerate(asked)]
    path = tmp_path / "rules.json"
    path.write_text(json.dumps({"groups": [{"name": "asked", "rules": rules}]}))
    promtool("check", "rules", path)
