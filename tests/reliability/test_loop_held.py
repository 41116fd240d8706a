"""No request within the limits holds the event loop for long, whatever its dialect and texts.

`-s` prints the true figures; docs/decisions/0013 has those of one machine.
"""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.api.dialects import DIALECTS
from app.api.dialects.dialect import Dialect
from tests.desk import Desk
from tests.fakes import FakeRetriever
from tests.garbage import frozen
from tests.reliability import shapes
from tests.reliability.stub import stub_model
from tests.reliability.watchdog import Watch, watched, watching

pytestmark = pytest.mark.anyio

# Promised is 0.1 s on a machine that is ours alone.
MAX_BUSY_SECONDS = 0.2
MAX_LATE_SECONDS = 1.0  # by the clock: with everything else that the machine does
PATHS: dict[str, tuple[str, Dialect]] = {
    dialect.name: (dialect.paths[0], dialect) for dialect in DIALECTS
}
# Where texts come back, come back twice, are cut into sentences, or none of this.
TYPICAL = {"native", "shared", "cohere_v2", "nim"}
WORST_TEXTS = ("escapes", "blanks", "wide")


@asynccontextmanager
async def listening(desk: Desk, **settings: Any) -> AsyncIterator[str]:
    async with desk.listening(**settings) as url:
        with frozen():
            yield url


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr("app.compose.loading.load_soon", lambda *_, **__: (stub_model(), False))
    return Desk(Path("stub"))


def post(url: str, path: str, body: bytes) -> int:
    """From a thread of its own: what it waits for, and copies, holds no loop."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


async def assert_not_held(
    url: str, path: str, bodies: Iterable[tuple[str, bytes]], status: int = 200
) -> None:
    """Send each; the one that holds the loop longest decides."""
    watches: dict[str, Watch] = {}
    for name, body in bodies:
        answered, watches[name] = await watched(partial(post, url, path, body), MAX_LATE_SECONDS)
        assert answered == status, name
    busiest = max(watches, key=lambda name: watches[name].busy)
    latest = max(watches, key=lambda name: watches[name].late)
    print(f"{path}: {busiest}: {watches[busiest]}")
    assert watches[busiest].busy < MAX_BUSY_SECONDS, f"{busiest}: {watches[busiest]}"
    assert watches[latest].late < MAX_LATE_SECONDS, f"{latest}: {watches[latest]}"


@pytest.mark.parametrize("name", PATHS)
async def test_megabytes_of_text_do_not_hold_the_loop(desk: Desk, name: str) -> None:
    path, dialect = PATHS[name]
    kinds = shapes.TEXTS if name in TYPICAL else WORST_TEXTS
    counts = (shapes.DOCUMENTS, 41) if name in TYPICAL else (shapes.DOCUMENTS,)
    bodies = (
        (f"{count} documents of {kind}", shapes.of_text(dialect, kind, count))
        for kind in kinds
        for count in counts
    )
    async with listening(desk) as url:
        await assert_not_held(url, path, bodies)


@pytest.mark.parametrize("name", PATHS)
async def test_as_many_values_as_may_be_do_not_hold_the_loop(desk: Desk, name: str) -> None:
    path, dialect = PATHS[name]
    async with listening(desk) as url:
        await assert_not_held(url, path, shapes.structured(dialect))


async def test_a_thousand_complaints_do_not_hold_the_loop(desk: Desk) -> None:
    async with listening(desk) as url:
        for path, dialect in PATHS.values():
            status = dialect.statuses.get("invalid", 422)
            wrong = shapes.wrong(dialect)
            await assert_not_held(url, path, wrong, status)


async def test_documents_read_in_windows_do_not_hold_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.compose.loading.load_soon", lambda *_, **__: (stub_model(64), False))
    path, dialect = PATHS["native"]
    bodies = [
        (
            f"{count} documents",
            shapes.body(
                dialect,
                shapes.texts(b"abcd efg. ", count, 3 * 2**20),
                b',"long_documents":"windows"',
            ),
        )
        for count in (shapes.DOCUMENTS, 20)
    ]
    async with listening(Desk(Path("stub")), max_queue_tokens=10**8) as url:
        await assert_not_held(url, path, bodies)


@pytest.mark.parametrize("kind", WORST_TEXTS)
async def test_a_thousand_pairs_of_texts_do_not_hold_the_loop(desk: Desk, kind: str) -> None:
    unit = shapes.TEXTS[kind]
    both = shapes.texts(unit, shapes.DOCUMENTS, 4 * 2**20)
    questions = [b'"why %d"' % number for number in range(shapes.DOCUMENTS)]
    pairs = b'{"text_1":[%b],"text_2":[%b]}'
    bodies = [
        ("one against many", pairs % (b'"why"', b",".join(shapes.texts(unit, shapes.DOCUMENTS)))),
        ("many against as many", pairs % (b",".join(questions), b",".join(both))),
    ]
    async with listening(desk, max_queue_tokens=10**8) as url:
        await assert_not_held(url, "/score", bodies)


def question(**more: Any) -> bytes:
    return json.dumps({"query": "how long may I keep the book", "min_score": 0, **more}).encode()


async def test_questions_do_not_hold_the_loop(desk: Desk) -> None:
    desk.retriever = FakeRetriever(*(f"{number} Books are lent. " * 500 for number in range(100)))
    turn = {"role": "user", "content": "😀" * 12_000}
    ignored = b"," + shapes.fields(shapes.VALUES - 100) + b"}"
    bodies = [
        ("a long conversation", question(conversation=[turn] * 50)),
        ("a long question", question(query="why " * 5_000, return_documents=True)),
        ("all sources", question(initial_k=1000, final_k=100, return_documents=True)),
        ("many keys", question()[:-1] + ignored),
        ("all filters", question(filters={f"name{number}": "v" * 128 for number in range(32)})),
    ]
    async with listening(desk) as url:
        await assert_not_held(url, "/answer", bodies)


async def test_filters_that_are_all_wrong_do_not_hold_the_loop(desk: Desk) -> None:
    desk.retriever = FakeRetriever("Books are lent.")
    wrong = question(filters={f"name{number}": [] for number in range(20_000)})
    async with listening(desk) as url:
        await assert_not_held(url, "/answer", [("wrong filters", wrong)], 422)


async def test_feedback_does_not_hold_the_loop(desk: Desk, tmp_path: Path) -> None:
    desk.retriever = FakeRetriever("Books are lent.")
    long = b'"' + b"\\u00e9" * 1_300_000 + b'"'
    bodies = [
        ("a long source", b'{"useful":"up","source":%b}' % long),
        ("many keys", b'{"useful":"up",%b}' % shapes.fields(shapes.VALUES - 100)),
    ]
    async with listening(desk, feedback_file=str(tmp_path / "feedback.jsonl")) as url:
        await assert_not_held(url, "/answer/none/feedback", bodies, 404)


async def test_the_watchdog_sees_a_loop_that_is_held() -> None:
    """Else none of the above could fail."""
    async with watching() as watch:
        sum(range(10_000_000))
        await asyncio.sleep(0.01)
    assert watch.busy > 0.05
    assert watch.late > 0.05
