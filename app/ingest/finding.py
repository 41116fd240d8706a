"""The files of a folder that can be read. A link to a file outside of it is not followed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.ingest.document import Unreadable, reason_of
from app.ingest.readers import BY_SUFFIX


@dataclass(slots=True)
class Selection:
    """The files to read, the folders that cannot be listed, and links that leave their folder."""

    files: list[Path] = field(default_factory=list)
    closed: list[Unreadable] = field(default_factory=list)
    outside: list[Unreadable] = field(default_factory=list)


def find_files(paths: Sequence[Path]) -> Selection:
    """Each once. Hidden files of a folder are left out; links to folders are not followed."""
    selection = Selection()
    files: dict[Path, None] = {}
    for path in paths:
        inside = sorted(walk(path, selection)) if path.is_dir() else [path]
        files.update(dict.fromkeys(inside))
    selection.files = list(files)
    return selection


def walk(root: Path, selection: Selection) -> Iterator[Path]:
    def note(error: OSError) -> None:
        selection.closed.append(Unreadable(Path(error.filename), reason_of(error)))

    home = Path(os.path.realpath(root))
    for folder, folders, names in os.walk(root, onerror=note):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(folder, name) for name in sorted(names) if not name.startswith(".")):
            if path.suffix.lower() not in BY_SUFFIX or not is_file(path):
                continue
            if leads_out(path, home):
                reason = f"is a link that leads out of {root}; name its target to have it read"
                selection.outside.append(Unreadable(path, reason))
            else:
                yield path


def leads_out(path: Path, home: Path) -> bool:
    """Uses functions that do not fail, whatever the path."""
    return os.path.islink(path) and not Path(os.path.realpath(path)).is_relative_to(home)  # noqa: PTH114


def is_file(path: Path) -> bool:
    """A path without a status counts as a file: reading it gives the reason."""
    try:
        return path.is_file()
    except OSError:
        return True
