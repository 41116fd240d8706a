"""What a run's results depend on. A run that continues another must have the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from app.bulk.problems import Unusable
from app.durable import write_bytes

VERSION = 1
MAX_SHOWN_CHARS = 60
ABSENT = "nothing"

Manifest = Mapping[str, Any]


def write_manifest(path: Path, manifest: Manifest) -> None:
    write_bytes(path, to_json({"version": VERSION, **manifest}, indent=2))


def read_manifest(path: Path) -> Manifest | None:
    try:
        manifest = from_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise Unusable(f"{path}: cannot be read: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("version") != VERSION:
        raise Unusable(f"{path}: was written by another version of rerankd")
    return {key: value for key, value in manifest.items() if key != "version"}


def refuse_changes(path: Path, before: Manifest, now: Manifest) -> None:
    """The error names each value that differs."""
    changes = list(differences(before, from_json(to_json(now))))
    if changes:
        raise Unusable(
            f"{path.parent} holds a run with other values: {'; '.join(changes)}. Use another "
            "folder, or begin again with --restart"
        )


def differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            inner = f"{name}.{key}" if name else key
            yield from differences(before.get(key), now.get(key), inner)
    elif before != now:
        yield f"{name} was {shown(before)}, is {shown(now)}"


def shown(value: Any) -> str:
    text = ABSENT if value is None else str(value)
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}…"
