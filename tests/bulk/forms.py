"""How rows are read and written, with small limits."""

from __future__ import annotations

from typing import Any

from app.api.limits import RequestLimits
from app.commands.batch_rows import RowFormat


def row_format(**options: Any) -> RowFormat:
    limits = RequestLimits(
        body_bytes=10_000, documents=10, document_chars=200, query_chars=200, json_values=1000
    )
    return RowFormat(options, limits)
