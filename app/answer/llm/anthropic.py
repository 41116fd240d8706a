"""Anthropic's messages. Pure: no network in here."""

from __future__ import annotations

from typing import Any, Final

from app.answer.llm import Ended, Finish, Prompt, Tokens

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
    ) -> dict[str, Any]:
        body: dict[str, Any] = {
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

    def whole(self, body: dict[str, Any]) -> tuple[str, Ended]:
        text = "".join(part["text"] for part in body["content"] if part.get("type") == "text")
        finish = FINISHES.get(body.get("stop_reason") or "", "stop")
        return text, Ended(tokens_of(body.get("usage")), finish)

    def reader(self) -> AnthropicStream:
        return AnthropicStream()


class AnthropicStream:
    def __init__(self) -> None:
        self.ended: Ended | None = None
        self.done = False
        self._prompt = 0
        self._tokens: Tokens | None = None
        self._finish: Finish = "stop"

    def read(self, event: dict[str, Any]) -> str:
        match event.get("type"):
            case "message_start":
                known = tokens_of(event["message"].get("usage"))
                self._prompt = known.prompt if known else 0
            case "content_block_delta" if event["delta"].get("type") == "text_delta":
                return str(event["delta"]["text"])
            case "message_delta":
                self._finish = FINISHES.get(event["delta"].get("stop_reason") or "", "stop")
                if (told := tokens_of(event.get("usage"))) is not None:
                    self._tokens = Tokens(self._prompt, told.completion)
            case "message_stop":
                self.finish()
        return ""

    def finish(self) -> None:
        self.done = True
        self.ended = Ended(self._tokens, self._finish)


def tokens_of(usage: dict[str, Any] | None) -> Tokens | None:
    """What was read from the provider's cache counts as prompt too."""
    if not usage:
        return None
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    prompt = sum(int(usage.get(name) or 0) for name in names)
    return Tokens(prompt, int(usage.get("output_tokens") or 0))
