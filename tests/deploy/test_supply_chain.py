"""What a release is made of is named by its bytes, and what makes it is checked."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted(path.name for path in ROOT.glob("requirements*.lock"))
CONSTRAINTS = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if not line.startswith("#")
)
MAKEFILE = (ROOT / "Makefile").read_text()
WORKFLOWS = {
    path.name: yaml.safe_load(path.read_text())
    for path in (ROOT / ".github/workflows").glob("*.yml")
}
REGISTRY_HOSTS = re.compile(
    r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|pytorch\.org/whl|ghcr\.io|quay\.io"
    r"|hub\.docker\.com|docker\.io"
)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "deploy" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- locks --------------------------------------------------------------------------------


def locked(name: str) -> dict[str, str]:
    """Version by package; every package must have a hash."""
    versions = {}
    for block in script("lock").blocks((ROOT / name).read_text()):
        head, *hashes = block.replace("\\\n", "").split(" --hash=")
        pinned = re.match(r"([a-z0-9.-]+)==(\S+)", head)
        assert pinned, head
        assert hashes, head
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}\s*", digest) for digest in hashes), head
        versions[pinned[1]] = pinned[2]
    return versions


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_of_a_lock_has_a_version_and_hashes(name: str) -> None:
    assert locked(name)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_agrees_with_what_everything_was_tested_with(name: str) -> None:
    tested = {canonical(package): version for package, version in CONSTRAINTS.items()}
    differing = {
        package: (version, tested[package])
        for package, version in locked(name).items()
        if tested.get(package, version) != version
    }
    assert differing == {}


def test_the_slim_lock_is_that_of_the_image_without_what_needs_torch() -> None:
    slim, image = locked("requirements-slim.lock"), locked("requirements.lock")
    assert slim.items() <= image.items()
    assert not slim.keys() & {"torch", "transformers", "sentence-transformers", "scipy", "sympy"}
    wanted = (
        canonical(re.split(r"[^\w.-]", line)[0]) for line in script("lock").slim_requirements()
    )
    assert {*wanted} <= slim.keys()


def test_the_image_s_lock_holds_every_dependency_but_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    installed = (extras[name] for name in ("faiss", "ingest", "mcp", "otel", "postgres", "redis"))
    wanted = [*project["dependencies"], *(package for extra in installed for package in extra)]
    names = {canonical(re.split(r"[\[<>=~! ]", line)[0]) for line in wanted}
    assert names - locked("requirements.lock").keys() == {"torch"}
    assert "torch" in locked("requirements-cuda.lock")


def test_a_cpu_image_brings_no_cuda() -> None:
    assert not [
        name for name in locked("requirements.lock") if re.match("nvidia|cuda|triton", name)
    ]


def test_constraints_keep_torch_without_its_build_and_no_cuda() -> None:
    kept = [
        pin
        for pin in ("torch==2", "triton==3", "nvidia-x==1")
        if script("lock").is_development(pin)
    ]
    assert kept == ["torch==2"]
    assert not [name for name in CONSTRAINTS if re.match("nvidia|cuda|triton", name)]


def test_a_lock_is_cut_into_one_block_a_package() -> None:
    text = "# head\na==1 \\\n    --hash=sha256:0 \\\n    --hash=sha256:1\nnvidia-b==2\nc==3\n"
    blocks = script("lock").blocks(text)
    assert [block.split()[0] for block in blocks] == ["a==1", "nvidia-b==2", "c==3"]
    assert [bool(script("lock").CUDA.match(block)) for block in blocks] == [False, True, False]


def test_no_committed_file_names_a_package_registry() -> None:
    files = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    ours = {"tests/deploy/test_supply_chain.py"}  # which names them to look for them
    naming = [
        name
        for name in files
        if name not in ours
        and (ROOT / name).is_file()
        and REGISTRY_HOSTS.search((ROOT / name).read_text(errors="ignore"))
    ]
    assert naming == []


def extra(name: str) -> set[str]:
    """Every package of an extra, with those of the extras that it includes."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    names: set[str] = set()
    for line in extras[name]:
        if included := re.match(r"rerankd\[(.+)\]", line):
            names = names.union(*map(extra, included[1].split(",")))
        else:
            names.add(canonical(re.split(r"[\[<>=~! ]", line)[0]))
    return names


