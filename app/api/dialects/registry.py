"""Which dialect a request speaks: by its path, its headers and the keys of its body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from app.api.dialects.cohere import V1, V2
from app.api.dialects.dialect import Dialect
from app.api.dialects.infinity import INFINITY
from app.api.dialects.jina import JINA, SHARED
from app.api.dialects.llamacpp import LLAMACPP
from app.api.dialects.mixedbread import MIXEDBREAD
from app.api.dialects.native import NATIVE
from app.api.dialects.nim import NIM
from app.api.dialects.sglang import SGLANG
from app.api.dialects.siliconflow import SILICONFLOW
from app.api.dialects.tei import TEI
from app.api.dialects.vllm import VLLM
from app.api.dialects.voyage import VOYAGE
from app.api.dialects.xinference import XINFERENCE

# Under a prefix nothing is guessed. The first path of each is the one that is documented.
PREFIXED: dict[str, tuple[Dialect, tuple[str, ...]]] = {
    "cohere": (V1, ("/v1/rerank", "/v2/rerank")),
    "jina": (JINA, ("/v1/rerank",)),
    "voyage": (VOYAGE, ("/v1/rerank", "/rerank")),
    "tei": (TEI, ("/rerank", "/", "/invocations")),
    "infinity": (INFINITY, ("/rerank",)),
    "vllm": (VLLM, ("/rerank", "/v1/rerank", "/v2/rerank")),
    "llamacpp": (LLAMACPP, ("/reranking", "/v1/reranking", "/rerank", "/v1/rerank")),
    "nim": (NIM, ("/v1/ranking", "/ranking")),
    "xinference": (XINFERENCE, ("/v1/rerank",)),
    "sglang": (SGLANG, ("/v1/rerank",)),
    "mixedbread": (MIXEDBREAD, ("/v1/reranking", "/reranking")),
    "siliconflow": (SILICONFLOW, ("/v1/rerank",)),
}
# Where several dialects meet, by the one that answers when nothing else speaks for another.
SNIFFED: dict[str, Dialect] = {
    "/rerank": NATIVE,
    "/v1/rerank": SHARED,
    "/v2/rerank": V2,
    "/reranking": LLAMACPP,
    "/v1/reranking": LLAMACPP,
    "/v1/ranking": NIM,
    "/ranking": NIM,
    "/v1/retrieval/{organization}/{model}/reranking": NIM,
    "/": TEI,
    "/invocations": TEI,
}
DIALECTS = (NATIVE, SHARED, V2, *(dialect for dialect, _ in PREFIXED.values()))


class Ask(NamedTuple):
    path: str
    sdk: str
    keys: AbstractSet[str]


# The first that applies.
RULES: tuple[tuple[Callable[[Ask], bool], Dialect], ...] = (
    (lambda ask: ask.path == "/v2/rerank", V2),
    (lambda ask: "passages" in ask.keys or ask.path.endswith("/ranking"), NIM),
    (lambda ask: ask.path.startswith("/v1/retrieval/"), NIM),
    (lambda ask: ask.path in {"/score", "/v1/score"}, VLLM),
    (lambda ask: "texts" in ask.keys or ask.path in {"/", "/invocations"}, TEI),
    (lambda ask: ask.path.endswith("/reranking") and "input" in ask.keys, MIXEDBREAD),
    (lambda ask: ask.path.endswith("/reranking"), LLAMACPP),
    (lambda ask: ask.sdk.startswith("voyage"), VOYAGE),
    (lambda ask: bool(ask.keys & {"top_k", "truncation"}), VOYAGE),
    (lambda ask: "raw_scores" in ask.keys and ask.path == "/rerank", INFINITY),
    (lambda ask: not ask.path.startswith("/v1/"), NATIVE),
    (lambda ask: ask.sdk.startswith("cohere"), V1),
    (lambda ask: bool(ask.keys & {"kwargs", "return_len"}), XINFERENCE),
    (lambda ask: "overlap_tokens" in ask.keys, SILICONFLOW),
    (lambda ask: bool(ask.keys & {"rank_fields", "max_chunks_per_doc"}), V1),
    (lambda ask: True, SHARED),
)


def choose(path: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> Dialect:
    if path == "/cohere/v2/rerank":
        return V2
    prefix = path.removeprefix("/").partition("/")[0]
    if prefix in PREFIXED:
        return PREFIXED[prefix][0]
    sdk = headers.get("x-fern-sdk-name") or headers.get("user-agent", "")
    ask = Ask(path, sdk.lower(), body.keys())
    return next(dialect for applies, dialect in RULES if applies(ask))
