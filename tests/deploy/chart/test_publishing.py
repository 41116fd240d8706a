"""What an Ingress or a Gateway passes on: some paths, within limits."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from app.settings import Settings
from tests.deploy.chart.rendering import CHART, Chart
from tests.docs.reference import operations

INGRESS: dict[str, Any] = {"enabled": True, "host": "rank.example", "className": "public"}
ROUTE: dict[str, Any] = {"enabled": True, "parentRefs": [{"name": "public"}]}
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
PATHS: list[str] = VALUES["publicPaths"]
# For those who run the service.
INTERNAL = ["/metrics", "/info", "/readyz", "/healthz", "/docs", "/openapi.json", "/drain"]


def passed(path: str) -> bool:
    """As both an Ingress and a Gateway match prefixes: by whole elements."""
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in PATHS)


def test_callers_reach_every_path_that_ranks_or_answers() -> None:
    documented = {path for method, path, _ in operations() if method == "POST"} - {"/drain"}
    assert [path for path in documented if not passed(path)] == []


@pytest.mark.parametrize("path", [*INTERNAL, "/tei/info"])
def test_callers_do_not_reach_what_is_for_those_who_run_it(path: str) -> None:
    assert not passed(path)


def test_nothing_is_published_by_default(chart: Chart) -> None:
    rendered = chart.render()
    assert "Ingress" not in rendered
    assert "HTTPRoute" not in rendered


def test_an_ingress_leads_to_the_service(chart: Chart) -> None:
    spec = chart.render({"ingress": INGRESS}).the("Ingress")["spec"]
    (rule,) = spec["rules"]
    assert rule["host"] == "rank.example"
    assert [path["path"] for path in rule["http"]["paths"]] == PATHS
    assert {path["backend"]["service"]["name"] for path in rule["http"]["paths"]} == {"rerankd"}
    assert spec["ingressClassName"] == "public"
    assert "tls" not in spec


def test_an_ingress_can_have_a_certificate(chart: Chart) -> None:
    spec = chart.render({"ingress": INGRESS | {"tlsSecret": "rank"}}).the("Ingress")["spec"]
    assert spec["tls"] == [{"secretName": "rank", "hosts": ["rank.example"]}]


def limits_of(chart: Chart, controller: str, **settings: int) -> dict[str, str]:
    ingress = INGRESS | {"controller": controller, "annotations": {"own": "x"}}
    rendered = chart.render({"ingress": ingress, "settings": settings})
    result: dict[str, str] = rendered.the("Ingress")["metadata"]["annotations"]
    return result


def test_the_limits_of_nginx_follow_the_settings(chart: Chart) -> None:
    prefix = "nginx.ingress.kubernetes.io"
    limits = limits_of(chart, "nginx", max_body_bytes=1048576, timeout_ms=30500)
    assert limits == {
        f"{prefix}/proxy-body-size": "1048576",
        f"{prefix}/proxy-read-timeout": "36",
        f"{prefix}/proxy-send-timeout": "36",
        "own": "x",
    }


def test_the_limits_are_those_of_the_service_by_default(chart: Chart) -> None:
    limits = limits_of(chart, "haproxy")
    size = Settings.model_fields["max_body_bytes"].default
    assert limits["haproxy-ingress.github.io/proxy-body-size"] == str(size)
    seconds = Settings.model_fields["timeout_ms"].default / 1000
    server = limits["haproxy-ingress.github.io/timeout-server"]
    assert float(server.removesuffix("s")) > seconds


def test_another_controller_gets_only_what_is_set(chart: Chart) -> None:
    assert limits_of(chart, "other") == {"own": "x"}


def test_a_route_leads_to_the_service_within_a_time(chart: Chart) -> None:
    values = {"httpRoute": ROUTE | {"hostnames": ["rank.example"]}, "service": {"port": 80}}
    spec = chart.render(values | {"settings": {"timeout_ms": 60000}}).the("HTTPRoute")["spec"]
    matched = [match["path"]["value"] for rule in spec["rules"] for match in rule["matches"]]
    assert matched == PATHS
    for rule in spec["rules"]:
        assert rule["backendRefs"] == [{"name": "rerankd", "port": 80}]
        assert rule["timeouts"] == {"request": "65s"}
    assert spec["hostnames"] == ["rank.example"]
    assert spec["parentRefs"] == ROUTE["parentRefs"]


def test_other_paths_can_be_published(chart: Chart) -> None:
    values = {"httpRoute": ROUTE, "ingress": INGRESS, "publicPaths": ["/v2/rerank"]}
    rendered = chart.render(values)
    (rule,) = rendered.the("HTTPRoute")["spec"]["rules"]
    assert [match["path"]["value"] for match in rule["matches"]] == ["/v2/rerank"]
    (path,) = rendered.the("Ingress")["spec"]["rules"][0]["http"]["paths"]
    assert path["path"] == "/v2/rerank"


def test_envoy_gateway_limits_the_body_and_asks_the_least_busy_pod(chart: Chart) -> None:
    rendered = chart.render({"httpRoute": ROUTE | {"envoyGateway": True}})
    spec = rendered.the("BackendTrafficPolicy")["spec"]
    (target,) = spec["targetRefs"]
    assert (target["kind"], target["name"]) == ("HTTPRoute", "rerankd")
    size = Settings.model_fields["max_body_bytes"].default
    assert spec["requestBuffer"] == {"limit": str(size)}
    assert spec["loadBalancer"] == {"type": "LeastRequest"}
    assert "BackendTrafficPolicy" not in chart.render({"httpRoute": ROUTE})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ingress": {"enabled": True}}, "/ingress/host"),
        ({"httpRoute": {"enabled": True}}, "/httpRoute/parentRefs"),
        ({"publicPaths": ["rerank"]}, "/publicPaths/0"),
        ({"publicPaths": []}, "/publicPaths"),
        ({"ingress": INGRESS | {"controller": "apache"}}, "/ingress/controller"),
    ],
)
def test_what_could_not_work_is_refused(chart: Chart, values: dict[str, Any], message: str) -> None:
    assert message in chart.refusal(values)
