"""Compares what came back with what is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from app.engines import Encoded
from app.rerank.query import UNSCORED, Query, Ranking, present
from tests.reliability.simulate.loop import Violation
from tests.reliability.simulate.reference import (
    LONG,
    Context,
    Reference,
    best_word,
    context_of,
    logit_of,
)


class Oracle:
    """`failed` holds the marks of pairs that failed alone: only they may lack a score."""

    def __init__(self, reference: Reference, windows: int, failed: AbstractSet[int]) -> None:
        self._reference = reference
        self._windows = windows
        self._failed = failed
        self._requests: dict[tuple[str, int | None, Context], Counter[str]] = {}

    def ask(self, query: Query) -> None:
        """Before `query`, as it is read, is ranked: from now on its scores may be shared."""
        key = (query.caller, query.windows, context_of(query))
        requests = self._requests.setdefault(key, Counter())
        requests.update({document.text for document in query.documents})

    def check_cached(self, query: Query, cached: int) -> None:
        """A score is shared only where the same caller has asked for it in another request too."""
        requests = self._requests[query.caller, query.windows, context_of(query)]
        shared = sum(requests[text] > 1 for text in {document.text for document in query.documents})
        if cached > shared:
            raise Violation(f"{cached} scores shared, of {shared} that this caller asked for twice")

    def as_read(self, query: Query, *, takes_instruction: bool) -> Query:
        """With the service's own defaults."""
        if query.windows is None:
            query = replace(query, windows=0 if query.document_tokens else self._windows)
        return query if takes_instruction else replace(query, instruction=None)

    def check(self, query: Query, ranking: Ranking) -> None:
        texts = [document.text for document in query.documents]
        if len(ranking.logits) != len(texts):
            raise Violation(f"{len(ranking.logits)} logits for {len(texts)} documents")
        context = context_of(query)
        encode = self._reference.encode
        encoded = [encode(context, text) if text.strip() else None for text in texts]
        windowed = bool(query.windows) and any(text.startswith(LONG) for text in texts)
        wanted = [UNSCORED if item is None else logit_of(int(item.pair.ids[0])) for item in encoded]
        if windowed or wanted != ranking.logits:
            self._explain(query, context, texts, encoded, ranking.logits)
        check_order(query, ranking)
        check_usage(texts, encoded, ranking, windowed=windowed)

    def _explain(
        self,
        query: Query,
        context: Context,
        texts: Sequence[str],
        encoded: Sequence[Encoded | None],
        logits: Sequence[float],
    ) -> None:
        for index, (text, item, logit) in enumerate(zip(texts, encoded, logits, strict=True)):
            if item is None:
                right = logit == UNSCORED
            elif self._reference.in_windows(query, item):
                right = self._right_in_windows(context, text, logit)
            else:
                mark = int(item.pair.ids[0])
                right = logit == logit_of(mark) or (logit == UNSCORED and mark in self._failed)
            if not right:
                raise Violation(f"documents[{index}] has the wrong score {logit}: {text[:40]!r}")

    def _right_in_windows(self, context: Context, text: str, logit: float) -> bool:
        """The best word's; a worse word's, or none, only if a window with a better one failed."""
        best = self._reference.windowed_mark(context, text)
        if logit == logit_of(best):
            return True
        if best not in self._failed:
            return False
        own = {logit_of(best_word(context, [word])) for word in text.split()}
        return logit == UNSCORED or logit in own

    def too_long(self, query: Query) -> bool:
        context, encode = context_of(query), self._reference.encode
        return any(
            item.whole > item.tokens and not self._reference.in_windows(query, item)
            for item in (
                encode(context, document.text)
                for document in query.documents
                if document.text.strip()
            )
        )

    def most_tokens(self, query: Query) -> int:
        """That the pairs of a query can hold: windows overlap, and each repeats the query."""
        context, encode = context_of(query), self._reference.encode
        texts = {document.text for document in query.documents if document.text.strip()}
        items = [encode(context, text) for text in texts]
        return sum(
            self._reference.max_tokens * (2 + 3 * item.document // item.kept) for item in items
        )


def check_order(query: Query, ranking: Ranking) -> None:
    """Best first, ties as given, cut as asked, and shown as asked."""
    logits = ranking.logits
    order = sorted(range(len(logits)), key=lambda index: -logits[index])
    shown = [(index, present(logits[index], query.score)) for index in order]
    if query.min_score is not None:
        shown = [(index, score) for index, score in shown if score >= query.min_score]
    if [(result.index, result.score) for result in ranking.results] != shown[: query.top_n]:
        raise Violation("the results are not the logits in order")


def check_usage(
    texts: Sequence[str], encoded: Sequence[Encoded | None], ranking: Ranking, *, windowed: bool
) -> None:
    usage, logits = ranking.usage, ranking.logits
    blank = [index for index, item in enumerate(encoded) if item is None]
    failed = [
        index
        for index, item in enumerate(encoded)
        if item is not None and logits[index] == UNSCORED
    ]
    expect("empty", usage.empty, blank)
    expect("failed", usage.failed, failed)
    full = [text for text, item in zip(texts, encoded, strict=True) if item is not None]
    expect("duplicates", usage.duplicates, len(full) - len(set(full)))
    if not 0 <= usage.cached <= len(set(full)):
        raise Violation(f"cached is {usage.cached} of {len(set(full))}")
    if windowed:
        return
    scored = [
        item for item, logit in zip(encoded, logits, strict=True) if logit != UNSCORED and item
    ]
    expect("tokens", usage.tokens, sum(item.tokens for item in scored))
    cut = [
        index
        for index, item in enumerate(encoded)
        if item is not None and logits[index] != UNSCORED and item.whole > item.tokens
    ]
    expect("truncated", usage.truncated, cut)


def expect(name: str, value: object, wanted: object) -> None:
    if value != wanted:
        raise Violation(f"{name} is {value}, and should be {wanted}")


Check = Callable[[Query, Ranking], None]
