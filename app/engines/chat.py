"""Causal rerankers: the pair goes through a chat template, with the instruction as its system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sentence_transformers import CrossEncoder
from tokenizers import Tokenizer

from app.engines import Encoded, Ids, Pair
from app.engines.clipping import Words, certain, clip, clipped
from app.engines.encoders import (
    MIN_ROOM,
    allowed,
    bare_tokenizer,
    default_prompt,
    keep,
)
from app.engines.prompts import PromptReader, Render
from app.errors import LoadFailed, TooLong
from app.rerank.query import Side

# As the Qwen3-Reranker authors trained it; their repositories ship a plain chat template instead.
QWEN3 = """\
<|im_start|>system
Judge whether the Document meets the requirements based on the Query and the Instruct provided. \
Note that the answer can only be "yes" or "no".<|im_end|>
<|im_start|>user
<Instruct>: {{ (messages | selectattr("role", "eq", "system") | map(attribute="content") | first) \
or "Given a web search query, retrieve relevant passages that answer the query" }}
<Query>: {{ messages | selectattr("role", "eq", "query") | map(attribute="content") | first }}
<Document>: {{ messages | selectattr("role", "eq", "document") | map(attribute="content") | first \
}}<|im_end|>
<|im_start|>assistant
<think>

</think>

"""
BY_FAMILY = {"qwen3": QWEN3}
PROBES = ("instruction one", "instruction two")
PROBE_TEXTS = ("0", "1 2 3 4")
ENDS = 200  # characters of a clipped document that are read beside the template


@dataclass(frozen=True, slots=True)
class Rendered:
    """A pair as the template has it. What surrounds a document is the same for any document."""

    ids: Ids
    before: int
    after: int

    @property
    def document(self) -> int:
        return max(0, len(self.ids) - self.before - self.after)

    @property
    def around(self) -> int:
        return len(self.ids) - self.document

    def keeping(self, count: int, cut: Side) -> Ids:
        """The pair with so many of the document's tokens."""
        if count >= self.document:
            return self.ids
        end = len(self.ids) - self.after
        kept = keep(self.ids[self.before : end], count, cut)
        return np.concatenate([self.ids[: self.before], kept, self.ids[end:]])


