"""`make test-fast`: the tests that need no network, no other process, no server and no model.

    pytest -p tests.fast

Selected are the tests of the rooms below that use none of the slow fixtures. A selected test that
connects or listens on a socket, or starts a process, fails: an audit hook refuses the call.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOMS = (
    "answer",
    "api",
    "bulk",
    "docs",
    "llm",
    "remote",
    "rerank",
    "retrieval",
    "shared_cache",
    "upstream",
)
# They load a model, or start a server.
SLOW_FIXTURES = frozenset({"client", "desk", "listening", "model", "store_url", "upstream"})
# Files whose tests start servers, processes or models without a fixture, or wait for a real clock.
SLOW_FILES = frozenset(
    {
        "answer/test_answer_cache.py",
        "answer/test_appending.py",
        "answer/test_two_stage.py",
        "api/test_answer_models.py",
        "api/test_circles.py",
        "docs/test_site.py",
        "llm/test_anthropic.py",
        "llm/test_client.py",
        "llm/test_ledger.py",
        "rerank/test_conservation.py",
        "rerank/test_reranker.py",
        "retrieval/test_embedder.py",
        "retrieval/test_filling.py",
        "retrieval/test_filling_words.py",
        "retrieval/test_mongodb.py",
        "retrieval/test_pgvector.py",
        "retrieval/test_redis.py",
        "retrieval/test_sqlite.py",
        "retrieval/test_sqlite_kills.py",
        "retrieval/test_stores.py",
        "shared_cache/test_redis.py",
        "test_cli.py",
        "test_fast.py",
        "test_observing.py",
        "test_optimize.py",
        "test_serve.py",
        "upstream/test_reading.py",
    }
)
REFUSED = frozenset(
    {
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.system",
        "socket.bind",
        "socket.connect",
        "socket.getaddrinfo",
        "subprocess.Popen",
    }
)


class NotFast(Exception):
    """A test did what `make test-fast` excludes."""


def is_fast(path: Path) -> bool:
    inner = path.relative_to(TESTS)
    room = inner.parts[0] if path.is_dir() or len(inner.parts) > 1 else None
    return (room is None or room in ROOMS) and inner.as_posix() not in SLOW_FILES


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    if collection_path == TESTS or not collection_path.is_relative_to(TESTS):
        return None
    return None if is_fast(collection_path) else True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    slow = [item for item in items if SLOW_FIXTURES & set(getattr(item, "fixturenames", ()))]
    config.hook.pytest_deselected(items=slow)
    excluded = set(slow)
    items[:] = [item for item in items if item not in excluded]


def refuse(event: str, _: tuple[object, ...]) -> None:
    if event in REFUSED:
        raise NotFast(event)


def pytest_configure() -> None:
    sys.addaudithook(refuse)
