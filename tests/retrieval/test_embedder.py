from __future__ import annotations

import json
import math
from pathlib import Path

import httpx
import pytest

from app.errors import LoadFailed
from app.retrieval.embedder import RemoteEmbedder, load_embedder
from app.retrieval.endpoint import Endpoint
from tests.retrieval.stores import MINILM

pytestmark = pytest.mark.anyio


async def test_a_local_model_gives_vectors_of_length_one_that_know_meaning() -> None:
    embedder = await load_embedder(MINILM, offline=True)
    (cat,) = await embedder.embed_queries(["a cat"])
    kitten, bank = await embedder.embed_passages(["a kitten", "a bank"])
    await embedder.close()
    assert len(cat) == 384
    assert math.hypot(*cat) == pytest.approx(1, abs=1e-5)
    near, far = (sum(map(float.__mul__, cat, other)) for other in (kitten, bank))
    assert near > far + 0.2


async def test_a_model_that_is_not_there_is_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match=r"setting embedder: .*none cannot be loaded"):
        await load_embedder(str(tmp_path / "none"), offline=True)


async def test_an_endpoint_gets_batches_and_its_vectors_are_in_the_order_of_the_texts() -> None:
    bodies = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        assert request.url == "http://embedder.test/v1/embeddings"
        rows = [
            {"index": position, "embedding": [float(text), 0]}
            for position, text in enumerate(bodies[-1]["input"])
        ]
        return httpx.Response(200, json={"data": rows[::-1], "model": "m"})

    client = httpx.AsyncClient(
        base_url="http://embedder.test/v1", transport=httpx.MockTransport(answer)
    )
    embedder = RemoteEmbedder(Endpoint("embedder", client, 5), "m")
    texts = [str(number) for number in range(70)]
    assert await embedder.embed_passages(texts) == [[float(text), 0.0] for text in texts]
    assert [len(body["input"]) for body in bodies] == [32, 32, 6]
    assert {body["model"] for body in bodies} == {"m"}
    assert await embedder.embed_queries([]) == []
    await embedder.close()
