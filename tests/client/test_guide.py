"""The code of the how-to page runs as it stands."""

from __future__ import annotations

import asyncio
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from rerankd import errors
from tests.client.conftest import KEY, MAX_DOCUMENTS, Library

PAGE = (Path(__file__).parents[2] / "docs/how-to/python-client.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def adapted(code: str, library: Library) -> str:
    code = code.replace('"http://127.0.0.1:8000")', f'"{library.url}", api_key="{KEY}")')
    code = code.replace("http://127.0.0.1:8000", library.url).replace('"KEY"', f'"{KEY}"')
    # The service of the tests accepts few candidates.
    return re.sub(r"(answer\(.*?\?\")", rf"\1, initial_k={MAX_DOCUMENTS}, final_k=2", code)


def test_the_examples_of_the_page_run(library: Library, capsys: pytest.CaptureFixture[str]) -> None:
    rank, rank_async, answer = (adapted(block, library) for block in BLOCKS)
    names: dict[str, Any] = {}
    exec(rank, names)
    assert capsys.readouterr().out.endswith("1 12\n")
    exec(f"async def ask():\n{textwrap.indent(rank_async, '    ')}\n    return ranking", names)
    assert asyncio.run(names["ask"]()).results[0].index == 1
    library.let_the_model_write_on()
    with names["Client"](library.url, api_key=KEY) as client:
        exec(answer, names | {"client": client})
    assert "answered You may keep a book for four weeks [1]." in capsys.readouterr().out


def test_every_error_is_in_the_table_of_the_page() -> None:
    table = PAGE.split("## Errors")[1].split("## ")[0]
    public = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.RerankdError)
    }
    assert set(re.findall(r"`([A-Z]\w+)`", table)) >= public
