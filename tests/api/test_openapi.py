"""The schema is built once for what is offered, and off the event loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from fastapi import FastAPI

from app.api import openapi
from app.api.limits import RequestLimits
from app.api.openapi import KeptSchema, Scores
from tests.desk import Desk
from tests.garbage import frozen
from tests.reliability.watchdog import watching

pytestmark = pytest.mark.anyio

PLAIN = ("probability", "logit")


class Builds:
    """Remembers what it was to build, and in which thread."""

    def __init__(self) -> None:
        self.built: list[Scores] = []
        self.threads: set[str] = set()
        self.may_end = threading.Event()

    def __call__(self, scores: Scores) -> bytes:
        self.built.append(scores)
        self.threads.add(threading.current_thread().name)
        self.may_end.wait(5)
        return repr(scores).encode()


async def test_the_schema_is_built_anew_only_when_other_scores_are_offered() -> None:
    build, offered = Builds(), list[Scores]([None])
    build.may_end.set()
    kept = KeptSchema(build, lambda: offered[0])
    before = [await kept.read() for _ in range(3)]
    offered[0] = PLAIN
    after = [await kept.read() for _ in range(3)]
    assert build.built == [None, PLAIN]
    assert set(before) == {b"None"}
    assert set(after) == {repr(PLAIN).encode()}


async def test_many_who_ask_at_once_wait_for_one_and_none_takes_it_with_him() -> None:
    build = Builds()
    kept = KeptSchema(build, lambda: PLAIN)
    calls = [asyncio.create_task(kept.read()) for _ in range(3)]
    await asyncio.sleep(0)
    calls[0].cancel()
    await asyncio.wait(calls[:1])
    build.may_end.set()
    assert await calls[1] == await calls[2] == repr(PLAIN).encode()
    assert build.built == [PLAIN]
    assert threading.current_thread().name not in build.threads


async def test_one_that_could_not_be_built_is_tried_again() -> None:
    tries: list[Scores] = []

    def build(scores: Scores) -> bytes:
        tries.append(scores)
        if len(tries) == 1:
            raise RuntimeError("not yet")
        return b"{}"

    kept = KeptSchema(build, lambda: PLAIN)
    with pytest.raises(RuntimeError):
        await kept.read()
    assert await kept.read() == b"{}"


async def test_asking_for_the_schema_costs_the_loop_next_to_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    described, describe = [], openapi.describe

    def counted(app: FastAPI, limits: RequestLimits) -> dict[str, Any]:
        described.append(app)
        return describe(app, limits)

    monkeypatch.setattr(openapi, "describe", counted)
    async with desk.open() as client:
        first = await client.get("/openapi.json")
        with frozen():
            async with watching() as watch:
                again = [await client.get("/openapi.json") for _ in range(20)]
    assert {answer.content for answer in again} == {first.content}
    assert first.headers["Content-Type"] == "application/json"
    assert len(described) == 1
    assert watch.busy < 0.1
