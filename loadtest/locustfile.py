"""The mixture of `mixed` from Locust's web page, against a service of your own.

    pip install locust
    RERANKD_CACHE_MB=0 rerankd serve
    PYTHONPATH=. locust -f loadtest/locustfile.py --host http://127.0.0.1:8000

Each user asks once a second; set as many as you want.
"""

from __future__ import annotations

import itertools

from locust import HttpUser, constant_throughput, task

from loadtest.workload import mixture

seeds = itertools.count()


class Searcher(HttpUser):
    """Asks once a second, or as soon as it is answered."""

    wait_time = constant_throughput(1)

    def on_start(self) -> None:
        self.make = mixture(next(seeds))

    @task
    def rerank(self) -> None:
        request = self.make()
        name = f"/rerank, {len(request.documents)} documents"
        headers = {"Content-Type": "application/json"}
        with self.client.post(
            "/rerank", data=request.body, headers=headers, name=name, catch_response=True
        ) as answer:
            if answer.status_code == 200 and len(answer.json()["results"]) != len(
                request.documents
            ):
                answer.failure("not every document has a result")
