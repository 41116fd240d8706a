"""A real Prometheus scrapes the loaded service; board and rules find in it what they ask for."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from app.errors import UpstreamBusy, UpstreamFailed, UpstreamTimeout
from app.remote.reranking import outcome_of
from tests.deploy.conftest import Prometheus

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
BOARD: dict[str, Any] = json.loads((DEPLOY / "grafana/dashboards/rerankd.json").read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
GROUPS = yaml.safe_load((DEPLOY / "prometheus/rules.yml").read_text())["groups"]
RULES: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
RECORDED = [rule["record"] for rule in RULES if "record" in rule]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
UPSTREAM = "rerankd_upstream_seconds_count"  # has no series before another service was asked
VARIABLES = {"$job": "rerankd", "$__rate_interval": "1m"}


class Target(NamedTuple):
    panel: str
    legend: str
    expression: str


def targets() -> list[Target]:
    targets = []
    for panel in PANELS:
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            targets.append(Target(panel["title"], target["legendFormat"], expression))
    return targets


def metrics_in(expression: str) -> set[str]:
    return set(re.findall(r"(?:\bjob\w*:)?\b(?:rerankd|process)_\w+(?::\w+)?", expression))


def promtool(tool: Callable[[str], str], *arguments: str) -> None:
    command = [tool("promtool"), *arguments]
    done = subprocess.run(
        command, cwd=DEPLOY / "prometheus", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_configuration_and_its_rules(tool: Callable[[str], str]) -> None:
    promtool(tool, "check", "config", "prometheus.yml")


def test_the_rules_pass_their_own_tests(tool: Callable[[str], str]) -> None:
    promtool(tool, "test", "rules", "rules.test.yml")


def test_each_alert_has_a_test_that_sees_it_fire() -> None:
    written = yaml.safe_load((DEPLOY / "prometheus/rules.test.yml").read_text())["tests"]
    fired = {
        case["alertname"]
        for test in written
        for case in test.get("alert_rule_test", [])
        if case.get("exp_alerts")
    }
    assert fired == set(ALERTS)


def test_each_alert_says_how_bad_it_is_and_what_to_do() -> None:
    page = (DEPLOY.parent / "docs/how-to/monitor.md").read_text()
    for name, rule in ALERTS.items():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"]["summary"]
        assert f"| {name} |" in page


@pytest.mark.parametrize("target", targets(), ids=lambda target: f"{target.panel}: {target.legend}")
def test_every_query_of_the_board_returns_data(prometheus: Prometheus, target: Target) -> None:
    assert "$" not in target.expression, "a variable that this test does not know"
    prometheus.sees(target.expression)


@pytest.mark.parametrize(
    "happened",
    [
        'rerankd_request_seconds_count{outcome="ok", route="/rerank"}',
        'rerankd_request_seconds_count{outcome="invalid"}',
        'rerankd_request_seconds_count{outcome="client_gone"}',
        'rerankd_refusals_total{reason="overloaded"}',
        'rerankd_refusals_total{reason="deadline"}',
        'rerankd_scores_reused_total{source="duplicate"}',
        'rerankd_scores_reused_total{source="cache"}',
        "rerankd_documents_truncated_total",
        "rerankd_pairs_withdrawn_total",
        'rerankd_tokens_total{kind="padding"}',
        "rerankd_top_score_count",
        "rerankd_score_gap_count",
    ],
)
def test_what_callers_did_is_seen(prometheus: Prometheus, happened: str) -> None:
    prometheus.sees(f"{happened} > 0")


@pytest.mark.parametrize("name", RECORDED)
def test_every_recorded_series_has_data(prometheus: Prometheus, name: str) -> None:
    prometheus.sees(name)


def test_every_rule_evaluates_without_an_error(prometheus: Prometheus) -> None:
    for name in RECORDED:
        prometheus.sees(name)
    rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"]: rule["health"] for rule in rules} == dict.fromkeys(
        [*RECORDED, *ALERTS], "ok"
    )


def test_alerts_speak_only_of_metrics_that_exist(prometheus: Prometheus) -> None:
    for rule in RULES:
        for name in metrics_in(rule["expr"]) - {UPSTREAM}:
            prometheus.sees(name)
    assert UPSTREAM.removesuffix("_count") in prometheus.ask("metadata")


def test_another_service_fails_by_each_outcome_that_is_not_its_callers() -> None:
    kinds = (UpstreamFailed, UpstreamTimeout, UpstreamBusy)
    failures = [kind("", upstream="cohere") for kind in kinds]
    (counted,) = re.findall(r'outcome=~"(\S+)"', ALERTS["RerankdUpstreamFails"]["expr"])
    assert set(counted.split("|")) == {outcome_of(error) for error in failures}


def test_a_healthy_service_under_load_raises_no_alarm_but_of_the_load(
    prometheus: Prometheus,
) -> None:
    for name in ("RerankdDown", "RerankdNotReady", "RerankdRestarting", "RerankdScoringFails"):
        assert not prometheus.numbers(ALERTS[name]["expr"]), name


def test_every_panel_says_what_it_shows_and_none_covers_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        position = panel["gridPos"]
        cells = {
            (position["x"] + dx, position["y"] + dy)
            for dx in range(position["w"])
            for dy in range(position["h"])
        }
        assert not cells & taken, panel["title"]
        assert position["x"] + position["w"] <= 24
        taken |= cells
    assert all(
        panel["description"] and panel["fieldConfig"]["defaults"]["unit"] for panel in PANELS
    )
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])


def test_the_board_can_be_imported_beside_any_data_source() -> None:
    assert {panel["datasource"]["uid"] for panel in PANELS} == {"${datasource}"}
    assert "id" not in BOARD
