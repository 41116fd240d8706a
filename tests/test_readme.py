"""Tables of the README and of docs/ say what the code says. `python -m tests.test_readme` writes
them anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from httpx import AsyncClient
from pydantic_core import PydanticUndefined

from app.api.answer_bodies import AnswerRequest
from app.api.dialects import DIALECTS
from app.api.dialects.native import NativeRequest
from app.api.problems import TYPES
from app.compose.app import create_app
from app.errors import LoadFailed
from app.metrics import Metrics
from app.retrieval.stores import STORES
from app.settings import PREFIX, Settings

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
CLIENTS = ROOT / "docs" / "clients.md"
STORES_PAGE = ROOT / "docs" / "stores.md"


def shown(default: object) -> str:
    if default in ("", (), None, PydanticUndefined):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def settings_table() -> str:
    rows = [
        f"| `{PREFIX}{name.upper()}` | {shown(field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def stop(error: LoadFailed) -> None:
    raise error


def metrics_table() -> str:
    metrics: Metrics = create_app(Settings(), fatal=stop).state.metrics
    rows = [
        f"| `{metric.name}{'_total' * (metric.type == 'counter')}` | {metric.type} "
        f"| {metric.documentation} |"
        for metric in metrics.registry.collect()
        if metric.name.startswith("rerankd_")
    ]
    return "\n".join(["| name | kind | meaning |", "|---|---|---|", *sorted(rows)])


def clients_table() -> str:
    """The tables of the page, whose own test knows which clients are called."""
    page = CLIENTS.read_text().split("## Applications")[0]
    head, *rows = re.findall(r"^\| (?:client|`).*$", page, re.MULTILINE)
    return "\n".join([head, "|---|---|", *(row for row in rows if row != head)])


def dialects_table() -> str:
    rows = [
        f"| `{dialect.name}` | {', '.join(f'`{path}`' for path in dialect.paths)} |"
        for dialect in sorted(DIALECTS, key=lambda dialect: dialect.name)
    ]
    return "\n".join(["| dialect | paths |", "|---|---|", *rows])


def stores_table() -> str:
    rows = [
        f"| [{kind.title}](#{kind.title.lower().replace(' ', '-')}) "
        f"| {', '.join(f'`{example}`' for example in kind.examples)} "
        f"| {kind.reads} | {'no' if isinstance(kind.open_writer, str) else 'yes'} "
        f"| {f'`{kind.extra}`' if kind.extra else ''} | {kind.tested_against} |"
        for kind in dict.fromkeys(STORES.values())
    ]
    head = "| store | URL | reads | `rerankd ingest` fills it | needs the extra | tested against |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


TABLES: dict[str, tuple[Path, Callable[[], str]]] = {
    "clients": (README, clients_table),
    "settings": (README, settings_table),
    "metrics": (README, metrics_table),
    "dialects": (CLIENTS, dialects_table),
    "stores": (STORES_PAGE, stores_table),
}


def block(name: str, text: str) -> str:
    found = re.search(f"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
    assert found, f"there is no block {name}"
    return found[1].strip()


@pytest.mark.parametrize("name", list(TABLES))
def test_a_table_is_what_the_code_says(name: str) -> None:
    page, table = TABLES[name]
    assert block(name, page.read_text()) == table()


def test_every_store_has_a_section_of_its_own() -> None:
    headings = STORES_PAGE.read_text().splitlines()
    assert [kind.title for kind in STORES.values() if f"## {kind.title}" not in headings] == []


def test_every_field_of_a_request_is_in_the_readme() -> None:
    text = README.read_text()
    assert [name for name in NativeRequest.model_fields if f"| `{name}` |" not in text] == []


def test_every_problem_type_is_in_the_readme() -> None:
    text = README.read_text()
    assert [name for name in TYPES if f"`{name}`" not in text] == []


def test_every_field_of_a_question_is_in_the_readme() -> None:
    text = README.read_text().split("## Answering")[1].split("## Models")[0]
    assert [name for name in AnswerRequest.model_fields if f"| `{name}` |" not in text] == []


@pytest.mark.anyio
async def test_the_paths_of_the_readme_are_those_of_the_service(client: AsyncClient) -> None:
    table = README.read_text().split("| path | for |")[1].split("\n\n")[0]
    named = set(re.findall(r"`(/[^`]+)`", table))
    paths = (await client.get("/openapi.json")).json()["paths"]
    served = {  # those of other servers' clients have a page of their own
        path
        for path, operations in paths.items()
        if not any("dialects" in operation.get("tags", ()) for operation in operations.values())
    }
    assert named == served | {"/docs", "/openapi.json"}


@pytest.mark.anyio
async def test_the_curl_of_the_readme_is_answered(client: AsyncClient) -> None:
    command = re.search(r"-d '(\{.*?\})'", README.read_text(), re.DOTALL)
    assert command
    answer = (await client.post("/rerank", json=json.loads(command[1]))).json()
    example = re.search(r"```json\n(.*?)```", README.read_text(), re.DOTALL)
    assert example
    assert set(answer) == set(json.loads(example[1]))


def write() -> None:
    for name, (page, table) in TABLES.items():
        text = page.read_text()
        old = re.search(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", text, re.DOTALL)
        assert old
        page.write_text(text.replace(old[0], f"{old[1]}{table()}\n{old[2]}"))


if __name__ == "__main__":
    write()
