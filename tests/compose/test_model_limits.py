from __future__ import annotations

from dataclasses import replace

import pytest

from app.compose.model import limits_of
from app.settings import Settings
from tests.reliability.stub import stub_model


@pytest.mark.parametrize(
    ("device", "streams", "batches"),
    [("cpu", 1, 1), ("cpu", 2, 2), ("cuda:0", 1, 2), ("mps", 1, 1)],
)
def test_two_batches_are_in_work_where_one_would_leave_the_engine_idle(
    device: str, streams: int, batches: int
) -> None:
    model = stub_model()
    model.engine.device = device
    model.engine.slicing = replace(model.engine.slicing, streams=streams)
    assert limits_of(Settings(), model).at_once == batches
