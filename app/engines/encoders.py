"""Text to token ids, as `CrossEncoder.predict` makes them, except for names of control tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from tokenizers import Encoding, Tokenizer

from app.engines import Encoded, Ids, Pair
from app.engines.clipping import Words, clipped
from app.engines.plain import control_tokens, names_of, read_plainly
from app.text import Side

PROBE_PAIR = ("which river", "the Danube runs through ten lands")
MAX_QUERIES_REMEMBERED = 8
# Tokens for a query and a document, beside the model's own markers or template.
MIN_ROOM = 8
# Tokenizers without a limit claim a far greater one.
NO_LIMIT = 1_000_000


def fit(query: int, document: int, room: int) -> tuple[int, int]:
    """How many tokens of each are kept: the longer of the two gives way first."""
    if query + document <= room:
        return query, document
    short = min(query, document, room // 2)
    if query <= document:
        return short, room - short
    return room - short, short


def enough(query: int, room: int, document_tokens: int) -> int:
    """Tokens of a document from which on it does not matter how many there are: it is cut."""
    need = room - query + 1 if query <= room // 2 else max(query, room - room // 2 + 1)
    return min(need, document_tokens + 1) if document_tokens else need


def allowed(document: int, limit: int) -> int:
    """How many of a document's tokens may be kept; 0 sets no limit."""
    return min(document, limit or document)


def ids_of(encoding: Encoding) -> Ids:
    return np.asarray(encoding.ids, dtype=np.int32)


def as_they_are(text: str, ids: Ids) -> Ids:  # noqa: ARG001
    return ids


def keep(ids: Ids, count: int, cut: Side) -> Ids:
    return ids[:count] if cut == "right" else ids[len(ids) - count :]


@dataclass(frozen=True, slots=True)
class Template:
    """The special tokens around the query and the document, read off one encoded probe."""

    before: Ids
    between: Ids
    after: Ids
    # Tokens of `between` that still count as the query's.
    second_type_from: int

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Template | None:
        """None where the tokenizer does more than put special tokens around the two."""
        encoding = tokenizer.encode(*PROBE_PAIR)
        owners = encoding.sequence_ids
        if 0 not in owners or 1 not in owners:
            return None
        first, second = owners.index(0), owners.index(1)
        query_end, end = (
            len(owners) - owners[::-1].index(0),
            len(owners) - owners[::-1].index(1),
        )
        types = encoding.type_ids
        split = types.index(1) if 1 in types else second
        if first > query_end or query_end > second or not query_end <= split <= second:
            return None
        ids = ids_of(encoding)
        return cls(ids[:first], ids[query_end:second], ids[end:], split - query_end)

    @property
    def specials(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)


class SplitEncoder:
    """Tokenizes the query once and each document once, and joins the ids.

    The documents of a large request come in portions, so the last queries are remembered.
    """

    takes_instruction = False
    repeats_query = False

    def __init__(
        self, tokenizer: Tokenizer, template: Template, max_tokens: int, prompt: str
    ) -> None:
        self.tokenizer = tokenizer
        self.template = template
        self.max_tokens = max_tokens
        self.prompt = prompt
        markers = np.concatenate([template.before, template.between, template.after])
        control = control_tokens(tokenizer, markers.tolist())
        # A prompt is the model's own, so its control tokens count.
        end = max((match.end() for match in names_of(control).finditer(prompt)), default=0)
        self._opening = ids_of(tokenizer.encode(prompt[:end], add_special_tokens=False))
        self._prompt = prompt[end:]
        self._plain = read_plainly(tokenizer, control)
        self._query = lru_cache(MAX_QUERIES_REMEMBERED)(self._tokens)

    def encode(
        self,
        query: str,
        documents: Sequence[str],
        *,
        instruction: str | None,  # noqa: ARG002 (these models take none)
        cut: Side,
        document_tokens: int = 0,
        clip: bool = False,
    ) -> list[Encoded]:
        query_ids = self._query(query)
        if clip:
            room = self.max_tokens - self.template.specials
            need = enough(len(query_ids), room, document_tokens)
            texts = clipped(documents, need, cut, self._read, self._read_words, as_they_are)
        else:
            texts = self._read(documents)
        return [self._join(query_ids, text, cut, document_tokens) for text in texts]

    def _read(self, texts: Sequence[str]) -> list[Ids]:
        encoded = self._plain.encode_batch_fast(list(texts), add_special_tokens=False)
        return [ids_of(encoding) for encoding in encoded]

    def _read_words(self, texts: Sequence[str]) -> list[Words]:
        encoded = self._plain.encode_batch(list(texts), add_special_tokens=False)
        return [(ids_of(encoding), encoding.word_ids) for encoding in encoded]

    def _tokens(self, query: str) -> Ids:
        (ids,) = self._read([self._prompt + query])
        return np.concatenate([self._opening, ids])

    def _join(self, query: Ids, document: Ids, cut: Side, document_tokens: int) -> Encoded:
        around = self.template
        room = self.max_tokens - around.specials
        usable = allowed(len(document), document_tokens)
        kept_query, kept_document = fit(len(query), usable, room)
        parts = (
            around.before,
            keep(query, kept_query, "right"),
            around.between,
            keep(document, kept_document, cut),
            around.after,
        )
        split = len(around.before) + kept_query + around.second_type_from
        whole = around.specials + len(query) + len(document)
        return Encoded(Pair(np.concatenate(parts), split), whole, len(document), kept_document)