class ChatEncoder:
    """Renders query and document together, since text runs into the template."""

    repeats_query = True

    def __init__(
        self,
        tokenizer: Tokenizer,
        render: Render,
        max_tokens: int,
        takes_instruction: bool,
    ) -> None:
        self._reader = PromptReader(tokenizer, render)
        self.max_tokens = max_tokens
        self.takes_instruction = takes_instruction

    def encode(
        self,
        query: str,
        documents: Sequence[str],
        *,
        instruction: str | None,
        cut: Side,
        document_tokens: int = 0,
        clip: bool = False,
    ) -> list[Encoded]:
        """Each document as if it were alone: a query is shortened only for those that need it."""
        need = min(self.max_tokens, document_tokens or self.max_tokens) + 1 if clip else 0
        read = partial(self._rendered, instruction=instruction, cut=cut, need=need)
        wholes = read(query, documents)
        fitting = dict(enumerate(wholes))
        long = [
            place
            for place, one in fitting.items()
            if one.around + allowed(one.document, document_tokens) > self.max_tokens
        ]
        if long:
            texts = [documents[place] for place in long]
            again = read(self._shorten(query, instruction), texts)
            fitting.update(zip(long, again, strict=True))
        return [
            self._cut(fitting[place], len(whole.ids), cut, document_tokens)
            for place, whole in enumerate(wholes)
        ]

    def _cut(self, one: Rendered, whole: int, cut: Side, document_tokens: int) -> Encoded:
        kept = min(allowed(one.document, document_tokens), self.max_tokens - one.around)
        return Encoded(whole_pair(one.keeping(kept, cut)), whole, one.document, kept)

    def bare(self, instruction: str | None) -> int:
        """Tokens of the template that holds nothing but the instruction."""
        (ids,) = self._reader.read("", [""], instruction)
        return len(ids)

    def _rendered(
        self, query: str, texts: Sequence[str], *, instruction: str | None, cut: Side, need: int
    ) -> list[Rendered]:
        """Of a document at least `need` tokens; 0: all."""
        one, other = self._reader.read(query, PROBE_TEXTS, instruction)
        before, after = shared(one, other), shared(one[::-1], other[::-1])

        def read(some: Sequence[str]) -> list[Rendered]:
            found = self._reader.read(query, some, instruction)
            return [Rendered(ids, before, after) for ids in found]

        def read_words(some: Sequence[str]) -> list[Words]:
            found = self._reader.read_words(query, some, instruction)
            ends = ((ids, words, len(ids) - after) for ids, words in found)
            return [(ids[before:end], words[before:end]) for ids, words, end in ends]

        def finish(text: str, document: Ids) -> Rendered | None:
            """With both ends of the text as they run into the template."""
            ends = clip(text, ENDS, "right"), clip(text, ENDS, "left")
            sides: tuple[Side, Side] = ("right", "left")
            words = zip(read_words(ends), sides, strict=True)
            if not all(len(certain(end, side)) for end, side in words):
                return None
            start, end = self._reader.read(query, ends, instruction)
            ids = np.concatenate([start[:before], document, end[len(end) - after :]])
            return Rendered(ids, before, after)

        return clipped(texts, need, cut, read, read_words, finish) if need else read(texts)

    def _shorten(self, query: str, instruction: str | None) -> str:
        """A query may take half of the room at most, once something has to give way."""
        bare = self.bare(instruction)
        if bare + MIN_ROOM > self.max_tokens:
            limit = self.max_tokens - MIN_ROOM
            raise TooLong(
                f"instruction takes {bare} tokens in the model's template, more than the {limit} "
                "that leave room for a query and a document",
                field="instruction",
                limit=limit,
            )
        return self._reader.beginning(query, (self.max_tokens - bare) // 2)


def whole_pair(ids: Ids) -> Pair:
    return Pair(ids, len(ids))


def shared(one: Ids, other: Ids) -> int:
    """The length of the beginning that two sequences have in common."""
    width = min(len(one), len(other))
    differ = np.flatnonzero(one[:width] != other[:width])
    return int(differ[0]) if len(differ) else width


def install_template(model: CrossEncoder) -> None:
    """Give a causal reranker its family's template where its own cannot carry a pair."""
    module: Any = model[0]
    problem = module.input_formatter.pair_roles_failure()
    names_both = all(role in str(module.processor.chat_template) for role in ("query", "document"))
    if problem is None and names_both:
        return
    template = BY_FAMILY.get(module.config.model_type)
    if template is None:
        raise LoadFailed(
            "its chat template has no place for a query and a document: "
            "add a chat_template.jinja that renders both roles"
        )
    module.processor.chat_template = template


def chat_encoder(model: CrossEncoder, max_tokens: int) -> ChatEncoder:
    install_template(model)
    module: Any = model[0]
    formatter = module.input_formatter
    default = default_prompt(model)

    def render(query: str, document: str, instruction: str | None) -> str:
        messages = [formatter.pair_to_messages((query, document))]
        if prompt := instruction or default:
            messages = formatter.prepend_prompt_to_messages(messages, prompt)
        return str(module.processor.apply_chat_template(messages[0], tokenize=False))

    first, second = (render("q", "d", probe) for probe in PROBES)
    encoder = ChatEncoder(
        bare_tokenizer(model), render, max_tokens, takes_instruction=first != second
    )
    frame = encoder.bare(None)
    if frame + MIN_ROOM > max_tokens:
        raise LoadFailed(f"max_length {max_tokens} leaves no room beside {frame} template tokens")
    return encoder
