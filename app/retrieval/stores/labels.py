"""Metadata as labels: exact filters in stores whose fields have a fixed type.

Metadata may have any names, and values of several types under one name. A store with fixed columns
cannot hold that, so a passage has its metadata as JSON, and a list of labels, one for each value
that a filter can ask for. A filter is a search for its label.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# The name of the column or property. A table that has it was made by `rerankd ingest`.
LABELS = "rerankd_labels"


def label(name: str, value: Any) -> str:
    """Unlike values have unlike labels: `"1"` is not `1`, and neither is `true`; 1.0 is 1."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"{name}={json.dumps(value, ensure_ascii=False)}"


def labels_of(facts: Mapping[str, Any]) -> list[str]:
    """Values that are lists, objects or null match no filter."""
    return [
        label(name, value) for name, value in facts.items() if isinstance(value, str | int | float)
    ]
