"""Nothing half-written: aside first, then renamed into its place."""

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
    """A folder to fill, which takes its name once it is whole; an existing one is left alone."""
    if path.exists():
        raise BadInput(path, None, "exists already; give a folder that does not")
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
