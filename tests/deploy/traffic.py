"""What callers do, good and bad, so that every metric moves."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.deploy.processes import until
from tests.live.service import scrape

LINE = "a book that is lent for four weeks "
LONG = LINE * 20  # more than the small model takes
QUEUE_TOKENS = 90_000
BATCH_TOKENS = 256
# Does not fit the queue twice, and takes two hundred batches: time enough to leave half way.
CROWD = [f"{n} {LINE * 6}" for n in range(900)]


class Traffic:
    def __init__(self, url: str) -> None:
        self._url = url
        self._round = 0

    @contextmanager
    def flowing(self) -> Iterator[None]:
        over = threading.Event()

        def keep_going() -> None:
            while not over.wait(0.1):
                self.once()

        thread = threading.Thread(target=keep_going)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def once(self) -> None:
        """Answered, from the cache, invalid, out of time, refused, and given up."""
        self._round += 1
        query = f"how long may I keep book {self._round}"
        valid = {"query": query, "documents": ["Four weeks.", "Four weeks.", "At nine.", LONG]}
        with httpx.Client(base_url=self._url, timeout=10) as client:
            for body in (valid, valid, {"query": query}):
                client.post("/rerank", json=body)
            late = {"query": f"late {self._round}", "documents": [LONG], "timeout_ms": 1}
            client.post("/rerank", json=late)
            with self._crowd():
                until(lambda: scrape(client)["rerankd_queue_tokens"], "a crowd waits")
                client.post("/rerank", json={"query": query, "documents": CROWD})

    @contextmanager
    def _crowd(self) -> Iterator[None]:
        """A request that fills the queue, and whose caller leaves without the answer."""
        caller = http.client.HTTPConnection(self._url.removeprefix("http://"))
        body = json.dumps({"query": f"crowd {self._round}", "documents": CROWD})
        caller.request("POST", "/rerank", body, {"Content-Type": "application/json"})
        try:
            yield
        finally:
            caller.close()
