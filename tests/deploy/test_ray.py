"""rerankd on Ray: its files in deploy/ray, and the short form of `python -m tests.deploy.ray`.

Ray is not among the packages of development, so what needs it runs in a process of its own.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from app.settings import load
from deploy.ray import scaling
from deploy.ray.scaling import QUEUE_SECONDS, UTILIZATION, WaitingWork
from tests import models
from tests.deploy.ray.cluster import config_for, fixed, shipped
from tests.deploy.ray.environment import PINS, ROOT, environ

SERVICE = (ROOT / "deploy" / "ray" / "service.py").read_text()
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)$", re.MULTILINE)


@dataclass
class Seen:
    """What the controller of Ray sees; a replica has a utilization and seconds of work."""

    aggregated_metrics: Mapping[str, Mapping[Any, float]] | None = field(default_factory=dict)
    target_num_replicas: int = 3


def replicas_for(*replicas: tuple[float, float]) -> int:
    queue = {number: seconds for number, (seconds, _) in enumerate(replicas)}
    busy = {number: share for number, (_, share) in enumerate(replicas)}
    return WaitingWork()(Seen({QUEUE_SECONDS: queue, UTILIZATION: busy}))[0]


@pytest.mark.parametrize(
    ("replicas", "needed"),
    [
        ([(0.0, 0.0)], 1),
        ([(0.0, 0.7)], 1),
        ([(0.0, 0.8)], 2),
        ([(0.9, 0.5)], 1),
        ([(1.1, 0.5)], 2),
        ([(4.5, 1.0)], 5),
        ([(0.0, 0.9), (0.0, 0.9), (0.0, 0.9)], 4),
        ([(0.0, 0.4), (0.0, 0.2)], 1),
        ([(0.0, 0.0), (0.0, 0.0)], 1),
    ],
)
def test_replicas_follow_waiting_work_and_utilization(
    replicas: list[tuple[float, float]], needed: int
) -> None:
    assert replicas_for(*replicas) == needed


@pytest.mark.parametrize("metrics", [None, {}, {QUEUE_SECONDS: {}, UTILIZATION: {}}])
def test_without_a_signal_the_number_of_replicas_stays(metrics: Any) -> None:
    assert WaitingWork()(Seen(metrics)) == (3, {})


def test_the_targets_can_be_set() -> None:
    seen = Seen({QUEUE_SECONDS: {"a": 1.0}, UTILIZATION: {"a": 1.0}})
    assert WaitingWork(queue_seconds=0.25, utilization=1.0)(seen)[0] == 4
    assert WaitingWork(queue_seconds=1.0, utilization=0.2)(seen)[0] == 5


def test_the_policy_can_be_sent_without_rerankd() -> None:
    """Ray's controller has neither this repository nor its packages."""
    source = Path(scaling.__file__).read_text()
    modules = re.findall(r"^(?:from|import) (\w+)", source, re.MULTILINE)
    assert set(modules) <= set(sys.stdlib_module_names)


def deployments() -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in shipped()["applications"][0]["deployments"]}


def test_the_configuration_names_the_policy_with_its_targets() -> None:
    policy = deployments()["Reranker"]["autoscaling_config"]["policy"]
    module, name = policy["policy_function"].split(":")
    assert (module, getattr(scaling, name)) == (scaling.__name__, WaitingWork)
    assert WaitingWork(**policy["policy_kwargs"])(Seen())[0] == 3


def test_the_configuration_leaves_time_to_drain_and_to_time_out() -> None:
    settings = load({})
    assert deployments()["Reranker"]["graceful_shutdown_timeout_s"] > settings.drain_seconds
    assert shipped()["http_options"]["request_timeout_s"] > settings.timeout_ms / 1000


def test_every_variable_of_the_configuration_is_a_setting() -> None:
    assert load(shipped()["applications"][0]["runtime_env"]["env_vars"])


def test_http_and_models_are_scaled_apart() -> None:
    scaled = {name: each["autoscaling_config"] for name, each in deployments().items()}
    assert scaled.keys() == {"Ingress", "Reranker"}
    assert "policy" not in scaled["Ingress"]


def test_the_application_is_short_and_leaves_queueing_and_refusing_to_rerankd() -> None:
    assert len(SERVICE.splitlines()) <= 100
    assert "serve.batch" not in SERVICE
    assert '"max_queued_requests": -1' in SERVICE


def test_ray_shares_every_package_with_the_others() -> None:
    """What is installed beside them must not be another version of one of them."""
    pinned = dict(PIN.findall((ROOT / "constraints.txt").read_text()))
    own = dict(PIN.findall(PINS.read_text()))
    assert own["ray"]
    assert {name for name in own.keys() & pinned.keys() if own[name] != pinned[name]} == set()


def test_a_test_changes_the_configuration_only_where_it_says() -> None:
    wanted = {"Reranker": fixed(2), "Ingress": fixed(1)}
    application = config_for(1, wanted, model="m")["applications"][0]
    for deployment in application["deployments"]:
        assert "autoscaling_config" not in deployment
    assert application["import_path"] == shipped()["applications"][0]["import_path"]
    assert application["runtime_env"]["env_vars"]["RERANKD_MODEL"] == "m"


def test_on_a_real_cluster_it_answers_as_the_service_survives_a_kill_and_ranks_files(
    tmp_path: Path,
) -> None:
    model = models.bert(tmp_path / "model")
    ended = subprocess.run(
        [sys.executable, "-m", "tests.deploy.ray.short", str(model), str(tmp_path)],
        env=environ(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    assert {"same", "killed", "bulk"} <= set(ended.stdout.split())
