"""The calls that both clients make, as conversations, and what they have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import httpx

from rerankd import __version__, splitting
from rerankd.answers import (
    Answer,
    AnswerOptions,
    Info,
    Verdict,
    question,
    read_answer,
    read_info,
    verdict,
)
from rerankd.conversation import Call, Conversation, Deadline, ask
from rerankd.errors import InvalidInput
from rerankd.fields import fields_of
from rerankd.ranking import DocumentT, Ranking, RerankOptions
from rerankd.retries import RetryPolicy

SCHEMES = frozenset({"http", "https"})


class Calls:
    """`now` is the clock of the deadlines."""

    def __init__(
        self, timeout: float, retries: int | RetryPolicy, now: Callable[[], float]
    ) -> None:
        if not timeout > 0:
            raise InvalidInput(f"timeout: {timeout} is not more than 0 seconds")
        self._timeout = timeout
        self._policy = retries if isinstance(retries, RetryPolicy) else RetryPolicy(retries)
        self._now = now
        self._limits = splitting.Limits()

    def deadline(self, timeout: float | None) -> Deadline:
        return Deadline(self._timeout if timeout is None else timeout, self._now)

    def rerank(
        self,
        query: str,
        documents: Sequence[DocumentT],
        top_n: int | None,
        timeout: float | None,
        options: RerankOptions,
    ) -> Conversation[Ranking[DocumentT]]:
        deadline = self.deadline(timeout)
        return splitting.rerank(
            query, documents, top_n, options, self._limits, self._policy, deadline
        )

    def answer(
        self, query: str, timeout: float | None, options: AnswerOptions
    ) -> Conversation[Answer]:
        call = question(query, options, streamed=False)
        response = yield from ask(call, self._policy, self.deadline(timeout))
        return read_answer(fields_of(response.content))

    def open_stream(
        self, query: str, deadline: Deadline, options: AnswerOptions
    ) -> Conversation[httpx.Response]:
        return ask(question(query, options, streamed=True), self._policy, deadline)

    def feedback(
        self,
        answer_id: str,
        useful: Verdict,
        source: str | None,
        comment: str | None,
        timeout: float | None,
    ) -> Conversation[None]:
        call = verdict(answer_id, useful, source, comment)
        yield from ask(call, self._policy, self.deadline(timeout))

    def info(self, timeout: float | None) -> Conversation[Info]:
        response = yield from ask(Call("info"), self._policy, self.deadline(timeout))
        return read_info(response.content)


def address_of(url: str) -> httpx.URL:
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise InvalidInput(f"url: {url!r}: {error}") from error
    if address.scheme not in SCHEMES or not address.host:
        raise InvalidInput(f"url: {url!r} is not like http://127.0.0.1:8000")
    return address


def headers_of(api_key: str | None, headers: Mapping[str, str] | None) -> dict[str, str]:
    merged = {"User-Agent": f"rerankd-client/{__version__}", **(headers or {})}
    if api_key is not None:
        if not (api_key.isascii() and api_key.isprintable()):
            raise InvalidInput("api_key: holds characters that a header cannot carry")
        merged["Authorization"] = f"Bearer {api_key}"
    return merged
