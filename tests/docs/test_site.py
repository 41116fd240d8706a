"""`make docs-site` builds the site, and a broken link ends the build."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def build(folder: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = build(ROOT, folder)
    assert built.returncode == 0, built.stderr
    return folder


def test_every_page_is_in_the_site(site: Path) -> None:
    pages = {
        page.relative_to(ROOT / "docs").with_suffix("") for page in (ROOT / "docs").rglob("*.md")
    }
    built = {page.relative_to(site).with_suffix("") for page in site.rglob("*.html")}
    assert pages - built == set()


def test_the_files_outside_docs_are_pages_too(site: Path) -> None:
    for name in ("changelog", "contributing", "security", "explanation/load-tests"):
        assert (site / f"{name}.html").exists()
    assert (site / "files/deploy/nginx/rerankd.conf").exists()
    assert (site / "search/search_index.json").exists()


def test_a_page_loads_nothing_from_another_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="?([^" >]+)', page.read_text())
        assert [address for address in loaded if "//" in address] == [], page.name


def test_a_broken_link_ends_the_build(tmp_path: Path) -> None:
    for name in ("docs", "deploy", "app/models/rerankd-minilm", "loadtest"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("mkdocs.yml", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"):
        shutil.copy(ROOT / name, tmp_path)
    with (tmp_path / "docs/index.md").open("a") as page:
        page.write("\n[nowhere](how-to/nowhere.md)\n")
    built = build(tmp_path, tmp_path / "site")
    assert built.returncode != 0
    assert "how-to/nowhere.md" in built.stderr
