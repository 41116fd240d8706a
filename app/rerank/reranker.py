"""The one verb: a query in, its ranking out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from itertools import accumulate, islice, takewhile
from typing import Any, TypeVar

from app.deadline import Deadline
from app.engines import Encoded, Encoder
from app.engines.clipping import CHARS_THAT_COUNT
from app.errors import InvalidRequest, ScoringFailed
from app.events import Observe, ignore
from app.rerank.cache import Cache, SharedScores, TextScore, pair_key
from app.rerank.in_flight import InFlight, PendingScore
from app.rerank.prefilter import (
    NO_PREFILTER,
    Compare,
    choose,
    filled_texts,
    narrowed,
    widened,
)
from app.rerank.query import Query, Ranking, SpansWanted, Times, present, probability
from app.rerank.ranking import make_ranking, ranked
from app.rerank.readings import (
    ALL_SENTENCES,
    Extent,
    extent_of,
    texts_to_explain,
    window_query,
    with_readings,
)
from app.rerank.scoring_queue import ScoringQueue
from app.rerank.spans import MAX_SENTENCE_TOKENS, sentence_query, sentence_tokens, with_spans
from app.rerank.texts import keys_of
from app.rerank.tokenizing import Tokenizing
from app.rerank.turns import portions
from app.rerank.windows import TextPairs, in_windows, refuse_long, windows_of, without_windows

Keys = Mapping[str, bytes]
T = TypeVar("T")

# A first guess, before the tokenizer has counted.
CHARS_PER_TOKEN = 4


class Reranker:
    def __init__(
        self,
        name: str,
        encoder: Encoder,
        batcher: ScoringQueue,
        cache: Cache,
        threads: Executor,
        timeout: float,
        observe: Observe = ignore,
        calibration: Callable[[float], float] | None = None,
        windows: int = 0,
        tokenizers: int = 1,
        shared_scores: SharedScores | None = None,
        compare: Compare | None = None,
    ) -> None:
        """`tokenizers`: how many of the `threads` tokenize at once. `compare` is for prefilters."""
        self.name = name
        self._encoder = encoder
        self._batcher = batcher
        self._cache = cache
        self._in_flight = InFlight()
        # A queue of tokens holds no more characters than count for them.
        max_chars = batcher.max_queue_tokens * CHARS_THAT_COUNT
        self.tokenizing = Tokenizing(threads, max_chars, tokenizers)
        self._threads = threads
        self._timeout = timeout
        self._observe = observe
        self._calibration = calibration
        self._show = partial(present, calibrate=calibration or probability)
        self._windows = windows
        self._shared_scores = shared_scores
        self._compare = compare

    async def rank(self, query: Query) -> Ranking:
        if query.score == "calibrated" and self._calibration is None:
            raise InvalidRequest("score: no calibration is loaded here", field="score")
        limit = self._timeout if query.timeout is None else min(query.timeout, self._timeout)
        deadline = Deadline.after(limit)
        if query.windows is None:
            query = replace(query, windows=0 if query.document_tokens else self._windows)
        warnings = []
        if query.instruction is not None and not self._encoder.takes_instruction:
            query = replace(query, instruction=None)
            warnings.append(f"model {self.name} takes no instruction: it was ignored")
        if query.prefilter is not None and self._compare is None:
            query = replace(query, prefilter=None)
            warnings.append(f"model {self.name} {NO_PREFILTER}")
        async with deadline.enforced():
            kept = await self._prefilter(query, deadline)
            scored = query if kept is None else narrowed(query, kept)
            ranking = await self._rank_in_full(scored, deadline)
        ranking = replace(ranking, model=self.name, warnings=[*ranking.warnings, *warnings])
        self._observe(ranked(ranking))
        return ranking if kept is None else widened(ranking, query, kept)

    async def _prefilter(self, query: Query, deadline: Deadline) -> list[int] | None:
        """Indexes of the documents that are scored; None: all. It reads what the model would."""
        if query.prefilter is None or self._compare is None:
            return None
        texts = filled_texts(query.documents)
        encoded = await self._tokenize(query, texts, deadline) if texts else []
        return await self._off_loop(choose, query, texts, encoded, query.prefilter, self._compare)

    async def _rank_in_full(self, query: Query, deadline: Deadline) -> Ranking:
        spans = query.spans or (ALL_SENTENCES if query.explain else None)
        if spans is None:
            ranking = await self._rank(query, deadline)
        else:
            ranking = await self._rank_with_spans(query, spans, deadline)
        return await self._with_readings(ranking, deadline) if query.explain else ranking

    async def _rank_with_spans(
        self, query: Query, wanted: SpansWanted, deadline: Deadline
    ) -> Ranking:
        """Room for the sentences is held while the documents are ranked: they follow at once."""
        limit = self._batcher.max_queue_tokens
        texts = [document.text for document in query.documents]
        documents = self._tokens(query, texts, CHARS_PER_TOKEN)
        sentences = min(sentence_tokens(query, CHARS_PER_TOKEN), MAX_SENTENCE_TOKENS)
        with self._batcher.expecting(max(0, min(sentences, limit - documents))):
            ranking = await self._rank(query, deadline)
        if not ranking.results:
            return ranking
        # Splitting megabytes of text into sentences takes a second.
        parts = await self._fitting(await self._off_loop(sentence_query, ranking), deadline)
        scored = await self._rank(parts, deadline, admitted=True)
        return await self._off_loop(with_spans, ranking, scored, wanted)

    async def _with_readings(self, ranking: Ranking, deadline: Deadline) -> Ranking:
        query, texts = ranking.query, await self._off_loop(texts_to_explain, ranking)
        if not texts:
            return ranking
        whole = replace(query, truncate=False)
        encoded = await self._encode(whole, texts, deadline, admitted=True)
        extents: dict[str, Extent] = {}
        for text, item in zip(texts, encoded, strict=True):  # other requests run in between
            extents[text] = await self._off_loop(
                extent_of, query, text, item, partial(self._document_tokens, query)
            )
        scored = None
        if any(own.windows for own in extents.values()):
            windows = await self._off_loop(window_query, query, extents)
            parts = await self._fitting(windows, deadline)
            scored = await self._rank(parts, deadline, admitted=True)
        return await self._off_loop(with_readings, ranking, extents, scored)

    def _document_tokens(self, query: Query, part: str) -> int:
        (encoded,) = self._encoder.encode(
            query.text,
            [part],
            instruction=query.instruction,
            cut=query.cut,
            document_tokens=query.document_tokens,
        )
        return encoded.document

    async def _fitting(self, query: Query, deadline: Deadline) -> Query:
        """With as many of its documents, from the first on, as the queue accepts together."""
        most = min(MAX_SENTENCE_TOKENS, self._batcher.max_queue_tokens)
        if len(query.documents) * self._encoder.max_tokens <= most:
            return query
        texts = [document.text for document in query.documents]
        encoded = await self._encode(query, texts, deadline, admitted=True)
        totals = accumulate(item.tokens for item in encoded)
        count = sum(1 for _ in takewhile(lambda total: total <= most, totals))
        return replace(query, documents=query.documents[:count])

    async def _rank(self, query: Query, deadline: Deadline, *, admitted: bool = False) -> Ranking:
        now = asyncio.get_running_loop().time
        started = now()
        reading = f"{query.windows} {query.document_tokens}"
        key = pair_key(query.caller, query.text, query.instruction or "", query.cut, reading)
        keys = await keys_of(query.documents, key)
        scores = {text: hit for text, own in keys.items() if (hit := self._cached(query, own))}
        await self._add_shared_scores(query, scores, keys)
        cached, times = len(scores), Times()
        missing = [text for text in keys if text not in scores]
        while missing:
            shared = self._shared(query, missing, keys)
            if own := [text for text in missing if text not in shared]:
                announced = [keys[text] for text in own]
                with self._in_flight.announce(announced, len(query.documents), query.priority):
                    times = await self._compute(
                        query, own, scores, keys, deadline, admitted=admitted
                    )
            for text, pending in shared.items():
                # Shielded: the other requests that wait for it must not be cancelled with this.
                if (score := await asyncio.shield(pending.score)) is not None:
                    scores[text] = score
                    cached += 1
            missing = [text for text in shared if text not in scores]
        if keys and not scores:
            raise ScoringFailed("the model could not score any document")
        times = replace(times, total=now() - started)
        return make_ranking(query, scores, cached, times, self._show)

    def _cached(self, query: Query, key: bytes) -> TextScore | None:
        """Without truncation, a text that was cut must be counted to its end."""
        score = self._cache.get(key)
        return None if score and score.truncated and not query.truncate else score

    async def _add_shared_scores(
        self, query: Query, scores: dict[str, TextScore], keys: Keys
    ) -> None:
        """Add what other replicas have scored. What this one is computing already is not read."""
        missing = [text for text in keys if text not in scores]
        if self._shared_scores is None or not missing:
            return
        computing = self._shared(query, missing, keys)
        wanted = [text for text in missing if text not in computing]
        hits = await self._shared_scores.get([keys[text] for text in wanted]) if wanted else {}
        for text in wanted:
            hit = hits.get(keys[text])
            if hit is not None and (query.truncate or not hit.truncated):
                self._cache.put(keys[text], hit)
                scores[text] = hit

    def _shared(self, query: Query, texts: Sequence[str], keys: Keys) -> dict[str, PendingScore]:
        """What other requests are computing already. With the cache off, nothing is shared."""
        if not self._cache.on or not query.truncate:
            return {}
        size = len(query.documents)
        pending = {text: self._in_flight.find(keys[text], size, query.priority) for text in texts}
        return {text: score for text, score in pending.items() if score is not None}

    async def _compute(
        self,
        query: Query,
        texts: Sequence[str],
        scores: dict[str, TextScore],
        keys: Keys,
        deadline: Deadline,
        *,
        admitted: bool,
    ) -> Times:
        """Add to `scores` what can be scored of `texts`."""
        now = asyncio.get_running_loop().time
        started = now()
        read = await self._read(query, texts, deadline, admitted=admitted)
        read_texts = dict(zip(texts, read, strict=True))
        tokenized = now()
        refuse_long(query, read_texts, self._encoder.max_tokens, self.name)
        pairs = [pair for text in read for pair in text.pairs]
        job = await self._batcher.submit(pairs, priority=query.priority, deadline=deadline.at)
        logits = iter(job.logits)
        complete: dict[bytes, TextScore] = {}
        for text, text_pairs in read_texts.items():
            every = list(islice(logits, len(text_pairs.pairs)))
            own = [logit for logit in every if logit is not None]
            if own:
                scores[text] = TextScore(max(own), text_pairs.tokens, text_pairs.truncated)
            if own and len(own) == len(every):  # the best window may have failed this time
                complete[keys[text]] = scores[text]
                self._cache.put(keys[text], scores[text])
                self._in_flight.resolve(keys[text], scores[text])
        if self._shared_scores is not None:
            self._shared_scores.put(complete)
        return Times(tokenized - started, job.queue, job.compute)

    async def _read(
        self, query: Query, texts: Sequence[str], deadline: Deadline, *, admitted: bool
    ) -> list[TextPairs]:
        encoded = await self._encode(query, texts, deadline, admitted=admitted)
        if not query.windows:
            return [without_windows(item) for item in encoded]
        # Megabytes of text have tens of thousands of windows.
        windows: list[list[str]] = await self._off_loop(list, map(windows_of, texts, encoded))
        most = slice(query.windows) if query.cut == "right" else slice(-query.windows, None)
        chosen = [some[most] for some in windows]
        flat = [window for some in chosen for window in some]
        inner = iter(await self._encode(query, flat, deadline, admitted=True) if flat else ())
        return [
            in_windows(item.whole, list(islice(inner, len(some))), complete=len(some) == len(every))
            if some
            else without_windows(item)
            for item, every, some in zip(encoded, windows, chosen, strict=True)
        ]

    async def _off_loop(self, work: Callable[..., T], *arguments: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(work, *arguments))

    async def _encode(
        self, query: Query, texts: Sequence[str], deadline: Deadline, *, admitted: bool
    ) -> list[Encoded]:
        """Off the loop, with room in the queue held so that overload is refused before the work.

        A portion at a time, so that others are tokenized in between, and nothing more when the
        caller has gone. The text of a long document is read to its end only where that counts.
        """
        with self._batcher.expecting(
            self._tokens(query, texts, CHARS_PER_TOKEN),
            self.tokenizing.backlog_seconds,
            at_least=self._tokens(query, texts, CHARS_THAT_COUNT),
            priority=query.priority,
            deadline=None if admitted else deadline.at,
        ):
            return await self._tokenize(query, texts, deadline, admitted=admitted)

    async def _tokenize(
        self, query: Query, texts: Sequence[str], deadline: Deadline, *, admitted: bool = False
    ) -> list[Encoded]:
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
        return await self.tokenizing.encode(
            encode,
            list(portions(texts, around, most)),
            priority=query.priority,
            deadline=deadline.at,
            admitted=admitted,
        )

    def _tokens(self, query: Query, texts: Sequence[str], chars: int) -> int:
        """How many the pairs will hold, if a token stands for so many characters."""
        most = self._encoder.max_tokens * (query.windows or 1)
        around = len(query.text)
        return sum(min(most, (around + len(text)) // chars + 1) for text in texts)
