"""Bodies of every kind to every route: a documented status, JSON, and a loop that is free."""

from __future__ import annotations

import json
import resource
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi import FastAPI

from tests.reliability.fuzz.asgi import Response, Watchdog, post
from tests.reliability.fuzz.grammar import Case, Grammar

DOCUMENTED = {200, 204, 400, 404, 413, 415, 422, 429, 503, 504, 507}
MAX_HELD_SECONDS = 0.2  # of the loop, by one request
PROGRESS = 50_000
SETTLED = 20_000  # bodies after which memory has to stay where it is
MAX_GROWTH = 64 * 2**20  # bytes
EMPTY_BODIES = {204}
WITHOUT_JSON = {(413, "text/plain")}  # as clients of Text Embeddings Inference expect it


@dataclass
class Outcome:
    seed: int
    statuses: Counter[int] = field(default_factory=Counter)
    longest: float = 0.0
    grown: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def count(self) -> int:
        return self.statuses.total()

    def __str__(self) -> str:
        statuses = ", ".join(
            f"{status}: {count}" for status, count in sorted(self.statuses.items())
        )
        return (
            f"fuzz bodies: seed {self.seed}, {self.count} bodies in {self.seconds:.0f} s, "
            f"{statuses}; loop held for at most {self.longest * 1000:.0f} ms, memory grew by "
            f"{self.grown / 2**20:.0f} MiB; {len(self.problems)} problems"
        )


async def fuzz_bodies(
    app: FastAPI, seed: int, count: int, show: Callable[[str], None] = lambda line: None
) -> Outcome:
    grammar, watchdog, outcome = Grammar(seed), Watchdog(), Outcome(seed)
    started, settled = time.monotonic(), 0
    for number in range(count):
        case = grammar.case()
        watchdog.begin()
        response = await post(app, case.path, case.body)
        held = watchdog.end()
        outcome.statuses[response.status] += 1
        if problem := problem_of(response, held):
            outcome.problems.append(describe(number, case, problem))
        if number == SETTLED:
            settled = peak_memory()
        if number % PROGRESS == PROGRESS - 1:
            show(f"{number + 1} bodies, {len(outcome.problems)} problems")
    outcome.longest = watchdog.longest
    outcome.seconds = time.monotonic() - started
    outcome.grown = peak_memory() - settled if settled else 0
    if outcome.grown > MAX_GROWTH:
        outcome.problems.append(f"memory grew by {outcome.grown / 2**20:.0f} MiB")
    return outcome


def problem_of(response: Response, held: float) -> str:
    if response.status not in DOCUMENTED:
        return f"status {response.status}: {response.body[:300]!r}"
    if held > MAX_HELD_SECONDS:
        return f"held the loop for {held * 1000:.0f} ms"
    media = response.headers.get("content-type", "").partition(";")[0]
    if response.status in EMPTY_BODIES or (response.status, media) in WITHOUT_JSON:
        return ""
    if media == "text/event-stream":
        return "" if response.body.startswith(b"event: ") else "a stream that is not one"
    try:
        json.loads(response.body, parse_constant=refuse_constant)
    except ValueError as error:
        return f"status {response.status} without JSON: {error}: {response.body[:300]!r}"
    return ""


def refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def describe(number: int, case: Case, problem: str) -> str:
    return f"body {number} to {case.path}: {problem}; body {case.body[:500]!r}"


def peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
