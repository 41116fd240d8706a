"""`rerankd mcp` as an agent starts it, and `/mcp` of a running service, with the SDK's client."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.shared.exceptions import MCPError

from tests.live.service import LiveService, running
from tests.mcp.calling import ARGUMENTS, DOCUMENTS, MODES, QUERY, connected, refused

pytestmark = pytest.mark.anyio

KEY = "sk-agent"
PASSAGES = "# Loans\n\nA book is lent for four weeks in all. A film is lent for one week.\n"


def environment(**settings: object) -> dict[str, str]:
    """The client passes on only a few variables, as agents do."""
    kept = {
        name: os.environ[name] for name in ("PYTHONPATH", "RERANKD_ENGINES") if name in os.environ
    }
    return kept | {f"RERANKD_{name.upper()}": str(value) for name, value in settings.items()}


@asynccontextmanager
async def started(
    folder: Path, *arguments: str, mode: str = "auto", **settings: object
) -> AsyncIterator[Client]:
    """`rerankd mcp` in a process of its own, in an empty folder."""
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "app.cli", "mcp", *arguments],
        env=environment(**settings),
        cwd=folder,
    )
    with (folder / "stderr").open("w") as errors:
        async with Client(stdio_client(server, errors), mode=mode) as client:
            yield client


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    store = tmp_path_factory.mktemp("store") / "store.db"
    notes = store.with_suffix(".md")
    notes.write_text(PASSAGES)
    command = [sys.executable, "-m", "app.cli", "ingest", str(notes), "--store", f"sqlite:{store}"]
    subprocess.run(command, check=True, capture_output=True)
    with running(api_keys=KEY, store=f"sqlite:{store}") as running_service:
        yield running_service


def order(result: Any) -> list[int]:
    assert not result.is_error, result
    return [each["index"] for each in result.structured_content["results"]]


@pytest.mark.parametrize("mode", MODES)
async def test_a_command_ranks_with_its_own_model(tmp_path: Path, mode: str) -> None:
    async with started(tmp_path, mode=mode, device="cpu") as client:
        tools = (await client.list_tools()).tools
        result = await client.call_tool("rerank", {**ARGUMENTS, "top_n": 2})
        wrong = await refused(client, "rerank", {"query": QUERY, "documents": []})
    assert [tool.name for tool in tools] == ["rerank"]
    assert tools[0].input_schema["properties"]["documents"]["maxItems"] == 1000
    assert order(result)[0] == 1
    assert len(order(result)) == 2
    assert wrong.startswith("invalid: documents: ")


async def test_a_command_answers_from_its_store(tmp_path: Path, service: LiveService) -> None:
    """The keys are those of services, and are not needed within the process."""
    store = service_store(service)
    async with started(tmp_path, store=store, api_keys=KEY, device="cpu") as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        result = await client.call_tool("answer", {"query": "how long is a film lent"})
    assert tools == {"rerank", "answer"}
    assert result.structured_content["outcome"] == "extractive"
    assert "one week" in result.structured_content["answer"]
    assert result.structured_content["sources"][0]["metadata"]["section"] == "Loans"


def service_store(service: LiveService) -> str:
    variables = Path(f"/proc/{service.process.pid}/environ").read_bytes().split(b"\0")
    name = b"RERANKD_STORE="
    return next(each[len(name) :] for each in variables if each.startswith(name)).decode()


async def test_a_command_forwards_to_a_running_service(
    tmp_path: Path, service: LiveService
) -> None:
    async with started(tmp_path, "--url", service.url, api_keys=KEY) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        ranked = await client.call_tool("rerank", ARGUMENTS)
        answered = await client.call_tool("answer", {"query": "how long is a film lent"})
    assert tools == {"rerank", "answer"}
    assert order(ranked)[0] == 1
    assert "one week" in answered.structured_content["answer"]


async def test_a_command_without_the_key_says_what_to_set(
    tmp_path: Path, service: LiveService
) -> None:
    async with started(tmp_path, "--url", service.url) as client:
        text = await refused(client, "rerank", ARGUMENTS)
    assert text.startswith("unauthorized: ")
    assert "RERANKD_API_KEYS" in text


async def test_a_model_that_cannot_be_loaded_is_explained_to_the_agent(tmp_path: Path) -> None:
    async with started(tmp_path, model=tmp_path / "nothing", offline=True) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["rerank"]
        text = await refused(client, "rerank", ARGUMENTS)
    assert text.startswith("engine_failed: ")
    assert "nothing" in text
    assert "mcp_without_model" in (tmp_path / "stderr").read_text()


@pytest.mark.parametrize("mode", MODES)
async def test_a_running_service_offers_the_same_over_http(service: LiveService, mode: str) -> None:
    async with connected(service.url, {"Authorization": f"Bearer {KEY}"}, mode) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        ranked = await client.call_tool("rerank", {**ARGUMENTS, "return_documents": True})
        answered = await client.call_tool("answer", {"query": "how long is a film lent"})
    assert tools == {"rerank", "answer"}
    assert ranked.structured_content["results"][0]["text"] == DOCUMENTS[1]
    assert "one week" in answered.structured_content["answer"]


async def test_a_running_service_refuses_without_the_key(service: LiveService) -> None:
    with pytest.raises(Exception) as refusal:  # noqa: PT011 (a group around the client's own)
        async with connected(service.url):
            pass
    assert isinstance(refusal.value, MCPError | ExceptionGroup)


def run(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", "mcp", *arguments],
        env=os.environ | environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        input="",
    )


@pytest.mark.parametrize(
    ("arguments", "settings", "code", "sentence"),
    [
        (["--url", "here"], {}, 2, "--url here: must be like http://host:8000"),
        ([], {"max_documents": 0}, 2, "setting max_documents: "),
    ],
)
def test_a_wrong_configuration_is_one_sentence(
    arguments: list[str], settings: dict[str, object], code: int, sentence: str
) -> None:
    ended = run(*arguments, **settings)
    assert ended.returncode == code
    assert sentence in ended.stderr
    assert ended.stdout == ""


def test_a_command_ends_with_its_input() -> None:
    ended = run("--url", "http://127.0.0.1:9")
    assert (ended.returncode, ended.stdout) == (0, "")
