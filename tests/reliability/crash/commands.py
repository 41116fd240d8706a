"""kill -9 of the commands themselves: `rerankd ingest`, `rerankd optimize`, `rerankd serve`."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from app.engines.converted_model import UNFINISHED, Damaged, read_card, verify
from app.evaluation.data.sources import read_judged
from app.evaluation.problems import BadInput
from tests import models
from tests.live.service import running
from tests.reliability.crash.ingesting import check_sqlite, search_everything
from tests.reliability.crash.kills import AGAIN, Tally
from tests.reliability.crash.subject import Torn

START_SECONDS = 120
CALLERS = 4


def of_site(folder: Path, tally: Tally) -> dict[str, Callable[[int], None]]:
    site = Site(folder)
    return {
        "ingest command": KilledIngest(site, tally).kill,
        "optimize command": KilledConversion(site, tally).kill,
        "serve command": KilledService(site, tally).kill,
    }


class Site:
    """A small model that was converted, so that commands start fast, and texts."""

    def __init__(self, folder: Path) -> None:
        self.model = models.bert(folder / "model")
        self.engines = folder / "engines"
        self.other_engines = folder / "other engines"
        self.notes = folder / "notes"
        self.store = folder / "store" / "a.db"
        self.served = folder / "served" / "a.db"
        self.feedback = folder / "feedback.jsonl"
        self.store.parent.mkdir()
        self.served.parent.mkdir()
        self.notes.mkdir()
        for number in range(120):
            lines = (f"The file {number} says {line} of books. " for line in range(120))
            (self.notes / f"{number:03}.txt").write_text("".join(lines))
        self.run("optimize", str(self.model))

    def ingest(self, store: Path) -> list[str]:
        into = ("--store", f"sqlite:{store}", "--model", str(self.model))
        return ["ingest", str(self.notes), *into, "--chunk-tokens", "20", "--overlap", "0"]

    def start(self, *words: str, engines: Path | None = None) -> subprocess.Popen[bytes]:
        ours = {
            "RERANKD_ENGINES": str(engines or self.engines),
            "RERANKD_DEVICE": "cpu",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        return subprocess.Popen(
            [sys.executable, "-m", "app.cli", *words],
            env=os.environ | ours,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def run(self, *words: str) -> None:
        process = self.start(*words)
        _, text = process.communicate()
        if process.returncode:
            raise Torn(f"{words[0]} ended with {process.returncode}: {text.decode()[-500:]}")


def kill_after(process: subprocess.Popen[bytes], seconds: float, tally: Tally) -> None:
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        tally.kills += 1


class KilledIngest:
    """What is in the store once stays there; an ingest that may end finishes the work."""

    def __init__(self, site: Site, tally: Tally) -> None:
        self._site = site
        self._tally = tally
        self._held: set[str] = set()

    def kill(self, seed: int) -> None:
        moment, site = random.Random(seed), self._site
        if moment.random() > AGAIN:
            shutil.rmtree(site.store.parent)
            site.store.parent.mkdir()
            self._held = set()
        process = site.start(*site.ingest(site.store))
        log = site.store.with_name("a.db-wal")
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and not log.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        kill_after(process, moment.uniform(0, 2), self._tally)
        held = asyncio.run(search_everything(site.store)) if site.store.exists() else set()
        if held:
            check_sqlite(site.store)
        if missing := self._held - held:
            raise Torn(f"{len(missing)} chunks that were in the store are gone")
        self._held = held


class KilledConversion:
    """The folder is whole or not there, and the next start makes it."""

    def __init__(self, site: Site, tally: Tally) -> None:
        self._site = site
        self._tally = tally
        self._seconds = 0.0  # that it takes undisturbed

    def kill(self, seed: int) -> None:
        moment, site = random.Random(seed), self._site
        if moment.random() > AGAIN:
            shutil.rmtree(site.other_engines, ignore_errors=True)
        words = ["optimize", str(site.model), "--again"]
        if not self._seconds:
            started = time.monotonic()
            site.start(*words, engines=site.other_engines).communicate()
            self._seconds = time.monotonic() - started
        process = site.start(*words, engines=site.other_engines)
        kill_after(process, moment.uniform(0.3, 1) * self._seconds, self._tally)
        if site.other_engines.exists():
            for folder in site.other_engines.iterdir():
                if not folder.name.startswith(UNFINISHED):
                    check_folder(folder)


def check_folder(folder: Path) -> None:
    try:
        card = read_card(folder)
        if card is None:
            raise Torn(f"{folder.name} has no card")
        verify(folder, card, list(card.digests))
    except Damaged as error:
        raise Torn(f"{folder.name} is torn: {error}") from error


class KilledService:
    """Killed under load. It starts again, answers, and knows the feedback that it took."""

    def __init__(self, site: Site, tally: Tally) -> None:
        self._site = site
        self._tally = tally
        self._taken: list[str] = []  # questions on whose answers a verdict was taken
        self._filled = False

    def kill(self, seed: int) -> None:
        moment, site = random.Random(seed), self._site
        if not self._filled:
            site.run(*site.ingest(site.served))
            self._filled = True
        with running(
            model=site.model,
            engine="auto",
            engines=site.engines,
            store=f"sqlite:{site.served}",
            feedback_file=site.feedback,
        ) as service:
            self._check(service.url)
            callers = [
                threading.Thread(target=self._call, args=[service.url, f"{seed} {number}"])
                for number in range(CALLERS)
            ]
            for caller in callers:
                caller.start()
            time.sleep(moment.uniform(0, 1.5))
            service.process.kill()
            self._tally.kills += 1
            for caller in callers:
                caller.join()

    def _check(self, url: str) -> None:
        with httpx.Client(base_url=url, timeout=START_SECONDS) as client:
            answer = client.post("/answer", json={"query": "file 7", "min_score": 0})
            if answer.status_code != 200 or not answer.json()["sources"]:
                raise Torn(f"the service does not answer: {answer.status_code} {answer.text}")
        if not self._taken:
            return
        try:
            rows = len(read_judged(self._site.feedback).queries)
        except BadInput as error:
            raise Torn(f"the feedback cannot be read: {error}") from error
        lost = max(0, len(self._taken) - rows)
        self._tally.lost += lost
        self._tally.worst = max(self._tally.worst, lost)
        if lost > 1:
            raise Torn(f"{lost} of {len(self._taken)} verdicts are lost")

    def _call(self, url: str, name: str) -> None:
        with httpx.Client(base_url=url, timeout=START_SECONDS) as client:
            number = 0
            while True:
                number += 1
                query = f"What says file {number} to {name}?"
                try:
                    client.post("/rerank", json={"query": query, "documents": ["a", "b"] * 20})
                    answer = client.post("/answer", json={"query": query, "min_score": 0}).json()
                    verdict = {"useful": "up", "source": answer["sources"][0]["id"]}
                    taken = client.post(f"/answer/{answer['id']}/feedback", json=verdict)
                except httpx.TransportError:
                    return
                if taken.status_code == 204:
                    self._taken.append(query)
