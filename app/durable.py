"""What was written is on the disk before it takes its name: a power cut leaves it whole or not at
all.
"""

from __future__ import annotations

import os
from pathlib import Path


def sync(path: Path) -> None:
    """A file's content, or which names a folder holds."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    for inside, _, names in os.walk(folder):
        for name in names:
            sync(Path(inside, name))
        sync(Path(inside))


def rename(path: Path, target: Path) -> None:
    """A file takes the place of another; a folder only that of an empty one."""
    path.replace(target)
    sync(target.parent)
