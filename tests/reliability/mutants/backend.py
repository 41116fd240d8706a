"""A plugin in the place of tests/conftest.py, which imports the whole service and torch."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
