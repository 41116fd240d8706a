"""Turns queries and passages into vectors: a local model, or an OpenAI-compatible endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

from app.errors import INSTALL_TORCH, LoadFailed, PackageMissing, UpstreamFailed
from app.retrieval.endpoint import Endpoint, as_number, reading

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

BATCH_TEXTS = 32
# Stores keep numbers in four bytes.
MAX_FLOAT32 = 3.4e38


class Embedder(Protocol):
    """Raises only UpstreamFailed or UpstreamTimeout."""

    name: str

    async def embed_queries(self, texts: Sequence[str]) -> list[list[float]]: ...

    async def embed_passages(self, texts: Sequence[str]) -> list[list[float]]: ...

    async def close(self) -> None: ...


class LocalEmbedder:
    """A sentence-transformers model on its own thread, with the model's own prompts."""

    name = "embedder"

    def __init__(self, model: SentenceTransformer, thread: Executor) -> None:
        self._model = model
        self._thread = thread

    async def embed_queries(self, texts: Sequence[str]) -> list[list[float]]:
        return await self._embed(self._model.encode_query, texts)

    async def embed_passages(self, texts: Sequence[str]) -> list[list[float]]:
        return await self._embed(self._model.encode_document, texts)

    async def _embed(self, encode: Callable[..., Any], texts: Sequence[str]) -> list[list[float]]:
        def work() -> list[list[float]]:
            vectors = encode(
                list(texts),
                batch_size=BATCH_TEXTS,
                show_progress_bar=False,
                normalize_embeddings=True,
            )
            return [[float(number) for number in vector] for vector in vectors]

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (RuntimeError, ValueError) as error:
            raise UpstreamFailed(
                f"the embedder failed: {type(error).__name__}", upstream=self.name
            ) from error

    async def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


async def load_embedder(name: str, *, offline: bool) -> LocalEmbedder:
    thread = ThreadPoolExecutor(1, "embedder")

    def load() -> SentenceTransformer:
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415 (takes seconds)
        from transformers.utils import logging  # noqa: PLC0415

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        return SentenceTransformer(name, device="cpu", local_files_only=offline)

    try:
        model = await asyncio.get_running_loop().run_in_executor(thread, load)
    except ModuleNotFoundError as error:
        thread.shutdown(wait=False)
        raise PackageMissing(
            f"setting embedder: {name} runs here, which needs {error.name}: {INSTALL_TORCH}, "
            "or set the URL of an embedding service"
        ) from error
    except (OSError, ValueError, RuntimeError) as error:
        thread.shutdown(wait=False)
        raise LoadFailed(f"setting embedder: {name} cannot be loaded: {error}") from error
    return LocalEmbedder(model, thread)


class RemoteEmbedder:
    name = "embedder"

    def __init__(self, endpoint: Endpoint, model: str) -> None:
        self._endpoint = endpoint
        self._model = model

    async def embed_queries(self, texts: Sequence[str]) -> list[list[float]]:
        return await self.embed_passages(texts)

    async def embed_passages(self, texts: Sequence[str]) -> list[list[float]]:
        vectors: list[list[float]] = []
        for start in range(0, len(texts), BATCH_TEXTS):
            vectors += await self._embed(texts[start : start + BATCH_TEXTS])
        return vectors

    async def _embed(self, texts: Sequence[str]) -> list[list[float]]:
        body: dict[str, Any] = {"input": list(texts), "encoding_format": "float"}
        if self._model:
            body["model"] = self._model
        answer = await self._endpoint.ask("POST", "embeddings", body)
        with reading(self.name):
            rows = sorted(answer["data"], key=lambda row: int(row["index"]))
            vectors = [[as_number(number) for number in row["embedding"]] for row in rows]
            if any(abs(number) > MAX_FLOAT32 for vector in vectors for number in vector):
                raise ValueError("more than stores can hold")
            if len(vectors) != len(texts) or len({len(vector) for vector in vectors}) != 1:
                raise ValueError("not a vector for each text")
            return vectors

    async def close(self) -> None:
        await self._endpoint.close()
