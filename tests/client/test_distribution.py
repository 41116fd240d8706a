"""The client is a distribution of its own, which shares no file with that of the service."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import app
import rerankd
from tests.clients.environments import UV, do, mirror

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "client"
# What the client needs, and what that needs.
ALLOWED = {"anyio", "certifi", "h11", "httpcore", "httpx", "idna", "rerankd-client"}
ALLOWED |= {"sniffio", "typing-extensions"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    do(*UV, "build", "--wheel", "--out-dir", folder, *mirror(), CLIENT)
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_the_wheel_has_the_package_its_types_and_its_license_only(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {f"rerankd/{path.name}" for path in (CLIENT / "rerankd").glob("*.py")}
    assert {name for name in names if ".dist-info/" not in name} == modules | {"rerankd/py.typed"}
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_an_environment_with_the_client_alone_has_no_model_libraries(
    wheel: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "environment"
    python = folder / "bin" / "python"
    do(*UV, "venv", "--python", sys.executable, folder)
    do(*UV, "pip", "install", "--python", python, *mirror(), wheel)
    script = (
        "import importlib.metadata as m; from rerankd.client import Client, AsyncClient;"
        "Client('http://127.0.0.1:8000').close();"
        "print(*(d.name.lower().replace('_', '-') for d in m.distributions()))"
    )
    command = [str(python), "-I", "-W", "error", "-c", script]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert set(printed.split()) <= ALLOWED


def test_service_and_client_have_one_version_and_no_common_package() -> None:
    assert rerankd.__version__ == app.__version__
    service, client = (
        tomllib.loads((folder / "pyproject.toml").read_text()) for folder in (ROOT, CLIENT)
    )
    packages = [
        set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
        for project in (service, client)
    ]
    assert packages == [{"app"}, {"rerankd"}]
    assert service["project"]["requires-python"] == client["project"]["requires-python"]


def test_the_licenses_are_the_same() -> None:
    assert (CLIENT / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
