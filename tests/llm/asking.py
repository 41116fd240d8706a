"""How the tests call a model, and listen."""

from __future__ import annotations

from dataclasses import replace

import httpx
from pydantic import SecretStr

from app.llm import Completion, Prompt, Turn
from app.llm.client import Client, LLMOptions
from app.llm.formats.format import Format
from app.llm.formats.openai import OpenAI
from tests.llm.server import LLMServer

PROMPT = Prompt("Rules.", (Turn("user", "How long?"),))
OPTIONS = LLMOptions(max_tokens=1024, temperature=0.1, attempts=3, first_token=20.0, total=60.0)
QUICK = replace(OPTIONS, max_tokens=50, attempts=2, first_token=0.2, total=0.3)
KEY = SecretStr("sk-secret")


def open_client(
    server: LLMServer, options: LLMOptions = OPTIONS, format_: Format | None = None
) -> Client:
    http = httpx.AsyncClient(timeout=httpx.Timeout(None, connect=1.0))
    format_ = format_ or OpenAI(newest=False)
    return Client("m", format_, server.url, "model-1", KEY, http, options)


async def listen(client: Client, *, stream: bool) -> tuple[list[str], Completion]:
    pieces: list[str] = []
    try:
        return pieces, await client.complete(PROMPT, pieces.append, stream=stream)
    finally:
        await client.close()
