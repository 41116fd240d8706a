"""What the code under test wrote into its log."""

from __future__ import annotations

from typing import Any

import pytest

from app.logs import fields_of


def events_logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def fields_logged(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    """The fields of each line of this event."""
    return [fields_of(record) for record in caplog.records if record.getMessage() == event]
