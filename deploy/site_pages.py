"""A hook of MkDocs (`make docs-site`): the files outside docs/ that its pages link to.

A Markdown file becomes a page of the site, any other file is copied. Links are rewritten in both
directions. A link to a file that does not exist stays as it is, and the strict build reports it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DOCS = "docs"
# Path in the repository, and path of the page in the site.
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "app/models/rerankd-minilm/README.md": "explanation/bundled-model.md",
    "deploy/README.md": "reference/deployment-files.md",
    "deploy/helm/rerankd/README.md": "reference/helm-values.md",
    "loadtest/README.md": "explanation/load-tests.md",
}
COPIED = (
    "deploy/envoy/rerankd.yaml",
    "deploy/grafana/dashboards/rerankd.json",
    "deploy/haproxy/rerankd.cfg",
    "deploy/nginx/replicas.conf",
    "deploy/helm/examples/gpu.yaml",
    "deploy/helm/examples/keda.yaml",
    "deploy/helm/examples/laptop.yaml",
    "deploy/helm/examples/offline.yaml",
    "deploy/helm/examples/sidecar.yaml",
    "deploy/nginx/rerankd.conf",
    "deploy/prometheus/prometheus.yml",
    "deploy/prometheus/rules.yml",
    "deploy/ray/serve.yaml",
    "deploy/ray/service.py",
)
SOURCES = {page: source for source, page in PAGES.items()}
LINK = re.compile(r"(\]\()(?!https?://|mailto:|#)([^)#\s]+)((?:#[^)]*)?\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for source, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    for source in COPIED:
        files.append(File.generated(config, f"files/{source}", abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    address = page.file.src_uri
    source = SOURCES.get(address, f"{DOCS}/{address}")

    def rewritten(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[2]))
        inner = posixpath.relpath(site_address(target), posixpath.dirname(address) or ".")
        return f"{match[1]}{inner}{match[3]}"

    return LINK.sub(rewritten, markdown)


def site_address(target: str) -> str:
    """The address in the site of a file of the repository."""
    if target in PAGES:
        return PAGES[target]
    if target in COPIED:
        return f"files/{target}"
    return posixpath.relpath(target, DOCS)
