"""OpenAI's chat completions, as dozens of servers speak them. Pure: no network in here."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from app.llm import Completion, Finish, Prompt, TokenUsage
from app.llm.formats.format import LLMFormat, reported, token_count

PATH: Final = "/chat/completions"
OPENAI_HOST = "api.openai.com"
FINISHES: dict[str, Finish] = {"length": "length", "content_filter": "filter"}


class OpenAI:
    path = PATH

    def __init__(self, *, newest: bool) -> None:
        # OpenAI's own service has renamed max_tokens.
        self._newest = newest

    def headers(self, key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"} if key else {}

    def body(
        self,
        prompt: Prompt,
        model: str,
        *,
        max_tokens: int,
        temperature: float | None,
        stream: bool,
    ) -> dict[str, object]:
        turns = [{"role": turn.role, "content": turn.text} for turn in prompt.turns]
        body: dict[str, object] = {
            "model": model,
            "messages": [{"role": "system", "content": prompt.system}, *turns],
            "max_completion_tokens" if self._newest else "max_tokens": max_tokens,
        }
        if temperature is not None:
            body["temperature"] = temperature
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body

    def whole(self, body: dict[str, Any]) -> tuple[str, Completion]:
        choice = body["choices"][0]
        finish = FINISHES.get(choice.get("finish_reason") or "", "stop")
        return choice["message"].get("content") or "", Completion(tokens_of(body), finish)

    def reader(self) -> OpenAIStream:
        return OpenAIStream()


class OpenAIStream:
    """Usage comes after the finish, in an event without a choice; or not at all."""

    def __init__(self) -> None:
        self.completion: Completion | None = None
        self.done = False
        self._tokens: TokenUsage | None = None

    def read(self, event: dict[str, Any]) -> str:
        self._tokens = tokens_of(event) or self._tokens
        text = ""
        for choice in event.get("choices") or ():
            text += (choice.get("delta") or {}).get("content") or ""
            if reason := choice.get("finish_reason"):
                self.completion = Completion(None, FINISHES.get(reason, "stop"))
        if self.completion is not None:
            self.completion = Completion(self._tokens, self.completion.finish)
        return text

    def finish(self) -> None:
        """Called for the word `[DONE]`."""
        self.done = True
        self.completion = self.completion or Completion(self._tokens)


def tokens_of(body: dict[str, Any]) -> TokenUsage | None:
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return None
    names = ("prompt_tokens", "completion_tokens")
    return reported(*(token_count(usage.get(name)) for name in names))


FORMAT = LLMFormat("openai", lambda url: OpenAI(newest=urlsplit(url).hostname == OPENAI_HOST))
