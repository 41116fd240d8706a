"""From start to stop, as an operator sees it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from app.server.exit_limit import EXIT_FORCED
from loadtest import callers
from tests import models
from tests.live.service import running

pytestmark = pytest.mark.anyio


def serve(*flags: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", "serve", "--port", "0", *flags],
        env=os.environ | {"HF_HUB_OFFLINE": "1"} | environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def last_line(ended: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in ended.stderr
    return ended.stderr.strip().splitlines()[-1]


# --- stopping -----------------------------------------------------------------------------


async def test_on_sigterm_what_was_accepted_is_answered_and_newcomers_get_503() -> None:
    with running() as service:
        async with httpx.AsyncClient(base_url=service.url, timeout=120) as client:
            body = {"query": "copper", "documents": callers.make_pool(5, 150)}
            accepted = [asyncio.create_task(client.post("/rerank", json=body)) for _ in range(3)]
            while "requests_in_flight 4.0" not in (await client.get("/metrics")).text:
                pass
            service.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(10):
                while (await client.get("/readyz")).status_code == 200:
                    pass
            refused = await client.post("/rerank", json=body)
            alive = await client.get("/healthz")
            answers = await asyncio.gather(*accepted)
        assert (refused.status_code, refused.json()["type"]) == (503, "draining")
        assert alive.status_code == 200
        assert [answer.status_code for answer in answers] == [200, 200, 200]
        assert service.process.wait(30) == 0


EITHER = pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])


@EITHER
def test_an_idle_service_stops_at_once(how: signal.Signals) -> None:
    with running() as service:
        assert service.stop(how) == 0
        assert service.log[-1]["event"].startswith("Finished server process")


HANGS = """
import sys, threading
from app.cli import main
from app.engines.torch import engine as torch_engine
score = torch_engine.TorchEngine.score
def hang(self, batch):
    if len(batch) == 13:  # not while it is loaded
        threading.Event().wait()
    return score(self, batch)
torch_engine.TorchEngine.score = hang
sys.exit(main(sys.argv[1:]))
"""


def test_a_service_whose_engine_hangs_ends_in_time_with_exit_code_70(tmp_path: Path) -> None:
    program = [sys.executable, "-c", HANGS, "serve"]
    with running(program=program, model=models.bert(tmp_path), drain_seconds=0.5) as service:
        body = {"query": "q", "documents": [str(n) for n in range(13)], "timeout_ms": 1000}
        assert httpx.post(service.url + "/rerank", json=body).status_code == 504
        assert service.stop() == EXIT_FORCED
    assert service.log[-1]["event"] == "exit_forced"
    assert any(
        " in hang" in thread or " in wait" in thread for thread in service.log[-1]["threads"]
    )


# --- failing to start ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--model", "/nowhere/model"), "model folder /nowhere/model does not exist"),
        (("--model", "no/such-model", "--offline", "true"), "model no/such-model was not found in"),
        (("--device", "mps"), "device mps is not available on this machine; available: cpu"),
    ],
)
def test_a_model_that_cannot_be_had_is_one_sentence_and_exit_code_1(
    flags: tuple[str, ...], says: str
) -> None:
    ended = serve(*flags)
    assert ended.returncode == 1
    assert last_line(ended).startswith(f"rerankd: {says}")


def test_too_little_memory_is_one_sentence() -> None:
    limited = """
import resource, sys
import app.commands.rerank, app.engines.torch.reference
from app.cli import main
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + 60 * 2**20,) * 2)
sys.exit(main(["rerank", "q", sys.argv[1], "--engine", "torch"]))
"""
    ended = subprocess.run(
        [sys.executable, "-c", limited, __file__],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 1
    assert last_line(ended).startswith("rerankd: too little memory to load model")


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"RERANKD_PROT": "1"}, "unknown setting RERANKD_PROT; did you mean RERANKD_PORT?"),
        ({"RERANKD_MAX_DOCUMENTS": "0"}, "setting max_documents: Input should be greater than"),
        ({"RERANKD_DEVICE": "tpu"}, "setting device: Input should be 'auto', 'cpu', 'cuda' or"),
        ({"RERANKD_API_KEYS_FILE": "/nowhere"}, "api_keys_file /nowhere cannot be read"),
        ({"RERANKD_API_KEYS": " , "}, "setting api_keys: it is set but contains no key"),
        ({"RERANKD_API_KEYS": "one,schlüssel"}, "api_keys: key 2 holds characters that a header"),
    ],
)
def test_a_wrong_setting_is_one_sentence_and_exit_code_2(
    environ: dict[str, str], says: str
) -> None:
    ended = serve(**environ)
    assert ended.returncode == 2
    assert last_line(ended).startswith(f"rerankd: {says}")


def test_a_port_in_use_is_said_in_one_line() -> None:
    with running() as service:
        ended = serve("--port", service.url.rsplit(":", 1)[1])
    assert ended.returncode == 1
    assert last_line(ended).startswith("rerankd: cannot listen on 127.0.0.1:")


@EITHER
def test_a_service_that_is_still_loading_answers_that_and_stops_at_once(
    tmp_path: Path, how: signal.Signals
) -> None:
    """A pipe as the weights' file keeps the loader waiting for as long as the test likes."""
    models.bert(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    os.mkfifo(tmp_path / "model.safetensors")
    with running(wait=False, model=tmp_path) as service:
        with httpx.Client(base_url=service.url) as client:
            assert client.get("/healthz").status_code == 200
            ready = client.get("/readyz")
            answer = client.post("/rerank", json={"query": "q", "documents": ["a"]})
        assert (ready.status_code, ready.json()["detail"]) == (503, "the model is loading")
        assert (answer.status_code, answer.json()["type"]) == (503, "loading")
        assert answer.headers["Retry-After"] == "1"
        assert service.stop(how) == 0
        assert service.log[-1]["event"].startswith("Finished server process")
