"""A model's own files: a folder, or what was fetched from a model hub."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.engines.backend import reason_of
from app.engines.spec import ModelSpec

logger = logging.getLogger(__name__)

HUB_SECONDS = 10.0
# At the top of a repository: what describes a model and its tokens.
DESCRIPTIONS = ("*.json", "*.txt", "*.model", "*.jinja")


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


def fetch(spec: ModelSpec, alternatives: Sequence[Sequence[str]]) -> None:
    """Into the hub's cache: what describes the model, and of each list the first file there is.

    Without a hub that answers, nothing: what was fetched before is used.
    """
    if spec.offline or spec.is_folder or spec.source.startswith(("/", ".")):
        return
    from huggingface_hub import HfApi, snapshot_download  # noqa: PLC0415 (takes a while)

    try:
        info = HfApi().model_info(spec.source, revision=spec.revision or None, timeout=HUB_SECONDS)
        there = {file.rfilename for file in info.siblings or ()}
        graphs = [next((name for name in names if name in there), "") for names in alternatives]
        if not graphs[0]:  # nothing runs without full precision
            return
        wanted = [name for graph in filter(None, graphs) for name in with_weights(graph)]
        snapshot_download(
            spec.source, revision=spec.revision or None, allow_patterns=[*DESCRIPTIONS, *wanted]
        )
    except Exception as error:  # noqa: BLE001 (of the hub, of its client, or of the network)
        fields = {"model": spec.label, "reason": reason_of(error)}
        logger.info("graphs_not_fetched", extra={"fields": fields})


def with_weights(graph: str) -> list[str]:
    """A graph, and the files beside it that may hold its weights."""
    return [graph, f"{graph}_data", f"{graph.removesuffix('.xml')}.bin"]


def read_json(file: Path) -> dict[str, Any]:
    """Nothing where there is no such file, or where it is no JSON object."""
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
