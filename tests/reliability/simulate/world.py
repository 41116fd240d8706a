"""The surroundings of one run, drawn from its seed: sizes, speeds, limits and rates of faults."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

STEADY = 0.25  # of the worlds have no fault at all: what is refused or late there needs a reason
KINDS = ("raise", "out of memory", "nan", "too few", "too many", "slow")


@dataclass(frozen=True, slots=True)
class Faults:
    """Probabilities, for each call."""

    engine: float = 0.0
    hangs: int = 0  # in the whole run
    hang_seconds: float = 0.0
    outages: int = 0  # stretches in which every batch fails
    poison: int = 0  # of so many pairs one can never be scored; 0: none
    memory_tokens: int = 0  # a larger batch runs out of memory; 0: none does
    tokenizer: float = 0.0
    remote: float = 0.0
    store: float = 0.0
    llm: float = 0.0
    clock_jumps: int = 0  # of the UTC day


@dataclass(frozen=True, slots=True)
class World:
    seed: int
    load: float  # of the engine; over 1 it cannot keep up
    batch_tokens: int
    queue_tokens: int
    max_wait: float
    at_once: int
    cache_bytes: int
    cache_seconds: float
    timeout: float
    max_tokens: int
    chars_per_token: int  # 4 is what the reranker guesses; 2: it guesses too low
    takes_instruction: bool
    windows: int
    per_token: float  # seconds
    per_batch: float
    padded: bool  # the engine computes padding too
    remote: bool  # another ranker behind this one
    questions: float  # share of requests
    daily_tokens: int
    listwise: bool
    answer_cache: float
    leaving: float  # share of callers that go away
    closes: bool  # the service is shut down in the middle
    faults: Faults = field(default_factory=Faults)


def draw_world(seed: int) -> World:
    rng = Random(f"world {seed}")
    draw = rng.choice
    steady = rng.random() < STEADY
    return World(
        seed=seed,
        load=draw([0.3, 0.6, 0.8, 0.9, 1.1, 3.0]),
        batch_tokens=draw([256, 1024, 1024, 4096]),
        queue_tokens=draw([16_384, 65_536, 262_144]),
        max_wait=draw([0.0, 0.0, 0.005]),
        at_once=draw([1, 1, 2]),
        cache_bytes=draw([0, 40_000, 4_000_000]),
        cache_seconds=draw([1.0, 30.0, 3600.0]),
        timeout=draw([2.0, 10.0, 30.0]),
        max_tokens=draw([128, 512]),
        chars_per_token=draw([4, 4, 2]),
        takes_instruction=draw([True, False]),
        windows=draw([0, 256]),
        per_token=draw([0.00002, 0.0001, 0.0004]),
        per_batch=draw([0.0, 0.002]),
        padded=draw([False, True]),
        remote=draw([False, False, True]),
        questions=draw([0.0, 0.02, 0.2]),
        daily_tokens=draw([0, 20_000, 200_000]),
        listwise=draw([False, False, True]),
        answer_cache=draw([0.0, 30.0]),
        leaving=0.0 if steady else draw([0.0, 0.05, 0.3]),
        closes=not steady and rng.random() < 0.15,
        faults=Faults() if steady else draw_faults(rng),
    )


def draw_faults(rng: Random) -> Faults:
    draw = rng.choice
    return Faults(
        engine=draw([0.0, 0.01, 0.1, 0.4]),
        hangs=draw([0, 0, 0, 1, 2]),
        hang_seconds=draw([20.0, 600.0]),
        outages=draw([0, 0, 1]),
        poison=draw([0, 0, 50, 1000]),
        memory_tokens=draw([0, 0, 700]),
        tokenizer=draw([0.0, 0.01]),
        remote=draw([0.0, 0.2]),
        store=draw([0.0, 0.1]),
        llm=draw([0.0, 0.05, 0.5, 1.0]),
        clock_jumps=draw([0, 2]),
    )
