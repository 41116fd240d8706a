"""The bundled model where nothing was measured before."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx

from tests.live.service import running

QUESTION = {"query": "how long is a loan", "documents": ["a loan is four weeks", "bananas"]}


def commands() -> list[str]:
    """The command lines of all processes."""
    files = Path("/proc").glob("[0-9]*/cmdline")
    return [file.read_bytes().decode().replace("\0", " ") for file in files if file.exists()]


def test_it_answers_before_its_engine_is_chosen_and_leaves_no_process_behind(
    tmp_path: Path,
) -> None:
    engines = tmp_path / "engines"
    with running(wait=False, engines=engines) as service:
        service.wait_until_ready()
        info = httpx.get(f"{service.url}/info").json()
        assert (info["engine"], info["dtype"]) == ("onnxruntime", "float32")
        assert info["choosing_engine"] is True
        answer = httpx.post(f"{service.url}/rerank", json=QUESTION, timeout=60).json()
        assert answer["results"][0]["index"] == 0
        assert any(str(engines) in command for command in commands())
        assert service.stop(signal.SIGTERM) == os.EX_OK
    assert not any(str(engines) in command for command in commands())
