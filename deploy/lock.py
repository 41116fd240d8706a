"""Writes the exact versions of all packages: for development, the image and the release.

    make lock              # keeps the versions in constraints.txt
    make lock UPGRADE=1    # takes the newest versions that pyproject.toml allows

`constraints.txt` has the versions of the development environment, by which `make serve` and
`make test` install. The locks also have the hashes of the files. `requirements.lock` is what a CPU
image contains, except torch, whose CPU build comes from its publisher's index with other files and
hashes. `requirements-cuda.lock` is torch and the CUDA libraries of the GPU image.
`requirements-slim.lock` is what the slim image contains: no torch, and no package that needs it.
`requirements-build.lock` builds the wheel and the image; `requirements-tools.lock` locks, audits
and describes a release.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CUDA = re.compile(r"(torch|triton|cuda-.+|nvidia-.+)==")
# What only converts, trains, or runs models that have no graphs, and the extras of the slim image.
NOT_SLIM = re.compile(r"(torch|sentence-transformers)\b")
SLIM_EXTRAS = ("ingest", "redis")
BUILD = ("hatchling", "uv")
TOOLS = ("cyclonedx-bom", "pip-audit", "uv")
# The oldest supported version; markers say what later versions need in addition.
PYTHON = "3.11"
HEAD = "# Written by `make lock`: {what}.\n"
CONSTRAINTS = ("--constraint", "constraints.txt")
LOCKED = ("--universal", "--generate-hashes", *CONSTRAINTS)


def resolve(requirements: str, *options: str) -> str:
    command = [
        *(sys.executable, "-m", "uv", "pip", "compile", "-", "--quiet", "--no-header"),
        *("--python-version", PYTHON, "--no-emit-index-url", "--no-annotate", *options),
        *("--no-emit-package", "rerankd"),
    ]
    done = subprocess.run(
        command, cwd=ROOT, input=requirements, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def blocks(lock: str) -> list[str]:
    """A block for each package: its line and the hashes below it."""
    return re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)[1:]


def write(name: str, what: str, packages: Sequence[str]) -> None:
    (ROOT / name).write_text(HEAD.format(what=what) + "".join(packages))
    print(f"{name}: {len(packages)} packages")


def is_development(pin: str) -> bool:
    """CUDA libraries belong to the GPU image; a CPU build of torch needs none."""
    return pin.startswith("torch==") or not CUDA.match(pin)


def write_constraints(*, upgrade: bool) -> None:
    resolved = resolve("\n".join([".[dev]", *BUILD]), *(() if upgrade else CONSTRAINTS))
    pins = [re.sub(r"\+\S+", "", pin) for pin in blocks(resolved) if is_development(pin)]
    write("constraints.txt", "what everything was last tested with", pins)


def slim_requirements() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(line for name in SLIM_EXTRAS for line in extras[name])]
    return [line for line in wanted if not NOT_SLIM.match(line)]


def write_locks() -> None:
    runtime = blocks(resolve(".[faiss,ingest,mcp,otel,postgres,redis]\n", *LOCKED))
    others = [block for block in runtime if not CUDA.match(block)]
    write("requirements.lock", "what the service runs on, but for torch", others)
    cuda = [block for block in runtime if CUDA.match(block)]
    write("requirements-cuda.lock", "torch for NVIDIA GPUs", cuda)
    slim = blocks(resolve("\n".join(slim_requirements()), *LOCKED))
    write("requirements-slim.lock", "what the slim image contains", slim)
    build = blocks(resolve("\n".join(BUILD), *LOCKED))
    write("requirements-build.lock", "what builds the wheel and the image", build)
    tools = blocks(resolve("\n".join(TOOLS), *LOCKED))
    write("requirements-tools.lock", "what locks, audits and describes a release", tools)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write constraints.txt and requirements*.lock.")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    write_constraints(upgrade=parser.parse_args().upgrade)
    write_locks()


if __name__ == "__main__":
    main()
