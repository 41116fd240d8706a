from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live.service import LiveService, running


@pytest.fixture(scope="session")
def service() -> Iterator[LiveService]:
    """One service with the bundled model for all who do not stop it."""
    with running() as service:
        yield service
