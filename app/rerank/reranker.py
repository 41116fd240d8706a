"""The one verb: a query in, its ranking out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from app.errors import DeadlineExceeded, InvalidRequest, ScoringFailed, TooLong
from app.rerank.batcher import Batcher
from app.rerank.cache import Cache, Known, pair_key
from app.rerank.engine import Encoded, Encoder
from app.rerank.flights import Flight, Flights
from app.rerank.passages import Reading, read_at_once, read_in_windows, windows_of
from app.rerank.query import Query, Ranking, Times, present, probability
from app.rerank.ranking import make_ranking
from app.rerank.spans import sentence_query, with_spans
from app.rerank.texts import keys_of

Keys = Mapping[str, bytes]
T = TypeVar("T")

PORTION = 65_536  # characters tokenized in one go: some 40 ms
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
    ) -> None:
        self.name = name
        self._encoder = encoder
        self._batcher = batcher
        self._cache = cache
        self._flights = Flights()
        self._threads = threads
        self._timeout = timeout
        self._observe = observe
        self._calibration = calibration
        self._show = partial(present, calibrate=calibration or probability)
        self._windows = windows

    async def rank(self, query: Query) -> Ranking:
        if query.score == "calibrated" and self._calibration is None:
            raise InvalidRequest("score: no calibration is loaded here", field="score")
        limit = min(query.timeout or self._timeout, self._timeout)
        deadline = asyncio.get_running_loop().time() + limit
        if query.windows is None:
            query = replace(query, windows=0 if query.document_tokens else self._windows)
        ignored = query.instruction is not None and not self._encoder.takes_instruction
        if ignored:
            query = replace(query, instruction=None)
        try:
            async with asyncio.timeout_at(deadline):
                ranking = await self._rank(query, deadline)
                if query.spans is not None and ranking.results:
                    # Sentences are looked for off the loop: megabytes of text take a second.
                    sentences = await self._off_loop(sentence_query, ranking)
                    scored = await self._rank(sentences, deadline)
                    ranking = await self._off_loop(with_spans, ranking, scored, query.spans)
        except TimeoutError as error:
            raise DeadlineExceeded(f"not answered within {limit * 1000:.0f} ms") from error
        if ignored:
            warning = f"model {self.name} takes no instruction: it was ignored"
            ranking = replace(ranking, warnings=[*ranking.warnings, warning])
        ranking = replace(ranking, model=self.name)
        self._observe(ranking)
        return ranking

    async def _rank(self, query: Query, deadline: float) -> Ranking:
        now = asyncio.get_running_loop().time
        started = now()
        reading = f"{query.windows} {query.document_tokens}"
        key = pair_key(query.text, query.instruction or "", query.cut, reading)
        keys = await keys_of(query.documents, key)
        known = {text: hit for text, own in keys.items() if (hit := self._cache.get(own))}
        cached, times = len(known), Times()
        self._refuse_long(query, known)
        missing = [text for text in keys if text not in known]
        while missing:
            flights = self._shared(query, missing, keys)
            if own := [text for text in missing if text not in flights]:
                announced = [keys[text] for text in own]
                with self._flights.announce(announced, len(query.documents), query.priority):
                    times = await self._compute(query, own, known, keys, deadline)
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
    ) -> Times:
        """Add to `known` what can be scored of `texts`."""
        now = asyncio.get_running_loop().time
        started = now()
        readings = dict(zip(texts, await self._read(query, texts), strict=True))
        tokenized = now()
        self._refuse_long(query, {**known, **readings})
        pairs = [pair for one in readings.values() for pair in one.pairs]
        scored = await self._batcher.submit(pairs, priority=query.priority, deadline=deadline)
        logits = iter(scored.logits)
        for text, one in readings.items():
            own = [logit for logit in islice(logits, len(one.pairs)) if logit is not None]
            if own:
                known[text] = Known(max(own), one.tokens, one.whole)
                self._cache.put(keys[text], known[text])
                self._flights.land(keys[text], known[text])
        return Times(tokenized - started, scored.queue, scored.compute)

    def _refuse_long(self, query: Query, lengths: Mapping[str, Known | Reading]) -> None:
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

    async def _read(self, query: Query, texts: Sequence[str]) -> list[Reading]:
        """Each text by the pairs that stand for it: one, or as many as it has windows."""
        encoded = await self._encode(query, texts)
        if not query.windows:
            return [read_at_once(one) for one in encoded]
        # Off the loop too: megabytes of text have tens of thousands.
        found: list[list[str]] = await self._off_loop(list, map(windows_of, texts, encoded))
        most = slice(query.windows) if query.cut == "right" else slice(-query.windows, None)
        chosen = [windows[most] for windows in found]
        flat = [window for some in chosen for window in some]
        inner = iter(await self._encode(query, flat) if flat else ())
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

    async def _encode(self, query: Query, texts: Sequence[str]) -> list[Encoded]:
        """Off the loop, with room in the queue held so that overload is refused before the work.

        A portion at a time, so that others are tokenized in between, and nothing more when the
        caller has gone.
        """
        around = len(query.text)
        guess = sum(
            min(self._encoder.max_tokens, (around + len(text)) // CHARS_PER_TOKEN + 1)
            for text in texts
        )
        encode = partial(
            self._encoder.encode,
            query.text,
            instruction=query.instruction,
            cut=query.cut,
            document_tokens=query.document_tokens,
        )
        loop, encoded = asyncio.get_running_loop(), list[Encoded]()
        with self._batcher.expecting(guess):
            for portion in portions(texts, around):
                encoded += await loop.run_in_executor(self._threads, encode, portion)
        return encoded


def portions(texts: Sequence[str], around: int) -> Iterator[Sequence[str]]:
    """In order, up to PORTION characters together with the query of each, or a single text."""
    start = size = 0
    for place, text in enumerate(texts):
        size += around + len(text)
        if size > PORTION and place > start:
            yield texts[start:place]
            start, size = place, around + len(text)
    yield texts[start:]
