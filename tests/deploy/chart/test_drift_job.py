"""The scheduled comparison of two periods: what it runs, what it may reach, and when it fails."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.evaluation.drift.judging import EXIT_CODES
from tests.deploy.chart.kubernetes import NEWEST, OLDEST
from tests.deploy.chart.rendering import CHART, Chart, Rendered, environment_of

SCRIPT = CHART / "files/drift.sh"
PAGE = (CHART.parents[2] / "docs/how-to/drift.md").read_text()
DRIFT: dict[str, Any] = {
    "enabled": True,
    "image": "registry.example/rerankd-eval:v1",
    "prometheus": "http://prometheus.monitoring:9090",
}


def render(chart: Chart, version: str = OLDEST, **values: Any) -> Rendered:
    return chart.render({"drift": DRIFT | values}, version)


def container_of(rendered: Rendered) -> dict[str, Any]:
    (container,) = rendered.pods()["CronJob/rerankd-drift"]["containers"]
    result: dict[str, Any] = container
    return result


def test_nothing_is_compared_by_default(chart: Chart) -> None:
    assert "CronJob" not in chart.render()


@pytest.mark.parametrize("missing", ["image", "prometheus"])
def test_it_needs_an_image_and_prometheus(chart: Chart, missing: str) -> None:
    assert f"drift.enabled needs drift.{missing}" in chart.refusal({"drift": DRIFT | {missing: ""}})


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"schedule": "every monday"}, "schedule"),
        ({"prometheus": "prometheus:9090"}, "prometheus"),
        ({"before": "14d"}, "before"),
        ({"shedule": "@weekly"}, "shedule"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_name(
    chart: Chart, values: dict[str, Any], name: str
) -> None:
    assert name in chart.refusal({"drift": DRIFT | values})


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_the_job_runs_the_command_with_the_periods(chart: Chart, version: str) -> None:
    rendered = render(chart, version, args=["--min-shift", "0.15"], timeZone="Etc/UTC")
    spec = rendered.the("CronJob", "rerankd-drift")["spec"]
    assert (spec["schedule"], spec["timeZone"]) == ("0 6 * * 1", "Etc/UTC")
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
    container = container_of(rendered)
    assert (container["command"], container["image"]) == (["sh", "-c"], DRIFT["image"])
    script, name, *arguments = container["args"]
    assert script.strip() == SCRIPT.read_text().strip()
    assert (name, arguments) == (
        "drift",
        [
            *("--prometheus", DRIFT["prometheus"], "--match", 'job="rerankd"'),
            *("--before", "14d..7d", "--after", "7d..now", "--out", "/tmp/drift"),
            *("--min-shift", "0.15"),
        ],
    )


def test_the_command_accepts_the_arguments_of_the_job(
    chart: Chart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as an address where no Prometheus is."""
    token = tmp_path / "token"
    token.write_text("abc")
    rendered = render(chart, prometheus="http://127.0.0.1:1", tokenSecret="prometheus")
    arguments = container_of(rendered)["args"][2:]
    places = {"/run/secrets/prometheus/token": str(token), "/tmp/drift": str(tmp_path / "drift")}
    done = subprocess.run(
        ["rerankd", "drift", *(places.get(word, word) for word in arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("rerankd: http://127.0.0.1:1: ")


def test_a_token_comes_from_a_secret(chart: Chart) -> None:
    rendered = render(chart, tokenSecret="prometheus", tokenKey="bearer")
    pod = rendered.pods()["CronJob/rerankd-drift"]
    (volume,) = (each for each in pod["volumes"] if each["name"] == "token")
    assert volume["secret"]["secretName"] == "prometheus"
    assert volume["secret"]["items"] == [{"key": "bearer", "path": "token"}]
    arguments = container_of(rendered)["args"]
    file = arguments[arguments.index("--prometheus-token-file") + 1]
    mounts = {mount["name"]: mount["mountPath"] for mount in container_of(rendered)["volumeMounts"]}
    assert file == f"{mounts['token']}/token"
    assert "--prometheus-token-file" not in container_of(render(chart))["args"]


def test_the_job_reaches_prometheus_and_the_service_is_as_closed_as_before(chart: Chart) -> None:
    rendered = render(chart)
    policies = {each["metadata"]["name"]: each["spec"] for each in rendered.all("NetworkPolicy")}
    assert policies["rerankd"]["egress"] == []
    drift = policies["rerankd-drift"]
    assert drift["egress"][0] == {"ports": [{"protocol": "TCP", "port": 9090}]}
    assert drift["ingress"] == []
    template = rendered.the("CronJob", "rerankd-drift")["spec"]["jobTemplate"]["spec"]["template"]
    labels = template["metadata"]["labels"].items()
    assert drift["podSelector"]["matchLabels"].items() <= labels
    assert not policies["rerankd"]["podSelector"]["matchLabels"].items() <= labels
    selector = rendered.the("Service")["spec"]["selector"].items()
    assert not selector <= labels  # or callers would be sent to the job
    open_to_all = chart.render({"drift": DRIFT, "networkPolicy": {"enabled": False}})
    assert "NetworkPolicy" not in open_to_all


def ended(folder: Path, code: int, environment: dict[str, str]) -> int:
    """How the script ends if the command ends so."""
    command = folder / "rerankd"
    command.write_text(f'#!/bin/sh\n[ "$1 $2" = "drift --json" ] && exit {code}\nexit 9\n')
    command.chmod(0o755)
    return subprocess.run(
        ["sh", "-c", SCRIPT.read_text(), "drift", "--json"],
        env={"PATH": f"{folder}:/usr/bin:/bin"} | environment,
        check=False,
    ).returncode


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 0)])
def test_the_job_fails_on_a_shift_on_worse_answers_and_on_errors(
    tmp_path: Path, code: int, expected: int
) -> None:
    assert ended(tmp_path, code, {}) == expected


def test_too_little_data_fails_the_job_if_the_value_says_so(chart: Chart, tmp_path: Path) -> None:
    environment = environment_of(container_of(render(chart, failOnTooLittleData=True)))
    assert "FAIL_ON_TOO_LITTLE_DATA" not in environment_of(container_of(render(chart)))
    assert ended(tmp_path, 5, environment | {"HOME": "/tmp"}) == 5


def test_the_exit_codes_are_those_of_the_command_and_of_its_page() -> None:
    written = {
        name.replace(" ", "_"): int(code)
        for name, code in re.findall(r"^\| ([a-z ]+) \| (\d) \|", PAGE, re.MULTILINE)
    }
    assert written == {str(verdict): code for verdict, code in EXIT_CODES.items()}
