"""No regular expression of the service takes much longer for a text that was made to be slow.

Texts come from callers, documents, stores and language models, and are read on the event loop.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.reliability.growth import FACTOR, growth

APP = Path(__file__).parents[2] / "app"
SIZE = 1_000  # characters; also tried: four times as many
LONG = 15_000
METHODS = ("search", "match", "fullmatch", "finditer")
AS_FINDITER = {"findall", "sub", "subn", "split"}

PREFIXES = ("", "\n", "# ", "|", "[1", "`", "<meta charset=", "https://h", ".")
UNITS = (
    *(
        " ",
        "\n",
        "\t",
        " \n",
        "\u3000",
        "a",
        "a ",
        "1",
        "1,",
        "1 ,",
        ". ",
        ".",
        "。",
        "-",
        "_",
        ":",
    ),
    *("#", " #", "|", "| ", "=", '"', "'", "/", "~~~", "`", "` ", "`a", "```", "a`b ``c "),
    *(
        "[",
        "[1",
        "[1,",
        "[1] ",
        "](",
        "![a",
        "<",
        "<meta ",
        "<meta charset",
        "charset=",
        "rerankd-",
    ),
)
BREAKERS = ("", "x", "\n", "]")
LONG_UNITS = (
    " ",
    "\n",
    "word ",
    "a. ",
    "[1] ",
    "`" + "a" * 205,
    "<meta " + "a" * 205,
    "#" * 9 + " ",
)
# Not literals. Training reads the names of a model's own parameters; the other is an alternative of
# the model's own control tokens, each matched literally, so it cannot look back.
UNREAD = {("training/bundled/start.py", "sub"), ("engines/plain.py", "compile")}


class Used(NamedTuple):
    name: str
    pattern: re.Pattern[Any]
    method: str


class Call(NamedTuple):
    """A call of `re` in the source: of what, and the name that its result gets, if any."""

    path: str
    line: int
    method: str
    argument: ast.expr
    target: str


def calls(path: str, source: str) -> Iterator[Call]:
    tree = ast.parse(source)
    named = {
        id(node.value): node.targets[0].id
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(ast.Name("re"), method), args=[first, *_]):
                yield Call(path, node.lineno, method, first, named.get(id(node), ""))
            case ast.ImportFrom("re") | ast.Import([ast.alias("re", str())]):
                raise AssertionError(f"{path}: patterns are found by `re.`, so import re as re")
            case _:
                pass


def uses() -> dict[str, set[str]]:
    """Which methods are called on each name, anywhere."""
    methods: dict[str, set[str]] = {}
    for path in APP.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Attribute(value=ast.Name(id=name) | ast.Attribute(attr=name), attr=method):
                    method = "finditer" if method in AS_FINDITER else method
                    if method in METHODS:
                        methods.setdefault(name, set()).add(method)
                case _:
                    pass
    return methods


def collected() -> tuple[list[Used], set[tuple[str, str]]]:
    """Every pattern with each way it is used, and the calls whose pattern cannot be read here."""
    patterns: list[Used] = []
    unread: set[tuple[str, str]] = set()
    used = uses()
    for path in sorted(APP.rglob("*.py")):
        for call in calls(path.relative_to(APP).as_posix(), path.read_text()):
            where = f"{call.path}:{call.line}"
            if call.method == "compile" and call.target:
                module = ".".join(("app", *Path(call.path).with_suffix("").parts))
                pattern = getattr(import_module(module), call.target)
                methods = used.get(call.target, set(METHODS))
                patterns += [
                    Used(f"{where} {call.target}", pattern, method) for method in sorted(methods)
                ]
            elif isinstance(call.argument, ast.Constant) and call.method != "compile":
                method = "finditer" if call.method in AS_FINDITER else call.method
                patterns.append(Used(where, re.compile(call.argument.value), method))
            elif call.method != "escape":
                unread.add((call.path, call.method))
    return patterns, unread


PATTERNS, NOT_READ = collected()


def shapes() -> Iterator[tuple[str, Callable[[int], str], int]]:
    for prefix, unit, breaker in product(PREFIXES, UNITS, BREAKERS):
        yield f"{prefix}({unit})*{breaker}", shape(prefix, unit, breaker), SIZE
    for unit, breaker in product(LONG_UNITS, BREAKERS[:2]):
        yield f"({unit})*{breaker}", shape("", unit, breaker), LONG


def shape(prefix: str, unit: str, breaker: str) -> Callable[[int], str]:
    return lambda size: prefix + unit * (size // len(unit)) + breaker


def slow_shapes(pattern: re.Pattern[Any], method: str) -> Iterator[str]:
    """Shapes for which four times the text takes far more than four times as long."""
    call = getattr(pattern, method)
    binary = isinstance(pattern.pattern, bytes)

    def run(text: Any) -> object:
        result = call(text)
        return sum(1 for _ in result) if method == "finditer" else result

    for name, make, size in shapes():
        if growth(run, in_bytes(make) if binary else make, size) > FACTOR:
            yield name


def in_bytes(make: Callable[[int], str]) -> Callable[[int], Any]:
    return lambda size: make(size).encode()


@pytest.mark.parametrize("used", PATTERNS, ids=lambda used: f"{used.name}.{used.method}")
def test_no_pattern_takes_more_than_linear_time(used: Used) -> None:
    assert next(slow_shapes(used.pattern, used.method), None) is None


def test_every_pattern_of_the_service_is_tried() -> None:
    assert NOT_READ == UNREAD
    names = {used.name.partition(" ")[2] for used in PATTERNS}
    expected = {"LAYOUT", "PART", "DECIDED", "UNDECIDED", "HEADING", "CHARSET", "LINES", "SANE_ID"}
    assert expected | {"PARAGRAPHS"} <= names
    assert len(PATTERNS) >= 25


def test_an_inline_pattern_and_one_without_a_name_do_not_escape() -> None:
    source = (
        'import re\nA = re.compile("a")\ndef f(x):\n    return re.match("b", x), re.compile(x)\n'
    )
    results = [(call.method, call.target) for call in calls("made_up.py", source)]
    assert sorted(results) == [("compile", ""), ("compile", "A"), ("match", "")]


def test_a_pattern_by_another_name_of_re_is_refused() -> None:
    for source in ("from re import compile\n", "import re as regex\n"):
        with pytest.raises(AssertionError, match="import re as re"):
            list(calls("made_up.py", source))


TICKS = r"(?P<ticks>`{1,2})(?!`).{0,200}?(?<!`)(?P=ticks)(?!`)"
MUTANTS = {
    "layout": (r"\s*(?:#{1,6}\s.*|\|.*|[-*_=:|\s]{3,})", "fullmatch"),
    "marker": (r"(?P<space>\s*)[\[【](?P<numbers>\d{1,3}(?:\s*[,;]\s*\d{1,3})*)[\]】]", "finditer"),
    "undecided": (r"\s*(?:[\[【][\d\s,;]{0,40})?$", "search"),
    "known": (
        rf"(?:[^`]|`{{3,}}(?=[^`])|{TICKS}(?=[^`])|`{{1,2}}(?!`)(?=.*\n|.{{210}}))*+",
        "match",
    ),
    "heading": (r"(#{1,6})\s+(.*?)\s*#*", "fullmatch"),
    "charset": (rb"(?i)(?:<meta[^>]+charset)\s*=\s*[\"']?\s*([\w.:-]+)", "search"),
    "spaces before =": (rb"(?i)charset\s*=\s*[\"']?\s*([\w.:-]+)", "search"),
    "trailing space": (r"\s+$", "search"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_pattern_that_is_quadratic_is_caught(name: str) -> None:
    pattern, method = MUTANTS[name]
    assert next(slow_shapes(re.compile(pattern), method), None) is not None
