"""Any HTTP endpoint for searching, described by a JSON file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import InvalidRequest, LoadFailed
from app.retrieval.endpoint import (
    Endpoint,
    as_candidate,
    as_number,
    find,
    reading,
    walk,
    with_text,
)
from app.retrieval.store import Candidate, Search, Store
from app.retrieval.stores.kind import Opening, StoreKind, http_client

SLASHES = re.compile(r"[/\\]")


class Template(BaseModel):
    """Paths like `hits.0.name` lead through the answer.

    In `url` and `body`, `{query}`, `{k}`, `{vector}`, `{filters}` and `{collection}` are replaced
    by the values of the search; in `headers`, `{key}` by the key.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(pattern=r"^https?://")
    method: Literal["GET", "POST"] = "POST"
    headers: dict[str, str] = {}
    body: Any = None
    reads: Literal["words", "vector"] = "words"
    results: str
    id: str
    text: str
    metadata: str | None = None
    score: str | None = None


def read_template(path: Path) -> Template:
    try:
        template = Template.model_validate_json(path.read_bytes())
    except OSError as error:
        raise LoadFailed(f"setting store: {path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        raise LoadFailed(f"setting store: {path}: {name}: {first['msg']}") from error
    if "{" in template.url.split("/", 3)[2].partition("?")[0]:
        raise LoadFailed(f"setting store: {path}: url: a placeholder may not stand in the host")
    return template


def fill(value: Any, words: Mapping[str, Any]) -> Any:
    """Replaces placeholders. A text that is only a placeholder becomes the value, with its type."""
    match value:
        case dict():
            return {name: fill(part, words) for name, part in value.items()}
        case list():
            return [fill(part, words) for part in value]
        case str() if value[:1] == "{" and value[-1:] == "}" and value[1:-1] in words:
            return words[value[1:-1]]
        case str():
            return insert(value, words)
    return value


def insert(text: str, words: Mapping[str, Any]) -> str:
    """In a single pass, so that a query that contains `{k}` stays as it is."""
    parts = text.split("{")
    filled = [parts[0]]
    for part in parts[1:]:
        name, closed, rest = part.partition("}")
        if closed and name in words:
            filled.append(as_words(words[name]) + rest)
        else:
            filled.append("{" + part)
    return "".join(filled)


def fill_url(url: str, words: Mapping[str, Any]) -> str:
    """Each value is a segment of the path, or part of a segment: none leads to another path."""
    path = url.partition("?")[0]
    texts = {name: as_words(value) for name, value in words.items()}
    for name, text in texts.items():
        if f"{{{name}}}" in path and not {".", ".."}.isdisjoint(SLASHES.split(text)):
            raise InvalidRequest(
                f"{name} holds . or .. between slashes, or is one of them: this store has it in "
                "the path of an address",
                field=name,
            )
    return insert(url, {name: quote(text, safe="") for name, text in texts.items()})


def as_words(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


class TemplateStore:
    name = "template"

    def __init__(self, endpoint: Endpoint, template: Template, collection: str) -> None:
        self.reads = template.reads
        self._endpoint = endpoint
        self._template = template
        self._collection = collection

    async def search(self, search: Search) -> list[Candidate]:
        words = {
            "query": search.text,
            "k": search.k,
            "vector": search.vector,
            "filters": dict(search.filters),
            "collection": search.collection or self._collection,
        }
        body = fill(self._template.body, words)
        url = fill_url(self._template.url, words)
        answer = await self._endpoint.ask(self._template.method, url, body)
        with reading(self.name):
            rows = walk(answer, self._template.results)
            if not isinstance(rows, list):
                raise TypeError("not a list")
            return with_text(self.name, [self._candidate(row) for row in rows[: search.k]])

    def _candidate(self, row: Any) -> Candidate | None:
        template = self._template
        facts = None if template.metadata is None else walk(row, template.metadata)
        score = None if template.score is None else as_number(walk(row, template.score))
        return as_candidate(walk(row, template.id), find(row, template.text), facts, score)

    async def close(self) -> None:
        await self._endpoint.close()


def open_stores(opening: Opening) -> list[Store]:
    template = read_template(opening.file)
    headers = {
        name: value.replace("{key}", opening.key) for name, value in template.headers.items()
    }
    client = http_client("", headers, opening.transport)
    endpoint = Endpoint("template", client, opening.seconds)
    return [TemplateStore(endpoint, template, opening.collection)]


STORE = StoreKind(
    title="Any HTTP endpoint",
    schemes=("template",),
    examples=("template:search.json",),
    reads="words or vectors",
    tested_against="shapes of our own",
    open_stores=open_stores,
    open_writer="template is searched but not written: fill it with its own tools, or ingest into "
    "another store",
)
