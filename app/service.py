"""The state of the process (starting, ready, failed, leaving or draining) and its reranker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

from app.answer.answerer import AnswerService
from app.engines.lower_states import StateCache
from app.errors import InvalidRequest, LoadFailed, NoStore
from app.model_card import ModelCard
from app.rerank.batcher import Batcher
from app.rerank.fallback import Fallback
from app.rerank.query import Query, Ranker, RankerChoice, Ranking
from app.rerank.tokenizing import Tokenizing
from app.state import DRAINING, LEAVING, READY, STARTING, State, failed

logger = logging.getLogger(__name__)


class Successor(NamedTuple):
    """Opens the model with the engine that was chosen, or nothing if none could be chosen.

    No request that the predecessor has accepted runs for longer than `request_seconds`.
    """

    open: Callable[[], AbstractAsyncContextManager[Served | None]]
    request_seconds: float


@dataclass(frozen=True, slots=True)
class Served:
    """A model that ranks, with its model card and its queues."""

    reranker: Ranker
    card: ModelCard
    batcher: Batcher | None = None  # None if another service scores
    tokenizing: Tokenizing | None = None  # None if another service scores
    memory: Callable[[], int] = lambda: 0  # bytes on the device
    state_cache: StateCache | None = None  # None if the model has no lower layers that are kept
    successor: Successor | None = None

    @property
    def problem(self) -> str | None:
        return None if self.batcher is None else self.batcher.problem


class Service:
    """Keeps the model and `/answer` open until `stop`; calls `fatal` if loading fails without a
    fallback."""

    def __init__(
        self,
        open_model: Callable[[], AbstractAsyncContextManager[Served]],
        open_answers: Callable[[Ranker], AbstractAsyncContextManager[AnswerService | None]],
        fatal: Callable[[LoadFailed], None],
    ) -> None:
        self._open_model = open_model
        self._open_answers = open_answers
        self._fatal = fatal
        self._local: Served | State = STARTING  # the model, or why it is not available
        self._fallback: Served | None = None
        self._answering: AnswerService | None = None  # None without a first stage
        self._leaving = asyncio.Event()  # not ready any more, but serving
        self._draining = False  # refusing newcomers
        self._active = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._settled = asyncio.Event()  # loading succeeded or failed
        self._task: asyncio.Task[None] | None = None

    def start(self, fallback: Served | None = None) -> None:
        """Load the model and keep it until `stop`. Until it is ready, the fallback answers."""
        self._fallback = fallback
        self._task = asyncio.create_task(self._run(), name="service")

    async def stop(self) -> None:
        self._draining = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        """Open `/answer` first. It stays open if the model fails, because a fallback can rank."""
        try:
            async with AsyncExitStack() as stack, AsyncExitStack() as first:
                await self._open(stack, first)
                await self._replace(stack, first)
                await asyncio.Event().wait()
        finally:
            self._local, self._answering = DRAINING, None

    async def _open(self, stack: AsyncExitStack, first: AsyncExitStack) -> None:
        try:
            self._answering = await stack.enter_async_context(self._open_answers(self))
            self._local = await first.enter_async_context(self._open_model())
        except LoadFailed as error:
            self._fail(error)
        except Exception as error:
            logger.exception("model_failed")
            self._fail(LoadFailed(f"unexpected {type(error).__name__}: the log has the traceback"))
        else:
            self._settled.set()
            logger.info("ready", extra={"fields": self._local.card.as_fields()})

    async def _replace(self, stack: AsyncExitStack, first: AsyncExitStack) -> None:
        """New requests go to the successor; the first model is closed when its own have ended."""
        local = self._local
        if isinstance(local, State) or local.successor is None:
            return
        try:
            chosen = await stack.enter_async_context(local.successor.open())
        except Exception:  # whatever it is, the first one goes on
            logger.exception("engine_not_replaced")
            chosen = None
        if chosen is None:
            card = replace(local.card, choosing_engine=False)
            self._local = replace(local, card=card, successor=None)
            return
        self._local = chosen
        logger.info("engine_replaced", extra={"fields": chosen.card.as_fields()})
        await asyncio.sleep(local.successor.request_seconds)
        await first.aclose()

    def _fail(self, error: LoadFailed) -> None:
        """With a fallback, the service continues without its model."""
        self._local = failed(str(error))
        self._settled.set()
        if self._fallback is None:
            self._fatal(error)
        else:
            logger.error("fallback_only", extra={"fields": {"reason": str(error)}})

    async def settled(self) -> None:
        await self._settled.wait()

    @property
    def loading(self) -> bool:
        """Stays True if the service stops while loading: the loader thread continues."""
        return not self._settled.is_set()

    @property
    def served(self) -> Served | None:
        return self._local if isinstance(self._local, Served) else self._fallback

    @property
    def fallback(self) -> Served | None:
        return self._fallback

    @property
    def state(self) -> State:
        if self._draining:
            return DRAINING
        if self._leaving.is_set() and self.can_serve:
            return LEAVING
        return READY if self._fallback is not None else self.local_state

    @property
    def can_serve(self) -> bool:
        """Whether requests are served, also while the process leaves."""
        if self._draining:
            return False
        return self._fallback is not None or self.local_state == READY

    @property
    def local_state(self) -> State:
        """The state of the model itself, without the fallback."""
        if isinstance(self._local, State):
            return self._local
        problem = self._local.problem
        return READY if problem is None else failed(problem)

    def answering(self) -> AnswerService:
        if self._draining:
            raise DRAINING.refusal()
        if self._answering is None and isinstance(self._local, State):
            raise self.local_state.refusal()
        if self._answering is None:
            raise NoStore("no store is configured here", upstream="store")
        if self._fallback is None:
            self._ready()
        return self._answering

    def reranker(self, choice: RankerChoice | None = None) -> Ranker:
        """What ranks by default, or the one of the two that the caller chooses."""
        if self._draining:
            raise DRAINING.refusal()
        if choice == "local":
            return self._own_model().reranker
        if choice == "fallback":
            return self._chosen_fallback()
        return self._ranker()

    def _own_model(self) -> Served:
        served = self._ready()
        if served.card.reranked_by:
            sentence = f"ranker: there is no local model, {served.card.reranked_by} ranks here"
            raise InvalidRequest(sentence, field="ranker")
        return served

    def _chosen_fallback(self) -> Ranker:
        if self._fallback is None:
            raise InvalidRequest(
                "ranker: no fallback is configured (RERANKD_FALLBACK)", field="ranker"
            )
        return self._fallback.reranker

    async def rank(self, query: Query) -> Ranking:
        """Rank for `/answer`, with the model or the fallback, also during a drain."""
        return await self._ranker().rank(query)

    def _ranker(self) -> Ranker:
        if self._fallback is not None:
            return Fallback(self._local_ranker, self._fallback.reranker)
        return self._local_ranker()

    def _local_ranker(self) -> Ranker:
        return self._ready().reranker

    def _ready(self) -> Served:
        if isinstance(self._local, State) or self.local_state != READY:
            raise self.local_state.refusal()
        return self._local

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Count a request that a drain has to wait for."""
        self._active += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._active -= 1
            if not self._active:
                self._idle.set()

    def leave(self) -> None:
        """Become unready, so that newcomers go elsewhere. Whoever still comes is served."""
        self._leaving.set()

    async def leave_requested(self) -> None:
        await self._leaving.wait()

    async def drain(self, seconds: float, *, refuse: bool = True) -> None:
        """Return when all accepted requests are answered or time is up. `refuse` new ones unless
        no new connection can be opened."""
        self.leave()
        self._draining = refuse
        logger.info("draining", extra={"fields": {"requests": self._active}})
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
