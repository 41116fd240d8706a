"""Many callers at once, of mixed sizes: does every answer belong to its question?

    python -m loadtest.callers --url http://127.0.0.1:8000 --callers 64 --seconds 60

The scores of a pool of documents are taken first, one request at a time. Then each caller asks
about random handfuls of the pool and checks every score it is given against those. Run the service
with RERANKD_CACHE_MB=0, so that every score is computed in whatever batch it falls into.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from dataclasses import dataclass, field

import httpx
import numpy as np

WORDS = ("river", "library", "book", "loan", "week", "desk", "harbour", "engine", "copper", "sail")
QUERIES = ("where is the copper", "how long is a loan", "when does the winter end")
SIZES = (1, 2, 5, 10, 30)
# Of a logit: the same pair in another batch, in full precision and in less.
EXACT, ROUGH = 1e-3, 0.05


@dataclass
class Outcome:
    seconds: list[float] = field(default_factory=list)
    documents: int = 0
    wrong: int = 0
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def answered(self) -> int:
        return self.statuses.get(200, 0)


def make_pool(seed: int, count: int) -> list[str]:
    chance = random.Random(seed)
    return [
        f"Note {number}: " + " ".join(chance.choices(WORDS, k=chance.randint(3, 40)))
        for number in range(count)
    ]


async def ask(client: httpx.AsyncClient, query: str, documents: list[str]) -> httpx.Response:
    return await client.post(
        "/rerank", json={"query": query, "documents": documents, "score": "logit"}
    )


def scores_of(response: httpx.Response) -> list[float]:
    """In the order of the documents."""
    results = sorted(response.json()["results"], key=lambda result: result["index"])
    return [result["relevance_score"] for result in results]


async def run(url: str, callers: int, seconds: float, pool_size: int = 80) -> Outcome:
    pool, outcome = make_pool(1, pool_size), Outcome()
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
        truth = {
            query: scores_of((await ask(client, query, pool)).raise_for_status())
            for query in QUERIES
        }
        exact = (await client.get("/info")).json()["dtype"] == "float32"
        tolerance = EXACT if exact else ROUGH
        end = time.monotonic() + seconds

        async def call_until_end(number: int) -> None:
            chance = random.Random(number)
            while time.monotonic() < end:
                query = chance.choice(QUERIES)
                chosen = chance.sample(range(len(pool)), chance.choice(SIZES))
                started = time.monotonic()
                response = await ask(client, query, [pool[index] for index in chosen])
                outcome.seconds.append(time.monotonic() - started)
                status = response.status_code
                outcome.statuses[status] = outcome.statuses.get(status, 0) + 1
                if status == 200:
                    expected = [truth[query][index] for index in chosen]
                    scores = scores_of(response)
                    outcome.documents += len(scores)
                    outcome.wrong += not np.allclose(scores, expected, atol=tolerance)

        await asyncio.gather(*(call_until_end(number) for number in range(callers)))
    return outcome


def report(outcome: Outcome, seconds: float) -> str:
    p50, p95, p99 = np.percentile(outcome.seconds, (50, 95, 99))
    return (
        f"requests {len(outcome.seconds)}, by status {outcome.statuses}, wrong {outcome.wrong}\n"
        f"documents a second {outcome.documents / seconds:.0f}, "
        f"latency p50 {p50:.3f} s, p95 {p95:.3f} s, p99 {p99:.3f} s"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    outcome = asyncio.run(run(options.url, options.callers, options.seconds))
    print(report(outcome, options.seconds))
    return 1 if outcome.wrong or outcome.answered != len(outcome.seconds) else 0


if __name__ == "__main__":
    sys.exit(main())
