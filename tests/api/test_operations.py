from __future__ import annotations

import pytest
from httpx import AsyncClient
from prometheus_client.parser import text_string_to_metric_families

from app import __version__
from app.api.problems import TYPES
from app.service import Served, Service
from app.state import STARTING
from tests.desk import Desk

pytestmark = pytest.mark.anyio

BODY = {"query": "q", "documents": ["a", "b", "b", "book " * 500, ""]}


async def scrape(client: AsyncClient) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = (await client.get("/metrics")).text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_a_ready_service_says_so(client: AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    assert (await client.get("/readyz")).json() == {"status": "ok"}


def put_into(service: Service, state: str) -> str:
    """Bring a ready service into a state; the sentence that must be heard then."""
    if state == "draining":
        service._draining = True
        return "the service is shutting down"
    if state == "failed":
        assert isinstance(service._local, Served)
        assert service._local.batcher is not None
        service._local.batcher.failing = "the engine does not respond"
        return "the engine does not respond"
    service._local, service._answering = STARTING, None
    return "the model is loading"


@pytest.mark.parametrize(
    ("state", "kind", "seconds"),
    [("starting", "loading", "1"), ("failed", "engine_failed", "5"), ("draining", "draining", "1")],
)
async def test_every_answer_names_the_state_of_a_service_that_cannot_serve(
    room: Desk, state: str, kind: str, seconds: str
) -> None:
    async with room.open() as client:
        sentence = put_into(room.app.state.wiring.service, state)
        assert (await client.get("/healthz")).status_code == 200
        refusals = [
            await client.get("/readyz"),
            await client.get("/health"),
            await client.post("/rerank", json=BODY),
            await client.post("/score", json={"text_1": "q", "text_2": "a"}),
            await client.post("/answer", json={"query": "q"}),
        ]
        info = (await client.get("/info")).json()
        samples = await scrape(client)
    for refused in refusals:
        body = refused.json()
        assert refused.status_code == 503
        assert body.get("type", body.get("error_type")) == kind
        assert body["detail"] == sentence
        assert refused.headers["Retry-After"] == seconds
    assert (info["state"], info["status"]) == (state, sentence)
    assert samples["rerankd_ready", ()] == 0
    assert samples["rerankd_refusals_total", (("reason", kind),)] == 3  # probes are none


async def test_an_engine_that_recovers_makes_the_service_ready_again(desk: Desk) -> None:
    async with desk.open() as client:
        service = desk.app.state.wiring.service
        put_into(service, "failed")
        service.served.batcher.failing = None
        assert (await client.get("/readyz")).json() == {"status": "ok"}
        assert (await client.post("/rerank", json=BODY)).status_code == 200
        assert (await client.get("/info")).json()["state"] == "ready"


async def test_tei_s_clients_are_told_that_a_failed_engine_is_unhealthy(desk: Desk) -> None:
    async with desk.open() as client:
        put_into(desk.app.state.wiring.service, "failed")
        refused = await client.post("/tei/rerank", json={"query": "q", "texts": ["a"]})
    assert (refused.status_code, refused.json()["error_type"]) == (503, "Unhealthy")


async def test_info_tells_the_model_the_engine_and_the_limits(client: AsyncClient) -> None:
    info = (await client.get("/info")).json()
    assert info["version"] == __version__
    assert info["status"] == "ready"
    assert (info["device"], info["dtype"], info["engine"]) == ("cpu", "float32", "torch")
    assert info["architecture"] == "BertForSequenceClassification"
    assert info["max_length"] == 64
    assert info["limits"]["documents"] == 1000


async def test_what_a_request_came_to_is_counted(desk: Desk) -> None:
    async with desk.open() as client:
        before = await scrape(client)
        await client.post("/rerank", json=BODY)
        await client.post("/rerank", json=BODY)
        await client.post("/rerank", json={})
        after = await scrape(client)

    def grown(name: str, **labels: str) -> float:
        key = (f"rerankd_{name}", tuple(sorted(labels.items())))
        return after[key] - before.get(key, 0)

    assert grown("request_seconds_count", route="/rerank", outcome="ok") == 2
    assert grown("request_seconds_count", route="/rerank", outcome="invalid") == 1
    assert grown("documents_truncated_total") == 2
    assert grown("scores_reused_total", source="duplicate") == 2
    assert grown("scores_reused_total", source="cache") == 3
    assert grown("score_count") == 10
    assert grown("batch_pairs_sum") == 3
    assert grown("tokens_total", kind="text") > 64
    assert 0 < grown("tokens_total", kind="padding") <= 64  # slices of like length
    for stage in ("tokenize", "queue", "compute"):
        assert grown(f"{stage}_seconds_count") == 2
    assert after["rerankd_ready", ()] == 1
    assert after["rerankd_queue_tokens", ()] == 0
    assert after["rerankd_tokens_per_second", ()] > 0
    assert after["rerankd_model_load_seconds", ()] > 0
    assert after["process_resident_memory_bytes", ()] > 0


async def test_labels_come_from_closed_sets(desk: Desk) -> None:
    async with desk.open() as client:
        await client.get("/made/up/path")
        await client.post("/rerank", json=BODY)
        samples = await scrape(client)
    for _, labels in samples:
        for name, value in labels:
            if name == "outcome":
                others = {"ok", "client_gone", "answered", "extractive", "sent", "refused"}
                assert value in TYPES | others
            if name == "route":
                assert value in {"/rerank", "/metrics", "other"}


async def test_latency_buckets_reach_from_one_millisecond_to_ten_seconds(desk: Desk) -> None:
    async with desk.open() as client:
        await client.post("/rerank", json=BODY)
        samples = await scrape(client)
    edges = {
        float(dict(labels)["le"])
        for name, labels in samples
        if name == "rerankd_request_seconds_bucket"
    }
    assert (min(edges), sorted(edges)[-2]) == (0.001, 10)


async def test_prometheus_gets_the_format_it_asks_for(client: AsyncClient) -> None:
    accept = "application/openmetrics-text;version=1.0.0"
    response = await client.get("/metrics", headers={"Accept": accept})
    assert response.headers["Content-Type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


async def test_two_services_in_one_process_count_apart(desk: Desk) -> None:
    async with desk.open() as client:
        await client.post("/rerank", json=BODY)
    async with desk.open() as client:
        samples = await scrape(client)
    assert not any(name == "rerankd_request_seconds_count" for name, _ in samples)


ERRORS = {"400", "413", "415", "422", "429", "500", "502", "503", "504", "508"}


async def test_the_schema_documents_every_route_and_this_instances_limits(desk: Desk) -> None:
    async with desk.open(max_documents=7) as client:
        schema = (await client.get("/openapi.json")).json()
        assert (await client.get("/docs")).status_code == 200
    assert set(schema["paths"]) >= {"/rerank", "/healthz", "/readyz", "/metrics", "/info"}
    request = schema["components"]["schemas"]["NativeRequest"]
    assert request["properties"]["documents"]["maxItems"] == 7
    assert request["properties"]["score"]["anyOf"][0]["enum"] == ["probability", "logit"]
    assert set(schema["paths"]["/rerank"]["post"]["responses"]) == {"200"} | ERRORS


async def test_the_schema_asks_for_a_key_only_where_there_are_keys(desk: Desk) -> None:
    async with desk.open() as client:
        open_door = (await client.get("/openapi.json")).json()
    async with desk.open(api_keys="one") as client:
        locked = (await client.get("/openapi.json")).json()
    assert "security" not in open_door["paths"]["/rerank"]["post"]
    assert locked["paths"]["/rerank"]["post"]["security"]
    assert "401" in locked["paths"]["/rerank"]["post"]["responses"]
    assert "security" not in locked["paths"]["/healthz"]["get"]


async def test_refusals_start_at_zero_and_probes_are_none_of_them(desk: Desk) -> None:
    async with desk.open() as client:
        await desk.app.state.wiring.service.drain(0)
        await client.get("/readyz")
        await client.post("/rerank", json=BODY)
        samples = await scrape(client)
    refused = {
        dict(labels)["reason"]: value
        for (name, labels), value in samples.items()
        if name == "rerankd_refusals_total"
    }
    assert refused.pop("draining") == 1
    assert refused == dict.fromkeys(
        (
            *("overloaded", "deadline", "loading", "engine_failed"),
            *("upstream_busy", "upstream_timeout", "fallback_spent"),
        ),
        0,
    )


async def test_a_queue_smaller_than_a_batch_makes_batches_smaller(desk: Desk) -> None:
    async with desk.open(max_queue_tokens=1500) as client:
        assert (await client.post("/rerank", json=BODY)).status_code == 200
        assert (await client.get("/info")).json()["max_batch_tokens"] == 1500


async def test_what_is_running_and_what_it_may_hold_are_told(desk: Desk) -> None:
    async with desk.open(max_queue_tokens=5000, max_batch_tokens=512) as client:
        samples = await scrape(client)
    (build,) = [dict(labels) for name, labels in samples if name == "rerankd_build_info"]
    assert (build["version"], build["device"], build["engine"]) == (__version__, "cpu", "torch")
    assert samples["rerankd_queue_tokens_limit", ()] == 5000
    assert samples["rerankd_batch_tokens_limit", ()] == 512
    assert samples["rerankd_batch_tokens_configured", ()] == 512
    assert samples["rerankd_device_memory_bytes", ()] == 0
