"""Names of the code are words of the domain, and constants say what they are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
APP = ROOT / "app"
FILES = [*sorted(APP.rglob("*.py")), *sorted((ROOT / "client").rglob("*.py"))]
BESIDE = [
    path for name in ("tests", "loadtest", "deploy") for path in sorted((ROOT / name).rglob("*.py"))
]
BANNED = {"one", "found", "told", "tells", "asked", "place", "known", "given", "said"}
# A comment that a tool reads is no explanation.
EXPLAINED = re.compile(r"^[A-Z][A-Z_0-9]+(: [^=]+)? = .*\S  # (?!noqa|type:)", re.MULTILINE)
LOGGED = {"debug", "info", "warning", "error", "exception"}
KEY = re.compile(r"[a-z]+(_[a-z]+)*")


def names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case _:
                pass


def events(tree: ast.AST) -> Iterator[str]:
    """First arguments of the calls of a module's logger."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="logger"), attr=level), args=[first, *_]
            ) if level in LOGGED:
                yield str(first.value) if isinstance(first, ast.Constant) else ast.unparse(first)
            case _:
                pass


@pytest.mark.parametrize("path", FILES + BESIDE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_name_is_a_pronoun_or_a_participle_without_its_noun(path: Path) -> None:
    assert BANNED.isdisjoint(names(ast.parse(path.read_text())))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_constant_needs_a_comment_behind_it(path: Path) -> None:
    assert EXPLAINED.search(path.read_text()) is None


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_logged_has_a_stable_key(path: Path) -> None:
    keys = list(events(ast.parse(path.read_text())))
    assert [key for key in keys if not KEY.fullmatch(key)] == []


def test_the_checks_notice_what_they_look_for() -> None:
    assert "one" in set(names(ast.parse("for one in []: pass")))
    assert EXPLAINED.search("MOST = 3  # sentences\n")
    assert not EXPLAINED.search('MARKS = "。"  # noqa: RUF001\n')
    assert list(events(ast.parse('logger.info("it broke")'))) == ["it broke"]
