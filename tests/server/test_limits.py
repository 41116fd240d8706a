from __future__ import annotations

import subprocess
import sys

import pytest

from app.compose.app import connection_limits
from app.server.limits import default_connections
from app.settings import Settings
from tests.server.wire import make_limits


@pytest.mark.parametrize(
    ("descriptors", "connections"), [(1, 1), (256, 128), (1024, 512), (8192, 4096), (1 << 20, 4096)]
)
def test_by_default_half_of_the_descriptors_are_for_connections(
    descriptors: int, connections: int
) -> None:
    assert default_connections(descriptors) == connections
    assert connection_limits(Settings(), descriptors).connections == connections


def test_a_number_of_connections_that_is_set_is_kept() -> None:
    assert connection_limits(Settings(max_connections=7), 1024).connections == 7


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [({}, 1.0), ({"header_seconds": 0.5}, 0.05), ({"body_idle_seconds": 2}, 0.2)],
)
def test_clocks_are_looked_at_in_tenths_of_the_shortest_limit_and_at_least_each_second(
    changes: dict[str, float], seconds: float
) -> None:
    assert make_limits(**changes).sweep_seconds == pytest.approx(seconds)


@pytest.mark.parametrize(("soft", "hard", "allowed"), [(64, 256, 256), (256, 256, 256)])
def test_the_soft_limit_of_descriptors_is_raised_to_the_hard_one(
    soft: int, hard: int, allowed: int
) -> None:
    code = f"""
import resource
from app.server.limits import raise_descriptor_limit
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(raise_descriptor_limit(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == [str(allowed)] * 2
