"""The playground with all that it shows: the service, a store, a language model and a browser."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from anyio.from_thread import BlockingPortal, start_blocking_portal
from playwright.sync_api import Browser, sync_playwright

from app.cli import main
from app.rerank.calibration import Platt
from tests.live.service import LiveService, running
from tests.llm.server import Behave, Exchange, LLMServer, delta, llm_server

NAMES = ("chromium", "chromium-browser", "google-chrome")
MODEL_NAME = "stub"
CALIBRATION = Platt(
    model="rerankd-minilm",
    queries=100,
    pairs=1_000,
    relevant=100,
    error_before=0.2,
    error_after=0.05,
    slope=1.5,
    intercept=2.0,
)
FILES = {
    "loans.md": "# Loans\n\nBooks are lent for four weeks. Films are lent for one week.\n\n"
    "## Longer\n\nA loan can be extended twice, unless somebody else waits for the book.\n",
    "fees.md": "# Fees\n\nThe fine for a late return is ten cents a day for each book.\n\n"
    "## Lockers\n\nWhoever loses the key of a locker pays twenty euros.\n",
    "hours.md": "# Hours\n\nThe library opens at nine and closes at seven, on Saturdays at two.\n",
    "rooms.md": "# Rooms\n\nThe book club meets every second Thursday in the small hall.\n",
}
FIRST = "You may keep a book for four weeks [2]"
REST = ", and extend the loan twice [1]. "
LAST = "There is no source for this [9]."


@dataclass
class Stage:
    service: LiveService
    llm: LLMServer
    portal: BlockingPortal
    gate: asyncio.Event
    feedback: Path

    def let_the_model_write_on(self) -> None:
        self.portal.call(self.gate.set)


def pauses_at(gate: asyncio.Event) -> Behave:
    """Writes half of the answer, and the rest when the gate is open."""

    async def behave(exchange: Exchange) -> None:
        if not exchange.body.get("stream"):  # only the page asks, and it asks for a stream
            raise AssertionError(exchange.body)
        await exchange.begin()
        await exchange.event(delta(FIRST))
        await gate.wait()
        for piece in (REST, LAST):
            await exchange.event(delta(piece))
        await exchange.event(delta(None, "stop"))
        await exchange.event(b"[DONE]")
        await exchange.end()

    return behave


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """The service with the bundled model, over a store that `rerankd ingest` filled."""
    store = f"sqlite:{folder / 'store.db'}"
    documents = folder / "documents"
    documents.mkdir()
    for name, text in FILES.items():
        (documents / name).write_text(text)
    assert (
        main(["ingest", str(documents), "--store", store, "--chunk-tokens", "40", "--overlap", "8"])
        == 0
    )
    feedback = folder / "feedback.jsonl"
    calibration = folder / "calibration.json"
    calibration.write_text(CALIBRATION.model_dump_json())
    with start_blocking_portal() as portal:
        gate = portal.call(new_event)
        with (
            portal.wrap_async_context_manager(llm_server(pauses_at(gate))) as llm,
            running(
                store=store,
                llm=f"{llm.url}#{MODEL_NAME}",
                feedback_file=feedback,
                calibration=calibration,
            ) as service,
        ):
            yield Stage(service, llm, portal, gate, feedback)


async def new_event() -> asyncio.Event:
    return asyncio.Event()


def chromium() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def browser(path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Chromium has no sandbox for root, which a machine of CI is.
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield opened
        finally:
            opened.close()
