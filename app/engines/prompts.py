"""A pair rendered in a chat template, as token ids: control tokens count only in the template."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache

import numpy as np
from tokenizers import Tokenizer

from app.engines import Ids
from app.engines.clipping import Words
from app.engines.encoders import ids_of
from app.engines.plain import control_tokens, names_of, plain_copy

# Takes a query, a document and an instruction.
Render = Callable[[str, str, str | None], str]

# It cannot be guessed, so that no text holds it.
MARK = secrets.token_hex(16)


class PromptReader:
    """Renders and tokenizes the whole, and again by parts where a text names control tokens."""

    def __init__(self, tokenizer: Tokenizer, render: Render) -> None:
        self._tokenizer = tokenizer
        self._render = render
        template = tokenizer.encode(render("", "", None), add_special_tokens=False).ids
        self._control = control_tokens(tokenizer, template)
        self._names = names_of(self._control)
        self._numbers = np.asarray(list(self._control), dtype=np.int32)
        self._expected = lru_cache(2)(self._count_in_template)

    @cached_property
    def _plain(self) -> Tokenizer:
        """Made when it is first needed: a large vocabulary takes a second."""
        return plain_copy(self._tokenizer, self._control)

    def read(self, query: str, documents: Sequence[str], instruction: str | None) -> list[Ids]:
        rendered = [self._render(query, text, instruction) for text in documents]
        encoded = self._tokenizer.encode_batch_fast(rendered, add_special_tokens=False)
        return [
            ids
            if self._as_expected(ids, instruction)
            else self._by_parts(query, text, instruction)[0]
            for ids, text in zip(map(ids_of, encoded), documents, strict=True)
        ]

    def read_words(
        self, query: str, documents: Sequence[str], instruction: str | None
    ) -> list[Words]:
        rendered = [self._render(query, text, instruction) for text in documents]
        encoded = self._tokenizer.encode_batch(rendered, add_special_tokens=False)
        return [
            (ids, encoding.word_ids)
            if self._as_expected(ids := ids_of(encoding), instruction)
            else self._by_parts(query, text, instruction)
            for encoding, text in zip(encoded, documents, strict=True)
        ]

    def beginning(self, text: str, tokens: int) -> str:
        """As much of a text as so many tokens hold."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        if self._count(ids_of(encoding)):
            encoding = self._plain.encode(text, add_special_tokens=False)
        if len(encoding.ids) <= tokens:
            return text
        return text[: encoding.offsets[tokens - 1][1]]

    def _as_expected(self, ids: Ids, instruction: str | None) -> bool:
        return self._count(ids) == self._expected(instruction is not None)

    def _count(self, ids: Ids) -> int:
        return int(np.isin(ids, self._numbers).sum())

    def _count_in_template(self, instructed: bool) -> int:
        rendered = self._render("0", "0", "0" if instructed else None)
        return self._count(ids_of(self._tokenizer.encode(rendered, add_special_tokens=False)))

    def _by_parts(self, query: str, document: str, instruction: str | None) -> Words:
        """A mark breaks up the names in the texts, so that only those of the template are split
        off; then the mark is removed."""

        def broken(text: str) -> str:
            return self._names.sub(lambda name: MARK.join(name[0]), text)

        safe = broken(instruction) if instruction else instruction
        rendered = self._render(broken(query), broken(document), safe)
        names = self._names.findall(rendered)
        parts = [part.replace(MARK, "") for part in self._names.split(rendered)]
        encoded = self._plain.encode_batch(parts, add_special_tokens=False)
        ids, words, first = list[Ids](), list[int](), 0
        for part, name in zip(encoded, [*names, None], strict=True):
            numbers = [first + (number or 0) for number in part.word_ids]
            ids.append(ids_of(part))
            words += numbers
            first = max(numbers, default=first) + 1
            if name is not None:
                ids.append(np.asarray([self._tokenizer.token_to_id(name)], dtype=np.int32))
                words.append(first)
                first += 1
        return np.concatenate(ids), words
