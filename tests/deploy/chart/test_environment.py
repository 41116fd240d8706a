"""Settings: what the service reads is what the values say, and every name exists."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app.settings import PREFIX, Settings, load
from deploy.helm import generate
from tests.deploy.chart.examples import EXAMPLES
from tests.deploy.chart.rendering import CHART, Chart

VARIABLES = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}


def variables_of(chart: Chart, values: dict[str, Any]) -> set[str]:
    return {
        variable["name"]
        for pod in chart.render(values).pods().values()
        for container in [*pod["containers"], *pod.get("initContainers", [])]
        for variable in container.get("env", [])
        if variable["name"].startswith(PREFIX)
    }


@pytest.mark.parametrize("example", sorted(EXAMPLES))
def test_every_variable_of_an_example_is_a_setting(chart: Chart, example: str) -> None:
    names = variables_of(chart, EXAMPLES[example])
    assert names
    assert names - VARIABLES == set()


def test_every_variable_that_a_template_names_is_a_setting() -> None:
    for template in CHART.rglob("*"):
        if template.suffix in {".yaml", ".tpl", ".sh"}:
            names = set(re.findall(rf"{PREFIX}[A-Z_]*[A-Z]\b", template.read_text()))
            assert names - VARIABLES == set(), template.name


def test_the_service_accepts_the_environment_of_a_pod(
    chart: Chart, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {
        "settings": {
            "max_queue_tokens": 2_000_000,
            "cors_origins": ["https://a.example", "https://b.example"],
            "docs": False,
            "max_wait_ms": 2.5,
            "engine": "onnxruntime",
        }
    }
    environment = chart.render(values).environment
    environment["RERANKD_THREADS"] = "2"  # from the limit of the container
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = load(environment)
    assert settings.max_queue_tokens == 2_000_000
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert settings.docs is False
    assert settings.max_wait_ms == 2.5
    assert (settings.engine, settings.offline, settings.threads) == ("onnxruntime", True, 2)


@pytest.mark.parametrize(
    ("resources", "source"),
    [
        ({}, "limits.cpu"),
        ({"limits": {"cpu": None}}, "requests.cpu"),
        ({"limits": {"cpu": "500m"}}, "limits.cpu"),
        ({"limits": {"cpu": 4}}, "limits.cpu"),
        ({"limits": {"cpu": "3000m"}}, "limits.cpu"),
    ],
)
def test_the_threads_follow_the_processors(
    chart: Chart, resources: dict[str, Any], source: str
) -> None:
    environment = chart.render({"resources": resources}).environment
    field = {"resource": source, "divisor": "1"}
    assert environment["RERANKD_THREADS"] == {"resourceFieldRef": field}


def test_no_threads_are_set_where_no_processors_are(chart: Chart) -> None:
    values = {"resources": {"limits": {"cpu": None}, "requests": {"cpu": None}}}
    assert "RERANKD_THREADS" not in chart.render(values).environment


@pytest.mark.parametrize("cpu", ["1500m", "2.5", 2.5])
def test_a_part_of_a_processor_needs_a_decision(chart: Chart, cpu: object) -> None:
    values: dict[str, Any] = {"resources": {"limits": {"cpu": cpu}}}
    assert f"resources.limits.cpu is {cpu}" in chart.refusal(values)
    values["settings"] = {"threads": 2}
    assert chart.render(values).environment["RERANKD_THREADS"] == "2"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_lenght": 1}, "'max_lenght'"),
        ({"max_length": 200_000}, "'/settings/max_length'"),
        ({"log_level": "loud"}, "'/settings/log_level'"),
        ({"api_keys": "secret"}, "'api_keys'"),
        ({"metrics_key": "secret"}, "'metrics_key'"),
        ({"lame_duck_seconds": 5}, "'lame_duck_seconds'"),
        ({"port": 80}, "'port'"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(
    chart: Chart, settings: dict[str, Any], message: str
) -> None:
    assert message in chart.refusal({"settings": settings})


def test_every_setting_can_be_set_in_one_place_of_the_values() -> None:
    settings = set(generate.settings())
    secrets = set(generate.secrets())
    assert settings | secrets | generate.MANAGED >= set(Settings.model_fields)
    assert settings & generate.MANAGED == set()
    assert settings & secrets == generate.ALSO_SECRET


def test_more_variables_can_be_added(chart: Chart) -> None:
    values = {"extraEnv": [{"name": "OTEL_SERVICE_NAME", "value": "rank"}]}
    assert chart.render(values).environment["OTEL_SERVICE_NAME"] == "rank"


def test_more_volumes_can_be_mounted(chart: Chart) -> None:
    volume = {"name": "calibration", "configMap": {"name": "calibration"}}
    mount = {"name": "calibration", "mountPath": "/calibration"}
    rendered = chart.render({"extraVolumes": [volume], "extraVolumeMounts": [mount]})
    assert volume in rendered.pod["volumes"]
    assert mount in rendered.container["volumeMounts"]
