"""The chart as Helm renders it, each manifest checked by the schemas of Kubernetes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.chart.kubernetes import OLDEST, Manifest, Schemas
from tests.deploy.chart.tools import Tools

CHART = Path(__file__).resolve().parents[3] / "deploy" / "helm" / "rerankd"
RELEASE, NAMESPACE = "rerankd", "search"
Values = Mapping[str, Any]
# The parser in C, where it is installed: a dashboard takes seconds otherwise.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Rendered:
    def __init__(self, manifests: Iterable[Manifest]) -> None:
        self.manifests = list(manifests)

    def __contains__(self, kind: str) -> bool:
        return any(manifest["kind"] == kind for manifest in self.manifests)

    def all(self, kind: str) -> list[Manifest]:
        return [manifest for manifest in self.manifests if manifest["kind"] == kind]

    def the(self, kind: str, name: str = RELEASE) -> Manifest:
        (manifest,) = (each for each in self.all(kind) if each["metadata"]["name"] == name)
        return manifest

    @property
    def pod(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.the("Deployment")["spec"]["template"]["spec"]
        return spec

    @property
    def container(self) -> dict[str, Any]:
        (container,) = self.pod["containers"]
        result: dict[str, Any] = container
        return result

    @property
    def environment(self) -> dict[str, Any]:
        return environment_of(self.container)

    def pods(self) -> dict[str, dict[str, Any]]:
        """The specification of each pod that the chart starts, by kind and name."""
        templates = [*self.all("Deployment"), *self.all("Job")]
        pods = {name_of(each): each["spec"]["template"]["spec"] for each in templates}
        for scheduled in self.all("CronJob"):
            template = scheduled["spec"]["jobTemplate"]["spec"]["template"]
            pods[name_of(scheduled)] = template["spec"]
        return pods | {name_of(each): each["spec"] for each in self.all("Pod")}


def name_of(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def environment_of(container: Mapping[str, Any]) -> dict[str, Any]:
    """The value of each variable, or where it comes from."""
    return {
        variable["name"]: variable.get("value", variable.get("valueFrom"))
        for variable in container["env"]
    }


class Chart:
    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        self.schemas = Schemas(tools.schemas)

    def render(self, values: Values | None = None, version: str = OLDEST) -> Rendered:
        """What a cluster of that version would be sent; it has to accept all of it."""
        return self._accepted(json.dumps(values or {}), version)

    @cache  # noqa: B019 (a session has one chart)
    def _accepted(self, values: str, version: str) -> Rendered:
        rendered = Rendered(parsed(self.text(values, version)))
        problems = [
            problem
            for manifest in rendered.manifests
            for problem in self.schemas.problems(manifest, version)
        ]
        assert not problems, "\n".join(problems)
        return rendered

    def refusal(self, values: Values) -> str:
        """The error with which Helm refuses these values."""
        done = self.run(self.tools.helm, json.dumps(values), OLDEST)
        assert done.returncode != 0, "Helm accepts these values"
        return done.stderr

    @cache  # noqa: B019 (a session has one chart)
    def text(self, values: str, version: str) -> str:
        done = self.run(self.tools.helm, values, version)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, helm: Path, values: str, version: str) -> subprocess.CompletedProcess[str]:
        command = [
            *(str(helm), "template", RELEASE, str(CHART), "--namespace", NAMESPACE),
            *("--kube-version", version, "--values", "-"),
        ]
        return subprocess.run(command, input=values, capture_output=True, text=True, check=False)


def parsed(text: str) -> list[Manifest]:
    return [manifest for manifest in yaml.load_all(text, LOADER) if manifest]
