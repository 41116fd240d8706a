"""All mutations of a source text: each replaces one expression or statement by another."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
}
CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
SIMPLE = (ast.Assign, ast.AugAssign, ast.Expr, ast.Raise, ast.Continue, ast.Break, ast.Delete)


@dataclass(frozen=True, slots=True)
class Mutation:
    line: int
    old: str  # the first line that changes
    new: str
    source: str  # all of it, mutated

    @property
    def name(self) -> str:
        return f"{self.old} => {self.new}"


def mutations(source: str) -> Iterator[Mutation]:
    for node, new in _sites(ast.parse(source)):
        mutated = _replaced(source, node, new)
        if mutated.source != source:
            yield mutated


def _replaced(source: str, node: ast.expr | ast.stmt, new: str) -> Mutation:
    lines = source.splitlines(keepends=True)
    start = sum(len(line.encode()) for line in lines[: node.lineno - 1]) + node.col_offset
    assert node.end_lineno is not None and node.end_col_offset is not None  # noqa: PT018
    end = sum(len(line.encode()) for line in lines[: node.end_lineno - 1]) + node.end_col_offset
    raw = source.encode()
    mutated = (raw[:start] + new.encode() + raw[end:]).decode()
    before, after = lines[node.lineno - 1], mutated.splitlines()[node.lineno - 1]
    return Mutation(node.lineno, before.strip(), after.strip(), mutated)


def _sites(tree: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """Each node that can be replaced, and by what. Annotations, texts and logging are left out."""
    for child in _parts(tree):
        if isinstance(child, ast.stmt) and _is_logging(child):
            continue
        if isinstance(child, ast.expr):
            yield from ((child, new) for new in _other_expressions(child))
        elif isinstance(child, SIMPLE) and not _is_text(child):
            if isinstance(child, ast.Expr | ast.Raise | ast.AugAssign) or _keeps_names(child):
                yield child, "pass"
            if isinstance(child, ast.AugAssign) and type(child.op) in ARITHMETIC:
                other = ast.AugAssign(child.target, ARITHMETIC[type(child.op)](), child.value)
                yield child, ast.unparse(other)
        elif isinstance(child, ast.Return) and not _is_none(child.value):
            yield child, "return None"
        yield from _sites(child)


def _parts(node: ast.AST) -> Iterator[ast.AST]:
    skipped = {"annotation", "returns", "decorator_list", "bases", "type_comment"}
    if isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom):
        return
    for name, value in ast.iter_fields(node):
        if name in skipped:
            continue
        values = value if isinstance(value, list) else [value]
        yield from (item for item in values if isinstance(item, ast.AST))


def _other_expressions(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Compare(left, [op], [right]):
            yield ast.unparse(ast.Compare(left, [COMPARISONS[type(op)]()], [right]))
        case ast.BinOp(left, op, right) if type(op) in ARITHMETIC:
            yield f"({ast.unparse(ast.BinOp(left, ARITHMETIC[type(op)](), right))})"
        case ast.BoolOp(op, values):
            other = ast.And() if isinstance(op, ast.Or) else ast.Or()
            yield f"({ast.unparse(ast.BoolOp(other, values))})"
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield f"({ast.unparse(operand)})"
        case ast.IfExp(test, body, orelse):
            yield f"({ast.unparse(ast.IfExp(test, orelse, body))})"
        case ast.Constant(bool(value)):
            yield str(not value)
        case ast.Constant(int(value) | float(value)):
            yield f"{value + 1}"
        case ast.Call(ast.Name(name), args, keywords) if name in CALLS:
            yield ast.unparse(ast.Call(ast.Name(CALLS[name]), args, keywords))
        case ast.Await(value):
            yield from _other_expressions(value)


def _is_logging(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and ast.unparse(node).startswith("logger.")


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_none(value: ast.expr | None) -> bool:
    return value is None or (isinstance(value, ast.Constant) and value.value is None)


def _keeps_names(node: ast.stmt) -> bool:
    """Without such a statement all names are still bound, so it is not noticed trivially."""
    if isinstance(node, ast.Assign):
        return all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets)
    return isinstance(node, ast.Continue | ast.Break | ast.Delete)
