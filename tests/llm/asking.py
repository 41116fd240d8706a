"""How the tests ask a model, and listen."""

from __future__ import annotations

import httpx
from pydantic import SecretStr

from app.llm import Ended, Prompt, Turn
from app.llm.client import Asking, Client
from app.llm.formats.format import Format
from app.llm.formats.openai import OpenAI
from tests.llm.server import LLMServer

PROMPT = Prompt("Rules.", (Turn("user", "How long?"),))
QUICK = Asking(max_tokens=50, attempts=2, first_token=0.2, total=0.3)
KEY = SecretStr("sk-secret")


def client(
    server: LLMServer,
    asking: Asking = Asking(),  # noqa: B008 (frozen)
    spoken: Format | None = None,
) -> Client:
    http = httpx.AsyncClient(timeout=httpx.Timeout(None, connect=1.0))
    spoken = spoken or OpenAI(newest=False)
    return Client("m", spoken, server.url, "model-1", KEY, http, asking)


async def listen(one: Client, *, stream: bool) -> tuple[list[str], Ended]:
    pieces: list[str] = []
    try:
        return pieces, await one.complete(PROMPT, pieces.append, stream=stream)
    finally:
        await one.close()
