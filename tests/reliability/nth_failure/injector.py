"""Counts the calls at every seam of the service, and fails one of them."""

from __future__ import annotations

import errno
import io
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx

from app.compose import loading
from app.engines import Encoded, LoadedModel, OutOfMemory, Pair
from app.errors import UpstreamFailed
from app.retrieval.retriever import Retrieved
from tests.fakes import FakeRetriever
from tests.reliability.nth_failure.upstream import answer_of

NOT_A_NUMBER = float("nan")


class InjectedFault(Exception):
    """Injected."""


class Injector:
    """`fail_at`: the number of the call to fail; 0: none is counted and none fails."""

    def __init__(self, kind: str) -> None:
        self.kind = kind  # how an engine fails: raise, out of memory, nan
        self.fail_at = 0
        self.calls = 0
        self.failed = ""
        self.seen: Counter[str] = Counter()

    def arm(self, fail_at: int) -> None:
        self.fail_at, self.calls, self.failed = fail_at, 0, ""

    def disarm(self) -> None:
        self.fail_at = 0

    def fails(self, seam: str) -> bool:
        """Whether this call is the one."""
        if not self.fail_at:
            return False
        self.calls += 1
        if self.calls != self.fail_at:
            return False
        self.failed = seam
        self.seen[seam] += 1
        return True


class FailingEncoder:
    def __init__(self, encoder: Any, injector: Injector) -> None:
        self._encoder = encoder
        self._injector = injector

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def encode(self, query: str, documents: Sequence[str], **more: Any) -> list[Encoded]:
        if self._injector.fails("tokenize"):
            raise InjectedFault("tokenize")
        encoded: list[Encoded] = self._encoder.encode(query, documents, **more)
        return encoded


class FailingEngine:
    def __init__(self, engine: Any, injector: Injector) -> None:
        self._engine = engine
        self._injector = injector

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def score(self, batch: Sequence[Pair]) -> list[float]:
        scores: list[float] = self._engine.score(batch)
        if not self._injector.fails("engine"):
            return scores
        match self._injector.kind:
            case "out of memory":
                raise OutOfMemory("injected")
            case "nan":
                return [NOT_A_NUMBER, *scores[1:]]
            case "too few":
                return scores[1:]
        raise InjectedFault("engine")


class FailingRetriever(FakeRetriever):
    def __init__(self, injector: Injector, *texts: str) -> None:
        super().__init__(*texts)
        self._injector = injector

    async def retrieve(self, queries: Sequence[str], **more: Any) -> Retrieved:
        if self._injector.fails("store"):
            raise UpstreamFailed("the store is down", upstream="store")
        return await super().retrieve(queries, **more)


@contextmanager
def injected(injector: Injector, folder: Path) -> Iterator[None]:
    """Model, upstreams and files below `folder` fail as the injector says."""
    with ExitStack() as stack:
        for patched in (model(injector), upstream(injector), *files(injector, folder)):
            stack.enter_context(patched)
        yield


def model(injector: Injector) -> Any:
    load = loading.load_soon

    def load_failing(*arguments: Any, **options: Any) -> tuple[LoadedModel, bool]:
        loaded, is_open = load(*arguments, **options)
        encoder: Any = FailingEncoder(loaded.encoder, injector)
        engine: Any = FailingEngine(loaded.engine, injector)
        return replace(loaded, encoder=encoder, engine=engine), is_open

    return patch.object(loading, "load_soon", load_failing)


class BrokenOff(httpx.AsyncByteStream):
    """Half of an answer."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> Any:
        yield self._content[: len(self._content) // 2]
        raise httpx.ReadError("injected")


def upstream(injector: Injector) -> Any:
    async def handle(_: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        if injector.fails("connect"):
            raise httpx.ConnectError("injected", request=request)
        content = await request.aread()
        if trace := request.extensions.get("trace"):
            await trace("http11.send_request_body.complete", {})
        if injector.fails("upstream status"):
            return httpx.Response(500, request=request)
        headers, answer = answer_of(request.url.path, content)
        broken = injector.fails("upstream body")
        return httpx.Response(
            200,
            headers=headers,
            stream=BrokenOff(answer) if broken else httpx.ByteStream(answer),
            request=request,
        )

    return patch.object(httpx.AsyncHTTPTransport, "handle_async_request", handle)


def files(injector: Injector, folder: Path) -> Iterator[Any]:
    """The calls by which a file of ours is written."""

    def guarded(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def guard(target: Any, *more: Any, **named: Any) -> Any:
            if is_below(folder, target) and injector.fails(f"file {name}"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(target, *more, **named)

        return guard

    for name in ("write", "fsync", "replace", "open", "ftruncate"):
        yield patch.object(os, name, guarded(name, getattr(os, name)))
    yield patch.object(io, "open", guarded("open", io.open))


def is_below(folder: Path, target: Any) -> bool:
    if isinstance(target, int):
        try:
            target = Path(f"/proc/self/fd/{target}").readlink()
        except OSError:
            return False
    return str(target).startswith(f"{folder}/")
