"""Every value is described, checked by the schema, and changes what is rendered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from deploy.helm import generate
from tests.deploy.chart.kubernetes import NEWEST
from tests.deploy.chart.rendering import Chart

VALUES: dict[str, Any] = yaml.safe_load(generate.VALUES.read_text())
SCHEMA: dict[str, Any] = json.loads(generate.SCHEMA.read_text())
DESCRIBED = [".".join(value.path) for value in generate.described(generate.VALUES.read_text())]
PEER: dict[str, Any] = {"podSelector": {}}
RULE = {"ports": [{"protocol": "TCP", "port": 6333}]}
# What has to be switched on before a value below that path has an effect.
NEEDED: dict[str, dict[str, Any]] = {
    "keys": {"keys": {"existingSecret": "keys"}},
    "keys.existingSecret": {},
    "model": {
        "model": {"name": "a/b", "storage": "claim", "claim": "m"},
        "engines": {"storage": "claim", "claim": "e"},
    },
    "engines": {"engines": {"storage": "claim", "claim": "e"}},
    "prepare": {
        "model": {"name": "a/b", "storage": "claim", "claim": "m"},
        "engines": {"storage": "claim", "claim": "e"},
        "prepare": {"by": "job", "tokenSecret": "t"},
    },
    "gpu": {"gpu": {"enabled": True}},
    "gpu.enabled": {},
    "autoscaling.keda": {"autoscaling": {"kind": "keda", "keda": {"prometheus": "http://p"}}},
    "autoscaling": {"autoscaling": {"kind": "hpa"}},
    "autoscaling.kind": {},
    "networkPolicy.dns": {"networkPolicy": {"egress": [RULE]}},
    "ingress": {"ingress": {"enabled": True, "host": "a.example"}},
    "publicPaths": {"ingress": {"enabled": True, "host": "a.example"}},
    "ingress.enabled": {"ingress": {"host": "a.example"}},
    "httpRoute": {"httpRoute": {"enabled": True, "parentRefs": [{"name": "a"}]}},
    "httpRoute.enabled": {"httpRoute": {"parentRefs": [{"name": "a"}]}},
    "monitoring.serviceMonitor": {"monitoring": {"serviceMonitor": {"enabled": True}}},
    "monitoring.rules": {"monitoring": {"rules": {"enabled": True}}},
    "monitoring.dashboard": {"monitoring": {"dashboard": {"enabled": True}}},
    "monitoring.serviceMonitor.enabled": {},
    "monitoring.rules.enabled": {},
    "monitoring.dashboard.enabled": {},
    "drift": {
        "drift": {"enabled": True, "image": "e:1", "prometheus": "http://p", "tokenSecret": "t"}
    },
    "drift.enabled": {"drift": {"image": "e:1", "prometheus": "http://p"}},
    "podDisruptionBudget.enabled": {},
    "networkPolicy.enabled": {},
}
# Where the opposite of a switch, a higher number and another text are no valid change.
CHANGED: dict[str, Any] = {
    "image.digest": "sha256:" + "1" * 64,
    "image.variant": "slim",
    "image.pullPolicy": "Always",
    "image.pullSecrets": [{"name": "s"}],
    "settings": {"max_length": 64},
    "extraEnv": [{"name": "A", "value": "b"}],
    "extraVolumes": [{"name": "v", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "tmp", "mountPath": "/v"}],
    "keys.fromSecret": {"metrics_key": "m"},
    "model.storage": "image",
    "engines.storage": "pod",
    "prepare.by": "initContainer",
    "prepare.egress": [RULE],
    "prepare.variant": "slim",
    "prepare.processors": [{"name": "p"}],
    "resources": {"limits": {"memory": "1Gi"}},
    "probes.readiness": {"periodSeconds": 9},
    "probes.liveness": {"periodSeconds": 9},
    "shutdown.gracePeriodSeconds": 500,
    "service.type": "NodePort",
    "service.annotations": {"a": "b"},
    "service.trafficDistribution": "PreferClose",
    "autoscaling.kind": "hpa",
    "autoscaling.utilization": 0.5,
    "autoscaling.hpa.metrics": [{"type": "Resource"}],
    "autoscaling.keda.prometheus": "http://q",
    "networkPolicy.from": [PEER],
    "networkPolicy.egress": [RULE],
    "networkPolicy.dns": [RULE],
    "publicPaths": ["/score"],
    "ingress.controller": "haproxy",
    "ingress.annotations": {"a": "b"},
    "httpRoute.parentRefs": [{"name": "b"}],
    "httpRoute.hostnames": ["a.example"],
    "monitoring.serviceMonitor.interval": "1m",
    "monitoring.serviceMonitor.labels": {"a": "b"},
    "monitoring.rules.labels": {"a": "b"},
    "monitoring.dashboard.labels": {"a": "b"},
    "monitoring.dashboard.annotations": {"a": "b"},
    "drift.schedule": "@daily",
    "drift.prometheus": "http://q",
    "drift.before": "2d..1d",
    "drift.after": "1d..now",
    "drift.args": ["--json"],
    "drift.egress": [RULE],
    "drift.resources": {"limits": {"memory": "2Gi"}},
    "serviceAccount.annotations": {"a": "b"},
    "topologySpread.zone": "DoNotSchedule",
    "topologySpread.node": "DoNotSchedule",
    "strategy": {"rollingUpdate": {"maxSurge": 3}},
    "podAnnotations": {"a": "b"},
    "podLabels": {"a": "b"},
    "nodeSelector": {"a": "b"},
    "tolerations": [{"operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
}


def leaves(values: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """What a user sets; a map of the user's own is one value."""
    for key, value in values.items():
        path = f"{above}{key}"
        if isinstance(value, dict) and value and path not in CHANGED:
            yield from leaves(value, f"{path}.")
        else:
            yield path