def test_serving_installs_no_package_of_training_evaluation_documentation_or_tests() -> None:
    (serving,) = re.findall(r"^\$\(SERVING\):.*\n(?:\t.*\n)+", MAKEFILE, re.MULTILINE)
    assert re.findall(r"'\.(\[.*?\])'", serving) == ["[ingest]"]
    assert re.search(r"^serve: \$\(SERVING\)", MAKEFILE, re.MULTILINE)
    # sentence-transformers brings scikit-learn, transformers brings tqdm and PyYAML.
    brought = {"scikit-learn", "tqdm", "pyyaml"}
    others = extra("train") | extra("eval") | extra("docs") | (extra("dev") - extra("ingest"))
    of_images = extra("faiss") | extra("mcp") | extra("otel") | extra("postgres") | extra("redis")
    assert (others - of_images - brought) & locked("requirements.lock").keys() == set()


def test_development_has_every_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    # Ray is large: its tests have an environment of their own.
    assert extra("dev") >= set().union(*map(extra, extras.keys() - {"ray"}))


def test_constraints_name_every_package_of_development() -> None:
    assert extra("dev") - {canonical(name) for name in CONSTRAINTS} == set()


# --- images -------------------------------------------------------------------------------

DIGEST = re.compile(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}")


def test_images_of_others_are_named_by_digest() -> None:
    (python,) = re.findall(r"^ARG PYTHON=(.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    images = [service["image"] for name, service in compose.items() if name != "rerankd"]
    assert len(images) == 3
    for image in (f"python:{python}", *images):
        assert DIGEST.fullmatch(image), image


FAKE_DOCKER = """#!{python}
import sys
image = sys.argv[-1]
if "grafana" in image and {fails}:
    sys.exit("no such manifest")
print("sha256:" + ("a" if "python" in image else "b") * 64)
"""


def pin_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, fails: bool = False) -> None:
    for name in ("Dockerfile", "docker-compose.yml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    docker = tmp_path / "docker"
    docker.write_text(FAKE_DOCKER.format(python=sys.executable, fails=fails))
    docker.chmod(docker.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    script("pin_images").main(tmp_path)


def test_digests_are_looked_up_and_nothing_else_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin_images(tmp_path, monkeypatch)
    for name, digit, count in (("Dockerfile", "a", 1), ("docker-compose.yml", "b", 3)):
        before, after = (ROOT / name).read_text(), (tmp_path / name).read_text()
        assert after.count(f"@sha256:{digit * 64}") == count
        without = [re.sub("@sha256:[0-9a-f]{64}", "", text) for text in (before, after)]
        assert without[0] == without[1]
        assert "image: rerankd:${VARIANT:-cpu}\n" in after or name == "Dockerfile"


def test_a_digest_that_cannot_be_looked_up_is_said_and_never_made_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match=r"grafana/grafana:12\S+ cannot be looked up: no such"):
        pin_images(tmp_path, monkeypatch, fails=True)
    assert (tmp_path / "docker-compose.yml").read_text() == (
        ROOT / "docker-compose.yml"
    ).read_text()


# --- the audit ----------------------------------------------------------------------------


def audit(monkeypatch: pytest.MonkeyPatch, answer: list[dict[str, Any]], required: str = "") -> int:
    module = script("audit")
    monkeypatch.setattr(module, "pins", lambda: ["a==1", "b==2"])
    monkeypatch.setattr(module, "look_up", lambda packages: answer)
    monkeypatch.setenv("AUDIT_REQUIRED", required)
    return int(module.main())


A = {"name": "a", "version": "1", "vulns": []}
B = {"name": "b", "version": "2", "vulns": [{"id": "X-1", "fix_versions": ["2.1"]}]}
UNKNOWN = {"name": "b", "skip_reason": "not there"}


def test_an_audit_without_a_finding_passes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit(monkeypatch, [A, {**B, "vulns": []}], "1") == 0
    assert capsys.readouterr().out == "2 packages looked up, 0 with a known vulnerability\n"


def test_a_known_vulnerability_fails_the_audit_and_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit(monkeypatch, [A, B]) == 1
    assert "b 2: X-1, fixed in 2.1\n" in capsys.readouterr().out


@pytest.mark.parametrize("answer", [[], [UNKNOWN, {**UNKNOWN, "name": "a"}]])
def test_without_an_advisory_service_the_audit_is_skipped_but_not_in_a_release(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: list[dict[str, Any]],
) -> None:
    assert audit(monkeypatch, answer) == 0
    assert "the audit is skipped" in capsys.readouterr().err
    assert audit(monkeypatch, answer, "1") == 1


def test_a_package_that_was_not_looked_up_fails_a_release(monkeypatch: pytest.MonkeyPatch) -> None:
    assert audit(monkeypatch, [A, UNKNOWN]) == 0
    assert audit(monkeypatch, [A, UNKNOWN], "1") == 1


def test_the_audit_covers_what_is_shipped_and_what_builds_it() -> None:
    pins = script("audit").pins()
    assert {"uvicorn", "torch", "hatchling"} <= {pin.partition("==")[0] for pin in pins}
    assert all(re.fullmatch(r"[a-z0-9.-]+==\S+", pin) for pin in pins)


def test_the_bill_of_materials_has_torch_and_everything_locked() -> None:
    module = script("sbom")
    text = module.requirements()
    assert f"\ntorch=={CONSTRAINTS['torch']}\n" in text
    assert (ROOT / "requirements.lock").read_text() in text
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", module.version())


# --- workflows ----------------------------------------------------------------------------


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job.get("steps", [])]


