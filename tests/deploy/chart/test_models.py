"""Where models and converted engines come from, and what is prepared before the service starts."""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.cli import COMMANDS
from app.engines import processors
from tests.deploy.chart.rendering import CHART, Chart, Rendered, environment_of

CLAIMS: dict[str, Any] = {
    "model": {"name": "owner/name", "revision": "abc", "storage": "claim", "claim": "models"},
    "engines": {"storage": "claim", "claim": "engines"},
}
JOB = CLAIMS | {"prepare": {"by": "job"}}
INIT_CONTAINER: dict[str, Any] = {
    "model": {"name": "owner/name", "storage": "pod"},
    "engines": {"storage": "pod"},
    "prepare": {"by": "initContainer"},
}


def mounts(container: dict[str, Any]) -> dict[str, bool]:
    return {mount["mountPath"]: mount.get("readOnly", False) for mount in container["volumeMounts"]}


def volumes(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        volume["name"]: {key: value for key, value in volume.items() if key != "name"}
        for volume in pod["volumes"]
    }


def test_the_model_and_the_engines_are_in_the_image_by_default(chart: Chart) -> None:
    rendered = chart.render()
    assert mounts(rendered.container) == {"/tmp": False}
    assert rendered.environment["RERANKD_MODEL"] == "bundled"
    assert rendered.environment["RERANKD_ENGINES"] == "/engines"


def test_the_folders_are_those_of_the_image() -> None:
    dockerfile = (CHART.parents[2] / "Dockerfile").read_text()
    assert "HF_HUB_CACHE=/models" in dockerfile
    assert "RERANKD_ENGINES=/engines" in dockerfile


def test_the_service_never_contacts_a_hub(chart: Chart) -> None:
    for values in ({}, JOB, INIT_CONTAINER):
        assert chart.render(values).environment["RERANKD_OFFLINE"] == "true"


def test_models_on_a_claim_cannot_be_changed_by_the_service(chart: Chart) -> None:
    rendered = chart.render(CLAIMS)
    assert mounts(rendered.container) == {"/tmp": False, "/models": True, "/engines": False}
    claims = {
        name: volume["persistentVolumeClaim"]["claimName"]
        for name, volume in volumes(rendered.pod).items()
        if "persistentVolumeClaim" in volume
    }
    assert claims == {"models": "models", "engines": "engines"}
    assert rendered.environment["RERANKD_MODEL"] == "owner/name"
    assert rendered.environment["RERANKD_REVISION"] == "abc"


def test_an_init_container_fills_volumes_of_the_pod(chart: Chart) -> None:
    rendered = chart.render(INIT_CONTAINER)
    (prepare,) = rendered.pod["initContainers"]
    assert volumes(rendered.pod)["models"] == volumes(rendered.pod)["engines"] == {"emptyDir": {}}
    assert mounts(prepare) == {"/tmp": False, "/models": False, "/engines": False}
    assert environment_of(prepare)["RERANKD_OFFLINE"] == "false"
    assert "Job" not in rendered


def test_with_an_init_container_the_egress_holds_for_the_pod(chart: Chart) -> None:
    """A policy cannot distinguish containers: the notes of the chart warn of it."""
    egress = chart.render(INIT_CONTAINER).the("NetworkPolicy")["spec"]["egress"]
    assert {"ports": [{"protocol": "TCP", "port": 443}]} in egress
    values = INIT_CONTAINER | {"prepare": {"by": "initContainer", "download": False}}
    offline = chart.render(values)
    assert offline.the("NetworkPolicy")["spec"]["egress"] == []
    (prepare,) = offline.pod["initContainers"]
    assert environment_of(prepare)["RERANKD_OFFLINE"] == "true"


def policies(rendered: Rendered) -> dict[str, Any]:
    return {policy["metadata"]["name"]: policy["spec"] for policy in rendered.all("NetworkPolicy")}


