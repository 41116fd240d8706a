"""What callers do, good and bad, so that every metric moves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx

LINE = "a book that is lent for four weeks "
LONG = LINE * 20  # more than the small model takes
CROWD = 900  # documents; a second such request does not fit the queue
QUEUE_TOKENS = 60_000
BATCH_TOKENS = 512  # so small that a crowd is given up half way


class Traffic:
    def __init__(self, url: str) -> None:
        self._url = f"{url}/rerank"
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
        known = {"query": query, "documents": ["Four weeks.", "Four weeks.", "At nine.", LONG]}
        with httpx.Client(timeout=10) as client:
            client.post(self._url, json=known)
            client.post(self._url, json=known)
            client.post(self._url, json={"query": query})
            client.post(self._url, json={"query": query, "documents": [LONG], "timeout_ms": 1})
            self._leave_with_pairs_waiting(client)

    def _leave_with_pairs_waiting(self, client: httpx.Client) -> None:
        """A crowd fills the queue, a second one is refused, and the first goes away."""
        documents = [f"{n} {LINE * 6}" for n in range(CROWD)]
        crowd = {"query": f"crowd {self._round}", "documents": documents}
        second = {"query": f"too many {self._round}", "documents": documents}
        first = threading.Thread(target=self._give_up, args=(crowd,))
        first.start()
        while first.is_alive() and client.post(self._url, json=second).is_success:
            pass
        first.join()

    def _give_up(self, body: dict[str, Any]) -> None:
        """Sooner or later, so that on any machine some are in the queue and not yet computed."""
        patience = 0.1 * (1 + self._round % 10)
        with suppress(httpx.ReadTimeout):
            httpx.post(self._url, json=body, timeout=httpx.Timeout(10, read=patience))
