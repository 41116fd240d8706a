"""The import rules of the house: data goes down once and comes up once."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

APP = Path(__file__).parents[1] / "app"
CLIENT = Path(__file__).parents[1] / "client" / "rerankd"
FILES = [*sorted(APP.rglob("*.py")), *sorted(CLIENT.rglob("*.py"))]
ONLY_IN = {
    "fastapi": {"compose", "api"},
    "starlette": {"compose", "api"},
    "uvicorn": {"server"},
    "httptools": {"server"},
    # A backend's library is visible in its own folder; the others convert the reference's model.
    "torch": {"engines.torch", "engines.onnxruntime.conversion", "training"},
    "transformers": {"engines.torch", "retrieval.embedder", "training"},
    "sentence_transformers": {
        "engines.torch",
        "retrieval.embedder",
        "training",
        "commands.finetune",
    },
    "openvino": {"engines.openvino"},
    "onnx": {"engines.onnxruntime"},
    "onnxruntime": {"engines.onnxruntime", "engines.native.engine"},
    "tokenizers": {"engines", "training.bundled"},
    "app.engines.torch": {
        "engines.torch",
        "engines.backend",
        "engines.backends",
        "engines.converting",
        "engines.original",
        "engines.openvino",
        "engines.onnxruntime",
        "engines.native",
        "training",
    },
    "app.engines.openvino": {"engines.openvino", "engines.backends"},
    # What has to stay in full precision is run by ONNX Runtime.
    "app.engines.onnxruntime": {"engines.onnxruntime", "engines.native", "engines.backends"},
    "app.engines.native": {"engines.native", "engines.backends"},
    "httpx": {"llm.client", "retrieval", "remote", "upstream", "compose", "evaluation"}
    | {"bulk.calling", "mcp.forwarding"},
    "pyarrow": {"bulk.tables", "bulk.cluster", "retrieval.stores.lancedb_table"},
    "ray": {"bulk.cluster"},
    "stamina": {"upstream"},
    "apsw": {
        "retrieval.stores.sqlite",
        "retrieval.stores.sqlite_file",
        "retrieval.stores.sqlite_journal",
    },
    "faiss": {"retrieval.stores.faiss", "retrieval.stores.faiss_collection"},
    "lancedb": {"retrieval.stores.lancedb_table"},
    "psycopg": {"retrieval.stores.pgvector_table"},
    "pymongo": {"retrieval.stores.mongodb_collection", "retrieval.stores.mongodb_driver"},
    "bson": {"retrieval.stores.mongodb_collection", "retrieval.stores.mongodb_driver"},
    "redis": {"shared_cache.redis_client", "retrieval.stores.redis_server"},
    "prometheus_client": {"metrics"},
    "opentelemetry": {"tracing.otel"},
    "mcp": {"mcp"},
    "mcp_types": {"mcp"},
    # Refusals of connections are listed with the other problems.
    "app.server": {"compose", "commands.serving", "server", "api.problems"},
    "app.api": {"compose", "api", "commands"},
    "app.answer": {"compose", "api", "answer", "service"},
    "app.llm": {"compose", "answer", "llm", "api.answer_bodies", "settings"},
    "app.retrieval": {"compose", "answer", "ingest", "retrieval", "commands", "api"}
    | {"settings.retrieval"},
    "app.retrieval.stores": {"retrieval.address", "retrieval.opening", "retrieval.stores"}
    | {"compose.answer", "settings.retrieval"},
    # The encoders of engines use one type of a query.
    "app.rerank": {"compose", "commands", "api", "service", "answer", "remote", "rerank"}
    | {"evaluation", "bulk", "tracing.ranking", "shared_cache"},
    "app.shared_cache": {"compose", "shared_cache"},
    "app.engines": {
        "compose",
        "commands",
        "rerank",
        "engines",
        "service",
        "training",
        "settings.serving",
    }
    | {"bulk.gathering"},
    "app.bulk": {"bulk", "compose.bulk", "commands"},
    # `bulk` reads lines that may be compressed.
    "app.evaluation": {"commands", "evaluation", "training", "bulk.rows"},
    "app.training": {"commands", "training"},
    "app.ingest": {"ingest", "commands"},
    "app.upstream": {"compose", "llm", "retrieval", "remote", "upstream", "evaluation.remote"}
    | {"bulk.calling", "mcp.forwarding"},
    "app.text": {"text", "engines", "rerank", "answer", "ingest", "api.dialects"},
    "app.jsonl": {"ingest.readers.jsonl", "evaluation.data"},
    "app.remote": {"compose", "remote", "settings.delegating"},
    "app.tracing": {"compose", "api", "answer", "tracing"},
    "app.mcp": {"compose", "api", "commands", "mcp"},
    "app.compose": {"compose", "commands"},
    "app.service": {"compose", "api", "commands"},
    "app.metrics": {"compose", "api", "metrics"},
    "app.settings": {"compose", "commands", "evaluation", "settings"},
    "app.commands": {"commands"},
}


def within(module: str, rooms: set[str]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def imports_of(path: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=aliases):
                names += [alias.name for alias in aliases]
            case ast.ImportFrom(module=str(source), names=aliases):
                names += [source, *(f"{source}.{alias.name}" for alias in aliases)]
            case _:
                pass
    return names


@pytest.mark.parametrize(
    "path", sorted(APP.rglob("*.py")), ids=lambda path: str(path.relative_to(APP))
)
def test_a_module_imports_only_what_its_room_may(path: Path) -> None:
    parts = path.relative_to(APP).with_suffix("").parts
    module = ".".join(part for part in parts if part != "__init__")
    trespasses = [
        name
        for name in imports_of(path)
        for guarded, rooms in ONLY_IN.items()
        if within(name, {guarded}) and not within(module, rooms)
    ]
    assert trespasses == []


@pytest.mark.parametrize("path", sorted(CLIENT.rglob("*.py")), ids=lambda path: path.name)
def test_the_client_imports_httpx_and_nothing_of_the_service(path: Path) -> None:
    libraries = {name.partition(".")[0] for name in imports_of(path)}
    assert libraries - sys.stdlib_module_names <= {"httpx", "rerankd"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(path.parts[-2:]))
def test_a_file_has_one_job_and_so_stays_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 350


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(path.parts[-2:]))
def test_a_function_fits_on_a_screen(path: Path) -> None:
    functions = (
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    lengths = [(node.name, (node.end_lineno or 0) - node.lineno + 1) for node in functions]
    assert [(name, length) for name, length in lengths if length > 40] == []


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "core", "manager", "base"])
def test_no_module_is_named_for_nothing(name: str) -> None:
    assert list(APP.rglob(f"{name}.py")) == list(APP.rglob(f"{name}/")) == []


def test_rooms_do_not_import_each_other_in_a_circle() -> None:
    rooms: dict[str, set[str]] = defaultdict(set)
    for path in APP.rglob("*.py"):
        room = path.relative_to(APP).with_suffix("").parts[0]
        for name in imports_of(path):
            parts = name.split(".")
            if parts[0] == "app" and len(parts) > 1 and parts[1] != room:
                rooms[room].add(parts[1])
    order = TopologicalSorter({room: rooms[room] & rooms.keys() for room in rooms})
    order.prepare()  # raises CycleError
