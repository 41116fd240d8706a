"""Writes files and folders completely or not at all: to a temporary name, then renamed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic_core import to_json

from app import durable
from app.evaluation.problems import BadInput


def write_bytes(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.write_bytes(path, content)
    except OSError as error:
        raise BadInput(path, None, f"cannot be written: {error.strerror}") from error


def write_json(path: Path, value: object) -> None:
    write_bytes(path, to_json(value, indent=2) + b"\n")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill; it gets its name when it is complete. An existing folder is an error."""
    if path.exists():
        raise BadInput(path, None, "already exists; choose a new folder")
    aside = path.with_name(f"{path.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
    except OSError as error:
        raise BadInput(path, None, f"cannot be written: {error.strerror}") from error
    try:
        yield aside
        try:
            durable.sync_tree(aside)
            durable.rename(aside, path)
        except OSError as error:
            raise BadInput(path, None, f"cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
