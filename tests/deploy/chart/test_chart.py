"""The chart as a whole: Helm's own checks, both versions of Helm, its package and its notes."""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from app import __version__
from tests.deploy.chart.examples import EXAMPLES, FOLDER
from tests.deploy.chart.kubernetes import NEWEST, OLDEST
from tests.deploy.chart.rendering import CHART, NAMESPACE, RELEASE, Chart, parsed

META = yaml.safe_load((CHART / "Chart.yaml").read_text())
VALUES = [None, *sorted(EXAMPLES)]


def helm(program: Path, *arguments: str) -> str:
    # No cluster, whatever the machine is configured for.
    done = subprocess.run(
        [str(program), *arguments],
        env={"KUBECONFIG": "/dev/null", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files_of(example: str | None) -> list[str]:
    return ["--values", str(FOLDER / f"{example}.yaml")] if example else []


@pytest.mark.parametrize("example", VALUES)
def test_helm_has_no_objection(chart: Chart, example: str | None) -> None:
    printed = helm(chart.tools.helm, "lint", "--strict", str(CHART), *files_of(example))
    assert "1 chart(s) linted, 0 chart(s) failed" in printed


@pytest.mark.parametrize("example", VALUES)
def test_both_versions_of_helm_render_the_same(chart: Chart, example: str | None) -> None:
    if chart.tools.helm3 is None:
        pytest.skip("there is a package with Helm 3 for Linux on amd64 only")
    values = json.dumps(EXAMPLES[example] if example else {})
    fourth = chart.run(chart.tools.helm, values, OLDEST)
    third = chart.run(chart.tools.helm3, values, OLDEST)
    assert parsed(third.stdout) == parsed(fourth.stdout)
    assert parsed(third.stdout)


def test_helm_3_refuses_the_same_values(chart: Chart) -> None:
    if chart.tools.helm3 is None:
        pytest.skip("there is a package with Helm 3 for Linux on amd64 only")
    done = chart.run(chart.tools.helm3, json.dumps({"settings": {"max_lenght": 1}}), OLDEST)
    assert done.returncode != 0
    assert "max_lenght is not allowed" in done.stderr


def test_the_version_is_that_of_the_service() -> None:
    assert META["version"] == META["appVersion"] == __version__


def test_an_older_cluster_is_refused(chart: Chart) -> None:
    done = chart.run(chart.tools.helm, "{}", "1.28.0")
    assert done.returncode != 0
    assert f">={OLDEST}-0" in done.stderr


def test_a_package_contains_the_files_behind_the_links(chart: Chart, tmp_path: Path) -> None:
    helm(chart.tools.helm, "package", str(CHART), "--destination", str(tmp_path))
    with tarfile.open(tmp_path / f"rerankd-{__version__}.tgz") as package:
        for name in ("rules.yml", "rerankd.json"):
            member = package.extractfile(f"rerankd/files/{name}")
            assert member is not None
            assert member.read() == (CHART / "files" / name).read_bytes()


def notes(chart: Chart, example: str | None) -> str:
    printed = helm(
        chart.tools.helm, "install", RELEASE, str(CHART), "--namespace", NAMESPACE,
        "--dry-run=client", *files_of(example),
    )  # fmt: skip
    return printed.partition("NOTES:\n")[2]


def test_the_notes_warn_of_a_service_without_keys(chart: Chart) -> None:
    text = notes(chart, None)
    assert "WARNING: callers need no key" in text
    assert "http://rerankd.search.svc:8000" in text
    assert "helm test rerankd --namespace search" in text
    assert "Every pod of the cluster may connect" in text


def test_the_notes_say_where_the_service_is_published_and_which_key_it_needs(
    chart: Chart,
) -> None:
    text = notes(chart, "keda")
    assert "https://rank.example.com" in text
    assert "Callers need a key of the Secret rerankd-keys" in text
    assert "kubectl rollout restart" in text
    assert "WARNING" not in text
    # The pipeline has set a checksum.
    assert "kubectl rollout restart" not in notes(chart, "offline")


@pytest.mark.parametrize(
    ("kind", "change", "problem"),
    [
        ("Deployment", {"replica": 3}, "replica"),
        ("Service", {"ports": [{"port": "http"}]}, "spec.ports.0"),
        ("NetworkPolicy", {"egress": [{"port": 53}]}, "spec.egress.0"),
        ("ScaledObject", {"fallback": {"replicas": 2}}, "spec.fallback"),
        ("HTTPRoute", {"rules": [{"timeout": "5s"}]}, "spec.rules.0"),
        ("ServiceMonitor", {"endpoints": [{"url": "/metrics"}]}, "spec.endpoints.0"),
        ("PrometheusRule", {"groups": [{"rules": []}]}, "spec.groups.0"),
        ("BackendTrafficPolicy", {"requestBuffer": {"limit": "large"}}, "spec.requestBuffer"),
    ],
)
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_the_schemas_notice_a_mistake(
    chart: Chart, kind: str, change: dict[str, object], problem: str, version: str
) -> None:
    manifest = chart.render(EXAMPLES["keda"], version).the(kind)
    broken = manifest | {"spec": manifest["spec"] | change}
    (first, *_) = chart.schemas.problems(broken, version)
    assert problem in first
