"""A model's own files: a folder, or what was fetched from a model hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app.engines.spec import ModelSpec


def source_folder(spec: ModelSpec) -> Path | None:
    """None as long as the model itself is not here."""
    return Path(spec.source) if spec.is_folder else snapshot(spec)


def snapshot(spec: ModelSpec) -> Path | None:
    """A hub model as it was fetched before."""
    if spec.source.startswith(("/", ".")):
        return None
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 (takes a while)

    config = try_to_load_from_cache(spec.source, "config.json", revision=spec.revision or None)
    return Path(config).parent if isinstance(config, str) else None


def read_json(file: Path) -> dict[str, Any]:
    """Nothing where there is no such file, or where it is no JSON object."""
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
