"""The pods: image, probes, placement, and how they leave."""

from __future__ import annotations

import math
from typing import Any

import pytest

from app.settings import Settings
from tests.deploy.chart.kubernetes import NEWEST, OLDEST
from tests.deploy.chart.rendering import Chart

FORCED_EXIT_SECONDS = 10


def test_a_pod_starts_the_version_that_the_chart_was_made_for(chart: Chart) -> None:
    assert chart.render().container["image"] == "rerankd:v0.1.0"


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({"variant": "slim"}, "rerankd:v0.1.0-slim"),
        ({"repository": "r.example/rerankd", "tag": "v9"}, "r.example/rerankd:v9"),
        ({"tag": "v9", "variant": "slim"}, "rerankd:v9-slim"),
        ({"digest": "sha256:" + "0" * 64}, "rerankd@sha256:" + "0" * 64),
    ],
)
def test_the_image_can_be_chosen(chart: Chart, image: dict[str, str], expected: str) -> None:
    assert chart.render({"image": image}).container["image"] == expected


def test_a_pod_gets_secrets_for_the_registry(chart: Chart) -> None:
    rendered = chart.render({"image": {"pullSecrets": [{"name": "registry"}]}})
    for pod in rendered.pods().values():
        assert pod["imagePullSecrets"] == [{"name": "registry"}]


def test_the_probes_ask_for_what_they_are_named_for(chart: Chart) -> None:
    container = chart.render().container
    paths = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in PROBES}
    assert paths == {"startup": "/readyz", "readiness": "/readyz", "liveness": "/healthz"}


PROBES = ("startup", "readiness", "liveness")


@pytest.mark.parametrize("seconds", [60, 601])
def test_a_start_may_take_as_long_as_is_set(chart: Chart, seconds: int) -> None:
    probe = chart.render({"probes": {"startupSeconds": seconds}}).container["startupProbe"]
    allowed = probe["periodSeconds"] * probe["failureThreshold"]
    assert seconds <= allowed < seconds + probe["periodSeconds"]


def test_probes_take_the_values_of_kubernetes(chart: Chart) -> None:
    values = {"probes": {"readiness": {"periodSeconds": 1}, "liveness": {"failureThreshold": 9}}}
    container = chart.render(values).container
    assert container["readinessProbe"]["periodSeconds"] == 1
    assert container["readinessProbe"]["failureThreshold"] == 2
    assert container["livenessProbe"]["failureThreshold"] == 9


def grace_of(chart: Chart, **shutdown: float) -> int:
    seconds: int = chart.render({"shutdown": shutdown}).pod["terminationGracePeriodSeconds"]
    return seconds


@pytest.mark.parametrize(
    ("sleep", "lame_duck", "drain"), [(0, 10, 30), (0, 0, 0), (5, 10, 30), (0, 7.5, 120.2)]
)
def test_the_grace_period_is_longer_than_leaving_takes(
    chart: Chart, sleep: int, lame_duck: float, drain: float
) -> None:
    grace = grace_of(
        chart, preStopSleepSeconds=sleep, lameDuckSeconds=lame_duck, drainSeconds=drain
    )
    assert grace > math.ceil(sleep + lame_duck + drain + FORCED_EXIT_SECONDS)


def test_a_grace_period_can_be_set_if_it_is_long_enough(chart: Chart) -> None:
    assert grace_of(chart, gracePeriodSeconds=51) == 51
    message = chart.refusal({"shutdown": {"gracePeriodSeconds": 50}})
    assert "shutdown.gracePeriodSeconds is 50" in message
    assert "preStopSleepSeconds, lameDuckSeconds, drainSeconds and 10 together, 50" in message


def test_the_service_is_told_how_to_leave(chart: Chart) -> None:
    values = {"shutdown": {"lameDuckSeconds": 3, "drainSeconds": 12.5}}
    environment = chart.render(values).environment
    assert environment["RERANKD_LAME_DUCK_SECONDS"] == "3"
    assert environment["RERANKD_DRAIN_SECONDS"] == "12.5"


def test_sigterm_needs_no_hook_before_it(chart: Chart) -> None:
    assert "lifecycle" not in chart.render().container


@pytest.mark.parametrize(
    ("version", "handler"),
    [(OLDEST, {"exec": {"command": ["sleep", "4"]}}), (NEWEST, {"sleep": {"seconds": 4}})],
)
def test_a_sleep_before_sigterm_is_that_of_the_cluster_if_it_has_one(
    chart: Chart, version: str, handler: dict[str, Any]
) -> None:
    rendered = chart.render({"shutdown": {"preStopSleepSeconds": 4}}, version)
    assert rendered.container["lifecycle"] == {"preStop": handler}