def at(values: Any, path: str) -> Any:
    for key in path.split("."):
        values = values[key]
    return values


def needed(path: str) -> dict[str, Any]:
    parts = path.split(".")
    above = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((NEEDED[each] for each in above if each in NEEDED), {})


def changed(path: str) -> Any:
    if path in CHANGED:
        return CHANGED[path]
    match at(VALUES, path):
        case bool(value):
            return not value
        case int(value) | float(value):
            return value + 1
        case str():
            return "other"
        case value:
            raise AssertionError(f"{path}: name another value than {value!r} in CHANGED")


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(first)
    for key, value in second.items():
        old = both.get(key)
        nested = isinstance(value, dict) and isinstance(old, dict)
        both[key] = merged(old, value) if nested and old is not None else value
    return both


def nested(path: str, value: Any) -> dict[str, Any]:
    for key in reversed(path.split(".")):
        value = {key: value}
    result: dict[str, Any] = value
    return result


@pytest.mark.parametrize("path", list(leaves(VALUES)))
def test_a_value_changes_what_is_rendered(chart: Chart, path: str) -> None:
    base = needed(path)
    other = merged(base, nested(path, changed(path)))
    first, second = (chart.text(json.dumps(values), NEWEST) for values in (base, other))
    assert first != second


def test_every_value_is_described() -> None:
    described = set(DESCRIBED)
    undescribed = [
        path
        for path in leaves(VALUES)
        if not any(path == name or path.startswith(f"{name}.") for name in described)
    ]
    assert undescribed == []


def test_the_readme_has_every_value_with_its_default() -> None:
    assert generate.README.read_text() == generate.readme(), "run `make docs`"


def test_the_schema_has_every_setting_with_its_limits() -> None:
    assert generate.SCHEMA.read_text() == generate.schema(), "run `make docs`"


def closed(schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Objects with properties that accept others too."""
    if "properties" in schema:
        if schema.get("additionalProperties") is not False and path != "/extraEnv/items":
            yield path
        for name, inner in schema["properties"].items():
            yield from closed(inner, f"{path}/{name}")
    if isinstance(schema.get("items"), dict):
        yield from closed(schema["items"], f"{path}/items")


def test_a_misspelt_value_is_refused_everywhere(chart: Chart) -> None:
    assert list(closed(SCHEMA)) == []
    assert "'replica'" in chart.refusal({"replica": 3})
    assert "'/image'" in chart.refusal({"image": {"tagg": "a"}})
