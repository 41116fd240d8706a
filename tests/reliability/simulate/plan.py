"""The adversary: who asks for what, when, how urgently, and who goes away in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from app.answer.question import Question
from app.llm import Turn
from app.rerank.query import Document, Query
from app.retrieval.store import Candidate
from tests.reliability.simulate.cancelling import Moment
from tests.reliability.simulate.reference import LONG
from tests.reliability.simulate.world import World

QUERIES = 16
TEXTS = 250
LONG_TEXTS = 6
CALLERS = ("first", "second")  # whose scores are kept apart
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Request:
    number: int
    at: float
    query: Query
    question: Question | None = None
    cancel: tuple[int, Moment] | None = None
    leaves_after: float | None = None
    honours_hint: bool = False

    @property
    def pairs(self) -> int:
        return len(self.query.documents)


class Texts:
    """What queries and documents of one world are drawn from: few enough that they repeat."""

    def __init__(self, world: World) -> None:
        self.rng = Random(f"texts {world.seed}")
        room = world.max_tokens // 2 * world.chars_per_token  # of a query: half of the model's
        self.queries = [
            self._text("q", index, min(room, self._size(60))) for index in range(QUERIES)
        ]
        self.queries[0] = self._text("q", 0, room)  # makes several portions for the tokenizer
        self.documents = [
            Document(self._text("d", index, min(room - 8, self._size(150))))
            for index in range(TEXTS)
        ]
        self.documents += [Document(self._long(index)) for index in range(LONG_TEXTS)]
        self.documents += [Document(""), Document(" \n")]
        self.candidates = [
            Candidate(f"c{index}", self._passage(index), {"source": f"{index}.md"})
            for index in range(60)
        ]

    def _size(self, mean: int) -> int:
        return 8 + min(3000, int(self.rng.expovariate(1 / mean)))

    def _text(self, kind: str, index: int, size: int) -> str:
        return f"{kind}{index} ".ljust(size, self.rng.choice(LETTERS))

    def _long(self, index: int) -> str:
        count = self.rng.randrange(20, 700)
        return " ".join(f"{LONG}{self.rng.randrange(10**4):04d}{index:02d}" for _ in range(count))

    def _passage(self, index: int) -> str:
        count = self.rng.randrange(1, 5)
        return " ".join(
            f"Fact {index}.{number} of {self.rng.choice(LETTERS) * 9} holds."
            for number in range(count)
        )


def draw_requests(world: World, texts: Texts, pairs: int) -> list[Request]:
    """Requests of about so many pairs, in order of time."""
    return list(_requests(world, texts, pairs))


def _requests(world: World, texts: Texts, pairs: int) -> Iterator[Request]:
    rng = Random(f"plan {world.seed}")
    at, drawn, number, burst = 0.0, 0, 0, 0
    repeated: Query | None = None  # a burst of which all ask the same
    while drawn < pairs:
        request = _request(world, texts, rng, number, at)
        if burst and repeated is not None:
            shuffled = rng.sample(repeated.documents, len(repeated.documents))
            request = replace(request, query=replace(repeated, documents=shuffled))
        yield request
        number, drawn = number + 1, drawn + request.pairs
        chars = sum(len(document.text) for document in request.query.documents)
        tokens = (chars + request.pairs * len(request.query.text)) / world.chars_per_token
        if rng.random() < 0.03:
            burst = rng.randrange(3, 40)
            repeated = request.query if rng.random() < 0.5 and request.pairs < 100 else None
        if burst:
            burst -= 1
            at += rng.choice([0.0, 0.0, 0.0001])
        else:
            at += rng.expovariate(world.load / (tokens * world.per_token + 1e-4))


def _request(world: World, texts: Texts, rng: Random, number: int, at: float) -> Request:
    request = Request(
        number,
        at,
        _query(world, texts, rng),
        honours_hint=rng.random() < 0.3,
    )
    if rng.random() < world.questions:
        request = replace(request, question=_question(world, texts, rng))
    if rng.random() < world.leaving:
        if rng.random() < 0.7:
            moment: Moment = rng.choice(["suspending", "resuming"])
            request = replace(request, cancel=(rng.randrange(1, 9), moment))
        else:
            request = replace(request, leaves_after=rng.expovariate(4.0))
    return request


def _query(world: World, texts: Texts, rng: Random) -> Query:
    kind = rng.random()
    if kind < 0.6:
        count = rng.randrange(1, 11)
    elif kind < 0.92:
        count = rng.randrange(10, 31)
    elif kind < 0.995:
        count = rng.randrange(30, 101)
    else:
        count = rng.randrange(200, 601)  # the whale
    query = Query(
        texts.queries[int(rng.random() ** 2 * QUERIES)],
        rng.choices(texts.documents, k=count),
        caller=rng.choice(CALLERS),
    )
    if rng.random() < 0.5:
        return query
    draw = rng.choice
    windows = draw([None, None, 0, 256])
    return replace(
        query,
        top_n=draw([None, 1, 3]),
        min_score=draw([None, None, 0.5]),
        score=draw(["probability", "logit"]),
        truncate=draw([True, True, True, False]),
        cut=draw(["right", "right", "left"]),
        windows=windows,
        document_tokens=0 if windows else draw([0, 0, 20]),
        instruction=draw([None, None, "find what helps"]),
        timeout=draw([None, None, 0.3, 5.0]),
        priority=draw([0, 0, 1, 9]),
    )


def _question(world: World, texts: Texts, rng: Random) -> Question:
    conversation = (
        (Turn("user", "Hello."), Turn("assistant", "Hello.")) if rng.random() < 0.2 else ()
    )
    return Question(
        f"Which fact is number {rng.randrange(30)}?",
        initial_k=rng.randrange(4, 24),
        final_k=rng.randrange(1, 4),
        min_score=rng.choice([None, 0.0, 0.9]),
        conversation=conversation,
        timeout=rng.choice([None, 0.5, 5.0]),
    )