def test_with_a_job_the_egress_is_denied_when_the_service_starts(chart: Chart) -> None:
    rendered = chart.render(JOB)
    by_name = policies(rendered)
    assert by_name["rerankd"]["egress"] == []
    assert {"ports": [{"protocol": "TCP", "port": 443}]} in by_name["rerankd-prepare"]["egress"]
    assert by_name["rerankd-prepare"]["ingress"] == []
    job = rendered.the("Job", "rerankd-prepare-model")
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert by_name["rerankd-prepare"]["podSelector"]["matchLabels"].items() <= labels.items()
    assert not by_name["rerankd"]["podSelector"]["matchLabels"].items() <= labels.items()
    assert "initContainers" not in rendered.pod


def test_a_job_without_a_download_can_open_no_connection(chart: Chart) -> None:
    values = CLAIMS | {"prepare": {"by": "job", "download": False}}
    assert policies(chart.render(values))["rerankd-prepare"]["egress"] == []
    values |= {"networkPolicy": {"enabled": False}}
    assert "NetworkPolicy" not in chart.render(values)


def test_the_policy_of_a_job_is_there_before_it_and_both_go_when_it_has_succeeded(
    chart: Chart,
) -> None:
    rendered = chart.render(JOB)
    policy = rendered.the("NetworkPolicy", "rerankd-prepare")["metadata"]["annotations"]
    job = rendered.the("Job", "rerankd-prepare-model")["metadata"]["annotations"]
    for hook in (policy, job):
        assert hook["helm.sh/hook"] == "pre-install,pre-upgrade"
        assert hook["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
    assert int(policy["helm.sh/hook-weight"]) < int(job["helm.sh/hook-weight"])


def test_a_job_runs_on_each_kind_of_node(chart: Chart) -> None:
    kinds: list[dict[str, Any]] = [
        {"name": "amd", "nodeSelector": {"cpu": "amd"}},
        {"name": "arm", "nodeSelector": {"cpu": "arm"}, "tolerations": [{"operator": "Exists"}]},
    ]
    values = CLAIMS | {"prepare": {"by": "job", "processors": kinds, "deadlineSeconds": 60}}
    rendered = chart.render(values)
    for processor in kinds:
        spec = rendered.the("Job", f"rerankd-prepare-{processor['name']}")["spec"]
        pod = spec["template"]["spec"]
        assert pod["nodeSelector"] == processor["nodeSelector"]
        assert pod.get("tolerations") == processor.get("tolerations")
        assert spec["activeDeadlineSeconds"] == 60
        # All into one folder, in which each kind of processor has measurements of its own.
        assert volumes(pod)["engines"] == {"persistentVolumeClaim": {"claimName": "engines"}}


def test_a_job_runs_where_the_service_runs_by_default(chart: Chart) -> None:
    values = JOB | {"nodeSelector": {"a": "b"}, "tolerations": [{"operator": "Exists"}]}
    pod = chart.render(values).the("Job", "rerankd-prepare-model")["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"a": "b"}
    assert pod["tolerations"] == [{"operator": "Exists"}]


def test_what_prepares_gets_the_token_of_the_hub_and_the_service_does_not(chart: Chart) -> None:
    prepare = {"by": "job", "tokenSecret": "hub", "tokenKey": "hf", "variant": "gpu"}
    rendered = chart.render(CLAIMS | {"prepare": prepare, "image": {"variant": "slim"}})
    pod = rendered.the("Job", "rerankd-prepare-model")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    secret = {"secretKeyRef": {"name": "hub", "key": "hf"}}
    assert environment_of(container)["HF_TOKEN"] == secret
    assert container["image"] == "rerankd:v0.1.0-gpu"
    assert "HF_TOKEN" not in rendered.environment
    assert rendered.container["image"] == "rerankd:v0.1.0-slim"


def test_the_same_settings_hold_while_the_model_is_prepared(chart: Chart) -> None:
    values = JOB | {"settings": {"max_length": 256}, "extraEnv": [{"name": "HF_ENDPOINT"}]}
    rendered = chart.render(values)
    pod = rendered.the("Job", "rerankd-prepare-model")["spec"]["template"]["spec"]
    environment = environment_of(pod["containers"][0])
    for name in ("RERANKD_MODEL", "RERANKD_REVISION", "RERANKD_MAX_LENGTH", "RERANKD_THREADS"):
        assert environment[name] == rendered.environment[name]
    assert "HF_ENDPOINT" in environment


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": {"storage": "claim"}}, "name the volume claim in model.claim"),
        ({"engines": {"storage": "claim"}}, "name the volume claim in engines.claim"),
        ({"model": {"storage": "pod"}}, "the volume is empty unless prepare.by is initContainer"),
        ({"prepare": {"by": "initContainer"}}, "set engines.storage to pod or claim"),
        ({"prepare": {"by": "job"}}, "set engines.storage to claim"),
        (
            {"prepare": {"by": "job"}, "engines": {"storage": "pod"}},
            "set engines.storage to claim",
        ),
        ({"prepare": {"by": "job"}, "gpu": {"enabled": True}}, "set model.storage to claim"),
    ],
)
def test_a_folder_that_would_be_empty_or_lost_is_refused(
    chart: Chart, values: dict[str, Any], message: str
) -> None:
    assert message in chart.refusal(values)


