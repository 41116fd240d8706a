"""The plug-in of `make test-fast` refuses what it excludes, and names only files that exist."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.fast import ROOMS, SLOW_FILES, TESTS


def test_its_rooms_and_files_exist() -> None:
    assert [name for name in (*ROOMS, *SLOW_FILES) if not (TESTS / name).exists()] == []


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import socket; socket.socket().bind(('127.0.0.1', 0))",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.fork()",
    ],
)
def test_a_connection_a_server_or_a_process_is_refused(code: str) -> None:
    script = f"from tests.fast import pytest_configure; pytest_configure(); {code}"
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "tests.fast.NotFast" in ended.stderr
