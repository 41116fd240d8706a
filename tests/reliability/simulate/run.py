"""One run: the adversary's requests, then calm, then relations between rankings."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b

from tests.reliability.simulate.caller import Caller
from tests.reliability.simulate.cancelling import CancelledAt
from tests.reliability.simulate.loop import SimulatedLoop, Violation
from tests.reliability.simulate.oracle import Oracle
from tests.reliability.simulate.plan import Request, Texts, draw_requests
from tests.reliability.simulate.relations import check_relations
from tests.reliability.simulate.service import Service, open_service
from tests.reliability.simulate.world import World, draw_world

PAIRS = 20_000  # of one run
CHECK_EVERY = 16  # rounds of the loop
CHECK_DEEPLY_EVERY = 512
CALM_SECONDS = 60.0


@dataclass(slots=True)
class Run:
    """What one run came to."""

    seed: int
    requests: int = 0
    pairs: int = 0  # asked for
    checked: int = 0  # in rankings that were compared with the oracle's
    outcomes: Counter[str] = field(default_factory=Counter)
    virtual_seconds: float = 0.0
    longest_passed: int = 0
    trace: str = ""


def simulate(seed: int, pairs: int = PAIRS, only: Sequence[int] | None = None) -> Run:
    """Raise Violation, or say what the run came to. `only`: the numbers of the requests to make."""
    world = draw_world(seed)
    texts = Texts(world)
    requests = draw_requests(world, texts, pairs)
    if only is not None:
        requests = [request for request in requests if request.number in set(only)]
    with quiet(), asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(Simulation(world, texts, requests, pairs).run())


def requests_of(seed: int, pairs: int = PAIRS) -> list[Request]:
    world = draw_world(seed)
    return draw_requests(world, Texts(world), pairs)


@contextmanager
def quiet() -> Iterator[None]:
    """Injected faults are logged with tracebacks by the service: thousands of them."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(level)


class Simulation:
    def __init__(self, world: World, texts: Texts, requests: Sequence[Request], pairs: int) -> None:
        self._world = world
        self._texts = texts
        self._requests = requests
        self._batches = max(4, pairs * 60 // world.batch_tokens)
        self._seconds = requests[-1].at if requests else 1.0
        self._rounds = 0
        self._trace = blake2b(digest_size=8)
        self._result = Run(world.seed)
        self._failures: list[BaseException] = []
        self._left = len(requests)
        self._half = asyncio.Event()
        self._all = asyncio.Event()

    async def run(self) -> Run:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        async with open_service(self._world, self._texts, self._batches, self._seconds) as service:
            oracle = Oracle(service.reference, self._world.windows, service.engine.failed_alone)
            loop.after_step = lambda: self._after_step(service)
            self._start_all(loop, service, oracle)
            if self._requests:
                await (self._half if self._world.closes else self._all).wait()
            if not self._world.closes:
                await self._calm_down(service, oracle)
        if self._left:
            await self._all.wait()
        self._finish(loop, service)
        return self._result

    def _start_all(self, loop: SimulatedLoop, service: Service, oracle: Oracle) -> None:
        for request in self._requests:
            loop.call_at(request.at, self._start, loop, Caller(service, oracle, request))

    def _start(self, loop: SimulatedLoop, caller: Caller) -> None:
        request, coroutine = caller.request, caller.run()
        if request.cancel is not None:
            task = loop.create_task(CancelledAt(coroutine, *request.cancel))
        else:
            task = loop.create_task(coroutine)
        if request.leaves_after is not None:
            loop.call_later(request.leaves_after, task.cancel)
        task.add_done_callback(lambda done: self._ended(loop, caller, done))

    def _ended(self, loop: SimulatedLoop, caller: Caller, task: asyncio.Task[None]) -> None:
        result, request = self._result, caller.request
        if task.cancelled():
            caller.outcome = "left"
        elif error := task.exception():
            error.add_note(f"request {request.number}")
            self._failures.append(error)
        result.requests += 1
        result.pairs += request.pairs
        result.checked += request.pairs if caller.outcome == "ranked" else 0
        result.outcomes[caller.outcome] += 1
        line = f"{request.number} {caller.outcome} {loop.time():.9f} {caller.digest}"
        self._trace.update(line.encode())
        self._left -= 1
        if self._left <= len(self._requests) // 2 or self._failures:
            self._half.set()
        if not self._left or self._failures:
            self._all.set()

    def _after_step(self, service: Service) -> None:
        self._rounds += 1
        service.probe.look()
        if self._rounds % CHECK_EVERY == 0:
            service.probe.check()
        if self._rounds % CHECK_DEEPLY_EVERY == 0:
            service.probe.check_deeply()

    async def _calm_down(self, service: Service, oracle: Oracle) -> None:
        if self._failures:
            raise self._failures[0]
        service.calm()
        await asyncio.sleep(CALM_SECONDS + self._world.faults.hang_seconds)
        service.check_idle()
        await check_relations(service, oracle, self._texts)
        service.check_idle()

    def _finish(self, loop: SimulatedLoop, service: Service) -> None:
        if self._failures:
            raise self._failures[0]
        service.check_idle()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            raise Violation(f"tasks are left behind: {sorted(task.get_name() for task in others)}")
        if loop.errors:
            raise Violation(f"errors that nobody saw: {loop.errors[0]}")
        result = self._result
        result.virtual_seconds = loop.time()
        result.longest_passed = service.probe.longest_passed
        result.trace = self._trace.hexdigest()
