"""Bodies by grammar and mutation: right ones, nearly right ones, and bytes that are no JSON."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.reliability.history.wires import WIRES

Body = dict[str, Any]
CHANGES = (0, 1, 1, 2, 3)  # of a body, before its bytes are changed
BYTES_CHANGED = 0.25  # the share of bodies whose bytes are changed too

HOSTILE_TEXTS = (
    "",
    " ",
    "\t\n\r ",
    "a",
    "\0",
    "\ud800",
    "\U0001f600" * 9,
    "é\u0301\u200b\u202e",
    "[SEP] <|im_end|> </s>",
    "' or 1=1; drop table passages; --",
    "{{7*7}} ${x} %s {query}",
    "../../etc/passwd",
    "x" * 3000,
    " " * 3000,
    "[1] " * 500,
    "```" * 300,
    "\\" * 99,
    "1e999",
)
HOSTILE_NUMBERS = (0, -1, 1, 2, 1.5, -0.0, 2**31, 2**63, -(2**63), 10**400, 1e308, float("inf"))
HOSTILE_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    [],
    {},
    [[]],
    [None],
    {"": None},
    float("nan"),
)
FIELDS = [
    "query",
    "documents",
    "texts",
    "passages",
    "input",
    "top_n",
    "top_k",
    "return_documents",
    "return_text",
    "raw_scores",
    "truncate",
    "truncation",
    "truncation_direction",
    "score",
    "min_score",
    "long_documents",
    "instruction",
    "timeout_ms",
    "priority",
    "diagnostics",
    "rank_fields",
    "max_chunks_per_doc",
    "max_tokens_per_doc",
    "relevant_spans",
    "overlap_tokens",
    "kwargs",
    "return_len",
    "model",
    "text_1",
    "text_2",
    "data_1",
    "data_2",
    "queries",
    "items",
    "activation",
    "use_activation",
    "initial_k",
    "final_k",
    "filters",
    "collection",
    "conversation",
    "stream",
    "useful",
    "source",
    "comment",
]


@dataclass(frozen=True)
class Case:
    path: str
    body: bytes


def answer_body(query: str, texts: Sequence[str]) -> Body:
    turns = [{"role": "user", "content": texts[0]}, {"role": "assistant", "content": texts[-1]}]
    return {
        "query": query,
        "initial_k": 4,
        "final_k": 2,
        "filters": {"source": texts[0]},
        "conversation": turns,
        "diagnostics": True,
    }


def feedback_body(query: str, texts: Sequence[str]) -> Body:
    return {"useful": "up", "source": texts[0], "comment": query}


MAKERS: tuple[tuple[str, Callable[[str, Sequence[str]], Body]], ...] = (
    *((wire.path, wire.body) for wire in WIRES),
    ("/answer", answer_body),
    ("/answer/unknown/feedback", feedback_body),
)


class Grammar:
    """The same seed gives the same cases."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def case(self) -> Case:
        chance = self._chance
        path, make = chance.choice(MAKERS)
        texts = [self._text() for _ in range(chance.choice((1, 1, 2, 3, 8)))]
        body: Any = make(self._text(), texts)
        for _ in range(chance.choice(CHANGES)):
            body = self._change(body)
        raw = json.dumps(body, ensure_ascii=chance.random() < 0.7).encode("utf-8", "surrogatepass")
        return Case(path, self._change_bytes(raw) if chance.random() < BYTES_CHANGED else raw)

    def _text(self) -> str:
        chance = self._chance
        if chance.random() < 0.3:
            return chance.choice(HOSTILE_TEXTS)
        return " ".join(chance.choices(FIELDS, k=chance.randint(1, 12)))

    def _value(self) -> Any:
        chance = self._chance
        kind = chance.randrange(5)
        if kind == 0:
            return chance.choice(HOSTILE_NUMBERS)
        if kind == 1:
            return chance.choice(HOSTILE_TEXTS)
        if kind == 2:
            return chance.choice(HOSTILE_VALUES)
        if kind == 3:
            return [self._value() for _ in range(chance.randint(0, 3))]
        return {chance.choice(FIELDS): self._value() for _ in range(chance.randint(0, 3))}

    def _change(self, body: Any) -> Any:
        """One change at a random depth."""
        chance = self._chance
        if isinstance(body, dict) and body and chance.random() < 0.9:
            return self._change_object(body)
        if isinstance(body, list) and body and chance.random() < 0.8:
            index = chance.randrange(len(body))
            return [*body[:index], self._change(body[index]), *body[index + 1 :]]
        if chance.random() < 0.02:
            return self._nested(chance.randint(1, 200), body)
        return self._value()

    def _change_object(self, body: Body) -> Body:
        chance = self._chance
        name = chance.choice(list(body))
        action = chance.randrange(5)
        if action == 0:
            return {key: value for key, value in body.items() if key != name}
        if action == 1:
            return body | {chance.choice(FIELDS): self._value()}
        if action == 2:
            return body | {name: self._value()}
        return body | {name: self._change(body[name])}

    @staticmethod
    def _nested(depth: int, body: Any) -> Any:
        for _ in range(depth):
            body = [body]
        return body

    def _change_bytes(self, raw: bytes) -> bytes:
        chance = self._chance
        offset = chance.randrange(len(raw) + 1)
        action = chance.randrange(5)
        if action == 0:
            return raw[:offset]
        if action == 1:
            return raw[:offset] + chance.randbytes(chance.randint(1, 4)) + raw[offset:]
        if action == 2:
            return raw[:offset] + chance.randbytes(1) + raw[offset + 1 :]
        if action == 3:
            return raw + raw[offset:]
        return chance.choice((b"", b"null", b"[]", b"0", b'""', b"\xef\xbb\xbf" + raw, b"[" * 5000))
