"""Compiles the library for each kind of processor: when the package is built, or by hand.

python app/engines/native/build.py

It needs nothing but a C compiler, GCC 11 or later, on Linux with x86. Without one nothing is
compiled, and the backend says so.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SOURCE = FOLDER / "source" / "encoder.c"
# What the compiler may assume, by what a processor can do: the best first.
VECTORS = ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mprefer-vector-width=512")
FLAGS_BY_ABILITY = {
    "avx512_vnni": (*VECTORS, "-mavx512vnni", "-mfma"),
    "avx_vnni": ("-mavx2", "-mfma", "-mavxvnni"),
    "avx2": ("-mavx2", "-mfma"),
}
FLAGS = ("-O3", "-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Werror")


def library_file(ability: str, folder: Path = FOLDER) -> Path:
    return folder / f"encoder-{ability}.so"


def compiler() -> str | None:
    """Where the library could run at all: on other processors the other backends serve."""
    fitting = sys.platform == "linux" and platform.machine() == "x86_64"
    return shutil.which(os.environ.get("CC", "cc")) if fitting else None


def build(folder: Path = FOLDER, more_flags: tuple[str, ...] = ()) -> list[Path]:
    """The libraries that could be compiled; a compiler may be too old for one of them."""
    command = compiler()
    if command is None:
        return []
    return [
        library_file(ability, folder)
        for ability, flags in FLAGS_BY_ABILITY.items()
        if compiled(command, (*FLAGS, *flags, *more_flags), library_file(ability, folder))
    ]


def compiled(command: str, flags: tuple[str, ...], target: Path) -> bool:
    """The file is replaced in one step: a process may have the old one open."""
    aside = target.with_suffix(".new")
    arguments = [command, *flags, str(SOURCE), "-o", str(aside), "-lm"]
    result = subprocess.run(arguments, capture_output=True, text=True, check=False)  # noqa: S603
    if result.returncode != 0:
        aside.unlink(missing_ok=True)
        sys.stderr.write(f"{target.name} is left out: {result.stderr[-2000:]}\n")
        return False
    aside.replace(target)
    return True


if __name__ == "__main__":
    names = [file.name for file in build(more_flags=WARNINGS)]
    sys.stdout.write(f"{', '.join(names) or 'nothing'} compiled\n")
