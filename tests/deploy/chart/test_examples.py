"""The examples: what they promise, on the oldest and the newest version of Kubernetes."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from app.settings import Settings
from tests.deploy.chart.examples import EXAMPLES, FOLDER, SIDECAR
from tests.deploy.chart.kubernetes import NEWEST, OLDEST
from tests.deploy.chart.rendering import CHART, Chart, environment_of
from tests.deploy.test_image import health_check

VERSIONS = (OLDEST, "1.34.0", NEWEST)
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
POD: dict[str, Any] = SIDECAR["spec"]["template"]["spec"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_cluster_accepts_the_example(chart: Chart, name: str, version: str) -> None:
    assert chart.render(EXAMPLES[name], version).manifests


def test_the_oldest_version_is_that_of_the_chart() -> None:
    text = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"]
    assert text == f">={OLDEST}-0"


def test_there_is_an_example_of_each_kind() -> None:
    assert set(EXAMPLES) == {"laptop", "gpu", "offline", "keda"}
    page = (CHART.parents[2] / "docs/how-to/kubernetes.md").read_text()
    assert [path.name for path in FOLDER.iterdir() if path.name not in page] == []


def test_the_laptop_needs_no_second_node_and_no_registry(chart: Chart) -> None:
    rendered = chart.render(EXAMPLES["laptop"])
    assert rendered.the("Deployment")["spec"]["replicas"] == 1
    assert "topologySpreadConstraints" not in rendered.pod
    assert "PodDisruptionBudget" not in rendered
    assert rendered.container["imagePullPolicy"] == "Never"


def test_offline_no_pod_can_open_a_connection(chart: Chart) -> None:
    rendered = chart.render(EXAMPLES["offline"])
    policies = rendered.all("NetworkPolicy")
    assert len(policies) == 2
    for policy in policies:
        assert policy["spec"]["egress"] == []
    for job in rendered.all("Job"):
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert environment_of(container)["RERANKD_OFFLINE"] == "true"
    assert len(rendered.all("Job")) == 2


def test_the_gpu_example_downloads_before_the_pods_start(chart: Chart) -> None:
    rendered = chart.render(EXAMPLES["gpu"])
    assert rendered.container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert "Job" in rendered
    assert rendered.the("Deployment")["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 0


def test_the_keda_example_has_all_that_it_names(chart: Chart) -> None:
    kinds = {manifest["kind"] for manifest in chart.render(EXAMPLES["keda"]).manifests}
    assert kinds >= {"ScaledObject", "HTTPRoute", "BackendTrafficPolicy"}
    assert kinds >= {"ServiceMonitor", "PrometheusRule", "ConfigMap"}


def test_the_sidecar_is_a_container_like_that_of_the_chart(chart: Chart) -> None:
    (sidecar,) = POD["initContainers"]
    rendered = chart.render()
    for key in ("image", "resources", "securityContext", "volumeMounts"):
        assert sidecar[key] == rendered.container[key], key
    for key in ("securityContext", "volumes", "automountServiceAccountToken", "enableServiceLinks"):
        assert POD[key] == rendered.pod[key], key
    assert sidecar["restartPolicy"] == "Always"
    names = {name.removeprefix("RERANKD_").lower() for name in environment_of(sidecar)}
    assert names <= Settings.model_fields.keys()


def test_only_its_own_pod_reaches_the_sidecar() -> None:
    (sidecar,) = POD["initContainers"]
    assert environment_of(sidecar)["RERANKD_HOST"] == "127.0.0.1"
    for probe in ("startupProbe", "readinessProbe"):
        assert sidecar[probe]["exec"]["command"][:2] == health_check()[:2]
        assert "127.0.0.1" in sidecar[probe]["exec"]["command"][2]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_cluster_accepts_the_sidecar(chart: Chart, version: str) -> None:
    assert chart.schemas.problems(SIDECAR, version) == []
