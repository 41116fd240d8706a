"""The Dockerfile and the compose file, as far as they can be held to account without Docker."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from app.server.leaving import Times
from app.settings import PREFIX, Settings
from tests.deploy.processes import free_port

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROVISIONING = ROOT / "deploy/grafana/provisioning"


class Step(NamedTuple):
    name: str
    text: str


def read_steps() -> list[Step]:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    logical = text.replace("\\\n", " ").splitlines()
    return [Step(*line.split(maxsplit=1)) for line in logical if line.strip()]


STEPS = read_steps()
LAST_STAGE = STEPS[max(at for at, step in enumerate(STEPS) if step.name == "FROM") :]


def last(name: str) -> str:
    return [step.text for step in LAST_STAGE if step.name == name][-1]


def health_check() -> list[str]:
    command: list[str] = json.loads(last("HEALTHCHECK").partition(" CMD ")[2])
    return command


def run_health_check(port: int) -> int:
    program, *arguments = health_check()
    assert program == "python"
    environ = {**os.environ, "RERANKD_PORT": str(port), "http_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, *arguments], env=environ, stderr=subprocess.DEVNULL, check=False
    )
    return done.returncode


def test_the_image_runs_as_a_user_whose_number_says_it_is_not_root() -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last("USER"))


def test_signals_reach_the_service_and_not_a_shell() -> None:
    assert json.loads(last("ENTRYPOINT")) == ["rerankd"]
    assert json.loads(last("CMD")) == ["serve"]
    assert last("STOPSIGNAL") == "SIGTERM"


def test_the_health_check_passes_on_a_ready_service(service: str) -> None:
    assert run_health_check(int(service.rpartition(":")[2])) == 0


def test_the_health_check_fails_where_nothing_listens() -> None:
    assert run_health_check(free_port()) == 1


def test_everything_copied_is_in_git_and_let_through_to_the_build() -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignore
    for step in STEPS:
        if step.name == "COPY" and not step.text.startswith("--from="):
            *sources, _ = step.text.split()
            for source in sources:
                assert f"!{source}" in ignore
                assert subprocess.check_output(["git", "ls-files", source], cwd=ROOT), source


def test_every_setting_named_there_exists() -> None:
    variables = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    files = ["Dockerfile", "docker-compose.yml", "deploy/README.md", "deploy/prometheus/rules.yml"]
    files += ["deploy/grafana/dashboards/rerankd.json", "deploy/nginx/rerankd.conf"]
    files += ["README.md", "SECURITY.md", *map(str, (ROOT / "docs").rglob("*.md"))]
    for file in files:
        named = set(re.findall(rf"{PREFIX}[A-Z_]*[A-Z]", (ROOT / file).read_text()))
        assert named <= variables, file


def test_the_image_never_asks_a_model_hub_unless_told_to() -> None:
    words = shlex.split(last("ENV"))
    assert "RERANKD_OFFLINE=true" in words
    assert "RERANKD_MODEL=${MODEL:-bundled}" in words


def test_compose_takes_no_default_of_the_image_away() -> None:
    """A variable that is named without a value is unset where the shell does not have it."""
    ours = {word.partition("=")[0] for word in shlex.split(last("ENV"))}
    named_alone = {
        variable for variable in SERVICES["rerankd"]["environment"] if "=" not in variable
    }
    assert named_alone
    assert not named_alone & ours


def test_compose_publishes_on_this_machine_only() -> None:
    for name, service in SERVICES.items():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), name


def test_compose_gives_no_container_more_than_it_needs() -> None:
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    assert SERVICES["rerankd"]["read_only"] is True


def test_compose_waits_longer_than_the_service_needs_to_leave() -> None:
    (lame_duck,) = re.findall(r"RERANKD_LAME_DUCK_SECONDS=(\d+)", (ROOT / "Dockerfile").read_text())
    drain = Settings.model_fields["drain_seconds"].default
    grace = int(SERVICES["rerankd"]["stop_grace_period"].removesuffix("s"))
    assert int(lame_duck) == 10
    assert grace > Times(drain=drain, lame_duck=float(lame_duck)).total


def test_images_of_others_say_which_version_their_digest_is() -> None:
    for name in ("chroma", "prometheus", "grafana"):
        assert re.search(r":v?\d+\.\d+\.\d+@sha256:", SERVICES[name]["image"]), name


def test_what_compose_mounts_exists_and_lies_where_it_is_looked_for() -> None:
    mounts = {
        target: ROOT / source
        for service in SERVICES.values()
        for source, target, *_ in (volume.split(":") for volume in service.get("volumes", []))
        if source.startswith("./")
    }
    assert all(source.is_dir() for source in mounts.values())
    provider = yaml.safe_load((PROVISIONING / "dashboards/rerankd.yml").read_text())
    boards = mounts[provider["providers"][0]["options"]["path"]]
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (boards / home.name).is_file()
    assert (mounts["/etc/prometheus"] / "prometheus.yml").is_file()


def test_the_services_find_each_other() -> None:
    scrape = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    source = yaml.safe_load((PROVISIONING / "datasources/prometheus.yml").read_text())
    assert scrape["scrape_configs"][0]["static_configs"][0]["targets"] == ["rerankd:8000"]
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    assert {"rerankd", "prometheus"} <= SERVICES.keys()


def test_compose_accepts_the_file() -> None:
    command = compose()
    done = subprocess.run(
        [*command, "config", "--quiet"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def compose() -> list[str]:
    plugin = ["docker", "compose"]
    if (
        shutil.which("docker")
        and not subprocess.run([*plugin, "version"], capture_output=True, check=False).returncode
    ):
        return plugin
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    pytest.skip("docker compose is not installed")
