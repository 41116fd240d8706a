from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from app.cli import main
from tests.live.service import LiveService, running
from tests.llm.server import Behave, Exchange, delta, llm_server, says

KEY = "sesame"
MAX_DOCUMENTS = 8
MAX_BODY_BYTES = 4096
MAX_QUEUE_TOKENS = 1200
FILES = {
    "loans.md": "# Loans\n\nBooks are lent for four weeks. Films are lent for one week.\n",
    "fees.md": "# Fees\n\nThe fine for a late return is ten cents a day for each book.\n",
    "hours.md": "# Hours\n\nThe library opens at nine and closes at seven, on Saturdays at two.\n",
}
PIECES = ("You may keep a book", " for four weeks [1].")


@dataclass
class Library:
    """A service with small limits, over a store and a language model with a gate."""

    service: LiveService
    portal: BlockingPortal
    gate: asyncio.Event
    feedback: Path

    @property
    def url(self) -> str:
        return self.service.url

    def let_the_model_write_on(self) -> None:
        self.portal.call(self.gate.set)


def pauses_at(gate: asyncio.Event) -> Behave:
    """A stream pauses after the first piece until the gate is open; other answers do not."""

    async def behave(exchange: Exchange) -> None:
        if not exchange.body.get("stream"):
            await says(*PIECES)(exchange)
            return
        await exchange.begin()
        await exchange.event(delta(PIECES[0]))
        await gate.wait()
        gate.clear()
        await exchange.event(delta(PIECES[1]))
        await exchange.event(delta(None, "stop"))
        await exchange.event(b"[DONE]")
        await exchange.end()

    return behave


@contextmanager
def open_library(folder: Path) -> Iterator[Library]:
    store, documents = f"sqlite:{folder / 'store.db'}", folder / "documents"
    documents.mkdir()
    for name, text in FILES.items():
        (documents / name).write_text(text)
    assert main(["ingest", str(documents), "--store", store]) == 0
    feedback = folder / "feedback.jsonl"
    with start_blocking_portal() as portal:
        gate = portal.call(make_event)
        with (
            portal.wrap_async_context_manager(llm_server(pauses_at(gate))) as llm,
            running(
                store=store,
                llm=f"{llm.url}#stub",
                feedback_file=feedback,
                api_keys=KEY,
                max_documents=MAX_DOCUMENTS,
                max_body_bytes=MAX_BODY_BYTES,
                max_queue_tokens=MAX_QUEUE_TOKENS,
            ) as service,
        ):
            yield Library(service, portal, gate, feedback)


async def make_event() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    with open_library(tmp_path_factory.mktemp("library")) as library:
        yield library


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which of the two clients calls."""
    kind: str = request.param
    return kind
