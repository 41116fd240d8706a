"""Writes the locks of the image and the release: exact versions with the hashes of their files.

    make lock

`requirements.lock` is all that a CPU image holds but torch, whose CPU build comes from an index of
its makers with files, and so hashes, of its own. `requirements-cuda.lock` is torch and the CUDA
libraries, as the GPU image takes them. `requirements-build.lock` is what builds the wheel and the
image, and `requirements-tools.lock` what locks, audits and describes a release.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CUDA = re.compile(r"(torch|triton|cuda-.+|nvidia-.+)==")
BUILD = ("hatchling", "uv")
TOOLS = ("cyclonedx-bom", "pip-audit", "uv")
PYTHON = "3.11"  # the oldest that is supported; the markers say what later ones need besides
HEAD = "# Written by `make lock`: {what}.\n"


def compile_lock(requirements: str, *options: str) -> str:
    command = [
        *(sys.executable, "-m", "uv", "pip", "compile", "-", "--quiet", "--no-header"),
        *("--constraint", "constraints.txt", "--universal", "--python-version", PYTHON),
        *("--generate-hashes", "--no-emit-index-url", "--no-annotate", *options),
    ]
    done = subprocess.run(
        command, cwd=ROOT, input=requirements, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def blocks(lock: str) -> list[str]:
    """One for each package: its line and the hashes below it."""
    return re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)[1:]


def write(name: str, what: str, packages: Sequence[str]) -> None:
    (ROOT / name).write_text(HEAD.format(what=what) + "".join(packages))
    print(f"{name}: {len(packages)} packages")


def main() -> None:
    runtime = blocks(compile_lock(".[faiss,ingest,postgres]\n", "--no-emit-package", "rerankd"))
    others = [block for block in runtime if not CUDA.match(block)]
    write("requirements.lock", "what the service runs on, but for torch", others)
    cuda = [block for block in runtime if CUDA.match(block)]
    write("requirements-cuda.lock", "torch for NVIDIA GPUs", cuda)
    build = blocks(compile_lock("\n".join(BUILD)))
    write("requirements-build.lock", "what builds the wheel and the image", build)
    tools = blocks(compile_lock("\n".join(TOOLS)))
    write("requirements-tools.lock", "what locks, audits and describes a release", tools)


if __name__ == "__main__":
    main()