def script(chart: Chart, *, gpu: bool, model: str) -> tuple[list[str], dict[str, str]]:
    """The command and the environment of what prepares the model."""
    values = CLAIMS | {"model": CLAIMS["model"] | {"name": model}, "prepare": {"by": "job"}}
    rendered = chart.render(values | {"gpu": {"enabled": gpu}})
    pod = rendered.the("Job", "rerankd-prepare-model")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = environment_of(container)
    variables = {name: value for name, value in environment.items() if isinstance(value, str)}
    return [*container["command"], *container["args"]], variables


def run(command: list[str], folder: Path, program: str, variables: dict[str, str]) -> str:
    """With `program` as the script's `rerankd`."""
    (folder / "rerankd").write_text(f"#!/bin/sh\n{program}\n")
    (folder / "rerankd").chmod(0o755)
    done = subprocess.run(
        command,
        env=os.environ | variables | {"PATH": f"{folder}:{os.environ['PATH']}"},
        cwd=CHART.parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("model", "gpu", "words"),
    [
        ("bundled", False, ["optimize"]),
        ("owner/name", False, ["rerank", "a query"]),
        (
            "owner/name",
            True,
            ["rerank", "a query", "--device", "cpu", "--engine", "torch", "--dtype", "auto"],
        ),
    ],
)
def test_the_script_calls_what_the_model_needs(
    chart: Chart, tmp_path: Path, model: str, gpu: bool, words: list[str]
) -> None:
    command, variables = script(chart, gpu=gpu, model=model)
    assert run(command, tmp_path, 'printf "%s\\n" "$@"', variables).splitlines() == words
    parser_of(words[0]).parse_args(words[1:])


def parser_of(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    importlib.import_module(COMMANDS[command].module).configure(parser)
    return parser


def test_the_script_ends_with_an_error_if_the_model_cannot_be_used(
    chart: Chart, tmp_path: Path
) -> None:
    command, variables = script(chart, gpu=False, model="owner/name")
    with pytest.raises(AssertionError, match="no such model"):
        run(command, tmp_path, "echo no such model >&2; exit 1", variables)


def test_the_script_converts_the_bundled_model_and_measures_it(
    chart: Chart, tmp_path: Path
) -> None:
    """Into the folder that all tests share, where it was measured before."""
    command, variables = script(chart, gpu=False, model="bundled")
    engines = os.environ["RERANKD_ENGINES"]
    variables |= {"RERANKD_ENGINES": engines, "RERANKD_REVISION": "", "RERANKD_OFFLINE": "true"}
    program = f'exec {sys.executable} -m app.cli "$@"'
    assert "pairs/s" in run(command, tmp_path, program, variables)
    assert list(Path(engines).glob(f"rerankd-minilm-*/benchmark-{processors.kind()}.json"))
