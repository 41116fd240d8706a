from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from httpx import AsyncClient

from tests.desk import Desk

# Kept from run to run; the processes that tests start read it too.
os.environ.setdefault("RERANKD_ENGINES", str(Path(__file__).parents[1] / ".cache/engines"))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests import models  # noqa: PLC0415 (imports torch, which most tests do not need)

    return models.bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def desk(model: Path) -> Desk:
    return Desk(model)


@pytest.fixture(scope="module")
async def client(model: Path) -> AsyncIterator[AsyncClient]:
    async with Desk(model).open() as opened:
        yield opened