def test_pods_are_spread_over_zones_and_nodes(chart: Chart) -> None:
    values = {"topologySpread": {"zone": "DoNotSchedule"}}
    rules = chart.render(values).pod["topologySpreadConstraints"]
    assert {rule["topologyKey"]: rule["whenUnsatisfiable"] for rule in rules} == {
        "topology.kubernetes.io/zone": "DoNotSchedule",
        "kubernetes.io/hostname": "ScheduleAnyway",
    }


def test_no_rule_spreads_the_pods_if_none_is_wanted(chart: Chart) -> None:
    pod = chart.render({"topologySpread": {"zone": "", "node": ""}}).pod
    assert "topologySpreadConstraints" not in pod


def test_everything_that_selects_pods_selects_those_of_the_deployment(chart: Chart) -> None:
    rendered = chart.render({"podLabels": {"team": "search"}})
    template = rendered.the("Deployment")["spec"]["template"]
    labels = template["metadata"]["labels"]
    selectors = [rendered.the("Deployment")["spec"]["selector"]["matchLabels"]]
    selectors += [service["spec"]["selector"] for service in rendered.all("Service")]
    selectors += [rendered.the("PodDisruptionBudget")["spec"]["selector"]["matchLabels"]]
    selectors += [rendered.the("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]]
    rules = template["spec"]["topologySpreadConstraints"]
    selectors += [rule["labelSelector"]["matchLabels"] for rule in rules]
    assert len(selectors) == 7
    for selector in selectors:
        assert selector.items() <= labels.items()
    assert labels["team"] == "search"


def test_the_test_pod_gets_no_traffic(chart: Chart) -> None:
    rendered = chart.render()
    labels = rendered.the("Pod", "rerankd-test")["metadata"]["labels"]
    assert not rendered.the("Service")["spec"]["selector"].items() <= labels.items()


def test_the_placement_of_kubernetes_is_passed_on(chart: Chart) -> None:
    values: dict[str, Any] = {
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "priorityClassName": "serving",
        "podAnnotations": {"a": "b"},
        "strategy": {"type": "Recreate", "rollingUpdate": None},
    }
    rendered = chart.render(values)
    for key in ("nodeSelector", "tolerations", "affinity", "priorityClassName"):
        assert rendered.pod[key] == values[key]
    deployment = rendered.the("Deployment")["spec"]
    assert deployment["template"]["metadata"]["annotations"] == {"a": "b"}
    assert deployment["strategy"] == {"type": "Recreate"}


def test_a_new_version_of_the_chart_alone_replaces_no_pod(chart: Chart) -> None:
    labels = chart.render().the("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert "helm.sh/chart" not in labels


def test_the_port_of_the_pod_is_that_of_the_service_by_default(chart: Chart) -> None:
    rendered = chart.render({"service": {"port": 80}})
    (port,) = rendered.container["ports"]
    assert port["containerPort"] == Settings.model_fields["port"].default
    for service in rendered.all("Service"):
        assert (
            service["spec"]["ports"][0] | {"port": 80, "targetPort": port["name"]}
            == (service["spec"]["ports"][0])
        )


def test_a_headless_service_gives_the_addresses_of_the_pods(chart: Chart) -> None:
    headless = chart.render().the("Service", "rerankd-headless")
    assert headless["spec"]["clusterIP"] == "None"
    assert len(chart.render({"service": {"headless": False}}).all("Service")) == 1


def test_the_kind_of_the_service_can_be_chosen(chart: Chart) -> None:
    values = {"service": {"type": "LoadBalancer", "annotations": {"a": "b"}}}
    values["service"]["trafficDistribution"] = "PreferClose"
    service = chart.render(values, "1.31.0").the("Service")
    assert service["spec"]["type"] == "LoadBalancer"
    assert service["spec"]["trafficDistribution"] == "PreferClose"
    assert service["metadata"]["annotations"] == {"a": "b"}


def test_names_follow_the_release_unless_they_are_set(chart: Chart) -> None:
    assert "rerankd" in {each["metadata"]["name"] for each in chart.render().all("Deployment")}
    rendered = chart.render({"fullnameOverride": "ranker", "nameOverride": "rank"})
    deployment = rendered.the("Deployment", "ranker")
    assert deployment["metadata"]["labels"]["app.kubernetes.io/name"] == "rank"


def test_the_longest_name_is_still_a_name(chart: Chart) -> None:
    values = {
        "fullnameOverride": "r" * 60,
        "engines": {"storage": "claim", "claim": "e"},
        "prepare": {"by": "job", "processors": [{"name": "p" * 14}]},
    }
    names = [each["metadata"]["name"] for each in chart.render(values).manifests]
    assert max(map(len, names)) <= 63
