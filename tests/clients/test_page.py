"""docs/reference/clients.md names those clients that are tested, and no others."""

from __future__ import annotations

import re
from pathlib import Path

from tests.clients.test_clients import CLIENTS

PAGE = Path(__file__).parents[2] / "docs/reference/clients.md"


def named() -> set[str]:
    tables = PAGE.read_text().split("## Applications")[0]
    return set(re.findall(r"^\| `([^`]+)`", tables, re.MULTILINE))


def test_every_client_on_the_page_is_called_by_a_test_and_the_other_way_round() -> None:
    others = {client.name.split()[0] for client in CLIENTS}
    assert named() == others | {"rerankd-client"}  # tests/client


def test_each_wrapper_of_llama_index_and_langchain_is_on_the_page() -> None:
    text = PAGE.read_text().lower()
    for client in CLIENTS:
        package, _, part = client.name.partition(" ")
        if package in {"llama-index", "langchain-community"}:
            assert f"`{package}` {part.removesuffix('ai')}" in text, client.name
