"""The short form of `python -m tests.deploy.ray`, in one process and without a dashboard: answers
equal those of the service, a killed replica fails no request, and `rerankd batch --ray` gives what
a local run gives.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import httpx
import psutil
import ray
from ray import serve

from app.cli import main as rerankd
from tests.deploy.processes import free_port
from tests.deploy.ray.bulk import flags_of
from tests.deploy.ray.cluster import CPUS, OBJECT_STORE_BYTES
from tests.deploy.ray.traffic import TIMEOUT, differences
from tests.live.service import running
from tests.reliability.bulk.rows import every_line_once, write_rows

REPLICA = "ServeReplica:rerankd:Reranker"
SOME_ROWS_FAILED = 3


def main(model: str, folder: str) -> None:
    settings: dict[str, Any] = {
        "model": model,
        "engine": "onnxruntime",
        "dtype": "float32",
        "threads": 1,
    }
    os.environ |= {
        f"RERANKD_{name.upper()}": str(value)
        for name, value in (settings | {"device": "cpu", "log_level": "error"}).items()
    }
    ray.init(
        num_cpus=CPUS,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        logging_level="error",
        log_to_driver=False,
    )
    try:
        check_serving(settings)
        check_bulk(Path(model), Path(folder))
    finally:
        ray.shutdown()


def check_serving(settings: dict[str, Any]) -> None:
    from deploy.ray.service import Ingress, Reranker  # noqa: PLC0415 (it needs the cluster)

    port = free_port()
    url = f"http://127.0.0.1:{port}"
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    replicas = Reranker.options(num_replicas=2).bind()  # type: ignore[attr-defined]
    app = Ingress.bind(replicas)  # type: ignore[attr-defined]
    serve.run(app, name="rerankd")
    with running(**settings, log_level="info") as service:
        unequal = differences(service.url, url)
    assert unequal == []
    print("same", flush=True)
    kill_replica(url)
    serve.shutdown()


def kill_replica(url: str) -> None:
    body = {"query": "which river", "documents": ["The Danube runs through ten lands."]}
    with httpx.Client(base_url=url, timeout=TIMEOUT) as client:
        expected = client.post("/rerank", json=body).json()["results"]
        replicas = [
            process
            for process in psutil.Process().children(recursive=True)
            if REPLICA in " ".join(process.cmdline())
        ]
        assert len(replicas) == 2, replicas
        replicas[0].send_signal(signal.SIGKILL)
        for number in range(20):
            fresh = body | {"query": f"which river {number}"}
            assert client.post("/rerank", json=fresh).status_code == 200
        assert client.post("/rerank", json=body).json()["results"] == expected
    print("killed", flush=True)


def check_bulk(model: Path, folder: Path) -> None:
    source, flags = folder / "in.jsonl", flags_of(model, 64)
    write_rows(source, 320, seed=1)
    for out, more in (("local", ()), ("far", ("--ray", "--ray-actors", "2"))):
        words = ["batch", str(source), str(folder / out), *flags, *more]
        assert rerankd(words) == SOME_ROWS_FAILED
        assert every_line_once(source, folder / out) == []
    parts = sorted(path.name for path in (folder / "local").iterdir())
    assert parts == sorted(path.name for path in (folder / "far").iterdir())
    for name in parts:
        same = (folder / "local" / name).read_bytes() == (folder / "far" / name).read_bytes()
        assert same, name
    print("bulk", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
