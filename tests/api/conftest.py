from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.asking import TEXTS
from tests.desk import Desk
from tests.fakes import FakeRetriever


@pytest.fixture
def retriever() -> FakeRetriever:
    return FakeRetriever(*TEXTS)


@pytest.fixture
def room(model: Path, retriever: FakeRetriever) -> Desk:
    return Desk(model, retriever)
