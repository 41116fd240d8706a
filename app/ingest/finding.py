"""The files of a folder that can be read. A link leads to none outside of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.ingest.document import Unreadable, reason_of
from app.ingest.reading import READERS


@dataclass(slots=True)
class Found:
    files: list[Path] = field(default_factory=list)
    closed: list[Unreadable] = field(default_factory=list)  # folders that cannot be listed
    outside: list[Unreadable] = field(default_factory=list)  # links that lead out of their folder


def find_files(paths: Sequence[Path]) -> Found:
    """Each once; what is hidden is left out of a folder, and links to folders are not followed."""
    found = Found()
    files: dict[Path, None] = {}
    for path in paths:
        inside = sorted(walk(path, found)) if path.is_dir() else [path]
        files.update(dict.fromkeys(inside))
    found.files = list(files)
    return found


def walk(root: Path, found: Found) -> Iterator[Path]:
    def note(error: OSError) -> None:
        found.closed.append(Unreadable(Path(error.filename), reason_of(error)))

    home = Path(os.path.realpath(root))
    for folder, folders, names in os.walk(root, onerror=note):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(folder, name) for name in sorted(names) if not name.startswith(".")):
            if path.suffix.lower() not in READERS or not is_file(path):
                continue
            if leads_out(path, home):
                reason = f"is a link that leads out of {root}; name its target to have it read"
                found.outside.append(Unreadable(path, reason))
            else:
                yield path


def leads_out(path: Path, home: Path) -> bool:
    """By functions that fail for no path."""
    return os.path.islink(path) and not Path(os.path.realpath(path)).is_relative_to(home)  # noqa: PTH114


def is_file(path: Path) -> bool:
    """One that cannot even be looked at is taken for a file: reading it tells the reason."""
    try:
        return path.is_file()
    except OSError:
        return True
