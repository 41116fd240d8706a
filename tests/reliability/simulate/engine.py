"""An engine and a tokenizer that take virtual time and fail as the world says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

from app.engines import Encoded, OutOfMemory, Pair, tokens_of
from app.text import Side
from tests.reliability.simulate.reference import Context, Reference, logit_of
from tests.reliability.simulate.world import KINDS, Faults, World

SLOWER = 20  # times, of a slow call
OUTAGE_CALLS = 12


class EngineFault(Exception):
    """Injected."""


class TokenizerFault(Exception):
    """Injected."""


class SimulatedEngine:
    """`seconds` draws a call's time and its fault, `score` is the call."""

    def __init__(self, world: World, calls_expected: int) -> None:
        self._world = world
        self._rng = Random(f"engine {world.seed}")
        self.faults: Faults = world.faults
        self._fault_of: dict[int, str] = {}
        self._calls = 0
        self.tokens_done = 0
        self.pairs_done = 0
        self.failed_alone: set[int] = set()  # marks of pairs that failed in a call of their own
        span = range(1, max(2, calls_expected))
        self._hangs = {self._rng.choice(span) for _ in range(self.faults.hangs)}
        starts = [self._rng.choice(span) for _ in range(self.faults.outages)]
        self._outage = {call for start in starts for call in range(start, start + OUTAGE_CALLS)}

    def seconds(self, pairs: Sequence[Pair]) -> float:
        world, self._calls = self._world, self._calls + 1
        tokens = tokens_of(pairs)
        if world.padded:
            tokens = max(pair.tokens for pair in pairs) * len(pairs)
        seconds = world.per_batch + world.per_token * tokens
        fault = self._draw()
        self._fault_of[id(pairs)] = fault
        if fault == "hang":
            return self.faults.hang_seconds
        return seconds * SLOWER if fault == "slow" else seconds

    def _draw(self) -> str:
        if not self.faults.engine and not self._hangs and not self._outage:
            return ""
        if self._calls in self._hangs and self.faults.hangs:
            return "hang"
        if self._calls in self._outage and self.faults.outages:
            return "raise"
        return self._rng.choice(KINDS) if self._rng.random() < self.faults.engine else ""

    def score(self, pairs: Sequence[Pair]) -> list[float]:
        marks = [int(pair.ids[0]) for pair in pairs]
        fault = self._fault_of.pop(id(pairs))
        poison, memory = self.faults.poison, self.faults.memory_tokens
        if poison and any(mark % poison == 0 for mark in marks):
            fault = "raise"
        if memory and len(pairs) > 1 and tokens_of(pairs) > memory:
            fault = "out of memory"
        if fault not in {"", "hang", "slow"}:
            if len(pairs) == 1:
                self.failed_alone.add(marks[0])
            return failing(fault, marks)
        self.pairs_done += len(pairs)
        self.tokens_done += tokens_of(pairs)
        return [logit_of(mark) for mark in marks]

    def calm(self) -> None:
        """No more faults."""
        self.faults = Faults()
        self._hangs, self._outage = set(), set()


def failing(fault: str, marks: list[int]) -> list[float]:
    """Raise, or return what is no score for each pair. Wrong counts hold right scores: a shift."""
    logits = [logit_of(mark) for mark in marks]
    match fault:
        case "raise":
            raise EngineFault("injected")
        case "out of memory":
            raise OutOfMemory("injected")
        case "nan":
            return [*logits[:-1], math.nan]
        case "too few":
            return logits[1:]
        case "too many":
            return [0.0, *logits]
    raise AssertionError(fault)


class SimulatedEncoder:
    repeats_query = True
    PER_CHARACTER = 6e-7  # seconds

    def __init__(self, world: World, reference: Reference) -> None:
        self.max_tokens = world.max_tokens
        self.takes_instruction = world.takes_instruction
        self.faults = world.faults
        self._reference = reference
        self._rng = Random(f"tokenizer {world.seed}")

    def seconds(self, documents: Sequence[str] = ()) -> float:
        return sum(map(len, documents)) * self.PER_CHARACTER

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
        if self.faults.tokenizer and self._rng.random() < self.faults.tokenizer:
            raise TokenizerFault("injected")
        context = Context(query, instruction, cut, document_tokens)
        table, encode = self._reference.table(context), self._reference.encode
        return [table.get(text) or encode(context, text) for text in documents]

    def calm(self) -> None:
        self.faults = Faults()
