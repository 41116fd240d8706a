"""Weaviate's own client understands the stand-in, and finds in it what `rerankd ingest` writes."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from app.retrieval.writer import uuid_of
from tests.clients.environments import python_of
from tests.retrieval.directions import PASSAGES, VECTORS
from tests.retrieval.stand_ins.filling import search, writer_at
from tests.retrieval.stand_ins.serving import serving
from tests.retrieval.stand_ins.weaviate import Weaviate

pytestmark = pytest.mark.anyio

SCRIPT = Path(__file__).parents[1] / "clients" / "scripts" / "weaviate_v3.py"


def run_client(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(python_of("weaviate")), str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


async def test_the_client_of_weaviate_reads_and_removes_what_we_wrote() -> None:
    with serving(Weaviate()) as port:
        async with writer_at(f"weaviate://127.0.0.1:{port}") as writer:
            await writer.put(PASSAGES, VECTORS)
            first = min(uuid_of(passage.id) for passage in PASSAGES)
            done = await asyncio.to_thread(run_client, f"http://127.0.0.1:{port}", "Docs", first)
            assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
            held = await writer.held()
        candidates = await search(f"weaviate://127.0.0.1:{port}", "needle")
    report = json.loads(done.stdout)
    assert report["schema"]["class"] == "Docs"
    assert [row["rerankd_id"] for row in report["near"]] == ["east", "north"]
    assert report["near"][0]["_additional"]["distance"] == pytest.approx(0)
    assert [row["rerankd_id"] for row in report["filtered"]] == ["west"]
    assert [row["rerankd_id"] for row in report["words"]] == ["north"]
    assert report["both"][0]["text"] == PASSAGES[1].text
    names = sorted(uuid_of(passage.id) for passage in PASSAGES)
    assert [row["id"] for row in report["listed"]] == names[1:]
    assert report["removed"] == {"matches": 1, "limit": 10_000, "successful": 1, "failed": 0}
    assert len(held) == 2
    assert {uuid_of(candidate.id) for candidate in candidates} == set(names[1:])
