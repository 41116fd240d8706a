from __future__ import annotations

import pytest

from app.rerank import admission
from app.rerank.admission import Admission
from loadtest.fifo import serve_in_order_of_arrival


def test_first_come_first_served_makes_a_job_due_when_it_arrives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HEAD_START", "STRETCH"):
        monkeypatch.setattr(admission, name, getattr(admission, name))  # put back afterwards
    queue = Admission(1000)
    queue.pace.observe(100, 1.0)
    assert queue.due(5.0, 10, 0, None) < queue.due(5.0, 900, 0, None)
    serve_in_order_of_arrival()
    assert queue.due(5.0, 10, 0, None) == queue.due(5.0, 900, 0, None) == 5.0
