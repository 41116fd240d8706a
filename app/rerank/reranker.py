"""The one verb: a query in, its ranking out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from itertools import accumulate, islice, takewhile
from typing import Any, TypeVar

from app.engines import Encoded, Encoder
from app.engines.clipping import CHARS_THAT_COUNT
from app.errors import DeadlineExceeded, InvalidRequest, ScoringFailed, TooLong
from app.observing import harmless
from app.rerank.batcher import Batcher
from app.rerank.cache import Cache, Known, pair_key
from app.rerank.flights import Flight, Flights
from app.rerank.passages import Reading, read_at_once, read_in_windows, windows_of
from app.rerank.query import Query, Ranking, SpansAsked, Times, present, probability
from app.rerank.ranking import make_ranking
from app.rerank.spans import MAX_SENTENCE_TOKENS, sentence_query, sentence_tokens, with_spans
from app.rerank.texts import keys_of
from app.rerank.tokenizing import Tokenizing
from app.rerank.turns import portions

Keys = Mapping[str, bytes]
T = TypeVar("T")

CHARS_PER_TOKEN = 4  # a first guess, before the tokenizer has spoken


class Reranker:
    def __init__(
        self,
        name: str,
        encoder: Encoder,
        batcher: Batcher,
        cache: Cache,
        threads: Executor,
        timeout: float,
        observe: Callable[[Ranking], None] = lambda ranking: None,
        calibration: Callable[[float], float] | None = None,
        windows: int = 0,
        tokenizers: int = 1,
    ) -> None:
        """`tokenizers`: how many of the `threads` tokenize at once."""
        self.name = name
        self._encoder = encoder
        self._batcher = batcher
        self._cache = cache
        self._flights = Flights()
        # A queue of tokens holds no more characters than count for them.
        max_chars = batcher.max_queue_tokens * CHARS_THAT_COUNT
        self.tokenizing = Tokenizing(threads, max_chars, tokenizers)
        self._threads = threads
        self._timeout = timeout
        self._observe = harmless(observe)
        self._calibration = calibration
        self._show = partial(present, calibrate=calibration or probability)
        self._windows = windows

    async def rank(self, query: Query) -> Ranking:
        if query.score == "calibrated" and self._calibration is None:
            raise InvalidRequest("score: no calibration is loaded here", field="score")
        limit = self._timeout if query.timeout is None else min(query.timeout, self._timeout)
        deadline = asyncio.get_running_loop().time() + limit
        if query.windows is None:
            query = replace(query, windows=0 if query.document_tokens else self._windows)
        ignored = query.instruction is not None and not self._encoder.takes_instruction
        if ignored:
            query = replace(query, instruction=None)
        try:
            async with asyncio.timeout_at(deadline):
                if query.spans is None:
                    ranking = await self._rank(query, deadline)
                else:
                    ranking = await self._rank_with_spans(query, query.spans, deadline)
        except TimeoutError as error:
            raise DeadlineExceeded(f"not answered within {limit * 1000:.0f} ms") from error
        if ignored:
            warning = f"model {self.name} takes no instruction: it was ignored"
            ranking = replace(ranking, warnings=[*ranking.warnings, warning])
        ranking = replace(ranking, model=self.name)
        self._observe(ranking)
        return ranking

    async def _rank_with_spans(self, query: Query, asked: SpansAsked, deadline: float) -> Ranking:
        """Room for the sentences is held while the documents are ranked: they follow at once."""
        limit = self._batcher.max_queue_tokens
        documents = self._tokens(query, [one.text for one in query.documents], CHARS_PER_TOKEN)
        sentences = min(sentence_tokens(query, CHARS_PER_TOKEN), MAX_SENTENCE_TOKENS)
        with self._batcher.expecting(max(0, min(sentences, limit - documents))):
            ranking = await self._rank(query, deadline)
        if not ranking.results:
            return ranking
        # Sentences are looked for off the loop: megabytes of text take a second.
        parts = await self._fitting(await self._off_loop(sentence_query, ranking), deadline)
        scored = await self._rank(parts, deadline, admitted=True)
        return await self._off_loop(with_spans, ranking, scored, asked)

    async def _fitting(self, query: Query, deadline: float) -> Query:
        """With as many of its documents, from the first on, as the queue accepts together."""
        most = min(MAX_SENTENCE_TOKENS, self._batcher.max_queue_tokens)
        if len(query.documents) * self._encoder.max_tokens <= most:
            return query
        texts = [document.text for document in query.documents]
        encoded = await self._encode(query, texts, deadline, admitted=True)
        totals = accumulate(one.tokens for one in encoded)
        count = sum(1 for _ in takewhile(lambda total: total <= most, totals))
        return replace(query, documents=query.documents[:count])

    async def _rank(self, query: Query, deadline: float, *, admitted: bool = False) -> Ranking:
        now = asyncio.get_running_loop().time
        started = now()
        reading = f"{query.windows} {query.document_tokens}"
        key = pair_key(query.caller, query.text, query.instruction or "", query.cut, reading)
        keys = await keys_of(query.documents, key)
        known = {text: hit for text, own in keys.items() if (hit := self._known(query, own))}
        cached, times = len(known), Times()
        missing = [text for text in keys if text not in known]
        while missing:
            flights = self._shared(query, missing, keys)
            if own := [text for text in missing if text not in flights]:
                announced = [keys[text] for text in own]
                with self._flights.announce(announced, len(query.documents), query.priority):
                    times = await self._compute(
                        query, own, known, keys, deadline, admitted=admitted
                    )
            for text, flight in flights.items():
                # Shielded: whoever else waits for it is not cancelled with us.
                if (landed := await asyncio.shield(flight.landed)) is not None:
                    known[text] = landed
                    cached += 1
            missing = [text for text in flights if text not in known]
        if keys and not known:
            raise ScoringFailed("the model could not score any document")
        times = replace(times, total=now() - started)
        return make_ranking(query, known, cached, times, self._show)

    def _known(self, query: Query, key: bytes) -> Known | None:
        """Of what was cut, how long it is was never counted: without truncation that matters."""
        known = self._cache.get(key)
        return None if known and known.whole > known.tokens and not query.truncate else known

    def _shared(self, query: Query, texts: Sequence[str], keys: Keys) -> dict[str, Flight]:
        """What others are having computed already. With the cache off, nothing is shared."""
        if not self._cache.on or not query.truncate:
            return {}
        size = len(query.documents)
        found = {text: self._flights.find(keys[text], size, query.priority) for text in texts}
        return {text: flight for text, flight in found.items() if flight is not None}

    async def _compute(
        self,
        query: Query,
        texts: Sequence[str],
        known: dict[str, Known],
        keys: Keys,
        deadline: float,
        *,
        admitted: bool,
    ) -> Times:
        """Add to `known` what can be scored of `texts`."""
        now = asyncio.get_running_loop().time
        started = now()
        found = await self._read(query, texts, deadline, admitted=admitted)
        readings = dict(zip(texts, found, strict=True))
        tokenized = now()
        self._refuse_long(query, readings)
        pairs = [pair for one in readings.values() for pair in one.pairs]
        scored = await self._batcher.submit(pairs, priority=query.priority, deadline=deadline)
        logits = iter(scored.logits)
        for text, one in readings.items():
            every = list(islice(logits, len(one.pairs)))
            own = [logit for logit in every if logit is not None]
            if own:
                known[text] = Known(max(own), one.tokens, one.whole)
            if own and len(own) == len(every):  # the best window may be one that failed this time
                self._cache.put(keys[text], known[text])
                self._flights.land(keys[text], known[text])
        return Times(tokenized - started, scored.queue, scored.compute)

    def _refuse_long(self, query: Query, lengths: Mapping[str, Reading]) -> None:
        if query.truncate:
            return
        most = self._encoder.max_tokens
        for index, document in enumerate(query.documents):
            length = lengths.get(document.text)
            if length is not None and length.whole > length.tokens:
                raise TooLong(
                    f"documents[{index}] takes {length.whole} tokens with the query, "
                    f"more than the {most} of {self.name}, and truncate is off",
                    field=f"documents[{index}]",
                    limit=most,
                )

    async def _read(
        self, query: Query, texts: Sequence[str], deadline: float, *, admitted: bool
    ) -> list[Reading]:
        """Each text by the pairs that stand for it: one, or as many as it has windows."""
        encoded = await self._encode(query, texts, deadline, admitted=admitted)
        if not query.windows:
            return [read_at_once(one) for one in encoded]
        # Off the loop too: megabytes of text have tens of thousands.
        found: list[list[str]] = await self._off_loop(list, map(windows_of, texts, encoded))
        most = slice(query.windows) if query.cut == "right" else slice(-query.windows, None)
        chosen = [windows[most] for windows in found]
        flat = [window for some in chosen for window in some]
        inner = iter(await self._encode(query, flat, deadline, admitted=True) if flat else ())
        return [
            read_in_windows(
                whole.whole, list(islice(inner, len(some))), complete=len(some) == len(windows)
            )
            if some
            else read_at_once(whole)
            for whole, windows, some in zip(encoded, found, chosen, strict=True)
        ]

    async def _off_loop(self, work: Callable[..., T], *arguments: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(work, *arguments))

    async def _encode(
        self, query: Query, texts: Sequence[str], deadline: float, *, admitted: bool
    ) -> list[Encoded]:
        """Off the loop, with room in the queue held so that overload is refused before the work.

        A portion at a time, so that others are tokenized in between, and nothing more when the
        caller has gone. The text of a long document is read to its end only where that counts.
        """
        clip = query.truncate and not query.windows
        most = self._encoder.max_tokens * CHARS_THAT_COUNT if clip else max(map(len, texts))
        around = len(query.text) if self._encoder.repeats_query else 0
        encode = partial(
            self._encoder.encode,
            query.text,
            instruction=query.instruction,
            cut=query.cut,
            document_tokens=query.document_tokens,
            clip=clip,
        )
        if not admitted:
            least = self._tokens(query, texts, CHARS_THAT_COUNT)
            self._batcher.refuse_early(least, query.priority, deadline)
        guess = self._tokens(query, texts, CHARS_PER_TOKEN)
        with self._batcher.expecting(guess, self.tokenizing.backlog_seconds):
            return await self.tokenizing.encode(
                encode,
                list(portions(texts, around, most)),
                priority=query.priority,
                deadline=deadline,
                admitted=admitted,
            )

    def _tokens(self, query: Query, texts: Sequence[str], chars: int) -> int:
        """How many the pairs will hold, if a token stands for so many characters."""
        most = self._encoder.max_tokens * (query.windows or 1)
        around = len(query.text)
        return sum(min(most, (around + len(text)) // chars + 1) for text in texts)
