"""No container can do more than it needs, keys come from a Secret, and traffic is limited."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.chart.examples import EXAMPLES
from tests.deploy.chart.rendering import Chart

ROOT = Path(__file__).resolve().parents[3]
CLAIM = {"storage": "claim", "claim": "shared"}
# Everything that starts a pod.
EVERYTHING: dict[str, Any] = {
    "model": CLAIM,
    "engines": CLAIM,
    "prepare": {"by": "job"},
    "keys": {"existingSecret": "rerankd-keys"},
    "drift": {"enabled": True, "image": "eval:1", "prometheus": "http://prometheus:9090"},
}
INIT_CONTAINER = EVERYTHING | {"prepare": {"by": "initContainer"}}


@pytest.mark.parametrize("values", [EVERYTHING, INIT_CONTAINER], ids=["job", "init container"])
def test_no_container_can_do_more_than_it_needs(chart: Chart, values: dict[str, Any]) -> None:
    for name, pod in chart.render(values).pods().items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"], name
            assert container["resources"]["limits"]["memory"], name


def test_a_service_called_rerankd_adds_no_variables_to_a_pod(chart: Chart) -> None:
    """RERANKD_PORT=tcp://… would end the start: it is a setting."""
    assert all(not pod["enableServiceLinks"] for pod in chart.render(EVERYTHING).pods().values())


