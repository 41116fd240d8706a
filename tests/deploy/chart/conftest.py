"""The chart, rendered by a real Helm."""

from __future__ import annotations

import pytest

from tests.deploy.chart.rendering import Chart
from tests.deploy.chart.tools import Unavailable, in_ci, tools


@pytest.fixture(scope="session")
def chart() -> Chart:
    """CI must have Helm; a newcomer's machine may not."""
    try:
        return Chart(tools())
    except Unavailable as error:
        if in_ci():
            pytest.fail(str(error))
        pytest.skip(str(error))
