from __future__ import annotations

import pytest
from httpx import AsyncClient

from app.api.dialects import DIALECTS
from tests.desk import Desk

pytestmark = pytest.mark.anyio

PREFIXES = [dialect.prefix for dialect in DIALECTS if dialect.prefix]


async def test_models_are_listed_as_openai_does_with_the_queue_as_infinity_does(
    client: AsyncClient,
) -> None:
    for path in ("/v1/models", "/models", "/nim/v1/models", "/infinity/models"):
        answer = (await client.get(path)).json()
        (model,) = answer["data"]
        assert answer["object"] == "list"
        assert (model["object"], model["model_type"]) == ("model", "rerank")
        assert model["stats"]["queue_fraction"] == 0
        assert (await client.get(f"{path}/any/name")).status_code in {200, 404}


async def test_any_model_name_is_the_model_that_is_there(client: AsyncClient) -> None:
    named = (await client.get("/v1/models/BAAI/bge-reranker-v2-m3")).json()
    listed = (await client.get("/v1/models")).json()["data"][0]
    assert named["id"] == listed["id"]


async def test_models_need_a_key_and_health_does_not(desk: Desk) -> None:
    async with desk.open(api_keys="one") as client:
        refused = await client.get("/v1/models")
        assert (refused.status_code, "key" in refused.json()["message"]) == (401, True)
        assert (await client.get("/tei/info")).status_code == 401
        for path in ("/health", "/ping", "/v1/health/ready", "/v1/health/live", "/tei/health"):
            assert (await client.get(path)).status_code == 200


async def test_health_falls_while_draining_but_the_process_lives(desk: Desk) -> None:
    async with desk.open() as client:
        await desk.app.state.wiring.service.drain(0)
        assert (await client.get("/health")).status_code == 503
        assert (await client.get("/nim/v1/health/ready")).status_code == 503
        assert (await client.get("/nim/v1/health/live")).status_code == 200


async def test_tei_s_info_tells_the_limits_in_its_words(client: AsyncClient) -> None:
    info = (await client.get("/tei/info")).json()
    assert info["max_input_length"] == 64
    assert info["max_client_batch_size"] == 1000
    assert "reranker" in info["model_type"]


@pytest.mark.parametrize("keys", ["", "one"])
async def test_xinference_s_client_is_told_whether_to_send_its_key(desk: Desk, keys: str) -> None:
    async with desk.open(**({"api_keys": keys} if keys else {})) as client:
        for path in ("/v1/cluster/auth", "/xinference/v1/cluster/auth"):
            assert (await client.get(path)).json() == {"auth": bool(keys)}


async def test_every_documented_example_runs(client: AsyncClient) -> None:
    schema = (await client.get("/openapi.json")).json()
    ran = 0
    for path, operations in schema["paths"].items():
        if "requestBody" in operations.get("post", {}):
            content = operations["post"]["requestBody"]["content"]["application/json"]
            name = content["schema"]["$ref"].rsplit("/", 1)[1]
            for example in schema["components"]["schemas"][name].get("examples", []):
                response = await client.post(path, json=example)
                assert response.status_code == 200, (path, response.text)
                ran += 1
    assert ran == len(PREFIXES) + 3


async def test_every_prefix_is_documented_once(client: AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    for prefix in PREFIXES:
        assert len([path for path in paths if path.startswith(f"/{prefix}/")]) == 1
