"""Links and paths in the documentation and in the code lead to files that exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from app import __version__

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\((?!https?://|mailto:|#)([^)\s]+?)(?:#[^)]*)?\)")
# It writes files of its own below a folder docs.
OWN_DOCS = ROOT / "tests/ingest/test_finding.py"
NAMED = re.compile(r"(?<![\w/.-])docs/(?:decisions/\d{4}|[\w/-]+\.md)")


def files_like(*patterns: str) -> list[Path]:
    """Files at the top and in the folders of the repository, without hidden folders."""
    folders = [ROOT / name for name in ("app", "deploy", "docs", "loadtest", "tests")]
    return sorted(
        path
        for pattern in patterns
        for path in (*ROOT.glob(pattern), *(each for f in folders for each in f.rglob(pattern)))
        if "node_modules" not in path.parts
    )


@pytest.mark.parametrize("page", files_like("*.md"), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_of_a_page_leads_to_a_file(page: Path) -> None:
    targets = LINK.findall(re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_page_that_the_code_names_exists() -> None:
    files = files_like("*.py", "*.yml", "*.toml", "Makefile", "Dockerfile", "*.conf")
    missing = {
        (str(file.relative_to(ROOT)), name)
        for file in files
        if file != OWN_DOCS
        for name in NAMED.findall(file.read_text())
        if not list(ROOT.glob(name if name.endswith(".md") else f"{name}-*.md"))
    }
    assert missing == set()


def test_the_glossary_is_in_alphabetical_order_and_explains_each_term_once() -> None:
    terms = re.findall(
        r"^\| (?!term|---)([^|]+?) \|", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE
    )
    assert len(terms) >= 40
    assert terms == sorted(set(terms))


def test_every_class_that_the_glossary_names_exists() -> None:
    rows = re.findall(r"^\|.*\| ([^|]*)\|$", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    code = "\n".join(path.read_text() for path in (ROOT / "app").rglob("*.py"))
    defined = re.findall(r"^(?:class (\w+)|(Event) = )", code, re.MULTILINE)
    assert named - {name for names in defined for name in names} == set()


def test_the_changelog_has_a_section_for_this_version_below_the_unreleased_one() -> None:
    sections = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert sections[:2] == ["Unreleased", __version__]


def test_the_changelog_says_only_added_changed_or_fixed() -> None:
    kinds = re.findall(r"^### (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert set(kinds) <= {"Added", "Changed", "Fixed"}


def test_a_recipe_has_at_most_ten_lines() -> None:
    recipes = (ROOT / "CONTRIBUTING.md").read_text().split("## Recipes")[1].split("\n### ")[1:]
    assert {recipe.splitlines()[0] for recipe in recipes} >= {
        *("Add a dialect", "Add a store", "Add a format of a language model", "Add a backend"),
        *("Add a remote provider", "Add a file reader", "Add a setting", "Add a metric"),
        "Add an error",
    }
    for recipe in recipes:
        title, *lines = [line for line in recipe.splitlines() if line]
        assert len(lines) <= 10, title


def test_the_tested_versions_of_python_are_those_that_the_package_declares() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    matrix = re.search(r"python: \[(.*)\]", workflow)
    assert matrix
    tested = re.findall(r"\d\.\d+", matrix[1])
    declared = [
        name.rpartition(" ")[2]
        for name in project["classifiers"]
        if re.search(r"Python :: \d\.\d", name)
    ]
    assert declared == tested
    assert project["requires-python"] == f">={tested[0]}"


def test_the_first_page_leads_to_every_page_except_single_decisions() -> None:
    docs = ROOT / "docs"
    linked = set(LINK.findall((docs / "index.md").read_text()))
    pages = {str(page.relative_to(docs)) for page in docs.rglob("*.md")}
    decisions = {page for page in pages if re.match(r"decisions/\d", page)}
    assert pages - decisions - linked == {"index.md"}
