"""Measures an installation without torch: `make slim`, which builds it first.

    python -m tests.deploy.slim [--chosen]

Prints the size of what is installed, and the resident memory of the service with the bundled model.
With `--chosen`, it also waits until the engine is chosen and the first one is closed. Exit code 1:
the service ranks a known pair wrongly, imports torch, or exceeds a limit.

No image is built here. Its size is estimated: the base image, whose size is a constant below, and
what is installed into it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from deploy import trim
from tests.live.service import LiveService, running

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".cache/slim"
# python:3.11-slim-bookworm for amd64, unpacked, as image lists show it; not measured here.
BASE_IMAGE_MB = 130
# The image has no installer.
INSTALLERS = ("pip", "setuptools", "pkg_resources", "_distutils_hack")
MAX_IMAGE_MB, MAX_RESIDENT_MB = 600, 400
MB = 1e6
QUESTION = {
    "query": "how long may I keep the book",
    "documents": ["The library opens at nine.", "Books are lent for four weeks."],
}
# Until the first engine is closed, after the time limit of a request.
CLOSED_SECONDS = 60


class Memory(NamedTuple):
    moment: str
    resident_mb: float
    peak_mb: float


def installed_mb(site_packages: Path) -> float:
    entries = (entry for entry in site_packages.iterdir() if not entry.name.startswith(INSTALLERS))
    return sum(trim.size(entry) for entry in entries) / MB


def largest(site_packages: Path, count: int = 8) -> list[tuple[str, float]]:
    sizes = [(entry.name, trim.size(entry) / MB) for entry in site_packages.iterdir()]
    return sorted(sizes, key=lambda row: -row[1])[:count]


def memory_of(pid: int, moment: str) -> Memory:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kilobytes = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Vm")}
    resident, peak = (int(kilobytes[name]) * 1024 / MB for name in ("VmRSS", "VmHWM"))
    return Memory(moment, resident, peak)


@contextmanager
def serving(engines: Path) -> Iterator[LiveService]:
    program = (str(ENVIRONMENT / "bin/rerankd"), "serve")
    with running(wait=False, program=program, engines=engines) as service:
        service.wait_until_ready()
        yield service


def measure(*, chosen: bool) -> list[Memory]:
    with tempfile.TemporaryDirectory() as engines, serving(Path(engines)) as service:
        pid, measured = service.process.pid, []
        best = httpx.post(f"{service.url}/rerank", json=QUESTION, timeout=60).json()["results"][0]
        if best["index"] != 1:
            sys.exit("the known pair is ranked wrongly")
        measured.append(memory_of(pid, "ready"))
        if chosen:
            service.wait_until_engine_is_chosen()
            measured.append(memory_of(pid, "the engine is replaced"))
            threading.Event().wait(CLOSED_SECONDS)
            measured.append(memory_of(pid, "the first engine is closed"))
        maps = Path(f"/proc/{pid}/maps").read_text()
    if "torch" in maps.replace(str(ROOT), ""):
        sys.exit("torch is loaded")
    return measured


def has_torch() -> bool:
    program = "import importlib.util as u; print(u.find_spec('torch') is not None)"
    command = [str(ENVIRONMENT / "bin/python"), "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return "True" in done.stdout


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the installation without torch.")
    parser.add_argument("--chosen", action="store_true", help="also when the engine is chosen")
    arguments = parser.parse_args()
    (site_packages,) = ENVIRONMENT.glob("lib/python3.*/site-packages")
    if has_torch():
        sys.exit(f"{ENVIRONMENT} contains torch: remove it, and run `make slim`")
    before = installed_mb(site_packages)
    trim.trim(site_packages)
    after = installed_mb(site_packages)
    print(f"installed: {before:.0f} MB, {after:.0f} MB when trimmed")
    print("largest:", ", ".join(f"{name} {mb:.0f}" for name, mb in largest(site_packages)))
    image = BASE_IMAGE_MB + after
    print(
        f"image: about {image:.0f} MB, with {BASE_IMAGE_MB} MB of the base (limit {MAX_IMAGE_MB})"
    )
    measured = measure(chosen=arguments.chosen)
    for moment, resident, peak in measured:
        print(f"resident: {resident:.0f} MB, at most {peak:.0f} MB: {moment}")
    too_large = image > MAX_IMAGE_MB or any(row.resident_mb > MAX_RESIDENT_MB for row in measured)
    return int(too_large)


if __name__ == "__main__":
    sys.exit(main())
