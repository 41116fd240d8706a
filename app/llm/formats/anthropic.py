"""Anthropic's messages. Pure: no network in here."""

from __future__ import annotations

from typing import Any, Final

from app.llm import Completion, Finish, Prompt, TokenUsage
from app.llm.formats.format import LLMFormat, reported, token_count

PATH: Final = "/messages"
VERSION: Final = "2023-06-01"
FINISHES: dict[str, Finish] = {"max_tokens": "length", "refusal": "filter"}


class Anthropic:
    path = PATH

    def headers(self, key: str) -> dict[str, str]:
        return {"anthropic-version": VERSION, **({"x-api-key": key} if key else {})}

    def body(
        self,
        prompt: Prompt,
        model: str,
        *,
        max_tokens: int,
        temperature: float | None,
        stream: bool,
    ) -> dict[str, object]:
        body: dict[str, object] = {
            "model": model,
            "system": prompt.system,
            "messages": [{"role": turn.role, "content": turn.text} for turn in prompt.turns],
            "max_tokens": max_tokens,
        }
        if temperature is not None:
            body["temperature"] = temperature
        if stream:
            body["stream"] = True
        return body

    def whole(self, body: dict[str, Any]) -> tuple[str, Completion]:
        text = "".join(part["text"] for part in body["content"] if part.get("type") == "text")
        finish = FINISHES.get(body.get("stop_reason") or "", "stop")
        return text, Completion(tokens_of(body.get("usage")), finish)

    def reader(self) -> AnthropicStream:
        return AnthropicStream()


class AnthropicStream:
    def __init__(self) -> None:
        self.completion: Completion | None = None
        self.done = False
        self._prompt: int | None = None
        self._tokens: TokenUsage | None = None
        self._finish: Finish = "stop"

    def read(self, event: dict[str, Any]) -> str:
        match event.get("type"):
            case "message_start":
                self._prompt = prompt_tokens(event["message"].get("usage"))
            case "content_block_delta" if event["delta"].get("type") == "text_delta":
                return str(event["delta"]["text"])
            case "message_delta":
                self._finish = FINISHES.get(event["delta"].get("stop_reason") or "", "stop")
                self._tokens = reported(self._prompt, completion_tokens(event.get("usage")))
            case "message_stop":
                self.finish()
        return ""

    def finish(self) -> None:
        self.done = True
        self.completion = Completion(self._tokens, self._finish)


def tokens_of(usage: object) -> TokenUsage | None:
    return reported(prompt_tokens(usage), completion_tokens(usage))


def prompt_tokens(usage: object) -> int | None:
    """What was read from the provider's cache, or written to it, counts as prompt too."""
    if not isinstance(usage, dict):
        return None
    total = token_count(usage.get("input_tokens"))
    for name in ("cache_creation_input_tokens", "cache_read_input_tokens"):
        # Either may be missing, or null.
        cached = token_count(usage.get(name) or 0)
        total = None if total is None or cached is None else total + cached
    return total


def completion_tokens(usage: object) -> int | None:
    return token_count(usage.get("output_tokens")) if isinstance(usage, dict) else None


FORMAT = LLMFormat("anthropic", lambda url: Anthropic())
