"""Prometheus and Grafana get the files that compose uses, and no copy of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from app.settings import Settings
from tests.deploy.chart.rendering import CHART, Chart

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
RULES = DEPLOY / "prometheus/rules.yml"
DASHBOARD = DEPLOY / "grafana/dashboards/rerankd.json"
LABELS = {"release": "prometheus"}


def monitoring(**values: object) -> dict[str, object]:
    return {"monitoring": values}


def test_nothing_is_monitored_by_default(chart: Chart) -> None:
    rendered = chart.render()
    assert not {"ServiceMonitor", "PrometheusRule", "ConfigMap"} & {
        manifest["kind"] for manifest in rendered.manifests
    }


def test_the_files_of_the_chart_are_links_to_those_of_compose() -> None:
    assert (CHART / "files/rules.yml").is_symlink()
    assert (CHART / "files/rules.yml").resolve() == RULES
    assert (CHART / "files/rerankd.json").is_symlink()
    assert (CHART / "files/rerankd.json").resolve() == DASHBOARD


def test_the_rules_are_those_of_the_file(chart: Chart) -> None:
    rendered = chart.render(monitoring(rules={"enabled": True, "labels": LABELS}))
    rule = rendered.the("PrometheusRule")
    assert rule["spec"] == yaml.safe_load(RULES.read_text())
    assert LABELS.items() <= rule["metadata"]["labels"].items()


def test_the_dashboard_is_that_of_the_file(chart: Chart) -> None:
    dashboard = {"enabled": True, "labels": {"board": "yes"}, "annotations": {"folder": "Search"}}
    rendered = chart.render(monitoring(dashboard=dashboard))
    config = rendered.the("ConfigMap", "rerankd-dashboard")
    assert json.loads(config["data"]["rerankd.json"]) == json.loads(DASHBOARD.read_text())
    labels = config["metadata"]["labels"]
    assert (labels["grafana_dashboard"], labels["board"]) == ("1", "yes")
    assert config["metadata"]["annotations"] == {"folder": "Search"}


def test_each_pod_is_scraped_once(chart: Chart) -> None:
    monitor = {"enabled": True, "labels": LABELS, "interval": "30s"}
    rendered = chart.render(monitoring(serviceMonitor=monitor))
    scraped = rendered.the("ServiceMonitor")
    selector = scraped["spec"]["selector"]["matchLabels"]
    services = [
        service["metadata"]["name"]
        for service in rendered.all("Service")
        if selector.items() <= service["metadata"]["labels"].items()
    ]
    assert services == ["rerankd"]
    (endpoint,) = scraped["spec"]["endpoints"]
    assert endpoint["port"] == rendered.the("Service")["spec"]["ports"][0]["name"]
    assert (endpoint["path"], endpoint["interval"]) == ("/metrics", "30s")
    assert LABELS.items() <= scraped["metadata"]["labels"].items()
    assert "authorization" not in endpoint


def test_the_job_has_the_name_that_the_rules_use(chart: Chart) -> None:
    monitor = {"enabled": True}
    values = monitoring(serviceMonitor=monitor) | {"nameOverride": "other"}
    (endpoint,) = chart.render(values).the("ServiceMonitor", "rerankd-other")["spec"]["endpoints"]
    names = set(re.findall(r'job="(\w+)"', RULES.read_text()))
    assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": names.pop()}]
    assert not names


def test_the_scraper_gets_the_key_that_the_service_wants(chart: Chart) -> None:
    keys = {"existingSecret": "keys", "fromSecret": {"metrics_key": "scrapes"}}
    values = monitoring(serviceMonitor={"enabled": True}) | {"keys": keys}
    rendered = chart.render(values)
    (endpoint,) = rendered.the("ServiceMonitor")["spec"]["endpoints"]
    credentials = endpoint["authorization"]["credentials"]
    assert credentials == rendered.environment["RERANKD_METRICS_KEY"]["secretKeyRef"]
    assert "metrics_key" in Settings.model_fields
