"""Another service in the model's place, or behind it: real processes, real HTTP."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli import main
from app.commands.measuring import open_scorer
from app.settings import load
from tests import models
from tests.api.dialects.test_refusals import DIALECTS
from tests.live.service import LiveService, running, scrape

QUERY = "how long may I keep the book?"
DOCUMENTS = [
    "The library opens at nine.",
    "Books are lent for four weeks.",
    "",
    "Which river runs through ten lands?",
    "Books are lent for four weeks.",
]
KEY = "sesame"
# By what is named as model: where the service above stands in for it.
STANDS_IN = {"cohere:rerank-v3.5": "", "jina:m": "/jina", "voyage:rerank-2.5": "/voyage"}


@pytest.fixture(scope="module")
def there() -> Iterator[LiveService]:
    """The service that is asked."""
    with running(api_keys=KEY) as service:
        yield service


@pytest.fixture(scope="module", params=[*STANDS_IN, "url"])
def here(request: pytest.FixtureRequest, there: LiveService) -> Iterator[tuple[str, LiveService]]:
    """One that asks it, in each of the ways."""
    model = request.param
    if model == "url":
        with running(model=there.url, upstream_api_key=KEY) as service:
            yield "rerankd", service
    else:
        url = there.url + STANDS_IN[model]
        with running(model=model, upstream_url=url, upstream_api_key=KEY) as service:
            yield model, service


def ask(service: LiveService, path: str = "/rerank", **more: Any) -> httpx.Response:
    body = {"query": QUERY, "documents": DOCUMENTS, **more}
    key = {"Authorization": f"Bearer {KEY}"}
    return httpx.post(service.url + path, json=body, headers=key, timeout=60)


def test_the_answer_is_that_of_the_other_service_and_says_so(
    here: tuple[str, LiveService], there: LiveService
) -> None:
    name, service = here
    answer, own = ask(service), ask(there)
    assert answer.status_code == 200
    scores = {result["index"]: result["relevance_score"] for result in own.json()["results"]}
    ranked = answer.json()["results"]
    assert [result["index"] for result in ranked] == [
        result["index"] for result in own.json()["results"]
    ]
    assert [result["relevance_score"] for result in ranked] == pytest.approx(
        [scores[result["index"]] for result in ranked]
    )
    assert (answer.json()["model"], answer.json()["reranked_by"]) == (name, name)
    assert answer.headers["X-Reranked-By"] == name
    assert own.headers["X-Reranked-By"] == own.json()["model"]
    assert "reranked_by" not in own.json()
    assert answer.json()["usage"]["total_tokens"] > 0


def test_every_dialect_is_served_and_marked(here: tuple[str, LiveService]) -> None:
    name, service = here
    for path, (body, _, _) in DIALECTS.items():
        answer = httpx.post(service.url + path, json=body, timeout=60)
        assert (answer.status_code, answer.headers["X-Reranked-By"]) == (200, name), path


def test_logits_are_the_same_number_wherever_they_come_from(
    here: tuple[str, LiveService], there: LiveService
) -> None:
    logits = [ask(service, score="logit").json()["results"] for service in (here[1], there)]
    assert [result["relevance_score"] for result in logits[0]] == pytest.approx(
        [result["relevance_score"] for result in logits[1]], abs=1e-4
    )


def test_the_process_says_who_scores_and_counts_it(here: tuple[str, LiveService]) -> None:
    name, service = here
    assert ask(service).status_code == 200
    with httpx.Client(base_url=service.url) as client:
        info = client.get("/info").json()
        metrics = scrape(client)
        listed = client.get("/v1/models").json()["data"][0]["id"]
        assert client.get("/tei/info").status_code == 200
        assert client.get("/openapi.json").status_code == 200
    assert (info["status"], info["reranked_by"], info["engine"]) == ("ready", name, "remote")
    assert listed == name
    upstream = name.partition(":")[0]
    series = f'rerankd_upstream_seconds_count{{outcome="ok",upstream="{upstream}"}}'
    assert metrics[series] >= 1
    assert metrics["rerankd_ready"] == 1
    lines = [entry for entry in service.log if entry.get("route") == "/rerank"]
    assert lines[-1]["reranked_by"] == name
    assert KEY not in str(service.log)


def test_what_cannot_be_had_there_is_refused_by_name(here: tuple[str, LiveService]) -> None:
    refused = ask(here[1], score="calibrated")
    assert (refused.status_code, refused.json()["field"]) == (422, "score")
    spans = ask(here[1], "/v2/rerank", documents=["a"], relevant_spans={"mode": "enabled"})
    assert (spans.status_code, "relevant_spans" in spans.json()["message"]) == (422, True)


def test_with_another_service_there_is_no_torch_and_no_waiting(
    there: LiveService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torch", "transformers", "sentence_transformers", "tokenizers"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} is not here')\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '.')}")
    with running(wait=False, model=there.url, upstream_api_key=KEY) as service:
        assert httpx.get(f"{service.url}/readyz").status_code == 200
        assert ask(service).status_code == 200
        assert service.stop() == 0


def test_in_the_terminal_another_service_ranks_too(
    there: LiveService,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RERANKD_UPSTREAM_API_KEY", KEY)
    candidates = tmp_path / "candidates.txt"
    candidates.write_text("\n".join(DOCUMENTS[:2]))
    assert main(["rerank", QUERY, str(candidates), "--json", "--model", there.url]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["results"][0]["index"], answer["model"]) == (1, "rerankd")


@pytest.mark.anyio
async def test_an_evaluation_may_ask_another_service_as_its_model(there: LiveService) -> None:
    settings = load({}, model=there.url, upstream_api_key=KEY)
    async with open_scorer(settings, None) as scorer:
        scores = await scorer.score(QUERY, DOCUMENTS[:2])
    assert scorer.name == "rerankd"
    assert scores[0] < scores[1]


def test_a_wrong_key_is_our_failure_and_names_the_setting(there: LiveService) -> None:
    with running(model="cohere:m", upstream_url=there.url, upstream_api_key="wrong-one") as service:
        refused = ask(service)
        as_cohere = ask(service, "/v2/rerank")
        assert service.stop() == 0
    assert (refused.status_code, refused.json()["type"]) == (502, "upstream_failed")
    sentence = "cohere answered 401: check RERANKD_UPSTREAM_API_KEY"
    assert refused.json()["detail"] == sentence
    assert (as_cohere.status_code, as_cohere.json()["message"]) == (502, sentence)
    assert "wrong-one" not in refused.text + str(service.log)


def test_a_service_that_is_gone_is_a_502() -> None:
    with running(model="http://127.0.0.1:9") as service:
        gone = ask(service)
    assert (gone.status_code, gone.json()["detail"]) == (502, "rerankd cannot be reached")


# --- behind the local model -----------------------------------------------------------------


def local_status(service: LiveService) -> str:
    """Once it has loaded, or failed to."""
    with httpx.Client(base_url=service.url, timeout=60) as client:
        while (status := client.get("/info").json()["local_status"]) == "the model is loading":
            threading.Event().wait(0.05)
    return str(status)


def test_while_the_local_model_loads_the_fallback_ranks(there: LiveService, tmp_path: Path) -> None:
    """A pipe as the weights' file keeps the loader waiting for as long as the test likes."""
    models.bert(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    os.mkfifo(tmp_path / "model.safetensors")
    with running(wait=False, model=tmp_path, fallback=there.url, upstream_api_key=KEY) as service:
        with httpx.Client(base_url=service.url, timeout=60) as client:
            assert client.get("/readyz").status_code == 200
            answer = ask(service)
            info = client.get("/info").json()
            assert (answer.status_code, answer.headers["X-Reranked-By"]) == (200, "rerankd")
            assert (info["fallback"], info["local_status"]) == ("rerankd", "the model is loading")
        assert service.stop() == 0


def test_once_the_local_model_has_failed_the_fallback_ranks(there: LiveService) -> None:
    with running(model="/nowhere/model", fallback=there.url, upstream_api_key=KEY) as service:
        assert local_status(service) == "model folder /nowhere/model does not exist"
        assert httpx.get(f"{service.url}/readyz").status_code == 200
        assert ask(service).headers["X-Reranked-By"] == "rerankd"
        assert service.stop() == 0
    assert "fallback_only" in [entry["event"] for entry in service.log]


def test_a_full_queue_goes_to_the_fallback_and_the_rest_stays(there: LiveService) -> None:
    with running(
        max_queue_tokens=4_000, cache_mb=0, fallback=there.url, upstream_api_key=KEY
    ) as service:
        assert local_status(service) == "ready"
        assert ask(service).headers["X-Reranked-By"] == "rerankd-minilm"
        documents = [f"{number} words " * 10 for number in range(60)]
        bodies = [{"query": f"question {number}", "documents": documents} for number in range(8)]
        with ThreadPoolExecutor(8) as callers:
            answers = list(callers.map(lambda body: ask(service, **body), bodies))
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["X-Reranked-By"] for answer in answers} == {"rerankd", "rerankd-minilm"}