def test_the_user_is_that_of_the_image(chart: Chart) -> None:
    (user,) = re.findall(r"^USER (\d+):", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    context = chart.render().pod["securityContext"]
    assert context["runAsUser"] == context["runAsGroup"] == context["fsGroup"] == int(user)


def test_the_cluster_can_choose_the_user(chart: Chart) -> None:
    values = {"security": {"runAsUser": None, "fsGroup": None}}
    context = chart.render(values).pod["securityContext"]
    assert context.keys() == {"runAsNonRoot", "seccompProfile"}


def test_the_service_account_is_of_the_chart_or_named(chart: Chart) -> None:
    rendered = chart.render({"serviceAccount": {"annotations": {"a": "b"}}})
    account = rendered.the("ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    assert account["metadata"]["annotations"] == {"a": "b"}
    assert rendered.pod["serviceAccountName"] == "rerankd"
    rendered = chart.render({"serviceAccount": {"create": False}})
    assert "ServiceAccount" not in rendered
    assert rendered.pod["serviceAccountName"] == "default"
    named = chart.render({"serviceAccount": {"create": False, "name": "ranker"}})
    assert named.pod["serviceAccountName"] == "ranker"


def test_api_keys_are_a_file_and_other_keys_are_variables(chart: Chart) -> None:
    secret = {"api_keys": "callers", "metrics_key": "scrapes", "llm_keys": "models"}
    rendered = chart.render({"keys": {"existingSecret": "keys", "fromSecret": secret}})
    environment = rendered.environment
    file = environment["RERANKD_API_KEYS_FILE"]
    (volume,) = (each for each in rendered.pod["volumes"] if each["name"] == "keys")
    (mount,) = (each for each in rendered.container["volumeMounts"] if each["name"] == "keys")
    assert volume["secret"]["items"] == [{"key": "callers", "path": Path(file).name}]
    assert volume["secret"]["secretName"] == "keys"
    assert volume["secret"]["defaultMode"] == 0o440
    assert mount["mountPath"] == str(Path(file).parent)
    for name, key in (("RERANKD_METRICS_KEY", "scrapes"), ("RERANKD_LLM_KEYS", "models")):
        assert environment[name] == {"secretKeyRef": {"name": "keys", "key": key}}


def test_the_chart_creates_no_secret_and_shows_none(chart: Chart) -> None:
    for values in EXAMPLES.values():
        assert "Secret" not in chart.render(values)


def test_a_secret_without_keys_of_callers_mounts_none(chart: Chart) -> None:
    secret = {"api_keys": None, "metrics_key": "scrapes"}
    rendered = chart.render({"keys": {"existingSecret": "keys", "fromSecret": secret}})
    assert "RERANKD_API_KEYS_FILE" not in rendered.environment
    assert [volume["name"] for volume in rendered.pod["volumes"]] == ["tmp"]


def test_another_checksum_of_the_keys_replaces_the_pods(chart: Chart) -> None:
    def annotations(checksum: str) -> dict[str, str] | None:
        values = {"keys": {"existingSecret": "keys", "checksum": checksum}}
        metadata = chart.render(values).the("Deployment")["spec"]["template"]["metadata"]
        result: dict[str, str] | None = metadata.get("annotations")
        return result

    assert annotations("a") == {"checksum/keys": "a"}
    assert annotations("b") == {"checksum/keys": "b"}
    # Nothing to look up without a cluster.
    assert annotations("") is None


def test_the_pods_can_open_no_connection_unless_it_is_configured(chart: Chart) -> None:
    policy = chart.render().the("NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["egress"] == []


def test_a_connection_that_is_configured_can_be_opened_and_its_name_resolved(chart: Chart) -> None:
    rule = {"to": [{"ipBlock": {"cidr": "10.0.0.7/32"}}], "ports": [{"port": 6333}]}
    policy = chart.render({"networkPolicy": {"egress": [rule]}}).the("NetworkPolicy")["spec"]
    assert policy["egress"][0] == rule
    assert {port["port"] for port in policy["egress"][1]["ports"]} == {53}
    assert len(policy["egress"]) == 2


SECRET_STORE = {"existingSecret": "keys", "fromSecret": {"store": "store"}}
SECRET_SHARED = {"existingSecret": "keys", "fromSecret": {"shared": "redis-url"}}


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"settings": {"llm": "http://llm/v1#m"}}, "settings.llm"),
        ({"settings": {"fallback": "cohere:rerank-v3.5"}}, "settings.fallback"),
        ({"settings": {"store": "qdrant://q:6333"}}, "settings.store"),
        ({"settings": {"store": ["sqlite:/data/a.db", "http://e:9200"]}}, "settings.store"),
        ({"settings": {"embedder": "http://e/v1"}}, "settings.embedder"),
        ({"settings": {"traces": True}}, "settings.traces"),
        ({"model": {"name": "jina:jina-reranker-v2"}}, "model.name"),
        ({"model": {"name": "https://other.example"}}, "model.name"),
        ({"keys": SECRET_STORE}, "keys.fromSecret.store"),
        ({"keys": SECRET_SHARED}, "keys.fromSecret.shared"),
    ],
)
def test_another_service_needs_a_rule_for_it(
    chart: Chart, values: dict[str, Any], name: str
) -> None:
    assert f"{name} names another service, but networkPolicy.egress" in chart.refusal(values)
    rule = {"ports": [{"protocol": "TCP", "port": 443}]}
    chart.render(values | {"networkPolicy": {"egress": [rule]}})
    chart.render(values | {"networkPolicy": {"enabled": False}})


@pytest.mark.parametrize("store", ["sqlite:/data/a.db", "faiss:/data/index", ""])
def test_a_store_in_the_pod_needs_no_rule(chart: Chart, store: str) -> None:
    chart.render({"settings": {"store": store}})


def test_only_those_who_are_named_can_connect_and_the_test_pod(chart: Chart) -> None:
    everybody = chart.render().the("NetworkPolicy")["spec"]["ingress"]
    assert everybody == [{"ports": [{"protocol": "TCP", "port": 8000}]}]
    peer = {"podSelector": {"matchLabels": {"app": "search"}}}
    rendered = chart.render({"networkPolicy": {"from": [peer]}})
    (rule,) = rendered.the("NetworkPolicy")["spec"]["ingress"]
    first, second = rule["from"]
    assert first == peer
    labels = rendered.the("Pod", "rerankd-test")["metadata"]["labels"]
    assert second["podSelector"]["matchLabels"].items() <= labels.items()


def test_the_network_policy_can_be_switched_off(chart: Chart) -> None:
    assert "NetworkPolicy" not in chart.render({"networkPolicy": {"enabled": False}})