def test_there_are_two_workflows() -> None:
    assert set(WORKFLOWS) == {"ci.yml", "release.yml"}


@pytest.mark.parametrize("name", ["ci.yml", "release.yml"])
def test_actions_are_named_by_commit_and_say_which_version_that_is(name: str) -> None:
    text = (ROOT / ".github/workflows" / name).read_text()
    lines = [line for line in text.splitlines() if "uses:" in line and "uses: ./" not in line]
    assert lines
    for line in lines:
        assert re.search(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


@pytest.mark.parametrize("name", ["ci.yml", "release.yml"])
def test_a_job_has_no_right_that_is_not_given_to_it_by_name(name: str) -> None:
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        writes = {right for right, how in job.get("permissions", {}).items() if how == "write"}
        assert writes <= {"id-token", "attestations", "packages", "contents"}
    assert all(
        step["with"]["persist-credentials"] is False
        for step in steps(workflow)
        if step.get("uses", "").startswith("actions/checkout@")
    )


@pytest.mark.parametrize("name", ["ci.yml", "release.yml"])
def test_a_script_takes_no_text_from_the_event(name: str) -> None:
    """A branch or a tag may be named like a command."""
    for step in steps(WORKFLOWS[name]):
        assert "${{" not in step.get("run", ""), step


def test_every_make_target_of_a_workflow_exists() -> None:
    runs = [step.get("run", "") for flow in WORKFLOWS.values() for step in steps(flow)]
    targets = set(re.findall(r"make ([a-z-]+)", "\n".join(runs)))
    assert targets >= {"audit", "dist", "sbom", "publish"}
    made = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert targets <= made


def test_a_release_is_tested_audited_described_and_attested_before_it_is_published() -> None:
    jobs = WORKFLOWS["release.yml"]["jobs"]
    assert jobs["test"]["uses"] == "./.github/workflows/ci.yml"
    assert jobs["build"]["needs"] == "test"
    order = [step.get("run") or step["uses"].partition("@")[0] for step in jobs["build"]["steps"]]
    wanted = ["make audit", "make dist", "make sbom", "actions/attest-build-provenance"]
    assert [step for step in order if step in wanted] == wanted
    audit_step = next(step for step in jobs["build"]["steps"] if step.get("run") == "make audit")
    assert audit_step["env"]["AUDIT_REQUIRED"] == "1"
    assert set(jobs["publish"]["needs"]) == {"build", "platform", "image"}


def test_an_image_is_made_for_both_platforms_under_a_single_name() -> None:
    jobs = WORKFLOWS["release.yml"]["jobs"]
    platforms = {each["platform"] for each in jobs["platform"]["strategy"]["matrix"]["include"]}
    assert platforms == {"amd64", "arm64"}
    (script,) = [
        step["run"] for step in jobs["image"]["steps"] if "imagetools" in step.get("run", "")
    ]
    assert all(f'"$NAME-{platform}"' in script for platform in platforms)
    assert jobs["image"]["needs"] == "platform"


def test_an_image_is_started_before_it_is_pushed() -> None:
    steps_of_platform = WORKFLOWS["release.yml"]["jobs"]["platform"]["steps"]
    (checked,) = [
        number
        for number, step in enumerate(steps_of_platform)
        if "tests.deploy.image rerankd:checked" in step.get("run", "")
    ]
    pushed = [step.get("with", {}).get("push", False) for step in steps_of_platform]
    assert not any(pushed[:checked])
    assert any(pushed[checked:])


def test_ci_runs_what_everybody_runs() -> None:
    runs = [step.get("run", "") for step in steps(WORKFLOWS["ci.yml"])]
    assert any(run.endswith("bash .ci/run") for run in runs)
    assert "make test" in (ROOT / ".ci/run").read_text()
    assert {"make test-fast", "make coverage", "make docs-site", "make audit"} <= set(runs)


def test_the_workflows_are_read_as_github_reads_them() -> None:
    """`on` is a key there, and true for YAML 1.1."""
    assert json.dumps(WORKFLOWS["release.yml"][True]) == '{"push": {"tags": ["v*"]}}'
