"""One thing decides the number of pods: the values, an HPA or KEDA."""

from __future__ import annotations

import inspect
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.ray.scaling import WaitingWork
from tests.deploy.chart.rendering import Chart

ROOT = Path(__file__).resolve().parents[3]
# In the order in which a template goes through a map.
METRICS = ("rerankd_queue_seconds_of_work", "rerankd_utilization")
KEDA: dict[str, Any] = {"kind": "keda", "keda": {"prometheus": "http://prometheus:9090"}}


def test_the_values_decide_by_default(chart: Chart) -> None:
    rendered = chart.render({"replicas": 5})
    assert rendered.the("Deployment")["spec"]["replicas"] == 5
    assert "HorizontalPodAutoscaler" not in rendered
    assert "ScaledObject" not in rendered


@pytest.mark.parametrize(
    ("autoscaling", "kind", "other"),
    [
        ({"kind": "hpa"}, "HorizontalPodAutoscaler", "ScaledObject"),
        (KEDA, "ScaledObject", "HorizontalPodAutoscaler"),
    ],
)
def test_an_autoscaler_excludes_the_other_and_a_fixed_number(
    chart: Chart, autoscaling: dict[str, Any], kind: str, other: str
) -> None:
    rendered = chart.render({"autoscaling": autoscaling})
    assert kind in rendered
    assert other not in rendered
    assert "replicas" not in rendered.the("Deployment")["spec"]
    target = rendered.the(kind)["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", "rerankd")


def test_kubernetes_and_ray_begin_with_the_same_targets() -> None:
    values = yaml.safe_load((ROOT / "deploy/helm/rerankd/values.yaml").read_text())["autoscaling"]
    ray = inspect.signature(WaitingWork).parameters
    assert values["queueSeconds"] == ray["queue_seconds"].default
    assert values["utilization"] == ray["utilization"].default


def test_an_hpa_scales_on_work_that_waits_and_on_utilization(chart: Chart) -> None:
    extra = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}
    extra["resource"]["target"]["averageUtilization"] = 90  # type: ignore[index]
    values = {"kind": "hpa", "minReplicas": 3, "maxReplicas": 9, "queueSeconds": 1.25}
    values |= {"utilization": 0.6, "scaleDownSeconds": 60, "hpa": {"metrics": [extra]}}
    spec = chart.render({"autoscaling": values}).the("HorizontalPodAutoscaler")["spec"]
    targets = {
        metric["pods"]["metric"]["name"]: metric["pods"]["target"]["averageValue"]
        for metric in spec["metrics"][:2]
    }
    assert targets == dict(zip(METRICS, ("1250m", "600m"), strict=True))
    assert spec["metrics"][2] == extra
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 9)
    assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 60


def keda(chart: Chart, **autoscaling: Any) -> dict[str, Any]:
    own = KEDA["keda"] | autoscaling.pop("keda", {})
    values = {"autoscaling": KEDA | autoscaling | {"keda": own}}
    spec: dict[str, Any] = chart.render(values).the("ScaledObject")["spec"]
    return spec


def test_keda_asks_prometheus_for_the_pods_of_this_release(chart: Chart) -> None:
    triggers = keda(chart, queueSeconds=0.25, utilization=0.5)["triggers"]
    for trigger, metric, threshold in zip(triggers, METRICS, ("0.25", "0.5"), strict=True):
        metadata = trigger["metadata"]
        pods = r'{namespace="search", pod=~"rerankd-[0-9a-z]+-[0-9a-z]+"}'
        assert metadata["query"] == f"sum({metric}{pods})"
        assert metadata["threshold"] == threshold
        assert metadata["serverAddress"] == "http://prometheus:9090"
        assert trigger["metricType"] == "AverageValue"
        assert "authenticationRef" not in trigger


@pytest.mark.parametrize(
    ("pod", "matches"),
    [
        ("rerankd-7d9c5b6f4-x2x9z", True),
        ("rerankd-other-7d9c5b6f4-x2x9z", False),
        ("rerankd-test", False),
    ],
)
def test_the_query_counts_no_pod_of_another_release(chart: Chart, pod: str, matches: bool) -> None:
    (pattern,) = re.findall(r'pod=~"([^"]*)"', keda(chart)["triggers"][0]["metadata"]["query"])
    assert bool(re.fullmatch(pattern, pod)) is matches


def test_the_queries_are_promql(chart: Chart, tool: Callable[[str], str], tmp_path: Path) -> None:
    rules = [
        {"record": f"test:{number}", "expr": trigger["metadata"]["query"]}
        for number, trigger in enumerate(keda(chart)["triggers"])
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = subprocess.run(
        [tool("promtool"), "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("metric", METRICS)
def test_the_service_has_the_metrics_that_scaling_uses(metric: str) -> None:
    page = (ROOT / "docs/reference/metrics.md").read_text()
    assert f"| `{metric}` | gauge |" in page


def test_keda_keeps_pods_while_prometheus_does_not_answer(chart: Chart) -> None:
    spec = keda(chart, keda={"fallbackAfter": 5, "fallbackReplicas": 7, "pollingSeconds": 20})
    assert spec["fallback"] == {"failureThreshold": 5, "replicas": 7}
    assert spec["pollingInterval"] == 20
    # An empty answer of Prometheus is a failure too, and no reason to remove pods.
    assert {each["metadata"]["ignoreNullValues"] for each in spec["triggers"]} == {"false"}


def test_keda_can_authenticate(chart: Chart) -> None:
    spec = keda(chart, keda={"authentication": "prometheus"})
    assert all(
        trigger["authenticationRef"] == {"name": "prometheus"} for trigger in spec["triggers"]
    )


def test_keda_scales_within_the_limits_and_shrinks_slowly(chart: Chart) -> None:
    spec = keda(chart, minReplicas=1, maxReplicas=5, scaleDownSeconds=30)
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (1, 5)
    config = spec["advanced"]["horizontalPodAutoscalerConfig"]
    assert config["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 30


@pytest.mark.parametrize(
    ("autoscaling", "message"),
    [
        ({"kind": "keda"}, "/autoscaling/keda/prometheus"),
        ({"kind": "both"}, "/autoscaling/kind"),
        ({"kind": "hpa", "minReplicas": 11}, "autoscaling.minReplicas (11) exceeds"),
        (KEDA | {"minReplicas": 5}, "autoscaling.keda.fallbackReplicas (4) is not between"),
        (KEDA | {"maxReplicas": 3}, "autoscaling.keda.fallbackReplicas (4) is not between"),
        ({"utilization": 1.5}, "/autoscaling/utilization"),
    ],
)
def test_contradictions_are_refused(
    chart: Chart, autoscaling: dict[str, Any], message: str
) -> None:
    assert message in chart.refusal({"autoscaling": autoscaling})


def test_a_drained_node_takes_away_one_pod_at_a_time(chart: Chart) -> None:
    budget = chart.render().the("PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    share = chart.render({"podDisruptionBudget": {"maxUnavailable": "25%"}})
    assert share.the("PodDisruptionBudget")["spec"]["maxUnavailable"] == "25%"
    assert "PodDisruptionBudget" not in chart.render({"podDisruptionBudget": {"enabled": False}})
