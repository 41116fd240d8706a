"""The clients people have, unchanged but for their address, against the service itself."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import pytest

from tests.clients.calls import DOCUMENTS, Bench


class Client(NamedTuple):
    """Where it runs, what it gives back, and what it raises on 401, on a bad request, on 429."""

    environment: str
    name: str
    raises: tuple[str | None, str | None, str | None]
    texts: bool = True
    usage: bool = False
    logits: bool = False
    says_why: bool = True


COHERE = ("UnauthorizedError", "UnprocessableEntityError", "TooManyRequestsError")
VOYAGE = ("AuthenticationError", "InvalidRequestError", "RateLimitError")
LITELLM = ("AuthenticationError", "BadRequestError", "RateLimitError")
RUNTIME = ("RuntimeError", "RuntimeError", "RuntimeError")
VALUE = ("ValueError", "ValueError", "ValueError")
PLAIN = ("Exception", "Exception", "Exception")
VERCEL = ("APICallError", "APICallError", "APICallError")
HTTP = ("HTTPStatusError", "HTTPStatusError", "HTTPStatusError")
BROKEN = ("TypeError", "TypeError", "TypeError")  # it reads results from whatever comes

CLIENTS = [
    Client("sdks", "cohere v1", COHERE, usage=True),
    Client("sdks", "cohere v1 with fields", COHERE, texts=False, usage=True),
    Client("sdks", "cohere v1 async", COHERE, texts=False, usage=True),
    Client("sdks", "cohere v2", COHERE, texts=False, usage=True),
    Client("sdks", "cohere v2 async", COHERE, texts=False, usage=True),
    Client("sdks", "voyageai", VOYAGE, usage=True),
    Client("sdks", "voyageai async", VOYAGE, usage=True),
    Client("sdks", "infinity-client", (None, None, None), usage=True, says_why=False),
    Client("sdks", "xinference-client", RUNTIME, texts=False, usage=True),
    Client("sdks", "xinference-client handle", RUNTIME, usage=True),
    Client("sdks", "rerankers tei", BROKEN, says_why=False),
    Client("sdks", "rerankers cohere", ("KeyError",) * 3, says_why=False),
    Client("sdks", "rerankers jina", ("KeyError",) * 3, says_why=False),
    Client("sdks", "rerankers voyage", ("KeyError",) * 3, says_why=False),
    Client("sdks", "rerankers mixedbread.ai", ("KeyError",) * 3, says_why=False),
    Client("sdks", "baseten-performance-client", ("HTTPError",) * 3),
    # It returns None for any refusal, and logs the reason.
    Client("sdks", "open-webui external", BROKEN, says_why=False),
    Client("gateway", "litellm cohere", LITELLM, texts=False, usage=True),
    Client("gateway", "litellm cohere v1", LITELLM, usage=True),
    Client("gateway", "litellm jina_ai", LITELLM, usage=True),
    Client("gateway", "litellm voyage", LITELLM, usage=True),
    Client("gateway", "litellm infinity", LITELLM, usage=True),
    Client("gateway", "litellm hosted_vllm", LITELLM, usage=True),
    Client("gateway", "litellm huggingface", ("AuthenticationError", "APIError", "RateLimitError")),
    Client("gateway", "litellm nvidia_nim", LITELLM, usage=True, logits=True),
    Client("chains", "langchain-cohere", COHERE),
    Client("chains", "langchain-voyageai", VOYAGE),
    Client("chains", "langchain-community jina", RUNTIME),
    Client(
        "chains",
        "langchain-community infinity",
        ("TypeError", "KeyError", "TypeError"),
        says_why=False,
    ),
    Client("chains", "langchain-nvidia-ai-endpoints", PLAIN, logits=True),
    Client("frameworks", "llama-index cohere", COHERE),
    Client("frameworks", "llama-index voyageai", VOYAGE),
    Client("frameworks", "llama-index jinaai", RUNTIME),
    Client("frameworks", "llama-index tei", ("AssertionError",) * 3, says_why=False),
    Client("frameworks", "llama-index siliconflow", RUNTIME),
    Client("frameworks", "llama-index nvidia", HTTP, logits=True, says_why=False),
    Client("frameworks", "llama-index xinference", PLAIN),
    Client("frameworks", "cohere-haystack", COHERE),
    Client("frameworks", "jina-haystack", RUNTIME),
    Client("frameworks", "nvidia-haystack", VALUE, logits=True),
    Client("js", "cohere-ai v1", COHERE, usage=True),
    Client("js", "cohere-ai v2", COHERE, texts=False, usage=True),
    Client("js", "voyageai npm", ("VoyageAIError",) * 3, texts=False, usage=True),
    Client("js", "@langchain/cohere", COHERE),
    Client("js", "@langchain/mixedbread-ai", COHERE),
    Client("js", "@llamaindex/cohere", COHERE),
    Client("js", "@llamaindex/mixedbread", COHERE),
    Client("js", "@ai-sdk/cohere", VERCEL),
    Client("js", "voyage-ai-provider", VERCEL, says_why=False),
]
SAYS = {
    "401": "an API key is needed",
    "422": "input should not be empty or blank",
    "429": "tokens are waiting",
}
# The newest release of voyageai that it allows imports version 1 of pydantic.
WITHOUT_PYTHON_3_14 = {"llama-index voyageai"}
EVERY = pytest.mark.parametrize(
    "client",
    [
        pytest.param(
            client,
            id=client.name,
            marks=pytest.mark.skipif(
                client.name in WITHOUT_PYTHON_3_14 and sys.version_info >= (3, 14),
                reason=f"{client.name} does not run on Python 3.14",
            ),
        )
        for client in CLIENTS
    ],
)


@EVERY
def test_a_client_gets_the_ranking_that_the_service_gives(client: Client, bench: Bench) -> None:
    seen = bench.saw(client.environment, client.name)
    expected = bench.logits if client.logits else bench.probabilities
    assert [index for index, _, _ in seen["ranks"]] == [index for index, _ in expected]
    scores = [score for _, score, _ in seen["ranks"]]
    assert scores == pytest.approx([score for _, score in expected], abs=1e-4)
    texts = [DOCUMENTS[index] if client.texts else None for index, _ in expected]
    assert [text for _, _, text in seen["ranks"]] == texts
    if client.usage:
        assert seen["usage"] == bench.tokens


@EVERY
@pytest.mark.parametrize("index", [0, 1, 2], ids=list(SAYS))
def test_a_client_raises_what_its_users_catch(client: Client, index: int, bench: Bench) -> None:
    status = list(SAYS)[index]
    refused: dict[str, Any] = bench.saw(client.environment, client.name)[status]
    raised = client.raises[index]
    assert (refused["classes"] or [None])[0] == raised, refused
    if client.says_why:
        assert SAYS[status] in refused["says"]
